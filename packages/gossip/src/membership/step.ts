/**
 * Membership as a state machine: `step(event, nowMs)` changes the state and returns what is to be done. It reads no clock, waits for nothing and draws
 * chance from what it was given, so a history repeats from its seed.
 *
 *   detector.ts       who is silent
 *   member-table.ts   who is a member, in which state; what is lost; contact
 *   dissemination.ts  what is told next, and to whom
 *   relay.ts          heartbeats in a cluster too large for probes from everyone to everyone
 *
 * News (entries, verdicts, accusations) travel fast and singly; conclusions (who acknowledged, fenced, flushed, left) travel in whole tables alone
 * (table-message.ts). Two tables are compared by their digests on each probe, and exchanged where they differ:
 *
 *   A -> B  a digest, which differs from B's
 *   B -> A  buckets: the digests of 256 parts of B's table
 *   A -> B  table: all of the parts that differ, and A's own digests
 *   B -> A  table: all of the parts that differ from A's. B has A's table on disk by then
 *
 * What must stay true:
 * - What leaves this node is on disk: tables and news wait until it is, a probe carries the own entry that is, and an answer counts as contact only where the
 *   sender's entry is. A slow disk delays all that, but not the plain answer: who is busy does not look dead.
 * - What arrives may be late, repeated or out of order.
 */
import type { Random } from "@pyromesh/base";
import type { StoreId } from "@pyromesh/ring";
import { DETECTOR_SETTINGS, Detector, type DetectorAction, type DetectorSettings } from "./detector.ts";
import { NEWS_SETTINGS, NewsQueue, type NewsSettings } from "./dissemination.ts";
import type { Entry } from "./entry.ts";
import { OwnHeartbeats, relayId } from "./heartbeats.ts";
import type { Loss } from "./losses.ts";
import type { Changes, MemberTable, Refusal } from "./member-table.ts";
import type { Accusation, MembershipMessage } from "./messages.ts";
import { Relay, type RelayMember, type WordTaker } from "./relay.ts";
import { newsOfEntry, newsOfLoss } from "./table-message.ts";

export interface MembershipSettings {
  readonly detector: DetectorSettings;
  readonly news: NewsSettings;
  /** `step` expects a tick this often. */
  readonly tickMs: number;
  /** Heartbeats in a large cluster: each takes up to four of these periods to come back as a word, within the lease of 5 s. */
  readonly relayIntervalMs: number;
  /** A comparison of tables with a member drawn at random. */
  readonly compareIntervalMs: number;
  /** An attempt to reach a seed, or a member that is dead or has left, so that a split heals. */
  readonly rejoinIntervalMs: number;
  /** In a small cluster, tables are exchanged with the same member at most once in this time; in a large one a node begins one exchange in twice this time. */
  readonly exchangeIntervalMs: number;
}

export const MEMBERSHIP_SETTINGS: MembershipSettings = {
  detector: DETECTOR_SETTINGS,
  news: NEWS_SETTINGS,
  tickMs: 100,
  relayIntervalMs: 1250,
  compareIntervalMs: 15_000,
  rejoinIntervalMs: 30_000,
  exchangeIntervalMs: 500,
};

export type MembershipEvent =
  | { readonly kind: "tick" }
  /** `from` and `storeId`: as the link's handshake proved. */
  | { readonly kind: "message"; readonly from: string; readonly storeId: StoreId; readonly message: MembershipMessage }
  | { readonly kind: "gossip"; readonly message: MembershipMessage }
  | { readonly kind: "link-up"; readonly member: string }
  /** The last link to it is closed. `isOwnDoing`: this node closed it. */
  | { readonly kind: "link-down"; readonly member: string; readonly isOwnDoing: boolean }
  /** The state that was current at the `persist` effect of this version is on disk. */
  | { readonly kind: "persisted"; readonly version: number }
  /** Ask the member for all that this node lacks; `learned` with this number follows. Numbers rise. */
  | { readonly kind: "learn"; readonly member: string; readonly number: number }
  /** Hand on that this node has left, to some members. */
  | { readonly kind: "tell-left" }
  /** Something changed the table from outside: a command, or what this node's store holds. */
  | { readonly kind: "changed"; readonly changes: Changes };

