/**
 * Membership of one node: the state machine of membership/step.ts with a clock, links, and a file. It is what the rest of the node asks about the cluster.
 *
 *   open    reads the state, writes the first one of this start (a start is an incarnation of its own)
 *   start   ticks, and dials the seeds until it has a link to somebody
 *   leave   LEAVING; the caller flushes; then LEFT, handed on to several members
 *   stop    ends all timers; the links are their owner's
 *
 * What must stay true: one event at a time, in the order in which it came; the listeners of a change are called in the turn of the change.
 */
import { CodedError, messageOf, retryDelayMs, unavailable, within, type Clock, type Counter, type Histogram, type Logger, type Metrics, type Random, type Timer } from "@pyromesh/base";
import type { ClusterView, FormatHolder, MemberFormats, MemberState, StoreId } from "@pyromesh/ring";
import { decodeClusterState, encodeClusterState } from "./items/cluster-state.ts";
import type { RefusalCode } from "./links/handshake.ts";
import type { LinkedPeer } from "./links/link-session.ts";
import { FRAME_BYTES_MAX, GOSSIP_BYTES_MAX } from "./links/peer-network.ts";
import type { MembershipEffect, MembershipEvent } from "./membership/events.ts";
import { decodeMembershipMessage, encodeMembershipMessage, type MembershipMessage } from "./membership/messages.ts";
import { MEMBERSHIP_SETTINGS, type MembershipSettings } from "./membership/settings.ts";
import { MembershipCore } from "./membership/step.ts";
import { MemberTable, type MemberTableOptions } from "./table/member-table.ts";
import type { OwnFault } from "./table/own-fault.ts";
import type { Changes } from "./table/table-changes.ts";

/** The file in the data directory. */
export interface StateFile {
  /** Undefined: there is none. */
  read(): Promise<Uint8Array | undefined>;
  /** Resolves when the bytes replaced the old ones, and are synced. */
  write(bytes: Uint8Array): Promise<void>;
}

/** What membership needs of the links (class PeerLinks). */
export interface MembershipLinks {
  readonly linked: readonly LinkedPeer[];
  send(member: string, message: Uint8Array): void;
  gossip(message: Uint8Array): void;
  connect(address: string, signal: AbortSignal): Promise<LinkedPeer>;
  resolve(host: string, signal: AbortSignal): Promise<readonly string[]>;
  close(member: string, reason: string): void;
  onMessage(listener: (from: LinkedPeer, message: Uint8Array) => void): void;
  onLinkUp(listener: (peer: LinkedPeer) => void): void;
  onLinkDown(listener: (peer: LinkedPeer, reason: string) => void): void;
  onGossip(listener: (message: Uint8Array) => void): void;
}

export interface MembershipOptions {
  readonly table: MemberTableOptions;
  /** False: nothing goes to the gossip topic. The cluster works the same, somewhat later. */
  readonly isGossipOn: boolean;
  readonly settings?: MembershipSettings;
}

/** `isRefusal`: a node answered, and either side refused the other. */
export interface SeedProblem {
  readonly because: string;
  readonly isRefusal: boolean;
}

export interface MembershipShellModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly links: MembershipLinks;
  readonly stateFile: StateFile;
  /** `host:port` of other nodes; a host may have several addresses. Asked at each attempt, so a file may change. */
  readonly seeds: () => Promise<readonly string[]>;
}

/** Seeds dialled at the same time, drawn anew each time. */
const SEEDS_AT_ONCE = 3;
/** Between attempts to reach a seed, for ever. The first are short, so that nodes started together find each other at once. */
const JOIN_RETRY = { firstMs: 200, maxMs: 30_000 };
/** Some five seconds. */
const JOIN_TRIES_BEFORE_WARNING = 6;
/** Refusals that say nothing of the settings. */
const PASSING_REFUSALS: ReadonlySet<string> = new Set<RefusalCode>(["self", "busy", "timeout", "bucket-unknown"]);
const STATE_RETRY = { firstMs: 100, maxMs: 5000 };
const LEARN_TIMEOUT_MS = 2000;
/** Requests to learn that wait. Beyond it they are refused. */
const LEARNS_MAX = 1024;
const LEFT_REPEAT_MS = 200;
/**
 * Who asks for contact waits so long from when it was lost. Contact that comes back of itself does so in a round trip to a process that may have begun a moment
 * ago. It is less than what members wait for each other's answers before they take each other for silent (2 s), since an ack may wait for it.
 */
