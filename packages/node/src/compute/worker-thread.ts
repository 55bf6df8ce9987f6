/** A worker's thread as compute-worker.ts sees it: what it is sent, what it answers, and that it is gone. Made by a factory, so that tests can end one when they like. */
import { Worker } from "node:worker_threads";
import { messageOf } from "@pyromesh/base";
import type { WorkerBatch, WorkerReply, WorkerStart } from "./worker-protocol.ts";
import type { WorkerMemory } from "../process/memory-plan.ts";

/** Why a thread is gone. `failed`: we ended it, because it failed at what must not fail (an accepted record could not be interned). */
export type EndReason = "out_of_memory" | "crashed" | "failed";

export interface ThreadEnd {
  readonly reason: EndReason;
  readonly message: string;
}

export interface ThreadEvents {
  readonly onReply: (reply: WorkerReply) => void;
  /** Called once, when the thread is gone: it neither answers nor writes to shared memory any more. */
  readonly onGone: (end: ThreadEnd) => void;
}

export interface WorkerThread {
  post(batch: WorkerBatch): void;
  /** How long it was at work since it began; 0 where that is not measured. */
  busyMs?(): number;
  /** Resolves when the thread is gone, after `onGone`. */
  end(): Promise<void>;
}

export type StartThread = (start: WorkerStart, events: ThreadEvents) => WorkerThread;

/** Threads of compute.worker.ts. */
export function workerThreads({ heapMb }: Pick<WorkerMemory, "heapMb">): StartThread {
  return (start, { onReply, onGone }) => {
    const worker = new Worker(new URL("./compute.worker.js", import.meta.url), { workerData: start, resourceLimits: { maxOldGenerationSizeMb: heapMb } });
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
  };
}
