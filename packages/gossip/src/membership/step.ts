/**
 * Membership as a state machine: `step(event, nowMs)` changes the state and returns what is to be done. It reads no clock, waits for nothing and draws
 * chance from what it was given, so a history repeats from its seed.
 *
 *   detector.ts       who is silent
 *   member-table.ts   who is a member, in which state; what is lost; contact
 *   news.ts           what is told next, and to whom
 *   exchange.ts       tables that differ are exchanged
 *   contact-asks.ts   probes out of turn
 *   relay.ts          heartbeats in a cluster too large for probes from everyone to everyone
 *
 * News (entries, verdicts, accusations) travel fast and singly; conclusions (who acknowledged, fenced, flushed, left) travel in whole tables alone
 * (table-message.ts). Two tables are compared by their digests on each probe, and exchanged where they differ.
 *
 * What must stay true:
 * - What leaves this node is on disk: tables and news wait until it is, a probe carries the own entry that is, and an answer counts as contact only where the
 *   sender's entry is. A slow disk delays all that, but not the plain answer: who is busy does not look dead.
 * - What arrives may be late, repeated or out of order.
 */
import type { Random } from "@pyromesh/base";
import type { StoreId } from "@pyromesh/ring";
import type { Entry } from "../items/entry.ts";
import type { Loss } from "../items/losses.ts";
import { newsOfEntry, newsOfLoss } from "../items/table-message.ts";
import type { MemberTable } from "../table/member-table.ts";
import type { Changes, Refusal } from "../table/table-changes.ts";
import { ContactAsks } from "./contact-asks.ts";
import { Detector, type DetectorAction } from "./detector.ts";
import type { MembershipEffect, MembershipEvent } from "./events.ts";
import { TableExchange } from "./exchange.ts";
import { OwnHeartbeats, relayId } from "./heartbeats.ts";
import type { Accusation, MembershipMessage } from "./messages.ts";
import { News, type NewsSource } from "./news.ts";
import { rosterOf } from "./relay-roster.ts";
import { Relay, type WordTaker } from "./relay.ts";
import type { MembershipSettings } from "./settings.ts";

