/** How large the disk is that the data directory is on, and what is free of it: measured when asked, shown as metrics. */
import type { Metrics } from "@pyromesh/base";

export interface DiskSpace {
  /** Bytes that this process may still write. */
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

export class DataDisk {
  readonly #measureNow: () => Promise<DiskSpace | undefined>;
  #latest: DiskSpace | undefined;
  /** At most one is under way: on a network file system that hangs, measurements would pile up and use up the thread pool. */
  #measuring: Promise<DiskSpace | undefined> | undefined;

  /** `measure`: undefined where the file system does not say. Never rejects. */
  constructor({ measure, metrics }: { readonly measure: () => Promise<DiskSpace | undefined>; readonly metrics: Metrics }) {
    this.#measureNow = measure;
    metrics.gauge("pyromesh_data_dir_free_bytes", "Bytes that are free on the disk of the data directory.", [], async (gauge) => {
      const space = await this.#known();
      if (space !== undefined) gauge.set({}, space.freeBytes);
    });
    metrics.gauge("pyromesh_data_dir_size_bytes", "Bytes of the disk of the data directory, free or not.", [], async (gauge) => {
      const space = await this.#known();
      if (space !== undefined) gauge.set({}, space.sizeBytes);
    });
  }

  measure(): Promise<DiskSpace | undefined> {
    return (this.#measuring ??= this.#measure().finally(() => (this.#measuring = undefined)));
  }

  /** The last measurement, so that a scrape does not wait for a disk that hangs. */
  async #known(): Promise<DiskSpace | undefined> {
    return this.#latest ?? this.measure();
  }

  async #measure(): Promise<DiskSpace | undefined> {
    this.#latest = await this.#measureNow();
    return this.#latest;
  }
}
