/**
 * Keeps records that other members send (`append`). Of each record the sender hears that it is kept, after the sync, or why not.
 *
 *   1. the list            names this store's id, no lost store, and no fewer acks than this node's entry; this node is active        else none of its records is looked at
 *   2. the record          its identity and fingerprint are its body's, its tenant id is one, its time lies above the tenant's floor
 *   3. head.append         resolves after the sync
 *   4. contact             waited for where it was lost a moment ago, for a second or two; then asked, as are the store's id, the lost stores and the acks in force:
 *                          any of them may have changed during the sync
 *
 * What must stay true: "kept" is said only of what is synced, under the store id that the list names, by a node in contact (design 5.4, 5.8). A
 * record that is in the head already is kept, under whatever list it came with first, unless that list promised more acks.
 *
 * Bounded: requests of one member hold at most `peerBytesMax` between their arrival and their answer. At the bound a request is refused whole; one alone is taken whatever its size.
 */
import { CodedError, messageOf, parseTenantId, toHex, unavailable } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics, TenantId } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { verifiedRecord } from "@pyromesh/profile";
import { majorityOf } from "@pyromesh/ring";
import { decodeAppend, encodeAppendAnswer } from "./append-message.ts";
import type { AppendOutcome, AppendRefusal, SentRecord, StoreList } from "./append-message.ts";
import type { Cluster, PeerIdentity } from "./ports.ts";

/** Some ten full requests: a member has fewer under way at once. */
const PEER_BYTES_MAX = 32 * 2 ** 20;

const LOG_INTERVAL_MS = 60_000;

/** What the handler needs of the head. */
export interface KeptRecords {
  append(record: EncodedRecord, stores: readonly Uint8Array[]): Promise<{ readonly keptStores?: readonly Uint8Array[] }>;
}

export interface AppendHandlerModules {
  readonly cluster: Cluster;
  readonly head: KeptRecords;
  readonly floorOf: (tenant: TenantId) => number;
  /** Why no records are taken at all, in words that end a sentence; undefined while they are. */
  readonly refusesBecause: () => string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

interface CheckedList {
  /** Of its stores, in hex. */
  readonly ids: readonly string[];
  /** Undefined: records under this list are taken now. */
  readonly refusal: AppendRefusal | undefined;
}

export class AppendHandler {
  readonly #peerBytesMax: number;
  readonly #modules: AppendHandlerModules;
  /** By the name of the member: bytes of its requests that are not answered. */
  readonly #bytesOf = new Map<string, number>();
  /** By the name of the member: when a record of it was last logged as one that it should not have sent. */
  readonly #loggedMs = new Map<string, number>();
  readonly #keptCount: Counter;
  readonly #refusedCount: Counter;

  constructor({ peerBytesMax = PEER_BYTES_MAX }: { readonly peerBytesMax?: number }, modules: AppendHandlerModules) {
    this.#peerBytesMax = peerBytesMax;
    this.#modules = modules;
    this.#keptCount = modules.metrics.counter("pyromesh_peer_records_kept_total", "Records that other members sent and that this store keeps, those that it held already among them.");
    this.#refusedCount = modules.metrics.counter("pyromesh_peer_records_refused_total", "Records that other members sent and that this store refused.", ["reason"]);
  }

