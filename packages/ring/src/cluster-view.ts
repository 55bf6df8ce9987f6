/**
 * The cluster as one node sees it: an immutable value, replaced as a whole when anything in it changes. Membership makes it; placement, the
 * write path, the read path and the flush decide by it.
 *
 * What must stay true: views of two nodes may differ at any time, and no promise may depend on their being equal. A view decides who is asked
 * and who is sent a record; what counts as acknowledged or as complete is checked against the view of the moment in which it is counted.
 */

import type { MemberFormats } from "./formats.ts";

/** A store id: 32 lower-case hex digits. Random, and made with each data directory: an empty disk under an old name is a new store. */
export type StoreId = string;

/**
 * joining    not full yet: it owns nothing, acknowledges nothing, and is counted in no majority
 * active     full
 * leaving    full and readable, but it takes no record; it flushes
 * left       all that it held was read in the bucket. It counts in nothing
 * dead       declared dead by a member, and not refuted. It counts in majorities
 * forgotten  removed after its loss was cleared, or by an operator. It counts in nothing; when it comes back it joins anew
 */
export type MemberState = "joining" | "active" | "leaving" | "left" | "dead" | "forgotten";

export interface Member {
  /** Unique in the cluster, and the same after a restart, with an empty disk too. */
  readonly name: string;
  readonly storeId: StoreId;
  /** Of the process: another one after each start. */
  readonly bootId: string;
  readonly incarnation: number;
  readonly state: MemberState;
  /** This node suspects it; it is asked still, but not first. */
  readonly isSuspect: boolean;
  /** Where its cluster port is reached, `host:port`. */
  readonly clusterAddress: string;
  /** Where its HTTP is reached, `host:port`. */
  readonly httpAddress: string;
  /** "": none. */
  readonly zone: string;
  /** How many tokens it has on the ring: its weight. */
  readonly tokenCount: number;
  /** Versions of the peer protocol that it speaks, both inclusive. */
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** Which versions it reads, writes and has promised. */
  readonly formats: MemberFormats;
  readonly build: string;
  /** The smallest number of acks under which its store holds anything that is not flushed. */
  readonly acksHeld: number;
}

/** A store that is dead, wiped, forgotten or replaced. Until it is cleared, it counts as one that failed to answer every query. */
export interface LostStore {
  readonly member: string;
  readonly storeId: StoreId;
  readonly incarnation: number;
  readonly acksHeld: number;
  readonly isCleared: boolean;
  /** Another store has its member's name now. Until it is cleared, it counts, silent, in every majority. */
  readonly isReplaced: boolean;
  /** Names of members that have fenced it for longer than the lease, and of those whose stores flushed all that they took before they learned of the loss. */
  readonly fencedBy: readonly string[];
  readonly flushedBy: readonly string[];
}

export interface ClusterView {
  readonly clusterName: string;
  readonly self: Member;
  /** Everyone known who is neither left nor forgotten, this node included, by name. */
  readonly members: readonly Member[];
  /** Those that left and those that are forgotten, as far as they are remembered. */
  readonly gone: readonly Member[];
  readonly lostStores: readonly LostStore[];
  /** How many stores a push of this node names: the effective replication factor (design 5.6). */
  readonly replication: number;
  /** The majority of `replication`: so many stores must have synced a record before its push is answered 200. */
  readonly acks: number;
  /** `--replication` of this node. Another member's may be higher: then that one is in force. */
  readonly replicationSetting: number;
  /** This node holds records under fewer acks than the replication in the bucket says, and flushes them. */
  readonly isReplicationRising: boolean;
  /** The smallest number of acks under which any store may hold something. A query is complete only if fewer stores failed to answer. */
  readonly acksMin: number;
  /**
   * A reader lists the bucket first where its last complete LIST did not begin after this time, in ms of this node's monotonic clock: the time at which it last
   * learned that a loss was cleared, that a member left, that a member restarted, or that somebody's `acksHeld` rose.
   */
  readonly listAfterMs: number;
  /** Why this node takes no pushes; undefined: it takes them. In words that end a sentence: "it has not joined the cluster". */
  readonly writesRefusedBecause: string | undefined;
  /** The same for queries. */
  readonly queriesRefusedBecause: string | undefined;
  /** 32 hex digits over the member table and the losses. Two nodes with equal digests know the same. */
  readonly digest: string;
}
