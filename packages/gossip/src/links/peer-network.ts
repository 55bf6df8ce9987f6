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

export interface PeerNetwork {
  /** Rejects CLUSTER_LISTEN_FAILED. */
  open(options: PeerNetworkOptions, handlers: PeerHandlers): Promise<PeerEndpoint>;
}

export interface PeerNetworkOptions {
  readonly host: string;
  readonly port: number;
  /** Names the protocols and the gossip topic, so that nodes of another cluster do not even agree on a protocol. */
  readonly clusterName: string;
  /** The private key that the peer id belongs to: 32 bytes, kept in the data directory. */
  readonly privateKey: Uint8Array;
}

export interface PeerHandlers {
  /** A node has dialled this one. Until the handshake is over nothing is known of it but its peer id. */
  onLink(link: PeerLink): void;
  /** A message of the gossip topic: from any member, lost, repeated and reordered as it may be. */
  onGossip(message: Uint8Array): void;
}

export interface PeerEndpoint {
  readonly peerId: string;
  /** The port that it listens on, where 0 was asked for. */
  readonly port: number;
  /** `address`: `host:port`. Rejects PEER_UNREACHABLE. */
  dial(address: string, signal: AbortSignal): Promise<PeerLink>;
  /** To everyone who is linked, directly or not. May lose it. */
  gossip(message: Uint8Array): void;
  stop(): Promise<void>;
}

export interface PeerLink {
  /** Of the other side. */
  readonly peerId: string;
  readonly isDialled: boolean;
  /** Takes the frame at once, which must not change afterwards. False: the channel is full; send no more before `drained`. After a close it does nothing. */
  send(channel: Channel, frame: Uint8Array): boolean;
  /** Resolves when the channel takes frames again, or the link is closed. */
  drained(channel: Channel): Promise<void>;
  /** Call it once, in the turn in which the link is got. A frame's bytes are the receiver's. */
  listen(listener: LinkListener): void;
  /** Stops taking frames of this channel from the other side (true) or goes on (false): back-pressure. */
  pause(channel: Channel, isPaused: boolean): void;
  close(): void;
}

export interface LinkListener {
  onFrame(channel: Channel, frame: Uint8Array): void;
  /** Once. Nothing comes after it. */
  onClosed(reason: string): void;
}
