/**
 * The state of the model's world: its nodes with their stores and tables, the bucket, the links, what was pushed and asked; and what all its parts do with a
 * node: its clock, its disk, and what follows from a call of its table. model-world.ts says what the world is.
 *
 * Time is a number of ticks: the lease is 3, a member is declared dead after 2, a record is due after 3, and kept for 4 after its release.
 */
import { assert, type Random, seededRandom } from "@pyromesh/base";
import type { StoreId } from "@pyromesh/ring";
import { decodeClusterState, encodeClusterState } from "../../items/cluster-state.ts";
import type { Entry } from "../../items/entry.ts";
import type { TableMessage } from "../../items/table-message.ts";
import { MemberTable } from "../member-table.ts";
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

export const LEASE = 3;
export const DEAD_AFTER = 2;
export const DUE = 3;
export const GRACE = 4;
export const TICK_MS = 1000;


export interface Rec {
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

export interface Segment {
  readonly ordinal: number;
  readonly ids: readonly number[];
  isDone: boolean;
}

export interface Probe {
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
export interface Known {
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

export class ModelState {
  readonly options: WorldOptions;
  readonly off: ReadonlySet<string>;
  readonly rules: MembershipRules;
  tick: number = 10;
  step: number = 0;
  nextStore: number = 0;
  readonly news: Random | undefined;
  /** News that may arrive late, at anyone, again. The oldest go. */
  readonly lateNews: TableMessage[] = [];
  readonly disk: Random | undefined;
  isBucketUp: boolean = true;
  bucketReplication: number = 0;
  readonly objects: Map<string, readonly number[]> = new Map();
  readonly cuts: boolean[][];
  readonly pushes: Map<number, Push> = new Map();
  readonly queries: Map<number, Query> = new Map();
  readonly acked: Set<number> = new Set();
  readonly nodes: WorldNode[] = [];
  readonly killed: Set<number> = new Set();
  readonly left: Set<number> = new Set();
  readonly gone: Set<StoreId> = new Set();
  lossCount: number = 0;
  /** More was broken at once than the promises allow: nobody is asked to answer afterwards. */
  isTooMuch: boolean = false;
  violation: Violation | undefined;
  readonly counts: { acks: number; complete: number; refused: number } = { acks: 0, complete: 0, refused: 0 };

  constructor(options: WorldOptions, off: readonly string[] = []) {
    for (const rule of off) assert((WORLD_RULES as readonly string[]).includes(rule) || rule in WITHOUT, `no rule ${rule}`);
    this.options = options;
    this.off = new Set(off);
    this.rules = Object.assign({ ...RULES }, ...off.map((rule) => WITHOUT[rule] ?? {})) as MembershipRules;
    this.news = (options.newsSeed ?? 0) === 0 ? undefined : seededRandom(options.newsSeed!);
    this.disk = (options.diskSeed ?? 0) === 0 ? undefined : seededRandom(options.diskSeed!);
    this.cuts = Array.from({ length: options.slots }, () => Array<boolean>(options.slots).fill(false));
    const count = options.isGrowing === true ? 1 : options.n;
    this.bucketReplication = Math.min(options.rf, count);
    for (let i = 0; i < options.slots; i++) this.nodes.push(this.makeNode(i, i < count));
    for (let i = 0; i < count; i++) {
      const d = this.nodes[i]!;
      d.exists = true;
      d.isUp = true;
      d.listStart = 0;
    }
  }

  /** The rule is kept in this world. */
  keeps(rule: string): boolean {
    return !this.off.has(rule);
  }

  makeNode(i: number, isFull: boolean): WorldNode {
    const storeId = this.newStoreId();
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
      seen: Array<number>(this.options.slots).fill(-99),
      probes: Array<Probe | undefined>(this.options.slots).fill(undefined),
      catalog: new Set(),
      listStart: -1,
      listEnd: -1,
      listing: undefined,
      gaps: new Map(),
      matched: new Set(),
      listNeededAt: -1,
      known: { cleared: new Set(), left: new Set(), acks: new Map(), boots: new Map() },
    };
    d.table = this.openTable(d, isFull);
    return d;
  }

  openTable(d: WorldNode, isFounder: boolean): MemberTable {
    const { rf, n, isGrowing } = this.options;
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
        heldAcks: this.heldAcks(d),
        rules: this.rules,
      },
      restored,
      this.nowMs(d),
    );
    d.table = table;
    if (this.bucketReplication > 0) table.noteBucketReplication(this.bucketReplication, this.nowMs(d));
    this.save(d, true);
    return table;
  }

  newStoreId(): StoreId {
    const seed = this.options.storeSeed ?? 0;
    const at = this.nextStore++;
    // With a seed the order of ids has nothing to do with the order in which stores are made.
    const order = seed === 0 ? at : Math.imul(at + seed, 0x9e3779b1) >>> 0;
    return order.toString(16).padStart(8, "0") + at.toString(16).padStart(24, "0");
  }

  nowMs(d: WorldNode): number {
    return this.ticksOf(d) * TICK_MS;
  }

