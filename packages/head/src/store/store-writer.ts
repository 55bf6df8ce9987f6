/**
 * The store as the head writes it: one write at a time, and back by itself after a refusal.
 *
 * What must stay true: after a refused write the store is in an unknown state, so nothing is written before it was opened
 * again and asked whether that write is in it; memory changes (`apply`) only once the write is known to be durable.
 *
 * LevelDB's log may end in half a record then, and what it would append behind that could be dropped at the next start.
 * Opening again begins a new log. At most one try a second; between tries everything is refused.
 */
import type { Clock, CodedError, Logger } from "@pyromesh/base";
import { assert, messageOf, unavailable } from "@pyromesh/base";
import { recordsBetween } from "../entries/keys.ts";
import type { KeyRange, OrderedStore, StoreEntry, StoreOp, StoreOpener } from "../entries/store.ts";

export interface StoreWrite {
  readonly ops: Iterable<StoreOp>;
  /** See `BatchOptions`. */
  readonly sizeBytes?: number;
  /** What to ask a reopened store to learn whether it holds the write. */
  readonly probe: Probe;
  /** Changes memory as the store was changed. */
  readonly apply: () => void;
}

export interface Probe {
  readonly key: Uint8Array;
  /** `value`: what lies under the key. */
  readonly isApplied: (value: Uint8Array | undefined) => boolean;
}

export const whenPresent = (key: Uint8Array): Probe => ({ key, isApplied: (value) => value !== undefined });
export const whenAbsent = (key: Uint8Array): Probe => ({ key, isApplied: (value) => value === undefined });
/** Applied where the store holds this very entry. */
export const whenSame = ({ key, value }: StoreEntry): Probe => ({ key, isApplied: (found) => found !== undefined && Buffer.compare(found, value) === 0 });