const CONTACT_WAIT_MS = 1_500;
/** What the log says once nobody waits for a lost store any more. The simulator takes it from the log: from here on answers may rest on LISTs (decision 0021). */
export const STORE_CLEARED = "a lost store is cleared: nothing of it is missing";

export class Membership {
  readonly #core: MembershipCore;
  readonly #table: MemberTable;
  readonly #options: MembershipOptions;
  readonly #modules: MembershipShellModules;
  readonly #stopped = new AbortController();
  readonly #listeners = new Set<(view: ClusterView) => void>();
  readonly #learns = new Map<number, () => void>();
  readonly #persistedWaits = new Set<() => void>();
  readonly #ownCloses = new Set<string>();
  readonly #metrics: MembershipMetrics;
  /** What the log says last of each member: bounded by the table. */
  readonly #loggedStates = new Map<string, MemberState>();
  /** Lost stores that were not cleared when the view was logged last. */
  #loggedLosses: ReadonlySet<StoreId> = new Set();
  #loggedFault: string | undefined;
  #learnNumber = 0;
  #view: ClusterView | undefined;
  #isStarted = false;
  /** Of the next tick; undefined: none is set. */
  #timer: Timer | undefined;
  #timerDueMs = Infinity;
  /** Since when it is full and not in contact; undefined: it is in contact, or not full. As of the last time that it was looked at, which is at each tick at least: one is due when contact ends. */
  #outSinceMs: number | undefined;
  /** Set while anybody waits for contact. */
  #contactWait: ContactWait | undefined;
  #isWriting = false;
  #isJoining = false;
  #seedProblem: SeedProblem | undefined;
  /** Events that came while one was handled. */
  readonly #events: MembershipEvent[] = [];
  #isStepping = false;

