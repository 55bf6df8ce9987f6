/**
 * The network between members over libp2p 3: TCP, TLS 1.3 (or noise), yamux, and gossipsub for the gossip topic. Only this file imports libp2p, and only a node
 * with cluster settings loads it.
 *
 *   one connection a link      /pyromesh/control   opened by the dialler; the handshake, then control messages
 *                              /pyromesh/push      opened by the dialler once it has admitted the other side
 *                              /pyromesh/read      the same
 *                              /meshsub/1.x        gossipsub's, from both sides, once they have admitted each other
 *
 * The order in which the streams are opened is their priority: when the connection takes bytes again, yamux asks its streams in this order.
 *
 * What is not libp2p's default, and why:
 * - Identify is left out. It would tell anybody the node's addresses and protocols; gossipsub needs it only to learn who speaks its protocol.
 * - Gossipsub gets a registrar of its own (`GossipGate`): it sees a peer only after its link was admitted, and refuses streams of others.
 * - Gossipsub's peer scores are off: they would exclude more than ten members behind one IP address, and members that are slow.
 * - Windows of streams are small: what a stopped peer holds up, and what lies before a probe on a slow network, is at most a window of each stream.
 * - Where a certificate is not valid yet, since the two clocks differ by more than an hour, the node dials again and offers noise first, which has no certificates: a
 *   clock that is set wrong keeps no member out. Either proves the same key.
 * - Connections are counted and dialled by PeerLinks alone: no pruning, no monitor (membership probes), and a dial always opens a new connection.
 */
import "./promise-with-resolvers.ts";
import { createHash } from "node:crypto";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { gossipsub } from "@chainsafe/libp2p-gossipsub";
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import { noise } from "@libp2p/noise";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import { CodedError, messageOf, unavailable, untilAborted, type Clock, type Logger, type Timer } from "@pyromesh/base";
import { createLibp2p } from "libp2p";
import { GOSSIP_BYTES_MAX, type Channel, type PeerEndpoint, type PeerHandlers, type PeerLink, type PeerNetwork, type PeerNetworkOptions } from "../links/peer-network.ts";
import { nativeTls } from "./native-tls.ts";
import { StreamLink } from "./stream-link.ts";
import { sendFewerWindowUpdates } from "./window-updates.ts";

type IncomingConnection = Parameters<NonNullable<NonNullable<NonNullable<Parameters<typeof createLibp2p>[0]>["connectionGater"]>["denyInboundConnection"]>>[0];
type Node = Awaited<ReturnType<typeof createLibp2p>>;
type Connection = Awaited<ReturnType<Node["dial"]>>;
type GossipComponents = Parameters<ReturnType<typeof gossipsub>>[0];
/** What this file needs of libp2p's own parts. The upgrader offers the encryptions of a dial in the map's order. */
type Components = GossipComponents & { readonly upgrader: { getConnectionEncrypters(): Map<string, unknown> } };
/** With what its type leaves out: libp2p starts and stops its services, and here nobody else does. */
type GossipSub = ReturnType<ReturnType<typeof gossipsub>> & { start(): Promise<void>; stop(): Promise<void>; readonly streamsOutbound: ReadonlyMap<string, unknown> };
type Registrar = GossipComponents["registrar"];
type Topology = Parameters<Registrar["register"]>[1];

/** Their names are the same in all clusters: the handshake refuses the nodes of another one with a sentence. */
const PROTOCOLS: Readonly<Record<Channel, string>> = { control: "/pyromesh/control", push: "/pyromesh/push", read: "/pyromesh/read" };

/**
 * The window of a stream: so many bytes the other side may send that were not read yet. It is yamux's smallest. A probe waits for as much where the other side is busy, and a channel carries
 * one window in a round trip: 256 MB/s where that takes 1 ms. For members that are tens of ms apart it would have to be larger.
 */
