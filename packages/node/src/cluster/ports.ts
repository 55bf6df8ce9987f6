/**
 * What the write path, the read path and the flush need of the cluster. A node without one has `alone.ts` in its place; the others have membership
 * (package gossip) and its links.
 *
 * What must stay true: a store acknowledges a record, and a node answers 200, only while it is in contact (design 5.8): asked after the sync, and
 * again before the reply.
 */
import type { ClusterView, StoreId } from "@pyromesh/ring";

export interface Cluster {
  readonly view: ClusterView;
  /** Called after each change of the view, in the turn of the change. Returns what ends it. */
  onChange(listener: (view: ClusterView) => void): () => void;
  /** A majority of the full members answered probes that this node sent within the lease. Ask it after each wait. */
  readonly isInContact: boolean;
  /**
   * Resolves with whether this node is in contact: at once where it is, and where it has not been for longer than a moment (membership.ts says how long). In
   * between it waits: votes change hands when a member comes back with an empty disk, and the first answer of who votes now takes a round trip.
   */
  contact(): Promise<boolean>;
  /** The store is lost, cleared or not. */
  isLost(storeId: StoreId): boolean;
  /** These stores, with this node's own where it is among them, are a majority of the full members and of lost stores that were replaced. */
  isMajority(answered: ReadonlySet<StoreId>): boolean;
  /** The smallest number of acks under which this store holds anything; it is gossiped. */
  noteHeld(acks: number): void;
  /** This store has read in the bucket all that it took before it learned of this loss. */
  noteFlushed(storeId: StoreId, incarnation: number): void;
  /** What another member's answer says of itself. Resolves when this node knows the same or more than the sender did; at once where the digests are equal. */
  learnFrom(member: string, digest: string): Promise<void>;
  readonly peers: Peers;
}

/**
 * The requests that members send each other. Bodies are opaque here; each has its codec beside those who use it (PROTOCOL.md).
 *
 * append       records to keep (push channel)
 * status       what a store knows of identities: held at which rank, released into which segment, never seen
 * digest, identities, scan, release-pin   the rounds of a query
 * sealed       a range of a sealed segment that waits for its upload
 * announce     segments that were sealed or uploaded
 * arrival      under which time a keyed push without a time came first
 * flush        flush now, for `POST /flush`
 * health       what a node says of itself, for `/api/v1/cluster/health`
 * usage        what a node takes of each tenant, for limits that hold for the cluster
 * progress     the number of a store's last commit
 * scrape       holds on targets to scrape
 * scrape-confirm   whether what was granted of them is unbroken
 */
export type PeerMethod = "append" | "status" | "digest" | "identities" | "scan" | "release-pin" | "sealed" | "announce" | "arrival" | "flush" | "health" | "usage" | "progress" | "scrape" | "scrape-confirm";

export interface PeerRequestOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface Peers {
  /**
   * Rejects PEER_UNREACHABLE (no link, or it closed), PEER_TIMEOUT, PEER_BUSY (the budget of requests or bytes to this peer is used up), all of kind
   * `unavailable`, or with the coded error of the peer's handler. Whether the peer did what was asked is unknown after the first two.
   */
  request(member: string, method: PeerMethod, body: Uint8Array, options: PeerRequestOptions): Promise<Uint8Array>;
  /** Whether anything comes from the member within `timeoutMs`, which is asked for a sign of life. False where it has no link by then. Never rejects. */
  hears(member: string, timeoutMs: number): Promise<boolean>;
  /** One handler a method. Its signal is aborted when the peer goes away or no longer waits. */
  handle(method: PeerMethod, handler: PeerHandler): void;
}

/** `from`: the member that asks, as its handshake proved. */
export type PeerHandler = (from: PeerIdentity, body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;

export interface PeerIdentity {
  readonly name: string;
  readonly storeId: StoreId;
  /** Of its process. */
  readonly bootId: string;
  /** The version of the peer protocol that both agreed on. */
  readonly protocol: number;
}
