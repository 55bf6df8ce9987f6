/**
 * Doing what replay.ts decided: walks the records, hands them out, and gathers what must be quarantined and repaired.
 *
 * It writes nothing. The caller first keeps the quarantines, then writes `repairing`, so that a crash between the two raises
 * the loss again. A store without a fault yields an empty list of repairs: a clean start writes nothing.
 */
import { Turns } from "@pyromesh/base";
import type { Clock, Logger } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { encodeCommit, sumOf } from "../entries/commit-entry.ts";
import type { RecordsCommit } from "../entries/commit-entry.ts";
import { encodeCut } from "../entries/cut-entry.ts";
import type { CutEntry } from "../entries/cut-entry.ts";
import { commitKey, printKey, quarantinedKey, recordKey } from "../entries/keys.ts";
import { encodeRetired } from "../entries/meta-entry.ts";
import type { NewQuarantine } from "./quarantine.ts";
import { walkRecords } from "./record-walk.ts";
import type { BadRecord, FoundRecord, WalkReport } from "./record-walk.ts";
import { placeOf } from "./replay.ts";
import type { LossBound, ReplayPlan } from "./replay.ts";
import { HeadState, identityKeyOf } from "../state/state.ts";
import type { OrderedStore, StoreEntry, StoreOp } from "../entries/store.ts";
import type { Structure } from "./structure.ts";
import { RecordStats } from "../state/record-stats.ts";
import type { TimeSpan } from "../entries/time-span.ts";
import { joinSpans } from "../entries/time-span.ts";
import type { CheckpointMark } from "./checkpoint.ts";

export interface ReplayedRecord extends EncodedRecord {
  readonly seq: number;
  /** The cut it belongs to; undefined: the open head. */
  readonly cutId: number | undefined;
}

/** How far a replay has come. The totals are those of the commit entries, which are read before the first record. */
export interface ReplayProgress {
  readonly recordCount: number;
  readonly bytes: number;
  readonly recordCountAll: number;
  readonly bytesAll: number;
}

export interface Recovery {
  readonly state: HeadState;
  readonly quarantines: readonly NewQuarantine[];
  readonly repairing: readonly StoreOp[];
  /** Records lost for sure; a lost commit whose size nobody knows counts one. */
  readonly quarantinedCount: number;
  readonly recordCount: number;
  readonly bytes: number;
  /** LevelDB cannot read all of its own files: it would fail at the next compaction. */
  readonly needsRepair: boolean;
}

