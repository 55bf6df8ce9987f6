/**
 * The head: accepted records not yet in a block, durable in an ordered store.
 *
 * What must stay true:
 *   - an append resolves only after its record is synced, together with the numbered entry that would give a loss away;
 *   - memory changes only after the store said that the change is durable.
 *
 *   append ──▶ queue ──▶ commit (r/ + g/, synced) ──▶ checkpoint ──▶ onCommitted ──▶ the append resolves
 *                          open ──cut──▶ cut ──seal──▶ sealed ──unseal──▶ (in the bucket)
 *
 * This file has the verbs and keeps their order: one write at a time, in the order of the calls. Listeners (`onCommitted`, `onCut`, `onSealed`) are
 * called in the turn in which memory changes. What a verb writes, and how memory follows, is planned in `state/` (change.ts).
 * write-queue.ts says what is written when, store-writer.ts what becomes of a write that was refused, disk-account.ts what fits.
 */
import type { Histogram } from "@pyromesh/base";
import { assert, CodedError, invalidArgument, toHex, Turns, unavailable } from "@pyromesh/base";
import { recordVersions } from "@pyromesh/profile";
import type { EncodedRecord } from "@pyromesh/profile";
import { DiskAccount } from "./disk/disk-account.ts";
import { RECORDS_ONLY } from "./disk/disk-plan.ts";
import type { HeadModules, HeadOptions, HeadStats, NewSegment, ReplayReport } from "./head-modules.ts";
import { commitKey, META_NOTES, META_TRIAL, noteKey, quarantinedKey, rangeOf, recordKey } from "./entries/keys.ts";
import { encodeNotesMark, STORE_ID_BYTES } from "./entries/meta-entry.ts";
import type { BucketMark } from "./entries/meta-entry.ts";
import { decodeRecordEntry, isNameKept, NAME_BYTES_MAX, RecordEntryEncoder, recordEntryBytes } from "./entries/record-entry.ts";
import type { OrderedStore, StoreOp } from "./entries/store.ts";
import { USUAL_VERSIONS } from "./recovery/format-file.ts";
import type { HeldVersions, VersionMark } from "./recovery/format-file.ts";
import { findStore } from "./recovery/found-store.ts";
import type { FoundStore } from "./recovery/found-store.ts";
import { planSetAside, readLivePage } from "./recovery/live-records.ts";
import type { LivePage, SeqRange } from "./recovery/live-records.ts";
import { Quarantine } from "./recovery/quarantine.ts";
import type { QuarantineEntry } from "./recovery/quarantine.ts";
import type { ReplayedRecord, ReplayProgress } from "./recovery/record-intake.ts";
import { recover } from "./recovery/recovery.ts";
import type { Change } from "./state/change.ts";
import type { CutChange } from "./state/cut-change.ts";
import { planCutOf, planOwnCut, planTakeoverCut, seqsOfRun } from "./state/cut-change.ts";
import { printCut } from "./state/cut.ts";
import type { Cut, HeldWindow } from "./state/cut.ts";
import type { SeriesDigest } from "./state/digest.ts";
import type { EntryFilter } from "./state/entry-filter.ts";
import { isOwnFilter, matcherOf } from "./state/entry-filter.ts";
import { groupCommitOps, planGroupCommit, withOwnBytes } from "./state/group-commit.ts";
import { planRelease } from "./state/leaving.ts";
import { noteOps } from "./state/notes.ts";
import type { BegunNotes, FoundNotes, LeavingNote } from "./state/notes.ts";
import { duplicateOf, placeIn } from "./state/placing.ts";
import { collectPage } from "./state/record-columns.ts";
import type { CollectFilter, RecordColumns } from "./state/record-columns.ts";
import { planRename, planReseal, planSeal, planUnseal } from "./state/sealing.ts";
import type { SealedSegment } from "./state/sealing.ts";
import { digestOf, entryOf, pinOf, replicaPage, selectPage } from "./state/selection.ts";
import type { EntryPage, HeadEntry, HeadPin, TenantFilter } from "./state/selection.ts";
import type { HeadState } from "./state/state.ts";
import type { OrdinalName, StoreIdentity, StoreOrdinal } from "./state/store-identity.ts";
import { StoreWriter, whenAbsent, whenPresent, whenSame } from "./store/store-writer.ts";
import { WriteQueue } from "./store/write-queue.ts";
import type { Appended, PendingAppend } from "./store/write-queue.ts";

export class Head {
  readonly #modules: HeadModules;
  readonly #identity: StoreIdentity;
  readonly #disk: DiskAccount;
  readonly #quarantine: Quarantine;
  readonly #writer: StoreWriter;
  readonly #queue: WriteQueue;
  readonly #encoder = new RecordEntryEncoder();
  readonly #commitSeconds: Histogram;
  readonly #commitRecords: Histogram;
  readonly #countQuarantined: (count: number) => void;