export type MembershipEffect =
  | { readonly kind: "send"; readonly to: string; readonly message: MembershipMessage }
  | { readonly kind: "gossip"; readonly message: MembershipMessage }
  /** Write `table.state`, sync it, then tell `persisted` with the version that the table had when its state was taken. */
  | { readonly kind: "persist" }
  | { readonly kind: "view-changed" }
  /** It does not answer: a connection may be half open for minutes. */
  | { readonly kind: "close-link"; readonly member: string }
  | { readonly kind: "dial-seed" }
  /** The member's table, as it was after this node asked for it, is merged. */
  | { readonly kind: "learned"; readonly number: number }
  | { readonly kind: "answered"; readonly roundTripMs: number }
  | { readonly kind: "suspected" | "cleared" | "declared-dead" | "refuted"; readonly member: string }
  | { readonly kind: "refused"; readonly from: string; readonly refusal: Refusal };

/** Members that asked for what is not on disk yet. At the bound a further one is not answered; it asks again. */
const OWED_MAX = 64;
/** In one message of news: some 30 kB. The rest follows with the next. */
const NEWS_ITEMS_MAX = 128;
/** What the table does of itself falls due once a second. */
const TABLE_TICK_MS = 1000;
/** Members that are told at once that this node left. */
const LEFT_TOLD_AT_ONCE = 5;
/** Longer than any suspicion lasts. */
const HEARD_AGE_MAX_MS = 120_000;
/** Probes to one member out of turn, in one interval. */
const ASKS_MAX = 3;
/** The same to all members together: what a small cluster needs. In a large one, where all start at once, each would answer a thousand probes with as many of its own. */
const ASKED_MAX = ASKS_MAX * DETECTOR_SETTINGS.fullMeshMax;
/** Words that are older are asked for by a probe: the lease would run out before a third way. */
const WORD_AGE_MAX_MS = 3400;

export interface MembershipModules {
  readonly table: MemberTable;
  readonly random: Random;
}

export class MembershipCore {
  readonly table: MemberTable;
  readonly #random: Random;
  readonly #settings: MembershipSettings;
  readonly #self: string;
  readonly #detector: Detector;
  readonly #news: NewsQueue;
  /** Keys for the gossip topic, as in `#news`: no more than changed since the table was last on disk. */
  readonly #toPublish = new Set<string>();
  readonly #relay = new Relay();
  readonly #beats = new OwnHeartbeats();
  /** The own entry that is on disk. */
  #published: Entry;
  /** Members whose entry changed since it was last on disk, with the version that must be. */
  readonly #unpersisted = new Map<string, number>();
  #askedToPersist = 0;
  /** Who waits for what it lacks until this node's table is on disk. */
  readonly #owed = new Map<string, Owed>();
  #digest: string | undefined;
  readonly #suspects = new Set<string>();

  #nextBeatMs = 0;
  /** It says anew that it is there, which is not on disk yet. */
  #hasRefuted = false;
  #nextTableTickMs = 0;
  #nextCompareMs = 0;
  #nextRejoinMs = 0;
  #nextNewsMs = 0;
  /** An exchange is due: conclusions do not travel as news. */
  #isExchangeDue = false;
  #nextExchangeMs = 0;
  /** When tables were last exchanged with a member. Bounded by the members. */
  readonly #exchangedMs = new Map<string, number>();

  readonly #wordTaker: WordTaker = { sentMs: (heartbeat) => this.#beats.sentMs(heartbeat), onWord: (name, storeId, sentMs) => this.#onHeard(name, storeId, sentMs) };
  #isRosterStale = true;
  /** By store, when this node sent the last heartbeat that it is known to have heard. What is too old to count goes with the table's tick. */
  readonly #heardSentMs = new Map<string, number>();

  /** Members that have this node's LEFT on disk. */
  readonly #leftKnownBy = new Set<string>();
  readonly #leftSentTo = new Set<string>();

  /** As found in this step; undefined: not asked yet. */
  #isInContact: boolean | undefined;
  /** How often members were asked out of turn in this interval. */
  readonly #asks = new Map<string, number>();
  #askedCount = 0;
  /** Those that are asked again at the next tick. */
  readonly #askAgain = new Set<string>();
  #effects: MembershipEffect[] = [];
  readonly #actions: DetectorAction[] = [];

