/**
 * How the disk budget is shared out: pure.
 *
 * The budget bounds what the folders hold, and they hold more than records that are alive:
 *
 *   | sealed segments | records, open and cut | their copies | logs and deleted records of LevelDB |
 *
 *   copies     a merge of LevelDB's tables writes the new ones before it deletes the old, and a seal writes a cut's segment before
 *              its records are deleted: for a moment a record lies there three times
 *   logs       LevelDB's log is as long as what it gathers in memory, and there are two of them while one is written into a table
 *   deleted    records stay in tables until enough were deleted to be worth a merge
 *
 * So a small budget takes a small write buffer and frequent merges, and an earlier cut. From 1.5 GB on they are what is fastest
 * (docs/decisions/0008-disk-budget.md has the figures).
 */
export interface DiskPlan {
  /** What LevelDB gathers in memory before it writes a table. */
  readonly writeBufferBytes: number;
  /** Bytes of deleted records that are worth a merge. */
  readonly compactBytes: number;
  /** What one commit takes at most; a larger record goes alone. */
  readonly commitBytesMax: number;
  /** What LevelDB may hold beside the records that are alive. */
  readonly overheadBytes: number;
  /** How many more copies of a record may lie on disk at once. */
  readonly copyCount: number;
  /** The head is cut when it holds this much, so that pushes go on while a cut is sealed. */
  readonly cutBytesMax: number;
}

/** For a store in memory (tests), which has no folders: only records and sealed segments count. */
export const RECORDS_ONLY: DiskPlan = {
  writeBufferBytes: 0,
  compactBytes: 32 << 20,
  commitBytesMax: 4 << 20,
  overheadBytes: 0,
  copyCount: 0,
  cutBytesMax: Number.MAX_SAFE_INTEGER,
};

export function planDisk(budgetBytes: number): DiskPlan {
  const share = Math.floor(budgetBytes / 16);
  const writeBufferBytes = Math.min(WRITE_BUFFER_BYTES, Math.max(WRITE_BUFFER_BYTES_MIN, share));
  const compactBytes = Math.min(COMPACT_BYTES, share);
  const commitBytesMax = Math.min(COMMIT_BYTES_MAX, writeBufferBytes / 4);
  return {
    writeBufferBytes,
    compactBytes,
    commitBytesMax,
    overheadBytes: 2 * (writeBufferBytes + commitBytesMax) + compactBytes,
    copyCount: 2,
    cutBytesMax: share,
  };
}

/**
 * More than comes in between two seals of full cuts: a cut (64 MiB) and what is taken in while its segment is built. Each seal has
 * LevelDB write what it gathered into a table and drop from that, in place, what is deleted (`reclaim` of store-writer.ts); so a
 * record is written to the log and into one table. Where it is filled before the seal, its table is still all alive: too large for
 * level 1, and spanning all kinds of keys as every table does, it is merged at once with what is left of the last, a third write.
 *
 * Measured (`npm run bench -- commits`, 10 KiB records, 2 cores; bytes written a byte, CPU a record of all threads): 16 MiB 4 to 5
 * and 195 µs, 32 MiB 4 and 165 µs, 64 MiB 2.7 and 96 to 104 µs, 96 MiB 2.2 and 77 to 94 µs. Under `bench load` it holds some
 * 75 MB at most; a start with 20,000 unflushed pushes takes as long.
 */
const WRITE_BUFFER_BYTES = 96 << 20;

/** With a smaller buffer LevelDB would write a table for every few pushes. */
const WRITE_BUFFER_BYTES_MIN = 256 << 10;

/**
 * Half of a full cut, so that cuts a little smaller do not come two at a time, which fills LevelDB's buffer in between. Measured with
 * cuts of 48 MiB (`npm run bench -- commits --cut-mb 48`), 64 and 32 MiB: 2.25 and 2.13 bytes written a byte, 217 and 145 MB of disk,
 * 162 and 125 MB of memory, the same CPU.
 */
const COMPACT_BYTES = 32 << 20;

const COMMIT_BYTES_MAX = 4 << 20;
