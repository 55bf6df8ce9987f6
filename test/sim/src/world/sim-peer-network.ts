/**
 * The network between members in a simulated world. Frames take time, and arrive in order on each channel of a link; faults cut ways, reset links, lose
 * them silently, and lose, repeat and delay gossip. It outlives the runs of the nodes; each run opens its endpoint on it.
 *
 * As with TCP, a cut loses nothing by itself: what was sent waits until the cut is healed, and the link stays open on both sides. What one side does
 * or learns is an event of its own run, so a node that is paused or dead does and learns nothing.
 */
import { createHash } from "node:crypto";
import { CodedError } from "@pyromesh/base";
import { CHANNELS, FRAME_BYTES_MAX, GOSSIP_BYTES_MAX } from "@pyromesh/gossip";
import type { Channel, LinkListener, PeerEndpoint, PeerHandlers, PeerLink, PeerNetwork, PeerNetworkOptions } from "@pyromesh/gossip";
import type { Chance } from "./chance.ts";
import type { Faults } from "./faults.ts";
import type { Journal } from "./journal.ts";
import type { Life, Scheduler } from "./scheduler.ts";

/** So many bytes of a channel may be on their way, or wait at a receiver that has paused. */
const WINDOW_BYTES = 256 * 1024;
/** A link between machines of one place takes some tenths of a millisecond each way. */
const WAY_MS = 0.3;

export interface SimPeerNetworkModules {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly journal: Journal;
}

export class SimPeerNetwork {
  readonly #chance: Chance;
  readonly #modules: SimPeerNetworkModules;
  readonly #endpoints = new Map<string, SimEndpoint>();
  readonly #links = new Set<SimLink>();
  /** "from to", two hosts: by how many faults it is cut. Nothing passes. */
  readonly #cuts = new Map<string, number>();
  /** "from to" -> how much longer a frame takes. */
  readonly #slowMs = new Map<string, number>();

  constructor(chance: Chance, modules: SimPeerNetworkModules) {
    this.#chance = chance;
    this.#modules = modules;
  }

  /** The network as one run of a node sees it. */
  openFor(life: Life): PeerNetwork {
    return {
      open: (options, handlers) => this.#open(life, options, handlers),
      resolve: (host) => Promise.resolve([host]),
    };
  }

