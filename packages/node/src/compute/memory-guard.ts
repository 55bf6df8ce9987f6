/**
 * Ends a query that needs more memory than its worker may have, before V8 ends the worker, or the operating system the process.
 *
 * V8 ends a thread whose heap is full, but not in time where one allocation alone is too large (a table that doubles): then it ends the
 * whole process. And it does not count typed arrays at all. So a scan or a merge is looked at every two milliseconds or so, while it
 * runs. What counts is what is alive: where the heap looks full it is collected first.
 *
 * Halfway to the bound is where it ends, so that the largest thing in it may double once more, old and new side by side.
 */
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { CodedError } from "@pyromesh/base";

export interface HeapUse {
  readonly usedBytes: number;
  readonly heapBytesMax: number;
  /** Typed arrays, also those that are garbage and not yet collected. */
  readonly outsideBytes: number;
}

export interface GuardedHeap {
  use(): HeapUse;
  /** Takes as long as V8 needs to go through what is alive: some 0.1 s for 500 MB. */
  collect(): void;
}

/** Past it the heap is collected; below what is left after that it goes on. The gap is what each collection frees at least. */
const COLLECTED_PAST = 0.7;
const ENDED_PAST = 0.5;

/** One for a query's call. */
export class MemoryGuard {
  readonly #heap: GuardedHeap;
  readonly #outsideBytesMax: number;
  readonly #outsideBytesBefore: number;

  /** `outsideBytesMax`: of what the call adds. */
  constructor(options: { readonly outsideBytesMax: number }, modules: { readonly heap: GuardedHeap }) {
    this.#heap = modules.heap;
    this.#outsideBytesMax = options.outsideBytesMax;
    this.#outsideBytesBefore = modules.heap.use().outsideBytes;
  }

  /** Throws QUERY_OUT_OF_MEMORY. */
  check(): void {
    const use = this.#heap.use();
    if (!this.#isFull(use, COLLECTED_PAST)) return;
    this.#heap.collect();
    const { usedBytes, heapBytesMax, outsideBytes } = this.#heap.use();
    if (!this.#isFull({ usedBytes, heapBytesMax, outsideBytes }, ENDED_PAST)) return;
    throw outOfMemory(usedBytes + Math.max(0, outsideBytes - this.#outsideBytesBefore));
  }

  #isFull({ usedBytes, heapBytesMax, outsideBytes }: HeapUse, part: number): boolean {
    return usedBytes > heapBytesMax * part || outsideBytes - this.#outsideBytesBefore > this.#outsideBytesMax * part;
  }
}

/** This thread's. */
export function threadHeap(): GuardedHeap {
  setFlagsFromString("--expose-gc");
  const collectOnce = runInNewContext("gc") as () => void; // the flag just set puts it into every new context
  return {
    use: () => {
      const { used_heap_size, heap_size_limit, external_memory } = getHeapStatistics();
      return { usedBytes: used_heap_size, heapBytesMax: heap_size_limit, outsideBytes: external_memory };
    },
    collect: () => {
      // Arrays outside of the heap are let go of beside a collection, and counted off at the next.
      collectOnce();
      collectOnce();
    },
  };
}

function outOfMemory(bytes: number): CodedError {
  return new CodedError({
    code: "QUERY_OUT_OF_MEMORY",
    // 400: the same question again would end the same way.
    kind: "failed_precondition",
    message: `the query would need more memory than a worker thread may have (it had ${Math.ceil(bytes / 2 ** 20)} MiB): narrow its time range, or name a service in its selector`,
    details: { bytes },
  });
}
