/**
 * The exchange of tables between two members whose digests differ, until both know the same:
 *
 *   A -> B  a digest, which differs from B's
 *   B -> A  buckets: the digests of 256 parts of B's table
 *   A -> B  table: all of the parts that differ, and A's own digests
 *   B -> A  table: all of the parts that differ from A's. B has A's table on disk by then
 *
 * What must stay true: a table leaves only once all of it is on disk here. Whoever asks earlier is owed it.
 */
import type { MemberTable } from "../table/member-table.ts";
import type { Detector } from "./detector.ts";
import type { MembershipMessage } from "./messages.ts";
import type { MembershipSettings } from "./settings.ts";

export interface ExchangeModules {
  readonly table: MemberTable;
  /** In a cluster where everyone probes everyone tables are exchanged with anyone, in a larger one within the rate of one node. */
  readonly detector: Pick<Detector, "isFullMesh" | "names">;
  /** Some of the members that are alive, drawn at random. */
  readonly draw: (count: number) => readonly string[];
  readonly send: (to: string, message: MembershipMessage) => void;
}

interface Owed {
  readonly buckets: Uint8Array;
  /** It began the exchange: it gets this node's digests too, and answers with a table in its turn. */
  readonly isFirst: boolean;
  /** Numbers rise at each member, so the highest answers them all. */
  readonly number: number;
}

/** Members that asked for what is not on disk yet. At the bound a further one is not answered; it asks again. */
const OWED_MAX = 64;

export class TableExchange {
  readonly #settings: Pick<MembershipSettings, "tickMs" | "exchangeIntervalMs">;
  readonly #modules: ExchangeModules;
  /** Of the table as it is; undefined: not made since it changed. */
  #digest: string | undefined;
  /** Who waits for what it lacks until this node's table is on disk. */
  readonly #owed = new Map<string, Owed>();
  /** An exchange is due: conclusions do not travel as news. */
  #isDue = false;
  #nextMs = 0;
  /** When tables were last exchanged with a member. Bounded by the members. */
  readonly #exchangedMs = new Map<string, number>();
  /** Members that have this node's LEFT on disk. */
  readonly #leftKnownBy = new Set<string>();
  readonly #leftSentTo = new Set<string>();

  constructor(settings: Pick<MembershipSettings, "tickMs" | "exchangeIntervalMs">, modules: ExchangeModules) {
    this.#settings = settings;
    this.#modules = modules;
  }

  get digest(): string {
    return (this.#digest ??= this.#modules.table.digest.slice(0, DIGEST_LENGTH));
  }

  /** How many members have on disk that this node left. */
  get leftKnownByCount(): number {
    return this.#leftKnownBy.size;
  }

  onTableChanged(): void {
    this.#digest = undefined;
  }

  /** Something changed that news do not carry. */
  noteDue(): void {
    this.#isDue = true;
  }

  /** When `tick` has something to do. */
  get dueMs(): number {
    return this.#isDue ? this.#nextMs : Infinity;
  }

  /** Where an exchange is due: everyone in a small cluster, one member in a large one, learns that the tables differ. */
  tick(nowMs: number): void {
    if (!this.#isDue || nowMs < this.#nextMs) return;
    const { detector, draw } = this.#modules;
    this.#isDue = false;
    this.#nextMs = nowMs + (detector.isFullMesh ? this.#settings.tickMs : 2 * this.#settings.exchangeIntervalMs);
    for (const member of detector.isFullMesh ? detector.names() : draw(1)) this.sendDigest(member);
  }

  sendDigest(member: string): void {
    this.#modules.send(member, { kind: "digest", digest: this.digest });
  }

  /** Begins an exchange. The member answers with all that this node lacks; `number` comes with the answer (0: nobody waits for it). */
  sendBuckets(member: string, number: number): void {
    this.#modules.send(member, { kind: "buckets", buckets: this.#modules.table.bucketDigests, number });
  }

  /** Two members that are linked anew compare: `isFirst` of the two begins. */
  onLinkUp(member: string, isFirst: boolean, nowMs: number): void {
    if (!isFirst) return this.sendDigest(member);
    this.#exchangedMs.set(member, nowMs);
    this.sendBuckets(member, 0);
  }

  /** Where the member's table differs from this node's: begins an exchange, unless one was begun a moment ago. */
  compare(member: string, digest: string, nowMs: number): void {
    const { table, detector } = this.#modules;
    if (digest === this.digest) {
      if (table.own.status === "left" && table.isPersisted) this.#leftKnownBy.add(member);
      return;
    }
    const { exchangeIntervalMs } = this.#settings;
    if (nowMs - (this.#exchangedMs.get(member) ?? -Infinity) < exchangeIntervalMs) return;
    if (!detector.isFullMesh) {
      if (nowMs < this.#nextMs) return;
      this.#nextMs = nowMs + 2 * exchangeIntervalMs;
    }
    this.#exchangedMs.set(member, nowMs);
    this.sendBuckets(member, 0);
  }

  /** The member began an exchange, by the digests of its buckets. */
  onBuckets(member: string, buckets: Uint8Array, number: number, nowMs: number): void {
    this.#owe(member, { buckets, isFirst: true, number }, nowMs);
  }

  /** The member's table came, and is merged. `buckets`: its digests, where it lacks what this node knows; else empty. */
  onTable(member: string, buckets: Uint8Array, nowMs: number): void {
    if (buckets.length > 0) this.#owe(member, { buckets, isFirst: false, number: 0 }, nowMs);
    else if (this.#leftSentTo.has(member)) this.#leftKnownBy.add(member);
  }

  /** The member gets what it lacks, as soon as this node's table is on disk. */
  #owe(member: string, owed: Owed, nowMs: number): void {
    if (!this.#owed.has(member) && this.#owed.size >= OWED_MAX) return;
    this.#owed.set(member, { ...owed, number: Math.max(owed.number, this.#owed.get(member)?.number ?? 0) });
    this.#exchangedMs.set(member, nowMs);
    if (this.#modules.table.isPersisted) this.onPersisted();
  }

  /** The whole table is on disk. */
  onPersisted(): void {
    const { table, send } = this.#modules;
    for (const [member, { buckets, isFirst, number }] of this.#owed) {
      const { entries, losses } = table.lackedBy(buckets);
      if (table.own.status === "left") this.#leftSentTo.add(member);
      send(member, { kind: "table", entries, losses, buckets: isFirst ? table.bucketDigests : NO_BYTES, number });
    }
    this.#owed.clear();
  }

  /** The member is not probed any more. */
  forget(member: string): void {
    this.#exchangedMs.delete(member);
  }
}

/** Of the table's 32. */
const DIGEST_LENGTH = 16;
const NO_BYTES = new Uint8Array(0);
