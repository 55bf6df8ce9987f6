/**
 * The head: accepted records not yet in a block, durable in an ordered store.
 *
 * What must stay true:
 *   - an append resolves only after its record is synced, together with the numbered entry that would give a loss away;
 *   - one write is in flight at a time, and the next one takes everything that queued meanwhile (no timer);
 *   - memory changes only after the store said that the change is durable;
 *   - after a refused write the store is in an unknown state: nothing is written before it was opened again and asked
 *     whether that write is in it.
 *
 *   append ──▶ queue ──▶ commit (r/ + g/, synced) ──▶ witness ──▶ onCommitted ──▶ the append resolves
 *                          open ──cut──▶ cut ──seal──▶ sealed ──unseal──▶ (in the bucket)
 */
import type { Clock, Histogram, Logger, Metrics, Random } from "@pyromesh/base";
import { assert, CodedError, messageOf, unavailable } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { encodeCommit, sumOf } from "./commit-entry.ts";
import { encodeCut } from "./cut-entry.ts";
import type { CutEntry } from "./cut-entry.ts";
import { frame } from "./frame.ts";
import type { KeptFile } from "./kept-file.ts";
import { commitKey, cutKey, quarantinedKey, rangeOf, recordKey, recordsBetween, sealedKey } from "./keys.ts";
import { encodeNextOrdinal, encodeRetired, encodeStoreMark, STORE_ID_BYTES } from "./meta-entry.ts";
import { Quarantine } from "./quarantine.ts";
import type { NewQuarantine, QuarantineEntry } from "./quarantine.ts";
import { decodeRecordEntry, encodeRecordEntry, recordEntryBytes } from "./record-entry.ts";
import { recover } from "./recovery.ts";
import type { ReplayedRecord } from "./recovery.ts";
import { planReplay } from "./replay.ts";
import type { ReplayPlan } from "./replay.ts";
import { identityKeyOf } from "./state.ts";
import type { CutState, HeadState } from "./state.ts";
import type { OrderedStore, StoreOp, StoreOpener } from "./store.ts";
import { readStructure } from "./structure.ts";
import type { Structure } from "./structure.ts";
import { Tally } from "./tally.ts";
import { joinSpans } from "./time-span.ts";
import type { TimeSpan } from "./time-span.ts";
import type { Witness, WitnessMark } from "./witness.ts";

export interface HeadOptions {
  /** Records, cuts and sealed files together; past it an append is refused with `HEAD_FULL`. */
  readonly diskBudgetBytes: number;
  /** What one commit takes at most (a larger record goes alone). */
  readonly commitBytesMax?: number;
  readonly commitCountMax?: number;
  /** What may wait for a commit; past it an append is refused with `HEAD_BUSY`. */
  readonly queueBytesMax?: number;
}

export interface HeadModules {
  readonly opener: StoreOpener;
  readonly witness: Witness;
  readonly quarantineFile: KeptFile;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Called after a commit is durable and before any append of it resolves. Must not throw. */
  readonly onCommitted?: (entries: readonly CommittedRecord[]) => void;
}

export interface CommittedRecord {
  readonly seq: number;
  readonly record: EncodedRecord;
}

export interface Appended {
  readonly seq: number;
  /** The head held this identity already; no second copy was made. */
  readonly isDuplicate: boolean;
}

export interface Cut {
  readonly cutId: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly madeAtMs: number;
  readonly groups: readonly CutGroup[];
}

/** What becomes one segment. */
export interface CutGroup {
  readonly tenant: string;
  readonly windowStartMs: number;
  /** Counts this store's segments of this tenant and window; fixed when the cut is made. */
  readonly ordinal: number;
  readonly recordCount: number;
  readonly bytes: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly services: readonly string[];
}

export interface SealedSegment {
  readonly key: string;
  /** The caller's own, opaque to the head. */
  readonly bytes: Uint8Array;
}

export interface ReplayReport {
  readonly recordCount: number;
  readonly bytes: number;
  readonly quarantinedCount: number;
  readonly durationMs: number;
}

