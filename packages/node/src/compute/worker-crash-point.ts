/**
 * Lets a test end a worker thread as a query does that needs too much memory: the thread fills its heap until V8 ends it.
 *
 *   PYROMESH_CRASH_WORKER_AT=<call>:<text in the call>:<count>     only tests set it
 *
 * Of each worker the first `count` threads do so (absent: all of them): `scan:svc-7`, `build::1`.
 */
import { isPush } from "./worker-protocol.ts";
import type { WorkerCall } from "./worker-protocol.ts";

const [armedMethod, armedText = "", threadCount = "Infinity"] = (process.env["PYROMESH_CRASH_WORKER_AT"] ?? "").split(":");

export function workerCrashPoint(call: WorkerCall, epoch: number): void {
  if (armedMethod === "" || epoch >= Number(threadCount)) return;
  if ((isPush(call) ? "push" : call.method) !== armedMethod || !textOf(call).includes(armedText)) return;
  const held: number[][] = [];
  for (;;) held.push(new Array<number>(100_000).fill(0.5));
}

function textOf(call: WorkerCall): string {
  return JSON.stringify(call, (_, value: unknown) => (typeof value === "bigint" ? String(value) : ArrayBuffer.isView(value) ? undefined : value));
}