  /** By the node's own clock. */
  ticksOf(d: WorldNode): number {
    return (d.frozenAt >= 0 ? d.frozenAt : this.tick) - d.stood;
  }

  isOn(d: WorldNode): boolean {
    return d.exists && d.isUp && !d.isPaused;
  }

  isLinked(a: number, b: number): boolean {
    return a === b || !this.cuts[a]![b]!;
  }

  fail(kind: string, text: string): void {
    this.violation ??= { kind, text, step: this.step };
  }

  /** Writes the table's state. Where the disk is never late, the bytes are made when somebody reads them: `#crash`. */
  save(d: WorldNode, isNow = false): void {
    if (this.disk !== undefined && !isNow && this.disk.float() < 0.5) return;
    while (!this.isOnDisk(d)) {
      if (this.disk !== undefined) d.disk = encodeClusterState(d.table.state);
      d.table.persisted(d.table.persistVersion, this.nowMs(d));
    }
  }

  isOnDisk(d: WorldNode): boolean {
    return d.table.persistedVersion === d.table.persistVersion;
  }

  /** After every call of the table: what the node's other parts take from it. */
  took(d: WorldNode, changes: Changes): void {
    this.save(d);
    for (const loss of d.table.losses) {
      const key = `${loss.storeId}/${loss.incarnation}`;
      if (!d.lossSeqs.has(key)) d.lossSeqs.set(key, d.seq);
    }
    for (const name of changes.members) d.seen[indexOf(name)] = this.ticksOf(d);
    if (this.mustList(d, changes)) d.listNeededAt = this.step;
    if (this.news !== undefined && (changes.news.entries.length > 0 || changes.news.losses.length > 0)) this.spread(d, changes.news);
  }

  mustList(d: WorldNode, changes: Changes): boolean {
    if (this.off.size === 0) return changes.isListDue;
    let isDue = false;
    for (const loss of d.table.losses) {
      if (loss.isCleared && !d.known.cleared.has(loss.storeId)) {
        d.known.cleared.add(loss.storeId);
        isDue ||= this.keeps("listAfterClear");
      }
    }
    for (const entry of d.table.entries) {
      if (entry.status === "left" && !d.known.left.has(entry.storeId)) {
        d.known.left.add(entry.storeId);
        isDue ||= this.keeps("listAfterLeft");
      }
      const acks = d.known.acks.get(entry.storeId);
      d.known.acks.set(entry.storeId, entry.acksHeld);
      if (acks !== undefined && entry.acksHeld > acks) isDue ||= this.keeps("listAfterRise");
      if (d.known.boots.get(entry.storeId) !== entry.bootId) isDue ||= this.keeps("listAfterLearning");
      d.known.boots.set(entry.storeId, entry.bootId);
    }
    return isDue;
  }

  spread(from: WorldNode, news: TableMessage): void {
    if (!this.isOnDisk(from)) return;
    this.lateNews.push(news);
    if (this.lateNews.length > 40) this.lateNews.shift();
    for (const d of this.nodes) if (d !== from && this.isLinked(from.i, d.i) && this.news!.float() < 0.5) this.hearNews(d, news);
  }

  hearNews(d: WorldNode, news: TableMessage): void {
    if (this.isOn(d)) {
      const changes = d.table.merge(news, this.nowMs(d));
      this.save(d);
      for (const loss of d.table.losses) {
        const key = `${loss.storeId}/${loss.incarnation}`;
        if (!d.lossSeqs.has(key)) d.lossSeqs.set(key, d.seq);
      }
      for (const name of changes.members) d.seen[indexOf(name)] = this.ticksOf(d);
      if (this.mustList(d, changes)) d.listNeededAt = this.step;
    }
  }

  heldAcks(d: WorldNode): number {
    let acks = Infinity;
    for (const rec of d.recs.values()) if (rec.releasedAt < 0) acks = Math.min(acks, rec.acks);
    return acks;
  }

  noteHeld(d: WorldNode): void {
    this.took(d, d.table.noteHeld(this.heldAcks(d), this.nowMs(d)));
  }
}

export const NO_SUSPECTS: ReadonlySet<string> = new Set();
/** Records pushed after a history, to see that pushes are taken. */
export const LAST_RECORDS = 5000;

export const nameOf = (i: number): string => `node-${i}`;
export const indexOf = (name: string): number => Number(name.slice("node-".length));
export const keyOf = (store: StoreId, ordinal: number): string => `${store}/${ordinal}`;
export const storeOf = (key: string): StoreId => key.slice(0, 32);
export const ordinalOf = (key: string): number => Number(key.slice(33));

export function gapsOf(keys: ReadonlySet<string>): string[] {
  const last = new Map<StoreId, number>();
  for (const key of keys) last.set(storeOf(key), Math.max(last.get(storeOf(key)) ?? 0, ordinalOf(key)));
  const gaps: string[] = [];
  for (const [store, ordinal] of last) for (let at = 1; at < ordinal; at++) if (!keys.has(keyOf(store, at))) gaps.push(keyOf(store, at));
  return gaps;
}
