/**
 * Ends a query that needs more memory than its worker may have, before V8 ends the worker, or the operating system the process.
 *
 * V8 ends a thread whose heap is full. But where one allocation alone is too large (a table that doubles) it ends the whole process, and
 * typed arrays do not count towards the heap at all. So the memory is checked while a scan or a merge runs, every two milliseconds or so.
 * Only what is alive counts: where the heap looks full, garbage is collected first.
 *
 * A query is ended at half of the bound, so that its largest table can still double, with the old and the new one side by side.
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

/** Parts of the bound: past the first garbage is collected, and where more than the second is left the query ends. So each collection frees at least the gap. */
const COLLECTED_PAST = 0.7;
const ENDED_PAST = 0.5;

/** Made anew for each call of a query. */
export class MemoryGuard {
  readonly #heap: GuardedHeap;
  readonly #outsideBytesMax: number;
  readonly #outsideBytesBefore: number;

  /** `outsideBytesMax`: bytes outside of the heap that the call may add. */
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

/** The heap of the thread that calls. */
export function threadHeap(): GuardedHeap {
  setFlagsFromString("--expose-gc");
  const collectOnce = runInNewContext("gc") as () => void; // the flag just set puts it into every new context
  return {
    use: () => {
      const { used_heap_size, heap_size_limit, external_memory } = getHeapStatistics();
      return { usedBytes: used_heap_size, heapBytesMax: heap_size_limit, outsideBytes: external_memory };
    },
    collect: () => {
      // Twice: memory outside of the heap is freed beside a collection, and no longer counted from the next one on.
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
