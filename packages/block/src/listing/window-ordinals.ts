/** What is known of the ordinals of one tenant's window when a LIST ends, store by store. */
import { printWindow } from "./object-path.ts";
import type { MarkKey } from "./object-path.ts";
import type { OrdinalRange } from "./ordinal-gaps.ts";
import type { ExpectedWindow } from "./own-ordinals.ts";

/** What one store's objects in a window say: the input of `gapsOf`, and what shows that another data directory writes under the same store id. */
export interface StoreOrdinals {
  readonly storeId: string;
  readonly segments: number[];
  /** Those of them that this LIST showed, and the last source of each block that it showed. */
  readonly listed: number[];
  /** Sources of blocks. */
  readonly compacted: OrdinalRange[];
  readonly marks: { readonly mark: MarkKey["mark"]; readonly ordinal: number }[];
  readonly next: number;
  readonly ownNext: number;
}

export class WindowOrdinals {
  readonly #byStore = new Map<string, StoreOrdinals>();
  readonly #expected: ExpectedWindow | undefined;

  /** `expected`: what the window's stores gave. */
  constructor(expected: ExpectedWindow | undefined) {
    this.#expected = expected;
    for (const storeId of expected?.givenOf.keys() ?? []) this.of(storeId);
  }

  of(storeId: string): StoreOrdinals {
    const known = this.#byStore.get(storeId);
    if (known !== undefined) return known;
    const given = this.#expected?.givenOf.get(storeId);
    const found = { storeId, segments: [], listed: [], compacted: [], marks: [], next: given?.next ?? 0, ownNext: given?.ownNext ?? 0 };
    this.#byStore.set(storeId, found);
    return found;
  }

  stores(): Iterable<StoreOrdinals> {
    return this.#byStore.values();
  }
}

/**
 * Why another data dir seems to write under this store's id; undefined: no sign of it. Looks at what this LIST showed: a segment that was
 * given after its pages were in, and was uploaded since, is this store's own.
 */
export function conflictOf(windowStartMs: number, { storeId, listed, segments, ownNext }: StoreOrdinals): string | undefined {
  const at = `in window ${printWindow(windowStartMs)} of store ${storeId}`;
  const strange = listed.find((ordinal) => ordinal >= ownNext);
  if (strange !== undefined) return `segment ${strange} ${at} is in the bucket or in a block there, and this store gave only those below ${ownNext}`;
  return new Set(segments).size < segments.length ? `two segments have one ordinal ${at}` : undefined;
}
