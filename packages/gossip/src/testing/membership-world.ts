/**
 * A world of many members in one thread: state machines of membership (step.ts) that exchange messages as objects, over simulated time and a network with
 * delay, loss, cuts and pauses. The same seed gives the same history. Tests run named histories in it, `bench gossip` measures in it.
 *
 * Time passes in whole milliseconds. A lost message is lost for good, as no connection would: the worst that links may do.
 */
import { seededRandom, type Random } from "@pyromesh/base";
import type { ClusterState } from "../items/cluster-state.ts";
import type { Entry, OwnEntry } from "../items/entry.ts";
import type { MembershipEffect, MembershipEvent } from "../membership/events.ts";
import { encodeMembershipMessage, type MembershipMessage } from "../membership/messages.ts";
import { MEMBERSHIP_SETTINGS, type MembershipSettings } from "../membership/settings.ts";
import { MembershipCore } from "../membership/step.ts";
import { MemberTable } from "../table/member-table.ts";

export interface WorldOptions {
  readonly seed: number;
  /** Part of the messages that is lost, 0 to 1. */
  readonly loss?: number;
  /** The gossip topic reaches everyone who is not cut off, within `gossipDelayMs`. Off unless given. */
  readonly isGossipOn?: boolean;
  readonly settings?: MembershipSettings;
  readonly replication?: number;
  /** A message takes from 1 ms to this. */
  readonly delayMaxMs?: number;
  /** A write of the state takes this long. */
  readonly persistMs?: number;
}

export interface WorldMember {
  readonly name: string;
  core: MembershipCore;
  isUp: boolean;
  isPaused: boolean;
  /** Of the process: what was under way for an older one is dropped. */
  boot: number;
  /** On disk. */
  state: ClusterState | undefined;
  storeId: string;
  address: string;
  sentCount: number;
  sentBytes: number;
  readonly waiting: MembershipEvent[];
  tickCount: number;
  /** When its next tick comes. */
  tickAtMs: number;
}

/** Bytes of a message besides its own: frame, multiplexing and encryption of a link (1 + 4 + 12 + 22). */
const FRAME_BYTES = 39;

export class MembershipWorld {
  readonly members: Map<string, WorldMember> = new Map();
  readonly #options: Required<WorldOptions>;
  readonly #random: Random;
  readonly #dueAt = new Map<number, (() => void)[]>();
  readonly #cuts = new Set<string>();
  #groups: Map<string, number> | undefined;
  nowMs: number = 0;
  /** Members whose sent bytes are counted: encoding each message is what costs. */
  counted: Set<string> = new Set();
  /** Each verdict: who declared whom dead, and when. */
  readonly verdicts: { readonly by: string; readonly of: string; readonly atMs: number }[] = [];
  readonly suspicions: { readonly by: string; readonly of: string; readonly atMs: number }[] = [];
  /** Links that a member asked to have closed. */
  readonly closes: { readonly by: string; readonly of: string; readonly atMs: number }[] = [];
  refutedCount: number = 0;
  /** The heartbeat of each member's last probe. */
  readonly lastProbeOf: Map<string, number> = new Map();
  /** Called after each step of a member in which its view changed. */
  onViewChanged: ((member: WorldMember) => void) | undefined;

  constructor(options: WorldOptions) {
    this.#options = { loss: 0, isGossipOn: false, settings: MEMBERSHIP_SETTINGS, replication: 3, delayMaxMs: 3, persistMs: 5, ...options };
    this.#random = seededRandom(options.seed);
  }

