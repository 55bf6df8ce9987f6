/**
 * Datasets of segments that a worker thread has opened, the least recently used dropped when they take too much memory.
 *
 * What must stay true: a dataset counts what it takes as it is now. It grows as queries open its sections, so it is weighed after each
 * use. One that turns out to be damaged is not kept, and one whose object has other bytes than before is another one.
 */
import { CodedError } from "@pyromesh/base";
import type { DatasetEntry } from "@pyromesh/block";
import { openSection, SegmentDataset } from "@pyromesh/block";
import { LRUCache } from "lru-cache";
import type { SegmentPart } from "./compute.ts";

/** Of a dataset with one row: the objects of it, its rows, its names (measured: 20,000 of 1.2 kB of sections take 10 kB each). */
const BASE_BYTES = 10 * 1024;
/** A section and its columns, for each byte of it: varints of a byte or two become four or eight. */
const SECTION_FACTOR = 6;

export class OpenDatasets {
  readonly #datasets: LRUCache<string, OpenDataset>;

  /** What is larger than `bytesMax` is opened, used, and not kept. */
  constructor(bytesMax: number) {
    this.#datasets = new LRUCache({ maxSize: Math.max(1, bytesMax) });
  }

  get sizeBytes(): number {
    return this.#datasets.calculatedSize;
  }

  get datasetCount(): number {
    return this.#datasets.size;
  }

  /** Damage is told by `details.object` and `details.service`. */
  use(part: SegmentPart, read: (dataset: SegmentDataset) => void): void {
    const key = keyOf(part);
    let open: OpenDataset | undefined;
    try {
      open = this.#datasets.get(key) ?? new OpenDataset(part);
      read(open.dataset);
    } catch (error) {
      if (!(error instanceof CodedError) || error.kind !== "data_loss") throw error;
      this.#datasets.delete(key);
      open = undefined;
      throw new CodedError({ code: error.code, kind: error.kind, message: error.message, details: { ...error.details, object: part.object, service: part.service }, cause: error });
    } finally {
      if (open !== undefined) this.#datasets.set(key, open, { size: open.sizeBytes });
    }
  }
}

class OpenDataset {
  readonly dataset: SegmentDataset;
  readonly #partBytes: number;
  /** Of the sections opened so far. */
  #sectionBytes = 0;

  constructor({ object, service, bytes: given, entry }: SegmentPart) {
    // A view of a whole small object would keep all of that in memory.
    const bytes = given.byteLength < given.buffer.byteLength ? given.slice() : given;
    const open = (tag: number): Uint8Array | undefined => {
      const raw = openSection(bytes, entry, tag, object);
      this.#sectionBytes += raw?.length ?? 0;
      return raw;
    };
    this.#partBytes = bytes.length;
    this.dataset = new SegmentDataset(service, open, `${object} dataset ${service}`);
  }

  get sizeBytes(): number {
    return BASE_BYTES + this.#partBytes + this.#sectionBytes * SECTION_FACTOR;
  }
}

/** With what its checksums are: an object that was mended is opened anew. */
function keyOf({ object, service, entry }: SegmentPart): string {
  return `${object}\0${service}\0${sumOfChecksums(entry)}`;
}

function sumOfChecksums({ sections }: DatasetEntry): number {
  let sum = 0;
  for (const { crc } of sections) sum += crc;
  return sum;
}
