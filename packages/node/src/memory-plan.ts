/**
 * How much memory the caches of the process may take, by what the process may have: pure.
 *
 *   1/8 of the memory   half of it: footers and ranges on the main thread (block/object-cache.ts), one budget for both
 *                       half of it: opened datasets, in equal parts of the worker threads (compute-engine.ts)
 *   1/16                ranges that queries have read ahead of their scans, of all queries together (read/read-ahead.ts)
 *
 * Each has an upper bound of its own: with more memory than that the page cache and the bucket do as well. What is left is for the
 * rows in memory (bounded by flush_size), for bodies in flight, for scans, and for V8 to be lax.
 */
export interface MemoryPlan {
  /** Of objects' footers and ranges, together. */
  readonly objectCacheBytes: number;
  /** Of opened datasets, in each worker. */
  readonly openDatasetBytes: number;
  /** Ranges read ahead by queries, together. */
  readonly readAheadBytes: number;
}

const MIB = 2 ** 20;
const OBJECT_CACHE_BYTES_MAX = 192 * MIB;
const OPEN_DATASET_BYTES_MAX = 96 * MIB;
const READ_AHEAD_BYTES_MAX = 64 * MIB;

/** `memoryBytes`: what the process may have. */
export function planMemory({ memoryBytes, workerCount }: { readonly memoryBytes: number; readonly workerCount: number }): MemoryPlan {
  const half = memoryBytes / 16;
  return {
    objectCacheBytes: Math.floor(Math.min(OBJECT_CACHE_BYTES_MAX, half)),
    openDatasetBytes: Math.floor(Math.min(OPEN_DATASET_BYTES_MAX, half / Math.max(1, workerCount))),
    readAheadBytes: Math.floor(Math.min(READ_AHEAD_BYTES_MAX, memoryBytes / 16)),
  };
}

/** The plan of a process that lacks no memory: for tests, and where nothing is known. */
export const AMPLE_MEMORY: MemoryPlan = planMemory({ memoryBytes: Infinity, workerCount: 1 });

/**
 * What the process may have: its control group's limit where there is one, else all of the machine's. `constrainedBytes` as Node
 * gives it: undefined or 0 where the platform does not say, and above everything where there is no limit.
 */
export function processMemoryBytes({ constrainedBytes, totalBytes }: { readonly constrainedBytes: number | undefined; readonly totalBytes: number }): number {
  return constrainedBytes === undefined || constrainedBytes <= 0 ? totalBytes : Math.min(constrainedBytes, totalBytes);
}
