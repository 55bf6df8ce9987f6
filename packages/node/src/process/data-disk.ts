/** The disk that the data directory is on: how large it is and what is free. */
import { statfs } from "node:fs/promises";
import type { Metrics } from "@pyromesh/base";

export interface DiskSpace {
  /** Bytes that this process may still write. */
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

export class DataDisk {
  readonly #dataDir: string;
  #latest: DiskSpace | undefined;
  /** At most one is under way: on a network file system that hangs, measurements would pile up and use up the thread pool. */
  #measuring: Promise<DiskSpace | undefined> | undefined;

  constructor(dataDir: string, { metrics }: { readonly metrics: Metrics }) {
    this.#dataDir = dataDir;
    metrics.gauge("pyromesh_data_dir_free_bytes", "Bytes that are free on the disk of the data directory.", [], async (gauge) => {
      const space = await this.#known();
      if (space !== undefined) gauge.set({}, space.freeBytes);
    });
    metrics.gauge("pyromesh_data_dir_size_bytes", "Bytes of the disk of the data directory, free or not.", [], async (gauge) => {
      const space = await this.#known();
      if (space !== undefined) gauge.set({}, space.sizeBytes);
    });
  }

  /** Undefined where the file system does not say. */
  measure(): Promise<DiskSpace | undefined> {
    return (this.#measuring ??= this.#measure().finally(() => (this.#measuring = undefined)));
  }

  /** The last measurement, so that a scrape does not wait for a disk that hangs. */
  async #known(): Promise<DiskSpace | undefined> {
    return this.#latest ?? this.measure();
  }

  async #measure(): Promise<DiskSpace | undefined> {
    try {
      const { bavail, bfree, blocks, bsize } = await statfs(this.#dataDir);
      // Some file systems of programs say 0 of everything. A part of the free blocks may be root's.
      this.#latest = blocks === 0 ? undefined : { freeBytes: (process.getuid?.() === 0 ? bfree : bavail) * bsize, sizeBytes: blocks * bsize };
    } catch {
      this.#latest = undefined;
    }
    return this.#latest;
  }
}
