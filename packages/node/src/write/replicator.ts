/**
 * Has a record kept by the stores of its list: this node's head, and other members' by `append`, all at the same time.
 *
 *              ┌─► own head ──────────── synced ─┐
 *   record ────┼─► b  ──── append ────── synced ─┼──► `acks` of them: kept        the rest goes on; what fails is a hint (hints.ts)
 *              └─► c  ──── append ────── refused ┘    too few can still answer: others take the places of those that failed, twice at most;
 *                                                     then NOT_ENOUGH_ACKS, which says who did not keep it and why
 *
 * What must stay true (design 5.4): an ack is a store's own word, after its sync, in contact. Each store counts once, and one that is known as lost by
 * the time of counting does not count. A hint is never an ack.
 *
 * Bounded: by what senders queue (append-sender.ts) and by the head's queue; a record has at most ROUNDS_MAX lists.
 */
import { CodedError, messageOf, unavailable } from "@pyromesh/base";
import type { Clock, Counter, Metrics } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { majorityOf } from "@pyromesh/ring";
import { Sending } from "../cluster/append-sender.ts";
import type { AppendSenders } from "../cluster/append-senders.ts";
import type { Cluster } from "../cluster/ports.ts";
import type { Placed, PlacedRank, Placement } from "./placement.ts";

/** The first list, and those with others in the places of members that failed. */
const ROUNDS_MAX = 3;
/** Of a refusal for want of acks: by then a member that was lost is known as such, and lists leave it out. */
const RETRY_AFTER_SECONDS = 1;

/** What the replicator needs of the head. */
export interface OwnStore {
  /** See `Head.append`: until it settles neither the record's bytes nor `stores` may change. */
  append(record: EncodedRecord, stores: readonly Uint8Array[]): Promise<{ readonly isDuplicate: boolean; readonly keptStores?: readonly Uint8Array[] }>;
}

/** Told of each other member's store that was to keep a record together with this node's, and has not said that it does. */
export type OnUnkept = (identity: Uint8Array, member: string) => void;

export interface ReplicatorModules {
  readonly cluster: Cluster;
  readonly head: OwnStore;
  readonly placement: Placement;
  readonly senders: AppendSenders;
  readonly onUnkept: OnUnkept;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** A record that is being kept. */
export interface Keeping {
  /** Resolves when enough stores have it. */
  readonly kept: Promise<unknown>;
  /** Resolves when nobody reads the record's bytes any more; undefined: once `kept` has settled. Never rejects. */
  readonly unread: Promise<unknown> | undefined;
}

export class Replicator {
  readonly #modules: ReplicatorModules;
  readonly #acksByRank: Counter;
  readonly #failures: Counter;

  constructor(modules: ReplicatorModules) {
    this.#modules = modules;
    this.#acksByRank = modules.metrics.counter("pyromesh_push_acks_total", "Stores that said that they keep a record of a push, by their rank.", ["rank"]);
    this.#failures = modules.metrics.counter("pyromesh_push_ack_failures_total", "Stores that did not keep a record of a push that was sent to them, by the code of the reason.", ["reason"]);
  }

  keep(record: EncodedRecord): Keeping {
    const { head, placement } = this.#modules;
    const placed = placement.of(record);
    if (placed.ranks.length === 1 && placed.acks === 1 && placed.ranks[0]!.isSelf) return { kept: head.append(record, placed.stores), unread: undefined };
    return new Replication(record, placed, this.#modules, this);
  }

  countAck(rank: number): void {
    this.#acksByRank.add({ rank: String(rank) });
  }

  countFailure(code: string): void {
    this.#failures.add({ reason: code });
  }
}

interface Failure {
  readonly rank: PlacedRank;
  readonly error: CodedError;
}

/** One record, until the last of its stores has answered. */
class Replication implements Keeping {
  readonly kept: Promise<void>;
  unread: Promise<unknown> | undefined;
  readonly #record: EncodedRecord;
  readonly #modules: ReplicatorModules;
  readonly #counts: Replicator;
  readonly #sendings: Sending[] = [];
  /** Store ids that keep it. */
  readonly #acked = new Set<string>();
  readonly #failures: Failure[] = [];
  /** Store ids that it was sent to. */
  readonly #asked = new Set<string>();
  #isKeptHere = false;
  #openCount = 0;
  #round = 0;
  #acks: number;
  #isAnswered = false;
  #resolve!: () => void; // both are set by the promise, at once
  #reject!: (error: CodedError) => void;

  constructor(record: EncodedRecord, placed: Placed, modules: ReplicatorModules, counts: Replicator) {
    this.#record = record;
    this.#modules = modules;
    this.#counts = counts;
    this.#acks = placed.acks;
    this.kept = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#send(placed);
  }

