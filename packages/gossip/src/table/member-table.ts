/**
 * The member table of one node: what it knows of every member and of every lost store, and what follows from it. Pure: it takes the time, and says in
 * `Changes` what to tell others, what to write to disk and what to look at again.
 *
 *   table-items.ts        the entries and losses, and what follows from one of them by itself
 *   table-changes.ts      what a call changed
 *   own-entry.ts          what this node says of itself
 *   probe-answer.ts       whose probes count
 *   joining.ts            who becomes a full member
 *   clearing.ts           which losses keep nobody waiting any more, and who is forgotten
 *   operator-commands.ts  leave, stay, forget
 *
 * What must stay true:
 * - What this node knows counts only once it is on disk: the caller sends no table, no probe and no answer while `persistVersion` is above what it
 *   has written. Otherwise a restart would forget whom this node has fenced, acknowledged or said to be full.
 * - Merging is independent of order and repetition. Only what a node says of itself (`#hearOfSelf`) answers what it hears.
 * - Conclusions come from whole messages only (table-message.ts).
 */
import { assert } from "@pyromesh/base";
import type { ClusterView, FormatHolder, MemberFormats, MemberState, StoreId } from "@pyromesh/ring";
import { announced, joinPromises } from "../items/announced-formats.ts";
import type { ClusterState } from "../items/cluster-state.ts";
import { areSame, type Entry, faultOfEntry, forgottenOf, isInCluster, isLive, joinEntries, NOBODY, type OwnEntry } from "../items/entry.ts";
import { INCARNATION_JUMP_MAX, MEMBERS_MAX } from "../items/limits.ts";
import { acksMinOf, clearedOf, faultOfLoss, isOver, type Loss } from "../items/losses.ts";
import { includesStore, unionOf } from "../items/store-set.ts";
import { newsOfEntry, newsOfLoss, type TableMessage } from "../items/table-message.ts";
import { clearable, forgettable } from "./clearing.ts";
import { Contact } from "./contact.ts";
import { acknowledgeable, formatsApartFrom, isAcknowledged } from "./joining.ts";
import { type Electorate, electorateOf } from "./majority.ts";
import { givenUpEntry, leavingEntry, leftEntry, stayingEntry } from "./operator-commands.ts";
import { isContradicted, refutingEntry, startedEntry } from "./own-entry.ts";
import { type OwnFault, OwnFaults } from "./own-fault.ts";
import { answerTo, fences, type ProbeAnswer, type Sender } from "./probe-answer.ts";
import { acksOf, Replication } from "./replication.ts";
import { type MembershipRules, RULES } from "./rules.ts";
import { type Changes, NO_CHANGES } from "./table-changes.ts";
import { TableItems } from "./table-items.ts";
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

