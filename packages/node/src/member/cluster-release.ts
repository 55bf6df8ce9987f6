/**
 * The flush of a member beside its own cuts (design 7): what leaves its head because others flushed it, what it flushes in the place of others, and what it tells them.
 *
 *   matcher      objects of the bucket ──▶ records of the head that are in them are released
 *   takeover     what others should have flushed ──▶ asked for, looked for, cut
 *   announcer    this store's segments ──▶ the other members' catalogs, and theirs ──▶ this one's
 *   losses       a store is lost ──▶ what came before is flushed early, and the members are told when it is
 *   flush        of this store, and of all members (`POST /flush`)
 *   status, health   what others ask
 *   audit        what was released is in the bucket still
 *
 * Composes them and starts and stops them; a node that is alone has none of it.
 */
import type { Clock, Logger, Metrics } from "@pyromesh/base";
import type { Catalog, LocalFiles, ObjectSource, WindowRef } from "@pyromesh/block";
import type { Head } from "@pyromesh/head";
import type { Cluster } from "../cluster/ports.ts";
import { Announcer } from "./announcer.ts";
import { Audit } from "../release/audit.ts";
import { ClusterFlush } from "./cluster-flush.ts";
import { FlushDemand } from "./flush-demand.ts";
import type { Flusher } from "../background/flusher.ts";
import { HealthService } from "./health-service.ts";
import { LossFlush } from "./loss-flush.ts";
import { Matcher } from "../release/matcher.ts";
import type { SegmentMemory } from "../release/segment-memory.ts";
import { StatusService } from "./status-service.ts";
import { StoreFlush } from "./store-flush.ts";
import { Takeover } from "./takeover.ts";

export interface ClusterReleaseOptions {
  /** As the head has it. */
  readonly dueAfterMs: number;
  /** The largest cut of a takeover. Asked each time. */
  readonly cutBytesMax: () => number;
}

export interface ClusterReleaseModules {
  readonly cluster: Cluster;
  readonly head: Head;
  readonly flusher: Flusher;
  readonly catalog: Catalog;
  readonly local: LocalFiles;
  /** Reads objects wherever they lie. */
  readonly source: ObjectSource;
  /** The flusher's listener. */
  readonly segments: SegmentMemory;
  /** Lists these windows of the bucket, by LISTs that begin after the call. See `BucketLink.listWindows`. */
  readonly list: (windows: readonly WindowRef[], signal: AbortSignal) => Promise<void>;
  readonly isWritable: () => boolean;
  readonly lastRefusals?: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export class ClusterRelease {
  readonly matcher: Matcher;
  readonly storeFlush: StoreFlush;
  readonly flush: ClusterFlush;
  readonly health: HealthService;
  readonly takeover: Takeover;
  readonly #modules: ClusterReleaseModules;
  readonly #announcer: Announcer;
  readonly #audit: Audit;
  readonly #losses: LossFlush;
  readonly #status: StatusService;

  constructor(options: ClusterReleaseOptions, modules: ClusterReleaseModules) {
    this.#modules = modules;
    const { cluster, flusher, head, metrics, segments } = modules;
    const { matches: memory, releasedInto } = segments;
    const demand = new FlushDemand();
    this.#audit = new Audit({ ...modules, releasedInto });
    this.matcher = new Matcher({ ...modules, memory, releasedInto, onRelease: (object, identities) => this.#audit.noteReleased(object, identities) });
    this.takeover = new Takeover(options, { ...modules, demand, matcher: this.matcher, takeOver: (identities) => flusher.takeOver(identities) });
    const hurry = (): void => {
      this.matcher.retryNow();
      this.takeover.hurry();
    };
    this.storeFlush = new StoreFlush({ ...modules, demand, hurry });
    this.flush = new ClusterFlush({ cluster, storeFlush: this.storeFlush, clock: modules.clock });
    this.health = new HealthService({ ...modules, takeover: this.takeover });
    this.#announcer = new Announcer({ ...modules, waiting: () => flusher.sealedHere(), onLearned: (keys) => this.matcher.noteLearned(keys) });
    this.#losses = new LossFlush({
      cluster,
      demand,
      head,
      isFlushedBefore: (seq) => flusher.isFlushedBefore(seq),
      hurry: () => {
        flusher.hurry();
        hurry();
      },
    });
    this.#status = new StatusService({ ...modules, memory, releasedInto });
    metrics.gauge("pyromesh_kept_records", "Records in the head that another store is to flush.", [], (gauge) => gauge.set({}, head.stats.openCount - head.stats.ownOpenCount));
  }

  /** Answers what others ask, and begins. After the replay. */
  start(): void {
    const { cluster, flusher, segments } = this.#modules;
    this.#status.serve(cluster.peers);
    this.flush.serve();
    this.health.serve();
    segments.onSegment((segment) => {
      this.#announcer.announce(segment);
      if (segment.isUploaded) this.matcher.noteLearned([segment.key]);
    });
    flusher.onProgress(() => this.#onProgress());
    this.#announcer.start();
    this.#losses.start();
    this.takeover.start();
    this.matcher.look();
  }

  async stop(): Promise<void> {
    this.#losses.stop();
    this.#announcer.stop();
    await this.takeover.stop();
    await this.matcher.stop();
    await this.#audit.stop();
  }

  /** Nothing is held that is not in the bucket. */
  get isEmpty(): boolean {
    const { flusher, head } = this.#modules;
    return head.oldestSeq === undefined && flusher.backlog.count === 0;
  }

  /** Call it after each LIST. */
  onListed(): void {
    this.matcher.look();
    this.#audit.onListed();
  }

  /** Call it in the turn in which the head forgets records that were released (`HeadModules.onReleased`). */
  noteReleased(): void {
    this.#modules.flusher.noteReleased();
    this.#onProgress();
  }

  #onProgress(): void {
    this.storeFlush.look();
    this.#losses.look();
  }
}
