/**
 * The model's world over the real member tables: N nodes with stores, a bucket, links that are cut, processes that stop, disks that are lost. Records,
 * segments and queries are as simple as the rules allow; who is a member, who votes, who is lost and what is cleared comes from `MemberTable`.
 *
 * A history is a list of actions; `apply` is deterministic, and an action that is not possible does nothing, so any history may be shortened by leaving
 * actions out. Each rule is a switch (`off`), so that a test can show the history that breaks without it.
 *
 * Time is a number of ticks: the lease is 3, a member is declared dead after 2, a record is due after 3, and kept for 4 after its release.
 */
import { assert, type Random, seededRandom } from "@pyromesh/base";
import type { StoreId } from "@pyromesh/ring";
import { decodeClusterState, encodeClusterState } from "../../items/cluster-state.ts";
import type { Entry } from "../../items/entry.ts";
import type { TableMessage } from "../../items/table-message.ts";
import { MemberTable } from "../member-table.ts";
import { acksOf } from "../replication.ts";
import { type MembershipRules, RULES } from "../rules.ts";
import type { Changes } from "../table-changes.ts";

export type Action = readonly [string, ...number[]];

export interface WorldOptions {
  /** Nodes at the start. */
  readonly n: number;
  /** Nodes at most. */
  readonly slots: number;
  readonly rf: number;
  /** Node 0 begins alone and knows no other's address. */
  readonly isGrowing?: boolean;
  /** Not 0: single news arrive at random, beside whole messages. */
  readonly newsSeed?: number;
  /** Not 0: the table's state reaches the disk late, at random, and a crash loses what did not. Until it is there the node tells nobody anything. */
  readonly diskSeed?: number;
  /** Store ids in another order than that in which stores are made. */
  readonly storeSeed?: number;
}

/** Rules of the write path, the flush and the read path. Those of membership are in rules.ts. */
const WORLD_RULES = [
  "ackAfterSync", "storeIdChecked", "contactStore", "contactReply", "leaseFromSend", "fenceKept", "joinMajority", "rfInBucket", "pushAhead", "refuseFewer", "refuseLost", "ackLive",
  "leaveNotWritable", "leaveFlushed", "releaseAfterRead", "orderedUpload", "bufferedRank0", "threeDue", "secondList", "matchLate", "headMatches", "tellReleased", "learnHolders",
  "lostFails", "readMajority", "readFull", "listAfterClear", "listAfterLeft", "listAfterRise", "listAfterLearning",
] as const;

/** How each rule of membership is taken away. */
const WITHOUT: Readonly<Record<string, Partial<MembershipRules>>> = {
  probeFence: { fences: () => false },
  clearWaits: { isFencedLong: () => true, isFencedByMajority: () => true },
  clearFlushed: { hasFlushed: () => true },
  clearFewer: { mayClear: () => true },
  forgottenJoins: { isGone: () => false },
  forgetFloor: { mayForget: () => true },
  voteFull: { votes: () => true },
  freshMute: { mayAnswer: () => true },
  joinOthers: { isJoined: (acknowledged, voters, silent) => voters > 0 && 2 * (acknowledged + 1) > voters + 1 + silent },
  lostVotes: { isSilentVote: () => false },
  flushBeforeRise: { mayRise: () => true },
};

const LEASE = 3;
const DEAD_AFTER = 2;
const DUE = 3;
const GRACE = 4;
const TICK_MS = 1000;

interface Rec {
  readonly list: readonly StoreId[];
  readonly seq: number;
  readonly at: number;
  acks: number;
  isSynced: boolean;
  sealed: number;
  isTaken: boolean;
  releasedAt: number;
  readonly inSegments: Set<string>;
}

interface Segment {
  readonly ordinal: number;
  readonly ids: readonly number[];
  isDone: boolean;
}

interface Probe {
  readonly at: number;
  readonly boot: number;
  readonly entry: Entry;
  answeredBy: StoreId | undefined;
}

export interface WorldNode {
  readonly i: number;
  readonly storeId: StoreId;
  table: MemberTable;
  disk: Uint8Array;
  exists: boolean;
  isUp: boolean;
  isPaused: boolean;
  boot: number;
  /** The tick in which its clock stopped; -1: it runs. */
  frozenAt: number;
  /** Ticks for which its clock stood still. */
  stood: number;
  recs: Map<number, Rec>;
  segments: Segment[];
  nextOrdinal: number;
  releasedInto: Set<string>;
  seq: number;
  /** By store and incarnation of a loss: the sequence number at which this node learned of it. */
  lossSeqs: Map<string, number>;
  seen: number[];
  probes: (Probe | undefined)[];
  catalog: Set<string>;
  listStart: number;
  listEnd: number;
  listing: { start: number; split: number; keys: string[] } | undefined;
  gaps: Map<string, number>;
  matched: Set<string>;
  listNeededAt: number;
  known: Known;
}

/** What a node knew when it was last asked why it must list. */
interface Known {
  readonly cleared: Set<StoreId>;
  readonly left: Set<StoreId>;
  readonly acks: Map<StoreId, number>;
  readonly boots: Map<StoreId, string>;
}

export interface Push {
  readonly record: number;
  readonly from: number;
  readonly boot: number;
  readonly names: readonly number[];
  readonly list: readonly StoreId[];
  /** Per rank: 0 not sent, 1 appended, 2 acknowledged, 3 its ack arrived, 9 refused. */
  readonly states: number[];
  readonly acks: number;
  isReplied: boolean;
  isDone: boolean;
}

export interface Query {
  readonly from: number;
  readonly boot: number;
  readonly must: ReadonlySet<number>;
  readonly plan: Set<string>;
  listStart: number;
  readonly answers: Map<number, { readonly storeId: StoreId; readonly ids: readonly number[]; readonly extra: readonly string[] }>;
  round: number;
  end: "complete" | "refused" | undefined;
  why: string;
}

export interface Violation {
  readonly kind: string;
  readonly text: string;
  readonly step: number;
}

