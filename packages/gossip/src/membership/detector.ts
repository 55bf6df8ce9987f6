/**
 * Who is silent: SWIM with Lifeguard's changes, as a state machine. It says who is to be probed, who is suspected and whose suspicion has run out;
 * it sends nothing and declares nobody dead itself.
 *
 *   probe ──answer──> nothing is held against the member
 *     │ no answer within the timeout
 *   helpers probe it ──one of them got an answer──> nothing
 *     │ no answer within the interval
 *   suspected ──answer, or a higher incarnation──> nothing
 *     │ the suspicion's timeout, shorter the more members confirm it
 *   run out: the caller declares it dead
 *
 * What must stay true:
 * - A member that this node itself has just heard is not suspected on others' word: their word waits until this node hears nothing of it either.
 * - Who wakes from a pause accuses nobody for what went unanswered during the pause.
 * - A node that is slow itself waits longer (the health score) before it accuses others.
 */
import type { Random } from "@pyromesh/base";

export interface DetectorSettings {
  /** A member is probed this often: every member in a small cluster, one in turn in a large one. */
  readonly probeIntervalMs: number;
  /** After this time without an answer, helpers are asked to probe the member. */
  readonly probeTimeoutMs: number;
  readonly helperCount: number;
  /** Up to this many members, this node included, everyone probes everyone. */
  readonly fullMeshMax: number;
  /** The least time between a suspicion and the verdict, in clusters of up to 10 members; it grows with log10 of the size. */
  readonly suspicionMinMs: number;
  /** A suspicion that nobody confirms lasts this many times the least time. */
  readonly suspicionMaxFactor: number;
  /** So many others must confirm a suspicion for the least time to apply. */
  readonly confirmationCount: number;
  /** Where nobody else is there to confirm (two members): the time that a suspicion lasts. */
  readonly aloneSuspicionMs: number;
  /** The health score's highest value: timeouts are multiplied by the score and one. */
  readonly healthMax: number;
  /** In a large cluster, a heartbeat of a member may be this old when it comes: it says that the member lived then. */
  readonly heartbeatAgeMs: number;
  /** A tick that is later than this says that this node was held up. */
  readonly lagMaxMs: number;
}

/** Memberlist's LAN values (reference/cluster.md 1.1), but for the suspicion: 2 s in place of 4 s, since every ack clears one's own. */
export const DETECTOR_SETTINGS: DetectorSettings = {
  probeIntervalMs: 1000,
  probeTimeoutMs: 500,
  helperCount: 3,
  fullMeshMax: 16,
  suspicionMinMs: 2000,
  suspicionMaxFactor: 6,
  confirmationCount: 2,
  aloneSuspicionMs: 5000,
  healthMax: 7,
  heartbeatAgeMs: 2500,
  lagMaxMs: 250,
};

/** A node that suspects more members a minute than this and a tenth of all is likely to be the one that is cut off: further suspicions wait. */
const SUSPICIONS_A_MINUTE = 16;
/** Requests of others to probe a member that are under way. At the bound a further one is ignored; its sender counts that as silence. */
const HELPS_MAX = 1024;

/** A link over which a member has not answered probes for this long is closed and made anew: TCP would go on for minutes. */
const UNHEARD_MAX_MS = 3000;

export type DetectorAction =
  | { readonly kind: "probe"; readonly member: string }
  | { readonly kind: "ask-helper"; readonly helper: string; readonly subject: string }
  | { readonly kind: "tell-answered"; readonly origin: string; readonly subject: string }
  | { readonly kind: "tell-silent"; readonly origin: string; readonly subject: string }
  /** This node suspects it, by its own evidence (`isOwn`) or on others' word: it is to be told on. */
  | { readonly kind: "suspected"; readonly subject: string; readonly isOwn: boolean }
  | { readonly kind: "cleared"; readonly subject: string }
  /** Others have its answers and this node has not: its own connection is likely to be half open. */
  | { readonly kind: "unheard"; readonly member: string }
  /** The suspicion has lasted. `silentSinceMs`: what this node sent after it, who lives has had time to answer. */
  | { readonly kind: "run-out"; readonly subject: string; readonly incarnation: number; readonly silentSinceMs: number };

