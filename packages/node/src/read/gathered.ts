/**
 * Gathers the partial answers of a query's scans, and merges them in between: a month has 720 windows, and a worker's partial answer for
 * one of them may be a tree of megabytes.
 *
 * What must stay true: parts are merged in the order in which they were added.
 */
import type { Compute, ScanPartial, ScanSpec } from "../compute/compute.ts";
import { partialBytes } from "../compute/merge-partials.ts";

/** More parts than this are merged. Fewer are not, since each merge costs a message to a worker and back. */
const PART_COUNT_MAX = 64;
/** Parts of more bytes than this, and than the last merged part has, are merged. So the parts double before each merge, and each byte is merged a few times at most. */
const PART_BYTES_MAX = 16 * 2 ** 20;

export class Gathered {
  readonly #spec: ScanSpec;
  readonly #modules: { readonly compute: Pick<Compute, "merge">; readonly signal: AbortSignal };
  #partials: ScanPartial[] = [];
  #bytes = 0;
  #mergedBytes = 0;

  constructor(spec: ScanSpec, modules: { readonly compute: Pick<Compute, "merge">; readonly signal: AbortSignal }) {
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