export interface HeadStats {
  readonly openBytes: number;
  readonly openCount: number;
  /** How long the oldest open record has waited since its commit (or this start), by the monotonic clock; undefined: none is open. */
  readonly openAgeMs: number | undefined;
  readonly cutBytes: number;
  readonly cutCount: number;
  readonly sealedBytes: number;
  readonly queuedBytes: number;
  /** What counts against the disk budget. */
  readonly diskBytes: number;
}

export class Head {
  readonly storeId: Uint8Array;
  readonly #modules: HeadModules;
  readonly #limits: Required<HeadOptions>;
  readonly #quarantine: Quarantine;
  readonly #commitSeconds: Histogram;
  readonly #commitRecords: Histogram;
  readonly #countQuarantined: (count: number) => void;

  #store: OrderedStore;
  #state: HeadState | undefined;
  #unread: Unread | undefined;
  #queue: PendingAppend[] = [];
  #queuedBytes = 0;
  #jobs: (() => Promise<void>)[] = [];
  #pending = new Map<string, PendingAppend>();
  #isRunning = false;
  #running: Promise<void> = Promise.resolve();
  #failure: WriteFailure | undefined;
  #openSinceMs: number | undefined;
  #sealedBytes = 0;
  #deleted: { bytes: number; firstSeq: number; lastSeq: number } | undefined;
  #compacting: Promise<void> | undefined;
  #isClosed = false;

  private constructor(options: HeadOptions, modules: HeadModules, parts: { store: OrderedStore; storeId: Uint8Array; quarantine: Quarantine; unread: Unread }) {
    this.#modules = modules;
    this.#limits = { commitBytesMax: 4 << 20, commitCountMax: 256, queueBytesMax: 32 << 20, ...options };
    this.#store = parts.store;
    this.storeId = parts.storeId;
    this.#quarantine = parts.quarantine;
    this.#unread = parts.unread;

    const { metrics } = modules;
    metrics.gauge("pyromesh_head_bytes", "Bytes of records in the head: open and cut, not yet sealed.", [], (gauge) => gauge.set({}, this.stats.openBytes + this.stats.cutBytes));
    metrics.gauge("pyromesh_head_records", "Records in the head: open and cut, not yet sealed.", [], (gauge) => gauge.set({}, this.stats.openCount + this.stats.cutCount));
    this.#commitSeconds = metrics.histogram("pyromesh_commit_duration_seconds", "Time of one synced group commit.", [], [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]);
    this.#commitRecords = metrics.histogram("pyromesh_commit_records", "Records in one group commit.", [], [1, 2, 4, 8, 16, 32, 64, 128, 256]);
    const quarantined = metrics.counter("pyromesh_quarantined_records_total", "Records found lost or corrupt; a lost entry of unknown size counts one.");
    quarantined.add({}, 0);
    this.#countQuarantined = (count) => quarantined.add({}, count);
  }

  /** Opens the store, mending it where it must. Throws `HEAD_LOCKED`, `HEAD_FORMAT_NEWER`. Call `replay` next. */
  static async open(options: HeadOptions, modules: HeadModules): Promise<Head> {
    const { opener, logger } = modules;
    const opened = await opener.open({ isMending: true });
    try {
      const quarantine = await Quarantine.open({ file: modules.quarantineFile, clock: modules.clock, logger });
      const found = await findStore(opened.store, opened.loss?.kind === "replaced" ? undefined : modules.witness.read(), opened.loss !== undefined, modules);
      if (opened.loss?.kind === "replaced") found.unread.quarantines.push({ reason: `the head's store was replaced by an empty one: ${opened.loss.reason}`, startMs: undefined, endMs: undefined });
      return new Head(options, modules, { store: opened.store, quarantine, ...found });
    } catch (cause) {
      await opened.store.close();
      await opener.release();
      throw cause;
    }
  }

