/**
 * The cluster of a node that is a member of one: links to the others, membership over them, and requests. The rest of the node sees it as `Cluster`.
 *
 *   open    the cluster port listens; the state on disk is read. Others may find this node from now on
 *   start   it looks for the others. `joined` resolves when it is full
 *   stop    in reverse
 */
import type { AtomicFile, Clock, Logger, Metrics, Random } from "@pyromesh/base";
import { CodedError, toHex, unavailable } from "@pyromesh/base";
import type { Bucket } from "@pyromesh/block";
import { announced, decodeClusterState, formatsOf, Membership, PeerLinks, PeerRequests, PROTOCOL_MAX, PROTOCOL_MIN } from "@pyromesh/gossip";
import type { PeerNetwork } from "@pyromesh/gossip";
import { FORMATS, supportOf } from "@pyromesh/ring";
import type { ClusterView, MemberFormats, StoreId } from "@pyromesh/ring";
import { ClusterSecrets } from "./cluster-secrets.ts";
import { openMemberIdentity } from "./member-identity.ts";
import type { Cluster, Peers } from "./ports.ts";
import { ReplicationMark } from "./replication-mark.ts";
import { StoreProgress } from "./store-progress.ts";

export interface JoinedClusterOptions {
  readonly clusterName: string;
  /** `--node-name`. */
  readonly nodeName: string | undefined;
  readonly host: string;
  readonly port: number;
  /** Where others reach it, given the port that it listens on. */
  readonly advertised: (port: number) => string;
  readonly httpAddress: (clusterAddress: string) => string;
  readonly zone: string;
  readonly tokenCount: number;
  /** `--replication`. */
  readonly replication: number;
  /** Distinct addresses that it is to join, and itself. */
  readonly joinAddressCount: number;
  /** False: news of members go by requests alone, and take somewhat longer. */
  readonly isGossipOn: boolean;
  readonly build: string;
}

/** What the head and the bucket say of this node. */
export interface OwnStore {
  /** 16 bytes. */
  readonly storeId: Uint8Array;
  /** The fewest acks under which it holds records; Infinity: it holds none. */
  readonly heldAcks: number;
  /** Segments wait for the bucket. Under how many acks their records were taken is in the state of the last start. */
  readonly hasSealed: boolean;
  /** "" while it is not known. */
  readonly bucketId: () => string;
  /** The number of the head's last commit. */
  readonly lastCommit: () => number;
  /** `storeId` was drawn by this process. */
  readonly isNew: boolean;
  /** What this build writes and reads, and what the data directory may hold already. */
  readonly formats: MemberFormats;
}

export interface JoinedClusterStart {
  /** Refuses a put where it is not the right bucket. */
  readonly bucket: Bucket;
  /** Others know of commits that the head has not got: the store is to take a new id. */
  readonly onRolledBack: (reason: string) => void;
}

export interface JoinedClusterModules {
  readonly network: PeerNetwork;
  readonly keyFile: AtomicFile;
  readonly stateFile: AtomicFile;
  /** Undefined: the cluster has no secret. */
  readonly loadSecrets: (() => Promise<readonly Uint8Array[]>) | undefined;
  /** `host:port` of nodes to join; asked at each attempt. */
  readonly seeds: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Design 5.8. */
const LEASE_MS = 5_000;
const BOOT_ID_BYTES = 8;
/** Contact changes with time alone, so it is looked at. */
const CONTACT_LOOK_MS = 50;
const NOT_COMPARED = "it has not heard from a majority of the members yet how far they know its store: a data directory that was rolled back lacks what it acknowledged";

export class JoinedCluster implements Cluster {
  readonly peers: Peers;
  readonly membership: Membership;
  readonly #links: PeerLinks;
  readonly #secrets: ClusterSecrets;
  readonly #modules: JoinedClusterModules;
  /** This store has been full, at some time before. So it founds nothing: where it was forgotten since, it joins anew. */
  #hasJoined: boolean;
  #mark: ReplicationMark | undefined;
  readonly #progress: StoreProgress;
  #onRolledBack: (reason: string) => void = () => {};
  /** Of the view, while this store was not compared with what others know of it. */
  #uncompared: { readonly of: ClusterView; readonly view: ClusterView } | undefined;

