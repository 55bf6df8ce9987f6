/**
 * Cache of the segment datasets that a worker thread has opened. At its bound in bytes the one used longest ago leaves.
 *
 * What must stay true: a dataset counts what it takes in memory now. It grows as queries open its sections, so its size is set anew
 * after each use. A damaged dataset is not kept, and one of an object whose bytes have changed is opened again.
 */
import { CodedError } from "@pyromesh/base";
import type { DatasetEntry } from "@pyromesh/block";
import { openSection, SegmentDataset } from "@pyromesh/block/segment";
import { LRUCache } from "lru-cache";
import type { SegmentPart } from "./compute.ts";

/** What an opened dataset of one row takes: 20,000 of them, with 1.2 kB of sections each, took 10 kB each. */
const BASE_BYTES = 10 * 1024;
/** What the columns of a row take: time, totals, and the index of its profile id. Measured: 31 without the id, 97 with it. */
const ROW_BYTES = 100;
/** What an opened section takes, for each byte of it. Measured with datasets of 1 MB: 2.1 with all sections open, 2.3 with those of a flame graph. */
const SECTION_FACTOR = 2.5;

export class OpenDatasets {
  readonly #datasets: LRUCache<string, OpenDataset>;

  /** A dataset larger than `bytesMax` is opened and used, but not kept. */
  constructor(bytesMax: number) {
    this.#datasets = new LRUCache({ maxSize: Math.max(1, bytesMax) });
  }

  get sizeBytes(): number {
    return this.#datasets.calculatedSize;
  }

  get datasetCount(): number {
    return this.#datasets.size;
  }

  /** Opens the dataset, or takes it from the cache. Throws data_loss, with `object` and `service` in its details, where it is damaged. */
  use(part: SegmentPart, read: (dataset: SegmentDataset) => void): void {
    const key = keyOf(part);
    let open: OpenDataset | undefined;
    try {
      open = this.#datasets.get(key) ?? new OpenDataset(part);
      read(open.dataset);
    } catch (error) {
      if (!(error instanceof CodedError) || error.kind !== "data_loss") throw error;
      open = undefined;
      throw new CodedError({ code: error.code, kind: error.kind, message: error.message, details: { ...error.details, object: part.object, service: part.service }, cause: error });
    } finally {
      this.#datasets.delete(key); // the cache does not take a new size for a value that it holds
      if (open !== undefined) this.#datasets.set(key, open, { size: open.sizeBytes });
    }
  }
}

class OpenDataset {
  readonly dataset: SegmentDataset;
  /** Without the opened sections. */
  readonly #ownBytes: number;
  /** The sections opened so far, inflated. */
  #sectionBytes = 0;

  constructor({ object, service, bytes: given, entry }: SegmentPart) {
    // A small object is read whole: a view of one dataset would keep all of the object in memory.
    const bytes = given.byteLength < given.buffer.byteLength ? given.slice() : given;
    const open = (tag: number): Uint8Array | undefined => {
      const raw = openSection(bytes, entry, tag, object);
      this.#sectionBytes += raw?.length ?? 0;
      return raw;
    };
    this.#ownBytes = BASE_BYTES + bytes.length + entry.recordCount * ROW_BYTES;
    this.dataset = new SegmentDataset(service, open, `${object} dataset ${service}`);
  }

  get sizeBytes(): number {
    return Math.ceil(this.#ownBytes + this.#sectionBytes * SECTION_FACTOR);
  }
}

/** The checksums are part of the key: an object that was repaired is opened again. */
function keyOf({ object, service, entry }: SegmentPart): string {
  return `${object}\0${service}\0${sumOfChecksums(entry)}`;
}

function sumOfChecksums({ sections }: DatasetEntry): number {
  let sum = 0;
  for (const { crc } of sections) sum += crc;
  return sum;
}
