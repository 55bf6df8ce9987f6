/**
 * How much memory the caches of the process may take, by what the process may have: pure.
 *
 *   1/8 of the memory   half of it: footers and ranges on the main thread (block/object-cache.ts), one budget for both
 *                       half of it: opened datasets, in equal parts of the worker threads (compute-engine.ts)
 *   1/16                ranges that queries have read ahead of their scans, of all queries together (read/read-ahead.ts)
 *   1/8                 ranges of one window that do not fit in there, of one query at a time; a larger window is refused
 *
 * Each has an upper bound of its own: with more memory than that the page cache and the bucket do as well. What is left is for the
 * rows in memory (bounded by flush_size), for bodies in flight, for scans, and for V8, whose heaps grow beyond what is alive in them.
 */
export interface MemoryPlan {
  /** Of objects' footers and ranges, together. */
  readonly objectCacheBytes: number;
  /** Of opened datasets, in each worker. */
  readonly openDatasetBytes: number;
  /** Ranges read ahead by queries, together. */
  readonly readAheadBytes: number;
  /** Of one window that a query reads: it is held at once, whatever `readAheadBytes` says. A larger one is refused. */
  readonly windowBytesMax: number;
  /** How far V8 lets the old space of a heap grow beyond what is alive in it before it collects. */
  readonly heapGrowingPercent: number;
}

const MIB = 2 ** 20;
const OBJECT_CACHE_BYTES_MAX = 192 * MIB;
const OPEN_DATASET_BYTES_MAX = 64 * MIB;
const READ_AHEAD_BYTES_MAX = 64 * MIB;

/** With less memory V8 collects earlier: thirty queries of a day each took 240 MB with 300 % and 130 MB with 50 %, of 512. */
const LAX_HEAP_MEMORY_BYTES_MIN = 2048 * MIB;

/** `memoryBytes`: what the process may have. */
export function planMemory({ memoryBytes, workerCount }: { readonly memoryBytes: number; readonly workerCount: number }): MemoryPlan {
  const half = memoryBytes / 16;
  return {
    objectCacheBytes: Math.floor(Math.min(OBJECT_CACHE_BYTES_MAX, half)),
    openDatasetBytes: Math.floor(Math.min(OPEN_DATASET_BYTES_MAX, half / Math.max(1, workerCount))),
    readAheadBytes: Math.floor(Math.min(READ_AHEAD_BYTES_MAX, memoryBytes / 16)),
    windowBytesMax: Math.floor(memoryBytes / 8),
    heapGrowingPercent: memoryBytes >= LAX_HEAP_MEMORY_BYTES_MIN ? 300 : 50,
  };
}

/** The plan of a process that lacks no memory: for tests, and where nothing is known. */
export const AMPLE_MEMORY: MemoryPlan = planMemory({ memoryBytes: Infinity, workerCount: 1 });
