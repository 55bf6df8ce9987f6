/** A cut as the head tells of it: what leaves together, and what becomes of it. */
import type { CutState } from "./state.ts";

export interface Cut {
  readonly cutId: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly madeAtMs: number;
  readonly groups: readonly CutGroup[];
}

/** What becomes one segment. */
export interface CutGroup {
  readonly tenant: string;
  readonly windowStartMs: number;
  /** Counts this store's segments of this tenant and window; fixed when the cut is made. */
  readonly ordinal: number;
  readonly recordCount: number;
  readonly bytes: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly services: readonly string[];
}

export function printCut({ entry, tally }: CutState): Cut {
  const groups = entry.ordinals.flatMap(({ tenant, windowStartMs, ordinal }): CutGroup[] => {
    const group = tally.group(tenant, windowStartMs);
    // Its records may all have been quarantined.
    if (group === undefined) return [];
    const { recordCount, bytes, minTimeMs, maxTimeMs, services } = group;
    return [{ tenant, windowStartMs, ordinal, recordCount, bytes, minTimeMs, maxTimeMs, services: [...services].sort() }];
  });
  return { cutId: entry.cutId, firstSeq: entry.firstSeq, lastSeq: entry.lastSeq, madeAtMs: entry.madeAtMs, groups };
}
