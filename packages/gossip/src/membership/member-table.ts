/**
 * The member table of one node: what it knows of every member and of every lost store, and what follows from it. Pure: it takes the time, and says in
 * `Changes` what to tell others, what to write to disk and what to look at again.
 *
 * What must stay true:
 * - What this node knows counts only once it is on disk: the caller sends no table, no probe and no answer while `persistVersion` is above what it
 *   has written. Otherwise a restart would forget whom this node has fenced, acknowledged or said to be full.
 * - Merging is independent of order and repetition. Only what a node says of itself (`#hearOfSelf`) answers what it hears.
 * - Conclusions come from whole messages only (table-message.ts).
 */
import { assert, CodedError } from "@pyromesh/base";
import { formatsApart, readByFull, type FormatHolder, type ClusterView, type MemberFormats, type MemberState, type StoreId } from "@pyromesh/ring";
import { announced, formatsOf, joinPromises } from "./announced-formats.ts";
import type { ClusterState } from "./cluster-state.ts";
import { Contact } from "./contact.ts";
import { areSame, compareEntries, type Entry, faultOfEntry, isInCluster, isLive, joinEntries, NOBODY, type OwnEntry, STATUSES } from "./entry.ts";
import { INCARNATION_JUMP_MAX, LOSSES_MAX, MEMBERS_MAX } from "./limits.ts";
import { faultOfLoss, isOver, isReplaced, isSuperseded, joinLosses, type Loss, lossOf } from "./losses.ts";
import { Electorate } from "./majority.ts";
import { type OwnFault, OwnFaults } from "./own-fault.ts";
import { acksOf, Replication } from "./replication.ts";
import { type MembershipRules, RULES } from "./rules.ts";
import { includesStore, unionOf } from "./store-set.ts";
import { BUCKET_DIGEST_BYTES, bucketOfLoss, bucketOfMember, TableDigest } from "./table-digest.ts";
import { newsOfEntry, newsOfLoss, NO_NEWS, type TableMessage } from "./table-message.ts";
import { viewOf, type ViewSource } from "./view.ts";

export interface MemberTableOptions {
  readonly self: OwnEntry;
  readonly clusterName: string;
  readonly leaseMs: number;
  /** `--replication`. */
  readonly replication: number;
  /** Distinct `--join` addresses, and oneself. */
  readonly joinAddressCount: number;
  /** This node made the bucket's identity: it is full by itself. */
  readonly isFounder: boolean;
  /** The fewest acks under which the store holds anything that is not flushed; Infinity: it holds nothing. */
  readonly heldAcks: number;
  readonly rules?: MembershipRules;
}

export interface Changes {
  /** To be gossiped: items that changed, without conclusions. */
  readonly news: TableMessage;
  /** Members that are new, or have another incarnation, store or status than before. */
  readonly members: readonly string[];
  /** `view` would be another. */
  readonly isViewChanged: boolean;
  /** Something changed that news do not carry: exchange whole messages soon. */
  readonly isExchangeDue: boolean;
  /** A reader must list the bucket first. */
  readonly isListDue: boolean;
  readonly refused: readonly Refusal[];
}

export interface Refusal {
  /** The member that the item is about. */
  readonly member: string;
  readonly code: RefusalCode;
  readonly reason: string;
}

/**
 * ENTRY_MALFORMED   a field is out of its range
 * INCARNATION_JUMP  more than INCARNATION_JUMP_MAX above what is known
 * STORE_TWICE       another member has this store id
 * TABLE_FULL        MEMBERS_MAX or LOSSES_MAX is reached
 */
export type RefusalCode = "ENTRY_MALFORMED" | "INCARNATION_JUMP" | "STORE_TWICE" | "TABLE_FULL";

export interface ProbeAnswer {
  /**
   * The sender may count the answer for contact. Otherwise this node is alive all the same, and says why it does not count: its own table tells the
   * sender more.
   */
  readonly isContact: boolean;
  readonly reason: "answered" | "notFull" | "fenced" | "senderNotFull" | "refused";
  /** The answer may leave once this version is on disk. */
  readonly afterVersion: number;
  readonly changes: Changes;
}

interface LossTimes {
  readonly incarnation: number;
  /** What must be on disk before this node counts as fencing. */
  readonly version: number;
  /** Since when this node refuses the lost store's probes; Infinity: it is not on disk yet. */
  fencedSinceMs: number;
}

/** What one call changed, while it runs. */
interface Draft {
  readonly entries: Set<string>;
  readonly losses: Set<StoreId>;
  readonly members: Set<string>;
  readonly refused: Refusal[];
  isExchangeDue: boolean;
  isListDue: boolean;
}

export class MemberTable {
  readonly #options: MemberTableOptions;
  readonly #rules: MembershipRules;
  readonly #name: string;
  readonly #storeId: StoreId;
  /** By name. One entry a member: that of its latest store. */
  readonly #entries = new Map<string, Entry>();
  /** By store. None is superseded. */
  readonly #losses = new Map<StoreId, Loss>();
  /** A loss was refused because the table is full: no answer of this node's is complete any more, until it starts again. */
  #hasMoreLosses = false;
  readonly #lossTimes = new Map<StoreId, LossTimes>();
  /** The member whose entry names the store. */
  readonly #memberOfStore = new Map<StoreId, string>();
  /** Members that are alive and do not claim to be full: they wait for acknowledgements. */
  readonly #joiners = new Set<string>();
  /** Entries of members that left or are forgotten, by store id: which go when the table is full. Made at the first time that it is; some are outdated. */
  #gone: Entry[] | undefined;
  /** Under which `persistVersion` the member's entry changed last. */
  readonly #entryVersions = new Map<string, number>();
  readonly #contact: Contact;
  readonly #replication: Replication;
  readonly #digest: TableDigest;
  #electorate: Electorate | undefined;
  #persistVersion = 0;
  #persistedVersion = 0;
  /** What must be on disk before this node's being full counts. */
  #fullVersion = 0;
  #listAfterMs: number;
  readonly #startMs: number;
  /** The data directory held no state. So nobody can know this store: the state is written before the first message leaves. */
  readonly #isFirstStart: boolean;
  readonly #faults = new OwnFaults();
  #draft: Draft | undefined;
  /** Of the call that runs. */
  #nowMs = 0;

