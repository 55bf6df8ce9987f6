/**
 * The port that worker threads come through. Everything that makes threads bearable (queues, supervision, restarts, read-back, the memory
 * guard, refusals of deadly calls, the buffer pool) lies above it, and is the same code over real threads and in the simulator.
 *
 *   worker-compute.ts, worker-supervisor.ts, compute-worker.ts      above: which call goes where, and what is done about a death
 *   ──────────────── this port: batches one way, replies and the end the other ────────────────
 *   worker-loop.ts, compute-engine.ts                               below: a worker's own thread
 *
 * Real: node-threads.ts. In place, on the caller's thread, with deliveries and deaths that a test or a seed decides: testing/in-place-threads.ts.
 *
 * What every implementation keeps:
 * - Batches arrive in the order in which they were posted, and so do replies. Each is a copy, but for shared memory.
 * - Nothing is called back in the turn of `start`, `post` or `end`.
 * - `onGone` is called once, after the last reply. From then on the thread does not touch shared memory.
 */
import type { encodeSectionAside } from "@pyromesh/block";
import type { WorkerBatch, WorkerReply, WorkerStart } from "./worker-protocol.ts";

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
  /** Does nothing where the thread is gone. */
  post(batch: WorkerBatch): void;
  /** How long it was at work since it began; 0 where that is not measured. */
  busyMs(): number;
  /** Resolves when the thread is gone, after `onGone`. */
  end(): Promise<void>;
}

export interface WorkerThreads {
  /** Throws where the machine has no thread left. */
  start(start: WorkerStart, events: ThreadEvents): WorkerThread;
  /** Compresses a section of a segment beside the main thread, not on it. */
  readonly encodeSection: typeof encodeSectionAside;
}
