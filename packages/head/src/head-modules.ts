/** The options and modules of a head, and what it reports to its listeners and callers. */
import type { Clock, Logger, Metrics, Random } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import type { DiskUse } from "./disk/disk-budget.ts";
import type { DiskPlan } from "./disk/disk-plan.ts";
import type { StoreOpener } from "./entries/store.ts";
import type { Checkpoint } from "./recovery/checkpoint.ts";
import type { VersionMark } from "./recovery/format-file.ts";
import type { Cut } from "./state/cut.ts";
import type { SealedSegment } from "./state/sealing.ts";
import type { OrdinalName } from "./state/store-identity.ts";
import type { AtomicFile } from "@pyromesh/base";
import type { QueueLimits } from "./store/write-queue.ts";

/** Past `queueBytesMax` an append is refused with `HEAD_BUSY`. */
export interface HeadOptions extends Partial<QueueLimits> {
  /** The configured budget: what the head's folders hold at most; an append that could take them past it is refused with `HEAD_FULL`. */
  readonly diskBudgetBytes: number;
  /** What the disk allows of it at the start; it rises while the node runs (`measureFree`). Absent: all of it. */
  readonly inForceBytes?: number;
  /** How the budget in force is shared between records and what LevelDB needs beside them. Absent: all of it is for records. */
  readonly diskPlan?: DiskPlan;
  /** What the folders held just before. Absent: they are measured at the end of the replay, which takes seconds where thousands of segments wait. */
  readonly diskUse?: DiskUse;
  /** How long after its append, or its replay, a record is due: how long stores of lower ranks are given to flush it. */
  readonly dueAfterMs?: number;
}

export interface HeadModules {
  readonly opener: StoreOpener;
  readonly checkpoint: Checkpoint;
  readonly quarantineFile: AtomicFile;
  /** Which versions of formats the data directory may hold; asked once. `isFresh`: it held nothing before. Absent: all of them. */
  readonly versionsOf?: (store: { readonly isFresh: boolean }) => VersionMark;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Measures what the folders hold. Absent: the budget counts records and sealed segments only. */
  readonly measureDisk?: () => Promise<DiskUse>;
  /** Bytes that are free on the disk of the folders, so that a budget which the disk allows only in part rises as space comes back. Never rejects; undefined: not known. */
  readonly measureFree?: () => Promise<number | undefined>;
  /** Called after a commit is durable and before any append of it resolves. Must not throw. */
  readonly onCommitted?: (entries: readonly CommittedRecord[]) => void;
  /**
   * Called in the turn of the event loop in which the head applies the change. That may be late: a write that the store refused may
   * turn out to have been kept. So what a listener keeps beside the head never differs from the head. They must not throw.
   */
  readonly onCut?: (cut: Cut) => void;
  readonly onSealed?: (sealed: SealedCut) => void;
  readonly onRenamed?: (renamed: RenamedSegment) => void;
  /** Records left by `release`: their identities in latin1, 16 characters each. */
  readonly onReleased?: (identityKeys: readonly string[]) => void;
}

export interface CommittedRecord {
  readonly seq: number;
  /** This store's place among those that keep it. A record of a rank above 0 need not be interned before someone asks for it. */
  readonly rank: number;
  readonly record: EncodedRecord;
}

/** A segment to seal: its key holds the ordinal that it takes. */
export interface NewSegment extends SealedSegment, OrdinalName {}

export interface SealedCut {
  readonly cutId: number;
  readonly segments: readonly SealedSegment[];
}

/** A sealed segment that has another key from now on. */
export interface RenamedSegment {
  readonly fromKey: string;
  readonly segment: SealedSegment;
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
  /** Of the open records those of rank 0, which are this store's to flush. */
  readonly ownOpenBytes: number;
  readonly ownOpenCount: number;
  /** How long ago the first of these came since none was open (or since this start), by the monotonic clock; undefined: none is. */
  readonly ownOpenAgeMs: number | undefined;
  readonly cutBytes: number;
  readonly cutCount: number;
  readonly sealedBytes: number;
  readonly queuedBytes: number;
  /** Records and sealed segments: what is known to be kept on disk. */
  readonly diskBytes: number;
}
