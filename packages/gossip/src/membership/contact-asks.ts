/**
 * Probes out of turn. Where somebody else votes than before, this node may be out of contact until that one has answered a probe: a founder that gets its
 * first companion, or each of three where one came back with an empty disk and its lost store counts as well. So whoever is out of contact asks at once who
 * votes, who asks it, and again at the next tick where the answer was none yet (it is being written): each member `ASKS_MAX` times an interval, so that two
 * that hear nobody else do not ask each other without an end, and `ASKED_MAX` times all together.
 */
import { DETECTOR_SETTINGS } from "./detector.ts";

export interface ContactAsksModules {
  /** This node is full and not in contact. */
  readonly isOut: (nowMs: number) => boolean;
  readonly probe: (member: string, nowMs: number) => void;
}

/** Probes to one member out of turn, in one interval. */
const ASKS_MAX = 3;
/** The same to all members together: what a small cluster needs. In a large one, where all start at once, each would answer a thousand probes with as many of its own. */
const ASKED_MAX = ASKS_MAX * DETECTOR_SETTINGS.fullMeshMax;

export class ContactAsks {
  readonly #modules: ContactAsksModules;
  /** How often members were asked in this interval. */
  readonly #asks = new Map<string, number>();
  #askedCount = 0;
  /** Those that are asked again at the next tick. */
  readonly #again = new Set<string>();

  constructor(modules: ContactAsksModules) {
    this.#modules = modules;
  }

  /** Somebody is asked again at the next tick. */
  get isWaiting(): boolean {
    return this.#again.size > 0;
  }

  beginInterval(): void {
    this.#asks.clear();
    this.#askedCount = 0;
  }

  tick(nowMs: number): void {
    for (const member of this.#again) this.ask(member, nowMs);
    this.#again.clear();
  }

  ask(member: string, nowMs: number): void {
    const asks = this.#asks.get(member) ?? 0;
    if (asks >= ASKS_MAX || this.#askedCount >= ASKED_MAX || !this.#modules.isOut(nowMs)) return;
    this.#asks.set(member, asks + 1);
    this.#askedCount++;
    this.#modules.probe(member, nowMs);
  }

  /** Those that were asked in this interval are not: what is left of their `ASKS_MAX` is for when they ask or answer. `voters`: asked for only where it is out of contact. */
  askVoters(voters: () => Iterable<string>, nowMs: number): void {
    if (!this.#modules.isOut(nowMs)) return;
    for (const name of voters()) if (!this.#asks.has(name)) this.ask(name, nowMs);
  }

  /** The member answered, not for contact. */
  onNoContact(member: string): void {
    if (this.#asks.has(member)) this.#again.add(member);
  }
}
