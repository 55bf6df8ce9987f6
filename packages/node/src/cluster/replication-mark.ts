/**
 * Keeps what this node's membership knows of the bucket's replication true (design 5.6): reads it at the start, with each LIST and every minute, and puts a
 * higher one before membership lets it take force.
 *
 *   read ──► noteBucketReplication ──► wantedReplication? ──put──► read again
 *
 * What must stay true: what is noted was read from the bucket, so an operator's lower value is seen, and a put whose outcome is unknown is not taken for done. A lower
 * value than the one before counts only when a second read, well after the first, shows it too: one LIST of a bucket may be late, and under a lower value
 * this node would say that it holds records under fewer acks.
 */
import { messageOf } from "@pyromesh/base";
import type { Clock, Logger, Timer } from "@pyromesh/base";
import { putReplication, readReplication } from "@pyromesh/block";
import type { Bucket } from "@pyromesh/block";

/** Also where no LIST comes: an operator's lower value is in force within two minutes. */
const INTERVAL_MS = 60_000;
/** Between the two reads that a lower value needs: longer than a LIST is late. */
const LOWER_MS = 30_000;
/** While the bucket was never read, which keeps pushes out, or a value waits to be put. */
const RETRY_MS = 2_000;

/** What the mark needs of membership. */
export interface MarkedMembership {
  /** What the bucket should say and does not. */
  readonly wantedReplication: number | undefined;
  /** What was noted last, in this process or an earlier one; undefined: nothing was. */
  readonly bucketReplication: number | undefined;
  noteBucketReplication(replication: number): void;
  onChange(listener: () => void): () => void;
}

export interface ReplicationMarkModules {
  /** Refuses a put where it is not the right bucket (background/guarded-bucket.ts). */
  readonly bucket: Bucket;
  readonly membership: MarkedMembership;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ReplicationMark {
  readonly #modules: ReplicationMarkModules;
  readonly #stopped = new AbortController();
  #syncing: Promise<void> | undefined;
  #timer: Timer | undefined;
  #isRead = false;
  /** When a read first showed less than is known; undefined: the last one did not. */
  #lowerSinceMs: number | undefined;
  #unfollow: () => void = () => {};

  constructor(modules: ReplicationMarkModules) {
    this.#modules = modules;
  }

  start(): void {
    const { membership } = this.#modules;
    this.#unfollow = membership.onChange(() => {
      if (this.#isRead && membership.wantedReplication !== undefined) void this.sync();
    });
    void this.sync();
  }

  stop(): void {
    this.#unfollow();
    this.#timer?.cancel();
    this.#stopped.abort();
  }

  /** Reads it, and puts what is wanted. Never rejects: what fails is tried again. Callers at the same time share one. */
  sync(): Promise<void> {
    return (this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = undefined;
      this.#syncLater();
    }));
  }

  async #sync(): Promise<void> {
    const { bucket, clock, logger, membership } = this.#modules;
    const { signal } = this.#stopped;
    try {
      this.#note(await readReplication(bucket, signal));
      this.#isRead = true;
      const wanted = membership.wantedReplication;
      if (wanted === undefined) return;
      await putReplication(bucket, wanted, clock.nowMs(), signal);
      this.#note(await readReplication(bucket, signal));
      logger.info("the replication in the bucket rose", { replication: wanted });
    } catch (error) {
      if (!signal.aborted) logger.warn("the replication in the bucket could not be read or raised; it is tried again", { reason: messageOf(error) });
    }
  }

  #note(replication: number): void {
    const { clock, membership } = this.#modules;
    const { bucketReplication: known } = membership;
    if (known !== undefined && replication < known) {
      this.#lowerSinceMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - this.#lowerSinceMs < LOWER_MS) return;
    }
    this.#lowerSinceMs = undefined;
    membership.noteBucketReplication(replication);
  }

  #syncLater(): void {
    if (this.#stopped.signal.aborted) return;
    const { clock, membership } = this.#modules;
    this.#timer?.cancel();
    this.#timer = clock.after(this.#lowerSinceMs !== undefined ? LOWER_MS : this.#isRead && membership.wantedReplication === undefined ? INTERVAL_MS : RETRY_MS, () => void this.sync());
  }
}
