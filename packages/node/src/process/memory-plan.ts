/**
 * Shares out the memory that the process may use. Pure.
 *
 *   workers' heaps      40 %, in equal parts      V8 ends a worker that does not stay within its part (compute/node-threads.ts)
 *   what queries build  20 %, in equal parts      typed arrays, which lie outside of the heaps: memory-guard.ts ends the query
 *   object cache        1/16                      footers and ranges of objects, on the main thread (block/src/objects/object-cache.ts)
 *   opened datasets     1/16, in equal parts      in the workers (compute/open-datasets.ts)
 *   read ahead          1/16                      ranges that queries read ahead of their scans, of all together (read/read-ahead.ts)
 *   one large window    1/8                       ranges of a window that do not fit in there, of one query at a time; a larger one is refused
 *   bodies              1/16                      of requests, as they were sent; small ones a sixteenth of it more (api/src/bodies/request-body.ts)
 *   decompressed bodies 1/16                      by their Content-Encoding; of zstd twice their size, of OTLP three times (api/src/bodies/inflate.ts)
 *   pushes on their way 1/16                      between the threads, profiles and records that fit into no slot (compute/buffer-pool.ts)
 *   replies             1/64                      bytes of replies that are built, compressed or not read yet (api/src/listener/reply-budget.ts)
 *   the rest            1 %                       the main thread's heap, LevelDB's write buffer, rows (bounded by flush_size)
 *
 * In practice more is left for the rest: no part is allocated in advance, and they are not all full at the same time. A large window of a query
 * (1/8) uses what the others leave.
 *
 * Each part has an upper bound: more memory would not help. The workers' parts have a lower bound as well, since ordinary queries fail below
 * it. So with less than some 500 MB for each worker the parts together can exceed the memory.
 */
export interface MemoryPlan {
  /** Footers and ranges of objects, together. */
  readonly objectCacheBytes: number;
  /** Opened datasets, in each worker. */
  readonly openDatasetBytes: number;
  /** Ranges that all queries together have read ahead. */
  readonly readAheadBytes: number;
  /** The bytes that a query may read of one window, which it holds at once, even beyond `readAheadBytes`. A query that needs more is refused. */
  readonly windowBytesMax: number;
  /** All replies together that are being built or compressed, or are not read yet. */
  readonly replyBytes: number;
  /** Bodies of requests, as they were sent. A larger one is refused. */
  readonly bodyBytes: number;
  /** Decompressed bodies, all together. */
  readonly unpackedBytes: number;
  /** Pushes whose bytes lie in the buffer pool at once; those of others lie beside it. */
  readonly slotCount: number;
  /** Profiles and records between the main thread and the workers, beside the slots. */
  readonly pushBytes: number;
  /** All records of one profile together. */
  readonly recordBytesMax: number;
  /** How far V8 lets the old space of a heap grow beyond what is alive in it before it collects. */
  readonly heapGrowingPercent: number;
  /** Queries that scan at once: each holds the partial answers of its workers. */
  readonly queriesAtOnceMax: number;
  readonly worker: WorkerMemory;
}

/** What one worker may take. */
export interface WorkerMemory {
  /** The heap's old space; V8 adds a young one of at most some 50 MB. */
  readonly heapMb: number;
  /** What one query may build outside of the heap. */
  readonly outsideBytesMax: number;
}

const MIB = 2 ** 20;
const OBJECT_CACHE_BYTES_MAX = 192 * MIB;
const OPEN_DATASET_BYTES_MAX = 64 * MIB;
const READ_AHEAD_BYTES_MAX = 64 * MIB;
const REPLY_BYTES_MAX = 128 * MIB;
/** 1,000 pushes of agents at once are some 60 MiB. The default `ingestion_body_limit_mb` is as much for one, which is held twice where it does not say its length. */
const BODY_BYTES_MAX = 128 * MIB;
/** Bounds what an attacker gets for little: a body may open to a thousand times its size. Garbage that is not collected yet comes on top, about as much again. */
const UNPACKED_BYTES_MAX = 64 * MIB;
const PUSH_BYTES_MAX = 128 * MIB;
/** Slots of 64 KiB (compute/buffer-pool.ts), of which every machine has as many; the simulator opens nodes by the thousand, and gives them less. */
const SLOT_COUNT_MAX = 64;
const SLOT_COUNT_MIN = 4;
const SLOT_MEMORY_BYTES = 2 * MIB;
/** A profile of the default limit, and as much again for others. */
const IN_FLIGHT_BYTES_MIN = 8 * MIB;
/** Four times a profile of the default limit; and what profile/src/record/encode-push.ts takes whatever the memory. */
const RECORD_BYTES_MIN = 16 * MIB;
const RECORD_BYTES_MAX = 64 * MIB;

