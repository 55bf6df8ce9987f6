/** How the open records become a cut. */
import { encodeCommit } from "../entries/commit-entry.ts";
import { encodeCut } from "../entries/cut-entry.ts";
import type { CutEntry } from "../entries/cut-entry.ts";
import { commitKey } from "../entries/keys.ts";
import { whenPresent } from "../store/store-writer.ts";
import type { Change } from "./change.ts";
import { printCut } from "./cut.ts";
import type { Cut } from "./cut.ts";
import { RecordStats } from "./record-stats.ts";
import type { HeadState } from "./state.ts";

export interface CutChange extends Change {
  readonly cut: Cut;
}

/** Undefined where nothing is open. */
export function planCut(state: HeadState, nowMs: number): CutChange | undefined {
  const stats = state.open;
  if (stats.recordCount === 0) return undefined;
  const cutId = state.nextCommit;
  const entry: CutEntry = { cutId, firstSeq: stats.firstSeq, lastSeq: stats.lastSeq, madeAtMs: nowMs };
  return {
    cut: printCut({ entry, stats }),
    ops: [
      { kind: "put", ...encodeCut(entry) },
      { kind: "put", ...encodeCommit({ kind: "cut", number: cutId, span: stats.span, alive: state.alive }) },
    ],
    probe: whenPresent(commitKey(cutId)),
    apply: () => {
      state.nextCommit = cutId + 1;
      state.cuts.set(cutId, { entry, stats });
      state.open = new RecordStats();
      state.refreshAlive();
    },
  };
}