export class ModelWorld {
  readonly #options: WorldOptions;
  readonly #off: ReadonlySet<string>;
  readonly #rules: MembershipRules;
  #tick = 10;
  #step = 0;
  #nextStore = 0;
  readonly #news: Random | undefined;
  /** News that may arrive late, at anyone, again. The oldest go. */
  readonly #lateNews: TableMessage[] = [];
  readonly #disk: Random | undefined;
  #isBucketUp = true;
  #bucketReplication = 0;
  readonly #objects = new Map<string, readonly number[]>();
  readonly #cuts: boolean[][];
  readonly pushes: Map<number, Push> = new Map();
  readonly queries: Map<number, Query> = new Map();
  readonly #acked = new Set<number>();
  readonly nodes: WorldNode[] = [];
  readonly killed: Set<number> = new Set();
  readonly left: Set<number> = new Set();
  readonly #gone = new Set<StoreId>();
  #lossCount = 0;
  /** More was broken at once than the promises allow: nobody is asked to answer afterwards. */
  #isTooMuch = false;
  violation: Violation | undefined;
  readonly counts: { acks: number; complete: number; refused: number } = { acks: 0, complete: 0, refused: 0 };

  constructor(options: WorldOptions, off: readonly string[] = []) {
    for (const rule of off) assert((WORLD_RULES as readonly string[]).includes(rule) || rule in WITHOUT, `no rule ${rule}`);
    this.#options = options;
    this.#off = new Set(off);
    this.#rules = Object.assign({ ...RULES }, ...off.map((rule) => WITHOUT[rule] ?? {})) as MembershipRules;
    this.#news = (options.newsSeed ?? 0) === 0 ? undefined : seededRandom(options.newsSeed!);
    this.#disk = (options.diskSeed ?? 0) === 0 ? undefined : seededRandom(options.diskSeed!);
    this.#cuts = Array.from({ length: options.slots }, () => Array<boolean>(options.slots).fill(false));
    const count = options.isGrowing === true ? 1 : options.n;
    this.#bucketReplication = Math.min(options.rf, count);
    for (let i = 0; i < options.slots; i++) this.nodes.push(this.#makeNode(i, i < count));
    for (let i = 0; i < count; i++) {
      const d = this.nodes[i]!;
      d.exists = true;
      d.isUp = true;
      d.listStart = 0;
    }
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < count; i++) {
        this.#save(this.nodes[i]!, true);
        for (let j = 0; j < count; j++) this.#gossip(i, j);
      }
    }
    for (let i = 0; i < count; i++) this.#save(this.nodes[i]!, true);
    for (let i = 0; i < count; i++) for (let j = 0; j < count; j++) if (i !== j) this.nodes[i]!.table.onHeard(nameOf(j), this.nodes[j]!.storeId, this.#nowMs(this.nodes[i]!));
  }