const WINDOW_BYTES_MAX = 256 * 1024;
/** Streams of one connection, each way: three channels and one of gossipsub. */
const STREAMS_MAX = 8;
/** Connections that a node may have: more than members of the largest cluster, and those that prove nothing are closed after UNPROVEN_MAX_MS. */
const CONNECTIONS_MAX = 12_000;
/**
 * Connections that come in within a second, from all addresses and from one. Each costs about 15 ms of CPU on each side (certificates in JavaScript), so a flood takes less than a
 * core, and members that are linked go on. Who is refused tries again; a cluster of 1000 that starts at once is linked after half a minute.
 */
const CONNECTIONS_PER_SECOND_MAX = 50;
const CONNECTIONS_PER_SECOND_AND_HOST_MAX = 30;
const UPGRADES_MAX = 128;
/** A connection on which the other side opens no control channel. */
const UNPROVEN_MAX_MS = 5000;
const UNPROVEN_MAX = 256;
/** A connection that ended is reported a little later: by then the node knows whether it was its own. */
const REPORT_AFTER_MS = 500;
/** Bytes of gossip that wait for one peer. Beyond it its gossip stream is reset, and opened again a little later. */
const GOSSIP_UNSENT_BYTES_MAX = 2 ** 20;
const GOSSIP_REOPEN_MS = 5000;
/**
 * How often gossipsub mends its mesh, offers what others may have missed, and forgets. Its default is a second, for messages that nothing else brings. Here a message goes to all subscribers
 * that its first sender is linked to, and the comparison of tables and LISTs bring what is lost; an idle node wakes less often. It holds messages for five of these.
 */
const GOSSIP_HEARTBEAT_MS = 5000;

