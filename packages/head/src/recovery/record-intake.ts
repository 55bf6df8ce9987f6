/**
 * Takes the records that were found into memory, each identity once, and hands them out in batches.
 *
 * What a cut's or a commit's lost entry leaves behind is kept: records in no cut that lie before one get a cut of their own, records
 * in no commit get a commit.
 */
import { assert, Turns } from "@pyromesh/base";
import type { Clock, Logger } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { encodeCommit, sumOf } from "../entries/commit-entry.ts";
import type { RecordsCommit } from "../entries/commit-entry.ts";
import { encodeCut } from "../entries/cut-entry.ts";
import type { CutEntry } from "../entries/cut-entry.ts";
import { printKey, quarantinedKey, recordKey } from "../entries/keys.ts";
import { joinSpans } from "../entries/time-span.ts";
import type { TimeSpan } from "../entries/time-span.ts";
import { RecordStats } from "../state/record-stats.ts";
import { identityKeyOf } from "../state/state.ts";
import type { HeadState } from "../state/state.ts";
import type { CheckpointMark } from "./checkpoint.ts";
import { FindingsBuilder } from "./findings.ts";
import type { Findings } from "./findings.ts";
import type { FoundRecord, WalkStep } from "./record-walk.ts";
import { boundWithin, placeOf } from "./replay.ts";
import type { ReplayPlan } from "./replay.ts";

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

export interface IntakeModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly visit: (batch: readonly ReplayedRecord[]) => Promise<void>;
  readonly onProgress: (progress: ReplayProgress) => void;
}

/** Records that lost the entry of their cut. */
interface Strays {
  readonly cutId: number;
  readonly stats: RecordStats;
}

export class RecordIntake {
  readonly #state: HeadState;
  readonly #plan: ReplayPlan;
  readonly #checkpoint: CheckpointMark | undefined;
  readonly #modules: IntakeModules;
  /** A page of the store holds a thousand records: some 100 ms of work, while this thread must answer /-/healthy. */
  readonly #turns: Turns;
  readonly #findings = new FindingsBuilder();
  readonly #adopted: RecordsCommit[] = [];
  /** By the cut they lie before. */
  readonly #strays = new Map<number, Strays>();
  readonly #recordCountAll: number;
  readonly #bytesAll: number;
  #batch: ReplayedRecord[] = [];
  #batchBytes = 0;
  recordCount = 0;
  bytes = 0;

  /** `state` has the plan's cuts, and no record yet. */
  constructor(state: HeadState, plan: ReplayPlan, checkpoint: CheckpointMark | undefined, modules: IntakeModules) {
    this.#state = state;
    this.#plan = plan;
    this.#checkpoint = checkpoint;
    this.#modules = modules;
    this.#turns = new Turns(modules);
    this.#recordCountAll = plan.recordCommits.reduce((sum, { recordCount }) => sum + recordCount, 0);
    this.#bytesAll = plan.recordCommits.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#tellProgress();
  }

  async take(step: WalkStep): Promise<void> {
    for (const found of step.found) await this.#takeRecord(found);
    for (const { seq, value, reason } of step.bad) {
      this.#modules.logger.error("a record is corrupt", { key: printKey(recordKey(seq)), keptAs: printKey(quarantinedKey(seq)), reason });
      this.#findings.put({ key: quarantinedKey(seq), value });
      this.#findings.remove(recordKey(seq));
    }
    if (step.kind === "commit") this.#takeCommit(step);
    else this.#takeOrphans(step);
  }