  /**
   * Hands out every record in the store, each identity once, in batches of at most 256 records or some 4 MiB, in the order
   * they were taken in; what is missing is quarantined. Call it once, before anything else. Never throws for what is corrupt.
   */
  async replay(
    visit: (batch: readonly ReplayedRecord[]) => Promise<void>,
    onProgress: (progress: { readonly recordCount: number; readonly bytes: number }) => void = () => {},
  ): Promise<ReplayReport> {
    const unread = this.#unread;
    assert(unread !== undefined && this.#state === undefined, "the head is replayed once, first");
    this.#unread = undefined;
    const { clock, logger, opener } = this.#modules;
    const startMs = clock.monotonicMs();
    const { state, mending, quarantines, ...report } = await recover({ store: this.#store, ...unread }, { clock, logger }, visit, onProgress);

    // 1. Say it before mending it, so that a crash in between raises it again.
    const all = [...unread.quarantines, ...quarantines];
    const quarantinedCount = report.quarantinedCount + unread.quarantines.length;
    if (quarantinedCount > 0) this.#countQuarantined(quarantinedCount);
    const isKept = await this.#quarantine.add(all);

    // 2. Then make the store consistent with itself, so that the next start does not find the same loss again.
    const ops = [...unread.mending, ...mending];
    if (ops.length > 0 && isKept) {
      try {
        await this.#store.batch(ops, { isSynced: true });
      } catch (cause) {
        logger.error("the head's store could not be mended; the loss will be raised again at the next start", { error: cause });
        this.#failure = { cause, write: undefined, retryAtMs: clock.monotonicMs() };
      }
    }
    this.#state = state;
    this.#writeWitness();
    // Into both slots at first: an older store's mark must not look like the later one.
    if (unread.witness === undefined) this.#writeWitness();

    // 3. A store that cannot read its own files would refuse writes at its next compaction.
    if (report.needsRepair) {
      try {
        await this.#store.close();
        await opener.repair();
      } catch (error) {
        logger.error("the head's store could not be repaired", { error });
      }
      this.#store = (await opener.open({ isMending: true })).store;
    }
    if (state.open.recordCount > 0) this.#openSinceMs = clock.monotonicMs();
    const durationMs = clock.monotonicMs() - startMs;
    logger.info("replayed the head", { recordCount: report.recordCount, bytes: report.bytes, quarantinedCount, cutCount: state.cuts.size, durationMs: Math.round(durationMs) });
    return { recordCount: report.recordCount, bytes: report.bytes, quarantinedCount, durationMs };
  }

  /**
   * Resolves after the record is synced. An identity that is in the head, or on its way, makes no second copy: that append
   * resolves when the first one is durable. Rejects (kind `unavailable`) with `HEAD_BUSY`, `HEAD_FULL`, `HEAD_WRITE_FAILED`,
   * `HEAD_CLOSED`; a refused record may still be in the store after `HEAD_WRITE_FAILED`, once at most.
   */
  append(record: EncodedRecord): Promise<Appended> {
    const state = this.#replayed();
    const identityKey = identityKeyOf(record.identity);
    const seq = state.identities.get(identityKey);
    if (seq !== undefined) return Promise.resolve({ seq, isDuplicate: true });
    const first = this.#pending.get(identityKey);
    if (first !== undefined) return first.promise.then((appended) => ({ seq: appended.seq, isDuplicate: true }));
    const refusal = this.#refusal(record);
    if (refusal !== undefined) return Promise.reject(refusal);

    const append = pendingAppend(record, identityKey);
    this.#pending.set(identityKey, append);
    this.#queue.push(append);
    this.#queuedBytes += append.entryBytes;
    this.#run();
    return append.promise;
  }

  /** Seals off what is committed now; what is appended later stays open. Undefined when nothing is. After a refusal look into `cuts()`: it may have been made. */
  cut(): Promise<Cut | undefined> {
    return this.#job(async (state) => {
      const tally = state.open;
      if (tally.recordCount === 0) return undefined;
      const cutId = state.nextCommit;
      const entry: CutEntry = { cutId, firstSeq: tally.firstSeq, lastSeq: tally.lastSeq, madeAtMs: this.#modules.clock.nowMs(), ordinals: state.nextOrdinals(tally) };
      const ops: StoreOp[] = [
        { kind: "put", ...encodeCut(entry) },
        { kind: "put", ...encodeCommit({ kind: "cut", number: cutId, span: tally.span, alive: state.alive }) },
        ...entry.ordinals.map(({ tenant, windowStartMs, ordinal }): StoreOp => ({ kind: "put", ...encodeNextOrdinal(tenant, windowStartMs, ordinal + 1) })),
      ];
      await this.#write({
        ops,
        probe: { key: commitKey(cutId), isAppliedWhenPresent: true },
        apply: () => {
          state.nextCommit = cutId + 1;
          state.takeOrdinals(entry.ordinals);
          state.cuts.set(cutId, { entry, tally });
          state.open = new Tally();
          state.refreshAlive();
          this.#openSinceMs = undefined;
          this.#writeWitness();
        },
      });
      return printCut({ entry, tally });
    });
  }

