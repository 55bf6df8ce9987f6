/** Opens a head on a disk, or in a folder of the file system. */
import type { DiskUse } from "./disk/disk-budget.ts";
import { planOpening, usableBudget } from "./disk/disk-plan.ts";
import { Head } from "./head.ts";
import type { HeadModules, HeadOptions } from "./head-modules.ts";
import { folderDisk } from "./head-disk.ts";
import type { FolderDiskOptions, HeadDisk } from "./head-disk.ts";
import { checkHeadFormat, highest, READ_VERSIONS, USUAL_VERSIONS, VersionMark, writeHeadFormat } from "./recovery/format-file.ts";
import type { HeldVersions } from "./recovery/format-file.ts";

export interface OpenHeadModules extends Omit<HeadModules, "opener" | "checkpoint" | "quarantineFile" | "measureDisk" | "versionsOf"> {
  /** Ends the opening. */
  readonly signal?: AbortSignal | undefined;
}

export interface OpenOptions extends HeadOptions {
  /** The newest versions that this build reads of what a data directory holds besides the head's own entries. Absent: the usual ones. */
  readonly readVersions?: HeldVersions;
  /** What is written to it from the start, without asking; what a fresh directory may hold at first. Absent: the usual ones. */
  readonly writtenVersions?: HeldVersions;
}

export interface OpenHeadOptions extends OpenOptions, FolderDiskOptions {}

/** A head in a folder. As `openHeadOn`. */
export function openHead({ dir, sealedDir, ...options }: OpenHeadOptions, modules: OpenHeadModules): Promise<Head> {
  return openHeadOn(folderDisk({ dir, ...(sealedDir !== undefined && { sealedDir }) }, modules), options, modules);
}

/** Throws `HEAD_FORMAT_NEWER`, and `HEAD_LOCKED` when another process holds the disk. Call `replay` next. */
export async function openHeadOn(disk: HeadDisk, { readVersions = READ_VERSIONS, writtenVersions = USUAL_VERSIONS, ...options }: OpenOptions, { signal, ...modules }: OpenHeadModules): Promise<Head> {
  // 1. Before anything is touched.
  const found = await checkHeadFormat(disk, readVersions);
  const budget = await findBudget(disk, options, modules);
  const diskPlan = planOpening({ budgetBytes: options.diskBudgetBytes, inForceBytes: budget.inForceBytes });
  await disk.prepare();
  const checkpoint = disk.openCheckpoint();
  let head: Head;
  try {
    head = await Head.open(
      { ...options, ...budget, diskPlan },
      {
        ...modules,
        versionsOf: ({ isFresh }) => new VersionMark(disk, found === undefined && isFresh ? writtenVersions : highest(found ?? USUAL_VERSIONS, writtenVersions)),
        opener: disk.opener({ writeBufferBytes: diskPlan.writeBufferBytes, signal }),
        checkpoint,
        quarantineFile: disk.quarantineFile,
        measureDisk: () => disk.measure(),
      },
    );
  } catch (cause) {
    checkpoint.close();
    throw cause;
  }
  // 2. Before the replay writes the first entry of this format.
  try {
    if (found === undefined || !areEqual(found, head.heldVersions)) await writeHeadFormat(disk, head.heldVersions);
  } catch (cause) {
    await head.close();
    throw cause;
  }
  return head;
}

function areEqual(a: HeldVersions, b: HeldVersions): boolean {
  return [...Object.keys(a), ...Object.keys(b)].every((name) => a[name] === b[name]);
}

/** What the disk allows of the configured budget. The folders are measured only where the free space is known. */
async function findBudget(
  disk: HeadDisk,
  { diskBudgetBytes: budgetBytes }: HeadOptions,
  { logger, measureFree }: Pick<HeadModules, "logger" | "measureFree">,
): Promise<{ readonly inForceBytes: number; readonly diskUse?: DiskUse }> {
  const freeBytes = await measureFree?.();
  if (freeBytes === undefined) return { inForceBytes: budgetBytes };
  const diskUse = await disk.measure();
  const inForceBytes = usableBudget({ budgetBytes, heldBytes: diskUse.storeBytes + diskUse.otherBytes, freeBytes });
  if (inForceBytes < budgetBytes) logger.warn("less disk is free than the head's budget; until there is more, the budget is what is usable", { budgetBytes, usableBytes: inForceBytes });
  return { inForceBytes, diskUse };
}
