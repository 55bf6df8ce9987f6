/** How open records become a cut: all of them, or some. */
import type { Turns } from "@pyromesh/base";
import { encodeCommit } from "../entries/commit-entry.ts";
import { encodeCut } from "../entries/cut-entry.ts";
import type { CutEntry } from "../entries/cut-entry.ts";
import { commitKey } from "../entries/keys.ts";
import { whenPresent } from "../store/store-writer.ts";
import type { Change } from "./change.ts";
import { printCut } from "./cut.ts";
import type { Cut } from "./cut.ts";
import { RecordStats } from "./record-stats.ts";
import type { Row } from "./record-table.ts";
import type { HeadState } from "./state.ts";

export interface CutChange extends Change {
  readonly cut: Cut;
}

/** A cut of everything. Undefined where nothing is open. */
export function planCut(state: HeadState, nowMs: number): CutChange | undefined {
  const stats = state.open;
  if (stats.recordCount === 0) return undefined;
  return cutChange(state, stats, nowMs, () => void (state.open = state.newRun()));
}

/**
 * A cut of what matches; the rest stays open. Undefined where nothing does. It looks at every open record, in slices: the caller sees to it
 * that no other change is planned or applied meanwhile.
 */
export async function planCutOf(state: HeadState, isMeant: (row: Row) => boolean, nowMs: number, turns: Turns): Promise<CutChange | undefined> {
  const { open } = state;
  const taken = state.newRun();
  const rest = new RecordStats(open.run);
  const takenSeqs: number[] = [];
  for (const row of state.table.rows(open.firstSeq, open.lastSeq)) {
    if (row.run !== open.run) continue;
    if (isMeant(row)) {
      taken.add(row.seq, row, row.entryBytes, row.rank);
      takenSeqs.push(row.seq);
    } else {
      rest.add(row.seq, row, row.entryBytes, row.rank);
    }
    if (turns.areDue) await turns.give();
  }
  if (taken.recordCount === 0) return undefined;
  if (rest.recordCount === 0) return planCut(state, nowMs);
  return cutChange(state, taken, nowMs, () => {
    for (const row of state.table.rowsOf(takenSeqs)) row.run = taken.run;
    state.open = rest;
  });
}

/** A test of rows: they are among these records. */
export function namedIn(state: HeadState, identities: readonly Uint8Array[]): (row: Row) => boolean {
  const seqs = new Set<number>();
  for (const identity of identities) {
    const row = state.rowOf(identity);
    if (row !== undefined) seqs.add(row.seq);
  }
  return ({ seq }) => seqs.has(seq);
}

/** Seqs of the records of a run, in order. */
export function seqsOfRun(state: HeadState, stats: RecordStats): number[] {
  const seqs: number[] = [];
  for (const row of state.table.rows(stats.firstSeq, stats.lastSeq)) if (row.run === stats.run) seqs.push(row.seq);
  return seqs;
}

function cutChange(state: HeadState, stats: RecordStats, nowMs: number, leaveOpen: () => void): CutChange {
  const cutId = state.nextCommit;
  const entry: CutEntry = { cutId, seqs: stats.seqs, madeAtMs: nowMs };
  return {
    cut: printCut({ entry, stats }),
    ops: [
      { kind: "put", ...encodeCut(entry) },
      { kind: "put", ...encodeCommit({ kind: "cut", number: cutId, span: stats.span, alive: state.alive }) },
    ],
    probe: whenPresent(commitKey(cutId)),
    apply: () => {
      leaveOpen();
      state.nextCommit = cutId + 1;
      state.addCut(entry, stats);
      state.refreshAlive();
    },
  };
}
