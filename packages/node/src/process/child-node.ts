/** Runs this program once more, as a process of its own. */
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";

export interface ChildNode {
  /** Undefined: it could not be started. */
  readonly pid: number | undefined;
  /** Resolves to words for how it ended: "exit code 1", "SIGKILL". */
  readonly ended: Promise<string>;
  /** Asks it to stop, as SIGTERM does. */
  stop(): void;
}

/** A longer line is cut there: what a process prints is not trusted to hold line ends. */
const LINE_LENGTH_MAX = 64 * 1024;

/** `args` as on the command line. `onLine` is called for each line of both of its outputs. */
export function startChildNode(args: readonly string[], onLine: (line: string) => void): ChildNode {
  const child = spawn(process.execPath, [process.argv[1]!, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, UV_THREADPOOL_SIZE: process.env["UV_THREADPOOL_SIZE"] ?? "16" },
  });
  readLines(child.stdout, onLine);
  readLines(child.stderr, onLine);
  return {
    pid: child.pid,
    ended: new Promise((resolve) => {
      child.on("error", (error) => resolve(error.message));
      child.on("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
    }),
    stop: () => void child.kill("SIGTERM"),
  };
}

function readLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
    if (rest.length < LINE_LENGTH_MAX) return;
    onLine(rest);
    rest = "";
  });
  stream.on("end", () => {
    if (rest !== "") onLine(rest);
  });
}
