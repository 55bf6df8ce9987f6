/**
 * A cluster whose members are objects in one process: what they know of each other is set by the test, and their requests pass in memory, as copies of
 * bytes. With a manual clock all of it is deterministic.
 *
 *   const world = new FakeClusterWorld(["a", "b", "c"], { clock });
 *   const a = world.of("a");                        the `Cluster` of node a
 *   world.cut("a", "b");                            their requests fail with PEER_UNREACHABLE
 *   world.delay("a", "c", 50);                      those of a to c take 50 ms more
 *   world.stop("c");                                c answers nothing: requests to it wait until they time out
 *   world.update({ lostStores: [...] });            every member's view, or `a.update({...})` for one
 */
import { CodedError, unavailable, untilAborted } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { ClusterView, Member, StoreId } from "@pyromesh/ring";
import type { Cluster, PeerHandler, PeerMethod, PeerRequestOptions, Peers } from "../cluster/ports.ts";
import { BUILD_FORMATS, heldVersions, memberFormats } from "../process/build-formats.ts";

export interface FakeClusterOptions {
  /** Absent: as many as there are members, at most 3. */
  readonly replication?: number;
  readonly zoneOf?: (name: string) => string;
}

export class FakeClusterWorld {
  readonly clock: Clock;
  /** Every request that was made, for the test to look at. */
  readonly requests: { readonly from: string; readonly to: string; readonly method: PeerMethod; readonly body: Uint8Array }[] = [];
  readonly #clusters = new Map<string, FakeCluster>();
  readonly #cut = new Set<string>();
  readonly #delays = new Map<string, number>();
  readonly #stopped = new Set<string>();
  /** Called before a request is passed on. A rejection is the request's; it may wait, also until nobody waits for the answer any more: then the request arrives late. */
  onRequest: (from: string, to: string, method: PeerMethod, body: Uint8Array) => Promise<void> | void = () => {};
  /** The same for an answer: a rejection loses it, although the peer did what was asked. */
  onAnswer: (from: string, to: string, method: PeerMethod, body: Uint8Array) => Promise<void> | void = () => {};

  /** It gives no sign of life to those who ask for one (`Peers.hears`), though its requests and answers pass. */
  isMute: (name: string) => boolean = () => false;

  constructor(names: readonly string[], { clock, ...options }: { readonly clock: Clock } & FakeClusterOptions) {
    this.clock = clock;
    const members = names.map((name) => memberOf(name, options.zoneOf?.(name) ?? ""));
    const replication = options.replication ?? Math.min(3, names.length);
    for (const self of members) this.#clusters.set(self.name, new FakeCluster(this, viewOf(self, members, replication)));
  }

  of(name: string): FakeCluster {
    const cluster = this.#clusters.get(name);
    if (cluster === undefined) throw new Error(`no member ${name} in this test`);
    return cluster;
  }

