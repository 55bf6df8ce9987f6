/** One run of the command line in a world of its own: a terminal, files, and a server that answers what the test says. */
import { ManualClock } from "@pyromesh/block/testing";
import { runCommandLine } from "../cli/command-line.ts";

export const NOW_MS = 1_800_000_000_000;

export interface CommandCall {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** Its sleeps take no time, and are remembered. */
export class SleeplessClock extends ManualClock {
  readonly sleepsMs: number[] = [];

  override async sleep(delayMs: number): Promise<void> {
    this.sleepsMs.push(delayMs);
  }
}

export interface CommandRun {
  readonly exitCode: number;
  readonly out: string;
  readonly notes: string;
  readonly calls: readonly CommandCall[];
  readonly written: ReadonlyMap<string, Uint8Array>;
  readonly sleepsMs: readonly number[];
}

export interface CommandWorld {
  readonly replies?: readonly (Response | Error)[];
  readonly files?: Readonly<Record<string, Uint8Array>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly isTty?: boolean;
}

/** Runs one command in a world of its own; the last reply is given again and again. */
export async function runCommand(args: readonly string[], { replies = [], files = {}, env = {}, isTty = false }: CommandWorld = {}): Promise<CommandRun> {
  let out = "";
  let notes = "";
  const calls: CommandCall[] = [];
  const written = new Map<string, Uint8Array>();
  const clock = new SleeplessClock(NOW_MS);
  const exitCode = await runCommandLine(args, {
    clock,
    terminal: {
      out: (text) => void (out += text),
      note: (text) => void (notes += text),
      isOutTty: isTty,
      isNoteTty: isTty,
      env,
      readFile: (file) => {
        if (files[file] === undefined) throw new Error(`ENOENT: no such file, open '${file}'`);
        return files[file];
      },
      writeFile: (file, bytes) => {
        if (file.startsWith("readonly/")) throw new Error(`EACCES: permission denied, open '${file}'`);
        written.set(file, bytes);
      },
    },
    fetch: async (url, init) => {
      const body = init?.body;
      calls.push({ method: init?.method ?? "GET", url: url instanceof Request ? url.url : String(url), headers: new Headers(init?.headers), body: typeof body === "string" ? new TextEncoder().encode(body) : (body as Uint8Array) });
      const reply = replies[Math.min(calls.length, replies.length) - 1] ?? new Error("no reply was made up");
      if (reply instanceof Error) throw reply;
      return reply.clone();
    },
  });
  return { exitCode, out, notes, calls, written, sleepsMs: clock.sleepsMs };
}
