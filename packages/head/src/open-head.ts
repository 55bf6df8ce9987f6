/** Opens a head on a disk, or in a folder of the file system. */
import type { DiskUse } from "./disk/disk-budget.ts";
import { planOpening, usableBudget } from "./disk/disk-plan.ts";
import { FORMAT_VERSION } from "./entries/meta-entry.ts";
import { Head } from "./head.ts";
import type { HeadModules, HeadOptions } from "./head-modules.ts";
import { folderDisk } from "./head-disk.ts";
import type { FolderDiskOptions, HeadDisk } from "./head-disk.ts";
import { checkHeadFormat, writeHeadFormat } from "./recovery/format-file.ts";

export interface OpenHeadModules extends Omit<HeadModules, "opener" | "checkpoint" | "quarantineFile" | "measureDisk"> {
  /** Ends the opening. */
  readonly signal?: AbortSignal | undefined;
}

export interface OpenHeadOptions extends HeadOptions, FolderDiskOptions {}

/** A head in a folder. As `openHeadOn`. */
export function openHead({ dir, sealedDir, ...options }: OpenHeadOptions, modules: OpenHeadModules): Promise<Head> {
  return openHeadOn(folderDisk({ dir, ...(sealedDir !== undefined && { sealedDir }) }, modules), options, modules);
}

/** Throws `HEAD_FORMAT_NEWER`, and `HEAD_LOCKED` when another process holds the disk. Call `replay` next. */
export async function openHeadOn(disk: HeadDisk, options: HeadOptions, { signal, ...modules }: OpenHeadModules): Promise<Head> {
  // 1. Before anything is touched.
  const format = await checkHeadFormat(disk);
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
    if (format !== FORMAT_VERSION) await writeHeadFormat(disk);
  } catch (cause) {
    await head.close();
    throw cause;
  }
  return head;
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