  /** See `PeerHandler`. The message's bytes must not change before the promise settles. Rejects PEER_MALFORMED, APPENDS_BUSY. */
  async handle(from: PeerIdentity, message: Uint8Array): Promise<Uint8Array> {
    const before = this.#bytesOf.get(from.name) ?? 0;
    const bytes = before + message.length;
    if (before > 0 && bytes > this.#peerBytesMax) throw unavailable("APPENDS_BUSY", `${bytes} bytes of records from ${from.name} already wait for the disk of ${this.#self}`);
    this.#bytesOf.set(from.name, bytes);
    try {
      const records = decodeAppend(message);
      const checked = new Map<StoreList, CheckedList>();
      const outcomes = await Promise.all(records.map((record) => this.#keep(from, record, checked)));
      this.#count(outcomes);
      return encodeAppendAnswer({ storeId: this.#modules.cluster.view.self.storeId, outcomes });
    } finally {
      const left = this.#bytesOf.get(from.name)! - message.length; // set above
      if (left > 0) this.#bytesOf.set(from.name, left);
      else this.#bytesOf.delete(from.name);
    }
  }

  async #keep(from: PeerIdentity, { list, bytes }: SentRecord, checked: Map<StoreList, CheckedList>): Promise<AppendOutcome> {
    let known = checked.get(list);
    if (known === undefined) checked.set(list, (known = this.#check(list)));
    if (known.refusal !== undefined) return known.refusal;
    const { floorOf, head } = this.#modules;
    const { storeId } = this.#modules.cluster.view.self;
    try {
      const record = verifiedRecord(bytes, `a record of ${from.name}`);
      const floorMs = floorOf(parseTenantId(record.tenant));
      if (record.timeMs < floorMs) return { code: "BELOW_FLOOR", message: `its time, ${record.timeMs} ms after 1970, lies below the tenant's floor, ${floorMs}` };
      const { keptStores } = await head.append(record, list.stores);
      if (!this.#modules.cluster.isInContact) await this.#modules.cluster.contact();
      return this.#lateRefusal(storeId, list, known.ids, keptStores) ?? (keptStores === undefined ? "kept" : "kept-before");
    } catch (thrown) {
      const code = thrown instanceof CodedError ? thrown.code : "APPEND_FAILED";
      // A corrupt record and a tenant id that is none come from a member that is broken, or lies. The rest passes, and the sender says it.
      if (code === "CORRUPTION" || code === "TENANT_ID_INVALID" || code === "APPEND_FAILED") this.#log(from.name, thrown);
      return { code, message: messageOf(thrown) };
    }
  }

  #check(list: StoreList): CheckedList {
    const ids = list.stores.map(toHex);
    return { ids, refusal: this.#refusalOf(list, ids) };
  }

  /** Undefined: records under this list are taken now. */
  #refusalOf({ acks }: StoreList, ids: readonly string[]): AppendRefusal | undefined {
    const { cluster, refusesBecause } = this.#modules;
    const { self } = cluster.view;
    if (!ids.includes(self.storeId)) return { code: "STORE_NOT_LISTED", message: `${self.name} has the store ${self.storeId} now, which the record's list does not name: the disk is another one` };
    if (self.state !== "active") return { code: "NODE_NOT_ACTIVE", message: `${self.name} is ${self.state}, and keeps no new records` };
    const reason = refusesBecause();
    if (reason !== undefined) return { code: "NOT_TAKING_WRITES", message: `${self.name} takes no records now: ${reason}` };
    if (acks < self.acksHeld) return tooFew(self.name, acks, self.acksHeld);
    return this.#namesLost(ids);
  }

  #namesLost(ids: readonly string[]): AppendRefusal | undefined {
    const { cluster } = this.#modules;
    for (const id of ids) if (cluster.isLost(id)) return { code: "STORE_LOST", message: `the list names the store ${id}, which ${this.#self} knows as lost` };
    return undefined;
  }

  /** What must hold after the sync as well. */
  #lateRefusal(storeId: string, { acks }: StoreList, ids: readonly string[], keptStores: readonly Uint8Array[] | undefined): AppendRefusal | undefined {
    const { cluster } = this.#modules;
    const { self } = cluster.view;
    if (self.storeId !== storeId) return { code: "STORE_NOT_LISTED", message: `${self.name} took a new store id meanwhile` };
    if (!cluster.isInContact) return { code: "OUT_OF_CONTACT", message: `${self.name} is out of contact with a majority of the members` };
    if (acks < self.acksHeld) return tooFew(self.name, acks, self.acksHeld);
    // Queries trust the record's first list, under which more stores may fail than would lose it under this one.
    if (keptStores !== undefined && majorityOf(keptStores.length) > acks) return tooFew(self.name, acks, majorityOf(keptStores.length));
    // This store says of a loss that it has flushed what was synced before it learned of it. This record was not, and the sender may still count the lost store's ack.
    return this.#namesLost(ids);
  }

  #log(peer: string, error: unknown): void {
    const { clock, logger } = this.#modules;
    const nowMs = clock.monotonicMs();
    if (nowMs - (this.#loggedMs.get(peer) ?? -Infinity) < LOG_INTERVAL_MS) return;
    this.#loggedMs.set(peer, nowMs);
    logger.error("a record of another member was refused; each is counted, and one a minute is logged", { peer, error });
  }

  #count(outcomes: readonly AppendOutcome[]): void {
    let keptCount = 0;
    for (const outcome of outcomes) {
      if (typeof outcome === "string") keptCount++;
      else this.#refusedCount.add({ reason: outcome.code });
    }
    if (keptCount > 0) this.#keptCount.add({}, keptCount);
  }

  get #self(): string {
    return this.#modules.cluster.view.self.name;
  }
}

function tooFew(name: string, acks: number, needed: number): AppendRefusal {
  return { code: "ACKS_TOO_FEW", message: `the record was sent under ${acks} acks, and ${name} needs ${needed}: the sender's view of the cluster is an older one` };
}