  #open(life: Life, options: PeerNetworkOptions, handlers: PeerHandlers): Promise<PeerEndpoint> {
    const address = `${options.host}:${options.port}`;
    const endpoint = new SimEndpoint({ network: this, life, address, handlers, clusterName: options.clusterName, peerId: peerIdOf(options.privateKey), port: options.port });
    this.#endpoints.set(address, endpoint);
    return Promise.resolve(endpoint);
  }

  // --- faults -----------------------------------------------------------------------------------------------------------

  /** From now on nothing passes from one host to the other, until each fault that cut the way has healed it. */
  cut(from: string, to: string): void {
    const way = `${from} ${to}`;
    this.#cuts.set(way, (this.#cuts.get(way) ?? 0) + 1);
  }

  heal(from: string, to: string): void {
    const way = `${from} ${to}`;
    const count = this.#cuts.get(way) ?? 0;
    if (count > 1) this.#cuts.set(way, count - 1);
    if (count !== 1) return;
    this.#cuts.delete(way);
    for (const link of this.#linksFrom(from, to)) link.goOn();
  }

  /** Frames from one host to the other take so much longer; 0 ends it. */
  slow(from: string, to: string, moreMs: number): void {
    this.#slowMs.set(`${from} ${to}`, moreMs);
  }

  /** The links between two hosts end, and both sides learn it. */
  reset(a: string, b: string): void {
    for (const link of this.#linksFrom(a, b)) link.reset();
  }

  /** The links between two hosts carry nothing any more, and neither side learns it. */
  loseSilently(a: string, b: string): void {
    for (const link of [...this.#linksFrom(a, b), ...this.#linksFrom(b, a)]) link.isLost = true;
  }

  /** Ends the faults of ways. A link that was lost silently stays so. */
  healAll(): void {
    for (const way of [...this.#cuts.keys()]) {
      const [from, to] = way.split(" ") as [string, string];
      this.#cuts.set(way, 1);
      this.heal(from, to);
    }
    this.#slowMs.clear();
  }

  /** The run has ended. A kill closes its links, and the others learn it; after power loss they do not, unless they send something later. */
  close(life: Life, { isTold }: { readonly isTold: boolean }): void {
    for (const [address, endpoint] of this.#endpoints) if (endpoint.life === life) this.#endpoints.delete(address);
    for (const link of [...this.#links]) {
      if (link.life !== life) continue;
      this.#links.delete(link);
      link.isLost = true;
      const { peer } = link;
      if (isTold && !this.isCut(link.host, peer.host)) this.after(link.host, peer.host, peer.life, () => peer.endHere("the connection was reset"));
      else peer.isLost = true;
    }
  }

  // --- for endpoints and links of this file -----------------------------------------------------------------------------

  endpointAt(address: string): SimEndpoint | undefined {
    return this.#endpoints.get(address);
  }

  get endpoints(): Iterable<SimEndpoint> {
    return this.#endpoints.values();
  }

  get faults(): Faults {
    return this.#modules.faults;
  }

  get chance(): Chance {
    return this.#chance;
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from} ${to}`);
  }

  /** Draws how long something takes from one host to the other. */
  wayMs(from: string, to: string): number {
    const { faults } = this.#modules;
    return this.#chance.delay(WAY_MS) + (this.#slowMs.get(`${from} ${to}`) ?? 0) + (faults.comes("peer frame is slow") ? faults.slowMs() / 8 : 0);
  }

  after(from: string, to: string, life: Life, run: () => void): void {
    this.#modules.scheduler.after(this.wayMs(from, to), life, run);
  }

  afterMs(delayMs: number, life: Life, run: () => void): void {
    this.#modules.scheduler.after(delayMs, life, run);
  }

  get nowMs(): number {
    return this.#modules.scheduler.nowMs;
  }

  note(what: string): void {
    this.#modules.journal.note("peers", what);
  }

  add(link: SimLink): void {
    this.#links.add(link);
  }

  remove(link: SimLink): void {
    this.#links.delete(link);
  }

  linksOf(endpoint: SimEndpoint): SimLink[] {
    return [...this.#links].filter((link) => link.endpoint === endpoint);
  }

  forget(endpoint: SimEndpoint): void {
    if (this.#endpoints.get(endpoint.address) === endpoint) this.#endpoints.delete(endpoint.address);
  }

  #linksFrom(from: string, to: string): SimLink[] {
    return [...this.#links].filter(({ host, peer }) => host === from && peer.host === to);
  }
}

function peerIdOf(privateKey: Uint8Array): string {
  return createHash("sha256").update(privateKey).digest("hex").slice(0, 20);
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

interface SimEndpointInit {
  readonly network: SimPeerNetwork;
  readonly life: Life;
  readonly address: string;
  readonly handlers: PeerHandlers;
  readonly clusterName: string;
  readonly peerId: string;
  readonly port: number;
}

class SimEndpoint implements PeerEndpoint {
  readonly network: SimPeerNetwork;
  readonly life: Life;
  readonly address: string;
  readonly host: string;
  readonly handlers: PeerHandlers;
  readonly clusterName: string;
  readonly peerId: string;
  readonly port: number;
  #isStopped = false;

  constructor({ network, life, address, handlers, clusterName, peerId, port }: SimEndpointInit) {
    this.network = network;
    this.life = life;
    this.address = address;
    this.host = hostOf(address);
    this.handlers = handlers;
    this.clusterName = clusterName;
    this.peerId = peerId;
    this.port = port;
  }

  dial(address: string, signal: AbortSignal): Promise<PeerLink> {
    const { network } = this;
    const host = hostOf(address);
    return new Promise((resolve, reject) => {
      let isSettled = false;
      const settle = (run: () => void): void => {
        if (isSettled) return;
        isSettled = true;
        signal.removeEventListener("abort", onAbort);
        run();
      };
      const fail = (why: string): void => settle(() => reject(new CodedError({ code: "PEER_UNREACHABLE", kind: "unavailable", message: `${address} cannot be reached: ${why}` })));
      const onAbort = (): void => fail("it did not answer in time");
      if (signal.aborted || this.#isStopped) return fail("it did not answer in time");
      signal.addEventListener("abort", onAbort, { once: true });
      // Where a way is cut, nobody answers: the signal ends it.
      if (network.isCut(this.host, host) || network.isCut(host, this.host)) return;
      const other = network.endpointAt(address);
      if (other === undefined) return network.after(this.host, host, this.life, () => fail("the connection was refused"));
      network.after(this.host, host, other.life, () => {
        const [mine, theirs] = SimLink.pair(this, other);
        other.handlers.onLink(theirs);
        network.after(host, this.host, this.life, () => {
          if (isSettled) mine.close();
          else settle(() => resolve(mine));
        });
      });
    });
  }

  /** Passes on along admitted links that are not cut. */
  gossip(message: Uint8Array): void {
    if (message.length > GOSSIP_BYTES_MAX) throw new RangeError("a gossip message is longer than its bound");
    const { chance, faults } = this.network;
    const reached = new Set<SimEndpoint>([this]);
    for (const from of reached) {
      for (const link of this.network.linksOf(from)) {
        const other = link.peer.endpoint;
        if (reached.has(other) || other.clusterName !== this.clusterName || !link.isOpenForAll || this.network.isCut(from.host, other.host)) continue;
        reached.add(other);
        const times = faults.comes("gossip is lost") ? 0 : faults.comes("gossip comes twice") ? 2 : 1;
        for (let i = 0; i < times; i++) {
          const copy = message.slice();
          this.network.afterMs(this.network.wayMs(this.host, other.host) + (chance.isTrue(0.2) ? chance.between(0, 50) : 0), other.life, () => other.#take(copy));
        }
      }
    }
  }

  #take(message: Uint8Array): void {
    if (!this.#isStopped) this.handlers.onGossip(message);
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    this.network.forget(this);
    for (const link of this.network.linksOf(this)) link.close();
    return Promise.resolve();
  }
}

/** What one side has sent on one channel. */
interface Sending {
  /** Sent, and not taken by the other side. */
  readonly frames: Uint8Array[];
  bytes: number;
  /** How many of them have passed the way. */
  arrivedCount: number;
  /** When the last one has passed the way. */
  lastMs: number;
  /** By the receiver. */
  isPaused: boolean;
  waiting: (() => void)[];
}

/** One side of a link. */
class SimLink implements PeerLink {
  readonly isDialled: boolean;
  readonly endpoint: SimEndpoint;
  peer!: SimLink; // set by `pair`
  /** Frames of this side vanish from now on. */
  isLost = false;
  readonly #sendings: ReadonlyMap<Channel, Sending>;
  #listener: LinkListener | undefined;
  #isAdmitted = false;
  #isOpen = true;
  #endReason: string | undefined;

  private constructor(endpoint: SimEndpoint, isDialled: boolean) {
    this.endpoint = endpoint;
    this.isDialled = isDialled;
    this.#sendings = new Map(CHANNELS.map((channel) => [channel, { frames: [], bytes: 0, arrivedCount: 0, lastMs: 0, isPaused: false, waiting: [] }]));
    endpoint.network.add(this);
  }

  static pair(dialler: SimEndpoint, dialled: SimEndpoint): readonly [dialler: SimLink, dialled: SimLink] {
    const mine = new SimLink(dialler, true);
    const theirs = new SimLink(dialled, false);
    mine.peer = theirs;
    theirs.peer = mine;
    return [mine, theirs];
  }

  get peerId(): string {
    return this.peer.endpoint.peerId;
  }

  get remoteAddress(): string {
    return this.peer.endpoint.address;
  }

  get host(): string {
    return this.endpoint.host;
  }

  get life(): Life {
    return this.endpoint.life;
  }

  get isOpenForAll(): boolean {
    return this.#isOpen && !this.isLost && this.#isAdmitted && this.peer.#isAdmitted;
  }

  admit(): void {
    this.#isAdmitted = true;
    this.#deliverAll();
    this.peer.#deliverAll();
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    if (frame.length > FRAME_BYTES_MAX) throw new RangeError("a frame is longer than its bound");
    if (!this.#isOpen) return true;
    const sending = this.#sendings.get(channel)!;
    sending.frames.push(frame);
    sending.bytes += frame.length;
    if (this.isLost) this.#noticeReset();
    else this.#travel(channel, sending);
    return sending.bytes < WINDOW_BYTES;
  }

  /** A machine that has started again knows nothing of the connection, and says so. */
  #noticeReset(): void {
    const { network } = this.endpoint;
    const there = network.endpointAt(this.remoteAddress);
    if (there === undefined || there.life === this.peer.life || network.isCut(this.host, there.host) || network.isCut(there.host, this.host)) return;
    network.after(there.host, this.host, this.life, () => this.endHere("the connection was reset"));
  }

  /** The frame arrives after those before it. */
  #travel(channel: Channel, sending: Sending): void {
    const { network } = this.endpoint;
    const { nowMs } = network;
    sending.lastMs = Math.max(nowMs + network.wayMs(this.host, this.peer.host), sending.lastMs + 0.002);
    network.afterMs(sending.lastMs - nowMs, this.peer.life, () => {
      sending.arrivedCount++;
      this.#deliver(channel, sending);
    });
  }

  drained(channel: Channel): Promise<void> {
    const sending = this.#sendings.get(channel)!;
    if (!this.#isOpen || sending.bytes < WINDOW_BYTES) return Promise.resolve();
    return new Promise((resolve) => sending.waiting.push(resolve));
  }

  listen(listener: LinkListener): void {
    this.#listener = listener;
    const reason = this.#endReason;
    if (reason !== undefined) this.endpoint.network.afterMs(0, this.life, () => listener.onClosed(reason));
    else this.endpoint.network.afterMs(0, this.life, () => this.peer.#deliverAll());
  }

  pause(channel: Channel, isPaused: boolean): void {
    this.peer.#sendings.get(channel)!.isPaused = isPaused;
    if (!isPaused) this.endpoint.network.afterMs(0, this.life, () => this.peer.#deliverAll());
  }

  /** The cut is healed: what waited passes. */
  goOn(): void {
    this.endpoint.network.after(this.host, this.peer.host, this.peer.life, () => this.#deliverAll());
  }

  #deliverAll(): void {
    for (const [channel, sending] of this.#sendings) this.#deliver(channel, sending);
  }

  /** Runs in the receiver's life. */
  #deliver(channel: Channel, sending: Sending): void {
    const { network } = this.endpoint;
    while (sending.arrivedCount > 0 && this.#mayArrive(channel, sending)) {
      const frame = sending.frames.shift()!;
      sending.arrivedCount--;
      sending.bytes -= frame.length;
      if (sending.bytes < WINDOW_BYTES) for (const resolve of sending.waiting.splice(0)) network.after(this.peer.host, this.host, this.life, resolve);
      this.peer.#listener!.onFrame(channel, frame.slice());
    }
  }

  #mayArrive(channel: Channel, { isPaused }: Sending): boolean {
    const { peer } = this;
    if (this.isLost || !peer.#isOpen || peer.#listener === undefined || isPaused || this.endpoint.network.isCut(this.host, peer.host)) return false;
    // The other channels are open once both sides have admitted each other.
    return channel === "control" || (this.#isAdmitted && peer.#isAdmitted);
  }

  close(): void {
    if (!this.#isOpen) return;
    const { peer } = this;
    const { network } = this.endpoint;
    this.endHere("this side closed it");
    if (this.isLost || network.isCut(this.host, peer.host)) return; // the other side learns nothing
    let lastMs = network.nowMs + network.wayMs(this.host, peer.host);
    for (const sending of this.#sendings.values()) lastMs = Math.max(lastMs, sending.lastMs + 0.002);
    network.afterMs(lastMs - network.nowMs, peer.life, () => peer.endHere("the other side closed it"));
  }

  reset(): void {
    const { peer } = this;
    const { network } = this.endpoint;
    for (const side of [this, peer]) {
      side.isLost = true;
      network.after(side.peer.host, side.host, side.life, () => side.endHere("the connection was reset"));
    }
  }

  endHere(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#endReason = reason;
    const { network } = this.endpoint;
    network.remove(this);
    for (const { waiting } of this.#sendings.values()) for (const resolve of waiting.splice(0)) resolve();
    const listener = this.#listener;
    if (listener !== undefined) network.afterMs(0, this.life, () => listener.onClosed(reason));
  }
}
