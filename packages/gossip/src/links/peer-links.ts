/**
 * The links of one node: at most one in use to each other member, dialled on demand and kept. It is the only user of the network between members.
 *
 *   connect   to an address, whoever is there: for joining
 *   send      a control message to a member; dials where there is no link
 *   linkTo    the link to a member, for requests (requests.ts)
 *
 * Both sides may dial at the same time. Of two links to one peer both sides keep the same one (`isPreferred`), and only while it answers: where it does not, the
 * new link is the peer's way back after it lost the old one. The other is retired: nothing new begins on it, and it is closed once it is idle.
 *
 * What must stay true: nothing of a link reaches anybody before its handshake is over; a member's name, its store and its peer id each belong to one link in use.
 */
import { CodedError, messageOf, retryDelayMs, unavailable, untilAborted, type Clock, type Logger, type Metrics, type Random } from "@pyromesh/base";
import { type AnnouncedFormats, NO_PROMISES } from "../items/announced-formats.ts";
import { Handshake, NONCE_BYTES, PROTOCOL_MAX, PROTOCOL_MIN, type Introduction, type Refusal } from "./handshake.ts";
import { isPreferred, LinkSession, type LinkedPeer, type ProvenLink, type SessionOwner } from "./link-session.ts";
import type { Channel, PeerEndpoint, PeerLink, PeerNetwork } from "./peer-network.ts";
import { Refusals } from "./refusals.ts";

export interface PeerLinksOptions {
  readonly host: string;
  readonly port: number;
  readonly privateKey: Uint8Array;
  readonly clusterName: string;
  readonly name: string;
  readonly storeId: string;
  readonly bootId: string;
  readonly build: string;
  /** Another range than this build's is for tests of mixed versions. */
  readonly protocolMin?: number;
  readonly protocolMax?: number;
}

export interface PeerLinksModules {
  readonly network: PeerNetwork;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** None, or the current one and perhaps another that is valid too. Asked at each handshake. */
  readonly secrets: () => readonly Uint8Array[];
  /** "" while it is not known; then it is not compared. */
  readonly bucketId: () => string;
  /** What this node says of the formats that it reads and writes, and why another one that says `theirs` may not be a member; undefined: it may. Absent: nothing is said, and nobody refused. */
  readonly formats?: { readonly own: () => AnnouncedFormats; readonly apart: (peer: Pick<LinkedPeer, "name" | "storeId">, theirs: AnnouncedFormats) => string | undefined };
  /** Where a member is dialled, `host:port`; undefined: it has no address, and is not dialled. */
  readonly addressOf: (member: string) => string | undefined;
}

/** Who uses the channels `push` and `read`. */
export interface LinkUser {
  onFrame(link: ProvenLink, channel: Channel, frame: Uint8Array): void;
  onDown(link: ProvenLink, reason: string): void;
  /** No request is under way on it, in either direction. */
  isIdle(link: ProvenLink): boolean;
}

/** Handshakes under way that others began. Beyond it their links are closed at once: links that are proven do not suffer from a flood. */
const HANDSHAKES_MAX = 64;
/** A dial with its handshake. */
const DIAL_TIMEOUT_MS = 5000;
/** A link answers a ping within this time, or it is given up where another one is there to take its place. */
const PING_TIMEOUT_MS = 1000;
/** After a failed dial. The longest is short: a member that is back is reached within seconds, and a refused dial costs little. */
const RETRY = { firstMs: 100, maxMs: 3000 };
/** Messages to a member that is being dialled. Beyond it the oldest are dropped: whoever sends them repeats what matters. */
const WAITING_MESSAGES_MAX = 16;
/** Beyond it, members that are known no more are forgotten here too. */
const TARGETS_MAX = 10_000;
/** A retired link is closed when it is idle, but not before the other side has retired it too, and at the latest after RETIRED_MAX_MS. */
const RETIRED_MIN_MS = 2000;
const RETIRED_MAX_MS = 30_000;

/** A member that is dialled by its name. It begins anew with each link, whoever dialled that. */
interface Target {
  dial: Promise<ProvenLink> | undefined;
  failureCount: number;
  /** Before this monotonic time it is not dialled again on demand. */
  retryAtMs: number;
  readonly messages: Uint8Array[];
}

