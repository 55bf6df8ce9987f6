/** A cut as others see it: records that leave the open head together, in groups that become one segment each. */
import type { CutState } from "./state.ts";
import { windowKey } from "./record-stats.ts";

export interface Cut {
  readonly cutId: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly madeAtMs: number;
  readonly groups: readonly CutGroup[];
}

/** The records of one tenant and window: they become one segment. */
export interface CutGroup {
  readonly tenant: string;
  readonly windowStartMs: number;
  readonly recordCount: number;
  readonly bytes: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly services: readonly string[];
}

/** Groups come in the order of their tenant and window. One whose records were all quarantined is left out. */
export function printCut({ entry, stats }: CutState): Cut {
  const groups = [...stats.groups]
    .sort((a, b) => (windowKey(a.tenant, a.windowStartMs) < windowKey(b.tenant, b.windowStartMs) ? -1 : 1))
    .map(({ tenant, windowStartMs, recordCount, bytes, minTimeMs, maxTimeMs, services }): CutGroup => {
      return { tenant, windowStartMs, recordCount, bytes, minTimeMs, maxTimeMs, services: [...services].sort() };
    });
  return { cutId: entry.cutId, firstSeq: entry.firstSeq, lastSeq: entry.lastSeq, madeAtMs: entry.madeAtMs, groups };
}