/** Below this ordinary queries would fail. A worker needs some 30 MB of heap before it has done anything. */
const HEAP_MB_MIN = 128;
/** V8's own bound on a heap where it is given none. */
const HEAP_MB_MAX = 4096;
const OUTSIDE_BYTES_MIN = 64 * MIB;
const OUTSIDE_BYTES_MAX = 4096 * MIB;

/**
 * Twice as many queries as there are workers, so that the workers are busy while other queries read their segments; at least four, so that one
 * query that waits for the bucket does not hold up all others.
 */
const QUERIES_A_WORKER = 2;
const QUERIES_AT_ONCE_MIN = 4;
/** Memory of one query: partial answers that wait to be merged, and the merged one (gathered.ts). All queries together may use an eighth of the memory. */
const QUERY_BYTES = 32 * MIB;

/** With less memory V8 collects earlier, at the price of more time. Measured in decisions/0006. */
const LAX_HEAP_MEMORY_BYTES_MIN = 2048 * MIB;

/** `memoryBytes`: what the process may have. */
export function planMemory({ memoryBytes, workerCount }: { readonly memoryBytes: number; readonly workerCount: number }): MemoryPlan {
  const sixteenth = memoryBytes / 16;
  return {
    objectCacheBytes: Math.floor(Math.min(OBJECT_CACHE_BYTES_MAX, sixteenth)),
    openDatasetBytes: Math.floor(Math.min(OPEN_DATASET_BYTES_MAX, sixteenth / workerCount)),
    readAheadBytes: Math.floor(Math.min(READ_AHEAD_BYTES_MAX, sixteenth)),
    windowBytesMax: Math.floor(memoryBytes / 8),
    bodyBytes: between(IN_FLIGHT_BYTES_MIN, BODY_BYTES_MAX, sixteenth),
    unpackedBytes: between(IN_FLIGHT_BYTES_MIN, UNPACKED_BYTES_MAX, sixteenth),
    recordBytesMax: between(RECORD_BYTES_MIN, RECORD_BYTES_MAX, sixteenth / 2),
    slotCount: between(SLOT_COUNT_MIN, SLOT_COUNT_MAX, memoryBytes / SLOT_MEMORY_BYTES),
    pushBytes: between(IN_FLIGHT_BYTES_MIN, PUSH_BYTES_MAX, sixteenth),
    replyBytes: Math.floor(Math.min(REPLY_BYTES_MAX, sixteenth / 4)),
    queriesAtOnceMax: between(1, Math.max(QUERIES_AT_ONCE_MIN, QUERIES_A_WORKER * workerCount), memoryBytes / 8 / QUERY_BYTES),
    heapGrowingPercent: memoryBytes >= LAX_HEAP_MEMORY_BYTES_MIN ? 300 : 50,
    worker: {
      heapMb: between(HEAP_MB_MIN, HEAP_MB_MAX, (memoryBytes * 0.4) / workerCount / MIB),
      outsideBytesMax: between(OUTSIDE_BYTES_MIN, OUTSIDE_BYTES_MAX, (memoryBytes * 0.2) / workerCount),
    },
  };
}

/** The plan of a process that has more memory than it needs: for tests, and where the memory is not known. */
export const AMPLE_MEMORY: MemoryPlan = planMemory({ memoryBytes: Infinity, workerCount: 1 });

/** A whole number. */
function between(least: number, most: number, wanted: number): number {
  return Math.min(most, Math.max(least, Math.floor(wanted)));
}