  /** Cuts not yet sealed, oldest first; after a restart with the same ids and ordinals. */
  cuts(): readonly Cut[] {
    return [...this.#replayed().cuts.values()].sort((a, b) => a.entry.firstSeq - b.entry.firstSeq).map(printCut);
  }

  /** Identities of a cut's records (16 characters of latin1 each): what its segments must hold before it is sealed. */
  cutIdentities(cutId: number): readonly string[] {
    return this.#replayed().cuts.get(cutId)?.tally.identities ?? [];
  }

  /** Oldest and newest record of a tenant here; undefined: none. */
  spanOf(tenant: string): { readonly oldestMs: number; readonly newestMs: number } | undefined {
    const state = this.#replayed();
    let span: TimeSpan | undefined;
    for (const tally of [state.open, ...[...state.cuts.values()].map((cut) => cut.tally)]) {
      for (const group of tally.groups) if (group.tenant === tenant) span = joinSpans(span, { minMs: group.minTimeMs, maxMs: group.maxTimeMs });
    }
    return span === undefined ? undefined : { oldestMs: span.minMs, newestMs: span.maxMs };
  }

  /**
   * The cut's records are now in these segments' files (synced by the caller): remembers the segments and drops the records,
   * in one synced batch. No segments: the records were below the floor. Sealing again with the same keys does nothing.
   */
  seal(cutId: number, segments: readonly SealedSegment[]): Promise<void> {
    return this.#job(async (state) => {
      const cut = state.cuts.get(cutId);
      if (cut === undefined) {
        if (segments.every(({ key }) => state.sealed.has(key))) return;
        throw new CodedError({ code: "HEAD_CUT_UNKNOWN", kind: "failed_precondition", message: `the head holds no cut ${cutId}: ask for cuts()` });
      }
      const number = state.nextCommit;
      const { tally } = cut;
      const segmentKeys = segments.map(({ key }) => key);
      // A seal without segments leaves nothing to answer for: its number retires at once.
      const retired = state.retired.with([cutId, ...tally.commits.map((commit) => commit.number), ...(segments.length === 0 ? [number] : [])]);
      const ops: StoreOp[] = [];
      for (const commit of tally.commits) {
        for (let seq = commit.firstSeq; seq <= commit.lastSeq; seq++) ops.push({ kind: "delete", key: recordKey(seq) });
        ops.push({ kind: "delete", key: commitKey(commit.number) });
      }
      ops.push({ kind: "delete", key: commitKey(cutId) }, { kind: "delete", key: cutKey(cutId) }, { kind: "put", ...encodeRetired(retired) });
      for (const { key, bytes } of segments) ops.push({ kind: "put", key: sealedKey(key), value: frame(sealedKey(key), bytes) });
      if (segments.length > 0) ops.push({ kind: "put", ...encodeCommit({ kind: "seal", number, span: tally.span, alive: state.alive, cutId, segmentKeys }) });
      await this.#write({
        ops,
        probe: { key: cutKey(cutId), isAppliedWhenPresent: false },
        apply: () => {
          state.nextCommit = number + 1;
          state.retired = retired;
          state.cuts.delete(cutId);
          for (const identity of tally.identities) state.identities.delete(identity);
          for (const { key, bytes } of segments) state.sealed.set(key, Uint8Array.from(bytes));
          if (segments.length > 0) state.seals.set(number, { cutId, segmentKeys, span: tally.span });
          state.refreshAlive();
          this.#writeWitness();
          this.#deleted = {
            bytes: (this.#deleted?.bytes ?? 0) + tally.bytes,
            firstSeq: Math.min(this.#deleted?.firstSeq ?? cut.entry.firstSeq, cut.entry.firstSeq),
            lastSeq: Math.max(this.#deleted?.lastSeq ?? cut.entry.lastSeq, cut.entry.lastSeq),
          };
        },
      });
      this.#compactWhenDue();
    });
  }

  /** Segments sealed and not yet unsealed, by key. */
  sealed(): readonly SealedSegment[] {
    return [...this.#replayed().sealed].map(([key, bytes]) => ({ key, bytes })).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** The segment is in the bucket: the head answers for it no longer. An unknown key does nothing. */
  unseal(segmentKey: string): Promise<void> {
    return this.#job(async (state) => {
      if (!state.sealed.has(segmentKey)) return;
      const key = sealedKey(segmentKey);
      const ops: StoreOp[] = [{ kind: "delete", key }];
      let { retired } = state;
      const changed = [...state.seals].find(([, seal]) => seal.segmentKeys.includes(segmentKey));
      const left = changed?.[1].segmentKeys.filter((kept) => kept !== segmentKey) ?? [];
      if (changed !== undefined) {
        const [number, { cutId, span }] = changed;
        if (left.length > 0) {
          ops.push({ kind: "put", ...encodeCommit({ kind: "seal", number, span, alive: state.alive, cutId, segmentKeys: left }) });
        } else {
          retired = retired.with([number]);
          ops.push({ kind: "delete", key: commitKey(number) }, { kind: "put", ...encodeRetired(retired) });
        }
      }
      await this.#write({
        ops,
        probe: { key, isAppliedWhenPresent: false },
        apply: () => {
          state.retired = retired;
          state.sealed.delete(segmentKey);
          if (changed !== undefined) {
            if (left.length > 0) state.seals.set(changed[0], { ...changed[1], segmentKeys: left });
            else state.seals.delete(changed[0]);
          }
          state.refreshAlive();
        },
      });
    });
  }

  /** Records by seq, read from the store; undefined where there is none. Throws `CorruptionError` for one that is not what was written. */
  async read(seqs: readonly number[]): Promise<readonly (EncodedRecord | undefined)[]> {
    const keys = seqs.map(recordKey);
    const values = await this.#store.getMany(keys);
    return values.map((value, index) => (value === undefined ? undefined : decodeRecordEntry(keys[index]!, value).record));
  }

  /** Bytes of sealed segments' files, which count against the disk budget. */
  setSealedBytes(bytes: number): void {
    this.#sealedBytes = bytes;
  }

  get stats(): HeadStats {
    const state = this.#state;
    const openBytes = state?.open.bytes ?? 0;
    const cutBytes = state?.cutBytes ?? 0;
    return {
      openBytes,
      openCount: state?.open.recordCount ?? 0,
      openAgeMs: this.#openSinceMs === undefined ? undefined : this.#modules.clock.monotonicMs() - this.#openSinceMs,
      cutBytes,
      cutCount: state?.cutCount ?? 0,
      sealedBytes: this.#sealedBytes,
      queuedBytes: this.#queuedBytes,
      diskBytes: openBytes + cutBytes + this.#sealedBytes + this.#queuedBytes,
    };
  }

  /** Losses not yet acknowledged. */
  quarantine(): readonly QuarantineEntry[] {
    return this.#quarantine.list();
  }

  /** A loss that someone else found (a sealed segment's file, for instance). */
  async addQuarantine(reason: string, startMs?: number, endMs?: number): Promise<void> {
    this.#countQuarantined(1);
    await this.#quarantine.add([{ reason, startMs, endMs }]);
  }

  /** Resolves with how many losses were acknowledged, after that is on disk; the bytes of corrupt records go. */
  async acknowledgeQuarantine(): Promise<number> {
    const count = await this.#quarantine.acknowledge();
    await this.#job(async () => {
      const ops: StoreOp[] = [];
      for await (const page of this.#store.pages(rangeOf("quarantined"), { pageBytes: 1 << 20 })) {
        for (const { key } of page) ops.push({ kind: "delete", key });
      }
      if (ops.length > 0) await this.#write({ ops, probe: { key: quarantinedKey(0), isAppliedWhenPresent: true }, apply: () => {} });
    }).catch((error: unknown) => this.#modules.logger.warn("the bytes of corrupt records stay until the next acknowledgement", { error }));
    return count;
  }

  /** Waits for what was taken in, then lets the store go. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#running;
    await this.#compacting;
    await this.#store.close().catch((error: unknown) => this.#modules.logger.warn("the head's store did not close cleanly", { error }));
    this.#modules.witness.close();
    await this.#modules.opener.release();
  }

  // --- writing ------------------------------------------------------------------------------------------------------

  #replayed(): HeadState {
    assert(this.#state !== undefined, "the head is replayed before it is used");
    return this.#state;
  }

  #refusal(record: EncodedRecord): CodedError | undefined {
    if (this.#isClosed) return unavailable("HEAD_CLOSED", "this node is stopping: push to another one");
    if (this.#failure !== undefined && this.#modules.clock.monotonicMs() < this.#failure.retryAtMs) return writeFailed(this.#failure.cause);
    const entryBytes = recordEntryBytes(record);
    const { diskBytes } = this.stats;
    if (diskBytes + entryBytes > this.#limits.diskBudgetBytes) {
      return unavailable("HEAD_FULL", `the head holds ${diskBytes} bytes of at most ${this.#limits.diskBudgetBytes}: it empties when the bucket takes its segments; raise --head-disk-budget or mend the bucket`);
    }
    if (this.#queuedBytes > 0 && this.#queuedBytes + entryBytes > this.#limits.queueBytesMax) {
      return unavailable("HEAD_BUSY", `${this.#queuedBytes} bytes already wait for the disk: try again`);
    }
    return undefined;
  }

  /** Runs `job` between two commits, before any that waits. */
  #job<T>(job: (state: HeadState) => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(unavailable("HEAD_CLOSED", "this node is stopping"));
    const state = this.#replayed();
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push(async () => {
        // Before the job looks at the state: a reopened store may turn out to hold a write that was refused.
        const failure = await this.#reopenWhenFailed();
        if (failure !== undefined) reject(failure);
        else await job(state).then(resolve, reject);
      });
      this.#run();
    });
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#running = this.#runUntilIdle();
  }

  async #runUntilIdle(): Promise<void> {
    await Promise.resolve(); // what is appended in the same turn goes into one commit
    for (;;) {
      const job = this.#jobs.shift();
      if (job !== undefined) {
        await job();
      } else if (this.#queue.length > 0) {
        await this.#commitSome();
      } else {
        this.#isRunning = false;
        return;
      }
    }
  }

  /** One group commit of what waits, up to the bounds; the rest waits for the next. */
  async #commitSome(): Promise<void> {
    const state = this.#replayed();
    // Before taking the group: a reopened store may turn out to hold some of it from a write that was refused.
    const failure = await this.#reopenWhenFailed();
    const group = this.#takeGroup(state);
    if (group.length === 0) return;
    if (failure !== undefined) return this.#refuse(group, failure);

    const number = state.nextCommit;
    const firstSeq = state.nextSeq;
    const ops: StoreOp[] = [];
    const sums: number[] = [];
    const committed: CommittedRecord[] = [];
    let bytes = 0;
    let span = joinSpans(undefined, undefined);
    for (const [index, { record }] of group.entries()) {
      const { key, value, sum } = encodeRecordEntry(firstSeq + index, record);
      ops.push({ kind: "put", key, value });
      sums.push(sum);
      bytes += value.length;
      span = joinSpans(span, { minMs: record.timeMs, maxMs: record.timeMs });
      committed.push({ seq: firstSeq + index, record });
    }
    const lastSeq = firstSeq + group.length - 1;
    ops.push({
      kind: "put",
      ...encodeCommit({ kind: "records", number, span, alive: joinSpans(state.alive, span), firstSeq, lastSeq, recordCount: group.length, bytes, sum: sumOf(sums) }),
    });

    const startMs = this.#modules.clock.monotonicMs();
    try {
      await this.#write({
        ops,
        probe: { key: commitKey(number), isAppliedWhenPresent: true },
        apply: () => {
          state.nextCommit = number + 1;
          state.nextSeq = lastSeq + 1;
          state.open.commits.push({ number, firstSeq, lastSeq });
          for (const [index, { record, identityKey }] of group.entries()) {
            state.identities.set(identityKey, firstSeq + index);
            state.open.add(record, identityKey, (ops[index] as { value: Uint8Array }).value.length); // the group's puts come first
          }
          this.#openSinceMs ??= this.#modules.clock.monotonicMs();
          this.#writeWitness();
          this.#tellCommitted(committed);
        },
      });
    } catch (error) {
      return this.#refuse(group, error);
    }
    this.#commitSeconds.observe({}, (this.#modules.clock.monotonicMs() - startMs) / 1000);
    this.#commitRecords.observe({}, group.length);
    this.#release(group);
    for (const [index, append] of group.entries()) append.resolve({ seq: firstSeq + index, isDuplicate: false });
  }

  /** Takes from the queue; resolves at once what a write thought lost turned out to hold. */
  #takeGroup(state: HeadState): PendingAppend[] {
    const group: PendingAppend[] = [];
    let bytes = 0;
    let count = 0;
    for (const append of this.#queue) {
      const seq = state.identities.get(append.identityKey);
      if (seq !== undefined) {
        this.#release([append]);
        append.resolve({ seq, isDuplicate: true });
      } else {
        if (group.length > 0 && (group.length >= this.#limits.commitCountMax || bytes + append.entryBytes > this.#limits.commitBytesMax)) break;
        group.push(append);
        bytes += append.entryBytes;
      }
      count++;
    }
    this.#queue.splice(0, count);
    return group;
  }

  #release(appends: readonly PendingAppend[]): void {
    for (const { identityKey, entryBytes } of appends) {
      this.#pending.delete(identityKey);
      this.#queuedBytes -= entryBytes;
    }
  }

  #refuse(appends: readonly PendingAppend[], error: unknown): void {
    this.#release(appends);
    for (const append of appends) append.reject(error);
  }

  #tellCommitted(committed: readonly CommittedRecord[]): void {
    try {
      this.#modules.onCommitted?.(committed);
    } catch (error) {
      // The records are durable whatever the listener does; refusing them now would be the greater lie.
      this.#modules.logger.error("the listener of commits threw", { error });
    }
  }

  /** Throws `HEAD_WRITE_FAILED`; then `apply` may still run later, when the reopened store turns out to hold the write. */
  async #write(write: PendingWrite): Promise<void> {
    assert(this.#failure === undefined, "no write before the store was opened again");
    try {
      await this.#store.batch(write.ops, { isSynced: true });
    } catch (cause) {
      this.#modules.logger.error("the head's store refused a write", { error: cause });
      this.#failure = { cause, write, retryAtMs: this.#modules.clock.monotonicMs() + RETRY_PAUSE_MS };
      throw writeFailed(cause);
    }
    write.apply();
  }

  /**
   * After a refused write LevelDB's log may end in half a record, and what it would append behind that could be dropped at
   * the next start. So the store is opened again, which begins a new log, and asked whether the write is in it.
   * At most one try a second; between tries everything is refused.
   */
  async #reopenWhenFailed(): Promise<CodedError | undefined> {
    const failure = this.#failure;
    if (failure === undefined) return undefined;
    const { clock, logger, opener } = this.#modules;
    if (clock.monotonicMs() < failure.retryAtMs) return writeFailed(failure.cause);
    try {
      await this.#compacting;
      await this.#store.close().catch(() => undefined); // it may be closed already, after a try that failed
      const { store } = await opener.open({ isMending: false });
      this.#store = store;
      if (failure.write !== undefined) {
        const { key, isAppliedWhenPresent } = failure.write.probe;
        const isPresent = (await store.get(key)) !== undefined;
        if (isPresent === isAppliedWhenPresent) failure.write.apply();
      }
      this.#failure = undefined;
      logger.info("the head's store takes writes again");
      return undefined;
    } catch (cause) {
      logger.error("the head's store could not be opened again", { error: cause });
      this.#failure = { ...failure, cause, retryAtMs: clock.monotonicMs() + RETRY_PAUSE_MS };
      return writeFailed(cause);
    }
  }

  #writeWitness(): void {
    const state = this.#replayed();
    try {
      this.#modules.witness.write(witnessMark(this.storeId, state));
    } catch (error) {
      this.#modules.logger.warn("the witness could not be written; a lost tail would go unnoticed", { error });
    }
  }

  /** LevelDB gives deleted records' disk back only when it compacts them: asked for after each 64 MiB, one at a time. */
  #compactWhenDue(): void {
    const deleted = this.#deleted;
    if (deleted === undefined || deleted.bytes < COMPACT_BYTES || this.#compacting !== undefined) return;
    this.#deleted = undefined;
    this.#compacting = this.#store
      .compact(recordsBetween(deleted.firstSeq, deleted.lastSeq))
      .catch((error: unknown) => this.#modules.logger.warn("the head's store could not be compacted", { error }))
      .finally(() => {
        this.#compacting = undefined;
      });
  }
}

