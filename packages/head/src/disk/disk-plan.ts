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
 *   a rename   of a sealed segment writes the new file before it deletes the old, one segment at a time
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
  /** The second copy of a sealed segment while it is renamed. A segment is no larger than the cut that it was made of. */
  readonly renamedBytesMax: number;
}

/** For a store in memory (tests), which has no folders: only records and sealed segments count. */
export const RECORDS_ONLY: DiskPlan = {
  writeBufferBytes: 0,
  compactBytes: 32 << 20,
  commitBytesMax: 4 << 20,
  overheadBytes: 0,
  copyCount: 0,
  cutBytesMax: Number.MAX_SAFE_INTEGER,
  renamedBytesMax: 0,
};

/** `writeBufferBytes`: of an open store, whose buffer stays as it was opened while the budget in force rises. */
export function planDisk(budgetBytes: number, writeBufferBytes: number = writeBufferBytesOf(budgetBytes)): DiskPlan {
  const share = shareOf(budgetBytes);
  const compactBytes = Math.min(COMPACT_BYTES, share);
  const commitBytesMax = Math.min(COMMIT_BYTES_MAX, writeBufferBytes / 4);
  return {
    writeBufferBytes,
    compactBytes,
    commitBytesMax,
    overheadBytes: 2 * (writeBufferBytes + commitBytesMax) + compactBytes,
    copyCount: 2,
    cutBytesMax: share,
    renamedBytesMax: share,
  };
}

/**
 * The budget in force, of `budgetBytes` at most: what the head holds, and what is free of the file system, less the part that is left to others.
 * The part is taken of both together, so that the figure stays where it is while the head fills what is free, and is the same after a restart.
 * Never less than what the head holds. `freeBytes` undefined: the file system does not say, so nothing is known to be short.
 */
export function usableBudget({ budgetBytes, heldBytes, freeBytes }: { readonly budgetBytes: number; readonly heldBytes: number; readonly freeBytes: number | undefined }): number {
  if (freeBytes === undefined) return budgetBytes;
  return Math.min(budgetBytes, Math.max(heldBytes, Math.floor((heldBytes + freeBytes) * DISK_PART_MAX)));
}

/** The plan with which a store is opened. On a disk with next to no room it is that of the smallest budget, whose cuts and buffers are usable once there is room. */
export function planOpening({ budgetBytes, inForceBytes }: { readonly budgetBytes: number; readonly inForceBytes: number }): DiskPlan {
  return planDisk(Math.max(inForceBytes, Math.min(budgetBytes, PLANNED_BYTES_MIN)));
}

function shareOf(budgetBytes: number): number {
  return Math.floor(budgetBytes / 16);
}

function writeBufferBytesOf(budgetBytes: number): number {
  return Math.min(WRITE_BUFFER_BYTES, Math.max(WRITE_BUFFER_BYTES_MIN, shareOf(budgetBytes)));
}

/** A full disk would stop other programs too, and the bucket where that is a folder on it. */
const DISK_PART_MAX = 0.8;

/** The smallest `--head-disk-budget` that is accepted. */
const PLANNED_BYTES_MIN = 8 << 20;

/**
 * More than what comes in between two seals of full cuts: one cut (64 MiB) and what is taken in while its segment is built. Then a record
 * is written twice, to the log and into one table, from which the merge after the seal drops it in place. Where the buffer is full before
 * the seal, its table holds nothing deleted and is merged with the last one, which writes the record a third time. 96 MiB writes 2.2 bytes a
 * byte, 32 MiB 4 (docs/decisions/0008-disk-budget.md).
 */
const WRITE_BUFFER_BYTES = 96 << 20;

/** With a smaller buffer LevelDB would write a table for every few pushes. */
const WRITE_BUFFER_BYTES_MIN = 256 << 10;

/**
 * Half of a full cut: a merge then follows every seal, also of a cut that is a little smaller. With 64 MiB it would follow every second
 * one, and LevelDB's buffer would fill in between (docs/decisions/0008-disk-budget.md).
 */
const COMPACT_BYTES = 32 << 20;

const COMMIT_BYTES_MAX = 4 << 20;