  /** `restored`: what the data directory holds; undefined: it is fresh. Write the state before anything else is done: a start is an incarnation of its own. */
  constructor(options: MemberTableOptions, restored: ClusterState | undefined, nowMs: number) {
    this.#options = options;
    this.#rules = options.rules ?? RULES;
    this.#name = options.self.name;
    this.#storeId = options.self.storeId;
    this.#isFirstStart = restored === undefined;
    this.#contact = new Contact(options.leaseMs);
    // A restart is learning again: this node does not know what it missed.
    this.#listAfterMs = nowMs;
    this.#startMs = nowMs;
    this.#replication = new Replication({
      configured: options.replication,
      joinAddressCount: options.joinAddressCount,
      declared: restored?.replication,
      bucket: restored?.bucketReplication,
      held: options.heldAcks,
    });
    for (const entry of restored?.entries ?? []) {
      this.#entries.set(entry.name, entry);
      this.#memberOfStore.set(entry.storeId, entry.name);
      if (entry.status === "alive" && !entry.claimsFull) this.#joiners.add(entry.name);
    }
    for (const loss of restored?.losses ?? []) {
      this.#losses.set(loss.storeId, loss);
      // The fence was kept on disk, but a store that this node may have answered just before it stopped has a lease from then on.
      this.#lossTimes.set(loss.storeId, { incarnation: loss.incarnation, version: 0, fencedSinceMs: nowMs });
    }
    this.#digest = new TableDigest(this.#entries, this.#losses);
    this.#start(nowMs);
  }

  #start(nowMs: number): void {
    const old = this.#entries.get(this.#name);
    const isSameStore = old?.storeId === this.#storeId;
    const isBack = isSameStore && (old.status === "left" || old.status === "forgotten");
    this.#change(nowMs, () => {
      if (old !== undefined && !isSameStore && old.status !== "left") this.#lose(old);
      const claimsFull = isSameStore ? old.claimsFull && !isBack : this.#options.isFounder;
      const incarnation = old === undefined ? (this.#options.isFounder ? 1 : 0) : old.incarnation + 1;
      this.#put({
        ...this.#options.self,
        incarnation,
        status: "alive",
        claimsFull,
        joins: isSameStore ? old.joins + (isBack ? 1 : 0) : 1,
        goneJoins: isSameStore ? old.goneJoins : 0,
        acknowledgedBy: NOBODY,
        acksHeld: this.#replication.acksHeld,
        promises: isSameStore ? joinPromises(this.#options.self.promises, old.promises) : this.#options.self.promises,
      });
      this.#fullVersion = claimsFull ? this.#persistVersion : 0;
    });
  }

  // ---- what others say

  /** Takes what another node says. A message of anybody's; what it claims of this node is refuted where it is wrong. */
  merge(remote: TableMessage, nowMs: number): Changes {
    return this.#change(nowMs, () => this.#merge(remote));
  }

  #merge(remote: TableMessage): void {
    for (const entry of remote.entries) {
      const news = remote.isWhole ? entry : newsOfEntry(entry);
      if (news !== undefined) this.#hear(news);
    }
    for (const loss of remote.losses) if (this.#losses.get(loss.storeId) !== loss) this.#hearOfLoss(remote.isWhole ? loss : newsOfLoss(loss));
  }

  #hear(entry: Entry): void {
    const known = this.#entries.get(entry.name);
    if (known !== undefined && areSame(known, entry)) return;
    const fault = faultOfEntry(entry);
    if (fault !== undefined) return this.#refuse(entry.name, "ENTRY_MALFORMED", fault);
    if (entry.name === this.#name) return this.#hearOfSelf(entry);
    if (known === undefined && this.#entries.size >= MEMBERS_MAX && !this.#dropGoneEntry(entry)) return this.#refuse(entry.name, "TABLE_FULL", `${MEMBERS_MAX} members are known`);
    if (known !== undefined && entry.incarnation > known.incarnation + INCARNATION_JUMP_MAX) {
      return this.#refuse(entry.name, "INCARNATION_JUMP", `its incarnation ${entry.incarnation} is far above ${known.incarnation}`);
    }
    const holder = this.#memberOfStore.get(entry.storeId);
    if (holder !== undefined && holder !== entry.name) {
      if (holder === this.#name) this.#faults.meetTwin(entry, this.#nowMs);
      return this.#refuse(entry.name, "STORE_TWICE", `member ${holder} has its store id ${entry.storeId}`);
    }
    if (known === undefined) return this.#put(entry);
    const joined = joinEntries(known, entry);
    if (known.storeId !== entry.storeId) {
      const replaced = joined.storeId === known.storeId ? entry : known;
      if (replaced.status !== "left") this.#lose(replaced);
    }
    if (joined !== known) this.#put(joined);
  }

  #hearOfLoss(loss: Loss): void {
    const fault = faultOfLoss(loss);
    if (fault !== undefined) return this.#refuse(loss.member, "ENTRY_MALFORMED", fault);
    if (loss.storeId !== this.#storeId) return this.#putLoss(loss);
    // This store is not lost. A loss at an older incarnation is long refuted; one at this or a later one is refuted now.
    const own = this.#own;
    if (loss.incarnation > own.incarnation + INCARNATION_JUMP_MAX) return this.#refuse(loss.member, "INCARNATION_JUMP", `this node's store is said to be lost at incarnation ${loss.incarnation}`);
    if (own.status === "left") return;
    this.#refute(loss.incarnation, loss.goneJoins);
  }

  /** What another says of this node. */
  #hearOfSelf(entry: Entry): void {
    const own = this.#own;
    if (this.#isFirstStart && entry.storeId === own.storeId && entry.bootId !== own.bootId) return this.#faults.loseState(own.storeId);
    if (entry.incarnation > own.incarnation + INCARNATION_JUMP_MAX) {
      return this.#refuse(entry.name, "INCARNATION_JUMP", `this node is said to be at incarnation ${entry.incarnation}, and is at ${own.incarnation}`);
    }
    if (entry.storeId !== own.storeId || (entry.bootId !== own.bootId && entry.incarnation >= own.incarnation)) this.#faults.meetRival(own, entry, this.#nowMs);
    if (own.status === "left" && entry.storeId === own.storeId) return;
    if (entry.storeId !== own.storeId) {
      if (entry.status !== "left") this.#lose(entry);
      if (entry.incarnation >= own.incarnation) this.#refute(entry.incarnation, 0);
      return;
    }
    const isWorse = STATUSES.indexOf(entry.status) > STATUSES.indexOf(own.status);
    if (entry.incarnation === own.incarnation && !isWorse && entry.bootId === own.bootId && !this.#rules.isGone(own.joins, entry.goneJoins)) {
      const acknowledgedBy = own.claimsFull ? NOBODY : unionOf(own.acknowledgedBy, entry.acknowledgedBy);
      if (acknowledgedBy !== own.acknowledgedBy) this.#put({ ...own, acknowledgedBy });
      return;
    }
    const isContradicted = entry.incarnation > own.incarnation || (entry.incarnation === own.incarnation && (isWorse || entry.bootId !== own.bootId));
    if (isContradicted || this.#rules.isGone(own.joins, entry.goneJoins)) this.#refute(isContradicted ? entry.incarnation : own.incarnation, entry.goneJoins);
  }

  /** Says anew, above `incarnation`, that this node is there. Where its store was forgotten since it joined, it joins anew. */
  #refute(incarnation: number, goneJoins: number): void {
    const own = this.#own;
    const isGone = this.#rules.isGone(own.joins, goneJoins);
    if (incarnation < own.incarnation && !isGone) return;
    if (this.#faults.hasGivenUp) return;
    this.#put({
      ...own,
      incarnation: Math.max(own.incarnation, incarnation) + 1,
      acknowledgedBy: NOBODY,
      claimsFull: own.claimsFull && !isGone,
      joins: isGone ? goneJoins + 1 : own.joins,
      goneJoins: Math.max(own.goneJoins, goneJoins),
    });
  }

  // ---- what this node sees and decides

  /** A probe from `sender`, which carries its entry. */
  onProbe(sender: Entry, nowMs: number): ProbeAnswer {
    const wasFenced = this.fences(sender);
    const changes = this.#change(nowMs, () => this.#merge({ isWhole: false, entries: [sender], losses: [] }));
    const reason = this.#answerTo(sender, wasFenced);
    return { isContact: reason === "answered", reason, afterVersion: this.#entryVersions.get(sender.name) ?? 0, changes };
  }

  #answerTo(sender: Entry, wasFenced: boolean): ProbeAnswer["reason"] {
    const entry = this.#entries.get(sender.name);
    if (sender.name === this.#name || entry === undefined) return "refused";
    if (!this.#rules.mayAnswer(this.isFull)) return "notFull";
    if (wasFenced) return "fenced";
    if (entry.storeId !== sender.storeId) return "refused";
    return this.#isFull(entry) ? "answered" : "senderNotFull";
  }

  /**
   * This node may give its word for the store, at this incarnation: it is full, knows the store as full, on disk, and does not fence it. What a member
   * relays of heartbeats that it heard must be of such a moment.
   */
  vouchesFor(sender: Pick<Entry, "name" | "storeId" | "incarnation">): boolean {
    const entry = this.#entries.get(sender.name);
    if (entry?.storeId !== sender.storeId || sender.name === this.#name || this.fences(sender)) return false;
    return this.#rules.mayAnswer(this.isFull) && this.#isFull(entry) && (this.#entryVersions.get(sender.name) ?? 0) <= this.#persistedVersion;
  }

  /** This node answers no probe for contact from this store at this incarnation: something later is known of it. */
  fences(sender: Pick<Entry, "name" | "storeId" | "incarnation">): boolean {
    const entry = this.#entries.get(sender.name);
    const loss = this.#losses.get(sender.storeId);
    let isDeadHere = loss !== undefined && loss.incarnation >= sender.incarnation;
    if (entry !== undefined) {
      if (entry.storeId !== sender.storeId) isDeadHere ||= compareEntries(entry, sender) > 0;
      else isDeadHere ||= entry.incarnation > sender.incarnation || (entry.incarnation === sender.incarnation && (entry.status === "dead" || entry.status === "forgotten"));
    }
    return this.#rules.fences(isDeadHere);
  }

  /**
   * The store answered for contact a probe that this node sent at `sentMs`, or another member carries its word that it heard it. The name's entry must
   * be of this store.
   */
  onHeard(name: string, storeId: StoreId, sentMs: number): void {
    if (this.#entries.get(name)?.storeId === storeId) this.#contact.heard(storeId, sentMs);
  }

  /** This node has not heard of the member for as long as detection takes. From then on it fences it. */
  declareDead(name: string, nowMs: number): Changes {
    return this.#change(nowMs, () => {
      const entry = this.#entries.get(name);
      if (entry === undefined || name === this.#name || !isLive(entry)) return;
      this.#put({ ...entry, status: "dead" });
    });
  }

  /** What time brings: fences that outlast the lease, acknowledgements, clearing, forgetting, a rise of the replication. Call it once a second. */
  tick(nowMs: number): Changes {
    return this.#change(nowMs, () => {
      if (this.#faults.tick(nowMs)) this.#touch();
      for (const loss of [...this.#losses.values()]) this.#vouch(loss, nowMs);
      this.#clear();
      this.#forgetCleared();
      if (this.#replication.rise(this.#memberCount, this.#rules.mayRise)) this.#touch();
    });
  }

  /** This node's own facts about a loss. Nobody needs them of one that is over: of a thousand stores that never joined, they would be all that is told. */
  #vouch(loss: Loss, nowMs: number): void {
    if (isOver(loss)) return;
    const { fencedSinceMs } = this.#lossTimes.get(loss.storeId)!;
    const isFenced = this.#rules.isFencedLong(nowMs - fencedSinceMs, this.#options.leaseMs);
    if (isFenced && !includesStore(loss.fencedBy, this.#storeId)) this.#putLoss({ ...loss, fencedBy: unionOf(loss.fencedBy, [this.#storeId]) });
  }

  /** Clears the losses that count no longer: what their stores held is in the bucket, and they can acknowledge nothing more. */
  #clear(): void {
    if (!this.isFull) return;
    const open = this.#openLosses.filter((loss) => loss.wasFull);
    if (open.length === 0 || !this.#rules.mayClear(open.length, this.acksMin)) return;
    const cleared = open.filter((loss) => this.#mayClear(loss));
    for (const loss of cleared) this.#putLoss({ ...loss, isCleared: true, fencedBy: NOBODY, flushedBy: NOBODY });
  }

  #mayClear(loss: Loss): boolean {
    if (!this.#rules.isFencedByMajority(() => this.electorate.isMajority((store) => includesStore(loss.fencedBy, store)))) return false;
    for (const entry of this.#entries.values()) {
      if (!isLive(entry) || entry.storeId === loss.storeId) continue;
      if (!this.#rules.hasFlushed(includesStore(loss.flushedBy, entry.storeId))) return false;
    }
    return true;
  }

  /** Forgets the dead whose losses are cleared, while enough members remain to decide without them. */
  #forgetCleared(): void {
    if (!this.isFull || this.#losses.size === 0) return;
    const dead: Entry[] = [];
    let liveCount = 0;
    for (const entry of this.#entries.values()) {
      if (entry.status === "dead") dead.push(entry);
      else if (entry.status === "alive" && this.#isFull(entry)) liveCount++;
    }
    if (!this.#rules.mayForget(liveCount)) return;
    for (const entry of dead) {
      const loss = this.#losses.get(entry.storeId);
      if (loss !== undefined && loss.incarnation === entry.incarnation && isOver(loss)) this.#putForgotten(entry);
    }
  }

  #putForgotten(entry: Entry): void {
    this.#put({ ...entry, status: "forgotten", goneJoins: entry.joins, });
  }

  /** This store has read in the bucket all that it took before it learned of this loss. */
  noteFlushed(storeId: StoreId, incarnation: number, nowMs: number): Changes {
    return this.#change(nowMs, () => {
      const loss = this.#losses.get(storeId);
      if (loss === undefined || isOver(loss) || loss.incarnation !== incarnation) return;
      this.#putLoss({ ...loss, flushedBy: unionOf(loss.flushedBy, [this.#storeId]) });
    });
  }

  /**
   * From now on this node acknowledges nobody who does not read these versions (package ring, formats.ts). The data directory must say already that it may hold them. Only of a
   * full member: others do not count, and do not know everybody.
   */
  promise(formats: MemberFormats, nowMs: number): Changes {
    const own = this.#own;
    const promises = joinPromises(own.promises, announced(formats).promises);
    if (!this.isFull || promises === own.promises) return NO_CHANGES;
    return this.#change(nowMs, () => {
      this.#put({ ...this.#own, promises });
      this.#drafting.isExchangeDue = true;
    });
  }

  /** Why a node that says this of itself may not be a member here, in words that go on after "it"; undefined: it may. */
  formatsApart({ formats, name, storeId }: Pick<FormatHolder, "name" | "storeId" | "formats">): string | undefined {
    if (!this.isFull) return undefined; // it knows neither who is there nor what is written
    // A node that was cut off knows the others as they were before their upgrade, and learns better only over a link to one of them.
    const known = this.#entries.get(name);
    const isKnownFull = known?.storeId === storeId && this.#isFull(known);
    return formatsApart(formatsOf(this.#own), isKnownFull ? undefined : this.#readByFull(name), formats);
  }

  #readByFull(besides?: string): readonly number[] {
    const inCluster: FormatHolder[] = [];
    for (const entry of this.#entries.values()) if (isInCluster(entry)) inCluster.push(this.#formatHolder(entry));
    return readByFull(this.#formatHolder(this.#own), inCluster, besides);
  }

  #formatHolder(entry: Entry): FormatHolder {
    return { name: entry.name, storeId: entry.storeId, state: this.#stateOf(entry), formats: formatsOf(entry) };
  }

  /** The fewest acks under which this store holds anything that is not flushed; Infinity: it holds nothing. */
  noteHeld(acks: number, nowMs: number): Changes {
    if (acks === this.#replication.held) return NO_CHANGES;
    return this.#change(nowMs, () => this.#replication.noteHeld(acks));
  }

  /** What replication the bucket holds, read at the start and with each LIST. */
  noteBucketReplication(replication: number, nowMs: number): Changes {
    if (replication === this.#replication.bucket) return NO_CHANGES;
    return this.#change(nowMs, () => {
      this.#replication.noteBucket(replication);
      this.#touch();
    });
  }

  /** This node made the bucket's identity, or is alone by its settings: it is full by itself. */
  found(nowMs: number): Changes {
    return this.#change(nowMs, () => {
      if (!this.#own.claimsFull) this.#becomeFull();
    });
  }

  /** From now on this node takes no records. Once it is leaving, or has left, asking again changes nothing. Throws LEAVE_REFUSED. */
  leave(nowMs: number): Changes {
    const own = this.#own;
    if (own.status === "leaving" || own.status === "left") return NO_CHANGES;
    if (!this.isFull || own.status !== "alive") throw leaveRefused("it has not joined the cluster");
    const others = [...this.#entries.values()].filter((entry) => entry.name !== this.#name);
    const dead = others.find((entry) => entry.status === "dead");
    if (dead !== undefined) throw leaveRefused(`member ${dead.name} is dead; bring it back, or forget it, first`);
    const joining = others.find((entry) => entry.status === "alive" && !this.#isFull(entry));
    if (joining !== undefined) throw leaveRefused(`member ${joining.name} is joining; wait until it has joined`);
    if (!this.#isAnotherActive) throw leaveRefused("it is the last full member");
    return this.#change(nowMs, () => this.#put({ ...this.#own, incarnation: this.#own.incarnation + 1, status: "leaving" }));
  }

  /** Takes a `leave` back: records are taken again. Throws LEAVE_REFUSED once this node has left. */
  stay(nowMs: number): Changes {
    const own = this.#own;
    if (own.status === "left") throw leaveRefused("it has left already; start it again");
    if (own.status === "alive") return NO_CHANGES;
    return this.#change(nowMs, () => this.#put({ ...own, incarnation: own.incarnation + 1, status: "alive" }));
  }

  /** All that this node holds was read in the bucket: it counts in nothing any more. Hand it to several members before you stop. Throws LEAVE_REFUSED. */
  left(nowMs: number): Changes {
    const own = this.#own;
    if (own.status === "left") return NO_CHANGES;
    if (own.status !== "leaving") throw leaveRefused("it is not leaving");
    if (!this.#isAnotherActive) throw leaveRefused("it is the last full member");
    return this.#change(nowMs, () => this.#put({ ...this.#own, status: "left", goneJoins: this.#own.joins }));
  }

  /**
   * Removes a dead member whose loss is cleared. `isForced`: an operator's word that its machine is gone for good. What only it held is given up, and
   * losses of older stores under its name with it. Where a majority is gone nobody is declared dead any more (step.ts), so the word is taken for any member
   * that this node does not hear. Throws FORGET_REFUSED.
   */
  forget(name: string, { isForced }: { readonly isForced: boolean }, nowMs: number): Changes {
    const entry = this.#entries.get(name);
    const open = this.#openLosses.filter((loss) => loss.member === name);
    if (entry === undefined && open.length === 0) throw forgetRefused(name, "no such member is known");
    if (name === this.#name && open.length === 0) throw forgetRefused(name, "it is this node");
    const isUnheard = entry !== undefined && name !== this.#name && isLive(entry) && this.#isUnheard(entry, nowMs);
    const isGivenUp = isForced && isUnheard && open.length === 0;
    if (entry !== undefined && entry.status !== "dead" && open.length === 0 && !isGivenUp) {
      const isCutOff = "it does not answer, and this node, out of contact with a majority, declares nobody dead: bring others back, or say --force where its machine is gone for good";
      throw forgetRefused(name, isUnheard ? isCutOff : `it is ${this.#stateOf(entry)}: stop it first, and wait until it is declared dead`);
    }
    if (!isForced && open.some((loss) => loss.wasFull)) throw forgetRefused(name, "its loss is not cleared: others may lack what it held. Wait until the survivors have flushed, or say --force where its machine is gone for good");
    return this.#change(nowMs, () => {
      if (isGivenUp) this.#put({ ...entry, status: "dead" });
      for (const loss of this.#openLosses) if (loss.member === name) this.#putLoss({ ...loss, isCleared: true, fencedBy: NOBODY, flushedBy: NOBODY });
      const own = this.#entries.get(name);
      if (own?.status === "dead") this.#putForgotten(own);
    });
  }

  /** For longer than a lease neither the member nor a majority has answered this node. */
  #isUnheard({ storeId }: Entry, nowMs: number): boolean {
    return nowMs - this.#startMs > this.#options.leaseMs && !this.isInContact(nowMs) && !this.#contact.isHeard(storeId, nowMs);
  }

  // ---- the disk

  /** Rises with each change that must be on disk before it counts. */
  get persistVersion(): number {
    return this.#persistVersion;
  }

  get persistedVersion(): number {
    return this.#persistedVersion;
  }

  /** What to write. It is `persistVersion` that is on disk then. */
  get state(): ClusterState {
    return {
      replication: this.#replication.declared,
      bucketReplication: this.#replication.bucket,
      entries: [...this.#entries.values()],
      losses: [...this.#losses.values()],
    };
  }

  /** The state of this version was synced. What waited for that counts now: fences, and this node's being full. */
  persisted(version: number, nowMs: number): Changes {
    assert(version <= this.#persistVersion, "a version that is not there yet was written");
    if (version <= this.#persistedVersion) return NO_CHANGES;
    const wasFull = this.isFull;
    this.#persistedVersion = version;
    for (const times of this.#lossTimes.values()) if (times.fencedSinceMs === Infinity && times.version <= version) times.fencedSinceMs = nowMs;
    if (this.isFull === wasFull) return NO_CHANGES;
    this.#electorate = undefined;
    return this.#change(nowMs, () => this.#drafting.entries.add(this.#name));
  }

  // ---- what follows

  /** This node is a full member, and that is on disk. */
  get isFull(): boolean {
    return this.#isFull(this.#own) && this.#fullVersion <= this.#persistedVersion;
  }

  get fault(): OwnFault | undefined {
    return this.#faults.fault;
  }

  get own(): Entry {
    return this.#own;
  }

  entry(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  get entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  get losses(): Iterable<Loss> {
    return this.#losses.values();
  }

  loss(storeId: StoreId): Loss | undefined {
    return this.#losses.get(storeId);
  }

  isMemberFull(name: string): boolean {
    const entry = this.#entries.get(name);
    return entry !== undefined && this.#isFull(entry);
  }

  isInContact(nowMs: number): boolean {
    return this.isFull && this.#contact.isInContact(this.electorate, this.#storeId, nowMs);
  }

  /** These stores, with this node's own where it is among them, are a majority. */
  isMajority(stores: ReadonlySet<StoreId>): boolean {
    return this.electorate.isMajority((store) => stores.has(store));
  }

  /** Cleared or not. */
  isLost(store: StoreId): boolean {
    return this.#losses.has(store);
  }

  get electorate(): Electorate {
    return (this.#electorate ??= this.#elect());
  }

  #elect(): Electorate {
    const voters: StoreId[] = [];
    for (const entry of this.#entries.values()) {
      if (!isInCluster(entry)) continue;
      const isFull = entry.name === this.#name ? this.isFull : this.#isFull(entry);
      if (this.#rules.votes(isFull)) voters.push(entry.storeId);
    }
    let silentCount = 0;
    for (const loss of this.#losses.values()) if (this.#rules.isSilentVote(loss, isReplaced(loss, this.#entries.get(loss.member)))) silentCount++;
    this.#contact.electorateChanged();
    return new Electorate(voters, silentCount);
  }

  /** The smallest number of acks under which any store may hold something. */
  get acksMin(): number {
    let acks = acksOf(this.#replication.declared);
    for (const entry of this.#entries.values()) {
      if (entry.status === "left") continue;
      const loss = this.#losses.get(entry.storeId);
      if (loss === undefined || !isOver(loss)) acks = Math.min(acks, entry.acksHeld);
    }
    for (const loss of this.#losses.values()) if (!isOver(loss)) acks = Math.min(acks, loss.acksHeld);
    return acks;
  }

  get listAfterMs(): number {
    return this.#listAfterMs;
  }

  /** What the bucket should say of replication, and does not yet: put it there, then call `noteBucketReplication`. */
  get wantedReplication(): number | undefined {
    return this.#replication.wanted(this.#memberCount, this.#rules.mayRise);
  }

  get digest(): string {
    return this.#digest.text;
  }

  /** What the bucket was last seen to hold of replication; undefined: it was never read. */
  get bucketReplication(): number | undefined {
    return this.#replication.bucket;
  }

  /** Of 256 buckets of the table, 8 bytes each. */
  get bucketDigests(): Uint8Array {
    return this.#digest.buckets;
  }

  /** Everything. */
  whole(): TableMessage {
    return { isWhole: true, entries: [...this.#entries.values()], losses: [...this.#losses.values()] };
  }

  /**
   * What a node with these bucket digests lacks: it is whole for that node, and no other. Make it from one request and send it as one message: what
   * changes in between would be missing.
   */
  lackedBy(bucketDigests: Uint8Array): TableMessage {
    const own = this.#digest.buckets;
    assert(bucketDigests.length === own.length, "the digests of other buckets");
    const isEqual = (bucket: number): boolean => {
      for (let at = bucket * BUCKET_DIGEST_BYTES; at < (bucket + 1) * BUCKET_DIGEST_BYTES; at++) if (own[at] !== bucketDigests[at]) return false;
      return true;
    };
    return {
      isWhole: true,
      entries: [...this.#entries.values()].filter((entry) => !isEqual(bucketOfMember(entry.name))),
      losses: [...this.#losses.values()].filter((loss) => !isEqual(bucketOfLoss(loss.storeId))),
    };
  }

  /** `suspects`: names of members that this node suspects. */
  view(suspects: ReadonlySet<string>): ClusterView {
    const source: ViewSource = {
      clusterName: this.#options.clusterName,
      own: this.#own,
      entries: this.#entries,
      losses: this.#losses,
      replication: this.#replication,
      memberCount: this.#memberCount,
      acksMin: this.acksMin,
      listAfterMs: this.#listAfterMs,
      fault: this.fault,
      hasMoreLosses: this.#hasMoreLosses,
      digest: this.digest,
      stateOf: (entry) => this.#stateOf(entry),
      memberOfStore: (store) => this.#memberOfStore.get(store),
    };
    return viewOf(source, suspects);
  }

  // ---- inside

  get #own(): Entry {
    return this.#entries.get(this.#name)!;
  }

  /** Members learned, that have neither left nor are forgotten. */
  get #memberCount(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (isInCluster(entry)) count++;
    return count;
  }

  get #isAnotherActive(): boolean {
    for (const entry of this.#entries.values()) if (entry.name !== this.#name && entry.status === "alive" && this.#isFull(entry)) return true;
    return false;
  }

  get #openLosses(): Loss[] {
    return [...this.#losses.values()].filter((loss) => !loss.isCleared);
  }

  #isFull(entry: Entry): boolean {
    return entry.claimsFull && !this.#rules.isGone(entry.joins, Math.max(entry.goneJoins, this.#losses.get(entry.storeId)?.goneJoins ?? 0));
  }

  #stateOf(entry: Entry): MemberState {
    if (entry.status !== "alive") return entry.status;
    return (entry.name === this.#name ? this.isFull : this.#isFull(entry)) ? "active" : "joining";
  }

  #put(entry: Entry): void {
    const draft = this.#drafting;
    const old = this.#entries.get(entry.name);
    if (old !== undefined && old.storeId !== entry.storeId) {
      this.#memberOfStore.delete(old.storeId);
      this.#contact.forget(old.storeId);
    }
    const loss = this.#losses.get(entry.storeId);
    let put = entry;
    if (loss !== undefined && isSuperseded(loss, entry)) {
      this.#dropLoss(loss);
      if (loss.goneJoins > entry.goneJoins) put = { ...entry, goneJoins: Math.min(loss.goneJoins, Math.max(entry.joins, entry.goneJoins)) };
    }
    this.#entries.set(put.name, put);
    this.#noteGone(put);
    this.#memberOfStore.set(put.storeId, put.name);
    if (put.status === "alive" && !put.claimsFull) this.#joiners.add(put.name);
    else this.#joiners.delete(put.name);
    const isAnother = old === undefined || old.incarnation !== put.incarnation || old.storeId !== put.storeId || old.status !== put.status;
    if (isAnother) draft.members.add(put.name);
    if (old !== undefined && old.promises !== put.promises) draft.isExchangeDue = true;
    // Readers list first after: a store that they did not know, or know anew (it may hold less than before); one that holds nothing more; and acks that rose.
    if (old === undefined || old.bootId !== put.bootId || (put.status === "left" && old.status !== "left") || put.acksHeld > old.acksHeld) draft.isListDue = true;
    if (put.status === "dead" || put.status === "forgotten") this.#lose(put);
    if (isAnother || old.claimsFull !== put.claimsFull || old.joins !== put.joins || old.goneJoins !== put.goneJoins || old.acksHeld !== put.acksHeld || old.promises !== put.promises) this.#mustPersist(put.name);
    draft.entries.add(put.name);
    this.#digest.entryChanged(put.name);
    this.#electorate = undefined;
  }

  #lose(entry: Entry): void {
    this.#putLoss(lossOf(entry, this.#isFull({ ...entry, goneJoins: entry.status === "forgotten" ? 0 : entry.goneJoins })));
  }

  #putLoss(loss: Loss): void {
    const draft = this.#drafting;
    const known = this.#losses.get(loss.storeId);
    const joined = known === undefined ? loss : joinLosses(known, loss);
    if (joined === known) return;
    const entry = this.#entries.get(loss.member);
    if (entry !== undefined && isSuperseded(joined, entry)) {
      if (joined.goneJoins > entry.goneJoins && joined.goneJoins <= entry.joins) this.#put({ ...entry, goneJoins: joined.goneJoins });
      return;
    }
    if (entry !== undefined && entry.storeId === loss.storeId && loss.incarnation > entry.incarnation + INCARNATION_JUMP_MAX) {
      return this.#refuse(loss.member, "INCARNATION_JUMP", `its store is said to be lost at incarnation ${loss.incarnation}, and ${entry.incarnation} is known`);
    }
    if (known === undefined && this.#losses.size >= LOSSES_MAX && !this.#dropLossThatIsOver(loss)) {
      if (!isOver(loss)) this.#hasMoreLosses = true;
      return this.#refuse(loss.member, "TABLE_FULL", `${LOSSES_MAX} lost stores are known`);
    }
    this.#losses.set(joined.storeId, joined);
    const isNew = known === undefined || known.incarnation !== joined.incarnation;
    const isNewlyCleared = joined.isCleared && (isNew || !known.isCleared);
    if (isNew || isNewlyCleared || known.acksHeld !== joined.acksHeld || known.wasFull !== joined.wasFull || known.goneJoins !== joined.goneJoins) this.#mustPersist(undefined);
    if (isNew) this.#lossTimes.set(joined.storeId, { incarnation: joined.incarnation, version: this.#persistVersion, fencedSinceMs: Infinity });
    if (isNewlyCleared) draft.isListDue = true;
    draft.losses.add(joined.storeId);
    if (!isNew) draft.isExchangeDue = true;
    this.#digest.lossChanged(joined.storeId);
    this.#electorate = undefined;
  }

  #dropLoss(loss: Loss): void {
    this.#losses.delete(loss.storeId);
    this.#lossTimes.delete(loss.storeId);
    this.#digest.lossChanged(loss.storeId);
  }

  /**
   * Makes room for one that is lost now. Of those that are over, the loss with the smallest store id goes: nodes that do so apart agree in the end on which
   * are left. False: none is over, or the new one is the smallest itself.
   */
  #dropLossThatIsOver(coming: Loss): boolean {
    let smallest: Loss | undefined = isOver(coming) ? coming : undefined;
    for (const loss of this.#losses.values()) {
      const entry = this.#entries.get(loss.member);
      if (isOver(loss) && (isReplaced(loss, entry) || entry!.status === "forgotten") && (smallest === undefined || loss.storeId < smallest.storeId)) smallest = loss;
    }
    if (smallest === undefined || smallest === coming) return false;
    this.#dropLoss(smallest);
    return true;
  }

  /** The same for members: of those that have left or are forgotten. */
  #dropGoneEntry(coming: Entry): boolean {
    this.#gone ??= [...this.#entries.values()].filter((entry) => !isInCluster(entry)).sort((a, b) => (a.storeId < b.storeId ? -1 : 1));
    for (;;) {
      const [smallest] = this.#gone;
      if (smallest === undefined || (!isInCluster(coming) && coming.storeId < smallest.storeId)) return false;
      this.#gone.shift();
      if (this.#entries.get(smallest.name) !== smallest || smallest.name === this.#name) continue; // it came back
      this.#entries.delete(smallest.name);
      this.#memberOfStore.delete(smallest.storeId);
      this.#entryVersions.delete(smallest.name);
      this.#contact.forget(smallest.storeId);
      this.#digest.entryChanged(smallest.name);
      return true;
    }
  }

  /** Keeps `#gone` in order, where it is there. */
  #noteGone(entry: Entry): void {
    if (this.#gone === undefined || isInCluster(entry)) return;
    let at = this.#gone.length;
    while (at > 0 && this.#gone[at - 1]!.storeId > entry.storeId) at--;
    this.#gone.splice(at, 0, entry);
    if (this.#gone.length > 2 * MEMBERS_MAX) this.#gone = undefined; // mostly outdated
  }

  #becomeFull(): void {
    this.#put({ ...this.#own, claimsFull: true, acknowledgedBy: NOBODY });
    this.#fullVersion = this.#persistVersion;
  }

  /** What every change may bring about at once: this node becomes full, says under how many acks it holds, acknowledges who joins. */
  #conclude(): void {
    const own = this.#own;
    if (!own.claimsFull && isLive(own) && this.#isAcknowledged(own)) this.#becomeFull();
    const { acksHeld } = this.#replication;
    if (acksHeld > this.#own.acksHeld) this.#put({ ...this.#own, acksHeld });
    // It does not fall while the node runs as it should. An operator may lower the bucket's replication, or a data directory of one node joins.
    else if (acksHeld < this.#own.acksHeld) this.#put({ ...this.#own, acksHeld, incarnation: this.#own.incarnation + 1, acknowledgedBy: NOBODY });
    if (this.#joiners.size === 0 || !this.#rules.mayAnswer(this.isFull)) return;
    // Who joins is not full, so it is the same for all of them. Asked only where one is to be acknowledged: it looks at every member.
    let readBy: readonly number[] | undefined;
    for (const name of [...this.#joiners]) {
      const entry = this.#entries.get(name)!;
      if (name === this.#name || includesStore(entry.acknowledgedBy, this.#storeId)) continue;
      readBy ??= this.#readByFull();
      if (!this.#rules.mayAcknowledge(formatsApart(formatsOf(this.#own), readBy, formatsOf(entry)) !== undefined)) continue;
      this.#put({ ...entry, acknowledgedBy: unionOf(entry.acknowledgedBy, [this.#storeId]) });
      this.#drafting.isExchangeDue = true;
    }
  }

  #isAcknowledged(own: Entry): boolean {
    let voters = 0;
    let acknowledged = 0;
    for (const entry of this.#entries.values()) {
      if (entry.name === this.#name || !isInCluster(entry) || !this.#rules.votes(this.#isFull(entry))) continue;
      voters++;
      if (includesStore(own.acknowledgedBy, entry.storeId)) acknowledged++;
    }
    return this.#rules.isJoined(acknowledged, voters, this.electorate.silentCount);
  }

  #refuse(member: string, code: RefusalCode, reason: string): void {
    this.#drafting.refused.push({ member, code, reason });
  }

  #mustPersist(member: string | undefined): void {
    this.#persistVersion++;
    if (member !== undefined) this.#entryVersions.set(member, this.#persistVersion);
  }

  /** The view changed, and no entry did. */
  #touch(): void {
    this.#mustPersist(undefined);
    this.#drafting.entries.add(this.#name);
  }

  get #drafting(): Draft {
    assert(this.#draft !== undefined, "the table changes only within a call");
    return this.#draft;
  }

  #change(nowMs: number, make: () => void): Changes {
    assert(this.#draft === undefined, "a change within a change");
    const draft: Draft = { entries: new Set(), losses: new Set(), members: new Set(), refused: [], isExchangeDue: false, isListDue: false };
    this.#draft = draft;
    this.#nowMs = nowMs;
    try {
      make();
      if (this.#entries.has(this.#name)) this.#conclude();
    } finally {
      this.#draft = undefined;
    }
    if (draft.isListDue) this.#listAfterMs = nowMs;
    return this.#changesOf(draft);
  }

  #changesOf(draft: Draft): Changes {
    const entries: Entry[] = [];
    let isExchangeDue = draft.isExchangeDue;
    for (const name of draft.entries) {
      const entry = this.#entries.get(name);
      if (entry === undefined) continue; // it made room
      const news = newsOfEntry(entry);
      // Promises alone are in each entry, and few of its changes are of them: `promise` and `#put` say when.
      if (news === undefined || entry.goneJoins > 0 || entry.acknowledgedBy.length > 0) isExchangeDue = true;
      if (news !== undefined) entries.push(news);
    }
    const losses: Loss[] = [];
    for (const store of draft.losses) {
      const loss = this.#losses.get(store);
      if (loss !== undefined) losses.push(newsOfLoss(loss));
    }
    const isViewChanged = draft.entries.size > 0 || draft.losses.size > 0;
    return { news: { isWhole: false, entries, losses }, members: [...draft.members], isViewChanged, isExchangeDue, isListDue: draft.isListDue, refused: draft.refused };
  }
}

const NO_CHANGES: Changes = { news: NO_NEWS, members: [], isViewChanged: false, isExchangeDue: false, isListDue: false, refused: [] };

function leaveRefused(reason: string): CodedError {
  return new CodedError({ code: "LEAVE_REFUSED", kind: "failed_precondition", message: `this node cannot leave: ${reason}` });
}

function forgetRefused(name: string, reason: string): CodedError {
  return new CodedError({ code: "FORGET_REFUSED", kind: "failed_precondition", message: `member ${name} cannot be forgotten: ${reason}`, details: { member: name } });
}