  /** The table's first state is on disk. */
  constructor(settings: MembershipSettings, { table, random }: MembershipModules, nowMs: number) {
    this.table = table;
    this.#random = random;
    this.#settings = settings;
    this.#self = table.own.name;
    this.#published = table.own;
    this.#detector = new Detector(this.#self, settings.detector, { random, heardMs: (name) => this.#heardMs(name) });
    this.#news = new NewsQueue(settings.news, random);
    this.#askedToPersist = table.persistVersion;
    for (const { name } of table.entries) this.#follow(name);
    this.#news.add(entryKey(this.#self));
    // Spread over the interval, so that nodes started together do not act together.
    this.#nextBeatMs = nowMs;
    this.#nextTableTickMs = nowMs;
    this.#nextCompareMs = nowMs + settings.compareIntervalMs * random.float();
    this.#nextRejoinMs = nowMs + settings.rejoinIntervalMs * random.float();
  }

  get suspects(): ReadonlySet<string> {
    return this.#suspects;
  }

  /** 0 to 7: how slow this node takes itself to be. */
  get health(): number {
    return this.#detector.health;
  }

  get newsCount(): number {
    return this.#news.size;
  }

  /** How many members have on disk that this node left. */
  get leftKnownByCount(): number {
    return this.#leftKnownBy.size;
  }

