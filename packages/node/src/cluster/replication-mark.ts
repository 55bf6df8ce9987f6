/**
 * Keeps what this node's membership knows of the bucket's replication true (design 5.6): reads it at the start, with each LIST and every minute, and puts a
 * higher one before membership lets it take force. Where another member is known to hold records under more acks than the last read explains, it is read at once: until then
 * that member refuses what this node sends it under fewer.
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
import { majorityOf } from "@pyromesh/ring";
import type { ClusterView } from "@pyromesh/ring";

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
  /** `--replication` of this node. */
  readonly replicationSetting: number;
  noteBucketReplication(replication: number): void;
  onChange(listener: (view: Pick<ClusterView, "members">) => void): () => void;
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
  /** The most acks of a member's entry for which the bucket was read before its time: once each, whatever the read showed. */
  #readForAcks = 0;
  #unfollow: () => void = () => {};

  constructor(modules: ReplicationMarkModules) {
    this.#modules = modules;
  }

  start(): void {
    const { membership } = this.#modules;
    this.#unfollow = membership.onChange(({ members }) => {
      if (!this.#isRead) return;
      if (this.#isHigherElsewhere(members)) void this.#syncAgain();
      else if (membership.wantedReplication !== undefined) void this.sync();
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

  /** Another member declares only what it has read in the bucket: a read that begins now shows it, and one that is under way may not. */
  async #syncAgain(): Promise<void> {
    await this.#syncing;
    await this.sync();
  }

  #isHigherElsewhere(members: ClusterView["members"]): boolean {
    let acks = 0;
    for (const { acksHeld } of members) acks = Math.max(acks, acksHeld);
    if (acks <= this.#readForAcks || acks <= majorityOf(this.#modules.membership.bucketReplication ?? 0)) return false;
    this.#readForAcks = acks;
    return true;
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
    const { clock, logger, membership } = this.#modules;
    const { bucketReplication: known, replicationSetting: setting } = membership;
    if (known !== undefined && replication < known) {
      this.#lowerSinceMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - this.#lowerSinceMs < LOWER_MS) return;
    }
    this.#lowerSinceMs = undefined;
    if (known !== undefined && replication < known) this.#readForAcks = 0;
    if (replication > setting && replication !== known) {
      logger.warn("a member was started with a higher replication than this node: the higher one is in force, as far as there are members. Give all the same", { replication, setting });
    }
    membership.noteBucketReplication(replication);
  }

  #syncLater(): void {
    if (this.#stopped.signal.aborted) return;
    const { clock, membership } = this.#modules;
    this.#timer?.cancel();
    this.#timer = clock.after(this.#lowerSinceMs !== undefined ? LOWER_MS : this.#isRead && membership.wantedReplication === undefined ? INTERVAL_MS : RETRY_MS, () => void this.sync());
  }
}
