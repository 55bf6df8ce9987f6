/** A head in a data directory: LevelDB, checkpoint and quarantine list side by side. */
import { join } from "node:path";
import { makeFolders } from "@pyromesh/base";
import type { DiskUse } from "./disk/disk-budget.ts";
import { planDisk } from "./disk/disk-plan.ts";
import { measureFolder } from "./disk/disk-use.ts";
import { checkHeadFormat, writeHeadFormat } from "./recovery/format-file.ts";
import { Head } from "./head.ts";
import type { HeadModules, HeadOptions } from "./head.ts";
import { atomicFile } from "./store/atomic-file.ts";
import { levelStoreOpener, storeDir } from "./store/level-store.ts";
import type { LevelStoreModules } from "./store/level-store.ts";
import { FORMAT_VERSION } from "./entries/meta-entry.ts";
import { FileCheckpoint } from "./recovery/checkpoint.ts";

export interface OpenHeadOptions extends HeadOptions {
  /** Made if missing. Nothing else should live in it. */
  readonly dir: string;
  /** Where sealed segments lie, which count against the disk budget too. */
  readonly sealedDir?: string;
}

/** Throws `HEAD_FORMAT_NEWER`, and `HEAD_LOCKED` when another process holds the directory. Call `replay` next. */
export async function openHead(options: OpenHeadOptions, modules: Omit<HeadModules, "opener" | "checkpoint" | "quarantineFile"> & Pick<LevelStoreModules, "signal">): Promise<Head> {
  const { dir, sealedDir, ...headOptions } = options;
  const diskPlan = planDisk(options.diskBudgetBytes);
  // 1. Before anything is touched.
  const format = await checkHeadFormat(dir);
  await makeFolders(dir);
  const checkpoint = FileCheckpoint.open(join(dir, "witness"));
  let head: Head;
  try {
    head = await Head.open(
      { ...headOptions, diskPlan },
      {
        ...modules,
        opener: levelStoreOpener(dir, modules, diskPlan),
        checkpoint,
        quarantineFile: atomicFile(join(dir, "quarantine.json")),
        measureDisk: () => measureHead(dir, sealedDir),
      },
    );
  } catch (cause) {
    checkpoint.close();
    throw cause;
  }
  // 2. Before the replay writes the first entry of this format.
  try {
    if (format !== FORMAT_VERSION) await writeHeadFormat(dir);
  } catch (cause) {
    await head.close();
    throw cause;
  }
  return head;
}

/** What the head and its sealed segments hold on disk: what the disk budget bounds. */
export async function measureHead(dir: string, sealedDir: string | undefined): Promise<DiskUse> {
  const storeBytes = await measureFolder(storeDir(dir));
  const headBytes = await measureFolder(dir);
  const sealedBytes = sealedDir === undefined ? 0 : await measureFolder(sealedDir);
  return { storeBytes, otherBytes: Math.max(0, headBytes - storeBytes) + sealedBytes };
}
