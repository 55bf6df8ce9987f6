/** How open records become a cut: those of rank 0, those that match a filter, or those that are named. */
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

/** A cut of all open records of rank 0. Undefined where none is open. It looks at none of them: their run becomes the cut's. */
export function planOwnCut(state: HeadState, nowMs: number): CutChange | undefined {
  const stats = state.own;
  if (stats.recordCount === 0) return undefined;
  return cutChange(state, { stats, isTakeover: false }, nowMs, () => void (state.own = state.newRun()));
}

/**
 * A cut of what matches; the rest stays open. Undefined where nothing does. It looks at every open record, in slices: the caller sees to it
 * that no other change is planned or applied meanwhile.
 */
export async function planCutOf(state: HeadState, isMeant: (row: Row) => boolean, nowMs: number, turns: Turns): Promise<CutChange | undefined> {
  const { own, kept } = state;
  const taken = state.newRun();
  // Both anew, since the seqs of one cut must not be among another's.
  const restOf = new Map([own, kept].map(({ run }) => [run, new RecordStats(run)]));
  const takenSeqs: number[] = [];
  let isTakeover = false;
  for (const row of state.table.rows(Math.min(own.firstSeq, kept.firstSeq), Math.max(own.lastSeq, kept.lastSeq))) {
    const rest = restOf.get(row.run);
    if (rest === undefined) continue;
    if (isMeant(row)) {
      taken.add(row.seq, row, row.entryBytes);
      takenSeqs.push(row.seq);
      if (row.rank > 0) isTakeover = true;
    } else {
      rest.add(row.seq, row, row.entryBytes);
    }
    if (turns.areDue) await turns.give();
  }
  if (taken.recordCount === 0) return undefined;
  if (!isTakeover && restOf.get(own.run)!.recordCount === 0) return planOwnCut(state, nowMs);
  return cutChange(state, { stats: taken, isTakeover }, nowMs, () => {
    for (const row of state.table.rowsOf(takenSeqs)) row.run = taken.run;
    state.own = restOf.get(own.run)!;
    state.kept = restOf.get(kept.run)!;
  });
}

/**
 * A cut of those of these records that are open and of ranks above 0. Undefined where none is. It looks at no other record: that the seqs of the kept run then name some of the
 * cut's does no harm, since no cut is made of that run as a whole.
 */
export function planTakeoverCut(state: HeadState, identities: readonly Uint8Array[], nowMs: number): CutChange | undefined {
  const { kept } = state;
  const seqs = new Set<number>();
  for (const identity of identities) {
    const row = state.rowOf(identity);
    if (row?.run === kept.run) seqs.add(row.seq);
  }
  if (seqs.size === 0) return undefined;
  const takenSeqs = [...seqs].sort((a, b) => a - b);
  const taken = state.newRun();
  for (const row of state.table.rowsOf(takenSeqs)) taken.add(row.seq, row, row.entryBytes);
  return cutChange(state, { stats: taken, isTakeover: true }, nowMs, () => {
    for (const row of state.table.rowsOf(takenSeqs)) {
      kept.remove(row, row.entryBytes);
      row.run = taken.run;
    }
  });
}

/** Seqs of the records of a run, in order. */
export function seqsOfRun(state: HeadState, stats: RecordStats): number[] {
  const seqs: number[] = [];
  for (const row of state.table.rows(stats.firstSeq, stats.lastSeq)) if (row.run === stats.run) seqs.push(row.seq);
  return seqs;
}

function cutChange(state: HeadState, { stats, isTakeover }: { readonly stats: RecordStats; readonly isTakeover: boolean }, nowMs: number, leaveOpen: () => void): CutChange {
  const cutId = state.nextCommit;
  const entry: CutEntry = { cutId, seqs: stats.seqs, madeAtMs: nowMs };
  return {
    cut: printCut({ entry, stats, isTakeover }),
    ops: [
      { kind: "put", ...encodeCut(entry) },
      { kind: "put", ...encodeCommit({ kind: "cut", number: cutId, span: stats.span, alive: state.alive }) },
    ],
    probe: whenPresent(commitKey(cutId)),
    apply: () => {
      leaveOpen();
      state.nextCommit = cutId + 1;
      state.addCut(entry, stats, isTakeover);
      state.refreshAlive();
    },
  };
}
