/**
 * How records leave the store: released one by one, or sealed with their cut.
 *
 * The commit of a record counts and sums what it took in. So the batch that deletes some of its records writes it anew for the rest
 * (kind 4 of commit-entry.ts), and the batch that deletes the last deletes it too and retires its number.
 */
import { assert } from "@pyromesh/base";
import { encodeCommit, sumOf } from "../entries/commit-entry.ts";
import { commitKey, recordKey } from "../entries/keys.ts";
import { encodeRetired } from "../entries/meta-entry.ts";
import { NumberRanges } from "../entries/number-ranges.ts";
import type { StoreOp } from "../entries/store.ts";
import { widenSpan } from "../entries/time-span.ts";
import type { TimeSpan } from "../entries/time-span.ts";
import { whenAbsent } from "../store/store-writer.ts";
import type { Change } from "./change.ts";
import { noteOps } from "./notes.ts";
import type { LeavingNote } from "./notes.ts";
import type { CommitSlots, HeadState } from "./state.ts";

export interface Leaving {
  /** Deletes the records, and settles their commits. */
  readonly ops: Iterable<StoreOp>;
  /** Numbers of commits of which nothing is left. */
  readonly retired: readonly number[];
  /** Takes the records out of memory, but for the stats of the run that they were in. */
  readonly apply: () => void;
}

/** `seqs`: of records that are here, in order. */
export function planLeaving(state: HeadState, seqs: readonly number[]): Leaving {
  const whole: CommitSlots[] = [];
  const partial: { readonly slots: CommitSlots; readonly seqs: ReadonlySet<number> }[] = [];
  for (let at = 0; at < seqs.length; ) {
    const row = state.table.at(seqs[at]!);
    const slots = row && state.commits.get(row.commit);
    assert(slots !== undefined, "a record that is here has its commit");
    const from = at;
    while (at < seqs.length && seqs[at]! <= slots.lastSeq) at++;
    if (state.table.countOf(slots.firstSeq, slots.lastSeq) === at - from) whole.push(slots);
    else partial.push({ slots, seqs: new Set(seqs.slice(from, at)) });
  }
  return {
    ops: leavingOps(state, whole, partial),
    retired: whole.map(({ number }) => number),
    apply: () => {
      state.forget(seqs);
      for (const { number } of whole) state.commits.delete(number);
    },
  };
}

export interface Release extends Change {
  /** Identities in latin1. */
  readonly identityKeys: readonly string[];
  readonly bytes: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** Undefined where the head holds none of them. `note`: of the object that has them now. */
export function planRelease(state: HeadState, identities: readonly Uint8Array[], note?: LeavingNote): Release | undefined {
  const found = new Map<number, string>();
  let bytes = 0;
  for (const identity of identities) {
    const row = state.rowOf(identity);
    if (row === undefined || found.has(row.seq)) continue;
    found.set(row.seq, row.identityKey);
    bytes += row.entryBytes;
  }
  const seqs = [...found.keys()].sort((a, b) => a - b);
  if (seqs.length === 0) return undefined;
  const [firstSeq, lastSeq] = [seqs[0]!, seqs[seqs.length - 1]!];
  const leaving = planLeaving(state, seqs);
  const retired = state.retired.with(leaving.retired);
  return {
    identityKeys: [...found.values()],
    bytes,
    firstSeq,
    lastSeq,
    ops: releaseOps(leaving, retired, note),
    probe: whenAbsent(recordKey(firstSeq)),
    apply: () => {
      state.retired = retired;
      for (const row of state.table.rowsOf(seqs)) state.statsOfRun(row.run).remove(row, row.entryBytes);
      leaving.apply();
      state.refreshAlive();
    },
  };
}

function* releaseOps({ ops, retired: numbers }: Leaving, retired: NumberRanges, note: LeavingNote | undefined): Generator<StoreOp, void> {
  if (note !== undefined) yield* noteOps(note);
  yield* ops;
  if (numbers.length > 0) yield { kind: "put", ...encodeRetired(retired) };
}

function* leavingOps(state: HeadState, whole: readonly CommitSlots[], partial: readonly { readonly slots: CommitSlots; readonly seqs: ReadonlySet<number> }[]): Generator<StoreOp, void> {
  for (const { number, firstSeq, lastSeq } of whole) {
    // All of its seqs: one may be a second copy of an identity, which has no row.
    for (let seq = firstSeq; seq <= lastSeq; seq++) yield { kind: "delete", key: recordKey(seq) };
    yield { kind: "delete", key: commitKey(number) };
  }
  for (const { slots, seqs } of partial) {
    for (const seq of seqs) yield { kind: "delete", key: recordKey(seq) };
    yield restPut(state, slots, seqs);
  }
}

/** The commit's entry without `leaving`. */
function restPut(state: HeadState, { number, firstSeq, lastSeq }: CommitSlots, leaving: ReadonlySet<number>): StoreOp {
  const sums: number[] = [];
  const left: number[] = [];
  let bytes = 0;
  let span: TimeSpan | undefined;
  let nextSeq = firstSeq;
  for (const row of state.table.rows(firstSeq, lastSeq)) {
    if (leaving.has(row.seq)) continue;
    while (nextSeq < row.seq) left.push(nextSeq++);
    nextSeq = row.seq + 1;
    sums.push(row.sum);
    bytes += row.entryBytes;
    span = widenSpan(span, row.timeMs);
  }
  while (nextSeq <= lastSeq) left.push(nextSeq++);
  return {
    kind: "put",
    ...encodeCommit({ kind: "records", number, span, alive: state.alive, firstSeq, lastSeq, recordCount: sums.length, bytes, sum: sumOf(sums), left: NumberRanges.NONE.with(left) }),
  };
}
