/**
 * A network between members in memory, for tests: deterministic, and with faults that a test switches on and off.
 *
 * Frames without a delay arrive in a later microtask, in the order in which they were sent; those with a delay by the passed clock. As with TCP, a cut
 * loses nothing by itself: what was sent waits until the cut is healed, the link stays open, and a dial gets no answer until its signal aborts.
 */
import { createHash } from "node:crypto";
import { assert, CodedError, type Clock } from "@pyromesh/base";
import { CHANNELS, FRAME_BYTES_MAX, GOSSIP_BYTES_MAX, type Channel, type LinkListener, type PeerEndpoint, type PeerHandlers, type PeerLink, type PeerNetwork, type PeerNetworkOptions } from "../links/peer-network.ts";

/** So many bytes of a channel may be on their way, or wait at a receiver that has paused. */
const WINDOW_BYTES = 256 * 1024;

interface Way {
  isCut: boolean;
  delayMs: number;
  /** The part of the gossip messages that is lost, 0 to 1, taken by counting and not by chance. */
  gossipLoss: number;
  gossipCount: number;
}

export class MemoryNetwork implements PeerNetwork {
  readonly #clock: Clock;
  readonly #endpoints = new Map<string, MemoryEndpoint>();
  /** By "from to": the two addresses. */
  readonly #ways = new Map<string, Way>();
  readonly #hosts = new Map<string, readonly string[]>();
  #lastPort = 17_000;
  /** Frames and gossip messages that were handed over, and their bytes. */
  readonly delivered: { frames: number; bytes: number; gossip: number; gossipBytes: number } = { frames: 0, bytes: 0, gossip: 0, gossipBytes: 0 };

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  open(options: PeerNetworkOptions, handlers: PeerHandlers): Promise<PeerEndpoint> {
    const port = options.port === 0 ? ++this.#lastPort : options.port;
    const address = `${options.host}:${port}`;
    if (this.#endpoints.has(address)) return Promise.reject(new CodedError({ code: "CLUSTER_LISTEN_FAILED", kind: "failed_precondition", message: `${address} is in use` }));
    const endpoint = new MemoryEndpoint({ address, port, peerId: peerIdOf(options.privateKey), clusterName: options.clusterName, handlers, network: this });
    this.#endpoints.set(address, endpoint);
    return Promise.resolve(endpoint);
  }

  resolve(host: string): Promise<readonly string[]> {
    return Promise.resolve(this.#hosts.get(host) ?? [host]);
  }

  /** What `resolve` answers from now on. */
  setHost(host: string, addresses: readonly string[]): void {
    this.#hosts.set(host, addresses);
  }

  /** From now on nothing passes from one address to the other. Both directions are two calls, or `cutBoth`. */
  cut(from: string, to: string): void {
    this.way(from, to).isCut = true;
  }

  cutBoth(a: string, b: string): void {
    this.cut(a, b);
    this.cut(b, a);
  }

  /** What waited passes, in its order. */
  heal(from: string, to: string): void {
    this.way(from, to).isCut = false;
    for (const link of this.#linksBetween(from, to)) link.pump();
  }

  healBoth(a: string, b: string): void {
    this.heal(a, b);
    this.heal(b, a);
  }

  /** Frames and gossip from one address to the other take so long. */
  delay(from: string, to: string, delayMs: number): void {
    this.way(from, to).delayMs = delayMs;
  }

  loseGossip(from: string, to: string, part: number): void {
    this.way(from, to).gossipLoss = part;
  }

  /** All links between the two end, and both sides notice. */
  break(a: string, b: string): void {
    for (const link of [...this.#linksBetween(a, b)]) link.end("the connection was reset");
  }

  /** The process at this address is gone: its port is closed, and the other sides' links end. It is told nothing. */
  kill(address: string): void {
    this.#endpoints.get(address)?.vanish();
    this.#endpoints.delete(address);
  }

  // --- for endpoints and links of this file ---

  get clock(): Clock {
    return this.#clock;
  }

  endpointAt(address: string): MemoryEndpoint | undefined {
    return this.#endpoints.get(address);
  }

  forget(address: string): void {
    this.#endpoints.delete(address);
  }

  way(from: string, to: string): Way {
    const key = `${from} ${to}`;
    let way = this.#ways.get(key);
    if (way === undefined) this.#ways.set(key, (way = { isCut: false, delayMs: 0, gossipLoss: 0, gossipCount: 0 }));
    return way;
  }

  #linksBetween(a: string, b: string): MemoryLink[] {
    return [...(this.#endpoints.get(a)?.links ?? []), ...(this.#endpoints.get(b)?.links ?? [])].filter(({ address, remoteAddress }) => (address === a && remoteAddress === b) || (address === b && remoteAddress === a));
  }
}

function peerIdOf(privateKey: Uint8Array): string {
  return createHash("sha256").update(privateKey).digest("hex").slice(0, 20);
}

interface MemoryEndpointInit {
  readonly address: string;
  readonly port: number;
  readonly peerId: string;
  readonly clusterName: string;
  readonly handlers: PeerHandlers;
  readonly network: MemoryNetwork;
}

class MemoryEndpoint implements PeerEndpoint {
  readonly address: string;
  readonly port: number;
  readonly peerId: string;
  readonly clusterName: string;
  readonly handlers: PeerHandlers;
  readonly links: Set<MemoryLink> = new Set();
  readonly #network: MemoryNetwork;
  #isStopped = false;

  constructor({ address, port, peerId, clusterName, handlers, network }: MemoryEndpointInit) {
    this.address = address;
    this.port = port;
    this.peerId = peerId;
    this.clusterName = clusterName;
    this.handlers = handlers;
    this.#network = network;
  }

  async dial(address: string, signal: AbortSignal): Promise<PeerLink> {
    const network = this.#network;
    const unreachable = (why: string): CodedError => new CodedError({ code: "PEER_UNREACHABLE", kind: "unavailable", message: `${address} cannot be reached: ${why}` });
    await Promise.resolve();
    const there = network.way(this.address, address);
    const back = network.way(address, this.address);
    if (there.isCut || back.isCut) await aborted(signal).catch(() => undefined);
    const delayMs = there.delayMs + back.delayMs;
    if (delayMs > 0) await network.clock.sleep(delayMs, signal).catch(() => undefined);
    if (signal.aborted || this.#isStopped) throw unreachable("it did not answer in time");
    const other = network.endpointAt(address);
    if (other === undefined) throw unreachable("the connection was refused");
    const mine = new MemoryLink({ endpoint: this, other, isDialled: true, network });
    const theirs = new MemoryLink({ endpoint: other, other: this, isDialled: false, network });
    mine.pair(theirs);
    theirs.pair(mine);
    other.handlers.onLink(theirs);
    return mine;
  }

  gossip(message: Uint8Array): void {
    assert(message.length <= GOSSIP_BYTES_MAX, "a gossip message is no longer than its bound");
    const reached = new Set<MemoryEndpoint>([this]);
    // Breadth first over admitted links that are not cut, as a flood would pass.
    for (const from of reached) {
      for (const { other } of from.admittedLinks()) {
        if (reached.has(other) || other.clusterName !== this.clusterName) continue;
        const way = this.#network.way(from.address, other.address);
        way.gossipCount++;
        const isLost = Math.floor(way.gossipCount * way.gossipLoss) > Math.floor((way.gossipCount - 1) * way.gossipLoss);
        if (way.isCut || isLost) continue;
        reached.add(other);
        other.#receive(message.slice(), this.#network.way(this.address, other.address).delayMs);
      }
    }
  }

  #receive(message: Uint8Array, delayMs: number): void {
    const deliver = (): void => {
      if (this.#isStopped) return;
      this.#network.delivered.gossip++;
      this.#network.delivered.gossipBytes += message.length;
      this.handlers.onGossip(message);
    };
    if (delayMs > 0) this.#network.clock.after(delayMs, deliver);
    else queueMicrotask(deliver);
  }

  *admittedLinks(): Iterable<MemoryLink> {
    for (const link of this.links) if (link.isOpenForAll) yield link;
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    this.#network.forget(this.address);
    for (const link of [...this.links]) link.close();
    return Promise.resolve();
  }

  vanish(): void {
    this.#isStopped = true;
    for (const link of [...this.links]) link.vanish();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

interface Sent {
  readonly frame: Uint8Array;
  /** When it has passed the way. */
  readonly dueMs: number;
}

/** What one side has sent on one channel. */
interface Outgoing {
  /** Sent, and not taken by the other side. */
  readonly frames: Sent[];
  bytes: number;
  /** By the receiver. */
  isPaused: boolean;
  isPumping: boolean;
  waiting: (() => void)[];
}

interface MemoryLinkInit {
  readonly endpoint: MemoryEndpoint;
  readonly other: MemoryEndpoint;
  readonly isDialled: boolean;
  readonly network: MemoryNetwork;
}

class MemoryLink implements PeerLink {
  readonly peerId: string;
  readonly isDialled: boolean;
  readonly address: string;
  readonly remoteAddress: string;
  readonly other: MemoryEndpoint;
  readonly #endpoint: MemoryEndpoint;
  readonly #network: MemoryNetwork;
  readonly #outgoing: ReadonlyMap<Channel, Outgoing>;
  #peer: MemoryLink | undefined;
  #listener: LinkListener | undefined;
  #isAdmitted = false;
  #isOpen = true;
  #endReason: string | undefined;

  constructor({ endpoint, other, isDialled, network }: MemoryLinkInit) {
    this.peerId = other.peerId;
    this.isDialled = isDialled;
    this.address = endpoint.address;
    this.remoteAddress = other.address;
    this.other = other;
    this.#endpoint = endpoint;
    this.#network = network;
    this.#outgoing = new Map(CHANNELS.map((channel) => [channel, { frames: [], bytes: 0, isPaused: false, isPumping: false, waiting: [] }]));
    endpoint.links.add(this);
  }

  pair(peer: MemoryLink): void {
    this.#peer = peer;
  }

  get isOpenForAll(): boolean {
    return this.#isOpen && this.#areAllAdmitted;
  }

  get #areAllAdmitted(): boolean {
    return this.#isAdmitted && this.#peer!.#isAdmitted;
  }

  admit(): void {
    this.#isAdmitted = true;
    this.pump();
    this.#peer?.pump();
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    assert(frame.length <= FRAME_BYTES_MAX, "a frame is no longer than its bound");
    if (!this.#isOpen) return true;
    const out = this.#outgoing.get(channel)!;
    out.frames.push({ frame, dueMs: this.#network.clock.monotonicMs() + this.#way.delayMs });
    out.bytes += frame.length;
    this.#pump(channel, out);
    return out.bytes < WINDOW_BYTES;
  }

  drained(channel: Channel): Promise<void> {
    const out = this.#outgoing.get(channel)!;
    if (!this.#isOpen || out.bytes < WINDOW_BYTES) return Promise.resolve();
    return new Promise((resolve) => out.waiting.push(resolve));
  }

  listen(listener: LinkListener): void {
    assert(this.#listener === undefined, "a link has one listener");
    this.#listener = listener;
    const reason = this.#endReason;
    if (reason !== undefined) return queueMicrotask(() => listener.onClosed(reason));
    this.#peer!.pump();
  }

  pause(channel: Channel, isPaused: boolean): void {
    const peer = this.#peer!;
    const out = peer.#outgoing.get(channel)!;
    out.isPaused = isPaused;
    if (!isPaused) peer.#pump(channel, out);
  }

  /** Sends on what may be sent. */
  pump(): void {
    for (const [channel, out] of this.#outgoing) this.#pump(channel, out);
  }

  get #way(): Way {
    return this.#network.way(this.address, this.remoteAddress);
  }

  #pump(channel: Channel, out: Outgoing): void {
    const [first] = out.frames;
    if (out.isPumping || first === undefined) return;
    out.isPumping = true;
    const step = (): void => {
      out.isPumping = false;
      if (this.#mayDeliver(channel, out)) this.#deliver(channel, out);
      if (this.#mayDeliver(channel, out)) this.#pump(channel, out);
    };
    const waitMs = first.dueMs - this.#network.clock.monotonicMs();
    if (waitMs > 0) this.#network.clock.after(waitMs, step);
    else queueMicrotask(step);
  }

  #mayDeliver(channel: Channel, { frames, isPaused }: Outgoing): boolean {
    const peer = this.#peer!;
    // The channels other than control are open once both sides have admitted each other.
    return frames.length > 0 && peer.#isOpen && peer.#listener !== undefined && !isPaused && (channel === "control" || this.#areAllAdmitted) && !this.#way.isCut;
  }

  #deliver(channel: Channel, out: Outgoing): void {
    const { frame } = out.frames.shift()!;
    out.bytes -= frame.length;
    this.#network.delivered.frames++;
    this.#network.delivered.bytes += frame.length;
    if (out.bytes < WINDOW_BYTES) for (const resolve of out.waiting.splice(0)) resolve();
    this.#peer!.#listener!.onFrame(channel, frame.slice());
  }

  close(): void {
    if (!this.#isOpen) return;
    const peer = this.#peer!;
    this.#endHere("this side closed it");
    const { isCut, delayMs } = this.#way;
    if (isCut) return; // the other side learns nothing
    const finish = (): void => {
      for (const [channel, out] of this.#outgoing) while (this.#mayDeliver(channel, out)) this.#deliver(channel, out);
      peer.#endHere("the other side closed it");
    };
    if (delayMs > 0) this.#network.clock.after(delayMs, finish);
    else queueMicrotask(finish);
  }

  /** Both sides learn it at once. */
  end(reason: string): void {
    this.#endHere(reason);
    this.#peer!.#endHere(reason);
  }

  /** This side's process is gone: it is told nothing, and neither is the other side where the way is cut. */
  vanish(): void {
    this.#isOpen = false;
    this.#endpoint.links.delete(this);
    if (!this.#way.isCut) this.#peer!.#endHere("the connection was reset");
  }

  #endHere(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#endReason = reason;
    this.#endpoint.links.delete(this);
    for (const out of this.#outgoing.values()) for (const resolve of out.waiting.splice(0)) resolve();
    const listener = this.#listener;
    queueMicrotask(() => listener?.onClosed(reason));
  }
}