/** One reopening a second: opening replays LevelDB's log, which is not free. */
const RETRY_PAUSE_MS = 1000;
const COMPACT_BYTES = 64 << 20;

interface PendingAppend {
  readonly record: EncodedRecord;
  readonly identityKey: string;
  readonly entryBytes: number;
  readonly promise: Promise<Appended>;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: unknown) => void;
}

interface PendingWrite {
  readonly ops: readonly StoreOp[];
  /** What to ask a reopened store to learn whether it holds the write. */
  readonly probe: { readonly key: Uint8Array; readonly isAppliedWhenPresent: boolean };
  /** Brings memory up to the store. */
  readonly apply: () => void;
}

interface WriteFailure {
  readonly cause: unknown;
  /** The write whose fate is unknown. */
  readonly write: PendingWrite | undefined;
  readonly retryAtMs: number;
}

/** What was found at opening and is replayed next. */
interface Unread {
  readonly structure: Structure;
  readonly plan: ReplayPlan;
  readonly witness: WitnessMark | undefined;
  readonly quarantines: NewQuarantine[];
  readonly mending: StoreOp[];
}

/** Reads the structure and settles whose store this is. */
async function findStore(store: OrderedStore, mark: WitnessMark | undefined, isDamaged: boolean, modules: HeadModules): Promise<{ storeId: Uint8Array; unread: Unread }> {
  const { logger, random } = modules;
  const structure = await readStructure(store, mark?.commit ?? 0, logger);
  const storeId = structure.storeId ?? mark?.storeId ?? random.bytes(STORE_ID_BYTES);
  let witness = mark;
  if (mark !== undefined && Buffer.compare(mark.storeId, storeId) !== 0) {
    logger.warn("the witness beside the head's store belongs to another store and is not heard");
    witness = undefined;
  }
  const isMarkLost = structure.storeId === undefined && (!structure.isEmpty || mark !== undefined);
  const mending: StoreOp[] = structure.storeId === undefined ? [{ kind: "put", ...encodeStoreMark(storeId) }] : [];
  const plan = planReplay(structure, witness, isDamaged || isMarkLost);
  return { storeId, unread: { structure, plan, witness, quarantines: [], mending } };
}

