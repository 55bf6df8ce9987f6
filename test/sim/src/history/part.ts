/**
 * What a client pushes, as plain data: answers are compared with it. A part becomes one record: one label set, one time, and stacks with a value
 * for each sample type. A push holds one part or a few.
 *
 * Each part has one stack that no other part has (its leaf is the part's name, `part_17`), and stacks that many parts share. The value of the own
 * stack shows how often the part was counted; the shared ones must then add up.
 */
import { Message } from "./protobuf.ts";

export interface Part {
  readonly id: number;
  readonly tenant: string;
  readonly service: string;
  /** Without the service. */
  readonly labels: readonly (readonly [name: string, value: string])[];
  /** Milliseconds since the epoch, always even. Undefined: the part has no time and gets that of its arrival. */
  readonly timeMs: number | undefined;
  readonly stacks: readonly Stack[];
}

export interface Stack {
  /** Root first. */
  readonly frames: readonly string[];
  /** One for each of `SAMPLE_TYPES`. */
  readonly values: readonly number[];
}

export const SAMPLE_TYPES: readonly (readonly [type: string, unit: string])[] = [
  ["samples", "count"],
  ["cpu", "nanoseconds"],
];

/** The names that queries use, in the order of `SAMPLE_TYPES`. */
export const PROFILE_TYPES: readonly string[] = SAMPLE_TYPES.map(([type, unit]) => `process_cpu:${type}:${unit}:cpu:nanoseconds`);

export function ownLeaf(id: number): string {
  return `part_${id}`;
}

export function stackKey(frames: readonly string[]): string {
  return frames.join(";");
}

/** Encodes the part as a pprof. */
export function pprofOf({ stacks, timeMs }: Part): Uint8Array {
  const strings = new Map<string, number>([["", 0]]);
  const stringOf = (text: string): number => {
    let at = strings.get(text);
    if (at === undefined) strings.set(text, (at = strings.size));
    return at;
  };
  const message = new Message();
  for (const [type, unit] of SAMPLE_TYPES) message.message(1, new Message().int(1, stringOf(type)).int(2, stringOf(unit)));
  const functions = new Map<string, number>();
  for (const { frames, values } of stacks) {
    const ids: number[] = [];
    for (const frame of frames) {
      let id = functions.get(frame);
      if (id === undefined) functions.set(frame, (id = functions.size + 1));
      ids.push(id);
    }
    message.message(2, new Message().packed(1, ids.reverse()).packed(2, values));
  }
  for (const id of functions.values()) message.message(4, new Message().int(1, id).message(4, new Message().int(1, id)));
  for (const [name, id] of functions) message.message(5, new Message().int(1, id).int(2, stringOf(name)));
  const [type, unit] = SAMPLE_TYPES[1]!;
  const period = new Message().int(1, stringOf(type)).int(2, stringOf(unit));
  for (const text of strings.keys()) message.text(6, text);
  if (timeMs !== undefined) message.int(9, BigInt(timeMs) * 1_000_000n);
  return message.int(10, 1_000_000_000).message(11, period).int(12, 10_000_000).finish();
}

/** Encodes the parts as the body of a push.v1.PushRequest. */
export function pushBodyOf(parts: readonly Part[]): Uint8Array {
  const request = new Message();
  for (const part of parts) {
    const series = new Message();
    for (const [name, value] of [["__name__", "process_cpu"], ["service_name", part.service], ...part.labels] as const) series.message(1, new Message().text(1, name).text(2, value));
    series.message(2, new Message().bytes(1, pprofOf(part)));
    request.message(1, series);
  }
  return request.finish();
}
