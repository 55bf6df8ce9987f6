/** What the API shows of the cluster, and what an operator may ask of it. A node without a cluster answers for itself. */

export interface ClusterAdmin {
  /** The cluster as this node sees it now. */
  status(): ClusterStatus;
  /** Which member owns each of `count` equal slices of the ring, by its index in `status().members`; -1: nobody. */
  ringSlices(count: number): readonly number[];
  /** Asks every member. Members that do not answer in time are named in it. */
  health(signal: AbortSignal): Promise<ClusterHealth>;
  /**
   * Removes a dead member. Without `isForced` only once nothing of it is missing. Rejects MEMBER_UNKNOWN, MEMBER_ALIVE, FORGET_REFUSED. Resolves when a majority
   * knows.
   */
  forget(name: string, options: { readonly isForced: boolean }): Promise<void>;
  /** Begins to leave: this node flushes all that it holds, and its process ends. Rejects LEAVE_REFUSED. Resolves when it has begun. */
  leave(): Promise<void>;
  /** The same, but the process goes on: it answers queries and takes no pushes, until `resume` or its next start. */
  drain(): Promise<void>;
  /** Takes a drain back, or a leave that has not ended: this node takes pushes again. */
  resume(): Promise<void>;
}

export interface ClusterStatus {
  /** Undefined: this node has no cluster. */
  readonly clusterName: string | undefined;
  readonly selfName: string;
  /** How many members a record is kept by, and how many must have it on disk before a push is answered 200. */
  readonly replication: number;
  readonly acks: number;
  readonly isInContact: boolean;
  /** In words; undefined: pushes, or queries, are taken. */
  readonly writesRefusedBecause: string | undefined;
  readonly queriesRefusedBecause: string | undefined;
  /** Over the member table: members with equal digests know the same. */
  readonly digest: string;
  /** In which version this node writes each format. */
  readonly formats: readonly FormatStatus[];
  /** By name. */
  readonly members: readonly MemberStatus[];
  /** Those that left and those that were forgotten, as far as they are remembered. */
  readonly gone: readonly MemberStatus[];
  readonly lostStores: readonly LostStoreStatus[];
}

export interface FormatStatus {
  readonly format: string;
  readonly version: number;
  /** What it could write among members of its own build. */
  readonly newest: number;
  /** Members that do not read that, by name. */
  readonly heldBackBy: readonly string[];
}

export interface MemberStatus {
  readonly name: string;
  readonly state: "joining" | "active" | "leaving" | "left" | "dead" | "forgotten";
  readonly isSelf: boolean;
  /** This node does not hear from it at the moment. */
  readonly isSuspect: boolean;
  /** "": none. */
  readonly zone: string;
  readonly clusterAddress: string;
  readonly httpAddress: string;
  readonly tokens: number;
  /** The part of the ring that it owns, 0 to 1. */
  readonly share: number;
  readonly storeId: string;
  readonly bootId: string;
  readonly incarnation: number;
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** By format: which versions it writes, reads and has promised the others to read. */
  readonly formats: Readonly<Record<string, { readonly writesFrom: number; readonly reads: number; readonly promised: number }>>;
  readonly build: string;
  readonly acksHeld: number;
}

/** A store whose records may be missing until its loss is cleared. */
export interface LostStoreStatus {
  readonly member: string;
  readonly storeId: string;
  readonly incarnation: number;
  readonly acksHeld: number;
  readonly isCleared: boolean;
  readonly isReplaced: boolean;
  readonly fencedBy: readonly string[];
  readonly flushedBy: readonly string[];
}

export interface ClusterHealth {
  /** One more member may be stopped now, without a push or a query failing for it. */
  readonly mayStop: boolean;
  /** Why not yet, each a sentence that names the member. */
  readonly reasons: readonly string[];
  /** What is odd and keeps nobody from stopping one, such as members with different settings; each a sentence. */
  readonly notes: readonly string[];
  /** By name. */
  readonly members: readonly MemberHealth[];
}

export interface MemberHealth {
  readonly name: string;
  /** What keeps the next node from being stopped, as far as it is this member's. */
  readonly problems: readonly string[];
  /** Undefined, as all below: it did not answer. Records that are not in the bucket yet, which this member is to flush. */
  readonly ownRecords: number | undefined;
  /** The same, kept for members that are to flush them. */
  readonly keptRecords: number | undefined;
  /** Bytes of sealed segments that wait for their upload. */
  readonly backlogBytes: number | undefined;
  /** Records that it flushed in place of another member, since its start. */
  readonly takeovers: number | undefined;
  /** The last refusals of pushes and queries, newest first. */
  readonly lastRefusals: readonly string[];
}
