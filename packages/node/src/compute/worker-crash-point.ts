/**
 * Where a test ends a worker thread as a query would that needs too much memory: PYROMESH_CRASH_WORKER_AT, which only tests set, names a
 * call, a text that stands in it, and how many threads of each worker do it: `scan:svc-7` all of them, `build::1` the first. The thread
 * fills its heap then, and V8 ends it.
 */
import { isPush } from "./lane-protocol.ts";
import type { LaneCall } from "./lane-protocol.ts";

const [armedMethod, armedText = "", threadCount = "Infinity"] = (process.env["PYROMESH_CRASH_WORKER_AT"] ?? "").split(":");

export function workerCrashPoint(call: LaneCall, epoch: number): void {
  if (armedMethod === "" || epoch >= Number(threadCount)) return;
  if ((isPush(call) ? "push" : call.method) !== armedMethod || !textOf(call).includes(armedText)) return;
  const held: number[][] = [];
  for (;;) held.push(new Array<number>(100_000).fill(0.5));
}

function textOf(call: LaneCall): string {
  return JSON.stringify(call, (_, value: unknown) => (typeof value === "bigint" ? String(value) : ArrayBuffer.isView(value) ? undefined : value));
}
