/**
 * How far each store has got, as the other members remember it. By it a store notices that its data directory was rolled back (a snapshot of its machine, or a copy of the
 * directory, was put in its place), though nothing that it lost had reached the bucket.
 *
 *   this store ──"my last commit has number n"──▶ a member, which keeps the highest that it heard of each store
 *              ◀──"I knew of m before"───────────
 *   m above what the head has: commits are gone that this store synced, and may have acknowledged
 *
 * What must stay true:
 *   - only synced commits are told, so what a loss of power takes from the disk is never taken for a rollback;
 *   - this store acknowledges nothing and answers no query before it has compared with a majority of the full members, and with half of those whom it tells of its commits, since its start.
 *     A store whose id this process drew has nothing to compare: no other process has told a commit under that id, so nobody knows of one that it lacks.
 *
 * Not noticed: commits of which no member that is there heard, which are those of the last second before the end, or all where the others started anew meanwhile; a rollback that
 * lost no commit; and the rollback of a node that has the cluster for itself.
 *
 * A member that this node's view calls dead is told as well where there is a link to it: it lives, and its word against the verdict is late, for as long as this node's disk is full and keeps no table.
 *
 * Bounds: each member is told once a second at most, and only what it has not heard; WITNESSES_MAX members are told, and those that are dead and linked. One number is kept of each store in the view.
 */
import { CodedError, messageOf } from "@pyromesh/base";
import type { Clock, Logger, Timer } from "@pyromesh/base";
import type { ClusterView, Member, StoreId } from "@pyromesh/ring";
import type { Cluster } from "./ports.ts";
import { openProgress, openProgressAnswer, packProgress, packProgressAnswer } from "./progress-message.ts";

export interface StoreProgressModules {
  readonly cluster: Pick<Cluster, "isMajority" | "onChange" | "peers" | "view">;
  /** There is a link to the member. Absent: to none. */
  readonly isLinked?: ((member: string) => boolean) | undefined;
  /** The number of the head's last commit; every commit up to it is synced. */
  readonly lastCommit: () => number;
  /** The store id was drawn by this process. A store that merely holds nothing may be one that was put back to its beginning. */
  readonly isNewStore: boolean;
  /** A member knows of commits that this store has not got. Called once. */
  readonly onRolledBack: (reason: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

const INTERVAL_MS = 1_000;
/** Until a majority was compared with: pushes wait for it. */
const RETRY_MS = 200;
const TIMEOUT_MS = 2_000;
/** Members that are told of each step: all of them in clusters of up to seven. */
const WITNESSES_MAX = 6;

export class StoreProgress {
  readonly #modules: StoreProgressModules;
  #isStopped = false;
  /** By store: the highest commit that it told. */
  readonly #known = new Map<StoreId, number>();
  /** By member: what its process was told. */
  readonly #told = new Map<string, { readonly bootId: string; readonly commit: number }>();
  /** Stores that were compared with since the start. */
  readonly #compared = new Set<StoreId>();
  #isCompared: boolean;
  #isRolledBack = false;
  #wasJoining = false;
  #isStarted = false;
  #telling: Promise<void> | undefined;
  #timer: Timer | undefined;
  #endListening: () => void = () => {};

  /** It answers the others from now on. */
  constructor(modules: StoreProgressModules) {
    this.#modules = modules;
    this.#isCompared = modules.isNewStore;
    modules.cluster.peers.handle("progress", ({ storeId }, body) => Promise.resolve(packProgressAnswer(this.#take(storeId, openProgress(body)))));
  }

  start(): void {
    this.#isStarted = true;
    this.#endListening = this.#modules.cluster.onChange((view) => this.#onView(view));
    this.#onView(this.#modules.cluster.view);
  }

  stop(): void {
    this.#endListening();
    this.#timer?.cancel();
    this.#isStopped = true;
  }

  /** A majority of the full members, this one counted, knows of no commit that this store has not got, or nobody can. */
  get isCompared(): boolean {
    this.#compare(); // who is full may have changed since the last answer
    return this.#isCompared;
  }

  /** Call it when the head has committed something. */
  noteCommitted(): void {
    if (this.#isStarted && this.#telling === undefined && this.#timer === undefined) this.#tellNow();
  }

  #onView({ lostStores, members, self }: ClusterView): void {
    // Who had not heard of its entry kept nothing of what it told.
    if (this.#wasJoining && self.state !== "joining") this.#told.clear();
    this.#wasJoining = self.state === "joining";
    const stores = new Set([...members, ...lostStores].map(({ storeId }) => storeId));
    for (const storeId of this.#known.keys()) if (!stores.has(storeId)) this.#known.delete(storeId);
    const names = new Set(members.map(({ name }) => name));
    for (const name of this.#told.keys()) if (!names.has(name)) this.#told.delete(name);
    this.noteCommitted();
  }

  /** What was known before of the store that tells. Of a store in no entry nothing is kept: it has not joined. */
  #take(storeId: StoreId, commit: number): number {
    const known = this.#known.get(storeId) ?? 0;
    const { lostStores, members } = this.#modules.cluster.view;
    if (commit > known && [...members, ...lostStores].some((store) => store.storeId === storeId)) this.#known.set(storeId, commit);
    return known;
  }

  #tellNow(): void {
    this.#telling = this.#tellAll().finally(() => {
      this.#telling = undefined;
      if (this.#isStopped) return;
      this.#timer = this.#modules.clock.after(this.isCompared ? INTERVAL_MS : RETRY_MS, () => {
        this.#timer = undefined;
        if (!this.isCompared || this.#due().length > 0) this.#tellNow();
      });
    });
  }

  /** The members that have not heard of the last commit: dead ones too, to which there may be a link a moment later. */
  #due(): readonly Member[] {
    const commit = this.#modules.lastCommit();
    const witnesses = new Set(this.#witnesses);
    return this.#notJoining.filter((member) => {
      // Each store is asked once after a start, whether or not its member was: one that was told by an earlier process may be no witness any more.
      if (!this.#compared.has(member.storeId)) return true;
      if (member.state !== "dead" && !witnesses.has(member)) return false;
      const told = this.#told.get(member.name);
      return told?.bootId !== member.bootId || told.commit < commit;
    });
  }

  get #others(): readonly Member[] {
    return this.#notJoining.filter(({ state }) => state !== "dead");
  }

  get #notJoining(): readonly Member[] {
    const { members, self } = this.#modules.cluster.view;
    return members.filter(({ name, state }) => name !== self.name && state !== "joining");
  }

  /** Those that are told of each step: those that follow this one in the order of names, as on a ring, so that the members of a large cluster have different ones. */
  get #witnesses(): readonly Member[] {
    const others = this.#others;
    if (others.length <= WITNESSES_MAX) return others;
    const { name } = this.#modules.cluster.view.self;
    const sorted = [...others].sort((a, b) => (a.name < b.name ? -1 : 1));
    const first = Math.max(0, sorted.findIndex((member) => member.name > name));
    return [...sorted.slice(first), ...sorted.slice(0, first)].slice(0, WITNESSES_MAX);
  }