  #isOn(rule: string): boolean {
    return !this.#off.has(rule);
  }

  // ---- nodes

  #makeNode(i: number, isFull: boolean): WorldNode {
    const storeId = this.#newStoreId();
    const d: WorldNode = {
      i,
      storeId,
      table: undefined as unknown as MemberTable, // made below, as it needs the node's clock
      disk: new Uint8Array(0),
      exists: false,
      isUp: false,
      isPaused: false,
      boot: 0,
      frozenAt: -1,
      stood: 0,
      recs: new Map(),
      segments: [],
      nextOrdinal: 1,
      releasedInto: new Set(),
      seq: 1,
      lossSeqs: new Map(),
      seen: Array<number>(this.#options.slots).fill(-99),
      probes: Array<Probe | undefined>(this.#options.slots).fill(undefined),
      catalog: new Set(),
      listStart: -1,
      listEnd: -1,
      listing: undefined,
      gaps: new Map(),
      matched: new Set(),
      listNeededAt: -1,
      known: { cleared: new Set(), left: new Set(), acks: new Map(), boots: new Map() },
    };
    d.table = this.#openTable(d, isFull);
    return d;
  }

  #openTable(d: WorldNode, isFounder: boolean): MemberTable {
    const { rf, n, isGrowing } = this.#options;
    const restored = d.disk.length === 0 ? undefined : decodeClusterState(d.disk);
    const table = new MemberTable(
      {
        self: {
          name: nameOf(d.i),
          storeId: d.storeId,
          bootId: d.boot.toString(16).padStart(16, "0"),
          clusterAddress: `${nameOf(d.i)}:7946`,
          httpAddress: `${nameOf(d.i)}:4040`,
          zone: "",
          tokenCount: 128,
          protocolMin: 1,
          protocolMax: 1,
          formats: "",
          promises: "",
          build: "model",
        },
        clusterName: "model",
        leaseMs: LEASE * TICK_MS,
        replication: rf,
        joinAddressCount: isGrowing === true ? (d.i === 0 ? 1 : 2) : n,
        isFounder,
        heldAcks: this.#heldAcks(d),
        rules: this.#rules,
      },
      restored,
      this.#nowMs(d),
    );
    d.table = table;
    if (this.#bucketReplication > 0) table.noteBucketReplication(this.#bucketReplication, this.#nowMs(d));
    this.#save(d, true);
    return table;
  }

  #newStoreId(): StoreId {
    const seed = this.#options.storeSeed ?? 0;
    const at = this.#nextStore++;
    // With a seed the order of ids has nothing to do with the order in which stores are made.
    const order = seed === 0 ? at : Math.imul(at + seed, 0x9e3779b1) >>> 0;
    return order.toString(16).padStart(8, "0") + at.toString(16).padStart(24, "0");
  }

  #nowMs(d: WorldNode): number {
    return this.#ticksOf(d) * TICK_MS;
  }

  /** By the node's own clock. */
  #ticksOf(d: WorldNode): number {
    return (d.frozenAt >= 0 ? d.frozenAt : this.#tick) - d.stood;
  }

  isOn(d: WorldNode): boolean {
    return d.exists && d.isUp && !d.isPaused;
  }

  #isLinked(a: number, b: number): boolean {
    return a === b || !this.#cuts[a]![b]!;
  }

  #fail(kind: string, text: string): void {
    this.violation ??= { kind, text, step: this.#step };
  }

  /** Writes the table's state. Where the disk is never late, the bytes are made when somebody reads them: `#crash`. */
  #save(d: WorldNode, isNow = false): void {
    if (this.#disk !== undefined && !isNow && this.#disk.float() < 0.5) return;
    while (!this.#isOnDisk(d)) {
      if (this.#disk !== undefined) d.disk = encodeClusterState(d.table.state);
      d.table.persisted(d.table.persistVersion, this.#nowMs(d));
    }
  }

  #isOnDisk(d: WorldNode): boolean {
    return d.table.persistedVersion === d.table.persistVersion;
  }

  /** After every call of the table: what the node's other parts take from it. */
  #took(d: WorldNode, changes: Changes): void {
    this.#save(d);
    for (const loss of d.table.losses) {
      const key = `${loss.storeId}/${loss.incarnation}`;
      if (!d.lossSeqs.has(key)) d.lossSeqs.set(key, d.seq);
    }
    for (const name of changes.members) d.seen[indexOf(name)] = this.#ticksOf(d);
    if (this.#mustList(d, changes)) d.listNeededAt = this.#step;
    if (this.#news !== undefined && (changes.news.entries.length > 0 || changes.news.losses.length > 0)) this.#spread(d, changes.news);
  }

  #mustList(d: WorldNode, changes: Changes): boolean {
    if (this.#off.size === 0) return changes.isListDue;
    let isDue = false;
    for (const loss of d.table.losses) {
      if (loss.isCleared && !d.known.cleared.has(loss.storeId)) {
        d.known.cleared.add(loss.storeId);
        isDue ||= this.#isOn("listAfterClear");
      }
    }
    for (const entry of d.table.entries) {
      if (entry.status === "left" && !d.known.left.has(entry.storeId)) {
        d.known.left.add(entry.storeId);
        isDue ||= this.#isOn("listAfterLeft");
      }
      const acks = d.known.acks.get(entry.storeId);
      d.known.acks.set(entry.storeId, entry.acksHeld);
      if (acks !== undefined && entry.acksHeld > acks) isDue ||= this.#isOn("listAfterRise");
      if (d.known.boots.get(entry.storeId) !== entry.bootId) isDue ||= this.#isOn("listAfterLearning");
      d.known.boots.set(entry.storeId, entry.bootId);
    }
    return isDue;
  }

  #spread(from: WorldNode, news: TableMessage): void {
    if (!this.#isOnDisk(from)) return;
    this.#lateNews.push(news);
    if (this.#lateNews.length > 40) this.#lateNews.shift();
    for (const d of this.nodes) if (d !== from && this.#isLinked(from.i, d.i) && this.#news!.float() < 0.5) this.#hearNews(d, news);
  }

  #hearNews(d: WorldNode, news: TableMessage): void {
    if (this.isOn(d)) {
      const changes = d.table.merge(news, this.#nowMs(d));
      this.#save(d);
      for (const loss of d.table.losses) {
        const key = `${loss.storeId}/${loss.incarnation}`;
        if (!d.lossSeqs.has(key)) d.lossSeqs.set(key, d.seq);
      }
      for (const name of changes.members) d.seen[indexOf(name)] = this.#ticksOf(d);
      if (this.#mustList(d, changes)) d.listNeededAt = this.#step;
    }
  }

  #heldAcks(d: WorldNode): number {
    let acks = Infinity;
    for (const rec of d.recs.values()) if (rec.releasedAt < 0) acks = Math.min(acks, rec.acks);
    return acks;
  }

  #noteHeld(d: WorldNode): void {
    this.#took(d, d.table.noteHeld(this.#heldAcks(d), this.#nowMs(d)));
  }

  // ---- members

  #probe1(i: number, j: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d) || !this.#isOnDisk(d) || i === j || !this.#isLinked(i, j) || !this.nodes[j]!.exists) return false;
    d.probes[j] = { at: this.#nowMs(d), boot: d.boot, entry: d.table.own, answeredBy: undefined };
    return true;
  }

  #probe2(i: number, j: number): boolean {
    const d = this.nodes[i]!;
    const e = this.nodes[j]!;
    const probe = d.probes[j];
    if (probe === undefined || probe.answeredBy !== undefined || !this.isOn(e)) return false;
    const answer = e.table.onProbe(probe.entry, this.#nowMs(e));
    this.#took(e, answer.changes);
    if (!answer.isContact || answer.afterVersion > e.table.persistedVersion || !this.#isLinked(j, i)) return false;
    probe.answeredBy = e.storeId;
    return true;
  }

  #probe3(i: number, j: number): boolean {
    const d = this.nodes[i]!;
    const probe = d.probes[j];
    if (probe?.answeredBy === undefined || !this.isOn(d) || probe.boot !== d.boot) return false;
    d.probes[j] = undefined;
    d.table.onHeard(nameOf(j), probe.answeredBy, this.#isOn("leaseFromSend") ? probe.at : this.#nowMs(d));
    d.seen[j] = this.#ticksOf(d);
    return true;
  }

  #gossip(i: number, j: number): boolean {
    const a = this.nodes[i]!;
    const b = this.nodes[j]!;
    if (i === j || !this.isOn(a) || !this.#isOnDisk(a) || !this.isOn(b) || !this.#isLinked(i, j)) return false;
    this.#learn(b, a);
    return true;
  }

  #learn(b: WorldNode, a: WorldNode): void {
    if (a.table.digest === b.table.digest) return;
    this.#took(b, b.table.merge(a.table.lackedBy(b.table.bucketDigests), this.#nowMs(b)));
  }

  #declare(i: number, j: number): boolean {
    const d = this.nodes[i]!;
    const entry = d.table.entry(nameOf(j));
    if (!this.isOn(d) || i === j || entry === undefined || (entry.status !== "alive" && entry.status !== "leaving")) return false;
    if (this.#ticksOf(d) - d.seen[j]! < DEAD_AFTER) return false;
    this.#took(d, d.table.declareDead(nameOf(j), this.#nowMs(d)));
    return true;
  }

  #facts(i: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d)) return false;
    for (const loss of [...d.table.losses]) {
      const seq = d.lossSeqs.get(`${loss.storeId}/${loss.incarnation}`)!;
      const isFlushed = [...d.recs.values()].every((rec) => rec.seq >= seq || rec.releasedAt >= 0);
      if (isFlushed) this.#took(d, d.table.noteFlushed(loss.storeId, loss.incarnation, this.#nowMs(d)));
    }
    this.#noteHeld(d);
    this.#took(d, d.table.tick(this.#nowMs(d)));
    const wanted = d.table.wantedReplication;
    if (wanted !== undefined && this.#isBucketUp) {
      this.#bucketReplication = Math.max(this.#bucketReplication, wanted);
      this.#took(d, d.table.noteBucketReplication(this.#bucketReplication, this.#nowMs(d)));
      this.#took(d, d.table.tick(this.#nowMs(d)));
    }
    return true;
  }

  // ---- writes

  #push(i: number, record: number, op: number, turn: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d) || this.pushes.has(op) || d.listStart < 0) return false;
    const view = d.table.view(NO_SUSPECTS);
    const refusal = view.writesRefusedBecause;
    const isIgnored = refusal !== undefined && ((!this.#isOn("joinMajority") && refusal.includes("not joined")) || (!this.#isOn("rfInBucket") && refusal.includes("bucket")));
    if (refusal !== undefined && !isIgnored) return false;
    // Ahead: under the target replication, as soon as so many members are full.
    const replication = this.#isOn("pushAhead") ? view.replication : d.table.state.replication;
    const names: number[] = [];
    for (let k = 0; k < this.#options.slots && names.length < replication; k++) {
      const m = (record + turn + k) % this.#options.slots;
      const member = view.members.find((each) => each.name === nameOf(m));
      if (member !== undefined && (member.state === "active" || (!this.#isOn("joinMajority") && member.state === "joining"))) names.push(m);
    }
    const acks = acksOf(replication);
    if (names.length < acks) return false;
    const list = names.map((m) => d.table.entry(nameOf(m))!.storeId);
    this.pushes.set(op, { record, from: i, boot: d.boot, names, list, states: names.map(() => 0), acks, isReplied: false, isDone: false });
    return true;
  }

  #append(op: number, k: number): boolean {
    const push = this.pushes.get(op);
    if (push === undefined || k >= push.names.length || push.states[k] !== 0) return false;
    const d = this.nodes[push.names[k]!]!;
    if (!this.isOn(d) || !this.#isLinked(push.from, d.i)) return false;
    if (!this.#takes(d, push, k)) {
      push.states[k] = 9;
      return false;
    }
    const old = d.recs.get(push.record);
    if (old === undefined) {
      d.recs.set(push.record, { list: push.list, seq: d.seq++, at: this.#ticksOf(d), acks: push.acks, isSynced: false, sealed: 0, isTaken: false, releasedAt: -1, inSegments: new Set() });
    } else if (old.acks > push.acks) old.acks = push.acks;
    this.#noteHeld(d);
    push.states[k] = 1;
    return true;
  }

  #takes(d: WorldNode, push: Push, k: number): boolean {
    if (this.#isOn("storeIdChecked") && d.storeId !== push.list[k]) return false;
    if (this.#isOn("joinMajority") && !d.table.isFull) return false;
    if (this.#isOn("leaveNotWritable") && d.table.own.status !== "alive") return false;
    if (this.#isOn("refuseFewer") && push.acks < d.table.own.acksHeld) return false;
    return !(this.#isOn("refuseLost") && push.list.some((store) => d.table.isLost(store)));
  }

  #ack(op: number, k: number): boolean {
    const push = this.pushes.get(op);
    if (push === undefined || k >= push.names.length || push.states[k] !== 1) return false;
    const d = this.nodes[push.names[k]!]!;
    if (!this.isOn(d) || (this.#isOn("storeIdChecked") && d.storeId !== push.list[k])) return false;
    const rec = d.recs.get(push.record);
    if (rec !== undefined && this.#isOn("ackAfterSync")) rec.isSynced = true;
    const isAcked = rec !== undefined && (!this.#isOn("contactStore") || d.table.isInContact(this.#nowMs(d)));
    push.states[k] = isAcked ? 2 : 9;
    return isAcked;
  }

  #receive(op: number, k: number): boolean {
    const push = this.pushes.get(op);
    if (push === undefined || push.states[k] !== 2) return false;
    const c = this.nodes[push.from]!;
    if (!this.isOn(c) || c.boot !== push.boot || !this.#isLinked(push.names[k]!, push.from)) return false;
    push.states[k] = 3;
    return true;
  }

  #reply(op: number): boolean {
    const push = this.pushes.get(op);
    if (push === undefined || push.isReplied) return false;
    const c = this.nodes[push.from]!;
    if (!this.isOn(c) || c.boot !== push.boot) return false;
    const acks = push.list.filter((store, k) => push.states[k] === 3 && !(this.#isOn("ackLive") && c.table.isLost(store))).length;
    if (acks < push.acks) return false;
    if (this.#isOn("contactReply") && !c.table.isInContact(this.#nowMs(c))) return false;
    push.isReplied = true;
    return true;
  }

  #deliver(op: number): boolean {
    const push = this.pushes.get(op);
    if (push === undefined || !push.isReplied || push.isDone) return false;
    push.isDone = true;
    this.#acked.add(push.record);
    this.counts.acks++;
    return true;
  }

  #pushAll(i: number, record: number, op: number, turn: number): boolean {
    if (!this.#push(i, record, op, turn)) return false;
    const push = this.pushes.get(op)!;
    for (let k = 0; k < push.names.length; k++) if (this.#append(op, k) && this.#ack(op, k)) this.#receive(op, k);
    return this.#reply(op) && this.#deliver(op);
  }

  /** The ranks in `mask` append and acknowledge; their acks stay on the way. */
  #send(i: number, record: number, op: number, mask: number): boolean {
    if (!this.#push(i, record, op, 0)) return false;
    const push = this.pushes.get(op)!;
    for (let k = 0; k < push.names.length; k++) if ((mask & (1 << k)) !== 0 && this.#append(op, k)) this.#ack(op, k);
    return true;
  }

  /** The rest arrives, and the answer leaves if there are acks enough. */
  #settle(op: number): boolean {
    const push = this.pushes.get(op);
    if (push === undefined || push.isDone) return false;
    for (let k = 0; k < push.names.length; k++) {
      this.#append(op, k);
      this.#ack(op, k);
      this.#receive(op, k);
    }
    return this.#reply(op) && this.#deliver(op);
  }

  // ---- flush, release, takeover

  #seal(i: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d)) return false;
    const ids: number[] = [];
    for (const [record, rec] of d.recs) if (rec.releasedAt < 0 && rec.sealed === 0 && (rec.list[0] === d.storeId || rec.isTaken)) ids.push(record);
    if (ids.length === 0) return false;
    const ordinal = d.nextOrdinal++;
    d.segments.push({ ordinal, ids, isDone: false });
    for (const record of ids) {
      const rec = d.recs.get(record)!;
      rec.sealed = ordinal;
      rec.isSynced = true;
    }
    return true;
  }

  #put(i: number, isTold: boolean, isLast = false): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d) || !this.#isBucketUp || d.listStart < 0) return false;
    const waiting = d.segments.filter((segment) => !segment.isDone);
    if (waiting.length === 0) return false;
    const segment = !this.#isOn("orderedUpload") && isLast ? waiting.at(-1)! : waiting[0]!;
    const key = keyOf(d.storeId, segment.ordinal);
    this.#objects.set(key, segment.ids);
    if (isTold) {
      segment.isDone = true;
      d.catalog.add(key);
    }
    return true;
  }

  #list1(i: number, split: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d) || !this.#isBucketUp) return false;
    d.listing = { start: this.#step, split, keys: [...this.#objects.keys()].filter((key) => ordinalOf(key) <= split) };
    return true;
  }

  #list2(i: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d) || !this.#isBucketUp || d.listing === undefined) return false;
    const { start, split } = d.listing;
    const keys = new Set([...d.listing.keys, ...[...this.#objects.keys()].filter((key) => ordinalOf(key) > split)]);
    const gaps = new Map<string, number>();
    for (const gap of gapsOf(keys)) gaps.set(gap, (d.gaps.has(gap) && start >= d.listEnd ? d.gaps.get(gap)! : 0) + 1);
    d.gaps = gaps;
    for (const key of keys) d.catalog.add(key);
    d.listStart = Math.max(d.listStart, start);
    d.listEnd = this.#step;
    d.listing = undefined;
    this.#took(d, d.table.noteBucketReplication(this.#bucketReplication, this.#nowMs(d)));
    this.#step++;
    return true;
  }

  /** Reads one segment and releases what it holds. */
  #match(d: WorldNode, key: string): void {
    const ids = this.#objects.get(key);
    if (ids === undefined || (!this.#isOn("matchLate") && d.matched.has(key))) return;
    d.matched.add(key);
    for (const record of ids) {
      const rec = d.recs.get(record);
      if (rec === undefined) continue;
      rec.inSegments.add(key);
      d.releasedInto.add(key);
      if (rec.releasedAt < 0) rec.releasedAt = this.#ticksOf(d);
    }
  }

  #release(i: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d) || !this.#isBucketUp) return false;
    for (const key of d.catalog) this.#match(d, key);
    this.#noteHeld(d);
    return true;
  }

  #drop(i: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d)) return false;
    let isDropped = false;
    for (const [record, rec] of d.recs) {
      if (rec.releasedAt < 0 || this.#ticksOf(d) - rec.releasedAt < GRACE) continue;
      d.recs.delete(record);
      isDropped = true;
    }
    return isDropped;
  }

  #takeover(i: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d)) return false;
    let isDone = false;
    for (const [record, rec] of d.recs) {
      const age = this.#ticksOf(d) - rec.at;
      if (rec.releasedAt >= 0 || rec.sealed > 0 || rec.isTaken || rec.list[0] === d.storeId || age < DUE) continue;
      const own = rec.list.indexOf(d.storeId);
      const rank = own < 0 ? rec.list.length : own;
      const first = this.#holderOf(d, rec.list[0]!);
      let isWaiting = false;
      if (first >= 0) {
        const verdict = this.#askRank0(d, this.nodes[first]!, record, rec);
        if (verdict === "released") {
          isDone = true;
          continue;
        }
        isWaiting = verdict === "wait";
      }
      for (let k = 1; k < rank && !isWaiting; k++) if (this.#holderOf(d, rec.list[k]!) >= 0) isWaiting = true;
      if (isWaiting && !(this.#isOn("threeDue") && age >= 3 * DUE)) continue;
      if (this.#isBucketUp) {
        this.#list1(i, 0);
        this.#list2(i);
        for (const key of d.catalog) this.#match(d, key);
      }
      if (rec.releasedAt < 0) rec.isTaken = true;
      isDone = true;
    }
    return isDone;
  }

  #holderOf(d: WorldNode, store: StoreId): number {
    for (const entry of d.table.entries) if (entry.storeId === store && (entry.status === "alive" || entry.status === "leaving")) return indexOf(entry.name);
    return -1;
  }

  #askRank0(d: WorldNode, e: WorldNode, record: number, rec: Rec): "wait" | "released" | "take" {
    if (!this.isOn(e) || !this.#isLinked(d.i, e.i) || !this.#isLinked(e.i, d.i) || e.storeId !== rec.list[0]) return "wait";
    const held = e.recs.get(record);
    if (!this.#isOn("releaseAfterRead") && held !== undefined && (held.sealed > 0 || held.releasedAt >= 0)) {
      rec.releasedAt = this.#ticksOf(d);
      return "released";
    }
    const segments = [...e.releasedInto].filter((key) => this.#objects.get(key)?.includes(record) === true);
    if (segments.length > 0) {
      for (const key of segments) d.catalog.add(key);
      return "released";
    }
    const isBuffered = held !== undefined && (held.list[0] === e.storeId || held.isTaken || held.sealed > 0 || !this.#isOn("bufferedRank0"));
    return isBuffered ? "wait" : "take";
  }

  #flush(i: number): boolean {
    this.#takeover(i);
    this.#seal(i);
    while (this.#put(i, true));
    this.#list1(i, 0);
    this.#list2(i);
    this.#release(i);
    return this.isOn(this.nodes[i]!);
  }

  // ---- queries

  #startQuery(i: number, op: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d) || this.queries.has(op)) return false;
    this.queries.set(op, { from: i, boot: d.boot, must: new Set(this.#acked), plan: new Set(d.catalog), listStart: d.listStart, answers: new Map(), round: 0, end: undefined, why: "" });
    return true;
  }

  #ask(op: number, j: number): boolean {
    const query = this.queries.get(op);
    if (query === undefined || query.end !== undefined || query.answers.has(j)) return false;
    const c = this.nodes[query.from]!;
    const d = this.nodes[j]!;
    if (!this.#isOnDisk(d)) return false;
    if (!this.isOn(c) || c.boot !== query.boot || !this.isOn(d) || !this.#isLinked(c.i, j) || !this.#isLinked(j, c.i) || !this.#isBucketUp) return false;
    for (const key of query.plan) this.#match(d, key);
    const ids: number[] = [];
    for (const [record, rec] of d.recs) {
      const isPlanned = this.#isOn("headMatches") && [...rec.inSegments].some((key) => query.plan.has(key));
      const isDropped = rec.releasedAt >= 0 && !this.#isOn("releaseAfterRead") && rec.inSegments.size === 0;
      if (!isPlanned && !isDropped) ids.push(record);
    }
    query.answers.set(j, { storeId: d.storeId, ids, extra: [...d.releasedInto].filter((key) => !query.plan.has(key)) });
    this.#noteHeld(d);
    if (this.#isOn("learnHolders") && j !== query.from) this.#learn(c, d);
    return true;
  }

  #endQuery(op: number): "again" | "list" | "complete" | "refused" | false {
    const query = this.queries.get(op);
    if (query === undefined || query.end !== undefined) return false;
    const d = this.nodes[query.from]!;
    if (!this.isOn(d) || d.boot !== query.boot) return false;
    const done = (end: "complete" | "refused", why: string): "complete" | "refused" => {
      query.end = end;
      query.why = why;
      this.counts[end]++;
      return end;
    };
    const again = <T extends "again" | "list">(how: T): T | "refused" => {
      query.round++;
      query.answers.clear();
      for (const key of d.catalog) query.plan.add(key);
      query.listStart = d.listStart;
      return query.round > 4 ? (done("refused", "plans") as "refused") : how;
    };
    if (!this.#isBucketUp) return done("refused", "bucket");
    if (this.#isOn("readFull") && d.table.view(NO_SUSPECTS).queriesRefusedBecause !== undefined) return done("refused", "not joined");
    if (this.#isOn("tellReleased")) {
      let isMore = false;
      for (const answer of query.answers.values()) {
        for (const key of answer.extra) {
          if (query.plan.has(key)) continue;
          query.plan.add(key);
          d.catalog.add(key);
          isMore = true;
        }
      }
      if (isMore) return again("again");
    }
    if (query.listStart < d.listNeededAt || query.listStart < 0) return again("list");
    const gaps = gapsOf(query.plan);
    if (gaps.length > 0) {
      const sure = gaps.filter((gap) => (d.gaps.get(gap) ?? 0) >= (this.#isOn("secondList") ? 2 : 1));
      for (const gap of sure) if (this.#isThere(gap)) this.#fail("falseHole", `node ${d.i} names ${gap} as a hole, and it is there or still queued`);
      return sure.length > 0 ? done("refused", "hole") : again("list");
    }
    return this.#judge(d, query, done);
  }

  #isThere(key: string): boolean {
    return this.#objects.has(key) || this.nodes.some((e) => e.storeId === storeOf(key) && e.segments.some((segment) => segment.ordinal === ordinalOf(key) && !segment.isDone));
  }

  #judge(d: WorldNode, query: Query, done: (end: "complete" | "refused", why: string) => "complete" | "refused"): "complete" | "refused" {
    const view = d.table.view(NO_SUSPECTS);
    const answered = new Set([...query.answers.values()].map((answer) => answer.storeId));
    const failed = new Set<StoreId>();
    const cleared = new Set(view.lostStores.filter((loss) => loss.isCleared).map((loss) => loss.storeId));
    for (const member of view.members) {
      if (answered.has(member.storeId)) continue;
      if (member.state === "dead" && (cleared.has(member.storeId) || !this.#isOn("lostFails"))) continue;
      failed.add(member.storeId);
    }
    if (this.#isOn("lostFails")) for (const loss of view.lostStores) if (!loss.isCleared && !answered.has(loss.storeId)) failed.add(loss.storeId);
    if (failed.size >= view.acksMin) return done("refused", `stores ${[...failed].join(" ")}`);
    if (this.#isOn("readMajority") && !d.table.isMajority(answered)) return done("refused", "no majority");
    const planned = new Set<number>();
    for (const key of query.plan) {
      const ids = this.#objects.get(key);
      if (ids === undefined) return done("refused", "object");
      for (const record of ids) planned.add(record);
    }
    const heads = new Set<number>();
    for (const answer of query.answers.values()) for (const record of answer.ids) heads.add(record);
    for (const record of heads) if (planned.has(record)) this.#fail("double", `node ${d.i} counts record ${record} twice`);
    for (const record of query.must) {
      if (!planned.has(record) && !heads.has(record)) this.#fail("missing", `node ${d.i} answers complete without acked record ${record} (failed stores: ${[...failed].join(" ")})`);
    }
    return done("complete", "");
  }

  #query(i: number, op: number): "complete" | "refused" | false {
    if (!this.#startQuery(i, op)) return false;
    for (let turn = 0; turn < 8; turn++) {
      for (let pass = 0; pass < 2; pass++) for (let j = 0; j < this.#options.slots; j++) if (this.nodes[i]!.table.entry(nameOf(j)) !== undefined) this.#ask(op, j);
      const end = this.#endQuery(op);
      if (end === "list") {
        this.#list1(i, 0);
        this.#list2(i);
        const query = this.queries.get(op)!;
        for (const key of this.nodes[i]!.catalog) query.plan.add(key);
        query.listStart = this.nodes[i]!.listStart;
      } else if (end !== "again") return end;
    }
    return "refused";
  }

  // ---- faults

  #crash(i: number): boolean {
    const d = this.nodes[i]!;
    if (!d.exists || !d.isUp) return false;
    this.#resume(i);
    if (this.#disk === undefined) d.disk = encodeClusterState(d.table.state);
    d.isUp = false;
    d.boot++;
    d.listing = undefined;
    d.matched.clear();
    d.probes.fill(undefined);
    d.gaps.clear();
    d.listEnd = -1;
    for (const [record, rec] of d.recs) if (!rec.isSynced) d.recs.delete(record);
    for (const push of this.pushes.values()) push.names.forEach((m, k) => (m === i && push.states[k] === 1 && !d.recs.has(push.record) ? (push.states[k] = 9) : 0));
    return true;
  }

  #restart(i: number): boolean {
    const d = this.nodes[i]!;
    if (!d.exists || d.isUp || this.killed.has(i) || this.left.has(i)) return false;
    d.isUp = true;
    d.seen.fill(this.#ticksOf(d));
    if (!this.#isOn("fenceKept")) {
      const state = decodeClusterState(d.disk);
      d.disk = encodeClusterState({ ...state, entries: state.entries.map((entry) => (entry.status === "dead" || entry.status === "forgotten" ? { ...entry, status: "alive" as const, goneJoins: 0 } : entry)), losses: [] });
    }
    this.#openTable(d, false);
    d.lossSeqs.clear();
    for (const loss of d.table.losses) d.lossSeqs.set(`${loss.storeId}/${loss.incarnation}`, d.seq);
    d.listNeededAt = this.#step;
    return true;
  }

  #noteLoss(i: number): void {
    this.#lossCount++;
    const open = this.#openLossCount();
    const well = this.nodes.filter((d) => d.i !== i && this.isOn(d) && d.table.isFull && d.table.own.status === "alive" && d.table.isInContact(this.#nowMs(d)));
    const others = this.nodes.filter((d) => d.i !== i && d.exists && !this.left.has(d.i)).length;
    const isStuck = well.some((d) => 2 * well.length <= d.table.view(NO_SUSPECTS).members.filter((member) => member.name !== nameOf(i)).length + d.table.electorate.silentCount);
    if (2 * well.length <= others || isStuck || open >= acksOf(this.#options.rf) || this.#options.isGrowing === true) this.#isTooMuch = true;
  }

  /** Stores that are gone, and that some running node does not hold as cleared. */
  #openLossCount(): number {
    const up = this.nodes.filter((d) => d.exists && d.isUp);
    let count = 0;
    for (const store of this.#gone) if (up.length === 0 || up.some((d) => ![...d.table.losses].some((loss) => loss.storeId === store && loss.isCleared))) count++;
    return count;
  }

  #wipe(i: number): boolean {
    const d = this.nodes[i]!;
    if (!d.exists || this.killed.has(i) || this.left.has(i) || this.#nextStore > 28) return false;
    if (d.isUp) this.#crash(i);
    this.#gone.add(d.storeId);
    this.#noteLoss(i);
    const fresh = this.#makeNode(i, false);
    fresh.exists = true;
    fresh.isUp = true;
    fresh.boot = d.boot + 1;
    fresh.stood = d.stood;
    this.nodes[i] = fresh;
    fresh.disk = new Uint8Array(0);
    this.#openTable(fresh, false);
    return true;
  }

  #kill(i: number): boolean {
    const d = this.nodes[i]!;
    if (!d.exists || this.killed.has(i)) return false;
    if (d.isUp) this.#crash(i);
    this.killed.add(i);
    this.#gone.add(d.storeId);
    this.#noteLoss(i);
    return true;
  }

  #join(i: number): boolean {
    const d = this.nodes[i]!;
    if (d.exists) return false;
    d.exists = true;
    d.isUp = true;
    d.disk = new Uint8Array(0);
    this.#openTable(d, false);
    return true;
  }

  #leave(i: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d) || d.table.own.status !== "alive") return false;
    try {
      this.#took(d, d.table.leave(this.#nowMs(d)));
      return true;
    } catch {
      return false; // it refuses
    }
  }

  #leftStep(i: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d)) return false;
    const { status } = d.table.own;
    if (status === "leaving") {
      if (this.#isOn("leaveFlushed") && this.#heldAcks(d) !== Infinity) return false;
      try {
        this.#took(d, d.table.left(this.#nowMs(d)));
        return true;
      } catch {
        return false;
      }
    }
    if (status !== "left") return false;
    const full = this.nodes.filter((e) => e !== d && d.table.isMemberFull(nameOf(e.i)) && ["alive", "leaving", "dead"].includes(d.table.entry(nameOf(e.i))!.status));
    const know = full.filter((e) => this.isOn(e) && e.table.entry(nameOf(i))?.storeId === d.storeId && e.table.entry(nameOf(i))!.status === "left");
    if (know.length < Math.max(1, Math.min(2, full.length))) return false;
    this.#crash(i);
    this.left.add(i);
    return true;
  }

  #pause(i: number): boolean {
    const d = this.nodes[i]!;
    if (!this.isOn(d)) return false;
    d.isPaused = true;
    return true;
  }

  #freeze(i: number): boolean {
    if (!this.#pause(i)) return false;
    this.nodes[i]!.frozenAt = this.#tick;
    return true;
  }

  #resume(i: number): boolean {
    const d = this.nodes[i]!;
    if (!d.isPaused) return false;
    d.isPaused = false;
    if (d.frozenAt >= 0) d.stood += this.#tick - d.frozenAt;
    d.frozenAt = -1;
    return true;
  }

  #cutWhere(isCut: (i: number, j: number) => boolean | undefined): boolean {
    let isChanged = false;
    this.#cuts.forEach((row, i) =>
      row.forEach((was, j) => {
        const is = i === j ? was : (isCut(i, j) ?? was);
        if (is !== was) isChanged = true;
        row[j] = is;
      }),
    );
    return isChanged;
  }

  /** Everyone who can probes everyone, tells its table, judges. */
  #beat(): void {
    const all = this.nodes.map((_, i) => i);
    for (const d of this.nodes) if (this.isOn(d)) this.#save(d, true);
    for (const i of all) for (const j of all) if (this.#probe1(i, j) && this.#probe2(i, j)) this.#probe3(i, j);
    for (const i of all) for (const j of all) this.#gossip(i, j);
    for (const i of all) for (const j of all) this.#declare(i, j);
    for (const i of all) this.#facts(i);
  }

  #time(ticks: number): boolean {
    for (let t = 0; t < ticks; t++) {
      this.#tick++;
      this.#beat();
    }
    return true;
  }

  #flushAll(): boolean {
    for (let i = 0; i < this.#options.slots; i++) this.#flush(i);
    for (let i = 0; i < this.#options.slots; i++) {
      if (!this.isOn(this.nodes[i]!)) continue;
      this.#list1(i, 0);
      this.#list2(i);
      this.#release(i);
    }
    return true;
  }

  /** Returns whether anything happened. */
  apply([kind, x = 0, y = 0, z = 0, v = 0]: Action): boolean {
    this.#step++;
    if (this.#lateNews.length > 0 && this.#news!.float() < 0.5) {
      const news = this.#lateNews[Math.floor(this.#news!.float() * this.#lateNews.length)]!;
      this.#hearNews(this.nodes[Math.floor(this.#news!.float() * this.nodes.length)]!, news);
    }
    const has = (mask: number, at: number): boolean => (mask & (1 << at)) !== 0;
    const anyOf = (make: (j: number) => boolean): boolean => this.nodes.map((_, j) => make(j)).some(Boolean);
    switch (kind) {
      case "time": return this.#time(x);
      case "tick": this.#tick++; return true;
      case "beat": this.#beat(); return true;
      case "isolate": return this.#cutWhere((i, j) => (i === x || j === x ? true : undefined));
      case "cut": return this.#cutWhere((i, j) => ((i === x && j === y) || (i === y && j === x) ? true : undefined));
      case "cut1": return this.#cutWhere((i, j) => (i === x && j === y ? true : undefined));
      case "mend": return this.#cutWhere((i, j) => ((i === x && j === y) || (i === y && j === x) ? false : undefined));
      case "heal": return this.#cutWhere(() => false);
      case "split": return this.#cutWhere((i, j) => has(x, i) !== has(x, j));
      case "pause": return this.#pause(x);
      case "freeze": return this.#freeze(x);
      case "resume": return this.#resume(x);
      case "crash": return this.#crash(x);
      case "restart": return this.#restart(x);
      case "wipe": return this.#wipe(x);
      case "kill": return this.#kill(x);
      case "join": return this.#join(x);
      case "leave": return this.#leave(x);
      case "left": return this.#leftStep(x);
      case "bucketDown": this.#isBucketUp = false; return true;
      case "bucketUp": this.#isBucketUp = true; return true;
      case "PUSH": return this.#pushAll(x, y, z, v);
      case "SEND": return this.#send(x, y, z, v);
      case "SETTLE": return this.#settle(x);
      case "PROBE": return anyOf((j) => has(y, j) && this.#probe1(x, j) && this.#probe2(x, j));
      case "HEAR": return anyOf((j) => this.#probe3(x, j));
      case "ASK": return anyOf((j) => has(y, j) && this.#ask(x, j));
      case "push": return this.#push(x, y, z, v);
      case "append": return this.#append(x, y);
      case "ack": return this.#ack(x, y);
      case "receive": return this.#receive(x, y);
      case "reply": return this.#reply(x);
      case "deliver": return this.#deliver(x);
      case "FLUSH": return this.#flushAll();
      case "flush": return this.#flush(x);
      case "seal": return this.#seal(x);
      case "put": return this.#put(x, true);
      case "putLast": return this.#put(x, true, true);
      case "putUnsure": return this.#put(x, false);
      case "list1": return this.#list1(x, y);
      case "list2": return this.#list2(x);
      case "release": return this.#release(x);
      case "drop": return this.#drop(x);
      case "takeover": return this.#takeover(x);
      case "probe1": return this.#probe1(x, y);
      case "probe2": return this.#probe2(x, y);
      case "probe3": return this.#probe3(x, y);
      case "gossip": return this.#gossip(x, y);
      case "declare": return this.#declare(x, y);
      case "facts": return this.#facts(x);
      case "QUERY": return this.#query(x, y) !== false;
      case "qStart": return this.#startQuery(x, y);
      case "qAsk": return this.#ask(x, y);
      case "qEnd": return this.#endQuery(x) !== false;
      default: throw new Error(`no action ${kind}`);
    }
  }

  // ---- after the history

  /** Heals everything, runs on, and asks every node. `mustAnswer`: an answer is asked for even where more was broken than allowed. */
  finish(mustAnswer = false): void {
    for (const d of this.nodes) if (this.isOn(d)) this.#query(d.i, -1 - d.i);
    if (this.violation !== undefined) return;
    this.#cutWhere(() => false);
    this.#isBucketUp = true;
    for (const d of this.nodes) {
      this.#resume(d.i);
      if (d.exists && !d.isUp) this.#restart(d.i);
    }
    const isLive = mustAnswer || (!this.#isTooMuch && this.#canLive());
    for (let t = 0; t < 40 && this.violation === undefined; t++) {
      if (t >= 14 && this.#isQuiet()) break;
      this.#step++;
      this.#time(1);
      if (t % 2 === 0) this.#flushAll();
      for (const d of this.nodes) {
        this.#drop(d.i);
        if (d.exists && d.isUp && (d.table.own.status === "leaving" || d.table.own.status === "left")) this.#leftStep(d.i);
      }
    }
    this.#askEveryone(isLive);
  }

  #askEveryone(isLive: boolean): void {
    for (const d of this.nodes) if (this.isOn(d)) this.#save(d, true);
    const up = this.nodes.filter((d) => d.exists && d.isUp && d.table.own.status === "alive");
    for (const d of up) {
      this.#step++;
      const op = -101 - d.i;
      if (this.#query(d.i, op) !== "complete" && isLive) this.#fail("refusedForEver", `node ${d.i} still refuses: ${this.queries.get(op)?.why}`);
    }
    if (isLive) for (const d of up) if (!this.#pushAll(d.i, LAST_RECORDS + d.i, -101 - d.i, 0)) this.#fail("pushRefusedForEver", `node ${d.i} takes no push: ${d.table.view(NO_SUSPECTS).writesRefusedBecause}`);
    for (const d of up) for (const [record, rec] of d.recs) if (record < LAST_RECORDS && rec.releasedAt < 0) this.#fail("unflushed", `record ${record} on node ${d.i} is never flushed`);
    if (this.#isTooMuch) return;
    for (const record of this.#acked) {
      if (record >= LAST_RECORDS) continue;
      const isInBucket = [...this.#objects.values()].some((ids) => ids.includes(record));
      if (!isInBucket && up.filter((d) => d.recs.has(record)).length < acksOf(this.#options.rf)) this.#fail("notKept", `record ${record} is neither in the bucket nor in enough heads`);
    }
  }

  #isQuiet(): boolean {
    return this.nodes.every((d) => {
      if (!d.exists || !d.isUp) return true;
      return d.table.own.status === "alive" && d.table.isFull && this.#heldAcks(d) === Infinity && [...d.table.losses].every((loss) => loss.isCleared || !loss.wasFull);
    });
  }

  /** A majority of what each node may count can come up again. */
  #canLive(): boolean {
    const isLeaving = (d: WorldNode): boolean => ["leaving", "left"].includes(d.table.own.status);
    if (this.#options.rf < 2 && this.#lossCount > 0) return false;
    if (this.#options.isGrowing === true && this.nodes.some((d) => d.exists && isLeaving(d))) return false;
    if (this.#lossCount > 0 && this.nodes.some((d) => d.exists && (this.left.has(d.i) || isLeaving(d)))) return false;
    const alive = this.nodes.filter((d) => d.exists && !this.killed.has(d.i) && !this.left.has(d.i) && !isLeaving(d)).length;
    return alive >= Math.max(2, acksOf(this.#options.rf)) && this.killed.size <= 1;
  }
}

/** Runs a history to its end. Returns the first violation. */
export function runHistory(options: WorldOptions, off: readonly string[], history: readonly Action[], mustAnswer = false): Violation | undefined {
  const world = new ModelWorld(options, off);
  for (const action of history) {
    world.apply(action);
    if (world.violation !== undefined) return world.violation;
  }
  world.finish(mustAnswer);
  return world.violation;
}

const NO_SUSPECTS: ReadonlySet<string> = new Set();
/** Records pushed after a history, to see that pushes are taken. */
const LAST_RECORDS = 5000;

const nameOf = (i: number): string => `node-${i}`;
const indexOf = (name: string): number => Number(name.slice("node-".length));
const keyOf = (store: StoreId, ordinal: number): string => `${store}/${ordinal}`;
const storeOf = (key: string): StoreId => key.slice(0, 32);
const ordinalOf = (key: string): number => Number(key.slice(33));

function gapsOf(keys: ReadonlySet<string>): string[] {
  const last = new Map<StoreId, number>();
  for (const key of keys) last.set(storeOf(key), Math.max(last.get(storeOf(key)) ?? 0, ordinalOf(key)));
  const gaps: string[] = [];
  for (const [store, ordinal] of last) for (let at = 1; at < ordinal; at++) if (!keys.has(keyOf(store, at))) gaps.push(keyOf(store, at));
  return gaps;
}