  private constructor(
    modules: JoinedClusterModules,
    parts: { readonly membership: Membership; readonly links: PeerLinks; readonly secrets: ClusterSecrets; readonly hasJoined: boolean; readonly store: OwnStore },
  ) {
    const { membership, links, secrets, hasJoined, store } = parts;
    this.#modules = modules;
    this.#hasJoined = hasJoined;
    this.membership = membership;
    this.#links = links;
    this.#secrets = secrets;
    this.peers = new PeerRequests({ ...modules, links });
    const { clock, logger } = modules;
    this.#progress = new StoreProgress({
      cluster: { peers: this.peers, isMajority: (answered) => membership.isMajority(answered), onChange: (listener) => membership.onChange(listener), get view() { return membership.view; } },
      isLinked: (member) => links.isLinked(member),
      lastCommit: store.lastCommit,
      isNewStore: store.isNew,
      onRolledBack: (reason) => this.#onRolledBack(reason),
      clock,
      logger,
    });
  }

  /** Rejects CLUSTER_LISTEN_FAILED, NODE_NAME_DIFFERS, CLUSTER_SECRET_INVALID, CLUSTER_BUILD_OLDER, and where what the data directory keeps of the cluster is damaged. */
  static async open(options: JoinedClusterOptions, store: OwnStore, modules: JoinedClusterModules): Promise<JoinedCluster> {
    const { clock, keyFile, logger, metrics, network, random, stateFile } = modules;
    const secrets = await ClusterSecrets.open({ clock, logger, load: modules.loadSecrets });
    const byDefault = options.port === 0 ? `node-${toHex(store.storeId).slice(0, 12)}` : options.advertised(options.port);
    const identity = await openMemberIdentity(keyFile, { given: options.nodeName, byDefault }, random);
    const storeId = toHex(store.storeId);
    const bootId = toHex(random.bytes(BOOT_ID_BYTES));
    // The links ask membership for addresses, and membership works over the links.
    const late: { membership?: Membership } = {};
    const links = await PeerLinks.open(
      { host: options.host, port: options.port, privateKey: identity.seed, clusterName: options.clusterName, name: identity.name, storeId, bootId, build: options.build },
      { network, clock, random, logger, metrics, secrets: () => secrets.inForce, bucketId: store.bucketId, addressOf: (member) => late.membership?.addressOf(member), formats: { own: () => announced(late.membership?.view.self.formats ?? store.formats), apart: (peer, theirs) => late.membership?.formatsApart({ ...peer, formats: formatsOf(theirs) }) } },
    );
    try {
      const clusterAddress = options.advertised(links.port);
      const state = await stateFile.read();
      const before = state === undefined ? undefined : decodeClusterState(state).entries.find(({ name }) => name === identity.name);
      checkPromises(before?.storeId === storeId ? formatsOf(before) : [], store.formats);
      // A node that was alone took its records under one ack.
      const heldAcks = Math.min(store.heldAcks, store.hasSealed ? (before?.acksHeld ?? 1) : Infinity);
      const membership = await Membership.open(
        {
          table: {
            self: {
              name: identity.name,
              storeId,
              bootId,
              clusterAddress,
              httpAddress: options.httpAddress(clusterAddress),
              zone: options.zone,
              tokenCount: options.tokenCount,
              protocolMin: PROTOCOL_MIN,
              protocolMax: PROTOCOL_MAX,
              ...announced(store.formats),
              build: options.build,
            },
            clusterName: options.clusterName,
            leaseMs: LEASE_MS,
            replication: options.replication,
            joinAddressCount: options.joinAddressCount,
            isFounder: false,
            heldAcks,
          },
          isGossipOn: options.isGossipOn,
        },
        { clock, random, logger, metrics, links, stateFile, seeds: modules.seeds },
      );
      late.membership = membership;
      logger.info("the cluster port listens", { member: identity.name, address: clusterAddress, cluster: options.clusterName });
      const hasJoined = before?.storeId === storeId && (before.claimsFull || before.goneJoins > 0);
      return new JoinedCluster(modules, { membership, links, secrets, hasJoined, store });
    } catch (error) {
      await links.stop();
      secrets.stop();
      throw error;
    }
  }

  start({ bucket, onRolledBack }: JoinedClusterStart): void {
    const { membership } = this;
    this.#onRolledBack = onRolledBack;
    membership.onChange(({ self }) => {
      if (self.state !== "joining") this.#hasJoined = true;
    });
    membership.start();
    this.#progress.start();
    this.#mark = new ReplicationMark({ ...this.#modules, bucket, membership });
    this.#mark.start();
  }

  /** It has started, and this store has never been full: it may be the first member (founding.ts). */
  get mayFound(): boolean {
    return this.#mark !== undefined && !this.#hasJoined;
  }

  /** It is full without anybody's acknowledgement. */
  found(): void {
    this.#hasJoined = true;
    this.membership.found();
  }

  /**
   * Resolves when this node is full, since a majority of the full members has its entry, and in contact: a push to a node that says that it is ready is not to be refused
   * because its first probes are under way. Where the others are down it waits a lease for contact, and no longer: it has records to flush.
   */
  async joined(signal: AbortSignal): Promise<void> {
    await this.#full(signal);
    const { clock } = this.#modules;
    const untilMs = clock.monotonicMs() + LEASE_MS;
    while (!this.isInContact && clock.monotonicMs() < untilMs) await clock.sleep(CONTACT_LOOK_MS, signal);
  }

  #full(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const isIn = ({ self }: ClusterView): boolean => self.state !== "joining";
      if (isIn(this.view)) return resolve();
      const stop = this.onChange((view) => {
        if (isIn(view)) end(resolve);
      });
      const end = (settle: () => void): void => {
        stop();
        signal.removeEventListener("abort", onAbort);
        settle();
      };
      const onAbort = (): void => end(() => reject(signal.reason as Error));
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort);
    });
  }

  /** Why it is not known to others yet, or none of them tells how far they know its store (as where its data directory was copied), as far as one of them has said so. */
  get refusedBecause(): string | undefined {
    const isLetIn = this.view.self.state !== "joining" && this.#progress.isCompared;
    return isLetIn ? undefined : (this.#links.lastRefusal ?? this.membership.seedProblem?.because);
  }

  /**
   * Why it takes no pushes, where it founded a cluster of its own and those that it is to join do not let it in: its bucket is another one, or its secret. Undefined while others may
   * still come, and where it needs none.
   */
  get isolatedBecause(): string | undefined {
    const { acks, members } = this.view;
    const problem = members.length === 1 && acks > 1 ? this.membership.seedProblem : undefined;
    return problem?.isRefusal === true ? `it is the only member of its cluster, and a record must be kept by ${acks}; those that it is to join are in another one: ${problem.because}` : undefined;
  }

  async stop(): Promise<void> {
    this.#mark?.stop();
    this.#progress.stop();
    this.membership.stop();
    this.#secrets.stop();
    await this.#links.stop();
  }

  /** See `MemberTable.promise`. */
  promise(formats: MemberFormats): Promise<void> {
    return this.membership.promise(formats);
  }

  /** Call it after each LIST: an operator may have lowered what stands in the bucket. */
  onListed(): void {
    void this.#mark?.sync();
  }

  // --- as the rest of the node sees it ------------------------------------------------------------------------------

  get view(): ClusterView {
    const of = this.membership.view;
    if (this.#progress.isCompared || of.queriesRefusedBecause !== undefined) return of;
    if (this.#uncompared?.of !== of) this.#uncompared = { of, view: { ...of, queriesRefusedBecause: NOT_COMPARED } };
    return this.#uncompared.view;
  }

  onChange(listener: (view: ClusterView) => void): () => void {
    return this.membership.onChange(() => listener(this.view));
  }

  /** Not before this store was compared with what others know of it, either. */
  get isInContact(): boolean {
    return this.#progress.isCompared && this.membership.isInContact;
  }

  /** Throws STORE_NOT_COMPARED while this store may lack what it acknowledged before this start. */
  checkCompared(): void {
    if (!this.#progress.isCompared) throw unavailable("STORE_NOT_COMPARED", `${this.view.self.name} answers no query yet: ${NOT_COMPARED}`);
  }

  /** Call it when the head has committed something. */
  noteCommitted(): void {
    this.#progress.noteCommitted();
  }

  contact(): Promise<boolean> {
    return this.membership.contact();
  }

  isLost(storeId: StoreId): boolean {
    return this.membership.isLost(storeId);
  }

  isMajority(answered: ReadonlySet<StoreId>): boolean {
    return this.membership.isMajority(answered);
  }

  noteHeld(acks: number): void {
    this.membership.noteHeld(acks);
  }

  noteFlushed(storeId: StoreId, incarnation: number): void {
    this.membership.noteFlushed(storeId, incarnation);
  }

  learnFrom(member: string, digest: string): Promise<void> {
    return this.membership.learnFrom(member, digest);
  }

  // --- the operator's words -----------------------------------------------------------------------------------------

  async startLeaving(): Promise<void> {
    await this.membership.beginLeave();
  }

  cancelLeaving(): Promise<void> {
    return this.membership.cancelLeave();
  }

  finishLeaving(signal: AbortSignal): Promise<void> {
    return this.membership.finishLeave(signal);
  }

  forget(name: string, options: { readonly isForced: boolean }): Promise<void> {
    return this.membership.forget(name, options);
  }
}

/**
 * Others may send what this store has promised to read. The data directory says so too, and is refused before anything is opened, unless its file was changed by hand.
 * Throws CLUSTER_BUILD_OLDER.
 */
function checkPromises(before: MemberFormats, formats: MemberFormats): void {
  for (const [at, { promised }] of before.entries()) {
    const { reads } = supportOf(formats, at);
    if (promised <= reads) continue;
    const format = FORMATS[at] ?? "a format that this build does not know";
    throw new CodedError({ code: "CLUSTER_BUILD_OLDER", kind: "failed_precondition", message: `this store has told the cluster that it reads version ${promised} of ${format}, and this build reads up to ${reads}: run the newer build on it` });
  }
}
