/**
 * Has a record kept by the stores of its list: this node's head, and other members' by `append`, all at the same time.
 *
 *              ┌─► own head ──────────── synced ─┐
 *   record ────┼─► b  ──── append ────── synced ─┼──► `acks` of them: kept        the rest goes on; what fails is a hint (hints.ts)
 *              └─► c  ──── append ────── refused ┘    too few can still answer:
 *
 *                  1. others take the places of those that failed, twice at most
 *                  2. where what failed is about to pass (views differ, a link is being made anew), it is sent again, under the list of the view as it is then,
 *                     until AGAIN_WITHIN_MS are over
 *                  3. NOT_ENOUGH_ACKS, which says who did not keep it and why
 *
 * What must stay true (design 5.4): an ack is a store's own word, after its sync, in contact. Each store counts once, and one that is known as lost by
 * the time of counting does not count. Nor does one that the latest list does not name, whatever it said before: the stores of a list refuse it where it
 * names one that they know as lost, and so vouch for each other (docs/decisions/0019-a-push-over-stores.md, 2). A hint is never an ack.
 *
 * Bounded: by what senders queue (append-sender.ts) and by the head's queue; a record has at most ROUNDS_MAX lists at once, and one more each time that it is
 * sent again. Records that wait to be sent again are at most WAITING_COUNT_MAX and WAITING_BYTES_MAX; a further one fails at once.
 */
import { CodedError, messageOf, retryDelayMs, unavailable } from "@pyromesh/base";
import type { Clock, Counter, Metrics } from "@pyromesh/base";
import type { Caller } from "@pyromesh/api";
import type { EncodedRecord } from "@pyromesh/profile";
import { majorityOf } from "@pyromesh/ring";
import { Sending } from "../cluster/append-sender.ts";
import type { AppendSenders } from "../cluster/append-senders.ts";
import type { Cluster } from "../cluster/ports.ts";
import type { Placed, PlacedRank, Placement } from "./placement.ts";

/** The first list, and those with others in the places of members that failed. */
const ROUNDS_MAX = 3;
/**
 * So long after its stores first were too few a record is sent again. Verdicts of death, refutations and new stores are known everywhere within a second, links are
 * made anew within one, and a client that is refused would send it again after RETRY_AFTER_SECONDS, if it does.
 */
const AGAIN_WITHIN_MS = 2_000;
const AGAIN_PAUSE = { firstMs: 100, maxMs: 500 };
/** Each holds memory that the workers lend (compute/buffer-pool.ts), which has a bound of its own; at these two, others still find some of it. */
const WAITING_COUNT_MAX = 1_024;
const WAITING_BYTES_MAX = 16 * 2 ** 20;
/** Of a refusal for want of acks: by then a member that was lost is known as such, and lists leave it out. */
const RETRY_AFTER_SECONDS = 1;
/**
 * Failures that may pass by themselves in a moment: views that differ, contact, links. Who is full or busy is not asked again: that would make it worse, and the
 * client is to slow down. Nor is who says what is wrong with the record.
 */
