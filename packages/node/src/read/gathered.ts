/**
 * What scans have found so far, merged as it comes: a month is 720 windows, and each lane's part of each may be a tree of megabytes.
 *
 * What must stay true: the order in which parts came is the order in which they are merged.
 */
import type { Compute, ScanPartial, ScanSpec } from "../compute/compute.ts";
import { partialBytes } from "../compute/merge-partials.ts";

/** Parts held apart at most. A merge costs a trip to a worker, so it is not worth it for a few. */
const PART_COUNT_MAX = 64;
/** Of parts held apart; more where what they are merged into is larger: so that each byte is merged a few times at most. */
const PART_BYTES_MAX = 16 * 2 ** 20;

export class Gathered {
  readonly #spec: ScanSpec;
  readonly #modules: { readonly compute: Compute; readonly signal: AbortSignal };
  #partials: ScanPartial[] = [];
  #bytes = 0;
  #mergedBytes = 0;

  constructor(spec: ScanSpec, modules: { readonly compute: Compute; readonly signal: AbortSignal }) {
    this.#spec = spec;
    this.#modules = modules;
  }

  get partials(): readonly ScanPartial[] {
    return this.#partials;
  }

  async add(partials: readonly ScanPartial[]): Promise<void> {
    for (const partial of partials) {
      this.#partials.push(partial);
      this.#bytes += partialBytes(partial);
    }
    if (this.#partials.length < 2 || (this.#partials.length <= PART_COUNT_MAX && this.#bytes <= Math.max(PART_BYTES_MAX, this.#mergedBytes))) return;
    const merged = await this.#modules.compute.merge(this.#spec, this.#partials, this.#modules.signal);
    this.#partials = [merged];
    this.#bytes = 0;
    this.#mergedBytes = partialBytes(merged);
  }
}
