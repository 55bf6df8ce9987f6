/**
 * Takes the records that were found into memory, each identity once, and hands them out in batches.
 *
 * What a lost entry leaves behind is kept: records of a cut without its entry are open again, records in no commit get a commit.
 */
import { assert, Turns } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import type { Clock, Logger } from "@pyromesh/base";
import { encodeCommit, sumOf } from "../entries/commit-entry.ts";
import type { RecordsCommit } from "../entries/commit-entry.ts";
import { commitKey, printKey, quarantinedKey, recordKey } from "../entries/keys.ts";
import { joinSpans } from "../entries/time-span.ts";
import type { TimeSpan } from "../entries/time-span.ts";
import { NumberRanges } from "../entries/number-ranges.ts";
import type { CommitSlots, HeadState } from "../state/state.ts";
import type { CheckpointMark } from "./checkpoint.ts";
import { FindingsBuilder } from "./findings.ts";
import type { Findings } from "./findings.ts";
import type { FoundRecord, WalkStep } from "./record-walk.ts";
import { boundWithin, CutPlaces } from "./replay.ts";
import type { ReplayPlan } from "./replay.ts";

export interface ReplayedRecord extends EncodedRecord {
  readonly seq: number;
  readonly rank: number;
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

export interface IntakeModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly visit: (batch: readonly ReplayedRecord[]) => Promise<void>;
  readonly onProgress: (progress: ReplayProgress) => void;
}

export class RecordIntake {
  readonly #state: HeadState;
  readonly #places: CutPlaces;
  readonly #checkpoint: CheckpointMark | undefined;
  readonly #modules: IntakeModules;
  /** A page of the store holds a thousand records: some 100 ms of work, while this thread must answer /-/healthy. */
  readonly #turns: Turns;
  readonly #findings = new FindingsBuilder();
  readonly #adopted: RecordsCommit[] = [];
  readonly #recordCountAll: number;
  readonly #bytesAll: number;
  #batch: ReplayedRecord[] = [];
  #batchBytes = 0;
  recordCount = 0;
  bytes = 0;

  /** `state` has the plan's cuts, and no record yet. */
  constructor(state: HeadState, plan: ReplayPlan, checkpoint: CheckpointMark | undefined, modules: IntakeModules) {
    this.#state = state;
    this.#places = new CutPlaces(plan.cuts);
    this.#checkpoint = checkpoint;
    this.#modules = modules;
    this.#turns = new Turns(modules);
    this.#recordCountAll = plan.recordCommits.reduce((sum, { recordCount }) => sum + recordCount, 0);
    this.#bytesAll = plan.recordCommits.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#tellProgress();
  }

  async take(step: WalkStep): Promise<void> {
    if (step.kind === "commit") await this.#takeCommit(step);
    else await this.#takeOrphans(step);
    for (const { seq, value, reason } of step.bad) {
      this.#modules.logger.error("a record is corrupt", { key: printKey(recordKey(seq)), keptAs: printKey(quarantinedKey(seq)), reason });
      this.#findings.put({ key: quarantinedKey(seq), value });
      this.#findings.remove(recordKey(seq));
    }
  }

  /** After the last step: what it found, and the state is complete. */
  async finish(): Promise<Findings> {
    await this.#handOut();
    this.#state.refreshAlive();
    const { alive } = this.#state;
    for (const commit of this.#adopted) this.#findings.put(encodeCommit({ ...commit, alive }));
    return this.#findings;
  }

  async #takeCommit({ commit, found, left, isWhole }: WalkStep & { readonly kind: "commit" }): Promise<void> {
    this.#takeSlots(commit);
    for (const record of found) await this.#takeRecord(record, commit.number);
    for (const seq of left) {
      // The batch that deleted it was lost in part. What was released is in the bucket.
      this.#modules.logger.warn("a record that left the head is there again, and is deleted again", { key: printKey(recordKey(seq)) });
      this.#findings.remove(recordKey(seq));
    }
    if (isWhole) {
      if (this.#isGone(commit)) this.#retire(commit);
      return;
    }
    const lostCount = Math.max(1, commit.recordCount - found.length);
    const reason = `${lostCount} of ${commit.recordCount} records of commit ${commit.number} are gone (${printAbsent(commit, found)})`;
    this.#findings.lose(reason, boundWithin(commit.span), lostCount);
    if (this.#isGone(commit)) this.#retire(commit);
    else this.#findings.put(encodeCommit({ ...commit, recordCount: found.length, sum: sumOf(found.map(({ sum }) => sum)) }));
  }

  /** None of its records was taken: they are lost, or others have their identities. */
  #isGone({ firstSeq, lastSeq }: RecordsCommit): boolean {
    return this.#state.table.countOf(firstSeq, lastSeq) === 0;
  }

  #retire({ number, firstSeq, lastSeq }: RecordsCommit): void {
    this.#state.commits.delete(number);
    for (let seq = firstSeq; seq <= lastSeq; seq++) this.#findings.remove(recordKey(seq));
    this.#findings.remove(commitKey(number));
    this.#findings.retired.push(number);
  }

