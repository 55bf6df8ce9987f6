/**
 * The items of the member table: an entry for each member, a loss for each lost store, and what finds them. What follows from an item by itself happens when
 * it is put: a member that died loses its store, a store that is back is lost no longer.
 *
 * What must stay true:
 * - A member has one entry, that of its latest store. A store has one loss at most, and none that its member's entry supersedes.
 * - Items are replaced, never changed: what was handed out stays as it was.
 * - A change that must outlast a restart raises `persistVersion`.
 */
import { assert } from "@pyromesh/base";
import type { StoreId } from "@pyromesh/ring";
import type { ClusterState } from "../items/cluster-state.ts";
import { type Entry, isInCluster } from "../items/entry.ts";
import { INCARNATION_JUMP_MAX, LOSSES_MAX, MEMBERS_MAX } from "../items/limits.ts";
import { isOver, isReplaced, isSuperseded, joinLosses, type Loss, lossOf } from "../items/losses.ts";
import { TableDigest } from "../items/table-digest.ts";
import type { MembershipRules } from "./rules.ts";
import { ChangeDraft, type Changes, type RefusalCode } from "./table-changes.ts";

export interface ItemsOwner {
  /** This node's own name: its entry makes room for none. */
  readonly name: string;
  readonly rules: MembershipRules;
  /** Another set of stores may vote than before. */
  onVotersChanged(): void;
  /** No entry names the store any more. */
  onStoreGone(storeId: StoreId): void;
}

interface LossTimes {
  /** What must be on disk before this node counts as fencing. */
  readonly version: number;
  /** Since when this node refuses the lost store's probes; Infinity: it is not on disk yet. */
  fencedSinceMs: number;
}

export class TableItems {
  readonly #owner: ItemsOwner;
  /** By name. One entry a member: that of its latest store. */
  readonly #entries = new Map<string, Entry>();
  /** By store. None is superseded. */
  readonly #losses = new Map<StoreId, Loss>();
  #hasMoreLosses = false;
  readonly #lossTimes = new Map<StoreId, LossTimes>();
  /** The member whose entry names the store. */
  readonly #memberOfStore = new Map<StoreId, string>();
  readonly #joiners = new Set<string>();
  /** Entries of members that left or are forgotten, by store id: which go when the table is full. Made at the first time that it is; some are outdated. */
  #gone: Entry[] | undefined;
  /** Under which `persistVersion` the member's entry changed last. */
  readonly #entryVersions = new Map<string, number>();
  readonly #digest: TableDigest;
  #persistVersion = 0;
  #persistedVersion = 0;
  #draft: ChangeDraft | undefined;

