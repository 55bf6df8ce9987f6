/**
 * Hints: which records of this node's head a store of their list has not said to keep. They are sent to it again once its member answers.
 *
 *   a push's rank failed ──► hint (member, identity) ──► its member answers ──► the head's record, under its own list ──► kept: done
 *                                     │                                                                              └──► try again later
 *                                     └── the head has the record no more (it is in the bucket), the store is lost or another: done
 *
 * So a record that was kept by too few stores, and whose push was refused, is spread to as many as it was meant for (design 5.5), and one that lacks a rank gets
 * it. Where the member does not come back before the flush, the flush makes up for it: a dead store's records are healed by the bucket.
 *
 * What must stay true: a hint is never an ack, and no answer waits for one. The bytes stay in the head; a node that keeps no copy has no hint.
 *
 * Bounded: `countMax` hints of all members together, beyond which further ones are dropped and counted.
 */
import { retryDelayMs } from "@pyromesh/base";
import type { Clock, CodedError, Counter, Logger, Metrics, Timer } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { majorityOf } from "@pyromesh/ring";
import { Sending } from "../cluster/append-sender.ts";
import type { AppendSenders } from "../cluster/append-senders.ts";
import type { Cluster } from "../cluster/ports.ts";

/** 6 MB of memory. At 1000 records a second, a minute of records that one member of three missed. */
const COUNT_MAX = 65_536;
/** Records read from the head and sent together. */
const CHUNK_COUNT = 64;
const PAUSE = { firstMs: 1_000, maxMs: 30_000 };
/** To send it again would have the same outcome. */
const FINAL_CODES: ReadonlySet<string> = new Set(["STORE_NOT_LISTED", "STORE_LOST", "BELOW_FLOOR", "CORRUPTION", "TENANT_ID_INVALID", "NODE_NOT_ACTIVE", "RECORD_TOO_LARGE"]);

/** What hints need of the head. */
export interface HintedRecords {
  /** Undefined: the head does not hold it. */
  entry(identity: Uint8Array): { readonly stores: readonly Uint8Array[] } | undefined;
  readRecord(identity: Uint8Array): Promise<EncodedRecord | undefined>;
}

export interface HintsModules {
  readonly cluster: Cluster;
  readonly head: HintedRecords;
  readonly senders: AppendSenders;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Of one member. */
interface Waiting {
  /** Identities in latin1, 16 characters each, the oldest first. */
  readonly identities: Set<string>;
  failureCount: number;
  /** By the monotonic clock. */
  nextTryMs: number;
}

export class Hints {
  readonly #countMax: number;
  readonly #modules: HintsModules;
  readonly #waiting = new Map<string, Waiting>();
  #count = 0;
  /** Set while hints wait and nothing is being sent. */
  #timer: Timer | undefined;
  #isSending = false;
  #isStopped = false;
  readonly #ended: Counter;

  constructor({ countMax = COUNT_MAX }: { readonly countMax?: number }, modules: HintsModules) {
    this.#countMax = countMax;
    this.#modules = modules;
    const { metrics } = modules;
    metrics.gauge("pyromesh_hints", "Records that wait to be sent again to a store that was to keep them.", [], (gauge) => gauge.set({}, this.#count));
    this.#ended = metrics.counter("pyromesh_hints_ended_total", "Hints that ended: kept by the store, of no use any more, or dropped because too many waited.", ["outcome"]);
  }

  get count(): number {
    return this.#count;
  }

  /** This node keeps the record, or is about to, and `member`, whose store is in its list, has not said that it does. */
  note(identity: Uint8Array, member: string): void {
    if (this.#isStopped) return;
    if (this.#count >= this.#countMax) return this.#ended.add({ outcome: "dropped" });
    let waiting = this.#waiting.get(member);
    if (waiting === undefined) this.#waiting.set(member, (waiting = { identities: new Set(), failureCount: 0, nextTryMs: this.#modules.clock.monotonicMs() + PAUSE.firstMs }));
    const key = keyOf(identity);
    if (waiting.identities.has(key)) return;
    waiting.identities.add(key);
    this.#count++;
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#isSending || this.#isStopped || this.#count === 0) return;
    this.#timer = this.#modules.clock.after(PAUSE.firstMs, () => {
      this.#timer = undefined;
      void this.#sendDue();
    });
  }

  async #sendDue(): Promise<void> {
    this.#isSending = true;
    try {
      for (const [member, waiting] of this.#waiting) {
        if (this.#isStopped) return;
        if (waiting.nextTryMs <= this.#modules.clock.monotonicMs()) await this.#sendAllTo(member, waiting);
        if (waiting.identities.size === 0) this.#waiting.delete(member);
      }
    } catch (error) {
      this.#modules.logger.error("records could not be sent again to stores that lack them; they are tried later", { error });
    } finally {
      this.#isSending = false;
      this.#schedule();
    }
  }

  async #sendAllTo(member: string, waiting: Waiting): Promise<void> {
    const { clock, cluster, senders } = this.#modules;
    while (waiting.identities.size > 0 && !this.#isStopped) {
      const known = cluster.view.members.find(({ name }) => name === member);
      if (known === undefined || cluster.isLost(known.storeId)) return this.#endAll(waiting);
      // Pushes go first: a member that is busy with them is sent no more.
      const { isAnswering, isIdle } = senders.of(member);
      let hasFailed = known.state !== "active" || !isAnswering || !isIdle;
      if (!hasFailed) {
        const chunk = [...waiting.identities].slice(0, CHUNK_COUNT);
        const outcomes = await Promise.all(chunk.map((key) => this.#sendOne(key, known)));
        for (const [index, outcome] of outcomes.entries()) {
          if (outcome === "failed") hasFailed = true;
          else this.#end(waiting, chunk[index]!, outcome);
        }
      }
      if (hasFailed) {
        waiting.nextTryMs = clock.monotonicMs() + retryDelayMs(++waiting.failureCount, PAUSE);
        return;
      }
      waiting.failureCount = 0;
    }
  }

  async #sendOne(key: string, { name, storeId }: { readonly name: string; readonly storeId: string }): Promise<"kept" | "useless" | "failed"> {
    const { cluster, head, senders } = this.#modules;
    const identity = Buffer.from(key, "latin1");
    const stores = head.entry(identity)?.stores ?? [];
    if (!stores.some((id) => Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("hex") === storeId)) return "useless";
    const record = await head.readRecord(identity);
    if (record === undefined) return "useless";
    const acks = Math.max(majorityOf(stores.length), Math.min(cluster.view.acks, stores.length));
    const failure = await new Promise<CodedError | undefined>((resolve) => senders.of(name).send(new Sending({ stores, acks }, storeId, record.bytes, resolve), false));
    if (failure === undefined) return "kept";
    return FINAL_CODES.has(failure.code) ? "useless" : "failed";
  }

  #end(waiting: Waiting, key: string, outcome: string): void {
    if (!waiting.identities.delete(key)) return;
    this.#count--;
    this.#ended.add({ outcome });
  }

  #endAll(waiting: Waiting): void {
    for (const key of waiting.identities) this.#end(waiting, key, "useless");
  }
}

function keyOf(identity: Uint8Array): string {
  return Buffer.from(identity.buffer, identity.byteOffset, identity.byteLength).toString("latin1");
}