function witnessMark(storeId: Uint8Array, state: HeadState): WitnessMark {
  return { storeId, commit: state.nextCommit - 1, nextSeq: state.nextSeq, ordinalNext: state.ordinalNext, alive: state.alive };
}

function pendingAppend(record: EncodedRecord, identityKey: string): PendingAppend {
  let resolve!: (appended: Appended) => void; // both are set before the constructor returns
  let reject!: (error: unknown) => void;
  const promise = new Promise<Appended>((resolveIt, rejectIt) => {
    resolve = resolveIt;
    reject = rejectIt;
  });
  return { record, identityKey, entryBytes: recordEntryBytes(record), promise, resolve, reject };
}

function printCut({ entry, tally }: CutState): Cut {
  const groups = entry.ordinals.flatMap(({ tenant, windowStartMs, ordinal }): CutGroup[] => {
    const group = tally.group(tenant, windowStartMs);
    // Its records may all have been quarantined.
    if (group === undefined) return [];
    const { recordCount, bytes, minTimeMs, maxTimeMs, services } = group;
    return [{ tenant, windowStartMs, ordinal, recordCount, bytes, minTimeMs, maxTimeMs, services: [...services].sort() }];
  });
  return { cutId: entry.cutId, firstSeq: entry.firstSeq, lastSeq: entry.lastSeq, madeAtMs: entry.madeAtMs, groups };
}

function writeFailed(cause: unknown): CodedError {
  return unavailable("HEAD_WRITE_FAILED", `the disk refused a write (${messageOf(cause)}): nothing was acknowledged, try again`, cause);
}