/** What the table does of itself falls due once a second. */
const TABLE_TICK_MS = 1000;
/** Members that are told at once that this node left. */
const LEFT_TOLD_AT_ONCE = 5;
/** Longer than any suspicion lasts. */
const HEARD_AGE_MAX_MS = 120_000;
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
  readonly #news: News;
  readonly #exchange: TableExchange;
  readonly #contactAsks: ContactAsks;
  readonly #relay = new Relay();
  readonly #beats = new OwnHeartbeats();
  /** The own entry that is on disk. */
  #published: Entry;
  #askedToPersist = 0;
  /** Of `detector.suspects`, as others were told of it last. */
  #suspectsVersion = 0;

  #nextBeatMs = 0;
  /** It says anew that it is there, which is not on disk yet. */
  #hasRefuted = false;
  #nextTableTickMs = 0;
  #nextCompareMs = 0;
  #nextRejoinMs = 0;
  #tickDueMs: number;

  readonly #wordTaker: WordTaker = { sentMs: (heartbeat) => this.#beats.sentMs(heartbeat), onWord: (name, storeId, sentMs) => this.#onHeard(name, storeId, sentMs) };
  #isRosterStale = true;
  /** By store, when this node sent the last heartbeat that it is known to have heard. What is too old to count goes with the table's tick. */
  readonly #heardSentMs = new Map<string, number>();

  /** As found in this step; undefined: not asked yet. */
  #isInContact: boolean | undefined;
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
    const send = (to: string, message: MembershipMessage): void => this.#send(to, message);
    this.#news = new News(settings, { table, detector: this.#detector, random, send, publish: (message) => this.#effects.push({ kind: "gossip", message }) });
    this.#exchange = new TableExchange(settings, { table, detector: this.#detector, draw: (count) => this.#draw(count), send });
    this.#contactAsks = new ContactAsks({ isOut: (nowMs) => table.isFull && !table.isInContact(nowMs), probe: (member, nowMs) => this.#probeNow(member, nowMs) });
    this.#askedToPersist = table.persistVersion;
    for (const { name } of table.entries) this.#follow(name);
    // Spread over the interval, so that nodes started together do not act together.
    this.#tickDueMs = nowMs;
    this.#nextBeatMs = nowMs;
    this.#nextTableTickMs = nowMs;
    this.#nextCompareMs = nowMs + settings.compareIntervalMs * random.float();
    this.#nextRejoinMs = nowMs + settings.rejoinIntervalMs * random.float();
  }

  get suspects(): ReadonlySet<string> {
    return this.#detector.suspects;
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
    return this.#exchange.leftKnownByCount;
  }

  /** When the next tick is due. A step may make it earlier. */
  get tickDueMs(): number {
    return this.#tickDueMs;
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
        this.#detector.onLinkUp(event.member);
        this.#exchange.onLinkUp(event.member, this.#self < event.member, nowMs);
        break;
      case "link-down":
        if (!event.isOwnDoing) this.#detect(nowMs, (actions) => this.#detector.onLinkLost(event.member, nowMs, actions));
        break;
      case "persisted":
        this.#onPersisted(event.version, nowMs);
        break;
      case "learn":
        this.#exchange.sendBuckets(event.member, event.number);
        break;
      case "tell-left":
        for (const member of this.#draw(LEFT_TOLD_AT_ONCE)) this.#exchange.sendDigest(member);
        break;
      case "changed":
        this.#apply(event.changes, "self", "", nowMs);
        break;
    }
    if (this.table.persistVersion > this.#askedToPersist) {
      this.#askedToPersist = this.table.persistVersion;
      this.#effects.push({ kind: "persist" });
    }
    if (event.kind === "message" && event.message.kind === "relay") return this.#effects; // most messages of a large cluster, and they make nothing due
    const dueMs = this.#nextDueMs(nowMs);
    this.#tickDueMs = event.kind === "tick" ? dueMs : Math.min(dueMs, this.#tickDueMs);
    return this.#effects;
  }

  // ---- time

  /**
   * While this node waits for somebody, or for contact, ticks come every `tickMs`, so that a pause of this node is seen before anything is concluded from it.
   * Else only for what is due, and when contact may end: whoever waits for contact counts from then.
   */
  #nextDueMs(nowMs: number): number {
    const isOut = this.table.isFull && !this.table.isInContact(nowMs);
    const isWaiting = isOut || this.#detector.isWaiting || this.#contactAsks.isWaiting;
    const soonMs = isWaiting ? nowMs + this.#settings.tickMs : Infinity;
    const contactEndMs = this.table.isFull && !isOut ? this.table.contactUntilMs + 1 : Infinity;
    const nextMs = Math.min(soonMs, contactEndMs, this.#nextBeatMs, this.#nextTableTickMs, this.#nextCompareMs, this.#nextRejoinMs, this.#exchange.dueMs, this.#news.dueMs);
    return Math.max(nowMs, nextMs); // what could have been done long ago does not make the tick a late one
  }

  #tick(nowMs: number): void {
    const { compareIntervalMs, rejoinIntervalMs } = this.#settings;
    this.#detect(nowMs, (actions) => this.#detector.tick(nowMs, this.#tickDueMs, actions));
    if (nowMs >= this.#nextTableTickMs) {
      this.#nextTableTickMs = nowMs + TABLE_TICK_MS;
      this.#apply(this.table.tick(nowMs), "self", "", nowMs);
      for (const [storeId, sentMs] of this.#heardSentMs) if (nowMs - sentMs > HEARD_AGE_MAX_MS) this.#heardSentMs.delete(storeId);
    }
    if (nowMs >= this.#nextBeatMs) this.#beat(nowMs);
    this.#contactAsks.tick(nowMs);
    if (nowMs >= this.#nextCompareMs) {
      this.#nextCompareMs = nowMs + compareIntervalMs * this.#jitter();
      const [member] = this.#draw(1);
      if (member !== undefined) this.#exchange.sendDigest(member);
    }
    if (nowMs >= this.#nextRejoinMs) {
      this.#nextRejoinMs = nowMs + rejoinIntervalMs * this.#jitter();
      this.#rejoin();
    }
    this.#exchange.tick(nowMs);
    this.#news.tell(nowMs);
  }

  #beat(nowMs: number): void {
    const { detector, relayIntervalMs } = this.#settings;
    const isRelayed = !this.#detector.isFullMesh;
    this.#nextBeatMs = nowMs + (isRelayed ? relayIntervalMs : detector.probeIntervalMs);
    this.#beats.next(this.#published.incarnation, nowMs);
    this.#contactAsks.beginInterval();
    this.#detect(nowMs, (actions) => this.#detector.round(nowMs, actions));
    if (isRelayed && this.table.isFull) this.#relayBeats(nowMs);
  }

  /** A seed, or a member that is dead or gone: whoever was cut off may know of others that this node does not hear of. */
  #rejoin(): void {
    const gone: string[] = [];
    for (const { name, status } of this.table.entries) if (status !== "alive" && status !== "leaving" && name !== this.#self) gone.push(name);
    const at = Math.floor(this.#random.float() * (gone.length + 1));
    if (at === gone.length) this.#effects.push({ kind: "dial-seed" });
    else this.#exchange.sendDigest(gone[at]!);
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
        return this.#exchange.compare(from, message.digest, nowMs);
      case "buckets":
        return this.#exchange.onBuckets(from, message.buckets, message.number, nowMs);
      case "table":
        return this.#onTable(from, message, nowMs);
    }
  }

  #onProbe(from: string, storeId: StoreId, entry: Entry, heartbeat: number, digest: string, nowMs: number): void {
    if (entry.name !== from || entry.storeId !== storeId) return this.#refuse(from, { member: entry.name, code: "ENTRY_MALFORMED", reason: "a probe carried the entry of another member or store" });
    const { isContact, reason, afterVersion, changes } = this.table.onProbe(entry, nowMs);
    this.#apply(changes, "member", from, nowMs);
    if (isContact) this.#relay.hear(relayId(entry.storeId), heartbeat, nowMs);
    this.#send(from, { kind: "ack", heartbeat, isContact: isContact && afterVersion <= this.table.persistedVersion, digest: this.#exchange.digest });
    // It does not know of the verdict: it must refute it.
    if (reason === "fenced") this.#tellVerdict(entry);
    this.#exchange.compare(from, digest, nowMs);
    this.#contactAsks.ask(from, nowMs);
  }

  #probeNow(member: string, nowMs: number): void {
    if (this.#beats.sentMs(this.#beats.current) !== nowMs) this.#beats.next(this.#published.incarnation, nowMs);
    this.#send(member, this.#ownProbe());
  }

  /** In a large cluster one vote costs nobody contact. */
  #askVoters(nowMs: number): void {
    if (this.#detector.isFullMesh) this.#contactAsks.askVoters(() => this.#detector.names().filter((name) => this.table.isMemberFull(name)), nowMs);
  }

  #tellVerdict({ name, storeId }: Entry): void {
    const known = this.table.entry(name);
    const entries = known === undefined ? [] : [newsOfEntry(known)].filter((news) => news !== undefined);
    const loss = this.table.loss(storeId);
    if (this.table.isPersisted) this.#send(name, { kind: "news", entries, losses: loss === undefined ? [] : [newsOfLoss(loss)], accusations: [] });
  }

  #onAck(from: string, storeId: StoreId, heartbeat: number, isContact: boolean, digest: string, nowMs: number): void {
    this.#detect(nowMs, (actions) => this.#detector.onAnswer(from, nowMs, actions));
    const sentMs = this.#beats.sentMs(heartbeat);
    if (sentMs !== undefined) this.#effects.push({ kind: "answered", roundTripMs: nowMs - sentMs });
    if (isContact && sentMs !== undefined) {
      this.#onHeard(from, storeId, sentMs);
      this.#relay.noteWord(relayId(storeId), sentMs);
    }
    if (!isContact) this.#contactAsks.onNoContact(from);
    this.#exchange.compare(from, digest, nowMs);
  }

  #onHeard(name: string, storeId: string, sentMs: number): void {
    this.table.onHeard(name, storeId, sentMs);
    if (sentMs > (this.#heardSentMs.get(storeId) ?? -1)) this.#heardSentMs.set(storeId, sentMs);
  }

  #takeNews(source: NewsSource, from: string, { entries, losses, accusations }: { readonly entries: readonly Entry[]; readonly losses: readonly Loss[]; readonly accusations: readonly Accusation[] }, nowMs: number): void {
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
    this.#exchange.onTable(from, buckets, nowMs);
  }

  // ---- the table

  #onPersisted(version: number, nowMs: number): void {
    const changes = this.table.persisted(version, nowMs);
    this.#isRosterStale = true; // who is on disk now is vouched for
    if (this.table.isPersisted) {
      // Others learn by its probes that it answers for contact now.
      if (!this.#published.claimsFull && this.table.own.claimsFull && this.#detector.isFullMesh) this.#nextBeatMs = nowMs;
      // Its last probes carried the entry that others had declared dead, and answers to them do not count. The next ones go as soon as the others have had time to write the new one.
      if (this.#hasRefuted && this.#detector.isFullMesh) this.#nextBeatMs = Math.min(this.#nextBeatMs, nowMs + 2 * this.#settings.tickMs);
      this.#hasRefuted = false;
      this.#published = this.table.own;
    }
    this.#apply(changes, "self", "", nowMs);
    if (!this.table.isPersisted) return;
    this.#exchange.onPersisted();
    this.#news.tell(nowMs);
  }

  #apply(changes: Changes, source: NewsSource, from: string, nowMs: number): void {
    for (const refusal of changes.refused) this.#refuse(from, refusal);
    if (!changes.isViewChanged) return;
    this.#exchange.onTableChanged();
    for (const name of changes.members) {
      if (name === this.#self) this.#onOwnChange(nowMs);
      this.#follow(name);
    }
    for (const { name } of changes.news.entries) this.#news.addEntry(name, name === this.#self ? "self" : source);
    for (const { storeId } of changes.news.losses) this.#news.addLoss(storeId, source);
    if (changes.isExchangeDue) this.#exchange.noteDue();
    this.#isRosterStale = true;
    this.#effects.push({ kind: "view-changed" });
    this.#askVoters(nowMs);
    this.#news.tell(nowMs);
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
    this.#news.dropSuspicion(name);
    this.#exchange.forget(name);
    this.#noteSuspects();
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
          this.#news.addSuspicion(action.subject, action.isOwn ? "self" : "member");
          if (action.isOwn) this.#effects.push({ kind: "suspected", member: action.subject }, { kind: "close-link", member: action.subject });
          this.#isRosterStale = true;
          break;
        case "unheard":
          this.#effects.push({ kind: "close-link", member: action.member });
          break;
        case "cleared":
          this.#news.dropSuspicion(action.subject);
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
    const { suspectsVersion } = this.#detector;
    if (suspectsVersion === this.#suspectsVersion) return;
    this.#suspectsVersion = suspectsVersion;
    this.#isRosterStale = true;
    this.#effects.push({ kind: "view-changed" });
  }

  // ---- heartbeats in a large cluster

  #relayBeats(nowMs: number): void {
    if (this.#isRosterStale) this.#setRoster();
    this.#relay.compose(this.#beats.current, nowMs, (to, relay) => this.#send(to, { kind: "relay", relay }));
    this.#probeForContact(nowMs);
  }

  #setRoster(): void {
    this.#isRosterStale = false;
    this.#relay.setRoster(rosterOf(this.table, this.#detector.suspects), relayId(this.table.own.storeId));
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

  #draw(count: number): string[] {
    return draw(this.#detector.names(), count, this.#random);
  }

  /** 0.75 to 1.25. */
  #jitter(): number {
    return 0.75 + this.#random.float() / 2;
  }

  #ownProbe(): MembershipMessage {
    return { kind: "probe", entry: this.#published, heartbeat: this.#beats.current, digest: this.#exchange.digest };
  }

  #send(to: string, message: MembershipMessage): void {
    this.#effects.push({ kind: "send", to, message });
  }

  #refuse(from: string, refusal: Refusal): void {
    this.#effects.push({ kind: "refused", from, refusal });
  }
}

/** Some of them, in a random order. Changes the order of `names`. */
function draw(names: string[], count: number, random: Random): string[] {
  const drawn = Math.min(count, names.length);
  for (let i = 0; i < drawn; i++) {
    const at = i + Math.floor(random.float() * (names.length - i));
    [names[i], names[at]] = [names[at]!, names[i]!];
  }
  return names.slice(0, drawn);
}