export interface StoreWriterModules {
  readonly opener: StoreOpener;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class StoreWriter {
  readonly #modules: StoreWriterModules;
  #store: OrderedStore;
  #failure: WriteFailure | undefined;
  readonly #plan: { readonly compactBytes: number };
  #deleted: DeletedRecords | undefined;
  #isMergeDue = false;
  #compacting: Promise<void> | undefined;

  /** `compactBytes`: of deleted records, before the store is asked to give their disk back. Read each time: it grows with the disk budget. */
  constructor(store: OrderedStore, plan: { readonly compactBytes: number }, modules: StoreWriterModules) {
    this.#store = store;
    this.#plan = plan;
    this.#modules = modules;
  }

  /** For reading. After a refused write it is another object. */
  get store(): OrderedStore {
    return this.#store;
  }

  /** Why no write is taken now: the pause after a refused one has not passed. */
  get refusal(): CodedError | undefined {
    return this.#failure !== undefined && this.#modules.clock.monotonicMs() < this.#failure.retryAtMs ? writeFailed(this.#failure.cause) : undefined;
  }

  /** Why the last write was refused; undefined again once the store was opened again. */
  get failure(): CodedError | undefined {
    return this.#failure === undefined ? undefined : writeFailed(this.#failure.cause);
  }

  /** Throws `HEAD_WRITE_FAILED`; then `apply` may still run later, when the reopened store turns out to hold the write. */
  async write({ ops, sizeBytes = 0, probe, apply }: StoreWrite): Promise<void> {
    assert(this.#failure === undefined, "no write before the store was opened again");
    try {
      await this.#store.batch(ops, { isSynced: true, sizeBytes });
    } catch (cause) {
      this.#modules.logger.error("the head's store refused a write", { error: cause });
      this.#failure = { cause, doubt: { probe, apply }, retryAtMs: this.#modules.clock.monotonicMs() + RETRY_PAUSE_MS };
      throw writeFailed(cause);
    }
    apply();
  }

  /** A write outside `write` was refused: the store is opened again before the next one. */
  distrust(cause: unknown): void {
    this.#failure = { cause, doubt: undefined, retryAtMs: this.#modules.clock.monotonicMs() };
  }

  /** Call before each write: opens the store again where the last one was refused. */
  async prepare(): Promise<"ready" | "reopened" | CodedError> {
    const failure = this.#failure;
    if (failure === undefined) return "ready";
    const { clock, logger, opener } = this.#modules;
    if (clock.monotonicMs() < failure.retryAtMs) return writeFailed(failure.cause);
    try {
      await this.#compacting;
      await this.#store.close().catch(() => undefined); // it may be closed already, after a try that failed
      const { store } = await opener.open({ isRepairing: false });
      this.#store = store;
      if (failure.doubt !== undefined) {
        const { key, isApplied } = failure.doubt.probe;
        if (isApplied(await store.get(key))) failure.doubt.apply();
      }
      this.#failure = undefined;
      logger.info("the head's store takes writes again");
      return "reopened";
    } catch (cause) {
      logger.error("the head's store could not be opened again", { error: cause });
      this.#failure = { ...failure, cause, retryAtMs: clock.monotonicMs() + RETRY_PAUSE_MS };
      return writeFailed(cause);
    }
  }

  /** LevelDB gives deleted records' disk back only when it compacts them: asked for after each `compactBytes`, one at a time. */
  reclaim(deleted: DeletedRecords): void {
    const before = this.#deleted;
    this.#deleted = {
      bytes: (before?.bytes ?? 0) + deleted.bytes,
      firstSeq: Math.min(before?.firstSeq ?? deleted.firstSeq, deleted.firstSeq),
      lastSeq: Math.max(before?.lastSeq ?? deleted.lastSeq, deleted.lastSeq),
    };
    this.#compactIfDue();
  }

  get isCompacting(): boolean {
    return this.#compacting !== undefined;
  }

  /** Compacts the whole store: it holds more dead bytes than `reclaim` was told of. */
  reclaimAll(): void {
    this.#isMergeDue = true;
    this.#compactIfDue();
  }

  #compactIfDue(): void {
    if (this.#compacting !== undefined) return; // called again when the one under way ends: the next seal may be far off
    const deleted = this.#deleted;
    let range: KeyRange;
    if (this.#isMergeDue) range = EVERYTHING;
    else if (deleted !== undefined && deleted.bytes >= this.#plan.compactBytes) range = recordsBetween(deleted.firstSeq, deleted.lastSeq);
    else return;
    this.#isMergeDue = false;
    this.#deleted = undefined;
    let isDone = false;
    this.#compacting = this.#store
      .compact(range)
      .then(() => {
        isDone = true;
      })
      .catch((error: unknown) => this.#modules.logger.warn("the head's store could not be compacted", { error }))
      .finally(() => {
        this.#compacting = undefined;
        // After a refusal (the store was closed under it, the disk is full) the next seal asks again.
        if (isDone) this.#compactIfDue();
      });
  }

  /** Rewrites the store without what it cannot read. */
  async repair(): Promise<void> {
    const { logger, opener } = this.#modules;
    try {
      await this.#store.close();
      await opener.repair();
    } catch (error) {
      logger.error("the head's store could not be repaired", { error });
    }
    this.#store = (await opener.open({ isRepairing: true })).store;
  }

  async close(): Promise<void> {
    await this.#compacting;
    await this.#store.close().catch((error: unknown) => this.#modules.logger.warn("the head's store did not close cleanly", { error }));
  }
}

/** Opening the store replays LevelDB's log (up to 96 MiB), so it is not tried more often. */
const RETRY_PAUSE_MS = 1000;
/** Holds every key. */
const EVERYTHING: KeyRange = { from: Uint8Array.of(0), to: Uint8Array.of(0xff, 0xff, 0xff, 0xff) };

interface WriteFailure {
  readonly cause: unknown;
  /** The write whose fate is unknown. */
  readonly doubt: Pick<StoreWrite, "probe" | "apply"> | undefined;
  readonly retryAtMs: number;
}

export interface DeletedRecords {
  readonly bytes: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

function writeFailed(cause: unknown): CodedError {
  return unavailable("HEAD_WRITE_FAILED", `the disk refused a write (${messageOf(cause)}): nothing was acknowledged, try again`, cause);
}