  private constructor(options: MembershipOptions, modules: MembershipShellModules, core: MembershipCore) {
    this.#options = options;
    this.#modules = modules;
    this.#core = core;
    this.#table = core.table;
    this.#metrics = new MembershipMetrics(modules.metrics, this);
    const { links } = modules;
    links.onMessage((from, bytes) => this.#onMessage(from, bytes));
    links.onGossip((bytes) => this.#onGossip(bytes));
    links.onLinkUp(({ name }) => this.#step({ kind: "link-up", member: name }));
    links.onLinkDown(({ name }) => this.#step({ kind: "link-down", member: name, isOwnDoing: this.#ownCloses.delete(name) }));
  }

  /** Rejects with CorruptionError where the state on disk is damaged: what is missing may be whom this node has fenced. */
  static async open(options: MembershipOptions, modules: MembershipShellModules): Promise<Membership> {
    const { clock, stateFile, random } = modules;
    const bytes = await stateFile.read();
    const table = new MemberTable(options.table, bytes === undefined ? undefined : decodeClusterState(bytes), clock.monotonicMs());
    // Twice at most: who is full again, now that its start is on disk, acknowledges who joins.
    while (table.persistedVersion < table.persistVersion) {
      const version = table.persistVersion;
      await stateFile.write(encodeClusterState(table.state));
      table.persisted(version, clock.monotonicMs());
    }
    const core = new MembershipCore(options.settings ?? MEMBERSHIP_SETTINGS, { table, random }, clock.monotonicMs());
    return new Membership(options, modules, core);
  }

  start(): void {
    this.#isStarted = true;
    this.#tickWhenDue();
    void this.#join();
  }

  /** Ends timers and waits. Nothing is sent any more. */
  stop(): void {
    this.#stopped.abort(unavailable("MEMBERSHIP_STOPPED", "this node stops"));
    this.#timer?.cancel();
    this.#listeners.clear();
    this.#endContactWait(false);
  }

  // ---- what others ask

  get view(): ClusterView {
    return (this.#view ??= this.#table.view(this.#core.suspects));
  }

  /** Called after each change of the view, in the turn of the change. Returns what ends it. */
  onChange(listener: (view: ClusterView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get isInContact(): boolean {
    return this.#table.isInContact(this.#nowMs);
  }

  /**
   * Resolves with whether this node is in contact: at once where it is, or has not been for CONTACT_WAIT_MS; else when it is, or when that time has passed.
   * All who wait share one promise and one timer.
   */
  contact(): Promise<boolean> {
    this.#lookAtContact();
    if (this.#contactWait !== undefined) return this.#contactWait.outcome;
    const nowMs = this.#nowMs;
    if (this.isInContact) return Promise.resolve(true);
    const leftMs = this.#outSinceMs === undefined ? 0 : this.#outSinceMs + CONTACT_WAIT_MS - nowMs;
    if (leftMs <= 0 || this.#stopped.signal.aborted) return Promise.resolve(false);
    let resolve!: (isInContact: boolean) => void;
    const outcome = new Promise<boolean>((settle) => (resolve = settle));
    const timer = this.#modules.clock.after(leftMs, () => this.#endContactWait(this.isInContact));
    this.#contactWait = { outcome, resolve, timer };
    return outcome;
  }

  #lookAtContact(): void {
    const isInContact = this.isInContact;
    if (isInContact || !this.#table.isFull) this.#outSinceMs = undefined;
    else this.#outSinceMs ??= this.#nowMs;
    if (isInContact) this.#endContactWait(true);
  }

  #endContactWait(isInContact: boolean): void {
    const wait = this.#contactWait;
    this.#contactWait = undefined;
    wait?.timer.cancel();
    wait?.resolve(isInContact);
  }

  isLost(storeId: StoreId): boolean {
    return this.#table.isLost(storeId);
  }

  isMajority(answered: ReadonlySet<StoreId>): boolean {
    return this.#table.isMajority(answered);
  }

  /** Only the node's operator can help: it stops taking requests. */
  get fault(): OwnFault | undefined {
    return this.#table.fault;
  }

  /** Why not every seed of the last try was reached; undefined: each was, or none was tried yet. Nodes that dial this one do not count. */
  get seedProblem(): SeedProblem | undefined {
    return this.#seedProblem;
  }

  /** How slow this node takes itself to be, 0 to 7. */
  get health(): number {
    return this.#core.health;
  }

  /** Where the links dial a member. */
  addressOf(member: string): string | undefined {
    const address = this.#table.entry(member)?.clusterAddress;
    return address === "" ? undefined : address;
  }

  /** Infinity: it holds nothing. */
  noteHeld(acks: number): void {
    this.#change((nowMs) => this.#table.noteHeld(acks, nowMs));
  }

  noteFlushed(storeId: StoreId, incarnation: number): void {
    this.#change((nowMs) => this.#table.noteFlushed(storeId, incarnation, nowMs));
  }

  /** What replication the bucket holds: read at the start, and with each LIST. */
  noteBucketReplication(replication: number): void {
    this.#change((nowMs) => this.#table.noteBucketReplication(replication, nowMs));
  }

  /** See `MemberTable.promise`. Resolves when it is on disk: only then does it count. */
  async promise(formats: MemberFormats): Promise<void> {
    this.#change((nowMs) => this.#table.promise(formats, nowMs));
    await this.#persisted();
  }

  /** Why a node that says this of itself may not be a member here; undefined: it may. */
  formatsApart(other: Pick<FormatHolder, "name" | "storeId" | "formats">): string | undefined {
    return this.#table.formatsApart(other);
  }

  /** What `noteBucketReplication` was told last, in this process or an earlier one. */
  get bucketReplication(): number | undefined {
    return this.#table.bucketReplication;
  }

  /** `--replication` of this node. */
  get replicationSetting(): number {
    return this.#options.table.replication;
  }

  /** What the bucket should say of replication and does not: put it there, then call `noteBucketReplication`. Look again after each change. */
  get wantedReplication(): number | undefined {
    return this.#table.wantedReplication;
  }

  /** This node made the bucket's identity: it is full by itself. */
  found(): void {
    this.#change((nowMs) => this.#table.found(nowMs));
  }

  /** Resolves when this node knows what the member knew when it gave this digest. Rejects CLUSTER_LEARN_FAILED. */
  async learnFrom(member: string, digest: string): Promise<void> {
    if (digest === this.#table.digest) return;
    if (this.#learns.size >= LEARNS_MAX) throw learnFailed(member, `${LEARNS_MAX} other requests wait`);
    const number = ++this.#learnNumber;
    const learned = new Promise<void>((resolve) => this.#learns.set(number, resolve));
    this.#step({ kind: "learn", member, number });
    try {
      await within(learned, { timeoutMs: LEARN_TIMEOUT_MS, lateError: () => learnFailed(member, `it did not answer within ${LEARN_TIMEOUT_MS / 1000} s`) }, { clock: this.#modules.clock, signal: this.#stopped.signal });
    } finally {
      this.#learns.delete(number);
    }
  }

  /** From now on this node takes no records. Resolves when that is on disk. Rejects LEAVE_REFUSED. */
  async beginLeave(): Promise<void> {
    this.#change((nowMs) => this.#table.leave(nowMs));
    await this.#persisted();
  }

  /** Takes `beginLeave` back: it takes records again. Resolves when that is on disk. Rejects LEAVE_REFUSED where it has left. */
  async cancelLeave(): Promise<void> {
    this.#change((nowMs) => this.#table.stay(nowMs));
    await this.#persisted();
  }

  /** Call it when all that this node held was read in the bucket. Resolves when several members have on disk that it left. Rejects LEAVE_REFUSED, or with the signal's reason. */
  async finishLeave(signal: AbortSignal): Promise<void> {
    this.#change((nowMs) => this.#table.left(nowMs));
    await this.#persisted();
    const fullCount = this.view.members.filter(({ state, name }) => state === "active" && name !== this.view.self.name).length;
    const needed = Math.max(1, Math.min(2, fullCount));
    while (this.#core.leftKnownByCount < needed) {
      this.#step({ kind: "tell-left" });
      await this.#modules.clock.sleep(LEFT_REPEAT_MS, AbortSignal.any([signal, this.#stopped.signal]));
    }
  }

  /** Rejects FORGET_REFUSED. */
  async forget(name: string, { isForced }: { readonly isForced: boolean }): Promise<void> {
    this.#change((nowMs) => this.#table.forget(name, { isForced }, nowMs));
    await this.#persisted();
  }

  // ---- events and effects

  get #nowMs(): number {
    return this.#modules.clock.monotonicMs();
  }

  #change(make: (nowMs: number) => Changes): void {
    this.#step({ kind: "changed", changes: make(this.#nowMs) });
  }

  /** One timer, for what is due next. */
  #tickWhenDue(): void {
    const dueMs = this.#core.tickDueMs;
    if (!this.#isStarted || this.#stopped.signal.aborted || (this.#timer !== undefined && this.#timerDueMs <= dueMs)) return;
    this.#timer?.cancel();
    this.#timerDueMs = dueMs;
    this.#timer = this.#modules.clock.after(Math.max(0, Math.ceil(dueMs - this.#nowMs)), () => {
      this.#timer = undefined;
      // While this process stood still contact could not come back: that time does not count as one in which it did not.
      if (this.#outSinceMs !== undefined) this.#outSinceMs += Math.max(0, this.#nowMs - dueMs);
      this.#step({ kind: "tick" });
      this.#lookAtContact();
    });
  }

  #onMessage({ name, storeId }: LinkedPeer, bytes: Uint8Array): void {
    const message = this.#decode(name, bytes);
    if (message !== undefined) this.#step({ kind: "message", from: name, storeId, message });
  }

  #onGossip(bytes: Uint8Array): void {
    const message = this.#decode("the gossip topic", bytes);
    if (message !== undefined) this.#step({ kind: "gossip", message });
  }

  #decode(from: string, bytes: Uint8Array): MembershipMessage | undefined {
    try {
      const message = decodeMembershipMessage(bytes);
      if (message !== undefined) this.#metrics.noteMessage("received", message.kind, bytes.length);
      return message;
    } catch (error) {
      this.#metrics.noteRefusal("PEER_MALFORMED");
      this.#modules.logger.warn("a message of membership was refused", { member: from, reason: messageOf(error) });
      return undefined;
    }
  }

  #step(event: MembershipEvent): void {
    if (this.#stopped.signal.aborted) return;
    this.#events.push(event);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#run(this.#core.step(next, this.#nowMs));
    } finally {
      this.#isStepping = false;
      this.#tickWhenDue();
    }
  }

  #run(effects: readonly MembershipEffect[]): void {
    let isViewChanged = false;
    let last: { readonly message: MembershipMessage; readonly bytes: Uint8Array } | undefined;
    for (const effect of effects) {
      switch (effect.kind) {
        case "send": {
          // News go to several members as one message.
          if (last?.message !== effect.message) last = { message: effect.message, bytes: encodeMembershipMessage(effect.message) };
          this.#send(effect.to, effect.message.kind, last.bytes);
          break;
        }
        case "gossip":
          this.#gossip(effect.message);
          break;
        case "persist":
          void this.#persist();
          break;
        case "view-changed":
          isViewChanged = true;
          break;
        case "close-link":
          if (!this.#modules.links.linked.some(({ name }) => name === effect.member)) break;
          this.#ownCloses.add(effect.member);
          this.#modules.links.close(effect.member, "it did not answer probes");
          break;
        case "dial-seed":
          void this.#dialSeeds().catch(() => undefined);
          break;
        case "learned":
          this.#learns.get(effect.number)?.();
          break;
        case "answered":
          this.#metrics.noteRoundTrip(effect.roundTripMs);
          break;
        case "refused":
          this.#metrics.noteRefusal(effect.refusal.code);
          this.#modules.logger.warn("what a member said of another was refused", { member: effect.from, about: effect.refusal.member, code: effect.refusal.code, reason: effect.refusal.reason });
          break;
        case "suspected":
        case "cleared":
        case "declared-dead":
        case "refuted":
          this.#metrics.noteVerdict(effect.kind);
          this.#modules.logger.info(VERDICT_TEXTS[effect.kind], { member: effect.member });
          break;
      }
    }
    if (isViewChanged || this.#contactWait !== undefined) this.#lookAtContact();
    if (isViewChanged) this.#announce();
  }

  #send(to: string, kind: MembershipMessage["kind"], bytes: Uint8Array): void {
    if (bytes.length >= FRAME_BYTES_MAX) {
      this.#modules.logger.error("a message of membership is longer than a frame and is not sent: the cluster has more members, with longer names, than it can hold", { member: to, kind, bytes: bytes.length });
      return;
    }
    this.#metrics.noteMessage("sent", kind, bytes.length);
    this.#modules.links.send(to, bytes);
  }

  #gossip(message: MembershipMessage): void {
    if (!this.#options.isGossipOn) return;
    const bytes = encodeMembershipMessage(message);
    if (bytes.length <= GOSSIP_BYTES_MAX) this.#modules.links.gossip(bytes); // else it goes as news alone, from member to member
  }

  #announce(): void {
    this.#view = undefined;
    this.#logChanges(this.view);
    for (const listener of this.#listeners) listener(this.view);
  }

  #logChanges({ members, gone, lostStores, self }: ClusterView): void {
    const { logger } = this.#modules;
    for (const list of [members, gone]) {
      for (const { name, state, clusterAddress } of list) {
        const before = this.#loggedStates.get(name);
        if (before === state) continue;
        this.#loggedStates.set(name, state);
        if (name !== self.name || before !== undefined) logger.info(name === self.name ? "this node has another state in the cluster" : "a member has another state", { member: name, state, before: before ?? "unknown", address: clusterAddress });
      }
    }
    for (const { member, storeId, isCleared } of lostStores) {
      if (isCleared && this.#loggedLosses.has(storeId)) logger.info(STORE_CLEARED, { member, store: storeId });
      if (!isCleared && !this.#loggedLosses.has(storeId)) logger.warn("a store counts as lost until it is back or the others have flushed what they kept together with it: stop no other node before", { member, store: storeId });
    }
    this.#loggedLosses = new Set(lostStores.filter(({ isCleared }) => !isCleared).map(({ storeId }) => storeId));
    const { fault } = this.#table;
    if (fault === undefined || fault.message === this.#loggedFault) return;
    this.#loggedFault = fault.message;
    logger.error(`this node takes no requests: ${fault.message}`, { code: fault.code });
  }

  /** One write at a time; what changes meanwhile follows in the next. */
  async #persist(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    const { stateFile, clock, logger } = this.#modules;
    let failureCount = 0;
    while (this.#table.persistedVersion < this.#table.persistVersion && !this.#stopped.signal.aborted) {
      const version = this.#table.persistVersion;
      try {
        await stateFile.write(encodeClusterState(this.#table.state));
        failureCount = 0;
        this.#step({ kind: "persisted", version });
      } catch (error) {
        logger.error("the cluster state could not be written; until it can be, this node is not in contact", { error: messageOf(error) });
        await clock.sleep(retryDelayMs(++failureCount, STATE_RETRY), this.#stopped.signal).catch(() => undefined);
      }
    }
    this.#isWriting = false;
    for (const resolve of this.#persistedWaits) resolve();
    this.#persistedWaits.clear();
  }

  #persisted(): Promise<void> {
    if (this.#table.persistedVersion >= this.#table.persistVersion) return Promise.resolve();
    return new Promise((resolve) => this.#persistedWaits.add(resolve));
  }

  // ---- joining

  /** Until there is a link to somebody. Members that this node knows from before are dialled by its probes. */
  async #join(): Promise<void> {
    if (this.#isJoining) return;
    this.#isJoining = true;
    const { clock, random, links, logger, seeds } = this.#modules;
    for (let failureCount = 1; links.linked.length === 0 && !this.#stopped.signal.aborted; failureCount++) {
      await this.#dialSeeds().catch((error: unknown) => logger.warn("the seeds could not be read", { error: messageOf(error) }));
      if (links.linked.length > 0) break;
      // Nodes that start together miss each other at first.
      if (failureCount === JOIN_TRIES_BEFORE_WARNING && (await seeds().catch(() => [])).length > 0) logger.warn("no member to join was reached yet; it is tried for ever", { reason: this.#seedProblem?.because ?? "" });
      const delayMs = retryDelayMs(failureCount, JOIN_RETRY) * (0.5 + random.float() / 2);
      await clock.sleep(delayMs, this.#stopped.signal).catch(() => undefined);
    }
    this.#isJoining = false;
    this.#seedProblem = undefined;
  }

  /** Some of the addresses of all seeds, at the same time. */
  async #dialSeeds(): Promise<void> {
    const { seeds, links, random, logger } = this.#modules;
    const { signal } = this.#stopped;
    const own = this.#options.table.self.clusterAddress;
    const addresses = new Set<string>();
    const unresolved: string[] = [];
    for (const seed of await seeds()) {
      const at = seed.lastIndexOf(":");
      const host = seed.slice(0, at).replace(/^\[|\]$/g, "");
      try {
        for (const address of await links.resolve(host, signal)) addresses.add(`${address.includes(":") ? `[${address}]` : address}${seed.slice(at)}`);
      } catch (error) {
        unresolved.push(`${seed} has no address (${messageOf(error)})`);
        logger.debug("a seed's name could not be resolved", { seed, error: messageOf(error) });
      }
    }
    addresses.delete(own);
    const drawn = [...addresses];
    for (let i = 0; i < Math.min(SEEDS_AT_ONCE, drawn.length); i++) {
      const other = i + Math.floor(random.float() * (drawn.length - i));
      [drawn[i], drawn[other]] = [drawn[other]!, drawn[i]!];
    }
    let refusal: string | undefined;
    const unreached: string[] = [];
    await Promise.all(
      drawn.slice(0, SEEDS_AT_ONCE).map(async (address) => {
        try {
          await links.connect(address, signal);
        } catch (error) {
          if (error instanceof CodedError && error.code === "PEER_REFUSED" && !PASSING_REFUSALS.has(String(error.details["reason"]))) refusal = error.message;
          unreached.push(messageOf(error));
          logger.debug("a seed was not reached", { address, error: messageOf(error) });
        }
      }),
    );
    const because = refusal ?? [...unresolved, ...unreached].slice(0, SEEDS_AT_ONCE).join("; ");
    this.#seedProblem = because === "" && addresses.size > 0 ? undefined : { because: because === "" ? "no other node is named to be joined" : because, isRefusal: refusal !== undefined };
  }
}

interface ContactWait {
  readonly outcome: Promise<boolean>;
  readonly resolve: (isInContact: boolean) => void;
  readonly timer: Timer;
}

const VERDICT_TEXTS = {
  suspected: "a member does not answer and is suspected",
  cleared: "a member is not suspected any more",
  "declared-dead": "a member is declared dead: it did not answer, and did not refute it",
  refuted: "this node says anew that it is there",
} as const;

function learnFailed(member: string, reason: string): CodedError {
  return new CodedError({ code: "CLUSTER_LEARN_FAILED", kind: "unavailable", message: `what member ${member} knows of the cluster could not be learned: ${reason}`, details: { member } });
}

class MembershipMetrics {
  readonly #messages: Counter;
  readonly #bytes: Counter;
  readonly #refusals: Counter;
  readonly #verdicts: Counter;
  readonly #roundTrips: Histogram;

  constructor(metrics: Metrics, membership: Membership) {
    this.#messages = metrics.counter("pyromesh_membership_messages_total", "Messages of membership between this node and others.", ["direction", "kind"]);
    this.#bytes = metrics.counter("pyromesh_membership_bytes_total", "Their bytes, before framing and encryption.", ["direction", "kind"]);
    this.#refusals = metrics.counter("pyromesh_membership_refusals_total", "What other nodes said of members and was refused.", ["code"]);
    this.#verdicts = metrics.counter("pyromesh_membership_verdicts_total", "Members that this node suspected, ceased to suspect or declared dead, and times that it refuted what others said of it.", ["verdict"]);
    this.#roundTrips = metrics.histogram("pyromesh_probe_duration_seconds", "From a probe to its answer.", [], [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]);
    metrics.gauge("pyromesh_members", "Members as this node sees them, by state; gone ones as long as they are remembered.", ["state"], (gauge) => {
      const counts = { joining: 0, active: 0, leaving: 0, left: 0, dead: 0, forgotten: 0, suspect: 0 };
      for (const { state, isSuspect } of [...membership.view.members, ...membership.view.gone]) {
        counts[state]++;
        if (isSuspect) counts.suspect++;
      }
      for (const [state, count] of Object.entries(counts)) gauge.set({ state }, count);
    });
    metrics.gauge("pyromesh_lost_stores", "Lost stores that are not cleared: while there are any, do not stop another node.", [], (gauge) => {
      gauge.set({}, membership.view.lostStores.filter(({ isCleared }) => !isCleared).length);
    });
    metrics.gauge("pyromesh_in_contact", "1: a majority of the full members answers this node.", [], (gauge) => gauge.set({}, membership.isInContact ? 1 : 0));
    metrics.gauge("pyromesh_member_slowness", "How slow this node takes itself to be, 0 to 7: it waits that much longer before it suspects others.", [], (gauge) => gauge.set({}, membership.health));
  }

  noteMessage(direction: "sent" | "received", kind: string, bytes: number): void {
    this.#messages.add({ direction, kind });
    this.#bytes.add({ direction, kind }, bytes);
  }

  noteRefusal(code: string): void {
    this.#refusals.add({ code });
  }

  noteVerdict(verdict: string): void {
    this.#verdicts.add({ verdict });
  }

  noteRoundTrip(roundTripMs: number): void {
    this.#roundTrips.observe({}, roundTripMs / 1000);
  }
}
