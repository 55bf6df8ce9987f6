/**
 * The network between members, as a port. libp2p is the real one (libp2p/), tests and the simulator have networks in memory.
 *
 * A link connects two nodes. It carries frames, whole and in order, on channels of its own: what waits on one does not delay another, so a probe is
 * answered while records queue up. A link says nothing of who the other side is but its peer id, which its encryption proves; the handshake over
 * the control channel (links/handshake.ts) says the rest and proves the right to join.
 */

/** control: probes, tables, heartbeats. push: records to keep, and their acks. read: queries and all else. */
export type Channel = "control" | "push" | "read";
export const CHANNELS: readonly Channel[] = ["control", "push", "read"];

/** The longest frame. A longer one is refused by its sender, and closes the link at its receiver. */
export const FRAME_BYTES_MAX: number = 8 * 2 ** 20;

/** The longest message of the gossip topic. */
export const GOSSIP_BYTES_MAX: number = 256 * 1024;

export interface PeerNetwork {
  /** Rejects CLUSTER_LISTEN_FAILED. */
  open(options: PeerNetworkOptions, handlers: PeerHandlers): Promise<PeerEndpoint>;
  /** All IP addresses of a host name, and an IP address as itself. Rejects PEER_UNREACHABLE where it has none. */
  resolve(host: string, signal: AbortSignal): Promise<readonly string[]>;
}

export interface PeerNetworkOptions {
  readonly host: string;
  readonly port: number;
  /** Names the gossip topic. The control channel has the same name in all clusters, so that the handshake can refuse another cluster's node with a sentence. */
  readonly clusterName: string;
  /** The private key that the peer id belongs to: 32 bytes, kept in the data directory. */
  readonly privateKey: Uint8Array;
}

export interface PeerHandlers {
  /** A node has dialled this one. Until the handshake is over nothing is known of it but its peer id. */
  onLink(link: PeerLink): void;
  /**
   * A connection came in and ended before it was a link. `no-link`: noise, silence, another protocol, a failed encryption. `busy`: it was closed unread, since more came in than this
   * node takes, from all addresses or from that one.
   */
  onBadConnection(address: string, reason: "no-link" | "busy"): void;
  /** A message of the gossip topic: from any member (a link to it was admitted somewhere), lost, repeated and reordered as it may be. */
  onGossip(message: Uint8Array): void;
}

export interface PeerEndpoint {
  readonly peerId: string;
  /** The port that it listens on, where 0 was asked for. */
  readonly port: number;
  /** `address`: `host:port`. Rejects PEER_UNREACHABLE. */
  dial(address: string, signal: AbortSignal): Promise<PeerLink>;
  /** To everyone who is linked and admitted, directly or not. May lose it. At most `GOSSIP_BYTES_MAX`. */
  gossip(message: Uint8Array): void;
  stop(): Promise<void>;
}

export interface PeerLink {
  /** Of the other side. */
  readonly peerId: string;
  readonly isDialled: boolean;
  /** Where the other side is, as far as the network knows: `host:port`, for logs. */
  readonly remoteAddress: string;
  /**
   * The other side has proven its right to join. Before this, only the control channel carries frames (others that it sends close the link), and the
   * other side has no part in the gossip. The dialled side admits first: it sends its last word of the handshake afterwards.
   */
  admit(): void;
  /** Takes the frame at once, which must not change afterwards. False: the channel is full; send no more before `drained`. After a close it does nothing. */
  send(channel: Channel, frame: Uint8Array): boolean;
  /** Resolves when the channel takes frames again, or the link is closed. */
  drained(channel: Channel): Promise<void>;
  /** Call it once, in the turn in which the link is got. A frame's bytes are the receiver's. */
  listen(listener: LinkListener): void;
  /** Stops taking frames of this channel from the other side (true) or goes on (false): back-pressure. */
  pause(channel: Channel, isPaused: boolean): void;
  /** Frames that were sent before are still delivered, where that takes less than a second. */
  close(): void;
}

export interface LinkListener {
  onFrame(channel: Channel, frame: Uint8Array): void;
  /** Once. Nothing comes after it. */
  onClosed(reason: string): void;
}