export class Libp2pNetwork implements PeerNetwork {
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = clock;
    this.#logger = logger;
  }

  async open(options: PeerNetworkOptions, handlers: PeerHandlers): Promise<PeerEndpoint> {
    const { host, port, privateKey } = options;
    const never = new AbortController().signal;
    const address = `${host}:${port}`;
    try {
      const [ip] = await this.resolve(host, never);
      const key = await generateKeyPairFromSeed("Ed25519", privateKey);
      let components: Components | undefined;
      const incoming = new IncomingConnections(handlers, { clock: this.#clock });
      const node = await createLibp2p({
        privateKey: key,
        start: false,
        addresses: { listen: [ipAddress(ip!, port).toString()] },
        transports: [tcp()],
        connectionEncrypters: [nativeTls({ clock: this.#clock }), noise()],
        streamMuxers: [
          yamux({
            maxInboundStreams: STREAMS_MAX,
            maxOutboundStreams: STREAMS_MAX,
            streamOptions: { maxStreamWindowSize: WINDOW_BYTES_MAX, maxReadBufferLength: 16 * WINDOW_BYTES_MAX },
          }),
        ],
        connectionManager: { maxConnections: CONNECTIONS_MAX, inboundConnectionThreshold: CONNECTIONS_PER_SECOND_AND_HOST_MAX, maxIncomingPendingConnections: UPGRADES_MAX, maxParallelDials: 100, inboundUpgradeTimeout: UNPROVEN_MAX_MS },
        connectionMonitor: { enabled: false },
        connectionGater: { denyInboundConnection: (connection) => incoming.watch(connection) },
        services: {
          components: (all: Components) => {
            components = all;
            return {};
          },
        },
      });
      countDenied(components!.connectionManager, (address) => handlers.onBadConnection(address, "busy"));
      const endpoint = new Libp2pEndpoint({ node, components: components!, options, handlers, incoming, resolve: (name, signal) => this.resolve(name, signal) }, { clock: this.#clock, logger: this.#logger });
      await endpoint.start().catch(async (error: unknown) => {
        await node.stop();
        throw error;
      });
      return endpoint;
    } catch (error) {
      throw new CodedError({ code: "CLUSTER_LISTEN_FAILED", kind: "failed_precondition", message: `cannot listen for other members on ${address}: ${listenProblem(error)}; choose another with --cluster-addr`, cause: error });
    }
  }

  async resolve(host: string, signal: AbortSignal): Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host];
    const addresses = await untilAborted(lookup(host, { all: true }), signal).catch((error: unknown) => {
      throw unavailable("PEER_UNREACHABLE", `the name ${host} was not resolved: ${messageOf(error)}`, error);
    });
    return addresses.map(({ address }) => address);
  }
}

/** libp2p closes connections over its own bounds (of one address, of upgrades under way, of all connections) before it asks its gater, and says so to nobody. */
function countDenied(connectionManager: Components["connectionManager"], onDenied: (address: string) => void): void {
  const accept = connectionManager.acceptIncomingConnection.bind(connectionManager);
  connectionManager.acceptIncomingConnection = (connection) => {
    const isAccepted = accept(connection);
    if (!isAccepted) onDenied(hostPortOf(connection.remoteAddr));
    return isAccepted;
  };
}

interface Libp2pEndpointInit {
  readonly node: Node;
  readonly components: Components;
  readonly options: PeerNetworkOptions;
  readonly handlers: PeerHandlers;
  readonly incoming: IncomingConnections;
  readonly resolve: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
}

/** Which encryption a dial offers first: TLS, and noise while somebody dials a node whose certificate this node's clock refuses. Other dials of that moment use noise too. */
class EncryptionOrder {
  readonly #encrypters: Map<string, unknown>;
  readonly #tls: string;
  #withoutCount = 0;

  constructor(encrypters: Map<string, unknown>) {
    this.#encrypters = encrypters;
    this.#tls = encrypters.keys().next().value!; // libp2p keeps the order in which they were given
  }

  async withoutCertificates<T>(dial: () => Promise<T>): Promise<T> {
    if (this.#withoutCount++ === 0) this.#putLast(this.#tls);
    try {
      return await dial();
    } finally {
      if (--this.#withoutCount === 0) for (const protocol of [...this.#encrypters.keys()]) if (protocol !== this.#tls) this.#putLast(protocol);
    }
  }

  #putLast(protocol: string): void {
    const encrypter = this.#encrypters.get(protocol);
    this.#encrypters.delete(protocol);
    this.#encrypters.set(protocol, encrypter);
  }
}

/** libp2p keeps only the words. */
function isClockError(error: unknown): boolean {
  return error instanceof Error && error.message.includes("certificate is not valid yet");
}

class Libp2pEndpoint implements PeerEndpoint {
  readonly peerId: string;
  readonly #node: Node;
  readonly #handlers: PeerHandlers;
  readonly #resolve: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #encryptions: EncryptionOrder;
  readonly #gate: GossipGate;
  readonly #gossip: GossipSub;
  readonly #topic: string;
  /** By the connection's id. */
  readonly #links = new Map<string, StreamLink>();
  readonly #incoming: IncomingConnections;
  #port = 0;

  constructor({ node, components, options, handlers, incoming, resolve }: Libp2pEndpointInit, { clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.peerId = node.peerId.toString();
    this.#node = node;
    this.#handlers = handlers;
    this.#incoming = incoming;
    this.#resolve = resolve;
    this.#clock = clock;
    this.#logger = logger;
    this.#topic = `/pyromesh/${options.clusterName}/gossip/1`;
    this.#encryptions = new EncryptionOrder(components.upgrader.getConnectionEncrypters());
    this.#gate = new GossipGate(components.registrar, { clock });
    const { privateKey, peerId, peerStore, connectionManager, logger: libp2pLogger } = components;
    this.#gossip = openGossip(this.#topic, { privateKey, peerId, peerStore, connectionManager, logger: libp2pLogger, registrar: this.#gate.registrar });
  }

  get port(): number {
    return this.#port;
  }

  async start(): Promise<void> {
    const node = this.#node;
    const once = { maxInboundStreams: 1, maxOutboundStreams: 1 };
    await node.handle(PROTOCOLS.control, (stream, connection) => this.#onControl(stream, connection), once);
    for (const channel of ["push", "read"] as const) await node.handle(PROTOCOLS[channel], (stream, connection) => this.#onStream(channel, stream, connection), once);
    node.addEventListener("connection:close", ({ detail }) => this.#onConnectionClosed(detail));
    await node.start();
    const port = /\/tcp\/(\d+)/.exec(String(node.getMultiaddrs()[0]))?.[1];
    if (port === undefined) throw new Error("no address to listen on");
    this.#port = Number(port);
    await this.#gossip.start();
    this.#gossip.addEventListener("message", ({ detail }) => this.#onGossip(detail.topic, detail.data));
    this.#gossip.subscribe(this.#topic);
  }

  async dial(address: string, signal: AbortSignal): Promise<PeerLink> {
    const { host, port } = parseAddress(address);
    let failure: unknown;
    for (const ip of await this.#resolve(host, signal)) {
      try {
        return await this.#dialIp(ipAddress(ip, port), address, signal);
      } catch (error) {
        failure = error;
        if (signal.aborted) break;
      }
    }
    if (failure instanceof Error && /Can not dial self/.test(failure.message)) {
      this.#incoming.noteSelfDial();
      throw new CodedError({ code: "PEER_REFUSED", kind: "failed_precondition", message: `${address} is this node's own address`, details: { reason: "self", isByPeer: false } });
    }
    throw unavailable("PEER_UNREACHABLE", `${address} cannot be reached: ${messageOf(signal.aborted ? signal.reason : failure)}`, failure);
  }

  gossip(message: Uint8Array): void {
    if (message.length > GOSSIP_BYTES_MAX) throw new Error("a gossip message is no longer than its bound");
    this.#gate.reopen(this.#gossip);
    this.#gossip.publish(this.#topic, message).catch((error: unknown) => this.#logger.debug(`a gossip message was not sent: ${messageOf(error)}`));
  }

  async stop(): Promise<void> {
    for (const link of [...this.#links.values()]) link.close();
    await this.#gossip.stop();
    await this.#node.stop();
  }

  async #dialIp(ip: Multiaddr, address: string, signal: AbortSignal): Promise<PeerLink> {
    // Without `force` a connection to the same address is returned, even where it is half-open.
    const dial = (): Promise<Connection> => this.#node.dial(ip, { signal, force: true });
    const connection = await dial().catch((error: unknown) => {
      if (!isClockError(error)) throw error;
      this.#logger.debug("a certificate is not valid yet by this node's clock: the other node is dialled without one", { address });
      return this.#encryptions.withoutCertificates(dial);
    });
    try {
      const control = await connection.newStream(PROTOCOLS.control, { signal });
      return this.#newLink(connection, control, true, address);
    } catch (error) {
      connection.abort(error instanceof Error ? error : new Error(messageOf(error)));
      throw error;
    }
  }

  #newLink(connection: Connection, control: StreamLinkControl, isDialled: boolean, remoteAddress: string): StreamLink {
    const init = {
      peerId: connection.remotePeer.toString(),
      isDialled,
      remoteAddress,
      control: sendFewerWindowUpdates(control),
      onAdmitted: (admitted: StreamLink) => {
        this.#gate.admit(connection);
        if (isDialled) void this.#openChannels(admitted, connection);
      },
      end: () => {
        this.#gate.close(connection);
        connection.abort(new Error("the link ended"));
      },
    };
    const link = new StreamLink(init, { clock: this.#clock });
    this.#links.set(connection.id, link);
    if (!isDialled) this.#incoming.hasLink(connection.remoteAddr);
    // It may have closed while the channel was opened.
    if (connection.status !== "open") link.end("the connection closed");
    return link;
  }

  /** One after the other: their order is their priority. */
  async #openChannels(link: StreamLink, connection: Connection): Promise<void> {
    try {
      for (const channel of ["push", "read"] as const) link.attach(channel, sendFewerWindowUpdates(await connection.newStream(PROTOCOLS[channel])));
    } catch (error) {
      link.end(`a channel was not opened: ${messageOf(error)}`);
    }
  }

  #onControl(stream: StreamLinkControl, connection: Connection): void {
    // One link a connection, and the dialler opens the channels.
    if (this.#links.has(connection.id) || connection.direction !== "inbound") return connection.abort(new Error("a second control channel"));
    this.#handlers.onLink(this.#newLink(connection, stream, false, hostPortOf(connection.remoteAddr)));
  }

  #onStream(channel: Channel, stream: StreamLinkControl, connection: Connection): void {
    const link = this.#links.get(connection.id);
    if (link === undefined || link.isDialled || !link.isAdmitted || !link.attach(channel, sendFewerWindowUpdates(stream))) connection.abort(new Error(`the channel ${channel} may not be opened`));
  }

  #onConnectionClosed(connection: Connection): void {
    const link = this.#links.get(connection.id);
    this.#links.delete(connection.id);
    this.#gate.close(connection);
    link?.end("the connection closed");
    // The store of peers keeps what it learned for hours: strangers could fill it.
    if (this.#node.getConnections(connection.remotePeer).length === 0) this.#node.peerStore.delete(connection.remotePeer).catch(() => undefined);
  }

  #onGossip(topic: string, data: Uint8Array): void {
    if (topic !== this.#topic) return;
    try {
      this.#handlers.onGossip(data.slice());
    } catch (error) {
      // Thrown on, it would end the process.
      this.#logger.error(`a gossip message was not taken: ${messageOf(error)}`, { error });
    }
  }
}

type StreamLinkControl = ConstructorParameters<typeof StreamLink>[0]["control"];

function openGossip(topic: string, components: GossipComponents): GossipSub {
  const digest = (data: Uint8Array): Uint8Array => createHash("sha256").update(data).digest().subarray(0, 20);
  return gossipsub({
    globalSignaturePolicy: "StrictNoSign", // a link proves who sends; who sent first is in the message, where it matters
    msgIdFn: ({ data }) => digest(data),
    emitSelf: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    fallbackToFloodsub: false,
    floodPublish: true,
    tagMeshPeers: false,
    doPX: false,
    D: 6,
    Dlo: 4,
    Dhi: 12,
    heartbeatInterval: GOSSIP_HEARTBEAT_MS,
    maxInboundDataLength: 4 * GOSSIP_BYTES_MAX,
    maxOutboundBufferSize: GOSSIP_UNSENT_BYTES_MAX,
    allowedTopics: [topic],
    scoreParams: { IPColocationFactorWeight: 0, behaviourPenaltyWeight: 0, decayInterval: GOSSIP_HEARTBEAT_MS },
  })(components) as GossipSub; // the class that this function makes has them
}

/** Connections that came in and are no link yet: bounded in number and time, and reported where they end so. */
class IncomingConnections {
  readonly #handlers: PeerHandlers;
  readonly #clock: Clock;
  /** By the other side's address: of a connection as TCP knows it, before anything was said. */
  readonly #pending = new Map<string, Timer>();
  #selfDials = 0;
  /** Connections that came in since this time, within the second that began then. */
  #count = 0;
  #sinceMs = -Infinity;

  constructor(handlers: PeerHandlers, { clock }: { readonly clock: Clock }) {
    this.#handlers = handlers;
    this.#clock = clock;
  }

  /** True: it is refused before it costs anything, since too many others came in. */
  watch(connection: IncomingConnection): boolean {
    const address = hostPortOf(connection.remoteAddr);
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#sinceMs >= 1000) {
      this.#sinceMs = nowMs;
      this.#count = 0;
    }
    if (this.#pending.size >= UNPROVEN_MAX || ++this.#count > CONNECTIONS_PER_SECOND_MAX) {
      this.#handlers.onBadConnection(address, "busy");
      return true;
    }
    this.#pending.set(
      address,
      this.#clock.after(UNPROVEN_MAX_MS, () => connection.abort(new Error("no control channel was opened"))),
    );
    connection.addEventListener("close", () => {
      if (this.#end(address)) this.#clock.after(REPORT_AFTER_MS, () => this.#report(address));
    });
    return false;
  }

  /** This node has dialled its own address: one of the connections that came in was its own. */
  noteSelfDial(): void {
    this.#selfDials++;
  }

  #report(address: string): void {
    if (this.#selfDials > 0) this.#selfDials--;
    else this.#handlers.onBadConnection(address, "no-link");
  }

  hasLink(remoteAddr: Multiaddr): void {
    this.#end(hostPortOf(remoteAddr));
  }

  #end(address: string): boolean {
    this.#pending.get(address)?.cancel();
    return this.#pending.delete(address);
  }
}

/** Stands between gossipsub and the connections: shows it those that were admitted, one a peer, and refuses the streams of others. */
class GossipGate {
  readonly registrar: Registrar;
  readonly #clock: Clock;
  #topology: Topology | undefined;
  /** By the connection's id, in the order in which they were admitted. */
  readonly #admitted = new Map<string, Connection>();
  #reopenedMs = -Infinity;

  constructor(inner: Registrar, { clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    // Gossipsub registers the same topology for each version of its protocol.
    const register: Registrar["register"] = (protocol, topology) => {
      this.#topology = topology;
      return Promise.resolve(protocol);
    };
    const handle: Registrar["handle"] = (protocol, handler, options) =>
      inner.handle(protocol, (stream, connection) => (this.#admitted.has(connection.id) ? handler(stream, connection) : stream.abort(new Error("the link is not proven"))), { ...options, maxInboundStreams: 2, maxOutboundStreams: 2 });
    this.registrar = {
      register,
      handle,
      unregister: () => (this.#topology = undefined),
      unhandle: (protocol, options) => inner.unhandle(protocol, options),
      getProtocols: () => inner.getProtocols(),
      getHandler: (protocol) => inner.getHandler(protocol),
      getTopologies: (protocol) => inner.getTopologies(protocol),
      use: (protocol, middleware) => inner.use(protocol, middleware),
      unuse: (protocol) => inner.unuse(protocol),
      getMiddleware: (protocol) => inner.getMiddleware(protocol),
    };
  }

  admit(connection: Connection): void {
    this.#admitted.set(connection.id, connection);
    void this.#topology?.onConnect?.(connection.remotePeer, connection);
  }

  close(connection: Connection): void {
    if (!this.#admitted.delete(connection.id)) return;
    // Gossipsub forgets the peer with its first connection: the streams may have been on it.
    void this.#topology?.onDisconnect?.(connection.remotePeer);
    for (const other of this.#admitted.values()) if (other.remotePeer.equals(connection.remotePeer)) void this.#topology?.onConnect?.(other.remotePeer, other);
  }

  /** Opens the streams again that were reset, since their peer took too little. */
  reopen({ streamsOutbound }: GossipSub): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#reopenedMs < GOSSIP_REOPEN_MS) return;
    this.#reopenedMs = nowMs;
    for (const connection of this.#admitted.values()) {
      if (!streamsOutbound.has(connection.remotePeer.toString())) void this.#topology?.onConnect?.(connection.remotePeer, connection);
    }
  }
}

function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const found = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(address);
  if (found === null) throw unavailable("PEER_UNREACHABLE", `${JSON.stringify(address)} is no address of the form host:port`);
  return { host: found[1]!, port: Number(found[2]) };
}

function ipAddress(ip: string, port: number): Multiaddr {
  return multiaddr(`/ip${isIP(ip) === 6 ? 6 : 4}/${ip}/tcp/${port}`);
}

function hostPortOf(remoteAddr: Multiaddr): string {
  const parts = /^\/ip[46]\/([^/]+)\/tcp\/(\d+)/.exec(remoteAddr.toString());
  if (parts === null) return remoteAddr.toString();
  return parts[1]!.includes(":") ? `[${parts[1]}]:${parts[2]}` : `${parts[1]}:${parts[2]}`;
}

/** libp2p puts the system's errors, with their stacks, into the text of its own. */
function listenProblem(error: unknown): string {
  const text = messageOf(error);
  return /listen E[A-Z]+: [^\n]*/.exec(text)?.[0] ?? text.split("\n", 1)[0]!;
}