  /** Sends it to those of the list that have not been asked. */
  #send(placed: Placed): void {
    this.#round++;
    this.#acks = placed.acks;
    if (this.#liveAckCount + placed.ranks.length < placed.acks && this.#round === 1) {
      return this.#answer(unavailable("NOT_ENOUGH_MEMBERS", `a record is kept by ${placed.acks} stores at least, and ${placed.ranks.length} members can keep records now: see /members, and try again`));
    }
    const { senders } = this.#modules;
    const added = placed.ranks.filter(({ storeId }) => !this.#asked.has(storeId));
    const answeringCount = added.filter(({ member, isSelf }) => isSelf || senders.of(member).isAnswering).length;
    const isForced = this.#liveAckCount + answeringCount < placed.acks;
    // All are counted before the first fails, which it may do at once.
    this.#openCount += added.length;
    for (const { storeId } of added) this.#asked.add(storeId);
    for (const rank of added) {
      if (this.#isAnswered) return; // too few were left, and the bytes are the lender's again
      if (rank.isSelf) this.#keepHere(placed, rank);
      else this.#sendTo(placed, rank, isForced);
    }
    if (added.length === 0) this.#judge();
  }

  #keepHere(placed: Placed, rank: PlacedRank): void {
    this.#isKeptHere = true;
    const appended = this.#modules.head.append(this.#record, placed.stores).then(
      ({ keptStores }) => this.#ended(placed, rank, this.#lateRefusal(placed, rank, keptStores)),
      (thrown: unknown) => this.#ended(placed, rank, thrown instanceof CodedError ? thrown : unavailable("APPEND_FAILED", messageOf(thrown), thrown)),
    );
    this.unread = appended;
  }

  #sendTo(placed: Placed, rank: PlacedRank, isForced: boolean): void {
    const sending = new Sending(placed, rank.storeId, this.#record.bytes, (failure) => this.#ended(placed, rank, failure));
    this.#sendings.push(sending);
    this.#modules.senders.of(rank.member).send(sending, isForced);
  }

  /**
   * What other members' stores check after the sync holds for this one as well (append-handler.ts). That a store of the list was lost meanwhile need not be
   * asked here: this node counts no ack of a store that it knows as lost.
   */
  #lateRefusal({ acks }: Placed, { storeId }: PlacedRank, keptStores: readonly Uint8Array[] | undefined): CodedError | undefined {
    const { cluster } = this.#modules;
    const { view } = cluster;
    if (view.self.storeId !== storeId) return unavailable("STORE_NOT_LISTED", "this node took a new store id meanwhile");
    if (!cluster.isInContact) return unavailable("OUT_OF_CONTACT", "this node is out of contact with a majority of the members");
    if (acks < view.self.acksHeld || (keptStores !== undefined && majorityOf(keptStores.length) > acks)) return unavailable("ACKS_TOO_FEW", "the replication rose meanwhile");
    return undefined;
  }

  #ended({ ranks }: Placed, rank: PlacedRank, failure: CodedError | undefined): void {
    this.#openCount--;
    if (failure === undefined) {
      this.#acked.add(rank.storeId);
      this.#counts.countAck(ranks.indexOf(rank));
    } else {
      this.#failures.push({ rank, error: failure });
      this.#counts.countFailure(failure.code);
      if (this.#isAnswered) this.#tellUnkept();
    }
    if (!this.#isAnswered) this.#judge();
  }

  /** Decides whether enough stores keep it, or may yet. */
  #judge(): void {
    const count = this.#liveAckCount;
    if (count >= this.#acks) return this.#answer(undefined);
    if (count + this.#openCount >= this.#acks) return;
    const invalid = this.#failures.find(({ error }) => error.kind === "invalid_argument");
    if (invalid !== undefined) return this.#answer(invalid.error);
    if (this.#round < ROUNDS_MAX) {
      const failed = new Set(this.#failures.map(({ rank }) => rank.member));
      const next = this.#modules.placement.without(this.#record, failed);
      // A list of fewer stores than its acks is malformed: nobody would take it.
      if (next.ranks.length >= next.acks && next.ranks.some(({ storeId }) => !this.#asked.has(storeId))) return this.#send(next);
    }
    this.#answer(this.#tooFew(count));
  }

  get #liveAckCount(): number {
    const { cluster } = this.#modules;
    let count = 0;
    for (const storeId of this.#acked) if (!cluster.isLost(storeId)) count++;
    return count;
  }

  /** The lender gets the bytes back: what still waits for a sender gets a copy. */
  #answer(error: CodedError | undefined): void {
    this.#isAnswered = true;
    for (const sending of this.#sendings) sending.keepOwnBytes();
    this.#tellUnkept();
    if (error === undefined) this.#resolve();
    else this.#reject(error);
  }

  #tellUnkept(): void {
    if (!this.#isKeptHere) return;
    for (const { rank } of this.#failures.splice(0)) if (!rank.isSelf) this.#modules.onUnkept(this.#record.identity, rank.member);
  }

  #tooFew(count: number): CodedError {
    const reasons = this.#failures.map(({ rank, error }) => `${rank.isSelf ? "this node" : rank.member}: ${error.message}`).join("; ");
    return new CodedError({
      code: "NOT_ENOUGH_ACKS",
      kind: "unavailable",
      message: `${count} of the ${this.#asked.size} stores that it was sent to keep it so far, and ${this.#acks} must: ${reasons}; send it again, it counts once`,
      details: { retryAfterSeconds: RETRY_AFTER_SECONDS, ackCount: count },
      cause: this.#failures[0]?.error,
    });
  }
}
