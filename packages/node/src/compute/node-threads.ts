/** Worker threads of Node: each runs compute.worker.ts. Sections are compressed on the thread pool of libuv. */
import { Worker } from "node:worker_threads";
import { messageOf } from "@pyromesh/base";
import { encodeSectionAside } from "@pyromesh/block";
import type { ThreadEnd, WorkerThreads } from "./worker-threads.ts";

export const nodeThreads: WorkerThreads = {
  start(start, { onReply, onGone }) {
    const worker = new Worker(new URL("./compute.worker.js", import.meta.url), { workerData: start, resourceLimits: { maxOldGenerationSizeMb: start.heapMb } });
    let end: ThreadEnd | undefined;
    worker.on("message", onReply);
    // A message that cannot be decoded was an answer: its caller would wait for ever.
    worker.on("messageerror", (error) => {
      end ??= { reason: "crashed", message: messageOf(error) };
      void worker.terminate();
    });
    // The thread may still run after an error; after `exit` it does not.
    worker.on("error", (error: NodeJS.ErrnoException) => {
      end ??= { reason: error.code === "ERR_WORKER_OUT_OF_MEMORY" ? "out_of_memory" : "crashed", message: messageOf(error) };
    });
    worker.on("exit", (code) => onGone(end ?? { reason: "crashed", message: `it exited with ${code}` }));
    return {
      post: (batch) => worker.postMessage(batch),
      busyMs: () => worker.performance.eventLoopUtilization().active,
      end: async () => void (await worker.terminate()),
    };
  },
  encodeSection: encodeSectionAside,
};
