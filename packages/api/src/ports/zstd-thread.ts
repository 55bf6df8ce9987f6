/**
 * Decompresses zstd bodies on a thread of its own, which starts with the first such body. Bodies are done one at a time, in the order in
 * which they came: each holds its memory already, so the budget for decompressed bodies bounds how many wait.
 *
 * The thread's memory never shrinks, so it ends after a large body: what it keeps between two bodies is some KEPT_BYTES_MAX. While it works, it
 * holds the body and its result once more. It does not keep the process alive by itself.
 */
import { Worker } from "node:worker_threads";
import type { ResourceLimits } from "node:worker_threads";
import { ZstdTorn } from "./zstd.ts";

export interface ZstdTask {
  readonly bytes: Uint8Array;
  readonly sizeBytesMax: number;
  /** Whether a large result is of `largeBytes`. */
  readonly isFreedLater: boolean;
}

export type ZstdReply =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "too_large" }
  | { readonly kind: "torn" | "failed"; readonly message: string };

/** A thread that has done a body which takes more than this, with its result, is ended. */
const KEPT_BYTES_MAX = 8 * 2 ** 20;

/** Bodies lie outside of the heap, which holds a few objects. */
const HEAP: ResourceLimits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 };

export class ZstdThread {
  #worker: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** Undefined: the result is larger than `sizeBytesMax`. Rejects ZstdTorn. */
  unzstd(bytes: Uint8Array, sizeBytesMax: number, isFreedLater: boolean): Promise<Uint8Array | undefined> {
    const run = (): Promise<Uint8Array | undefined> => this.#run({ bytes, sizeBytesMax, isFreedLater });
    const done = this.#last.then(run);
    this.#last = done.then(ignore, ignore); // the next one waits for this one, and must not hold its result
    return done;
  }

  async #run(task: ZstdTask): Promise<Uint8Array | undefined> {
    const worker = (this.#worker ??= this.#start());
    try {
      const reply = await ask(worker, task);
      if (reply.kind === "bytes") return reply.bytes;
      if (reply.kind === "too_large") return undefined;
      throw reply.kind === "torn" ? new ZstdTorn(reply.message) : new Error(`zstd: ${reply.message}`);
    } catch (error) {
      if (!(error instanceof ZstdTorn)) await this.#end(worker);
      throw error;
    } finally {
      // The next body begins when the memory of this one is free.
      if (task.bytes.length + task.sizeBytesMax > KEPT_BYTES_MAX) await this.#end(worker);
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL("./zstd.worker.js", import.meta.url), { resourceLimits: HEAP });
    worker.unref();
    worker.on("error", ignore); // told to the call that it fails, if there is one; without a listener the process would end
    worker.on("exit", () => this.#forget(worker));
    return worker;
  }

  async #end(worker: Worker): Promise<void> {
    this.#forget(worker);
    await worker.terminate();
  }

  #forget(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined;
  }
}

/** Rejects where the thread ends before it has answered. */
function ask(worker: Worker, task: ZstdTask): Promise<ZstdReply> {
  return new Promise((resolve, reject) => {
    const settle = (): void => worker.off("message", onReply).off("error", onError).off("exit", onExit).unref();
    const onReply = (reply: ZstdReply): void => {
      settle();
      resolve(reply);
    };
    const onError = (error: Error): void => {
      settle();
      reject(error);
    };
    const onExit = (code: number): void => onError(new Error(`the zstd thread ended with ${code}`));
    worker.on("message", onReply).on("error", onError).on("exit", onExit).ref();
    const own = new Uint8Array(task.bytes); // a copy: the whole of a pooled buffer would be sent otherwise
    worker.postMessage({ ...task, bytes: own }, [own.buffer]);
  });
}

function ignore(): void {}