  step(event: MembershipEvent, nowMs: number): readonly MembershipEffect[] {
    this.#effects = [];
    this.#isInContact = undefined;
    switch (event.kind) {
      case "tick":
        this.#tick(nowMs);
        break;
      case "message":
        this.#take(event.from, event.storeId, event.message, nowMs);
        break;
      case "gossip":
        if (event.message.kind === "news") this.#takeNews("gossip", "", event.message, nowMs);
        break;
      case "link-up":
        this.#onLinkUp(event.member, nowMs);
        break;
      case "link-down":
        if (!event.isOwnDoing) this.#detect(nowMs, (actions) => this.#detector.onLinkLost(event.member, nowMs, actions));
        break;
      case "persisted":
        this.#onPersisted(event.version, nowMs);
        break;
      case "learn":
        this.#send(event.member, { kind: "buckets", buckets: this.table.bucketDigests, number: event.number });
        break;
      case "tell-left":
        for (const member of this.#draw(LEFT_TOLD_AT_ONCE)) this.#send(member, { kind: "digest", digest: this.#ownDigest });
        break;
      case "changed":
        this.#apply(event.changes, "self", "", nowMs);
        break;
    }
    if (this.table.persistVersion > this.#askedToPersist) {
      this.#askedToPersist = this.table.persistVersion;
      this.#effects.push({ kind: "persist" });
    }
    return this.#effects;
  }

  // ---- time

  #tick(nowMs: number): void {
    const { tickMs, compareIntervalMs, rejoinIntervalMs } = this.#settings;
    this.#detect(nowMs, (actions) => this.#detector.tick(nowMs, tickMs, actions));
    if (nowMs >= this.#nextTableTickMs) {
      this.#nextTableTickMs = nowMs + TABLE_TICK_MS;
      this.#apply(this.table.tick(nowMs), "self", "", nowMs);
      for (const [storeId, sentMs] of this.#heardSentMs) if (nowMs - sentMs > HEARD_AGE_MAX_MS) this.#heardSentMs.delete(storeId);
    }
    if (nowMs >= this.#nextBeatMs) this.#beat(nowMs);
    for (const member of this.#askAgain) this.#askBack(member, nowMs);
    this.#askAgain.clear();
    if (nowMs >= this.#nextCompareMs) {
      this.#nextCompareMs = nowMs + compareIntervalMs * this.#jitter();
      const [member] = this.#draw(1);
      if (member !== undefined) this.#send(member, { kind: "digest", digest: this.#ownDigest });
    }
    if (nowMs >= this.#nextRejoinMs) {
      this.#nextRejoinMs = nowMs + rejoinIntervalMs * this.#jitter();
      this.#rejoin();
    }
    if (this.#isExchangeDue && nowMs >= this.#nextExchangeMs) {
      this.#isExchangeDue = false;
      this.#nextExchangeMs = nowMs + (this.#detector.isFullMesh ? tickMs : 2 * this.#settings.exchangeIntervalMs);
      const members = this.#detector.isFullMesh ? this.#liveNames() : this.#draw(1);
      for (const member of members) this.#send(member, { kind: "digest", digest: this.#ownDigest });
    }
    this.#tellNews(nowMs);
  }

  #beat(nowMs: number): void {
    const { detector, relayIntervalMs } = this.#settings;
    const isRelayed = !this.#detector.isFullMesh;
    this.#nextBeatMs = nowMs + (isRelayed ? relayIntervalMs : detector.probeIntervalMs);
    this.#beats.next(this.#published.incarnation, nowMs);
    this.#asks.clear();
    this.#askedCount = 0;
    this.#detect(nowMs, (actions) => this.#detector.round(nowMs, actions));
    if (isRelayed && this.table.isFull) this.#relayBeats(nowMs);
  }

  /** A seed, or a member that is dead or gone: whoever was cut off may know of others that this node does not hear of. */
  #rejoin(): void {
    const gone: string[] = [];
    for (const { name, status } of this.table.entries) if (status !== "alive" && status !== "leaving" && name !== this.#self) gone.push(name);
    const at = Math.floor(this.#random.float() * (gone.length + 1));
    if (at === gone.length) this.#effects.push({ kind: "dial-seed" });
    else this.#send(gone[at]!, { kind: "digest", digest: this.#ownDigest });
  }

  // ---- what arrives

  #take(from: string, storeId: StoreId, message: MembershipMessage, nowMs: number): void {
    switch (message.kind) {
      case "probe":
        return this.#onProbe(from, storeId, message.entry, message.heartbeat, message.digest, nowMs);
      case "ack":
        return this.#onAck(from, storeId, message.heartbeat, message.isContact, message.digest, nowMs);
      case "help":
        return this.#detect(nowMs, (actions) => this.#detector.onHelpAsked(from, message.subject, nowMs, actions));
      case "helped":
        if (message.hasAnswered) this.#detect(nowMs, (actions) => this.#detector.onAnsweredHelper(message.subject, nowMs, actions));
        else this.#detector.onSilentHelper(message.subject);
        return;
      case "news":
        return this.#takeNews("member", from, message, nowMs);
      case "relay":
        return this.#relay.take(relayId(storeId), message.relay, nowMs, this.#wordTaker);
      case "digest":
        return this.#compare(from, message.digest, nowMs);
      case "buckets":
        return this.#owe(from, { buckets: message.buckets, isFirst: true, number: message.number }, nowMs);
      case "table":
        return this.#onTable(from, message, nowMs);
    }
  }

  #onProbe(from: string, storeId: StoreId, entry: Entry, heartbeat: number, digest: string, nowMs: number): void {
    if (entry.name !== from || entry.storeId !== storeId) return this.#refuse(from, { member: entry.name, code: "ENTRY_MALFORMED", reason: "a probe carried the entry of another member or store" });
    const { isContact, reason, afterVersion, changes } = this.table.onProbe(entry, nowMs);
    this.#apply(changes, "member", from, nowMs);
    if (isContact) this.#relay.hear(relayId(entry.storeId), heartbeat, nowMs);
    this.#send(from, { kind: "ack", heartbeat, isContact: isContact && afterVersion <= this.table.persistedVersion, digest: this.#ownDigest });
    // It does not know of the verdict: it must refute it.
    if (reason === "fenced") this.#tellVerdict(entry);
    this.#compare(from, digest, nowMs);
    this.#askBack(from, nowMs);
  }

  /**
   * Where somebody else votes than before, this node may be out of contact until that one has answered a probe: a founder that gets its first companion, or
   * each of three where one came back with an empty disk and its lost store counts as well. So whoever is out of contact asks at once who votes, who asks it,
   * and again at the next tick where the answer was none yet (it is being written): each member `ASKS_MAX` times an interval, so that two that hear nobody
   * else do not ask each other without an end, and `ASKED_MAX` times all together.
   */
  #askBack(member: string, nowMs: number): void {
    const asks = this.#asks.get(member) ?? 0;
    if (asks >= ASKS_MAX || this.#askedCount >= ASKED_MAX || !this.table.isFull || this.table.isInContact(nowMs)) return;
    this.#asks.set(member, asks + 1);
    this.#askedCount++;
    if (this.#beats.sentMs(this.#beats.current) !== nowMs) this.#beats.next(this.#published.incarnation, nowMs);
    this.#send(member, this.#ownProbe());
  }

  /** Who was asked in this interval is not: what is left of its `ASKS_MAX` is for when it asks or answers. In a large cluster one vote costs nobody contact. */
  #askVoters(nowMs: number): void {
    if (!this.#detector.isFullMesh || !this.table.isFull || this.table.isInContact(nowMs)) return;
    for (const name of this.#liveNames()) if (this.table.isMemberFull(name) && !this.#asks.has(name)) this.#askBack(name, nowMs);
  }

  #tellVerdict({ name, storeId }: Entry): void {
    const known = this.table.entry(name);
    const entries = known === undefined ? [] : [newsOfEntry(known)].filter((news) => news !== undefined);
    const loss = this.table.loss(storeId);
    if (this.#isPersisted) this.#send(name, { kind: "news", entries, losses: loss === undefined ? [] : [newsOfLoss(loss)], accusations: [] });
  }

  #onAck(from: string, storeId: StoreId, heartbeat: number, isContact: boolean, digest: string, nowMs: number): void {
    this.#detect(nowMs, (actions) => this.#detector.onAnswer(from, nowMs, actions));
    const sentMs = this.#beats.sentMs(heartbeat);
    if (sentMs !== undefined) this.#effects.push({ kind: "answered", roundTripMs: nowMs - sentMs });
    if (isContact && sentMs !== undefined) {
      this.#onHeard(from, storeId, sentMs);
      this.#relay.noteWord(relayId(storeId), sentMs);
    }
    if (!isContact && this.#asks.has(from)) this.#askAgain.add(from);
    this.#compare(from, digest, nowMs);
  }

  #onHeard(name: string, storeId: string, sentMs: number): void {
    this.table.onHeard(name, storeId, sentMs);
    if (sentMs > (this.#heardSentMs.get(storeId) ?? -1)) this.#heardSentMs.set(storeId, sentMs);
  }

  #takeNews(source: Source, from: string, { entries, losses, accusations }: { readonly entries: readonly Entry[]; readonly losses: readonly Loss[]; readonly accusations: readonly Accusation[] }, nowMs: number): void {
    if (entries.length > 0 || losses.length > 0) this.#apply(this.table.merge({ isWhole: false, entries, losses }, nowMs), source, from, nowMs);
    for (const { subject, incarnation, accuser } of accusations) {
      if (subject === this.#self) this.#refute(incarnation, nowMs);
      else if (this.table.entry(accuser) !== undefined) this.#detector.onAccusation(accuser, subject, incarnation, nowMs, this.#actions);
    }
    this.#doActions(nowMs);
  }

  /** An accusation of this node is answered like a verdict: by a higher incarnation. */
  #refute(incarnation: number, nowMs: number): void {
    const { own } = this.table;
    if (incarnation < own.incarnation || own.status === "left") return;
    this.#apply(this.table.merge({ isWhole: false, entries: [{ ...own, acknowledgedBy: [], status: "dead", goneJoins: 0 }], losses: [] }, nowMs), "self", "", nowMs);
  }

  #onTable(from: string, { entries, losses, buckets, number }: MembershipMessage & { readonly kind: "table" }, nowMs: number): void {
    this.#apply(this.table.merge({ isWhole: true, entries, losses }, nowMs), "member", from, nowMs);
    if (number > 0) this.#effects.push({ kind: "learned", number });
    if (buckets.length > 0) this.#owe(from, { buckets, isFirst: false, number: 0 }, nowMs);
    else if (this.#leftSentTo.has(from)) this.#leftKnownBy.add(from);
  }

  #onLinkUp(member: string, nowMs: number): void {
    if (this.#self < member) {
      this.#exchangedMs.set(member, nowMs);
      this.#send(member, { kind: "buckets", buckets: this.table.bucketDigests, number: 0 });
    } else this.#send(member, { kind: "digest", digest: this.#ownDigest });
  }

  // ---- tables

  get #ownDigest(): string {
    return (this.#digest ??= this.table.digest.slice(0, DIGEST_LENGTH));
  }

  /** The member's table differs from this node's: begin an exchange, unless one was begun a moment ago. */
  #compare(member: string, digest: string, nowMs: number): void {
    if (digest === this.#ownDigest) {
      if (this.table.own.status === "left" && this.#isPersisted) this.#leftKnownBy.add(member);
      return;
    }
    const { exchangeIntervalMs } = this.#settings;
    if (nowMs - (this.#exchangedMs.get(member) ?? -Infinity) < exchangeIntervalMs) return;
    if (!this.#detector.isFullMesh) {
      if (nowMs < this.#nextExchangeMs) return;
      this.#nextExchangeMs = nowMs + 2 * exchangeIntervalMs;
    }
    this.#exchangedMs.set(member, nowMs);
    this.#send(member, { kind: "buckets", buckets: this.table.bucketDigests, number: 0 });
  }

  /** The member gets what it lacks, as soon as this node's table is on disk. */
  #owe(member: string, owed: Owed, nowMs: number): void {
    if (!this.#owed.has(member) && this.#owed.size >= OWED_MAX) return;
    this.#owed.set(member, { ...owed, number: Math.max(owed.number, this.#owed.get(member)?.number ?? 0) });
    this.#exchangedMs.set(member, nowMs);
    if (this.#isPersisted) this.#payOwed();
  }

  #payOwed(): void {
    for (const [member, { buckets, isFirst, number }] of this.#owed) {
      const { entries, losses } = this.table.lackedBy(buckets);
      if (this.table.own.status === "left") this.#leftSentTo.add(member);
      this.#send(member, { kind: "table", entries, losses, buckets: isFirst ? this.table.bucketDigests : NO_BYTES, number });
    }
    this.#owed.clear();
  }

  get #isPersisted(): boolean {
    return this.table.persistedVersion >= this.table.persistVersion;
  }

  #onPersisted(version: number, nowMs: number): void {
    const changes = this.table.persisted(version, nowMs);
    for (const [name, needed] of this.#unpersisted) if (needed <= version) this.#unpersisted.delete(name);
    this.#isRosterStale = true; // who is on disk now is vouched for
    if (this.#isPersisted) {
      // Others learn by its probes that it answers for contact now.
      if (!this.#published.claimsFull && this.table.own.claimsFull && this.#detector.isFullMesh) this.#nextBeatMs = nowMs;
      // Its last probes carried the entry that others had declared dead, and answers to them do not count. The next ones go as soon as the others have had time to write the new one.
      if (this.#hasRefuted && this.#detector.isFullMesh) this.#nextBeatMs = Math.min(this.#nextBeatMs, nowMs + 2 * this.#settings.tickMs);
      this.#hasRefuted = false;
      this.#published = this.table.own;
    }
    this.#apply(changes, "self", "", nowMs);
    if (!this.#isPersisted) return;
    this.#payOwed();
    this.#tellNews(nowMs);
  }

  #apply(changes: Changes, source: Source, from: string, nowMs: number): void {
    for (const refusal of changes.refused) this.#refuse(from, refusal);
    if (!changes.isViewChanged) return;
    this.#digest = undefined;
    for (const name of changes.members) {
      if (name === this.#self) this.#onOwnChange(nowMs);
      else this.#unpersisted.set(name, this.table.persistVersion);
      this.#follow(name);
    }
    for (const { name } of changes.news.entries) this.#addNews(entryKey(name), name === this.#self ? "self" : source);
    for (const { storeId } of changes.news.losses) this.#addNews(lossKey(storeId), source);
    if (changes.isExchangeDue) this.#isExchangeDue = true;
    this.#isRosterStale = true;
    this.#effects.push({ kind: "view-changed" });
    this.#askVoters(nowMs);
    this.#tellNews(nowMs);
  }

  #onOwnChange(nowMs: number): void {
    if (this.table.own.status !== "alive") return;
    this.#hasRefuted = true;
    this.#detector.onRefuted(nowMs);
    this.#effects.push({ kind: "refuted", member: this.#self });
  }

  /** Who is alive is probed. */
  #follow(name: string): void {
    if (name === this.#self) return;
    const entry = this.table.entry(name);
    if (entry !== undefined && (entry.status === "alive" || entry.status === "leaving")) {
      this.#detector.watch(name, entry.incarnation, this.#actions);
      this.#doActions(0);
      return;
    }
    if (entry !== undefined) this.#heardSentMs.delete(entry.storeId);
    this.#detector.unwatch(name);
    this.#news.delete(suspicionKey(name));
    this.#exchangedMs.delete(name);
    this.#noteSuspects();
  }

  // ---- news

  /** What the gossip topic brought reaches all by itself. What this node learned first goes both ways. */
  #addNews(key: string, source: Source): void {
    if (source !== "gossip") this.#news.add(key);
    if (source === "self") this.#toPublish.add(key);
  }

  /** Entries and losses wait until they are on disk. */
  #tellNews(nowMs: number): void {
    if (this.#toPublish.size > 0 && this.#isPersisted) this.#publish();
    if (this.#news.size === 0 || nowMs < this.#nextNewsMs || !this.#isPersisted) return;
    const names = this.#liveNames();
    if (names.length === 0) return;
    this.#nextNewsMs = nowMs + this.#settings.tickMs;
    const memberCount = names.length;
    const receivers = this.#news.draw(names);
    const entries: Entry[] = [];
    const losses: Loss[] = [];
    const accusations: Accusation[] = [];
    for (const key of this.#news.take(NEWS_ITEMS_MAX, receivers.length, memberCount)) this.#readNews(key, entries, losses, accusations);
    if (entries.length + losses.length + accusations.length === 0) return;
    const message: MembershipMessage = { kind: "news", entries, losses, accusations };
    for (const receiver of receivers) this.#send(receiver, message);
  }

  #publish(): void {
    const keys = [...this.#toPublish];
    this.#toPublish.clear();
    for (let at = 0; at < keys.length; at += NEWS_ITEMS_MAX) {
      const news = { entries: [] as Entry[], losses: [] as Loss[], accusations: [] as Accusation[] };
      for (const key of keys.slice(at, at + NEWS_ITEMS_MAX)) this.#readNews(key, news.entries, news.losses, news.accusations);
      if (news.entries.length + news.losses.length + news.accusations.length > 0) this.#effects.push({ kind: "gossip", message: { kind: "news", ...news } });
    }
  }

  #readNews(key: string, entries: Entry[], losses: Loss[], accusations: Accusation[]): void {
    const subject = key.slice(1);
    switch (key[0]) {
      case "e": {
        const entry = this.table.entry(subject);
        const news = entry === undefined ? undefined : newsOfEntry(entry);
        if (news !== undefined) entries.push(news);
        return;
      }
      case "l": {
        const loss = this.table.loss(subject);
        if (loss !== undefined) losses.push(newsOfLoss(loss));
        return;
      }
      default:
        for (const accuser of this.#detector.accusersOf(subject)) accusations.push({ subject, incarnation: this.table.entry(subject)?.incarnation ?? 0, accuser });
    }
  }

  // ---- who is silent

  #detect(nowMs: number, run: (actions: DetectorAction[]) => void): void {
    run(this.#actions);
    this.#doActions(nowMs);
  }

  #doActions(nowMs: number): void {
    if (this.#actions.length === 0) return;
    // One message for all members of a round: it is encoded once.
    let probe: MembershipMessage | undefined;
    for (const action of this.#actions.splice(0)) {
      switch (action.kind) {
        case "probe":
          probe ??= this.#ownProbe();
          this.#send(action.member, probe);
          break;
        case "ask-helper":
          this.#send(action.helper, { kind: "help", subject: action.subject });
          break;
        case "tell-answered":
        case "tell-silent":
          this.#send(action.origin, { kind: "helped", subject: action.subject, hasAnswered: action.kind === "tell-answered" });
          break;
        case "suspected":
          this.#addNews(suspicionKey(action.subject), action.isOwn ? "self" : "member");
          if (action.isOwn) this.#effects.push({ kind: "suspected", member: action.subject }, { kind: "close-link", member: action.subject });
          this.#isRosterStale = true;
          break;
        case "unheard":
          this.#effects.push({ kind: "close-link", member: action.member });
          break;
        case "cleared":
          this.#news.delete(suspicionKey(action.subject));
          this.#effects.push({ kind: "cleared", member: action.subject });
          this.#isRosterStale = true;
          break;
        case "run-out":
          this.#onRunOut(action.subject, action.incarnation, action.silentSinceMs, nowMs);
          break;
      }
    }
    this.#noteSuspects();
  }

  /**
   * A node declares a member dead only if a majority has heard what it sent after the member fell silent. Else it is likely to be the one that is cut off,
   * and its verdict would be of use to nobody: it could neither acknowledge nor clear anything.
   */
  #onRunOut(subject: string, incarnation: number, silentSinceMs: number, nowMs: number): void {
    const entry = this.table.entry(subject);
    if (entry === undefined || entry.incarnation !== incarnation || !this.#isInContactNow(nowMs) || !this.#isHeardByMajority(silentSinceMs)) return;
    this.#effects.push({ kind: "declared-dead", member: subject });
    this.#apply(this.table.declareDead(subject, nowMs), "self", "", nowMs);
  }

  /** Asked once a step: where half of a large cluster is cut off, hundreds of suspicions run out in one tick. */
  #isInContactNow(nowMs: number): boolean {
    return (this.#isInContact ??= this.table.isInContact(nowMs));
  }

  #isHeardByMajority(sinceMs: number): boolean {
    const stores = new Set([this.table.own.storeId]);
    for (const [storeId, sentMs] of this.#heardSentMs) if (sentMs >= sinceMs) stores.add(storeId);
    return this.table.isMajority(stores);
  }

  #noteSuspects(): void {
    if (this.#suspects.size === 0 && this.#detector.suspectCount === 0) return;
    let isChanged = this.#suspects.size !== this.#detector.suspectCount;
    for (const name of this.#detector.suspects()) if (!this.#suspects.has(name)) isChanged = true;
    if (!isChanged) return;
    this.#suspects.clear();
    for (const name of this.#detector.suspects()) this.#suspects.add(name);
    this.#isRosterStale = true;
    this.#effects.push({ kind: "view-changed" });
  }

  // ---- heartbeats in a large cluster

  #relayBeats(nowMs: number): void {
    if (this.#isRosterStale) this.#setRoster();
    this.#relay.compose(this.#beats.current, nowMs, (to, relay) => this.#send(to, { kind: "relay", relay }));
    this.#probeForContact(nowMs);
  }

  /** The full members. Of two that share an id, neither. */
  #setRoster(): void {
    this.#isRosterStale = false;
    const { storeId: ownStoreId } = this.table.own;
    const self = relayId(ownStoreId);
    const own: RelayMember = { id: self, name: this.#self, storeId: ownStoreId, vouchedIncarnation: -1, isInGrid: true };
    const members = new Map<number, RelayMember | undefined>([[self, own]]);
    for (const entry of this.table.entries) {
      const { name, status, storeId, incarnation } = entry;
      if ((status !== "alive" && status !== "leaving") || name === this.#self || !this.table.isMemberFull(name)) continue;
      const id = relayId(storeId);
      const isVouchedFor = this.table.isFull && !this.#unpersisted.has(name) && !this.table.fences(entry);
      members.set(id, members.has(id) ? undefined : { id, name, storeId, vouchedIncarnation: isVouchedFor ? incarnation : -1, isInGrid: !this.#suspects.has(name) });
    }
    members.set(self, own);
    const roster = [...members.values()].filter((member) => member !== undefined).sort((a, b) => a.id - b.id);
    this.#relay.setRoster(roster, self);
  }

  #heardMs(name: string): number {
    const entry = this.table.entry(name);
    return entry === undefined ? -Infinity : this.#relay.heardMs(relayId(entry.storeId));
  }

  /** Where too few words are fresh (views differ, relays are gone), the members whose words are old are probed: up to a quarter of all at once. */
  #probeForContact(nowMs: number): void {
    const { voters, needed } = this.table.electorate;
    const stale = this.#relay.deaf(nowMs - WORD_AGE_MAX_MS);
    const freshCount = voters.length - stale.length;
    // Not where nothing can help: too few members are left that are not suspected.
    if (freshCount >= needed || this.#relay.gridSize < needed) return;
    const count = Math.min(Math.ceil(voters.length / 4), Math.ceil((needed - freshCount) * 1.25));
    const probe = this.#ownProbe();
    for (const name of draw(stale, count, this.#random)) this.#send(name, probe);
  }

  // ---- helpers

  #liveNames(): string[] {
    return this.#detector.names();
  }

  #draw(count: number): string[] {
    return draw(this.#liveNames(), count, this.#random);
  }

  /** 0.75 to 1.25. */
  #jitter(): number {
    return 0.75 + this.#random.float() / 2;
  }

  #ownProbe(): MembershipMessage {
    return { kind: "probe", entry: this.#published, heartbeat: this.#beats.current, digest: this.#ownDigest };
  }

  #send(to: string, message: MembershipMessage): void {
    this.#effects.push({ kind: "send", to, message });
  }

  #refuse(from: string, refusal: Refusal): void {
    this.#effects.push({ kind: "refused", from, refusal });
  }
}

interface Owed {
  readonly buckets: Uint8Array;
  /** It began the exchange: it gets this node's digests too, and answers with a table in its turn. */
  readonly isFirst: boolean;
  /** Numbers rise at each member, so the highest answers them all. */
  readonly number: number;
}

/** Where a change came from: this node itself, another member's message, or the gossip topic. */
type Source = "self" | "member" | "gossip";

/** Of the table's 32. */
const DIGEST_LENGTH = 16;
const NO_BYTES = new Uint8Array(0);

const entryKey = (name: string): string => `e${name}`;
const lossKey = (storeId: string): string => `l${storeId}`;
const suspicionKey = (name: string): string => `s${name}`;

/** Some of them, in a random order. Changes the order of `names`. */
function draw(names: string[], count: number, random: Random): string[] {
  const drawn = Math.min(count, names.length);
  for (let i = 0; i < drawn; i++) {
    const at = i + Math.floor(random.float() * (names.length - i));
    [names[i], names[at]] = [names[at]!, names[i]!];
  }
  return names.slice(0, drawn);
}