  async #takeOrphans({ found, bad, next }: WalkStep & { readonly kind: "orphans" }): Promise<void> {
    if (found.length > 0) {
      const commit = commitOf(this.#state.nextCommit++, found);
      this.#modules.logger.error("records without a commit are kept", { first: printKey(recordKey(commit.firstSeq)), last: printKey(recordKey(commit.lastSeq)) });
      this.#takeSlots(commit);
      for (const record of found) await this.#takeRecord(record, commit.number);
      this.#adopted.push(commit);
    }
    if (bad.length > 0) {
      const bound = boundWithin(next === undefined ? this.#checkpoint?.alive : next.alive);
      this.#findings.lose(`${bad.length} records of no known commit are corrupt`, bound, bad.length);
    }
  }

  #takeSlots({ number, firstSeq, lastSeq }: RecordsCommit): void {
    const slots: CommitSlots = { number, firstSeq, lastSeq, arrivedMs: this.#modules.clock.monotonicMs() };
    this.#state.commits.set(number, slots);
  }

  async #takeRecord({ seq, record, place, entryBytes, sum }: FoundRecord, commit: number): Promise<void> {
    if (this.#turns.areDue) await this.#turns.give();
    const state = this.#state;
    state.nextSeq = Math.max(state.nextSeq, seq + 1);
    const first = state.rowOf(record.identity);
    if (first !== undefined) {
      this.#modules.logger.warn("a record is in the head twice; the second is left out", { key: printKey(recordKey(seq)), first: printKey(recordKey(first.seq)) });
      return;
    }
    const cutId = this.#places.cutOf(seq);
    const stats = cutId === undefined ? state.openRunOf(place.rank) : state.cuts.get(cutId)?.stats;
    assert(stats !== undefined, "the state has the plan's cuts");
    if (cutId !== undefined && place.rank > 0) state.noteTakeover(cutId);
    state.keep({ seq, record, place, entryBytes, sum, commit }, stats);
    this.recordCount++;
    this.bytes += entryBytes;
    this.#batch.push({ ...record, seq, rank: place.rank, cutId });
    this.#batchBytes += entryBytes;
    if (this.#batch.length >= BATCH_COUNT || this.#batchBytes >= BATCH_BYTES) await this.#handOut();
  }

  async #handOut(): Promise<void> {
    if (this.#batch.length === 0) return;
    const full = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    await this.#modules.visit(full);
    this.#tellProgress();
  }

  #tellProgress(): void {
    this.#modules.onProgress({ recordCount: this.recordCount, bytes: this.bytes, recordCountAll: this.#recordCountAll, bytesAll: this.#bytesAll });
  }
}

/** What `visit` gets at once. */
const BATCH_COUNT = 256;
const BATCH_BYTES = 4 << 20;

/** The first few keys of a commit under which nothing readable was found. */
function printAbsent({ firstSeq, lastSeq, left }: RecordsCommit, found: readonly FoundRecord[]): string {
  const seqs = new Set(found.map(({ seq }) => seq));
  const absent: string[] = [];
  for (let seq = firstSeq; seq <= lastSeq && absent.length < ABSENT_COUNT_MAX; seq++) if (!seqs.has(seq) && !left.has(seq)) absent.push(printKey(recordKey(seq)));
  return absent.join(", ");
}

const ABSENT_COUNT_MAX = 5;

/** A commit for records that lost theirs. */
function commitOf(number: number, found: readonly FoundRecord[]): RecordsCommit {
  let span: TimeSpan | undefined;
  let bytes = 0;
  for (const { record, entryBytes } of found) {
    span = joinSpans(span, { minMs: record.timeMs, maxMs: record.timeMs });
    bytes += entryBytes;
  }
  const [first, last] = [found[0]!, found[found.length - 1]!]; // not empty
  return {
    kind: "records",
    number,
    span,
    alive: undefined, // known when every record was read
    firstSeq: first.seq,
    lastSeq: last.seq,
    recordCount: found.length,
    bytes,
    sum: sumOf(found.map(({ sum }) => sum)),
    left: NumberRanges.NONE,
  };
}