  /** After the last step: what it found, and the state is complete. */
  async finish(): Promise<Findings> {
    await this.#handOut();
    for (const { cutId, stats } of this.#strays.values()) {
      const entry: CutEntry = { cutId, firstSeq: stats.firstSeq, lastSeq: stats.lastSeq, madeAtMs: this.#modules.clock.nowMs() };
      this.#state.cuts.set(cutId, { entry, stats });
    }
    this.#state.refreshAlive();
    const { alive } = this.#state;
    for (const commit of this.#adopted) this.#findings.put(encodeCommit({ ...commit, alive }));
    for (const { cutId, stats } of this.#strays.values()) {
      const cut = this.#state.cuts.get(cutId);
      assert(cut !== undefined, "it was set above");
      this.#findings.put(encodeCut(cut.entry));
      this.#findings.put(encodeCommit({ kind: "cut", number: cutId, span: stats.span, alive }));
    }
    return this.#findings;
  }

  async #takeRecord({ seq, record, entryBytes }: FoundRecord): Promise<void> {
    if (this.#turns.areDue) await this.#turns.give();
    const state = this.#state;
    state.nextSeq = Math.max(state.nextSeq, seq + 1);
    const identityKey = identityKeyOf(record.identity);
    if (state.identities.has(identityKey)) {
      this.#modules.logger.warn("a record is in the head twice; the second is left out", { key: printKey(recordKey(seq)), first: state.identities.get(identityKey) });
      return;
    }
    state.identities.set(identityKey, seq);
    const { cutId, stats } = this.#placeAt(seq);
    stats.add(record, identityKey, entryBytes);
    this.recordCount++;
    this.bytes += entryBytes;
    this.#batch.push({ ...record, seq, cutId });
    this.#batchBytes += entryBytes;
    if (this.#batch.length >= BATCH_COUNT || this.#batchBytes >= BATCH_BYTES) await this.#handOut();
  }

  #takeCommit({ commit, found, isWhole }: WalkStep & { readonly kind: "commit" }): void {
    this.#placeAt(commit.firstSeq).stats.commits.push({ number: commit.number, firstSeq: commit.firstSeq, lastSeq: commit.lastSeq });
    if (isWhole) return;
    const lostCount = Math.max(1, commit.recordCount - found.length);
    const reason = `${lostCount} of ${commit.recordCount} records of commit ${commit.number} are gone (${printAbsent(commit, found)})`;
    this.#findings.lose(reason, boundWithin(commit.span), lostCount);
    this.#findings.put(encodeCommit({ ...commit, recordCount: found.length, sum: sumOf(found.map(({ sum }) => sum)) }));
  }

  #takeOrphans({ found, bad, next }: WalkStep & { readonly kind: "orphans" }): void {
    if (found.length > 0) {
      const commit = commitOf(this.#state.nextCommit++, found);
      this.#modules.logger.error("records without a commit are kept", { first: printKey(recordKey(commit.firstSeq)), last: printKey(recordKey(commit.lastSeq)) });
      this.#placeAt(commit.firstSeq).stats.commits.push(commit);
      this.#adopted.push(commit);
    }
    if (bad.length > 0) {
      const bound = boundWithin(next === undefined ? this.#checkpoint?.alive : next.alive);
      this.#findings.lose(`${bad.length} records of no known commit are corrupt`, bound, bad.length);
    }
  }

  #placeAt(seq: number): { readonly cutId: number | undefined; readonly stats: RecordStats } {
    const place = placeOf(seq, this.#plan.cuts);
    if (place.kind === "open") return { cutId: undefined, stats: this.#state.open };
    if (place.kind === "cut") {
      const cut = this.#state.cuts.get(place.cutId);
      assert(cut !== undefined, "the state has the plan's cuts");
      return { cutId: place.cutId, stats: cut.stats };
    }
    let strays = this.#strays.get(place.before);
    if (strays === undefined) {
      strays = { cutId: this.#state.nextCommit++, stats: new RecordStats() };
      this.#strays.set(place.before, strays);
    }
    return strays;
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
function printAbsent({ firstSeq, lastSeq }: RecordsCommit, found: readonly FoundRecord[]): string {
  const seqs = new Set(found.map(({ seq }) => seq));
  const absent: string[] = [];
  for (let seq = firstSeq; seq <= lastSeq && absent.length < ABSENT_COUNT_MAX; seq++) if (!seqs.has(seq)) absent.push(printKey(recordKey(seq)));
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
  };
}