interface Target {
  readonly name: string;
  incarnation: number;
  /** When the oldest probe that has not been answered was sent; -1: none. */
  silentSinceMs: number;
  /** When the oldest probe was sent on the link in use since which this node itself has had no answer; -1: none. */
  unheardSinceMs: number;
  /** When it last answered, this node or a helper; -1: never. */
  answeredMs: number;
  /** Helpers asked in this round, and how many of them said that they got no answer either. */
  helperCount: number;
  nackCount: number;
  suspicion: Suspicion | undefined;
  /** Who accuses it while this node has just heard of it, and when the first did. At most one more than confirmations count. */
  readonly early: Set<string>;
  earlySinceMs: number;
}

interface Suspicion {
  startMs: number;
  /** Its link was closed: the least timeout applies. */
  isLeast: boolean;
  /** It has run out, and the caller did not declare the member dead: it is asked again at this time. */
  askAgainMs: number;
  /** Who accuses it, this node included. At most one more than confirmations count. */
  readonly accusers: Set<string>;
}

interface Help {
  readonly origin: string;
  readonly subject: string;
  readonly untilMs: number;
}

export class Detector {
  readonly #self: string;
  readonly #settings: DetectorSettings;
  readonly #random: Random;
  readonly #heardMs: (name: string) => number;
  readonly #targets = new Map<string, Target>();
  /** Targets with an open round or a suspicion: all that a tick looks at. */
  readonly #open = new Set<Target>();
  readonly #suspects = new Set<string>();
  #suspectsVersion = 0;
  /** The order of probing in a large cluster, shuffled after each pass; names that are gone are skipped. */
  #order: string[] = [];
  #orderAt = 0;
  #nextRoundMs = 0;
  #hasTicked = false;
  /** When heartbeats are compared with suspicions again. */
  #nextHeartbeatsMs = 0;
  #health = 0;
  #healthRisenMs = 0;
  #recentSuspicions: number[] = [];
  readonly #helps: Help[] = [];

  /** `heardMs`: when a heartbeat of the member last came by others, in a large cluster. */
  constructor(self: string, settings: DetectorSettings, { random, heardMs }: { readonly random: Random; readonly heardMs: (name: string) => number }) {
    this.#self = self;
    this.#heardMs = heardMs;
    this.#settings = settings;
    this.#random = random;
  }

  /** 0: this node is as quick as it should be. */
  get health(): number {
    return this.#health;
  }

  /** Everyone probes everyone. */
  get isFullMesh(): boolean {
    return this.#targets.size < this.#settings.fullMeshMax;
  }

  get targetCount(): number {
    return this.#targets.size;
  }

  isSuspect(name: string): boolean {
    return this.#targets.get(name)?.suspicion !== undefined;
  }

  /** The same object, as it is at any time. */
  get suspects(): ReadonlySet<string> {
    return this.#suspects;
  }

  /** Rises with each change of `suspects`: where half of a large cluster is cut off there are hundreds, too many to be compared at each message. */
  get suspectsVersion(): number {
    return this.#suspectsVersion;
  }

  /** Nobody where it is not suspected. */
  accusersOf(name: string): Iterable<string> {
    return this.#targets.get(name)?.suspicion?.accusers ?? [];
  }

