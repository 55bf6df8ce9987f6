/** A worker thread: runs worker-loop.ts over the thread's port. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { assert, systemRandom } from "@pyromesh/base";
import { threadHeap } from "./memory-guard.ts";
import { workerCrashPoint } from "./worker-crash-point.ts";
import { WorkerLoop } from "./worker-loop.ts";
import type { WorkerBatch, WorkerStart } from "./worker-protocol.ts";

const port = parentPort;
assert(port !== null, "a worker runs in a worker thread");
const start = workerData as WorkerStart; // node-threads.ts starts us
const loop = new WorkerLoop(start, {
  post: (reply) => port.postMessage(reply),
  receive: () => receiveMessageOnPort(port)?.message as WorkerBatch | undefined, // as compute-worker.ts sends it
  random: systemRandom,
  heap: threadHeap(),
  onCall: (call) => workerCrashPoint(call, start.epoch),
});

port.on("message", (batch: WorkerBatch) => loop.answer(batch));
