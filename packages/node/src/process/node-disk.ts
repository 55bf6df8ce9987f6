/**
 * The disk of a node, as a port: all that it keeps in its data directory, but for the bucket where that is a folder. `dataDirDisk` is the
 * real one; the simulator has one whose power can be cut and which can fill up.
 */
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { atomicFile, makeFolders } from "@pyromesh/base";
import type { AtomicFile, Clock, Logger, Random } from "@pyromesh/base";
import { FolderFiles } from "@pyromesh/block";
import type { LocalFiles } from "@pyromesh/block";
import { folderDisk } from "@pyromesh/head";
import type { HeadDisk } from "@pyromesh/head";
import { prepareDataDir } from "./data-dir.ts";
import type { DiskSpace } from "./data-disk.ts";

export interface NodeDisk {
  /** The ordered store, and the checkpoint, quarantine and format files beside it. */
  readonly head: HeadDisk;
  /** Makes the data directory where it is missing. Throws `DATA_DIR_UNUSABLE`. */
  prepare(): Promise<void>;
  /** Sealed segments that wait for the bucket. */
  openLocalFiles(): Promise<LocalFiles>;
  /** What a member of a cluster keeps: its key, and what it must not forget of the others. Made where it is missing. */
  openClusterFiles(): Promise<ClusterFiles>;
  /** The size of the disk that holds the data directory, and what is free. Undefined where the file system does not say. */
  measure(): Promise<DiskSpace | undefined>;
}

export interface ClusterFiles {
  /** The seed of the private key by which others know this node. */
  readonly keyFile: AtomicFile;
  readonly stateFile: AtomicFile;
}

export function dataDirDisk(dataDir: string, modules: { readonly clock: Clock; readonly random: Random; readonly logger: Logger }): NodeDisk {
  const sealedDir = join(dataDir, "sealed");
  return {
    head: folderDisk({ dir: join(dataDir, "head"), sealedDir }, modules),
    prepare: () => prepareDataDir(dataDir),
    openLocalFiles: () => FolderFiles.open({ dir: sealedDir }, modules),
    async openClusterFiles() {
      const dir = join(dataDir, "cluster");
      await makeFolders(dir);
      return { keyFile: atomicFile(join(dir, "key")), stateFile: atomicFile(join(dir, "state")) };
    },
    measure: () => measureSpace(dataDir),
  };
}

async function measureSpace(dataDir: string): Promise<DiskSpace | undefined> {
  try {
    const { bavail, bfree, blocks, bsize } = await statfs(dataDir);
    // Some file systems of programs say 0 of everything. A part of the free blocks may be root's.
    return blocks === 0 ? undefined : { freeBytes: (process.getuid?.() === 0 ? bfree : bavail) * bsize, sizeBytes: blocks * bsize };
  } catch {
    return undefined;
  }
}