  /** Undefined once replayed. */
  #found: FoundStore | undefined;
  /** Undefined until replayed. */
  #state: HeadState | undefined;
  #ownSinceMs: number | undefined;
  /** Those that the start found, until they are asked for. */
  #notes: FoundNotes & { readonly markMs: number | undefined } = NO_NOTES;
  #isClosed = false;
  readonly #dueAfterMs: number;
  readonly #versions: VersionMark | undefined;
  /** The store id that it was opened with was drawn at the opening: no process before this one has done anything under it. */
  readonly isNewStore: boolean;

  private constructor(options: HeadOptions, modules: HeadModules, parts: { readonly store: OrderedStore; readonly quarantine: Quarantine; readonly found: FoundStore }) {
    const { diskBudgetBytes, inForceBytes = diskBudgetBytes, diskPlan = RECORDS_ONLY, diskUse, dueAfterMs = DUE_AFTER_MS, ...limits } = options;
    this.#modules = modules;
    this.#dueAfterMs = dueAfterMs;
    this.#disk = new DiskAccount(
      { budgetBytes: diskBudgetBytes, inForceBytes, plan: diskPlan, use: diskUse },
      {
        clock: modules.clock,
        logger: modules.logger,
        metrics: modules.metrics,
        measure: modules.measureDisk,
        measureFree: modules.measureFree,
        recordBytes: () => (this.#state?.own.bytes ?? 0) + (this.#state?.kept.bytes ?? 0) + (this.#state?.cutBytes ?? 0) + this.#queue.bytes,
        canMerge: () => !this.#writer.isCompacting,
        merge: () => this.#writer.reclaimAll(),
      },
    );
    this.#writer = new StoreWriter(parts.store, this.#disk, modules);
    this.#queue = new WriteQueue(
      { commitBytesMax: diskPlan.commitBytesMax, commitCountMax: 256, queueBytesMax: 32 << 20, gatherCountMax: 8, gatherMsMax: 4, ...limits },
      {
        prepare: () => this.#writer.prepare(),
        commit: (group) => this.#commit(group),
        duplicateOf: ({ record, place }) => this.#duplicateOf(record.identity, place.stores),
        onRefused: ({ record }) => this.#replayed().pending.remove(record.identity),
      },
      modules,
    );
    this.#quarantine = parts.quarantine;
    this.#found = parts.found;
    this.#identity = parts.found.identity;
    this.isNewStore = parts.found.isNew;
    const { structure, checkpoint } = parts.found;
    this.#versions = modules.versionsOf?.({ isFresh: structure.isEmpty && structure.storeMark === undefined && checkpoint === undefined });