  async #tellAll(): Promise<void> {
    // A dial to one that is gone would hold up the round.
    const reachable = this.#due().filter(({ name, state }) => state !== "dead" || this.#modules.isLinked?.(name) === true);
    await Promise.all(reachable.map((member) => this.#tell(member)));
  }

  async #tell({ bootId, name, storeId }: Member): Promise<void> {
    const { lastCommit, logger } = this.#modules;
    const commit = lastCommit();
    try {
      const known = await this.#ask(name, commit);
      if (this.#isStopped) return;
      this.#told.set(name, { bootId, commit });
      // Compared with what is there now: a later message may have told the member more meanwhile.
      if (known > lastCommit()) return this.#rolledBack(name, known);
      this.#compared.add(storeId);
    } catch (error) {
      logger.debug("a member was not told how far this store has got", { member: name, reason: messageOf(error) });
    }
  }

  /** What the member knew of this store. */
  async #ask(name: string, commit: number): Promise<number> {
    try {
      return openProgressAnswer(await this.#modules.cluster.peers.request(name, "progress", packProgress(commit), { timeoutMs: TIMEOUT_MS }));
    } catch (error) {
      // A member of the version before remembers nothing.
      if (error instanceof CodedError && error.code === "PEER_METHOD_UNKNOWN") return 0;
      throw error;
    }
  }

  #compare(): void {
    const { cluster } = this.#modules;
    if (this.#isCompared || this.#isRolledBack || !this.#isStarted) return;
    if (!cluster.isMajority(new Set([...this.#compared, cluster.view.self.storeId]))) return;
    // In a large cluster a majority may hold none of those that were told.
    const witnesses = this.#witnesses;
    this.#isCompared = 2 * witnesses.filter(({ storeId }) => this.#compared.has(storeId)).length >= witnesses.length;
  }

  #rolledBack(member: string, known: number): void {
    if (this.#isRolledBack) return;
    this.#isRolledBack = true;
    this.#isCompared = false;
    const { lastCommit, onRolledBack } = this.#modules;
    onRolledBack(`${member} knows of commit ${known} of this store, and its last one is ${lastCommit()}: the data directory was rolled back, or a copy of it has run elsewhere`);
  }
}
