/**
 * Ends a query that needs more memory than its worker may have, before V8 ends the worker, or the operating system the process.
 *
 * V8 ends a thread whose heap is full. But where one allocation alone is too large (a table that doubles) it ends the whole process, and
 * typed arrays do not count towards the heap at all. So the memory is checked while a scan or a merge runs, every two milliseconds or so.
 * Only what is alive counts: where the heap looks full, garbage is collected first.
 *
 * A heap also holds the rows that are not in a segment yet, and opened datasets. Only what a query adds to them counts against it: it is
 * ended at half of what they leave, so that its largest table can still double, with the old and the new one side by side.
 */
import { getHeapStatistics } from "node:v8";
import { CodedError, garbageCollector, unavailable } from "@pyromesh/base";

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

/**
 * Parts of the heap that rows leave to a query. Past the first, garbage is collected; where more than the second is still alive, the query is ended.
 * So each collection frees at least the difference, and collections are rare.
 */
const COLLECTED_PAST = 0.7;
const ENDED_PAST = 0.5;
/** Where rows take more of the heap than this part, a query that is ended is not to blame: its caller is told to try again later, not to ask for less. */
const ROWS_PAST = 0.5;
/** Rows are counted anew, by a collection, once the heap has grown by this part. Not at each call: a collection takes some 0.1 s, and a query over a month makes hundreds of calls. */
const RECOUNTED_PAST = 0.2;

/** A thread's heap, and how much of it is alive between two calls of queries: rows and opened datasets. */
export class HeldHeap implements GuardedHeap {
  readonly #heap: GuardedHeap;
  #heldBytes = 0;

  constructor(heap: GuardedHeap) {
    this.#heap = heap;
  }

  use(): HeapUse {
    return this.#heap.use();
  }

  collect(): void {
    this.#heap.collect();
  }

  /** Call it before a query allocates. At most what is alive, and at least that less `RECOUNTED_PAST` of the heap. */
  heldBytes(): number {
    const { usedBytes, heapBytesMax } = this.#heap.use();
    this.#heldBytes = Math.min(this.#heldBytes, usedBytes);
    if (usedBytes - this.#heldBytes > heapBytesMax * RECOUNTED_PAST) {
      this.#heap.collect();
      this.#heldBytes = this.#heap.use().usedBytes;
    }
    return this.#heldBytes;
  }
}

/** One for each call of a query. A query that runs between two slices of another shares that one's. */
export class MemoryGuard {
  readonly #heap: GuardedHeap;
  readonly #outsideBytesMax: number;
  readonly #outsideBytesBefore: number;
  readonly #heldBytes: number;
  readonly #rowBytes: () => number;
  readonly #rowBytesBefore: number;
  #hasCompany = false;

  /**
   * `outsideBytesMax`: bytes outside of the heap that the call may add. `rowBytes`: what rows have taken there so far, and what decoding
   * pushes holds there now. What pushes add between two slices of the query is not the query's.
   */
  constructor(options: { readonly outsideBytesMax: number }, modules: { readonly heap: HeldHeap; readonly rowBytes?: () => number }) {
    this.#heap = modules.heap;
    this.#rowBytes = modules.rowBytes ?? ((): number => 0);
    this.#rowBytesBefore = this.#rowBytes();
    this.#outsideBytesMax = options.outsideBytesMax;
    this.#heldBytes = modules.heap.heldBytes();
    this.#outsideBytesBefore = modules.heap.use().outsideBytes;
  }

  /** Throws QUERY_OUT_OF_MEMORY, or WORKER_FULL where rows leave a query too little. */
  check(): void {
    if (!this.#isFull(this.#heap.use(), COLLECTED_PAST)) return;
    this.#heap.collect();
    const use = this.#heap.use();
    if (!this.#isFull(use, ENDED_PAST)) return;
    if (this.#heldBytes > use.heapBytesMax * ROWS_PAST) throw workerFull(this.#heldBytes);
    const ownBytes = use.usedBytes - this.#heldBytes + Math.max(0, this.#outsideBytesOf(use));
    throw this.#hasCompany ? workerShared(ownBytes) : outOfMemory(ownBytes);
  }

  #outsideBytesOf({ outsideBytes }: HeapUse): number {
    return outsideBytes - this.#outsideBytesBefore - (this.#rowBytes() - this.#rowBytesBefore);
  }

  /** A segment is built between two slices of the query. How much memory each of them took is not known, so a query that is ended is told to try again. */
  noteCompany(): void {
    this.#hasCompany = true;
  }

  #isFull(use: HeapUse, part: number): boolean {
    const addedBytesMax = (use.heapBytesMax - this.#heldBytes) * part;
    return use.usedBytes - this.#heldBytes > addedBytesMax || this.#outsideBytesOf(use) > this.#outsideBytesMax * part;
  }
}

/** The heap of the thread that calls. */
export function threadHeap(): GuardedHeap {
  const collectOnce = garbageCollector();
  return {
    use: () => {
      const { used_heap_size, heap_size_limit, external_memory } = getHeapStatistics();
      return { usedBytes: used_heap_size, heapBytesMax: heap_size_limit, outsideBytes: external_memory };
    },
    collect: () => {
      // Twice: memory outside of the heap is freed in parallel to a collection, and leaves the count only at the next one.
      collectOnce();
      collectOnce();
    },
  };
}

function outOfMemory(bytes: number): CodedError {
  return new CodedError({
    code: "QUERY_OUT_OF_MEMORY",
    // 400: the same query would be ended again.
    kind: "failed_precondition",
    message: `the query would need more memory than a worker thread may have (it had ${Math.ceil(bytes / 2 ** 20)} MiB): narrow its time range, or name a service in its selector`,
    details: { bytes },
  });
}

/** The same query succeeds once a flush has moved the rows into segments. */
function workerFull(rowBytes: number): CodedError {
  return unavailable(
    "WORKER_FULL",
    `rows that are not in a segment yet take ${Math.ceil(rowBytes / 2 ** 20)} MiB of a worker thread's memory and leave a query too little: try again after the next flush, or give the node more memory`,
  );
}

/** The same query has the worker's memory to itself once the segment is built. */
function workerShared(bytes: number): CodedError {
  return unavailable(
    "WORKER_FULL",
    `the query and a segment that was built meanwhile took ${Math.ceil(bytes / 2 ** 20)} MiB of a worker thread's memory together: try again after the flush, or give the node more memory`,
  );
}
