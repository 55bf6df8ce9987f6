/** What a program answers, as a pprof. Written without the product's code. */
import type { ProgramAnswer, ProgramProfile } from "../world/programs.ts";
import { Message } from "./protobuf.ts";

/** The names that queries use: of the type in which ticks are, and of the one in which answers are. */
export const PROGRAM_TYPES: Readonly<Record<ProgramProfile, { readonly ticks: string; readonly answers: string }>> = {
  memory: { ticks: "memory:alloc_objects:count:space:bytes", answers: "memory:inuse_objects:count:space:bytes" },
  process_cpu: { ticks: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", answers: "process_cpu:samples:count:cpu:nanoseconds" },
};

const SAMPLE_TYPES = {
  memory: [["alloc_objects", "count"], ["inuse_objects", "count"]],
  process_cpu: [["cpu", "nanoseconds"], ["samples", "count"]],
} as const;

/** Each tick adds so much to the stack that all ticks share. Others than 1, so that a factor that is lost shows. */
export const SHARED_VALUE = 7;

export type ProgramStack =
  | { readonly kind: "tick"; readonly address: string; readonly start: number; readonly tick: number }
  | { readonly kind: "answer"; readonly id: number }
  /** Of all ticks of one start of a program. */
  | { readonly kind: "shared"; readonly address: string; readonly start: number };

/** `stack`: frames with `;` between them, root first. Undefined: no program has such a stack. */
export function readProgramStack(stack: string): ProgramStack | undefined {
  const [, kind, rest = ""] = stack.split(";");
  const [address = "", start, tick] = rest.split(" ");
  if (kind === "answer") return { kind, id: Number(address) };
  if (kind === "tick") return { kind, address, start: Number(start), tick: Number(tick) };
  return kind === "shared" ? { kind, address, start: Number(start) } : undefined;
}

export function pprofOfProgram({ address, endTick, fromTick, id, profile, start }: ProgramAnswer): Uint8Array {
  const strings = ["", "main", "tick", "answer", "shared", ...SAMPLE_TYPES[profile].flat(), profile === "memory" ? "space" : "cpu", profile === "memory" ? "bytes" : "nanoseconds"];
  const firstText = strings.length;
  const [mainAt, tickAt, answerAt, sharedAt, typesAt, periodAt] = [1, 2, 3, 4, 5, 9];
  const message = new Message();
  for (const at of [0, 2]) message.message(1, new Message().int(1, typesAt + at).int(2, typesAt + at + 1));
  // A function for each text from "main" on, of which the ids are the places of the texts. A location is its function.
  const sample = (kindAt: number, leaf: string, values: readonly [number, number]): void => {
    strings.push(leaf);
    message.message(2, new Message().packed(1, [strings.length - 1, kindAt, mainAt]).packed(2, values));
  };
  sample(answerAt, `${id}`, [0, 1]);
  for (let tick = fromTick; tick < endTick; tick++) sample(tickAt, `${address} ${start} ${tick}`, [1, 0]);
  if (endTick > fromTick) sample(sharedAt, `${address} ${start}`, [SHARED_VALUE * (endTick - fromTick), 0]);
  const used = [mainAt, tickAt, answerAt, sharedAt, ...Array.from({ length: strings.length - firstText }, (_, at) => firstText + at)];
  for (const at of used) message.message(4, new Message().int(1, at).message(4, new Message().int(1, at)));
  for (const at of used) message.message(5, new Message().int(1, at).int(2, at));
  for (const text of strings) message.text(6, text);
  return message.message(11, new Message().int(1, periodAt).int(2, periodAt + 1)).int(12, 1).finish();
}