export class PeerLinks {
  readonly #options: PeerLinksOptions;
  readonly #modules: PeerLinksModules;
  readonly #refusals: Refusals;
  #endpoint!: PeerEndpoint; // `open` sets it before anybody has the object
  /** The link in use, by the member's name. */
  readonly #current = new Map<string, LinkSession>();
  readonly #sessions = new Set<LinkSession>();
  /** Who waits for the end of a handshake that this node began. */
  readonly #dialled = new Map<LinkSession, { resolve(session: LinkSession): void; reject(error: Error): void }>();
  readonly #targets = new Map<string, Target>();
  /** By address: who was found there the last time. As many as TARGETS_MAX; beyond it the oldest is forgotten, and dialled anew. */
  readonly #foundAt = new Map<string, LinkedPeer | "self">();
  /** By address. */
  readonly #dials = new Map<string, Promise<LinkSession>>();
  #inboundCount = 0;
  #user: LinkUser | undefined;
  readonly #messageListeners: ((from: LinkedPeer, message: Uint8Array) => void)[] = [];
  readonly #upListeners: ((peer: LinkedPeer) => void)[] = [];
  readonly #downListeners: ((peer: LinkedPeer, reason: string) => void)[] = [];
  readonly #gossipListeners: ((message: Uint8Array) => void)[] = [];
  readonly #owner: SessionOwner;
  readonly #dialling = new Set<AbortController>();
  #isStopped = false;
  readonly #bytes = { controlSent: 0, controlReceived: 0, gossipSent: 0, gossipReceived: 0, controlDropped: 0 };
  readonly #dialCounts = { ok: 0, failed: 0 };

