/**
 * Tells the other members of this store's segments when they are sealed and when they are uploaded, and takes in what they tell. It only makes things quicker: who hears nothing finds
 * the object by a LIST, or is told in a query.
 *
 *   a segment changes ──▶ each member's queue ──▶ one message at a time, of all that queued meanwhile
 *   a member appears, or this node was taken for dead ──▶ all that waits here for its upload, since no LIST shows it
 *
 * Bound: `QUEUE_COUNT_MAX` segments for each member; at the bound the oldest is dropped. A message that fails is not sent again.
 */
import { messageOf } from "@pyromesh/base";
import type { Counter, Logger, Metrics } from "@pyromesh/base";
import type { Catalog, HeardObject } from "@pyromesh/block";
import type { ClusterView, Member } from "@pyromesh/ring";
import { ANNOUNCED_COUNT_MAX, openAnnouncement, packAnnouncement } from "../cluster/announce-message.ts";
import type { Cluster } from "../cluster/ports.ts";

export interface AnnouncerModules {
  readonly cluster: Pick<Cluster, "onChange" | "peers" | "view">;
  readonly catalog: Pick<Catalog, "addByMeta" | "forgetHeardFrom">;
  /** Segments that wait here for their upload. */
  readonly waiting: () => readonly HeardObject[];
  /** The catalog has learned of these objects of the bucket. */
  readonly onLearned: (keys: readonly string[]) => void;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const QUEUE_COUNT_MAX = 2_000;
const TIMEOUT_MS = 5_000;
const NOTHING = new Uint8Array(0);

interface Queue {
  /** By key, the oldest first. */
  readonly segments: Map<string, HeardObject>;
  isSending: boolean;
}

export class Announcer {
  readonly #modules: AnnouncerModules;
  readonly #stopped = new AbortController();
  /** By member name. */
  readonly #queues = new Map<string, Queue>();
  /** The members that were told of all that waits: boot and state by name. */
  #told = new Map<string, string>();
  #selfIncarnation: number;
  #endListening: () => void = () => {};
  readonly #refused: Counter;

  constructor(modules: AnnouncerModules) {
    this.#modules = modules;
    this.#selfIncarnation = modules.cluster.view.self.incarnation;
    this.#refused = modules.metrics.counter("pyromesh_announcements_refused_total", "Segments that a member told of and that were not taken into the catalog, by code.", ["code"]);
  }

  start(): void {
    const { cluster } = this.#modules;
    cluster.peers.handle("announce", ({ storeId }, body) => {
      this.#take(openAnnouncement(body), storeId);
      return Promise.resolve(NOTHING);
    });
    this.#endListening = cluster.onChange((view) => this.#onView(view));
    this.#onView(cluster.view);
  }

  stop(): void {
    this.#endListening();
    this.#stopped.abort();
  }

  /** In the turn in which the segment changes; it is sent soon. */
  announce(segment: HeardObject): void {
    for (const { name } of this.#others()) this.#enqueue(name, [segment]);
  }

  #others(): Member[] {
    const { members, self } = this.#modules.cluster.view;
    return members.filter(({ name, state }) => name !== self.name && state !== "dead");
  }

  #onView({ lostStores, self }: ClusterView): void {
    const { catalog, waiting } = this.#modules;
    // What waits at a store that is lost cannot be read. When the store comes back, it tells of it again.
    for (const { storeId } of lostStores) catalog.forgetHeardFrom({ storeId });
    // A member that refuted its death was forgotten in this way by others.
    if (self.incarnation !== this.#selfIncarnation) this.#told.clear();
    this.#selfIncarnation = self.incarnation;
    const before = this.#told;
    this.#told = new Map(this.#others().map(({ name, bootId, incarnation }) => [name, `${bootId}/${incarnation}`]));
    for (const [name, what] of this.#told) if (before.get(name) !== what) this.#enqueue(name, waiting().slice(-QUEUE_COUNT_MAX));
    for (const name of this.#queues.keys()) if (!this.#told.has(name)) this.#queues.delete(name);
  }

  #enqueue(member: string, segments: readonly HeardObject[]): void {
    if (segments.length === 0) return;
    let queue = this.#queues.get(member);
    if (queue === undefined) this.#queues.set(member, (queue = { segments: new Map(), isSending: false }));
    for (const segment of segments) {
      queue.segments.delete(segment.key);
      queue.segments.set(segment.key, segment);
    }
    for (const oldest of queue.segments.keys()) {
      if (queue.segments.size <= QUEUE_COUNT_MAX) break;
      queue.segments.delete(oldest);
    }
    if (!queue.isSending) void this.#send(member, queue);
  }

  async #send(member: string, queue: Queue): Promise<void> {
    const { cluster, logger } = this.#modules;
    queue.isSending = true;
    // What else this turn brings goes with it.
    await Promise.resolve();
    while (queue.segments.size > 0 && !this.#stopped.signal.aborted) {
      const batch = [...queue.segments.values()].slice(0, ANNOUNCED_COUNT_MAX);
      for (const { key } of batch) queue.segments.delete(key);
      try {
        await cluster.peers.request(member, "announce", packAnnouncement(batch), { timeoutMs: TIMEOUT_MS, signal: this.#stopped.signal });
      } catch (error) {
        logger.debug("a member was not told of segments", { member, segments: batch.length, reason: messageOf(error) });
      }
    }
    queue.isSending = false;
  }

  #take(segments: readonly HeardObject[], storeId: string): void {
    const { catalog, logger, onLearned } = this.#modules;
    const learned: string[] = [];
    for (const segment of segments) {
      const outcome = catalog.addByMeta(segment, { storeId });
      if (outcome.kind === "refused") {
        this.#refused.add({ code: outcome.code });
        logger.debug("a segment that a member told of was not taken into the catalog", { key: segment.key, store: storeId, code: outcome.code, reason: outcome.because });
      } else if (outcome.kind !== "known" && segment.isUploaded) {
        learned.push(segment.key);
      }
    }
    if (learned.length > 0) onLearned(learned);
  }
}