export async function recover(
  input: { readonly store: OrderedStore; readonly structure: Structure; readonly plan: ReplayPlan; readonly checkpoint: CheckpointMark | undefined },
  modules: { readonly clock: Clock; readonly logger: Logger },
  visit: (batch: readonly ReplayedRecord[]) => Promise<void>,
  onProgress: (progress: ReplayProgress) => void,
): Promise<Recovery> {
  const { store, structure, plan, checkpoint } = input;
  const { logger } = modules;
  const state = new HeadState({
    retired: structure.retired,
    nextCommit: plan.nextCommit,
    nextSeq: plan.nextSeq,
  });
  for (const entry of plan.cuts) state.cuts.set(entry.cutId, { entry, stats: new RecordStats() });
  for (const [key, bytes] of structure.sealed) state.sealed.set(key, bytes);

  const repairing: StoreOp[] = [];
  const quarantines: NewQuarantine[] = [];
  const retiring: number[] = [];
  let quarantinedCount = 0;
  const quarantine = (reason: string, bound: LossBound, count: number): void => {
    if (bound.kind === "none") {
      logger.warn("the store lost entries of what had left it already", { reason });
      return;
    }
    quarantinedCount += count;
    quarantines.push({ reason, startMs: bound.kind === "span" ? bound.span.minMs : undefined, endMs: bound.kind === "span" ? bound.span.maxMs : undefined });
  };
  const put = ({ key, value }: StoreEntry): void => void repairing.push({ kind: "put", key, value });
  const remove = (key: Uint8Array): void => void repairing.push({ kind: "delete", key });

  // 1. What the numbers and the entries say is gone.
  for (const key of structure.badKeys) remove(key);
  for (const { range, bound } of plan.lostCommits) {
    quarantine(range.from === range.to ? `commit ${range.from} is gone` : `commits ${range.from} to ${range.to} are gone`, bound, range.to - range.from + 1);
    for (let number = range.from; number <= range.to; number++) retiring.push(number);
  }
  for (const number of plan.lostCuts) {
    logger.error("a cut's entry is lost; its records are in the open head again and will be cut again", { cutId: number });
    remove(commitKey(number));
    retiring.push(number);
  }
  for (const { seal, segmentKeys } of plan.lostSegments) {
    quarantine(`sealed segments are gone: ${segmentKeys.slice(0, 5).join(", ")}${segmentKeys.length > 5 ? ", ..." : ""}`, spanOrAny(seal.span), segmentKeys.length);
    const left = seal.segmentKeys.filter((key) => !segmentKeys.includes(key));
    if (left.length > 0) {
      put(encodeCommit({ ...seal, segmentKeys: left }));
    } else {
      remove(commitKey(seal.number));
      retiring.push(seal.number);
    }
  }
  for (const commit of structure.commits.values()) {
    if (commit.kind !== "seal") continue;
    const segmentKeys = commit.segmentKeys.filter((key) => structure.sealed.has(key));
    if (segmentKeys.length > 0) state.seals.set(commit.number, { cutId: commit.cutId, segmentKeys, span: commit.span });
  }

  // 2. The records, each once, by identity.
  const holes = new Map<number, { readonly cutId: number; readonly stats: RecordStats }>();
  const statsAt = (seq: number): { readonly cutId: number | undefined; readonly stats: RecordStats } => {
    const place = placeOf(seq, plan.cuts);
    switch (place.kind) {
      case "cut":
        return { cutId: place.cutId, stats: state.cuts.get(place.cutId)!.stats };
      case "open":
        return { cutId: undefined, stats: state.open };
      case "hole": {
        let hole = holes.get(place.before);
        if (hole === undefined) {
          hole = { cutId: state.nextCommit++, stats: new RecordStats() };
          holes.set(place.before, hole);
        }
        return hole;
      }
    }
  };
  let recordCount = 0;
  let bytes = 0;
  let recordCountAll = 0;
  let bytesAll = 0;
  for (const commit of plan.recordCommits) {
    recordCountAll += commit.recordCount;
    bytesAll += commit.bytes;
  }
  onProgress({ recordCount, bytes, recordCountAll, bytesAll });
  // A page of the store holds a thousand records: some 100 ms of work, while this thread must answer /-/healthy.
  const turns = new Turns(modules);
  let batch: ReplayedRecord[] = [];
  let batchBytes = 0;
  const handOut = async (): Promise<void> => {
    if (batch.length === 0) return;
    const full = batch;
    batch = [];
    batchBytes = 0;
    await visit(full);
    onProgress({ recordCount, bytes, recordCountAll, bytesAll });
  };
  const take = async (found: readonly FoundRecord[]): Promise<void> => {
    for (const { seq, record, entryBytes } of found) {
      if (turns.areDue) await turns.give();
      state.nextSeq = Math.max(state.nextSeq, seq + 1);
      const identityKey = identityKeyOf(record.identity);
      if (state.identities.has(identityKey)) {
        logger.warn("a record is in the head twice; the second is left out", { key: printKey(recordKey(seq)), first: state.identities.get(identityKey) });
        continue;
      }
      state.identities.set(identityKey, seq);
      const { cutId, stats } = statsAt(seq);
      stats.add(record, identityKey, entryBytes);
      recordCount++;
      bytes += entryBytes;
      batch.push({ ...record, seq, cutId });
      batchBytes += entryBytes;
      if (batch.length >= BATCH_COUNT || batchBytes >= BATCH_BYTES) await handOut();
    }
  };
  const setAside = (bad: readonly BadRecord[]): void => {
    for (const { seq, value, reason } of bad) {
      logger.error("a record is corrupt", { key: printKey(recordKey(seq)), keptAs: printKey(quarantinedKey(seq)), reason });
      put({ key: quarantinedKey(seq), value });
      remove(recordKey(seq));
    }
  };
  const adopted: RecordsCommit[] = [];
  const walk: WalkReport = { isBroken: false, badKeys: [] };
  for await (const step of walkRecords(store, plan.recordCommits, walk)) {
    await take(step.found);
    setAside(step.bad);
    if (step.kind === "commit") {
      const { commit, found } = step;
      const slots = { number: commit.number, firstSeq: commit.firstSeq, lastSeq: commit.lastSeq };
      statsAt(commit.firstSeq).stats.commits.push(slots);
      if (step.isWhole) continue;
      const lostCount = Math.max(1, commit.recordCount - found.length);
      const seqs = new Set(found.map(({ seq }) => seq));
      const absent: string[] = [];
      for (let seq = commit.firstSeq; seq <= commit.lastSeq && absent.length < 5; seq++) if (!seqs.has(seq)) absent.push(printKey(recordKey(seq)));
      quarantine(`${lostCount} of ${commit.recordCount} records of commit ${commit.number} are gone (${absent.join(", ")})`, spanOrAny(commit.span), lostCount);
      put(encodeCommit({ ...commit, recordCount: found.length, sum: sumOf(found.map(({ sum }) => sum)) }));
    } else {
      if (step.found.length > 0) {
        const commit = adopt(state.nextCommit++, step.found);
        logger.error("records without a commit are kept", { first: printKey(recordKey(commit.firstSeq)), last: printKey(recordKey(commit.lastSeq)) });
        statsAt(commit.firstSeq).stats.commits.push(commit);
        adopted.push(commit);
      }
      if (step.bad.length > 0) quarantine(`${step.bad.length} records of no known commit are corrupt`, boundOfOrphans(step.next, checkpoint), step.bad.length);
    }
  }
  await handOut();
  for (const key of walk.badKeys) {
    logger.error("an entry among the records has a key that no version wrote", { key: printKey(key) });
    remove(key);
  }

  // 3. Records that outlived their cut's entry get a cut of their own, those that outlived their commit's a commit.
  for (const { cutId, stats } of holes.values()) {
    const entry: CutEntry = { cutId, firstSeq: stats.firstSeq, lastSeq: stats.lastSeq, madeAtMs: modules.clock.nowMs() };
    state.cuts.set(cutId, { entry, stats });
  }
  state.refreshAlive();
  const { alive } = state;
  for (const commit of adopted) put(encodeCommit({ ...commit, alive }));
  for (const { cutId, stats } of holes.values()) {
    const { entry } = state.cuts.get(cutId)!; // set just above
    put(encodeCut(entry));
    put(encodeCommit({ kind: "cut", number: cutId, span: stats.span, alive }));
  }
  if (retiring.length > 0 || repairing.length > 0) {
    state.retired = state.retired.with(retiring);
    put(encodeRetired(state.retired));
  }
  return { state, quarantines, repairing, quarantinedCount, recordCount, bytes, needsRepair: structure.isScanBroken || walk.isBroken };
}

/** What `visit` gets at once. */
const BATCH_COUNT = 256;
const BATCH_BYTES = 4 << 20;

function spanOrAny(span: TimeSpan | undefined): LossBound {
  return span === undefined ? { kind: "any" } : { kind: "span", span };
}

function boundOfOrphans(next: RecordsCommit | undefined, checkpoint: CheckpointMark | undefined): LossBound {
  return spanOrAny(next === undefined ? checkpoint?.alive : next.alive);
}

/** A commit entry for records that lost theirs. */
function adopt(number: number, found: readonly FoundRecord[]): RecordsCommit {
  let span: TimeSpan | undefined;
  let bytes = 0;
  for (const { record, entryBytes } of found) {
    span = joinSpans(span, { minMs: record.timeMs, maxMs: record.timeMs });
    bytes += entryBytes;
  }
  const [first, last] = [found[0]!, found[found.length - 1]!];
  return {
    kind: "records",
    number,
    span,
    alive: undefined, // known when all was read
    firstSeq: first.seq,
    lastSeq: last.seq,
    recordCount: found.length,
    bytes,
    sum: sumOf(found.map(({ sum }) => sum)),
  };
}