  get all(): readonly FakeCluster[] {
    return [...this.#clusters.values()];
  }

  storeIdOf(name: string): StoreId {
    return this.of(name).view.self.storeId;
  }

  /** A member's store as `stores` of `head.append` has it. */
  storeOf(name: string): Uint8Array {
    return Buffer.from(this.storeIdOf(name), "hex");
  }

  /** In every member's view. */
  update(change: Partial<ClusterView>): void {
    for (const cluster of this.all) cluster.update(change);
  }

  /** Changes one member in every view. */
  updateMember(name: string, change: Partial<Member>): void {
    for (const cluster of this.all) cluster.updateMember(name, change);
  }

  cut(a: string, b: string): void {
    this.#cut.add(`${a} ${b}`).add(`${b} ${a}`);
  }

  /** Only requests of `from` to `to`. */
  cutOneWay(from: string, to: string): void {
    this.#cut.add(`${from} ${to}`);
  }

  heal(): void {
    this.#cut.clear();
    this.#stopped.clear();
    this.#delays.clear();
  }

  delay(from: string, to: string, ms: number): void {
    this.#delays.set(`${from} ${to}`, ms);
  }

  stop(name: string): void {
    this.#stopped.add(name);
  }

  resume(name: string): void {
    this.#stopped.delete(name);
  }

  /** What `Peers.request` of member `from` does. */
  async request(from: FakeCluster, to: string, method: PeerMethod, given: Uint8Array, { timeoutMs, signal }: PeerRequestOptions): Promise<Uint8Array> {
    const name = from.view.self.name;
    const body = Uint8Array.from(given);
    this.requests.push({ from: name, to, method, body });
    const ended = new AbortController();
    const late = this.clock.after(timeoutMs, () => ended.abort(unavailable("PEER_TIMEOUT", `${to} has not answered within ${timeoutMs} ms`)));
    const onAbort = (): void => ended.abort(signal?.reason);
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await untilAborted(this.#pass(from, to, method, body, ended.signal), ended.signal);
    } finally {
      late.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** What `Peers.hears` of member `from` does. */
  async hears(from: string, to: string, timeoutMs: number): Promise<boolean> {
    const delayMs = this.#delays.get(`${from} ${to}`) ?? 0;
    const isSilent = this.isMute(to) || this.#stopped.has(to) || this.#cut.has(`${from} ${to}`) || this.#cut.has(`${to} ${from}`) || delayMs > timeoutMs;
    await this.clock.sleep(isSilent ? timeoutMs : delayMs);
    return !isSilent;
  }

  async #pass(from: FakeCluster, to: string, method: PeerMethod, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    // As it was when the request was sent: it may arrive when the member has been started again.
    const { name, storeId, bootId } = from.view.self;
    const way = `${name} ${to}`;
    await this.onRequest(name, to, method, body);
    const delayMs = this.#delays.get(way) ?? 0;
    if (delayMs > 0) await this.clock.sleep(delayMs, signal);
    if (this.#stopped.has(to)) return new Promise(() => {});
    const target = this.#clusters.get(to);
    if (target === undefined || this.#cut.has(way)) throw unavailable("PEER_UNREACHABLE", `there is no link to ${to}`);
    const handler = target.handlerOf(method);
    if (handler === undefined) throw new CodedError({ code: "PEER_METHOD_UNKNOWN", kind: "unimplemented", message: `${to} knows no ${method}` });
    const answer = Uint8Array.from(await handler({ name, storeId, bootId, protocol: 1 }, body, signal));
    if (this.#cut.has(`${to} ${name}`)) throw unavailable("PEER_UNREACHABLE", `the link to ${to} closed`);
    await this.onAnswer(to, name, method, answer);
    return answer;
  }
}

export class FakeCluster implements Cluster {
  readonly #world: FakeClusterWorld;
  readonly #listeners = new Set<(view: ClusterView) => void>();
  readonly #handlers = new Map<PeerMethod, PeerHandler>();
  #view: ClusterView;
  #isInContact = true;
  /** Set: contact was lost a moment ago, and who asks for it waits. */
  #contactWait: { readonly outcome: Promise<boolean>; readonly resolve: (isInContact: boolean) => void } | undefined;
  /** What was noted, in order. */
  readonly held: number[] = [];
  readonly flushed: { readonly storeId: StoreId; readonly incarnation: number }[] = [];
  readonly learned: { readonly member: string; readonly digest: string }[] = [];
  readonly peers: Peers = {
    request: (member, method, body, options) => this.#world.request(this, member, method, body, options),
    hears: (member, timeoutMs) => this.#world.hears(this.#view.self.name, member, timeoutMs),
    handle: (method, handler) => void this.#handlers.set(method, handler),
  };

  constructor(world: FakeClusterWorld, view: ClusterView) {
    this.#world = world;
    this.#view = view;
  }

  get view(): ClusterView {
    return this.#view;
  }

  update(change: Partial<ClusterView>): void {
    this.#view = { ...this.#view, ...change };
    for (const listener of this.#listeners) listener(this.#view);
  }

  updateMember(name: string, change: Partial<Member>): void {
    const members = this.#view.members.map((member) => (member.name === name ? { ...member, ...change } : member));
    this.update({ members, self: members.find((member) => member.name === this.#view.self.name)! });
  }

  get isInContact(): boolean {
    return this.#isInContact;
  }

  /** False: it has been out of contact for long. */
  set isInContact(isInContact: boolean) {
    this.#isInContact = isInContact;
    this.#contactWait?.resolve(isInContact);
    this.#contactWait = undefined;
  }

  /** Contact is lost now: who asks for it waits until it is set again. */
  loseContact(): void {
    this.#isInContact = false;
    let resolve!: (isInContact: boolean) => void;
    const outcome = new Promise<boolean>((settle) => (resolve = settle));
    this.#contactWait = { outcome, resolve };
  }

  contact(): Promise<boolean> {
    return this.#contactWait?.outcome ?? Promise.resolve(this.#isInContact);
  }

  onChange(listener: (view: ClusterView) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  isLost(storeId: StoreId): boolean {
    return this.#view.lostStores.some((lost) => lost.storeId === storeId);
  }

  isMajority(answered: ReadonlySet<StoreId>): boolean {
    const full = this.#view.members.filter(({ state }) => state !== "joining");
    const silentCount = this.#view.lostStores.filter(({ isReplaced, isCleared }) => isReplaced && !isCleared).length;
    return 2 * full.filter(({ storeId }) => answered.has(storeId)).length > full.length + silentCount;
  }

  noteHeld(acks: number): void {
    this.held.push(acks);
  }

  noteFlushed(storeId: StoreId, incarnation: number): void {
    this.flushed.push({ storeId, incarnation });
  }

  learnFrom(member: string, digest: string): Promise<void> {
    this.learned.push({ member, digest });
    return Promise.resolve();
  }

  handlerOf(method: PeerMethod): PeerHandler | undefined {
    return this.#handlers.get(method);
  }
}

/** The store id of a name is the same in every test. */
function memberOf(name: string, zone: string): Member {
  return {
    name,
    storeId: Buffer.from(name.padEnd(16, ".")).toString("hex").slice(0, 32),
    bootId: `boot of ${name}`,
    incarnation: 1,
    state: "active",
    isSuspect: false,
    clusterAddress: `${name}:7946`,
    httpAddress: `${name}:4040`,
    zone,
    tokenCount: 128,
    protocolMin: 1,
    protocolMax: 1,
    formats: memberFormats(BUILD_FORMATS, heldVersions(BUILD_FORMATS, "reads")),
    build: "test",
    acksHeld: 1,
  };
}

function viewOf(self: Member, given: readonly Member[], replication: number): ClusterView {
  const acks = Math.floor(replication / 2) + 1;
  const members = given.map((member) => ({ ...member, acksHeld: acks }));
  return {
    clusterName: "test",
    self: { ...self, acksHeld: acks },
    members,
    gone: [],
    lostStores: [],
    replication,
    acks,
    replicationSetting: replication,
    isReplicationRising: false,
    acksMin: acks,
    listAfterMs: 0,
    writesRefusedBecause: undefined,
    queriesRefusedBecause: undefined,
    digest: "0".repeat(32),
  };
}