export class MemberTable {
  readonly #options: MemberTableOptions;
  readonly #rules: MembershipRules;
  readonly #name: string;
  readonly #storeId: StoreId;
  readonly #items: TableItems;
  readonly #contact: Contact;
  readonly #replication: Replication;
  #electorate: Electorate | undefined;
  /** What must be on disk before this node's being full counts. */
  #fullVersion = 0;
  #listAfterMs: number;
  readonly #startMs: number;
  /** The data directory held no state. So nobody can know this store: the state is written before the first message leaves. */
  readonly #isFirstStart: boolean;
  readonly #faults = new OwnFaults();
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
    this.#items = new TableItems(
      {
        name: this.#name,
        rules: this.#rules,
        onVotersChanged: () => (this.#electorate = undefined),
        onStoreGone: (storeId) => this.#contact.forget(storeId),
      },
      restored,
      nowMs,
    );
    this.#start(nowMs);
  }

  #start(nowMs: number): void {
    const old = this.#items.entries.get(this.#name);
    this.#change(nowMs, () => {
      if (old !== undefined && old.storeId !== this.#storeId && old.status !== "left") this.#items.lose(old);
      const entry = startedEntry(this.#options.self, old, { isFounder: this.#options.isFounder, acksHeld: this.#replication.acksHeld });
      this.#items.put(entry);
      this.#fullVersion = entry.claimsFull ? this.#items.persistVersion : 0;
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
    for (const loss of remote.losses) if (this.#items.losses.get(loss.storeId) !== loss) this.#hearOfLoss(remote.isWhole ? loss : newsOfLoss(loss));
  }

  #hear(entry: Entry): void {
    const known = this.#items.entries.get(entry.name);
    if (known !== undefined && areSame(known, entry)) return;
    const fault = faultOfEntry(entry);
    if (fault !== undefined) return this.#items.refuse(entry.name, "ENTRY_MALFORMED", fault);
    if (entry.name === this.#name) return this.#hearOfSelf(entry);
    if (known === undefined && this.#items.entries.size >= MEMBERS_MAX && !this.#items.dropGoneEntry(entry)) return this.#items.refuse(entry.name, "TABLE_FULL", `${MEMBERS_MAX} members are known`);
    if (known !== undefined && entry.incarnation > known.incarnation + INCARNATION_JUMP_MAX) {
      return this.#items.refuse(entry.name, "INCARNATION_JUMP", `its incarnation ${entry.incarnation} is far above ${known.incarnation}`);
    }
    const holder = this.#items.memberOfStore(entry.storeId);
    if (holder !== undefined && holder !== entry.name) {
      if (holder === this.#name) this.#faults.meetTwin(entry, this.#nowMs);
      return this.#items.refuse(entry.name, "STORE_TWICE", `member ${holder} has its store id ${entry.storeId}`);
    }
    if (known === undefined) return this.#items.put(entry);
    const joined = joinEntries(known, entry);
    if (known.storeId !== entry.storeId) {
      const replaced = joined.storeId === known.storeId ? entry : known;
      if (replaced.status !== "left") this.#items.lose(replaced);
    }
    if (joined !== known) this.#items.put(joined);
  }

  #hearOfLoss(loss: Loss): void {
    const fault = faultOfLoss(loss);
    if (fault !== undefined) return this.#items.refuse(loss.member, "ENTRY_MALFORMED", fault);
    if (loss.storeId !== this.#storeId) return this.#items.putLoss(loss);
    // This store is not lost. A loss at an older incarnation is long refuted; one at this or a later one is refuted now.
    const own = this.#own;
    if (loss.incarnation > own.incarnation + INCARNATION_JUMP_MAX) return this.#items.refuse(loss.member, "INCARNATION_JUMP", `this node's store is said to be lost at incarnation ${loss.incarnation}`);
    if (own.status === "left") return;
    this.#refute(loss.incarnation, loss.goneJoins);
  }

  /** What another says of this node. */
  #hearOfSelf(entry: Entry): void {
    const own = this.#own;
    if (this.#isFirstStart && entry.storeId === own.storeId && entry.bootId !== own.bootId) return this.#faults.loseState(own.storeId);
    if (entry.incarnation > own.incarnation + INCARNATION_JUMP_MAX) {
      return this.#items.refuse(entry.name, "INCARNATION_JUMP", `this node is said to be at incarnation ${entry.incarnation}, and is at ${own.incarnation}`);
    }
    if (entry.storeId !== own.storeId || (entry.bootId !== own.bootId && entry.incarnation >= own.incarnation)) this.#faults.meetRival(own, entry, this.#nowMs);
    if (own.status === "left" && entry.storeId === own.storeId) return;
    if (entry.storeId !== own.storeId) {
      if (entry.status !== "left") this.#items.lose(entry);
      if (entry.incarnation >= own.incarnation) this.#refute(entry.incarnation, 0);
      return;
    }
    const isGone = this.#rules.isGone(own.joins, entry.goneJoins);
    if (isContradicted(own, entry)) return this.#refute(entry.incarnation, entry.goneJoins);
    if (isGone) return this.#refute(own.incarnation, entry.goneJoins);
    if (entry.incarnation !== own.incarnation || own.claimsFull) return;
    const acknowledgedBy = unionOf(own.acknowledgedBy, entry.acknowledgedBy);
    if (acknowledgedBy !== own.acknowledgedBy) this.#items.put({ ...own, acknowledgedBy });
  }

  /** Says anew, above `incarnation`, that this node is there. Where its store was forgotten since it joined, it joins anew. */
  #refute(incarnation: number, goneJoins: number): void {
    const own = this.#own;
    const isGone = this.#rules.isGone(own.joins, goneJoins);
    if (incarnation < own.incarnation && !isGone) return;
    if (this.#faults.hasGivenUp) return;
    this.#items.put(refutingEntry(own, { incarnation, goneJoins, isGone }));
  }

  // ---- what this node sees and decides

  /** A probe from `sender`, which carries its entry. */
  onProbe(sender: Entry, nowMs: number): ProbeAnswer {
    const wasFenced = this.fences(sender);
    const changes = this.#change(nowMs, () => this.#merge({ isWhole: false, entries: [sender], losses: [] }));
    const reason = answerTo(sender, wasFenced, this, this.#rules);
    return { isContact: reason === "answered", reason, afterVersion: this.#items.versionOf(sender.name), changes };
  }

  /**
   * This node may give its word for the store, at this incarnation: it is full, knows the store as full, on disk, and does not fence it. What a member
   * relays of heartbeats that it heard must be of such a moment.
   */
  vouchesFor(sender: Sender): boolean {
    const entry = this.#items.entries.get(sender.name);
    if (entry?.storeId !== sender.storeId || sender.name === this.#name || this.fences(sender)) return false;
    return this.#rules.mayAnswer(this.isFull) && this.#items.isFull(entry) && this.#items.versionOf(sender.name) <= this.#items.persistedVersion;
  }

  /** See `fences` of probe-answer.ts. */
  fences(sender: Sender): boolean {
    return fences(sender, this, this.#rules);
  }

  /**
   * The store answered for contact a probe that this node sent at `sentMs`, or another member carries its word that it heard it. The name's entry must
   * be of this store.
   */
  onHeard(name: string, storeId: StoreId, sentMs: number): void {
    if (this.#items.entries.get(name)?.storeId === storeId) this.#contact.heard(storeId, sentMs);
  }

  /** This node has not heard of the member for as long as detection takes. From then on it fences it. */
  declareDead(name: string, nowMs: number): Changes {
    return this.#change(nowMs, () => {
      const entry = this.#items.entries.get(name);
      if (entry === undefined || name === this.#name || !isLive(entry)) return;
      this.#items.put({ ...entry, status: "dead" });
    });
  }

  /** What time brings: fences that outlast the lease, acknowledgements, clearing, forgetting, a rise of the replication. Call it once a second. */
  tick(nowMs: number): Changes {
    return this.#change(nowMs, () => {
      if (this.#faults.tick(nowMs)) this.#items.noteRestChanged();
      for (const loss of [...this.#items.losses.values()]) this.#vouch(loss, nowMs);
      if (this.#items.losses.size > 0) {
        for (const loss of clearable(this, this.#rules)) this.#items.putLoss(clearedOf(loss));
        for (const entry of forgettable(this, this.#rules)) this.#items.put(forgottenOf(entry));
      }
      if (this.#replication.rise(this.#memberCount, this.#rules.mayRise)) this.#items.noteRestChanged();
    });
  }

  /** This node's own facts about a loss. Nobody needs them of one that is over: of a thousand stores that never joined, they would be all that is told. */
  #vouch(loss: Loss, nowMs: number): void {
    if (isOver(loss)) return;
    const isFenced = this.#rules.isFencedLong(nowMs - this.#items.fencedSinceMs(loss.storeId), this.#options.leaseMs);
    if (isFenced && !includesStore(loss.fencedBy, this.#storeId)) this.#items.putLoss({ ...loss, fencedBy: unionOf(loss.fencedBy, [this.#storeId]) });
  }

  /** This store has read in the bucket all that it took before it learned of this loss. */
  noteFlushed(storeId: StoreId, incarnation: number, nowMs: number): Changes {
    return this.#change(nowMs, () => {
      const loss = this.#items.losses.get(storeId);
      if (loss === undefined || isOver(loss) || loss.incarnation !== incarnation) return;
      this.#items.putLoss({ ...loss, flushedBy: unionOf(loss.flushedBy, [this.#storeId]) });
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
      this.#items.put({ ...this.#own, promises });
      this.#items.noteExchangeDue();
    });
  }

  /** Why a node that says this of itself may not be a member here, in words that go on after "it"; undefined: it may. */
  formatsApart(other: Pick<FormatHolder, "name" | "storeId" | "formats">): string | undefined {
    return formatsApartFrom(this, other);
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
      this.#items.noteRestChanged();
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
    return this.#changeOwn(leavingEntry(this), nowMs);
  }

  /** Takes a `leave` back: records are taken again. Throws LEAVE_REFUSED once this node has left. */
  stay(nowMs: number): Changes {
    return this.#changeOwn(stayingEntry(this), nowMs);
  }

  /** All that this node holds was read in the bucket: it counts in nothing any more. Hand it to several members before you stop. Throws LEAVE_REFUSED. */
  left(nowMs: number): Changes {
    return this.#changeOwn(leftEntry(this), nowMs);
  }

  /**
   * Removes a dead member whose loss is cleared. `isForced`: an operator's word that its machine is gone for good. What only it held is given up, and
   * losses of older stores under its name with it. Where a majority is gone nobody is declared dead any more (step.ts), so the word is taken for any member
   * that this node does not hear. Throws FORGET_REFUSED.
   */
  forget(name: string, options: { readonly isForced: boolean }, nowMs: number): Changes {
    const dead = givenUpEntry(this, name, options, nowMs);
    return this.#change(nowMs, () => {
      if (dead !== undefined) this.#items.put(dead);
      for (const loss of this.openLosses) if (loss.member === name) this.#items.putLoss(clearedOf(loss));
      const entry = this.#items.entries.get(name);
      if (entry?.status === "dead") this.#items.put(forgottenOf(entry));
    });
  }

  // ---- the disk

  /** Rises with each change that must be on disk before it counts. */
  get persistVersion(): number {
    return this.#items.persistVersion;
  }

  get persistedVersion(): number {
    return this.#items.persistedVersion;
  }

  /** All of it is on disk. */
  get isPersisted(): boolean {
    return this.#items.persistedVersion >= this.#items.persistVersion;
  }

  /** What to write. It is `persistVersion` that is on disk then. */
  get state(): ClusterState {
    return {
      replication: this.#replication.declared,
      bucketReplication: this.#replication.bucket,
      entries: [...this.#items.entries.values()],
      losses: [...this.#items.losses.values()],
    };
  }

  /** The state of this version was synced. What waited for that counts now: fences, and this node's being full. */
  persisted(version: number, nowMs: number): Changes {
    assert(version <= this.#items.persistVersion, "a version that is not there yet was written");
    if (version <= this.#items.persistedVersion) return NO_CHANGES;
    const wasFull = this.isFull;
    this.#items.persisted(version, nowMs);
    if (this.isFull === wasFull) return NO_CHANGES;
    this.#electorate = undefined;
    return this.#change(nowMs, () => this.#items.noteOwnChanged());
  }

  // ---- what follows

  /** This node is a full member, and that is on disk. */
  get isFull(): boolean {
    return this.#items.isFull(this.#own) && this.#fullVersion <= this.#items.persistedVersion;
  }

  get fault(): OwnFault | undefined {
    return this.#faults.fault;
  }

  get own(): Entry {
    return this.#own;
  }

  entry(name: string): Entry | undefined {
    return this.#items.entries.get(name);
  }

  get entries(): Iterable<Entry> {
    return this.#items.entries.values();
  }

  get losses(): Iterable<Loss> {
    return this.#items.losses.values();
  }

  loss(storeId: StoreId): Loss | undefined {
    return this.#items.losses.get(storeId);
  }

  /** Losses that are not cleared. */
  get openLosses(): Loss[] {
    return [...this.#items.losses.values()].filter((loss) => !loss.isCleared);
  }

  /** See `TableItems.joiners`. */
  get joiners(): ReadonlySet<string> {
    return this.#items.joiners;
  }

  stateOf(entry: Entry): MemberState {
    if (entry.status !== "alive") return entry.status;
    return (entry.name === this.#name ? this.isFull : this.#items.isFull(entry)) ? "active" : "joining";
  }

  isMemberFull(name: string): boolean {
    const entry = this.#items.entries.get(name);
    return entry !== undefined && this.#items.isFull(entry);
  }

  isInContact(nowMs: number): boolean {
    return this.isFull && this.#contact.isInContact(this.electorate, this.#storeId, nowMs);
  }

  /** While it is in contact: it will be until then at least, unless others vote. */
  get contactUntilMs(): number {
    return this.#contact.untilMs;
  }

  /** For longer than a lease neither the member nor a majority has answered this node. */
  isUnheard({ storeId }: Entry, nowMs: number): boolean {
    return nowMs - this.#startMs > this.#options.leaseMs && !this.isInContact(nowMs) && !this.#contact.isHeard(storeId, nowMs);
  }

  /** These stores, with this node's own where it is among them, are a majority. */
  isMajority(stores: ReadonlySet<StoreId>): boolean {
    return this.electorate.isMajority((store) => stores.has(store));
  }

  /** Cleared or not. */
  isLost(store: StoreId): boolean {
    return this.#items.losses.has(store);
  }

  get electorate(): Electorate {
    return (this.#electorate ??= this.#elect());
  }

  #elect(): Electorate {
    const { entries, losses } = this.#items;
    this.#contact.electorateChanged();
    return electorateOf(entries, losses.values(), (entry) => (entry.name === this.#name ? this.isFull : this.#items.isFull(entry)), this.#rules);
  }

  /** The smallest number of acks under which any store may hold something. */
  get acksMin(): number {
    return acksMinOf(this.#items.entries.values(), this.#items.losses, acksOf(this.#replication.declared));
  }

  get listAfterMs(): number {
    return this.#listAfterMs;
  }

  /** What the bucket should say of replication, and does not yet: put it there, then call `noteBucketReplication`. */
  get wantedReplication(): number | undefined {
    return this.#replication.wanted(this.#memberCount, this.#rules.mayRise);
  }

  get digest(): string {
    return this.#items.digest.text;
  }

  /** What the bucket was last seen to hold of replication; undefined: it was never read. */
  get bucketReplication(): number | undefined {
    return this.#replication.bucket;
  }

  /** Of 256 buckets of the table, 8 bytes each. */
  get bucketDigests(): Uint8Array {
    return this.#items.digest.buckets;
  }

  /** Everything. */
  whole(): TableMessage {
    return { isWhole: true, entries: [...this.#items.entries.values()], losses: [...this.#items.losses.values()] };
  }

  /** See `TableDigest.lackedBy`. */
  lackedBy(bucketDigests: Uint8Array): TableMessage {
    return this.#items.digest.lackedBy(bucketDigests);
  }

  /** `suspects`: names of members that this node suspects. */
  view(suspects: ReadonlySet<string>): ClusterView {
    const source: ViewSource = {
      clusterName: this.#options.clusterName,
      own: this.#own,
      entries: this.#items.entries,
      losses: this.#items.losses,
      replication: this.#replication,
      memberCount: this.#memberCount,
      acksMin: this.acksMin,
      listAfterMs: this.#listAfterMs,
      fault: this.fault,
      hasMoreLosses: this.#items.hasMoreLosses,
      digest: this.digest,
      stateOf: (entry) => this.stateOf(entry),
      memberOfStore: (store) => this.#items.memberOfStore(store),
    };
    return viewOf(source, suspects);
  }

  // ---- inside

  get #own(): Entry {
    return this.#items.entries.get(this.#name)!;
  }

  /** Members learned, that have neither left nor are forgotten. */
  get #memberCount(): number {
    let count = 0;
    for (const entry of this.#items.entries.values()) if (isInCluster(entry)) count++;
    return count;
  }

  #becomeFull(): void {
    this.#items.put({ ...this.#own, claimsFull: true, acknowledgedBy: NOBODY });
    this.#fullVersion = this.#items.persistVersion;
  }

  /** What every change may bring about at once: this node becomes full, says under how many acks it holds, acknowledges who joins. */
  #conclude(): void {
    const own = this.#own;
    if (!own.claimsFull && isLive(own) && isAcknowledged(this, this.#rules)) this.#becomeFull();
    const { acksHeld } = this.#replication;
    if (acksHeld > this.#own.acksHeld) this.#items.put({ ...this.#own, acksHeld });
    // It does not fall while the node runs as it should. An operator may lower the bucket's replication, or a data directory of one node joins.
    else if (acksHeld < this.#own.acksHeld) this.#items.put({ ...this.#own, acksHeld, incarnation: this.#own.incarnation + 1, acknowledgedBy: NOBODY });
    for (const entry of acknowledgeable(this, this.#rules)) {
      this.#items.put({ ...entry, acknowledgedBy: unionOf(entry.acknowledgedBy, [this.#storeId]) });
      this.#items.noteExchangeDue();
    }
  }

  /** Undefined: nothing changes. */
  #changeOwn(entry: Entry | undefined, nowMs: number): Changes {
    return entry === undefined ? NO_CHANGES : this.#change(nowMs, () => this.#items.put(entry));
  }

  #change(nowMs: number, make: () => void): Changes {
    this.#nowMs = nowMs;
    const changes = this.#items.change(() => {
      make();
      this.#conclude();
    });
    if (changes.isListDue) this.#listAfterMs = nowMs;
    return changes;
  }
}