    const { metrics } = modules;
    metrics.gauge("pyromesh_head_bytes", "Bytes of records in the head: open and cut, not yet sealed.", [], (gauge) => gauge.set({}, this.stats.openBytes + this.stats.cutBytes));
    metrics.gauge("pyromesh_head_records", "Records in the head: open and cut, not yet sealed.", [], (gauge) => gauge.set({}, this.stats.openCount + this.stats.cutCount));
    this.#commitSeconds = metrics.histogram("pyromesh_commit_duration_seconds", "Time of one synced group commit.", [], [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]);
    this.#commitRecords = metrics.histogram("pyromesh_commit_records", "Records in one group commit.", [], [1, 2, 4, 8, 16, 32, 64, 128, 256]);
    const quarantined = metrics.counter("pyromesh_quarantined_records_total", "Records found lost or corrupt; a lost entry of unknown size counts one.");
    quarantined.add({}, 0);
    this.#countQuarantined = (count) => quarantined.add({}, count);
  }

  /** The store id of the segments that the next seal makes; 16 bytes. `takeNewStoreId` and `adoptBucket` change it. */
  get storeId(): Uint8Array {
    return this.#identity.storeId;
  }

  /** Which bucket this data dir writes to; undefined: none yet, or a loss made it forget. */
  get bucketMark(): BucketMark | undefined {
    return this.#identity.bucketMark;
  }

  /** The data dir was written by format 1 (or lost its mark) and has adopted no bucket since: its ordinals may have holes. */
  get isFirstFormat(): boolean {
    return this.#identity.isFirstFormat;
  }

  /** How many ordinals were given under the store id in force, all tenants and windows together. In a store of format 1 some may be counted that no segment has. */
  get givenOrdinalCount(): number {
    return this.#identity.givenOrdinalCount;
  }

  /**
   * How far ordinals were given, under every store id that this data dir has had since it adopted a bucket. A segment in the bucket
   * with a former id and an ordinal at or above `next` is another data dir's, or was uploaded before it was renamed.
   */
  ordinals(): readonly StoreOrdinal[] {
    return this.#identity.ordinals();
  }

  /** Opens the store, repairing it where it must. Throws `HEAD_LOCKED`, `HEAD_FORMAT_NEWER`. Call `replay` next. */
  static async open(options: HeadOptions, modules: HeadModules): Promise<Head> {
    const { opener, logger } = modules;
    const opened = await opener.open({ isRepairing: true });
    try {
      const quarantine = await Quarantine.open({ file: modules.quarantineFile, clock: modules.clock, logger });
      const found = await findStore(opened, modules);
      return new Head(options, modules, { store: opened.store, quarantine, found });
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
    onProgress: (progress: ReplayProgress) => void = () => {},
  ): Promise<ReplayReport> {
    const found = this.#found;
    assert(found !== undefined, "the head is replayed once, first");
    this.#found = undefined;
    const { clock, logger } = this.#modules;
    const startMs = clock.monotonicMs();
    const { isEmpty, notedSinceMs: markMs, notes: entries } = found.structure;
    // Of a store that has written nothing yet nothing has left.
    const sinceMs = markMs ?? (isEmpty && found.checkpoint === undefined ? 0 : undefined);
    this.#notes = { entries, markMs, sinceMs: found.plan.isDamaged ? undefined : sinceMs };
    const { state, repairing, quarantines, ...report } = await recover({ store: this.#writer.store, ...found }, { clock, logger, visit, onProgress });

    // 1. The loss is reported before it is repaired, so that the start after a crash in between finds it again.
    const all = [...found.quarantines, ...quarantines];
    const quarantinedCount = report.quarantinedCount + found.quarantines.length;
    if (quarantinedCount > 0) this.#countQuarantined(quarantinedCount);
    const isKept = await this.#quarantine.add(all);

    // 2. Then make the store consistent with itself, so that the next start does not find the same loss again.
    // The identity comes last: a corrupt entry of it may be among those that the repair removes.
    const ops = [...(isKept ? repairing : []), ...found.introducing];
    if (ops.length > 0) {
      try {
        await this.#writer.store.batch(ops, { isSynced: true });
      } catch (cause) {
        this.#identity.keepUnwritten(found.introducing);
        logger.error("the head's store could not be repaired; the loss will be raised again at the next start", { error: cause });
        this.#writer.distrust(cause);
      }
    }
    this.#state = state;
    this.#writeCheckpoint();
    // A checkpoint of another store may lie in either slot: both are written, so that it cannot pass for the later one.
    if (found.checkpoint === undefined) this.#writeCheckpoint();

    // 3. A store that cannot read its own files would refuse writes at its next compaction.
    if (report.needsRepair) await this.#writer.repair();
    if (state.own.recordCount > 0) this.#ownSinceMs = clock.monotonicMs();
    await this.#disk.start();
    const durationMs = clock.monotonicMs() - startMs;
    logger.info("replayed the head", { recordCount: report.recordCount, bytes: report.bytes, quarantinedCount, cutCount: state.cuts.size, durationMs: Math.round(durationMs) });
    return { recordCount: report.recordCount, bytes: report.bytes, quarantinedCount, durationMs };
  }

  /** Says that an append is being made ready: what is appended meanwhile waits a little for it, so that one commit takes both. */
  announce(): void {
    this.#queue.announce();
  }

  /** Once for each `announce`: the append was made, or will not come. */
  arrived(): void {
    this.#queue.arrived();
  }

  /**
   * Resolves after the record is synced; until it settles neither the record's bytes and identity nor `stores` may change. `stores`: the ids of all that keep it, in the order
   * of their ranks, this store's (or one that it had before) among them; none: it alone does. An identity that is in the head, or on its
   * way, makes no second copy and keeps the list that it came with: that append resolves when the first one is durable. Rejects (kind
   * `unavailable`) with `HEAD_BUSY`, `HEAD_FULL`, `HEAD_WRITE_FAILED`, `HEAD_CLOSED`, or (kind `invalid_argument`) with
   * `SERVICE_NAME_TOO_LONG`, `STORES_TOO_MANY`, `STORE_NOT_LISTED`; a refused record may still be in the store after `HEAD_WRITE_FAILED`, once at most.
   */
  append(record: EncodedRecord, stores: readonly Uint8Array[] = NO_STORES): Promise<Appended> {
    const state = this.#replayed();
    const raising = this.#versions?.raise(recordVersions(record.bytes) ?? {});
    if (raising !== undefined) return raising.then(() => this.append(record, stores), (cause: unknown) => Promise.reject(unavailable("HEAD_WRITE_FAILED", "the file that says which versions the data directory holds could not be written", cause)));
    const held = this.#duplicateOf(record.identity, stores);
    if (held !== undefined) return Promise.resolve(held);
    const pending = state.pending.find(record.identity);
    if (pending !== undefined) return pending.promise.then(({ seq, keptStores = pending.place.stores }) => duplicateOf(seq, keptStores, stores));
    const entryBytes = recordEntryBytes(record, stores.length);
    const place = placeIn(stores, this.#identity);
    if (place instanceof CodedError) return Promise.reject(place);
    const refusal = this.#refusal(record, entryBytes);
    if (refusal !== undefined) return Promise.reject(refusal);

    const append = this.#queue.push(record, place, entryBytes);
    state.pending.add(append);
    return append.promise;
  }

  /** Which versions of formats the data directory may hold. */
  get heldVersions(): HeldVersions {
    return this.#versions?.held ?? USUAL_VERSIONS;
  }

  /** Resolves when the data directory says that it may hold these too; an earlier build refuses it from then on. Before they are written, and before they are promised to others. */
  async holdVersions(versions: HeldVersions): Promise<void> {
    await this.#versions?.raise(versions);
  }

  /**
   * Cuts what is committed now, or what of it matches `filter`; the rest, and what is appended later, stays open. Undefined when there
   * is nothing. After a refusal look into `cuts()`: it may have been made.
   */
  cut(filter?: EntryFilter): Promise<Cut | undefined> {
    return this.#job(async (state) => {
      const { clock } = this.#modules;
      // A cut of all of rank 0 looks at no record. On a node that is alone there are no others.
      const isOfOwn = filter === undefined ? state.kept.recordCount === 0 : isOwnFilter(filter);
      return this.#cut(state, isOfOwn ? planOwnCut(state, clock.nowMs()) : await planCutOf(state, matcherOf(filter ?? {}), clock.nowMs(), new Turns({ clock })));
    });
  }

  /** Cuts those of these records that are open when their turn comes and that other stores are to flush. Undefined where none is. As `cut` otherwise. */
  cutReplicas(identities: readonly Uint8Array[]): Promise<Cut | undefined> {
    return this.#job(async (state) => this.#cut(state, planTakeoverCut(state, identities, this.#modules.clock.nowMs())));
  }

  async #cut(state: HeadState, change: CutChange | undefined): Promise<Cut | undefined> {
    if (change === undefined) return undefined;
    await this.#write(change, () => {
      if (state.own.recordCount === 0) this.#ownSinceMs = undefined;
      this.#tell("cuts", () => this.#modules.onCut?.(change.cut));
    });
    return change.cut;
  }

  /** Length of the shortest list of stores under which a record is held, open or cut; 0: by this store alone. Undefined: none is held. */
  get storeCountMin(): number | undefined {
    return this.#replayed().table.storeCountMin;
  }

  /** Cuts not yet sealed, oldest first; after a restart with the same ids. */
  cuts(): readonly Cut[] {
    return [...this.#replayed().cuts.values()].map(printCut).sort((a, b) => a.cutId - b.cutId);
  }

  /** Identities of a cut's records (16 characters of latin1 each): what its segments must hold before it is sealed. */
  cutIdentities(cutId: number): readonly string[] {
    const state = this.#replayed();
    const cut = state.cuts.get(cutId);
    return cut === undefined ? [] : seqsOfRun(state, cut.stats).map((seq) => state.table.at(seq)!.identityKey); // just listed
  }

  /** A moment of a tenant's records, for `select` and `digest`. */
  pin(tenant: string): HeadPin {
    return pinOf(this.#replayed(), tenant);
  }

  /** What the head knows of the records that match, some `countMax` a page (1000), in the order in which they came. Throws `HEAD_PIN_EXPIRED`. */
  select(filter: TenantFilter, pin: HeadPin, { fromSeq = 0, countMax = 1000 }: { readonly fromSeq?: number; readonly countMax?: number } = {}): EntryPage {
    return selectPage(this.#replayed(), filter, pin, { fromSeq, countMax }, this.#dueAfterMs);
  }

  /**
   * Open records of ranks above 0, of all tenants, in the order in which they came, so those due longest come first: another store is to flush them. Pages
   * as those of `select`, but of one moment each.
   */
  replicas({ fromSeq = 0, countMax = 1000 }: { readonly fromSeq?: number; readonly countMax?: number } = {}): EntryPage {
    return replicaPage(this.#replayed(), { fromSeq, countMax }, this.#dueAfterMs);
  }

  /** By tenant and window, how many records of rank 0 are open, how many others, and how many each cut holds: so a window may be named several times. */
  windows(): readonly HeldWindow[] {
    const state = this.#replayed();
    return [state.own, state.kept, ...Array.from(state.cuts.values(), ({ stats }) => stats)].flatMap(({ groups }) => Array.from(groups, ({ tenant, windowStartMs, recordCount }) => ({ tenant, windowStartMs, recordCount })));
  }

  /** The lists of stores that records of the head have, open or cut, with how many have each. */
  storeLists(): readonly { readonly stores: readonly Uint8Array[]; readonly recordCount: number }[] {
    return this.#replayed().table.storeLists();
  }

  /** The seq of the oldest record that is open or cut; undefined: there is none. */
  get oldestSeq(): number | undefined {
    return this.#replayed().table.firstSeq;
  }

  /** The count and the sum of identities of the records that match, by fingerprint. Rejects `HEAD_PIN_EXPIRED`. */
  digest(filter: TenantFilter, pin: HeadPin): Promise<ReadonlyMap<bigint, SeriesDigest>> {
    return digestOf(this.#replayed(), filter, pin, new Turns(this.#modules));
  }

  /** It holds the record, open or cut. */
  has(identity: Uint8Array): boolean {
    return this.#replayed().holds(identity);
  }

  /** The rank under which a record is on its way into the head; undefined: it is not. Whether it gets there is not known yet. */
  pendingRank(identity: Uint8Array): number | undefined {
    return this.#replayed().pending.find(identity)?.place.rank;
  }

  /** Adds a page of the records that match, open or cut. Returns the seq at which the next page begins; undefined: this was the last. */
  collect(filter: CollectFilter, into: RecordColumns, fromSeq = 0): number | undefined {
    return collectPage(this.#replayed(), filter, into, fromSeq);
  }

  /** What the head knows of one record; undefined: it does not hold it. */
  entry(identity: Uint8Array): HeadEntry | undefined {
    const state = this.#replayed();
    const row = state.rowOf(identity);
    return row === undefined ? undefined : entryOf(state, row, this.#dueAfterMs);
  }

  /**
   * These records are in the bucket, whoever put them there: forgets those that it holds, open or cut, and gives their disk back. Resolves
   * with how many there were. One that is still on its way into the head is none of them. Done in batches: where one is refused, those
   * before it stay released. `note`: of the object that has them. It is kept with the first record that leaves, and not where there is none.
   */
  async release(identities: readonly Uint8Array[], note?: LeavingNote): Promise<number> {
    let count = 0;
    for (let at = 0; at < identities.length; at += RELEASE_COUNT_MAX) {
      count += await this.#release(identities.slice(at, at + RELEASE_COUNT_MAX), count === 0 ? note : undefined);
    }
    return count;
  }

  #release(identities: readonly Uint8Array[], note: LeavingNote | undefined): Promise<number> {
    return this.#job(async (state) => {
      const release = planRelease(state, identities, note);
      if (release === undefined) return 0;
      await this.#write(release, () => {
        if (state.own.recordCount === 0) this.#ownSinceMs = undefined;
        this.#tell("releases", () => this.#modules.onReleased?.(release.identityKeys));
      });
      this.#writer.reclaim(release);
      return release.identityKeys.length;
    });
  }

  /** Ids of the cuts that are not sealed, oldest first. The one thing that may be asked before the replay, which hands out a cut's records with its id. */
  get cutIds(): readonly number[] {
    return this.#state === undefined ? (this.#found?.plan.cuts ?? []).map(({ cutId }) => cutId).sort((a, b) => a - b) : this.cuts().map(({ cutId }) => cutId);
  }

  /** Oldest and newest record of a tenant here; undefined: none. */
  spanOf(tenant: string): { readonly oldestMs: number; readonly newestMs: number } | undefined {
    const span = this.#replayed().spanOf(tenant);
    return span === undefined ? undefined : { oldestMs: span.minMs, newestMs: span.maxMs };
  }

  /**
   * The ordinal that each group of the cut would take. Undefined where the head holds no such cut: a seal that the store refused turned
   * out to have been kept. When it resolves, the outcome of every earlier write is known.
   */
  nextOrdinals(cutId: number): Promise<readonly OrdinalName[] | undefined> {
    return this.#job(async (state) => {
      const cut = state.cuts.get(cutId);
      return cut === undefined ? undefined : printCut(cut).groups.map(({ tenant, windowStartMs }) => this.#identity.next(tenant, windowStartMs));
    });
  }

  /** The ordinal that the next segment of this tenant and window would take. When it resolves, the outcome of every earlier write is known. */
  nextOrdinal(tenant: string, windowStartMs: number): Promise<OrdinalName> {
    return this.#job(async () => this.#identity.next(tenant, windowStartMs));
  }

  /**
   * The cut's records are now in these segments' files (synced by the caller): remembers the segments and drops the records,
   * and the segments take their ordinals, in one synced batch. No segments: the records were below the floor, or quarantined.
   * Rejects `HEAD_ORDINAL_NOT_NEXT` where an ordinal is not the next one of its tenant and window. Sealing again with the same keys does nothing.
   */
  seal(cutId: number, segments: readonly NewSegment[]): Promise<void> {
    return this.#job(async (state) => {
      const cut = state.cuts.get(cutId);
      if (cut === undefined && segments.every(({ key }) => state.sealed.has(key))) return;
      const sealed = segments.map(copyOf);
      const sealing = planSeal(state, cutId, sealed);
      const taking = this.#identity.planTaking(segments);
      await this.#write({ ...sealing, ops: chain(taking.ops, sealing.ops), apply: inOrder(taking.apply, sealing.apply) }, () =>
        this.#tell("seals", () => this.#modules.onSealed?.({ cutId, segments: sealed })),
      );
      const { bytes, firstSeq, lastSeq } = sealing.left;
      this.#writer.reclaim({ bytes, firstSeq, lastSeq });
    });
  }

  /** Segments sealed and not yet unsealed, by key. */
  sealed(): readonly SealedSegment[] {
    return [...this.#replayed().sealed].map(([key, bytes]) => ({ key, bytes })).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  isSealed(segmentKey: string): boolean {
    return this.#replayed().sealed.has(segmentKey);
  }

  /** Replaces the bytes that are kept for a sealed segment. Rejects `HEAD_SEGMENT_UNKNOWN`. */
  reseal(segment: SealedSegment): Promise<void> {
    return this.#job(async (state) => this.#writer.write(planReseal(state, copyOf(segment))));
  }

  /**
   * Moves a sealed segment that is not in the bucket from a former store id to the id in force. It takes the next ordinal of its tenant
   * and window; its former ordinal, and all above that, count as not given. The caller has synced the new file. Rejects
   * `HEAD_SEGMENT_UNKNOWN`, `HEAD_ORDINAL_NOT_NEXT`. Renaming again to the same key does nothing.
   */
  rename(from: OrdinalName & { readonly key: string }, segment: NewSegment): Promise<void> {
    return this.#job(async (state) => {
      if (!state.sealed.has(from.key) && state.sealed.has(segment.key)) return;
      const renamed = copyOf(segment);
      const renaming = planRename(state, from.key, renamed);
      const taking = this.#identity.planTaking([segment]);
      const lowering = this.#identity.planLowering(from);
      await this.#write({ ...renaming, ops: chain(taking.ops, lowering.ops, renaming.ops), apply: inOrder(taking.apply, lowering.apply, renaming.apply) }, () =>
        this.#tell("renamed segments", () => this.#modules.onRenamed?.({ fromKey: from.key, segment: renamed })),
      );
    });
  }

  /** New segments get another store id from now on: for when ordinals of this one may already name other segments in the bucket. */
  takeNewStoreId(reason: string): Promise<void> {
    return this.#job(async () => {
      const former = this.#identity.storeIdText;
      const storeId = this.#modules.random.bytes(STORE_ID_BYTES);
      await this.#write(this.#identity.planNewId(storeId));
      this.#modules.logger.warn("the store takes a new store id", { former, store: toHex(storeId), reason });
    });
  }

  /** Which bucket this data dir writes to, for good. A store of the first format takes a new store id with it. */
  adoptBucket(mark: BucketMark): Promise<void> {
    return this.#job(async () => this.#write(this.#identity.planBucket(mark, this.#modules.random.bytes(STORE_ID_BYTES))));
  }

  /** The segment is in the bucket: the head answers for it no longer, and keeps the note of it. An unknown key does nothing. */
  unseal(segmentKey: string, note?: LeavingNote): Promise<void> {
    return this.#job(async (state) => {
      const change = planUnseal(state, segmentKey, note);
      if (change !== undefined) await this.#writer.write(change);
    });
  }

  /** The notes that the store has. Read them after the replay, and before `beginNotes` and `endNotes`. */
  get foundNotes(): FoundNotes {
    return this.#notes;
  }

  /** The data directory may have notes: an earlier build would not keep them, and refuses it. See `holdVersions`. */
  get mayNote(): boolean {
    return this.#versions === undefined || (this.heldVersions["head"] ?? 0) >= NOTES_FORMAT;
  }

  /**
   * Call it where `release` and `unseal` are given notes from now on. Only where the store `mayNote`. It is on disk once the promise resolves. Writes nothing where the
   * store says so already.
   */
  beginNotes({ notes, sinceMs }: BegunNotes): Promise<void> {
    assert(this.mayNote, "the data directory says that it may have notes");
    return this.#job(async () => {
      const { markMs } = this.#notes;
      this.#notes = NO_NOTES;
      if (markMs === undefined || markMs < sinceMs) {
        const mark = encodeNotesMark(sinceMs);
        await this.#writer.write({ ops: [...notes.flatMap((note) => [...noteOps(note)]), { kind: "put", ...mark }], probe: whenSame(mark), apply: () => {} });
      }
      this.#notes = { ...NO_NOTES, markMs: Math.max(markMs ?? 0, sinceMs) };
    });
  }

  /** Nothing is noted: forgets the notes that the store has, which would say less than the truth from now on. Writes nothing where there are none. */
  endNotes(): Promise<void> {
    return this.#job(async () => {
      const { entries, markMs } = this.#notes;
      this.#notes = NO_NOTES;
      if (markMs === undefined && entries.size === 0) return;
      const keys = [META_NOTES, ...Array.from(entries.keys(), noteKey)];
      await this.#writer.write({ ops: keys.map((key) => ({ kind: "delete", key })), probe: whenAbsent(META_NOTES), apply: () => {} });
    });
  }

  /** Records by seq, read from the store; undefined where there is none. Throws `CorruptionError` for one that is not what was written. */
  async read(seqs: readonly number[]): Promise<readonly (EncodedRecord | undefined)[]> {
    const keys = seqs.map(recordKey);
    const values = await this.#writer.store.getMany(keys);
    return values.map((value, index) => (value === undefined ? undefined : decodeRecordEntry(keys[index]!, value).record));
  }

  /** Reads one record's bytes from the store, to intern it later than at its commit. Undefined where the head does not hold it. Throws as `read` does. */
  async readRecord(identity: Uint8Array): Promise<EncodedRecord | undefined> {
    const row = this.#replayed().rowOf(identity);
    return row === undefined ? undefined : (await this.read([row.seq]))[0];
  }

  /** The number of the last commit; it and all before it are synced. It never falls, over restarts either, unless commits are lost. */
  get lastCommit(): number {
    return this.#replayed().nextCommit - 1;
  }

  /** Every record committed so far has a smaller seq. */
  get nextSeq(): number {
    return this.#replayed().nextSeq;
  }

  /**
   * Reads about `pageBytes` of the records in the open head and in cuts from the store again. Resolves with the seq at which the next page
   * begins; undefined where this was the last. `visit` runs between two writes, so that no commit, cut or seal happens meanwhile.
   * Rejects where the store cannot be read.
   */
  readLive(range: SeqRange, pageBytes: number, visit: (page: LivePage) => void): Promise<number | undefined> {
    return this.#job(async (state) => {
      const { page, nextSeq } = await readLivePage(this.#writer.store, state, range, pageBytes);
      visit(page);
      return nextSeq;
    });
  }

  /**
   * Takes one record that cannot be used out of the head: its bytes are kept under `q/` and its time is quarantined. Does nothing where
   * the head does not hold it. Rejects, and changes nothing, where the store or the quarantine cannot be written.
   */
  setAside(seq: number, reason: string): Promise<void> {
    return this.#job(async (state) => {
      const setting = await planSetAside(this.#writer.store, state, seq);
      if (setting === undefined) return;
      // The quarantine comes first, so that a crash in between quarantines it again rather than never.
      this.#countQuarantined(1);
      const isKept = await this.#quarantine.add([{ reason, startMs: setting.span?.minMs, endMs: setting.span?.maxMs }]);
      if (!isKept) throw unavailable("HEAD_QUARANTINE_UNWRITTEN", `record ${seq} could not be set aside: the quarantine cannot be written`);
      await this.#writer.write({ ops: setting.ops, probe: whenPresent(quarantinedKey(seq)), apply: setting.apply });
    });
  }

  /** Bytes of sealed segments' files, which count against the disk budget. */
  setSealedBytes(bytes: number): void {
    this.#disk.setSealedBytes(bytes);
  }

  /** Why the disk takes no record of this size, be there one or not; undefined while it takes them. */
  refusalOf(entryBytes: number): CodedError | undefined {
    return this.#writer.failure ?? this.#disk.refusal(entryBytes);
  }

  /** Disk that a commit may take, and that the store may take to open again after a refused write. */
  get diskNeeds(): { readonly commitBytes: number; readonly reopenBytes: number } {
    return this.#disk.needs;
  }

  /** Opens the store again where a write was refused, and has it sync one that changes nothing. Rejects `HEAD_WRITE_FAILED`. */
  tryWrite(): Promise<void> {
    return this.#job(async () => {
      await this.#writer.write({ ops: [{ kind: "delete", key: META_TRIAL }], probe: whenAbsent(META_TRIAL), apply: () => {} });
    });
  }

  /** The largest cut with which the disk budget leaves room for the next one while this one is sealed. */
  get cutBytesMax(): number {
    return this.#disk.plan.cutBytesMax;
  }

  get stats(): HeadStats {
    const state = this.#state;
    const { own, kept } = state ?? {};
    const [ownOpenBytes, ownOpenCount] = [own?.bytes ?? 0, own?.recordCount ?? 0];
    const openBytes = ownOpenBytes + (kept?.bytes ?? 0);
    const cutBytes = state?.cutBytes ?? 0;
    return {
      openBytes,
      openCount: ownOpenCount + (kept?.recordCount ?? 0),
      ownOpenBytes,
      ownOpenCount,
      ownOpenAgeMs: this.#ownSinceMs === undefined ? undefined : this.#modules.clock.monotonicMs() - this.#ownSinceMs,
      cutBytes,
      cutCount: state?.cutCount ?? 0,
      sealedBytes: this.#disk.sealedBytes,
      queuedBytes: this.#queue.bytes,
      diskBytes: this.#disk.knownBytes,
    };
  }

  /** Losses not yet acknowledged. */
  quarantine(): readonly QuarantineEntry[] {
    return this.#quarantine.list();
  }

  /** Reports a loss that was found outside the head: of a sealed segment's file, for instance. */
  async addQuarantine(reason: string, startMs?: number, endMs?: number): Promise<void> {
    this.#countQuarantined(1);
    await this.#quarantine.add([{ reason, startMs, endMs }]);
  }

  /** Resolves with how many losses were acknowledged, after that is on disk; the bytes of corrupt records go. */
  async acknowledgeQuarantine(): Promise<number> {
    const count = await this.#quarantine.acknowledge();
    await this.#job(async () => {
      const ops: StoreOp[] = [];
      for await (const page of this.#writer.store.pages(rangeOf("quarantined"), { pageBytes: 1 << 20 })) {
        for (const { key } of page) ops.push({ kind: "delete", key });
      }
      if (ops.length > 0) await this.#writer.write({ ops, probe: whenPresent(quarantinedKey(0)), apply: () => {} });
    }).catch((error: unknown) => this.#modules.logger.warn("the bytes of corrupt records stay until the next acknowledgement", { error }));
    return count;
  }

  /** Waits for the appends and jobs that were taken in, then closes the store. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#disk.stop();
    await this.#queue.settle();
    await this.#writer.close();
    this.#modules.checkpoint.close();
    await this.#modules.opener.release();
  }

  // --- writing ------------------------------------------------------------------------------------------------------

  #replayed(): HeadState {
    assert(this.#state !== undefined, "the head is replayed before it is used");
    return this.#state;
  }

  #refusal(record: EncodedRecord, entryBytes: number): CodedError | undefined {
    if (this.#isClosed) return unavailable("HEAD_CLOSED", "this node is stopping: push to another one");
    // Only where limits on labels are lifted; in a commit it would take the other records of the group with it.
    if (!isNameKept(record.service)) return invalidArgument("SERVICE_NAME_TOO_LONG", `service_name is longer than ${NAME_BYTES_MAX} bytes: shorten it`);
    const refusal = this.#writer.refusal;
    if (refusal !== undefined) return refusal;
    const full = this.#disk.refusal(entryBytes);
    if (full !== undefined) {
      this.#disk.hurry();
      return full;
    }
    if (this.#queue.isFull(entryBytes)) {
      return unavailable("HEAD_BUSY", `${this.#queue.bytes} bytes already wait for the disk: try again`);
    }
    return undefined;
  }

  #job<T>(job: (state: HeadState) => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(unavailable("HEAD_CLOSED", "this node is stopping"));
    const state = this.#replayed();
    return this.#queue.job(() => job(state));
  }

  async #commit(group: readonly PendingAppend[]): Promise<number> {
    const { clock } = this.#modules;
    const state = this.#replayed();
    let commit = planGroupCommit(group, state);
    const startMs = clock.monotonicMs();
    try {
      await this.#writer.write({
        ops: groupCommitOps(commit, this.#encoder),
        sizeBytes: commit.bytes,
        probe: whenPresent(commitKey(commit.number)),
        apply: () => {
          state.take(commit, clock.monotonicMs());
          this.#disk.wroteRecords(commit.bytes);
          if (state.own.recordCount > 0) this.#ownSinceMs ??= clock.monotonicMs();
          this.#writeCheckpoint();
          const { group: committed, firstSeq } = commit;
          this.#tell("commits", () => this.#modules.onCommitted?.(committed.map(({ place, record }, index) => ({ seq: firstSeq + index, rank: place.rank, record }))));
        },
      });
    } catch (error) {
      // The store may have kept it. Then `apply` runs at the next write, when the caller may have overwritten the records' bytes.
      commit = withOwnBytes(commit);
      throw error;
    }
    this.#commitSeconds.observe({}, (clock.monotonicMs() - startMs) / 1000);
    this.#commitRecords.observe({}, group.length);
    return commit.firstSeq;
  }

  /** Writes a change. The checkpoint follows memory, and `then` comes last, all in one turn. */
  #write(change: Change, then: () => void = () => {}): Promise<void> {
    return this.#writer.write({
      ...change,
      apply: () => {
        change.apply();
        this.#writeCheckpoint();
        then();
      },
    });
  }

  #tell(what: string, listener: () => void): void {
    try {
      listener();
    } catch (error) {
      // The change is durable whatever the listener does: the caller must not hear that it failed.
      this.#modules.logger.error(`the listener of ${what} threw`, { error });
    }
  }

  /** Undefined where no durable record has this identity. */
  #duplicateOf(identity: Uint8Array, stores: readonly Uint8Array[]): Appended | undefined {
    const row = this.#replayed().rowOf(identity);
    return row === undefined ? undefined : duplicateOf(row.seq, row.stores, stores);
  }

  #writeCheckpoint(): void {
    const state = this.#replayed();
    try {
      const { nextCommit, nextSeq, alive } = state;
      this.#modules.checkpoint.write({ storeId: this.storeId, commit: nextCommit - 1, nextSeq, ordinalNext: this.#identity.ordinalNext, alive });
    } catch (error) {
      this.#modules.logger.warn("the checkpoint could not be written; a lost tail would go unnoticed", { error });
    }
  }
}

/** Two flush intervals of 15 s: a healthy store of a lower rank has flushed by then. */
const DUE_AFTER_MS = 30_000;
/** Records that one batch releases: appends wait for it. */
const RELEASE_COUNT_MAX = 1024;
const NO_STORES: readonly Uint8Array[] = [];
const NO_NOTES = { entries: new Map<string, Uint8Array>(), markMs: undefined, sinceMs: undefined };
/** The first format of the head that has notes. */
const NOTES_FORMAT = 4;

function copyOf({ key, bytes }: SealedSegment): SealedSegment {
  return { key, bytes: Uint8Array.from(bytes) };
}

/** The parts of one batch, in order. */
function* chain(...parts: readonly Iterable<StoreOp>[]): Generator<StoreOp, void> {
  for (const part of parts) yield* part;
}

function inOrder(...steps: readonly (() => void)[]): () => void {
  return () => {
    for (const step of steps) step();
  };
}