  constructor(owner: ItemsOwner, restored: Pick<ClusterState, "entries" | "losses"> | undefined, nowMs: number) {
    this.#owner = owner;
    for (const entry of restored?.entries ?? []) {
      this.#entries.set(entry.name, entry);
      this.#memberOfStore.set(entry.storeId, entry.name);
      if (entry.status === "alive" && !entry.claimsFull) this.#joiners.add(entry.name);
    }
    for (const loss of restored?.losses ?? []) {
      this.#losses.set(loss.storeId, loss);
      // The fence was kept on disk, but a store that this node may have answered just before it stopped has a lease from then on.
      this.#lossTimes.set(loss.storeId, { version: 0, fencedSinceMs: nowMs });
    }
    this.#digest = new TableDigest(this.#entries, this.#losses);
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  get losses(): ReadonlyMap<StoreId, Loss> {
    return this.#losses;
  }

  /** A loss was refused because the table is full: no answer of this node's is complete any more, until it starts again. */
  get hasMoreLosses(): boolean {
    return this.#hasMoreLosses;
  }

  /** Members that are alive and do not claim to be full: they wait for acknowledgements. */
  get joiners(): ReadonlySet<string> {
    return this.#joiners;
  }

  get digest(): TableDigest {
    return this.#digest;
  }

  memberOfStore(storeId: StoreId): string | undefined {
    return this.#memberOfStore.get(storeId);
  }

  /** The member's claim to be full holds: its store was neither forgotten nor left since it joined. */
  isFull(entry: Entry): boolean {
    return entry.claimsFull && !this.#owner.rules.isGone(entry.joins, Math.max(entry.goneJoins, this.#losses.get(entry.storeId)?.goneJoins ?? 0));
  }

  // ---- changes

  /** What `make` puts, loses and refuses, as one change. */
  change(make: () => void): Changes {
    assert(this.#draft === undefined, "a change within a change");
    const draft = new ChangeDraft();
    this.#draft = draft;
    try {
      make();
    } finally {
      this.#draft = undefined;
    }
    return draft.changes(this.#entries, this.#losses);
  }

  put(entry: Entry): void {
    const draft = this.#drafting;
    const old = this.#entries.get(entry.name);
    if (old !== undefined && old.storeId !== entry.storeId) {
      this.#memberOfStore.delete(old.storeId);
      this.#owner.onStoreGone(old.storeId);
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
    if (put.status === "dead" || put.status === "forgotten") this.lose(put);
    if (isAnother || old.claimsFull !== put.claimsFull || old.joins !== put.joins || old.goneJoins !== put.goneJoins || old.acksHeld !== put.acksHeld || old.promises !== put.promises) this.#mustPersist(put.name);
    draft.entries.add(put.name);
    this.#digest.entryChanged(put.name);
    this.#owner.onVotersChanged();
  }

  /** The store that the entry names is lost, at the entry's incarnation. */
  lose(entry: Entry): void {
    this.putLoss(lossOf(entry, this.isFull({ ...entry, goneJoins: entry.status === "forgotten" ? 0 : entry.goneJoins })));
  }

  putLoss(loss: Loss): void {
    const draft = this.#drafting;
    const known = this.#losses.get(loss.storeId);
    const joined = known === undefined ? loss : joinLosses(known, loss);
    if (joined === known) return;
    const entry = this.#entries.get(loss.member);
    if (entry !== undefined && isSuperseded(joined, entry)) {
      if (joined.goneJoins > entry.goneJoins && joined.goneJoins <= entry.joins) this.put({ ...entry, goneJoins: joined.goneJoins });
      return;
    }
    if (entry !== undefined && entry.storeId === loss.storeId && loss.incarnation > entry.incarnation + INCARNATION_JUMP_MAX) {
      return this.refuse(loss.member, "INCARNATION_JUMP", `its store is said to be lost at incarnation ${loss.incarnation}, and ${entry.incarnation} is known`);
    }
    if (known === undefined && this.#losses.size >= LOSSES_MAX && !this.#dropLossThatIsOver(loss)) {
      if (!isOver(loss)) this.#hasMoreLosses = true;
      return this.refuse(loss.member, "TABLE_FULL", `${LOSSES_MAX} lost stores are known`);
    }
    this.#losses.set(joined.storeId, joined);
    const isNew = known === undefined || known.incarnation !== joined.incarnation;
    const isNewlyCleared = joined.isCleared && (isNew || !known.isCleared);
    if (isNew || isNewlyCleared || known.acksHeld !== joined.acksHeld || known.wasFull !== joined.wasFull || known.goneJoins !== joined.goneJoins) this.#mustPersist(undefined);
    if (isNew) this.#lossTimes.set(joined.storeId, { version: this.#persistVersion, fencedSinceMs: Infinity });
    if (isNewlyCleared) draft.isListDue = true;
    draft.losses.add(joined.storeId);
    if (!isNew) draft.isExchangeDue = true;
    this.#digest.lossChanged(joined.storeId);
    this.#owner.onVotersChanged();
  }

  refuse(member: string, code: RefusalCode, reason: string): void {
    this.#drafting.refused.push({ member, code, reason });
  }

  noteExchangeDue(): void {
    this.#drafting.isExchangeDue = true;
  }

  /** What follows from this node's entry is another than before, though the entry is not. */
  noteOwnChanged(): void {
    this.#drafting.entries.add(this.#owner.name);
  }

  /** Something besides the items changed that is written with them. */
  noteRestChanged(): void {
    this.#mustPersist(undefined);
    this.noteOwnChanged();
  }

  get #drafting(): ChangeDraft {
    assert(this.#draft !== undefined, "the table changes only within a call");
    return this.#draft;
  }

  // ---- the disk

  /** Rises with each change that must be on disk before it counts. */
  get persistVersion(): number {
    return this.#persistVersion;
  }

  get persistedVersion(): number {
    return this.#persistedVersion;
  }

  /** The member's entry counts once this version is on disk. */
  versionOf(name: string): number {
    return this.#entryVersions.get(name) ?? 0;
  }

  /** Since when this node fences a store whose loss is known; Infinity: the loss is not on disk yet. */
  fencedSinceMs(storeId: StoreId): number {
    return this.#lossTimes.get(storeId)!.fencedSinceMs;
  }

  persisted(version: number, nowMs: number): void {
    this.#persistedVersion = version;
    for (const times of this.#lossTimes.values()) if (times.fencedSinceMs === Infinity && times.version <= version) times.fencedSinceMs = nowMs;
  }

  #mustPersist(member: string | undefined): void {
    this.#persistVersion++;
    if (member !== undefined) this.#entryVersions.set(member, this.#persistVersion);
  }

  // ---- room

  /** Makes room for one more member. Of those that have left or are forgotten, the one with the smallest store id goes, as with losses. */
  dropGoneEntry(coming: Entry): boolean {
    this.#gone ??= [...this.#entries.values()].filter((entry) => !isInCluster(entry)).sort((a, b) => (a.storeId < b.storeId ? -1 : 1));
    for (;;) {
      const [smallest] = this.#gone;
      if (smallest === undefined || (!isInCluster(coming) && coming.storeId < smallest.storeId)) return false;
      this.#gone.shift();
      if (this.#entries.get(smallest.name) !== smallest || smallest.name === this.#owner.name) continue; // it came back
      this.#entries.delete(smallest.name);
      this.#memberOfStore.delete(smallest.storeId);
      this.#entryVersions.delete(smallest.name);
      this.#owner.onStoreGone(smallest.storeId);
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
}
