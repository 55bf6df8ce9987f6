/** What the head holds in memory beside the store. Changed only after the store said that the change is durable. */
import { assert } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import type { CutEntry } from "../entries/cut-entry.ts";
import type { RecordPlace } from "../entries/record-entry.ts";
import type { NumberRanges } from "../entries/number-ranges.ts";
import { joinSpans } from "../entries/time-span.ts";
import type { TimeSpan } from "../entries/time-span.ts";
import { Departures } from "./departures.ts";
import type { GroupCommit } from "./group-commit.ts";
import { IdentityIndex } from "./identity-index.ts";
import { PendingAppends } from "./pending-appends.ts";
import { RecordStats } from "./record-stats.ts";
import { RecordTable } from "./record-table.ts";
import type { Row } from "./record-table.ts";

export interface CutState {
  readonly entry: CutEntry;
  readonly stats: RecordStats;
  /** It was made of records of ranks above 0. */
  isTakeover: boolean;
}

export interface SealState {
  readonly cutId: number;
  readonly segmentKeys: readonly string[];
  readonly span: TimeSpan | undefined;
}

/** A commit of records, some of which are still here. */
export interface CommitSlots {
  readonly number: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** When it was made, or replayed, by the monotonic clock. */
  readonly arrivedMs: number;
}

/** A record that is durable. */
export interface KeptRecord {
  readonly seq: number;
  readonly record: EncodedRecord;
  readonly place: RecordPlace;
  readonly entryBytes: number;
  readonly sum: number;
  readonly commit: number;
}

export class HeadState {
  readonly table: RecordTable = new RecordTable();
  /** By number, in the order of their records. */
  readonly commits: Map<number, CommitSlots> = new Map();
  /** Open records of rank 0: this store's to flush. */
  own: RecordStats;
  /** Open records of other ranks: kept for the stores that flush them. */
  kept: RecordStats;
  readonly #cuts: Map<number, CutState> = new Map();
  readonly #cutsByRun: Map<number, CutState> = new Map();
  /** By commit number. */
  readonly seals: Map<number, SealState> = new Map();
  readonly sealed: Map<string, Uint8Array> = new Map();
  retired: NumberRanges;
  nextCommit: number;
  nextSeq: number;
  readonly #index: IdentityIndex = new IdentityIndex(this.table);
  readonly pending: PendingAppends = new PendingAppends();
  readonly departures: Departures = new Departures();
  #behind: TimeSpan | undefined;
  #nextRun = 1;

  constructor(init: Pick<HeadState, "retired" | "nextCommit" | "nextSeq">) {
    this.retired = init.retired;
    this.nextCommit = init.nextCommit;
    this.nextSeq = init.nextSeq;
    this.own = this.newRun();
    this.kept = this.newRun();
  }

  newRun(): RecordStats {
    return new RecordStats(this.#nextRun++);
  }

  get cuts(): ReadonlyMap<number, CutState> {
    return this.#cuts;
  }

  openRunOf(rank: number): RecordStats {
    return rank === 0 ? this.own : this.kept;
  }

  isOpen(run: number): boolean {
    return run === this.own.run || run === this.kept.run;
  }

  addCut(entry: CutEntry, stats: RecordStats, isTakeover = false): void {
    const cut = { entry, stats, isTakeover };
    this.#cuts.set(entry.cutId, cut);
    this.#cutsByRun.set(stats.run, cut);
  }

  /** The start has found a record of another rank in the cut. */
  noteTakeover(cutId: number): void {
    const cut = this.#cuts.get(cutId);
    if (cut !== undefined) cut.isTakeover = true;
  }

  removeCut(cutId: number): void {
    const cut = this.#cuts.get(cutId);
    assert(cut !== undefined, "the cut is there");
    this.#cuts.delete(cutId);
    this.#cutsByRun.delete(cut.stats.run);
  }

  /** The cut of a record with this run; undefined: it is open. */
  cutOfRun(run: number): CutState | undefined {
    return this.isOpen(run) ? undefined : this.#cutsByRun.get(run);
  }

  statsOfRun(run: number): RecordStats {
    return this.cutOfRun(run)?.stats ?? (run === this.kept.run ? this.kept : this.own);
  }

  holds(identity: Uint8Array): boolean {
    return this.#index.find(identity) !== undefined;
  }

  /** The row of a durable record; undefined: the head does not hold it. */
  rowOf(identity: Uint8Array): Row | undefined {
    const seq = this.#index.find(identity);
    return seq === undefined ? undefined : this.table.at(seq);
  }

  /** Times of all that this store answers for. */
  get alive(): TimeSpan | undefined {
    return joinSpans(joinSpans(this.own.span, this.kept.span), this.#behind);
  }

  /** Call it when cuts or seals changed. Every commit asks for `alive`, and there may be thousands of them, so their span is kept. */
  refreshAlive(): void {
    let behind: TimeSpan | undefined;
    for (const { stats } of this.#cuts.values()) behind = joinSpans(behind, stats.span);
    for (const { span } of this.seals.values()) behind = joinSpans(behind, span);
    this.#behind = behind;
  }

  /** Takes in a group commit that is durable. */
  take({ group, number, firstSeq, lastSeq, sums }: GroupCommit, arrivedMs: number): void {
    this.nextCommit = number + 1;
    this.nextSeq = lastSeq + 1;
    this.commits.set(number, { number, firstSeq, lastSeq, arrivedMs });
    for (let index = 0; index < group.length; index++) {
      const { record, place, entryBytes } = group[index]!;
      this.pending.remove(record.identity);
      this.keep({ seq: firstSeq + index, record, place, entryBytes, sum: sums[index]!, commit: number }, this.openRunOf(place.rank));
    }
  }

  /** Takes one record into a run: an open one, or a cut's. */
  keep(kept: KeptRecord, stats: RecordStats): void {
    const { seq, record, entryBytes } = kept;
    this.#index.add(record.identity, seq);
    this.table.add(seq, kept, stats.run);
    stats.add(seq, record, entryBytes);
  }

  /** Forgets records, but for the stats of their runs. */
  forget(seqs: readonly number[]): void {
    for (const row of this.table.rowsOf(seqs)) {
      this.departures.add(row.tenant);
      this.#index.remove(row.identityHash, row.seq);
      this.table.remove(row);
    }
  }

  /** The range of times of a tenant's records; undefined if the head holds none. */
  spanOf(tenant: string): TimeSpan | undefined {
    let span = joinSpans(this.own.spanOf(tenant), this.kept.spanOf(tenant));
    for (const { stats } of this.#cuts.values()) span = joinSpans(span, stats.spanOf(tenant));
    return span;
  }

  get cutBytes(): number {
    let bytes = 0;
    for (const { stats } of this.#cuts.values()) bytes += stats.bytes;
    return bytes;
  }

  get cutCount(): number {
    let count = 0;
    for (const { stats } of this.#cuts.values()) count += stats.recordCount;
    return count;
  }
}