  /** Members that know each other and are full, as after a long time together. */
  addSettled(count: number): void {
    const entries = Array.from({ length: count }, (_, i): Entry => ({ ...this.#ownEntry(nameOf(i), storeIdOf(nameOf(i), 0)), incarnation: 2, status: "alive", claimsFull: true, joins: 1, goneJoins: 0, acknowledgedBy: [], acksHeld: Math.floor(this.#options.replication / 2) + 1 }));
    for (let i = 0; i < count; i++) {
      const own = { ...entries[i]!, incarnation: 1 };
      const known = [...entries];
      known[i] = own;
      this.#add(nameOf(i), { replication: this.#options.replication, bucketReplication: this.#options.replication, entries: known, losses: [] }, false, storeIdOf(nameOf(i), 0));
    }
  }

  /** A node with an empty disk, which knows nobody until it is linked to somebody. */
  addFresh(name: string, { isFounder = false, joinAddressCount = 1 }: { readonly isFounder?: boolean; readonly joinAddressCount?: number } = {}): WorldMember {
    return this.#add(name, undefined, isFounder, storeIdOf(name, 0), joinAddressCount);
  }

  get live(): WorldMember[] {
    return [...this.members.values()].filter(({ isUp }) => isUp);
  }

  member(name: string): WorldMember {
    return this.members.get(name)!;
  }

  // ---- faults

  /** `isSilent`: the machine is gone, and nothing closes its links. Otherwise the process ends, and its links close. */
  crash(name: string, { isSilent }: { readonly isSilent: boolean }): void {
    const member = this.member(name);
    member.isUp = false;
    member.boot++;
    if (isSilent) return;
    for (const other of this.live) this.#after(this.#delayMs(), () => this.#isLinked(name, other.name) && this.step(other, { kind: "link-down", member: name, isOwnDoing: false }));
  }

  /** `isWiped`: with an empty disk. */
  restart(name: string, { isWiped = false, address }: { readonly isWiped?: boolean; readonly address?: string } = {}): WorldMember {
    const old = this.member(name);
    const storeId = isWiped ? storeIdOf(name, old.boot) : old.storeId;
    const member = this.#add(name, isWiped ? undefined : old.state, false, storeId, 1, old.boot, address ?? old.address);
    return member;
  }

  pause(name: string): void {
    this.member(name).isPaused = true;
  }

  /** Its timers are due before what came meanwhile, and waited in its sockets, is read. */
  resume(name: string): void {
    const member = this.member(name);
    member.isPaused = false;
    this.step(member, { kind: "tick" });
    for (const event of member.waiting.splice(0)) this.step(member, event);
    this.#tickAt(member, this.nowMs);
  }

  /** Nothing passes from one to the other. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`);
  }

  heal(): void {
    this.#cuts.clear();
    this.#groups = undefined;
  }

  /** Nothing passes between members of different groups. */
  split(groupOf: (name: string) => number): void {
    this.#groups = new Map([...this.members.keys()].map((name) => [name, groupOf(name)]));
  }

  link(a: string, b: string): void {
    this.#after(1, () => this.step(this.member(a), { kind: "link-up", member: b }));
    this.#after(1, () => this.step(this.member(b), { kind: "link-up", member: a }));
  }

  // ---- time

  runFor(durationMs: number): void {
    const untilMs = this.nowMs + durationMs;
    while (this.nowMs < untilMs) {
      const due = this.#dueAt.get(this.nowMs);
      if (due !== undefined) {
        for (const run of due) run(); // those that a run adds to this millisecond are in the same list
        this.#dueAt.delete(this.nowMs);
      }
      this.nowMs++;
    }
  }

  /** Runs until it holds, looking every 10 ms; the time that it took. Undefined: it did not within `timeoutMs`. */
  runUntil(holds: () => boolean, timeoutMs: number): number | undefined {
    const sinceMs = this.nowMs;
    while (this.nowMs - sinceMs < timeoutMs) {
      if (holds()) return this.nowMs - sinceMs;
      this.runFor(10);
    }
    return holds() ? this.nowMs - sinceMs : undefined;
  }

  /** All live members know the same. */
  get isConverged(): boolean {
    return new Set(this.live.map(({ core }) => core.table.digest)).size === 1;
  }

  step(member: WorldMember, event: MembershipEvent): void {
    if (!member.isUp) return;
    if (member.isPaused) return void member.waiting.push(event);
    this.#run(member, member.core.step(event, this.nowMs));
    if (member.core.tickDueMs < member.tickAtMs) this.#tickAt(member, member.core.tickDueMs);
  }

  // ---- inside

  #add(name: string, state: ClusterState | undefined, isFounder: boolean, storeId: string, joinAddressCount = 1, boot = 0, address = `${name}:7946`): WorldMember {
    const { replication, settings } = this.#options;
    const self = { ...this.#ownEntry(name, storeId), bootId: bootIdOf(boot), clusterAddress: address };
    const table = new MemberTable({ self, clusterName: "world", leaseMs: 5000, replication, joinAddressCount, isFounder, heldAcks: Infinity }, state, this.nowMs);
    table.persisted(table.persistVersion, this.nowMs);
    table.noteBucketReplication(replication, this.nowMs);
    table.persisted(table.persistVersion, this.nowMs);
    const core = new MembershipCore(settings, { table, random: seededRandom(Math.floor(this.#random.float() * 2 ** 32)) }, this.nowMs + Math.floor(this.#random.float() * settings.detector.probeIntervalMs));
    const member: WorldMember = { name, core, isUp: true, isPaused: false, boot, state: table.state, storeId, address, sentCount: 0, sentBytes: 0, waiting: [], tickCount: 0, tickAtMs: Infinity };
    this.members.set(name, member);
    this.#tickAt(member, this.nowMs + Math.floor(this.#random.float() * settings.tickMs));
    return member;
  }

  #ownEntry(name: string, storeId: string): OwnEntry {
    return { name, storeId, bootId: bootIdOf(0), clusterAddress: `${name}:7946`, httpAddress: `${name}:4040`, zone: "", tokenCount: 128, protocolMin: 1, protocolMax: 1, formats: "", promises: "", build: "0.1.0" };
  }

  /** One timer: an earlier tick takes the place of a later one. */
  #tickAt(member: WorldMember, dueMs: number): void {
    const { boot } = member;
    const atMs = Math.max(this.nowMs, Math.ceil(dueMs));
    member.tickAtMs = atMs;
    this.#after(atMs - this.nowMs, () => {
      if (!member.isUp || member.boot !== boot || member.isPaused || member.tickAtMs !== atMs) return;
      member.tickAtMs = Infinity;
      member.tickCount++;
      this.step(member, { kind: "tick" });
    });
  }

  #run(member: WorldMember, effects: readonly MembershipEffect[]): void {
    let isViewChanged = false;
    for (const effect of effects) {
      switch (effect.kind) {
        case "send":
          this.#send(member, effect.to, effect.message);
          break;
        case "gossip":
          if (this.#options.isGossipOn) for (const other of this.live) if (other !== member && this.#isLinked(member.name, other.name)) this.#deliver(other, { kind: "gossip", message: effect.message });
          break;
        case "persist":
          this.#persist(member);
          break;
        case "view-changed":
          isViewChanged = true;
          break;
        case "declared-dead":
          this.verdicts.push({ by: member.name, of: effect.member, atMs: this.nowMs });
          break;
        case "suspected":
          this.suspicions.push({ by: member.name, of: effect.member, atMs: this.nowMs });
          break;
        case "close-link":
          this.closes.push({ by: member.name, of: effect.member, atMs: this.nowMs });
          break;
        case "refuted":
          this.refutedCount++;
          break;
        default:
      }
    }
    if (isViewChanged) this.onViewChanged?.(member);
  }

  #persist(member: WorldMember): void {
    const { boot, core } = member;
    const { persistVersion: version, state } = core.table;
    this.#after(this.#options.persistMs, () => {
      if (!member.isUp || member.boot !== boot) return;
      member.state = state;
      this.step(member, { kind: "persisted", version });
      if (core.table.persistVersion > version) this.#persist(member);
    });
  }

