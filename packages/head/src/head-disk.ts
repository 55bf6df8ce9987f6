/**
 * What the head keeps on disk, as a port: the ordered store and the small files beside it. `folderDisk` is a folder of the file system; a
 * simulator has one whose power can be cut.
 */
import { join } from "node:path";
import type { Clock, Logger } from "@pyromesh/base";
import { makeFolders } from "@pyromesh/base";
import type { DiskUse } from "./disk/disk-budget.ts";
import { measureFolder } from "./disk/disk-use.ts";
import type { StoreOpener } from "./entries/store.ts";
import { FileCheckpoint } from "./recovery/checkpoint.ts";
import type { Checkpoint } from "./recovery/checkpoint.ts";
import type { FormatPlace } from "./recovery/format-file.ts";
import { atomicFile } from "@pyromesh/base";
import type { AtomicFile } from "@pyromesh/base";
import { levelStoreOpener, storeDir } from "./store/level-store.ts";

export interface HeadDisk extends FormatPlace {
  readonly quarantineFile: AtomicFile;
  /** Makes the folder where it is missing. The opener, the checkpoint and what is written need it. */
  prepare(): Promise<void>;
  openCheckpoint(): Checkpoint;
  opener(options: StoreOpenerOptions): StoreOpener;
  /** What the head and its sealed segments hold: what the disk budget bounds. 0 of what is missing. */
  measure(): Promise<DiskUse>;
}

export interface StoreOpenerOptions {
  /** What the store gathers in memory before it writes a table; it may hold two of them. */
  readonly writeBufferBytes: number;
  /** Ends an opening that looks at many tables. */
  readonly signal?: AbortSignal | undefined;
}

export interface FolderDiskOptions {
  /** Made if missing. Nothing else should live in it. */
  readonly dir: string;
  /** Where sealed segments lie, which count against the disk budget too. */
  readonly sealedDir?: string;
}

/** LevelDB, checkpoint, quarantine list and format file side by side. */
export function folderDisk({ dir, sealedDir }: FolderDiskOptions, modules: { readonly clock: Clock; readonly logger: Logger }): HeadDisk {
  return {
    place: dir,
    formatFile: atomicFile(join(dir, "format")),
    quarantineFile: atomicFile(join(dir, "quarantine.json")),
    prepare: async () => void (await makeFolders(dir)),
    openCheckpoint: () => FileCheckpoint.open(join(dir, "witness")), // the name from before it was called a checkpoint
    opener: ({ writeBufferBytes, signal }) => levelStoreOpener(dir, { ...modules, signal }, { writeBufferBytes }),
    async measure() {
      const storeBytes = await measureFolder(storeDir(dir));
      const headBytes = await measureFolder(dir);
      const sealedBytes = sealedDir === undefined ? 0 : await measureFolder(sealedDir);
      return { storeBytes, otherBytes: Math.max(0, headBytes - storeBytes) + sealedBytes };
    },
  };
}
