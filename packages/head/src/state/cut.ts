/** A cut as others see it: records that leave the open head together, in groups that become one segment each. */
import { firstSeqOf, lastSeqOf } from "../entries/cut-entry.ts";
import type { CutState } from "./state.ts";
import { windowKey } from "./record-stats.ts";

export interface Cut {
  readonly cutId: number;
  /** Its records lie in firstSeq..lastSeq, and others may lie between them. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly madeAtMs: number;
  readonly groups: readonly CutGroup[];
  /** It holds records of ranks above 0: a takeover made it. The others hold what this store is to flush. */
  readonly isTakeover: boolean;
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

/** How many records of one tenant and window are held. */
export type HeldWindow = Pick<CutGroup, "tenant" | "windowStartMs" | "recordCount">;

/** Groups come in the order of their tenant and window. One of which no record is left is left out. */
export function printCut({ entry, stats, isTakeover }: CutState): Cut {
  const groups = [...stats.groups]
    .sort((a, b) => (windowKey(a.tenant, a.windowStartMs) < windowKey(b.tenant, b.windowStartMs) ? -1 : 1))
    .map(({ tenant, windowStartMs, recordCount, bytes, minTimeMs, maxTimeMs, services }): CutGroup => {
      return { tenant, windowStartMs, recordCount, bytes, minTimeMs, maxTimeMs, services: [...services.keys()].sort() };
    });
  return { cutId: entry.cutId, firstSeq: firstSeqOf(entry), lastSeq: lastSeqOf(entry), madeAtMs: entry.madeAtMs, groups, isTakeover };
}
