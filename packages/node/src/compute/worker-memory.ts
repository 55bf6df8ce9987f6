/**
 * What a worker may take of the memory the process may have: pure.
 *
 *   main thread, caches, what LevelDB gathers, rows outside of the heaps  │  workers' heaps  │  what one query builds outside of them
 *                               40 %                                      │       40 %       │                  20 %
 *
 * V8 ends a thread that cannot stay within its heap (`resourceLimits`). It knows nothing of typed arrays, which lie outside of the heap:
 * memory-guard.ts refuses a query that would build more of them than this.
 */

export interface WorkerMemory {
  /** Of a worker's old space; V8 adds a young one of at most some 50 MB. */
  readonly heapMb: number;
  /** What one query may build outside of its worker's heap. */
  readonly outsideBytesMax: number;
}

/** A worker needs some 30 MB of heap before it has done anything; less than this and ordinary queries would fail. */
const HEAP_MB_MIN = 128;
/** V8's own bound on a heap where it is not told. */
const HEAP_MB_MAX = 4096;
const OUTSIDE_BYTES_MIN = 64 * 2 ** 20;
const OUTSIDE_BYTES_MAX = 4 * 2 ** 30;

export function workerMemory(memoryBytes: number, workerCount: number): WorkerMemory {
  const heapMb = Math.floor((memoryBytes * 0.4) / workerCount / 2 ** 20);
  const outsideBytes = Math.floor((memoryBytes * 0.2) / workerCount);
  return {
    heapMb: Math.min(HEAP_MB_MAX, Math.max(HEAP_MB_MIN, heapMb)),
    outsideBytesMax: Math.min(OUTSIDE_BYTES_MAX, Math.max(OUTSIDE_BYTES_MIN, outsideBytes)),
  };
}