  #send(member: WorldMember, to: string, message: MembershipMessage): void {
    member.sentCount++;
    if (message.kind === "probe") this.lastProbeOf.set(member.name, message.heartbeat);
    if (this.counted.has(member.name)) member.sentBytes += encodeMembershipMessage(message).length + FRAME_BYTES;
    const other = this.members.get(to);
    if (other === undefined || !other.isUp || !this.#isLinked(member.name, to)) return;
    this.#deliver(other, { kind: "message", from: member.name, storeId: member.storeId, message });
  }

  #deliver(to: WorldMember, event: MembershipEvent): void {
    if (this.#options.loss > 0 && this.#random.float() < this.#options.loss) return;
    const { boot } = to;
    this.#after(this.#delayMs(), () => to.boot === boot && this.step(to, event));
  }

  #isLinked(from: string, to: string): boolean {
    if (this.#groups !== undefined && this.#groups.get(from) !== this.#groups.get(to)) return false;
    return this.#cuts.size === 0 || !this.#cuts.has(`${from} ${to}`);
  }

  #delayMs(): number {
    return 1 + Math.floor(this.#random.float() * this.#options.delayMaxMs);
  }

  #after(delayMs: number, run: () => void): void {
    const atMs = this.nowMs + delayMs;
    const due = this.#dueAt.get(atMs);
    if (due === undefined) this.#dueAt.set(atMs, [run]);
    else due.push(run);
  }
}

export function nameOf(index: number): string {
  return `node-${index}`;
}

/** Spread over all ids, as random ones are. */
function storeIdOf(name: string, boot: number): string {
  const random = seededRandom([...`${name} ${boot}`].reduce((sum, character) => (Math.imul(sum, 31) + character.charCodeAt(0)) >>> 0, 7));
  return Buffer.from(random.bytes(16)).toString("hex");
}

function bootIdOf(boot: number): string {
  return boot.toString(16).padStart(16, "0");
}