  private constructor(options: PeerLinksOptions, modules: PeerLinksModules) {
    this.#options = options;
    this.#modules = modules;
    this.#refusals = new Refusals(modules);
    this.#owner = {
      judge: (session, introduction) => this.#judge(session, introduction),
      onProven: (session) => this.#onProven(session),
      onRefused: (session, refusal, isByPeer) => this.#onRefused(session, refusal, isByPeer),
      onMessage: (session, message) => this.#takeMessage(session, message),
      onFrame: (session, channel, frame) => this.#takeFrame(session, channel, frame),
      onClosed: (session, reason) => this.#onClosed(session, reason),
      onBroken: ({ peer }, reason, sentence) => this.#refusals.note(reason, peer.name, `the link to ${peer.name} was closed: ${sentence}`, { member: peer.name, peerId: peer.peerId }),
    };
    this.#addMetrics(modules.metrics);
  }

  /** Rejects CLUSTER_LISTEN_FAILED. */
  static async open(options: PeerLinksOptions, modules: PeerLinksModules): Promise<PeerLinks> {
    const links = new PeerLinks(options, modules);
    const { host, port, clusterName, privateKey } = options;
    links.#endpoint = await modules.network.open({ host, port, clusterName, privateKey }, { onLink: (link) => links.#onLink(link), onBadConnection: (address, reason) => links.#onBadConnection(address, reason), onGossip: (message) => links.#takeGossip(message) });
    return links;
  }

  get peerId(): string {
    return this.#endpoint.peerId;
  }

  get port(): number {
    return this.#endpoint.port;
  }

  /** The members that this node has a link to. */
  get linked(): readonly LinkedPeer[] {
    return [...this.#current.values()].map(({ peer }) => peer);
  }

  /** Why the last link was refused, by this side or by the other; undefined: none was. */
  get lastRefusal(): string | undefined {
    return this.#refusals.last;
  }

  isLinked(member: string): boolean {
    return this.#current.has(member);
  }

  /** All IP addresses of a host name. */
  resolve(host: string, signal: AbortSignal): Promise<readonly string[]> {
    return this.#modules.network.resolve(host, signal);
  }

  /**
   * Links to whoever is at `host:port`, if this node is not linked to the process that it found there the last time. Rejects PEER_UNREACHABLE, or PEER_REFUSED with the reason in its details, by this side or by the other
   * (`self`: the address is this node's own).
   */
  async connect(address: string, signal: AbortSignal): Promise<LinkedPeer> {
    const known = this.#foundAt.get(address);
    if (known === "self") throw isSelf(address);
    if (known !== undefined && this.#current.get(known.name)?.peer.bootId === known.bootId) return known;
    const { peer } = await untilAborted(this.#dial(address), signal);
    return peer;
  }

  /** Sends a control message: at once where there is a link; else the member is dialled, and the message waits. It may be lost. */
  send(member: string, message: Uint8Array): void {
    const session = this.#current.get(member);
    if (session !== undefined) return this.#sendOn(session, message);
    const target = this.#targetOf(member);
    if (target.dial === undefined && !this.#mayDial(member, target)) return void this.#bytes.controlDropped++;
    target.messages.push(message);
    if (target.messages.length > WAITING_MESSAGES_MAX) {
      target.messages.shift();
      this.#bytes.controlDropped++;
    }
    this.#dialTarget(member, target).catch(() => undefined);
  }

  /** To all members that are linked, directly or not, by the gossip topic. May lose it. */
  gossip(message: Uint8Array): void {
    this.#bytes.gossipSent += message.length;
    this.#endpoint.gossip(message);
  }

  /** The link in use to a member, where there is one. */
  current(member: string): ProvenLink | undefined {
    return this.#current.get(member);
  }

  /**
   * The link to a member; dials where there is none. Rejects PEER_UNREACHABLE: at once where the last dial failed, whether another one is due or not, so that a member whose host is gone
   * makes only the first caller wait.
   */
  linkTo(member: string): Promise<ProvenLink> {
    const session = this.#current.get(member);
    if (session !== undefined) return Promise.resolve(session);
    const target = this.#targetOf(member);
    if (target.dial === undefined && !this.#mayDial(member, target)) return Promise.reject(unreachable(member, "the last attempt failed a moment ago"));
    const dial = this.#dialTarget(member, target);
    if (target.failureCount === 0) return dial;
    dial.catch(() => undefined);
    return Promise.reject(unreachable(member, "the last attempt failed, and another one is under way"));
  }

  /** Closes the link to a member, for one that does not answer; the next message or request dials again. */
  close(member: string, reason: string): void {
    this.#current.get(member)?.close(reason);
  }

  /** Listeners are called for each message, link and gossip message, in the order in which they were added. They must not throw. */
  onMessage(listener: (from: LinkedPeer, message: Uint8Array) => void): void {
    this.#messageListeners.push(listener);
  }

  /** This node has a link to a member to which it had none. */
  onLinkUp(listener: (peer: LinkedPeer) => void): void {
    this.#upListeners.push(listener);
  }

  /** This node has no link to a member any more. */
  onLinkDown(listener: (peer: LinkedPeer, reason: string) => void): void {
    this.#downListeners.push(listener);
  }

  onGossip(listener: (message: Uint8Array) => void): void {
    this.#gossipListeners.push(listener);
  }

  /** Call it once. Until then nothing is read on the channels `push` and `read`. */
  setUser(user: LinkUser): void {
    this.#user = user;
    for (const { isOpen, link } of this.#sessions) if (isOpen) pauseRequests(link, false);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const controller of this.#dialling) controller.abort(stopping());
    for (const session of [...this.#sessions]) session.close("this node stops");
    await this.#endpoint.stop();
  }

  // --- dialling -----------------------------------------------------------------------------------------------------

  #targetOf(member: string): Target {
    let target = this.#targets.get(member);
    if (this.#targets.size > TARGETS_MAX) for (const [name, { dial }] of this.#targets) if (dial === undefined && this.#modules.addressOf(name) === undefined) this.#targets.delete(name);
    if (target === undefined) this.#targets.set(member, (target = { dial: undefined, failureCount: 0, retryAtMs: 0, messages: [] }));
    return target;
  }

  #mayDial(member: string, target: Target): boolean {
    if (this.#modules.addressOf(member) === undefined) {
      this.#targets.delete(member); // nobody of that name is known (any more)
      return false;
    }
    return this.#modules.clock.monotonicMs() >= target.retryAtMs;
  }

  #dialTarget(member: string, target: Target): Promise<ProvenLink> {
    target.dial ??= this.#dialOnce(member, target).finally(() => {
      target.dial = undefined;
      target.messages.length = 0;
    });
    return target.dial;
  }

  async #dialOnce(member: string, target: Target): Promise<ProvenLink> {
    const { addressOf, clock, random } = this.#modules;
    const address = addressOf(member);
    try {
      if (address === undefined) throw unreachable(member, "no address of it is known");
      const { peer } = await this.#dial(address);
      if (peer.name !== member) throw unreachable(member, `at ${address} is ${peer.name}`);
      if (!this.#current.has(member)) throw unreachable(member, "the link closed at once");
    } catch (error) {
      if (this.#current.has(member)) return this.#endDial(member, target); // it dialled this node meanwhile
      target.failureCount++;
      // Between half of the delay and all of it: members that lost each other at the same time do not dial at the same time for ever.
      target.retryAtMs = clock.monotonicMs() + retryDelayMs(target.failureCount, RETRY) * (0.5 + random.float() / 2);
      throw error instanceof CodedError && error.code === "PEER_UNREACHABLE" ? error : unreachable(member, messageOf(error), error);
    }
    return this.#endDial(member, target);
  }

  /** Call it where there is a link, perhaps another one than the dialled one. */
  #endDial(member: string, { messages }: Target): LinkSession {
    const session = this.#current.get(member)!;
    this.#targets.delete(member);
    for (const message of messages) this.#sendOn(session, message);
    return session;
  }

  #dial(address: string): Promise<LinkSession> {
    let dial = this.#dials.get(address);
    if (dial === undefined) {
      dial = this.#dialAddress(address).finally(() => this.#dials.delete(address));
      this.#dials.set(address, dial);
    }
    return dial;
  }

  async #dialAddress(address: string): Promise<LinkSession> {
    if (this.#isStopped) throw stopping();
    const controller = new AbortController();
    this.#dialling.add(controller);
    const timer = this.#modules.clock.after(DIAL_TIMEOUT_MS, () => controller.abort(unreachable(address, `it did not answer within ${DIAL_TIMEOUT_MS / 1000} s`)));
    try {
      const link = await this.#endpoint.dial(address, controller.signal);
      const session = await new Promise<LinkSession>((resolve, reject) => this.#begin(link, { resolve, reject }));
      this.#dialCounts.ok++;
      this.#noteFound(address, session.peer);
      return session;
    } catch (error) {
      if (error instanceof CodedError && error.details["reason"] === "self") this.#noteFound(address, "self");
      else this.#dialCounts.failed++;
      throw error;
    } finally {
      timer.cancel();
      this.#dialling.delete(controller);
    }
  }

  #noteFound(address: string, found: LinkedPeer | "self"): void {
    this.#foundAt.delete(address);
    this.#foundAt.set(address, found);
    if (this.#foundAt.size > TARGETS_MAX) this.#foundAt.delete(this.#foundAt.keys().next().value!);
  }

  /** A member sent a request whose body is not what this protocol says. The link goes on: its frames are as they should be. */
  noteMalformed({ name, peerId }: Pick<LinkedPeer, "name" | "peerId">, sentence: string): void {
    this.#refusals.note("malformed", name, `a request of ${name} was refused: ${sentence}`, { member: name, peerId });
  }

  // --- handshake ----------------------------------------------------------------------------------------------------

  #onLink(link: PeerLink): void {
    if (this.#isStopped) {
      link.listen({ onFrame: () => undefined, onClosed: () => undefined });
      return link.close();
    }
    if (this.#inboundCount >= HANDSHAKES_MAX) {
      this.#refusals.note("busy", "all", `a link was refused: ${HANDSHAKES_MAX} handshakes are under way`, { peerId: link.peerId, address: link.remoteAddress });
      link.listen({ onFrame: () => undefined, onClosed: () => undefined });
      return link.close();
    }
    this.#inboundCount++;
    this.#begin(link, undefined);
  }

  #onBadConnection(address: string, reason: "no-link" | "busy"): void {
    if (this.#isStopped) return;
    const host = address.slice(0, address.lastIndexOf(":")); // each connection has another port
    const what = reason === "busy" ? "was closed unread: more come in than this node takes" : "was no node's: it ended before it was encrypted, or opened no control channel";
    this.#refusals.note(reason, host, `a connection from ${address} ${what}`, { address });
  }

  #begin(link: PeerLink, dialled: { resolve(session: LinkSession): void; reject(error: Error): void } | undefined): void {
    const { clock, random, secrets, bucketId } = this.#modules;
    const { clusterName, name, storeId, bootId, build, protocolMin = PROTOCOL_MIN, protocolMax = PROTOCOL_MAX } = this.#options;
    const nonce = random.bytes(NONCE_BYTES);
    const handshake = new Handshake({
      role: link.isDialled ? "dialler" : "dialled",
      protocolMin,
      protocolMax,
      clusterName,
      nonce,
      ownPeerId: this.peerId,
      peerId: link.peerId,
      secrets: secrets(),
      introduction: { name, storeId, bootId, bucketId: bucketId(), build, ...(this.#modules.formats?.own() ?? { formats: "", promises: NO_PROMISES }) },
    });
    const session = new LinkSession({ link, handshake, ownNonce: nonce, owner: this.#owner }, { clock });
    this.#sessions.add(session);
    if (dialled !== undefined) this.#dialled.set(session, dialled);
    session.start();
  }

  /** The handshake is over for this session, in whatever way. Returns who waits for it. */
  #settle(session: LinkSession): { resolve(session: LinkSession): void; reject(error: Error): void } | undefined {
    if (!session.link.isDialled) this.#inboundCount--;
    const waiting = this.#dialled.get(session);
    this.#dialled.delete(session);
    return waiting;
  }

  async #judge(session: LinkSession, { name, storeId, bootId, bucketId, formats, promises }: Introduction): Promise<Refusal | undefined> {
    const own = this.#options;
    const ownBucketId = this.#modules.bucketId();
    if (bootId === own.bootId && storeId === own.storeId) return { code: "self", sentence: "it is the same node" };
    if (storeId === own.storeId) return { code: "same-store", sentence: `${own.name} has the same store: a data directory was copied, and only one of the two may run` };
    if (name === own.name) return { code: "same-name", sentence: `another node of this cluster is named ${JSON.stringify(name)}: give each its own --node-name` };
    // Once linked it would be taken for a member of this cluster, whichever bucket it turns out to have.
    if (bucketId === "" || ownBucketId === "") return { code: "bucket-unknown", sentence: `${bucketId === "" ? name : own.name} has not heard from its bucket yet, and joins nobody before it has` };
    if (bucketId !== ownBucketId) return { code: "other-bucket", sentence: "the two have different buckets: all members of a cluster share one, set by --bucket" };
    const apart = this.#modules.formats?.apart({ name, storeId }, { formats, promises });
    if (apart !== undefined) return { code: "incompatible-version", sentence: `it ${apart}` };
    for (const other of [...this.#current.values()]) {
      const { peer } = other;
      const isSame = peer.name === name && peer.storeId === storeId && peer.bootId === bootId && peer.peerId === session.link.peerId;
      if (isSame || (peer.name !== name && peer.storeId !== storeId && peer.peerId !== session.link.peerId)) continue;
      // The other one may have restarted, with its disk or without: then its old process answers no more.
      if (await other.ping(PING_TIMEOUT_MS)) {
        if (peer.storeId === storeId) return { code: "same-store", sentence: `a live node, ${peer.name}, has the same store: a data directory was copied, and only one of the two may run` };
        return { code: "same-name", sentence: `another live node of this cluster is named ${JSON.stringify(peer.name)}: give each its own --node-name` };
      }
      other.close("another process of this member took its place");
    }
    return undefined;
  }

  #onProven(session: LinkSession): void {
    const waiting = this.#settle(session);
    const { link, peer } = session;
    if (this.#user === undefined) pauseRequests(link, true);
    this.#forgetFailedDials(peer.name);
    const old = this.#current.get(peer.name);
    if (old === undefined) {
      this.#current.set(peer.name, session);
      for (const listener of this.#upListeners) listener(peer);
    } else {
      if (isPreferred(session, old, this.peerId)) this.#replace(old, session);
      else void this.#keepIfAlive(old, session);
    }
    waiting?.resolve(session);
  }

  /** It is there: where this link ends, it is dialled at once, and that dial is waited for. One that is under way goes on. */
  #forgetFailedDials(member: string): void {
    const target = this.#targets.get(member);
    if (target === undefined) return;
    target.failureCount = 0;
    target.retryAtMs = 0;
  }

  #replace(old: LinkSession, session: LinkSession): void {
    this.#current.set(session.peer.name, session);
    this.#retire(old);
  }

  /** The older link is the one to keep, if the other side has it still. */
  async #keepIfAlive(old: LinkSession, session: LinkSession): Promise<void> {
    const isAlive = await old.ping(PING_TIMEOUT_MS);
    if (isAlive && old.isOpen) return this.#retire(session);
    if (session.isOpen && this.#current.get(session.peer.name) === old) this.#current.set(session.peer.name, session);
    old.close("the other side opened another link, and does not answer on this one");
  }

  #retire(session: LinkSession): void {
    session.retire();
    const { clock } = this.#modules;
    const sinceMs = clock.monotonicMs();
    const check = (): void => {
      const isOver = clock.monotonicMs() - sinceMs >= RETIRED_MAX_MS;
      if (isOver || (this.#user?.isIdle(session) ?? true)) session.close("another link to this peer is in use");
      else clock.after(RETIRED_MIN_MS, check);
    };
    clock.after(RETIRED_MIN_MS, check);
  }

  #onRefused(session: LinkSession, refusal: Refusal, isByPeer: boolean): void {
    const waiting = this.#dialled.get(session);
    const { peerId, remoteAddress } = session.link;
    const { code } = refusal;
    // A node whose list of seeds has its own address dials itself at each start, and nodes that start together find each other before they have read their bucket: no news.
    const isNews = code !== "self" && code !== "bucket-unknown";
    const sentence = isByPeer ? `the node at ${remoteAddress} refused this one: ${refusal.sentence}` : `the node at ${remoteAddress} was refused: ${refusal.sentence}`;
    if (isNews) this.#refusals.note(code, peerId, sentence, { peerId, address: remoteAddress, isByPeer });
    waiting?.reject(new CodedError({ code: "PEER_REFUSED", kind: "failed_precondition", message: sentence, details: { reason: code, isByPeer } }));
  }

  #onClosed(session: LinkSession, reason: string): void {
    const { link } = session;
    this.#sessions.delete(session);
    if (!session.wasProven) {
      // Where it was refused, `onRefused` has rejected it already.
      this.#settle(session)?.reject(unreachable(link.remoteAddress, `the link closed before the handshake was over: ${reason}`));
      return;
    }
    const { peer } = session;
    const isCurrent = this.#current.get(peer.name) === session;
    if (isCurrent) this.#current.delete(peer.name);
    this.#user?.onDown(session, reason);
    if (!isCurrent) return;
    for (const listener of this.#downListeners) listener(peer, reason);
  }

  // --- frames -------------------------------------------------------------------------------------------------------

  #sendOn(session: LinkSession, message: Uint8Array): void {
    // A full control channel means that the other side takes nothing. What it gets late is of no use to it.
    if (session.isControlFull) return void this.#bytes.controlDropped++;
    this.#bytes.controlSent += message.length;
    session.sendMessage(message);
  }

  #takeMessage({ peer }: LinkSession, message: Uint8Array): void {
    this.#bytes.controlReceived += message.length;
    for (const listener of this.#messageListeners) listener(peer, message);
  }

  #takeFrame(session: LinkSession, channel: Channel, frame: Uint8Array): void {
    this.#user?.onFrame(session, channel, frame);
  }

  #takeGossip(message: Uint8Array): void {
    if (this.#isStopped) return;
    this.#bytes.gossipReceived += message.length;
    for (const listener of this.#gossipListeners) listener(message);
  }

  #addMetrics(metrics: Metrics): void {
    const bytes = this.#bytes;
    metrics.gauge("pyromesh_peer_links", "Members that this node has a link to.", [], (gauge) => gauge.set({}, this.#current.size));
    metrics.readCounter("pyromesh_peer_dials_total", "Links that this node dialled, by outcome.", () => Object.entries(this.#dialCounts).map(([outcome, value]) => ({ labels: { outcome }, value })));
    metrics.readCounter("pyromesh_peer_control_bytes_total", "Bytes of control messages between members (probes, tables, anti-entropy), by direction.", () => [
      { labels: { direction: "sent" }, value: bytes.controlSent },
      { labels: { direction: "received" }, value: bytes.controlReceived },
    ]);
    metrics.readCounter("pyromesh_peer_control_dropped_total", "Control messages that were dropped, since the member could not be reached or took nothing.", () => [{ labels: {}, value: bytes.controlDropped }]);
    metrics.readCounter("pyromesh_gossip_bytes_total", "Bytes of gossip messages: sent, by this node as their first sender; received, each once.", () => [
      { labels: { direction: "sent" }, value: bytes.gossipSent },
      { labels: { direction: "received" }, value: bytes.gossipReceived },
    ]);
  }
}

function pauseRequests(link: PeerLink, isPaused: boolean): void {
  for (const channel of ["push", "read"] as const) link.pause(channel, isPaused);
}

function isSelf(address: string): CodedError {
  return new CodedError({ code: "PEER_REFUSED", kind: "failed_precondition", message: `${address} is this node's own address`, details: { reason: "self", isByPeer: false } });
}

function stopping(): CodedError {
  return unavailable("PEER_UNREACHABLE", "this node stops");
}

function unreachable(member: string, why: string, cause?: unknown): CodedError {
  return unavailable("PEER_UNREACHABLE", `${member} cannot be reached: ${why}`, cause);
}