  names(): string[] {
    return [...this.#targets.keys()];
  }

  /** The member is to be probed. A higher incarnation than before ends a suspicion. */
  watch(name: string, incarnation: number, actions: DetectorAction[]): void {
    const target = this.#targets.get(name);
    if (target === undefined) {
      this.#targets.set(name, { name, incarnation, silentSinceMs: -1, unheardSinceMs: -1, answeredMs: -1, helperCount: 0, nackCount: 0, suspicion: undefined, early: new Set(), earlySinceMs: 0 });
      // A newcomer's turn comes at a random place of the pass under way, so that not everyone probes it at once.
      this.#order.splice(this.#orderAt + Math.floor(this.#random.float() * (this.#order.length - this.#orderAt + 1)), 0, name);
      return;
    }
    if (incarnation <= target.incarnation) return;
    target.incarnation = incarnation;
    this.#clear(target, actions);
  }

  /** It left, is dead or forgotten: it is not probed any more. */
  unwatch(name: string): void {
    const target = this.#targets.get(name);
    if (target === undefined) return;
    this.#targets.delete(name);
    this.#open.delete(target);
    if (target.suspicion !== undefined) this.#noLongerSuspect(name);
  }

  /** Probes whose turn has come. The caller calls it once an interval, however slow this node is: contact needs it. */
  round(nowMs: number, actions: DetectorAction[]): void {
    if (this.isFullMesh) {
      for (const target of this.#targets.values()) this.#probe(target, nowMs, actions);
      return;
    }
    this.#probeSuspects(nowMs, actions);
    if (nowMs < this.#nextRoundMs) return;
    this.#nextRoundMs = nowMs + this.#settings.probeIntervalMs * this.#health; // with a score of 0 at the next call
    const target = this.#nextInOrder();
    if (target !== undefined && target.silentSinceMs < 0) this.#probe(target, nowMs, actions);
  }

  /** Somebody has not answered yet, is accused or suspected, or others wait for word of somebody: ticks are due every `tickMs`. */
  get isWaiting(): boolean {
    return this.#open.size > 0 || this.#helps.length > 0;
  }

  /** What has fallen due. `dueMs`: when this tick was to come. One that comes late restarts what was under way. */
  tick(nowMs: number, dueMs: number, actions: DetectorAction[]): void {
    const lateMs = this.#hasTicked ? nowMs - dueMs : 0;
    this.#hasTicked = true;
    if (lateMs > this.#settings.lagMaxMs) return this.#restart(nowMs);
    const { probeTimeoutMs, probeIntervalMs } = this.#settings;
    const factor = this.#health + 1;
    const areHeartbeatsDue = !this.isFullMesh && nowMs >= this.#nextHeartbeatsMs;
    if (areHeartbeatsDue) this.#nextHeartbeatsMs = nowMs + probeTimeoutMs;
    for (const target of this.#open) {
      if (target.silentSinceMs >= 0) {
        const silentMs = nowMs - target.silentSinceMs;
        if (silentMs >= probeIntervalMs * factor) this.#fail(target, nowMs, actions);
        else if (silentMs >= probeTimeoutMs * factor && target.helperCount === 0 && target.suspicion === undefined) this.#askHelpers(target, actions);
      }
      if (areHeartbeatsDue && this.#livedSince(target)) this.#clear(target, actions);
      else if (target.suspicion === undefined) {
        if (target.early.size > 0 && !this.#hasJustLived(target, nowMs)) this.#believe(target, nowMs, actions);
      } else if (nowMs >= target.suspicion.askAgainMs && nowMs - target.suspicion.startMs >= this.#timeoutMs(target.suspicion)) {
        const { startMs, isLeast } = target.suspicion;
        target.suspicion.askAgainMs = nowMs + probeIntervalMs;
        actions.push({ kind: "run-out", subject: target.name, incarnation: target.incarnation, silentSinceMs: isLeast ? startMs : startMs - probeIntervalMs });
      }
    }
    this.#expireHelps(nowMs, actions);
  }

  /** It answered a probe of this node. */
  onAnswer(name: string, nowMs: number, actions: DetectorAction[]): void {
    const target = this.#targets.get(name);
    if (target === undefined) return;
    target.answeredMs = nowMs;
    target.unheardSinceMs = -1;
    this.#clear(target, actions);
    // Once an interval at most: in a small cluster many answers come at once, and they say the same.
    if (this.#health > 0 && nowMs - this.#healthRisenMs >= this.#settings.probeIntervalMs) {
      this.#health--;
      this.#healthRisenMs = nowMs;
    }
    for (let i = this.#helps.length - 1; i >= 0; i--) {
      const help = this.#helps[i]!;
      if (help.subject !== name) continue;
      actions.push({ kind: "tell-answered", origin: help.origin, subject: name });
      this.#helps.splice(i, 1);
    }
  }

  /** A helper had an answer from it. */
  onAnsweredHelper(name: string, nowMs: number, actions: DetectorAction[]): void {
    const target = this.#targets.get(name);
    if (target === undefined) return;
    target.answeredMs = nowMs;
    this.#clear(target, actions);
  }

  /** A helper had no answer either; so the helper itself, and the way to it, are well. */
  onSilentHelper(name: string): void {
    const target = this.#targets.get(name);
    if (target !== undefined && target.nackCount < target.helperCount) target.nackCount++;
  }

  /** `origin` asks this node to probe `subject`. */
  onHelpAsked(origin: string, subject: string, nowMs: number, actions: DetectorAction[]): void {
    const target = this.#targets.get(subject);
    if (target === undefined || this.#helps.length >= HELPS_MAX) return;
    this.#helps.push({ origin, subject, untilMs: nowMs + this.#settings.probeTimeoutMs * 0.8 }); // its word must be back before the interval ends
    actions.push({ kind: "probe", member: subject });
  }

  /** Another member suspects it. */
  onAccusation(accuser: string, subject: string, incarnation: number, nowMs: number, actions: DetectorAction[]): void {
    const target = this.#targets.get(subject);
    if (target === undefined || incarnation < target.incarnation || accuser === subject) return;
    const accusers = target.suspicion?.accusers ?? target.early;
    if (accusers.has(accuser) || accusers.size > this.#confirmationsNeeded()) return;
    accusers.add(accuser);
    if (target.suspicion !== undefined) return void actions.push({ kind: "suspected", subject, isOwn: false });
    if (accusers.size === 1) target.earlySinceMs = nowMs;
    this.#open.add(target);
    if (!this.#hasJustLived(target, nowMs)) this.#believe(target, nowMs, actions);
  }

  /** There is a link to it again. What was sent without one went unanswered for that, and says nothing of the new link. */
  onLinkUp(name: string): void {
    const target = this.#targets.get(name);
    if (target !== undefined) target.unheardSinceMs = -1;
  }

  /** The last link to it was closed by the other side or broke: the member's process is likely to have ended. */
  onLinkLost(name: string, nowMs: number, actions: DetectorAction[]): void {
    const target = this.#targets.get(name);
    if (target === undefined) return;
    this.#suspect(target, true, nowMs, actions);
  }

  /** This node was accused of something: it may have been slow. */
  onRefuted(nowMs: number): void {
    this.#worsen(1, nowMs);
  }

  /** This node was held up: what seems unanswered may wait in its own queues. */
  #restart(nowMs: number): void {
    this.#worsen(1, nowMs);
    for (const target of this.#open) {
      this.#endRound(target);
      target.unheardSinceMs = -1;
      target.early.clear();
      if (target.suspicion !== undefined) target.suspicion.startMs = nowMs;
      else this.#open.delete(target);
    }
    this.#helps.length = 0;
  }

  #probe(target: Target, nowMs: number, actions: DetectorAction[]): void {
    if (target.silentSinceMs < 0) {
      target.silentSinceMs = nowMs;
      this.#open.add(target);
    }
    if (target.unheardSinceMs < 0) target.unheardSinceMs = nowMs;
    else if (nowMs - target.unheardSinceMs >= UNHEARD_MAX_MS) {
      actions.push({ kind: "unheard", member: target.name });
      target.unheardSinceMs = nowMs;
    }
    actions.push({ kind: "probe", member: target.name });
  }

  /**
   * An answer ends a suspicion. Its own accusations a node checks each time; those that it took over, so often that some members of all do: who lives is
   * not flooded, and who does not is accused by more.
   */
  #probeSuspects(nowMs: number, actions: DetectorAction[]): void {
    const part = this.#settings.fullMeshMax / this.#targets.size;
    let count = 0;
    for (const target of this.#open) {
      if (target.suspicion === undefined || (!target.suspicion.accusers.has(this.#self) && this.#random.float() >= part)) continue;
      this.#probe(target, nowMs, actions);
      if (++count >= this.#settings.fullMeshMax) return;
    }
  }

  #nextInOrder(): Target | undefined {
    for (let tries = 0; tries < 2; tries++) {
      while (this.#orderAt < this.#order.length) {
        const target = this.#targets.get(this.#order[this.#orderAt++]!);
        if (target !== undefined) return target;
      }
      this.#order = [...this.#targets.keys()];
      shuffle(this.#order, this.#random);
      this.#orderAt = 0;
    }
    return undefined;
  }

  #askHelpers(target: Target, actions: DetectorAction[]): void {
    const names = [...this.#targets.values()].filter((other) => other !== target && other.suspicion === undefined).map((other) => other.name);
    const count = Math.min(this.#settings.helperCount, names.length);
    for (let i = 0; i < count; i++) {
      const at = i + Math.floor(this.#random.float() * (names.length - i));
      [names[i], names[at]] = [names[at]!, names[i]!];
      actions.push({ kind: "ask-helper", helper: names[i]!, subject: target.name });
    }
    target.helperCount = Math.max(count, 0) || -1; // -1: there was nobody to ask
  }

  /** The interval is over. A helper that said nothing at all is evidence that this node hears badly. */
  #fail(target: Target, nowMs: number, actions: DetectorAction[]): void {
    if (target.suspicion === undefined) {
      const missing = target.helperCount > 0 ? target.helperCount - target.nackCount : 1;
      if (missing > 0) this.#worsen(missing, nowMs);
    }
    this.#endRound(target);
    this.#suspect(target, false, nowMs, actions);
    if (target.suspicion === undefined && target.early.size === 0) this.#open.delete(target);
  }

  #suspect(target: Target, isLeast: boolean, nowMs: number, actions: DetectorAction[]): void {
    const { suspicion } = target;
    if (suspicion !== undefined) {
      suspicion.isLeast ||= isLeast;
      if (suspicion.accusers.has(this.#self)) return;
      suspicion.accusers.add(this.#self);
    } else {
      if (!this.#maySuspect(nowMs)) return;
      this.#begin(target, { startMs: nowMs, isLeast, askAgainMs: 0, accusers: new Set([...target.early, this.#self]) });
    }
    actions.push({ kind: "suspected", subject: target.name, isOwn: true });
  }

  /** Others accuse it, and this node hears nothing of it either. */
  #believe(target: Target, nowMs: number, actions: DetectorAction[]): void {
    this.#begin(target, { startMs: nowMs, isLeast: false, askAgainMs: 0, accusers: new Set(target.early) });
    actions.push({ kind: "suspected", subject: target.name, isOwn: false });
  }

  #begin(target: Target, suspicion: Suspicion): void {
    target.suspicion = suspicion;
    target.early.clear();
    this.#open.add(target);
    this.#suspects.add(target.name);
    this.#suspectsVersion++;
  }

  #noLongerSuspect(name: string): void {
    this.#suspects.delete(name);
    this.#suspectsVersion++;
  }

  #hasJustLived({ name, answeredMs }: Target, nowMs: number): boolean {
    const { probeIntervalMs, heartbeatAgeMs } = this.#settings;
    if (answeredMs >= 0 && nowMs - answeredMs < probeIntervalMs) return true;
    return !this.isFullMesh && nowMs - this.#heardMs(name) < heartbeatAgeMs;
  }

  /** A heartbeat came that it sent after it was first accused. */
  #livedSince({ name, suspicion, early, earlySinceMs }: Target): boolean {
    const sinceMs = suspicion?.startMs ?? (early.size > 0 ? earlySinceMs : Infinity);
    return this.#heardMs(name) - this.#settings.heartbeatAgeMs > sinceMs;
  }

  #maySuspect(nowMs: number): boolean {
    this.#recentSuspicions = this.#recentSuspicions.filter((atMs) => nowMs - atMs < 60_000);
    if (this.#recentSuspicions.length >= SUSPICIONS_A_MINUTE + this.#targets.size / 10) return false;
    this.#recentSuspicions.push(nowMs);
    return true;
  }

  #clear(target: Target, actions: DetectorAction[]): void {
    this.#endRound(target);
    this.#open.delete(target);
    target.early.clear();
    if (target.suspicion === undefined) return;
    target.suspicion = undefined;
    this.#noLongerSuspect(target.name);
    actions.push({ kind: "cleared", subject: target.name });
  }

  #endRound(target: Target): void {
    target.silentSinceMs = -1;
    target.helperCount = 0;
    target.nackCount = 0;
  }

  /** How many accusers besides the first are there to be had: the accused and this node's own word do not count. */
  #confirmationsNeeded(): number {
    return Math.max(0, Math.min(this.#settings.confirmationCount, this.#targets.size - 1));
  }

  #timeoutMs({ isLeast, accusers }: Suspicion): number {
    const { suspicionMinMs, suspicionMaxFactor, aloneSuspicionMs } = this.#settings;
    const minMs = suspicionMinMs * Math.max(1, Math.log10(this.#targets.size + 1));
    if (isLeast) return minMs;
    const needed = this.#confirmationsNeeded();
    if (needed === 0) return aloneSuspicionMs;
    const maxMs = minMs * suspicionMaxFactor;
    return Math.max(minMs, maxMs - ((maxMs - minMs) * Math.log(accusers.size)) / Math.log(needed + 1));
  }

  #worsen(by: number, nowMs: number): void {
    this.#health = Math.min(this.#settings.healthMax, this.#health + by);
    this.#healthRisenMs = nowMs;
  }

  #expireHelps(nowMs: number, actions: DetectorAction[]): void {
    for (let i = this.#helps.length - 1; i >= 0; i--) {
      const help = this.#helps[i]!;
      if (help.untilMs > nowMs) continue;
      actions.push({ kind: "tell-silent", origin: help.origin, subject: help.subject });
      this.#helps.splice(i, 1);
    }
  }
}

function shuffle(names: string[], random: Random): void {
  for (let i = names.length - 1; i > 0; i--) {
    const at = Math.floor(random.float() * (i + 1));
    [names[i], names[at]] = [names[at]!, names[i]!];
  }
}
