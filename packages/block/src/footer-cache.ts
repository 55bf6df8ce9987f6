/** Footers by object key, the least recently used dropped when they weigh too much. An object never changes, so a footer never grows stale. */
import type { SegmentFooter } from "./format.ts";

/** A decoded footer takes some 8 times its encoded bytes: objects of numbers, where the file has varints (measured on 1000 datasets of 16 sections). */
const WEIGHT_FACTOR = 8;
/** What an entry costs besides: key, map slot, meta. */
const WEIGHT_BASE_BYTES = 1024;

export class FooterCache {
  readonly #weightBytesMax: number;
  /** In order of use, the latest last. */
  readonly #footers = new Map<string, SegmentFooter>();
  #weightBytes = 0;

  constructor(weightBytesMax: number) {
    this.#weightBytesMax = weightBytesMax;
  }

  get(key: string): SegmentFooter | undefined {
    const footer = this.#footers.get(key);
    if (footer === undefined) return undefined;
    this.#footers.delete(key);
    this.#footers.set(key, footer);
    return footer;
  }

  /** One heavier than the whole cache is not kept: it is read again each time. */
  set(key: string, footer: SegmentFooter): void {
    this.delete(key);
    if (weightOf(footer) > this.#weightBytesMax) return;
    this.#footers.set(key, footer);
    this.#weightBytes += weightOf(footer);
    for (const [oldest] of this.#footers) {
      if (this.#weightBytes <= this.#weightBytesMax) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const footer = this.#footers.get(key);
    if (footer === undefined) return;
    this.#footers.delete(key);
    this.#weightBytes -= weightOf(footer);
  }

  get weightBytes(): number {
    return this.#weightBytes;
  }

  get footerCount(): number {
    return this.#footers.size;
  }
}

function weightOf(footer: SegmentFooter): number {
  return WEIGHT_BASE_BYTES + footer.footerBytes * WEIGHT_FACTOR;
}
