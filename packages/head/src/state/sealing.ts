/**
 * What becomes of sealed segments: a cut is sealed into them, one gets other bytes or another key, and each is forgotten once it is in
 * the bucket. The commit of the seal names those that are left, and goes with the last.
 */
import { CodedError } from "@pyromesh/base";
import { wrap } from "../entries/checksum-envelope.ts";
import { encodeCommit } from "../entries/commit-entry.ts";
import type { SealCommit } from "../entries/commit-entry.ts";
import { commitKey, cutKey, sealedKey } from "../entries/keys.ts";
import { encodeRetired } from "../entries/meta-entry.ts";
import type { NumberRanges } from "../entries/number-ranges.ts";
import type { StoreOp } from "../entries/store.ts";
import { whenAbsent, whenSame } from "../store/store-writer.ts";
import type { Change } from "./change.ts";
import { seqsOfRun } from "./cut-change.ts";
import { planLeaving } from "./leaving.ts";
import type { Leaving } from "./leaving.ts";
import { noteOps } from "./notes.ts";
import type { LeavingNote } from "./notes.ts";
import type { RecordStats } from "./record-stats.ts";
import type { HeadState, SealState } from "./state.ts";

export interface SealedSegment {
  readonly key: string;
  /** The caller's own, opaque to the head. */
  readonly bytes: Uint8Array;
}

/** Drops the cut and its records and keeps the segments. */
export function planSeal(state: HeadState, cutId: number, segments: readonly SealedSegment[]): Change & { readonly left: RecordStats } {
  const cut = state.cuts.get(cutId);
  if (cut === undefined) throw new CodedError({ code: "HEAD_CUT_UNKNOWN", kind: "failed_precondition", message: `the head holds no cut ${cutId}: ask for cuts()` });
  const { stats } = cut;
  const number = state.nextCommit;
  const segmentKeys = segments.map(({ key }) => key);
  // A seal without segments leaves nothing to answer for: its number retires at once.
  const leaving = planLeaving(state, seqsOfRun(state, stats));
  const retired = state.retired.with([cutId, ...leaving.retired, ...(segments.length === 0 ? [number] : [])]);
  const seal: SealCommit = { kind: "seal", number, span: stats.span, alive: state.alive, cutId, segmentKeys };
  return {
    left: stats,
    ops: sealOps(leaving, seal, retired, segments),
    probe: whenAbsent(cutKey(cutId)),
    apply: () => {
      state.nextCommit = number + 1;
      state.retired = retired;
      leaving.apply();
      state.removeCut(cutId);
      for (const { key, bytes } of segments) state.sealed.set(key, bytes);
      if (segments.length > 0) state.seals.set(number, { cutId, segmentKeys, span: stats.span });
      state.refreshAlive();
    },
  };
}

/** Replaces the bytes that are kept for a segment. Throws `HEAD_SEGMENT_UNKNOWN`. */
export function planReseal(state: HeadState, { key, bytes }: SealedSegment): Change {
  if (!state.sealed.has(key)) throw segmentUnknown(key);
  const entry = { key: sealedKey(key), value: wrap(sealedKey(key), bytes) };
  return { ops: [{ kind: "put", ...entry }], probe: whenSame(entry), apply: () => void state.sealed.set(key, bytes) };
}

/** Another key, and other bytes, for a segment. Throws `HEAD_SEGMENT_UNKNOWN`. */
export function planRename(state: HeadState, fromKey: string, { key, bytes }: SealedSegment): Change {
  if (!state.sealed.has(fromKey)) throw segmentUnknown(fromKey);
  const ops: StoreOp[] = [
    { kind: "delete", key: sealedKey(fromKey) },
    { kind: "put", key: sealedKey(key), value: wrap(sealedKey(key), bytes) },
  ];
  const found = sealOf(state, fromKey);
  const renamed: SealState | undefined = found && { ...found.seal, segmentKeys: found.seal.segmentKeys.map((kept) => (kept === fromKey ? key : kept)) };
  if (found !== undefined && renamed !== undefined) ops.push(sealPut(state, found.number, renamed));
  return {
    ops,
    probe: whenAbsent(sealedKey(fromKey)),
    apply: () => {
      state.sealed.delete(fromKey);
      state.sealed.set(key, bytes);
      if (found !== undefined && renamed !== undefined) state.seals.set(found.number, renamed);
    },
  };
}

/** Forgets a segment; undefined where it is unknown. `note`: of the segment, which is in the bucket. */
export function planUnseal(state: HeadState, segmentKey: string, note?: LeavingNote): Change | undefined {
  if (!state.sealed.has(segmentKey)) return undefined;
  const key = sealedKey(segmentKey);
  const ops: StoreOp[] = [...(note === undefined ? [] : noteOps(note)), { kind: "delete", key }];
  let { retired } = state;
  const found = sealOf(state, segmentKey);
  const left: SealState | undefined = found && { ...found.seal, segmentKeys: found.seal.segmentKeys.filter((kept) => kept !== segmentKey) };
  const isLast = left?.segmentKeys.length === 0;
  if (found !== undefined && left !== undefined) {
    if (isLast) {
      retired = retired.with([found.number]);
      ops.push({ kind: "delete", key: commitKey(found.number) }, { kind: "put", ...encodeRetired(retired) });
    } else {
      ops.push(sealPut(state, found.number, left));
    }
  }
  return {
    ops,
    probe: whenAbsent(key),
    apply: () => {
      state.retired = retired;
      state.sealed.delete(segmentKey);
      if (found !== undefined && left !== undefined) {
        if (isLast) state.seals.delete(found.number);
        else state.seals.set(found.number, left);
      }
      state.refreshAlive();
    },
  };
}

export function segmentUnknown(key: string): CodedError {
  return new CodedError({ code: "HEAD_SEGMENT_UNKNOWN", kind: "failed_precondition", message: `the head holds no sealed segment ${key}: ask for sealed()`, details: { key } });
}

function* sealOps(leaving: Leaving, seal: SealCommit, retired: NumberRanges, segments: readonly SealedSegment[]): Generator<StoreOp, void> {
  yield* leaving.ops;
  yield { kind: "delete", key: commitKey(seal.cutId) };
  yield { kind: "delete", key: cutKey(seal.cutId) };
  yield { kind: "put", ...encodeRetired(retired) };
  for (const { key, bytes } of segments) yield { kind: "put", key: sealedKey(key), value: wrap(sealedKey(key), bytes) };
  if (segments.length > 0) yield { kind: "put", ...encodeCommit(seal) };
}

function sealOf(state: HeadState, segmentKey: string): { readonly number: number; readonly seal: SealState } | undefined {
  for (const [number, seal] of state.seals) if (seal.segmentKeys.includes(segmentKey)) return { number, seal };
  return undefined;
}

function sealPut(state: HeadState, number: number, { cutId, span, segmentKeys }: SealState): StoreOp {
  return { kind: "put", ...encodeCommit({ kind: "seal", number, span, alive: state.alive, cutId, segmentKeys }) };
}