const PASSING_CODES: ReadonlySet<string> = new Set([
  ...["STORE_LOST", "STORE_NOT_LISTED", "ACKS_TOO_FEW", "NODE_NOT_ACTIVE", "NOT_TAKING_WRITES", "OUT_OF_CONTACT"],
  ...["PEER_UNREACHABLE", "PEER_SILENT", "PEER_TIMEOUT"],
]);

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
  readonly #againWithinMs: number;
  readonly #modules: ReplicatorModules;
  readonly #acksByRank: Counter;
  readonly #failures: Counter;
  readonly #again: Counter;
  /** Of records that wait to be sent again. */
  #waitingCount = 0;
  #waitingBytes = 0;

  constructor({ againWithinMs = AGAIN_WITHIN_MS }: { readonly againWithinMs?: number }, modules: ReplicatorModules) {
    this.#againWithinMs = againWithinMs;
    this.#modules = modules;
    this.#acksByRank = modules.metrics.counter("pyromesh_push_acks_total", "Stores that said that they keep a record of a push, by their rank.", ["rank"]);
    this.#failures = modules.metrics.counter("pyromesh_push_ack_failures_total", "Stores that did not keep a record of a push that was sent to them, by the code of the reason.", ["reason"]);
    this.#again = modules.metrics.counter("pyromesh_push_records_sent_again_total", "Times that a record was sent again within its push, because too few stores kept it and that was about to pass.");
  }

  /** `caller` ends the waiting where it leaves. */
  keep(record: EncodedRecord, caller: Caller): Keeping {
    const { head, placement } = this.#modules;
    const placed = placement.of(record);
    if (placed.ranks.length === 1 && placed.acks === 1 && placed.ranks[0]!.isSelf) return { kept: head.append(record, placed.stores), unread: undefined };
    return new Replication(record, placed, caller, this.#modules, this);
  }

  get againWithinMs(): number {
    return this.#againWithinMs;
  }

  /** False: too many wait to be sent again. Each that may is given back by `endWait`. */
  mayWait(sizeBytes: number): boolean {
    if (this.#waitingCount >= WAITING_COUNT_MAX || this.#waitingBytes + sizeBytes > WAITING_BYTES_MAX) return false;
    this.#waitingCount++;
    this.#waitingBytes += sizeBytes;
    return true;
  }

  endWait(sizeBytes: number): void {
    this.#waitingCount--;
    this.#waitingBytes -= sizeBytes;
  }

  countAgain(): void {
    this.#again.add({});
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
  readonly #caller: Caller;
  readonly #modules: ReplicatorModules;
  readonly #counts: Replicator;
  readonly #sendings: Sending[] = [];
  /** The latest list. */
  #placed: Placed;
  /** Store ids that keep it. */
  readonly #acked = new Set<string>();
  /** Store ids that have been sent it and have not answered. */
  readonly #open = new Set<string>();
  /** By store id: why it does not keep it, as it said last. Each is told to `onUnkept` once. */
  readonly #failures = new Map<string, Failure>();
  /** Store ids that it was sent to. */
  readonly #asked = new Set<string>();
  #isKeptHere = false;
  #round = 0;
  #isAnswered = false;
  /** It waits to be sent again. */
  #isWaiting = false;
  /** By the monotonic clock: no longer does it wait. Set when it first did, and then its bytes are counted (`Replicator.mayWait`). */
  #waitUntilMs: number | undefined;
  #waitCount = 0;
  #resolve!: () => void; // both are set by the promise, at once
  #reject!: (error: CodedError) => void;

  constructor(record: EncodedRecord, placed: Placed, caller: Caller, modules: ReplicatorModules, counts: Replicator) {
    this.#record = record;
    this.#placed = placed;
    this.#caller = caller;
    this.#modules = modules;
    this.#counts = counts;
    this.kept = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#send(placed);
  }

  /** Sends it to those of the list that neither keep it nor have yet to answer. */
  #send(placed: Placed): void {
    this.#round++;
    // A list of fewer stores than its acks is malformed: nobody would take it.
    if (placed.ranks.length < placed.acks) return this.#judge();
    this.#placed = placed;
    const { senders } = this.#modules;
    const added = placed.ranks.filter(({ storeId }) => !this.#acked.has(storeId) && !this.#open.has(storeId));
    const answeringCount = added.filter(({ member, isSelf }) => isSelf || senders.of(member).isAnswering).length;
    const isForced = this.#ackCount + answeringCount < placed.acks;
    // All are open before the first fails, which it may do at once.
    for (const { storeId } of added) {
      this.#asked.add(storeId);
      this.#open.add(storeId);
    }
    for (const rank of added) {
      if (this.#isAnswered) return; // too few were left, and the bytes are the lender's again
      if (rank.isSelf) this.#keepHere(placed, rank);
      else this.#sendTo(placed, rank, isForced);
    }
    if (added.length === 0) this.#judge();
  }

  #keepHere(placed: Placed, rank: PlacedRank): void {
    const { cluster, head } = this.#modules;
    this.#isKeptHere = true;
    const appended = head.append(this.#record, placed.stores).then(
      async ({ keptStores }) => {
        if (!cluster.isInContact) await cluster.contact();
        this.#ended(placed, rank, this.#lateRefusal(placed, rank, keptStores));
      },
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
    this.#open.delete(rank.storeId);
    if (failure === undefined) {
      this.#acked.add(rank.storeId);
      this.#failures.delete(rank.storeId);
      this.#counts.countAck(ranks.indexOf(rank));
    } else {
      this.#failures.set(rank.storeId, { rank, error: failure });
      this.#counts.countFailure(failure.code);
      if (this.#isAnswered) this.#tellUnkept();
    }
    if (!this.#isAnswered) this.#judge();
  }

  /** Decides whether enough stores keep it, or may yet. */
  #judge(): void {
    const { acks, ranks } = this.#placed;
    const count = this.#ackCount;
    if (count >= acks && ranks.length >= acks) return this.#answer(undefined);
    if (count + this.#countOf(this.#open) >= acks || this.#isWaiting) return;
    const failures = [...this.#failures.values()];
    const invalid = failures.find(({ error }) => error.kind === "invalid_argument");
    if (invalid !== undefined) return this.#answer(invalid.error);
    if (this.#round < ROUNDS_MAX) {
      const next = this.#modules.placement.without(this.#record, new Set(failures.map(({ rank }) => rank.member)));
      if (next.ranks.length >= next.acks && next.ranks.some(({ storeId }) => !this.#asked.has(storeId))) return this.#send(next);
    }
    if (this.#mayWait()) void this.#sendAgain();
    else this.#answer(this.#tooFew());
  }

  /** Whether enough stores may keep it in a moment: those that do, those that have yet to answer, and those whose failure is about to pass. */
  #mayWait(): boolean {
    const { acks, ranks } = this.#placed;
    const passing = ranks.filter(({ storeId }) => !this.#acked.has(storeId) && PASSING_CODES.has(this.#failures.get(storeId)?.error.code ?? ""));
    if (ranks.length >= acks && this.#ackCount + this.#countOf(this.#open) + passing.length < acks) return false;
    const nowMs = this.#modules.clock.monotonicMs();
    if (this.#waitUntilMs === undefined) {
      if (this.#counts.againWithinMs === 0 || !this.#counts.mayWait(this.#record.bytes.length)) return false;
      this.#waitUntilMs = nowMs + this.#counts.againWithinMs;
    }
    return nowMs < this.#waitUntilMs && !isGone(this.#caller);
  }

  /** Under the list of the view as it is after a pause. What is still on its way may come meanwhile, and be enough. */
  async #sendAgain(): Promise<void> {
    const { clock, cluster, placement } = this.#modules;
    this.#isWaiting = true;
    await clock.sleep(retryDelayMs(++this.#waitCount, AGAIN_PAUSE));
    const isInContact = cluster.isInContact || (await cluster.contact());
    this.#isWaiting = false;
    if (this.#isAnswered) return;
    if (!isInContact || isGone(this.#caller)) return this.#answer(this.#tooFew());
    this.#counts.countAgain();
    this.#round = ROUNDS_MAX;
    this.#send(placement.of(this.#record));
  }

  get #ackCount(): number {
    return this.#countOf(this.#acked);
  }

  /** So many of these stores does the latest list name, and this node does not know them as lost. */
  #countOf(stores: ReadonlySet<string>): number {
    const { cluster } = this.#modules;
    let count = 0;
    for (const store of stores) if (this.#placed.ranks.some(({ storeId }) => storeId === store) && !cluster.isLost(store)) count++;
    return count;
  }

  /** The lender gets the bytes back: what still waits for a sender gets a copy. */
  #answer(error: CodedError | undefined): void {
    this.#isAnswered = true;
    if (this.#waitUntilMs !== undefined) this.#counts.endWait(this.#record.bytes.length);
    for (const sending of this.#sendings) sending.keepOwnBytes();
    this.#tellUnkept();
    if (error === undefined) this.#resolve();
    else this.#reject(error);
  }

  #tellUnkept(): void {
    if (!this.#isKeptHere) return;
    for (const { rank } of this.#failures.values()) if (!rank.isSelf) this.#modules.onUnkept(this.#record.identity, rank.member);
    this.#failures.clear();
  }

  #tooFew(): CodedError {
    const { acks, ranks } = this.#placed;
    const failures = [...this.#failures.values()];
    if (this.#asked.size === 0) return unavailable("NOT_ENOUGH_MEMBERS", `a record is kept by ${acks} stores at least, and ${ranks.length === 1 ? "1 member" : `${ranks.length} members`} can keep records now: see /members, and try again`);
    const reasons = failures.map(({ rank, error }) => (error.message.startsWith(`${rank.member} `) ? error.message : `${rank.isSelf ? "this node" : rank.member}: ${error.message}`)).join("; ");
    const count = this.#ackCount;
    return new CodedError({
      code: "NOT_ENOUGH_ACKS",
      kind: "unavailable",
      message: `${count} of the ${this.#asked.size} stores that it was sent to keep it so far, and ${acks} must: ${reasons}; send it again, it counts once`,
      details: { retryAfterSeconds: RETRY_AFTER_SECONDS, ackCount: count },
      cause: failures[0]?.error,
    });
  }
}

function isGone(caller: Caller): boolean {
  try {
    caller.throwIfAborted();
    return false;
  } catch {
    return true;
  }
}
