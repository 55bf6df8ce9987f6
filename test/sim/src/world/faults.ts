/**
 * Which faults a seed has, and when. Each seed draws a few kinds and how often each comes, so that rare ones are not always hidden behind
 * frequent ones (swarm testing). Faults of one call are drawn where the call is made; faults that last are drawn ahead, as windows.
 */
import type { Chance } from "./chance.ts";
import type { Journal } from "./journal.ts";

/** Of one call: how often, at most. */
const CALL_FAULTS = {
  "store refuses a write": 0.06,
  "store refuses a write and keeps it": 0.08,
  "store syncs slowly": 0.1,
  "sealed file is not written": 0.1,
  "sealed file is not read": 0.05,
  "bucket put fails": 0.2,
  "bucket put is kept and fails": 0.25,
  "bucket put is slow": 0.2,
  "bucket get fails": 0.06,
  "bucket get is slow": 0.1,
  "bucket list fails": 0.1,
  "bucket list is slow": 0.3,
  "bucket list is stale": 0.3,
  "worker is slow": 0.05,
  "worker dies": 0.0008,
  "worker is out of memory": 0.0006,
  "client goes away": 0.08,
} as const;

/** Of the whole node, for a while or at once: how often in a minute, at most. */
const SPELL_FAULTS = {
  "disk is full": 2,
  "sealed folder takes no file": 1,
  "bucket is away": 2,
  "bucket answers 503": 3,
  "bucket hides an object": 1,
  "bucket mixes up two objects": 1,
  "bucket forbids a tenant": 1,
  "node is killed": 3,
  "power fails": 3,
  "node is restarted": 2,
} as const;

export type CallFault = keyof typeof CALL_FAULTS;
export type SpellFault = keyof typeof SPELL_FAULTS;
export type Fault = CallFault | SpellFault;

/** Of a hundred seeds so many have none at all: what breaks there breaks without faults. */
const QUIET_SHARE = 0.03;
const KIND_SHARE = 0.4;

/** What they find takes its time. */
const LONG: ReadonlySet<SpellFault> = new Set(["bucket forbids a tenant", "sealed folder takes no file"]);

export interface Spell {
  readonly fault: SpellFault;
  readonly atMs: number;
  readonly lengthMs: number;
}

export class Faults {
  readonly spells: readonly Spell[];
  /** How often each came. */
  readonly counts: Map<Fault, number> = new Map();
  readonly #nowMs: () => number;
  readonly #chance: Chance;
  readonly #journal: Journal;
  readonly #rates = new Map<CallFault, { readonly rate: number; readonly chance: Chance }>();
  #isOver = false;
  #lastMs = -Infinity;

  constructor(chance: Chance, { lengthMs }: { readonly lengthMs: number }, { journal, nowMs }: { readonly journal: Journal; readonly nowMs: () => number }) {
    this.#nowMs = nowMs;
    this.#chance = chance;
    this.#journal = journal;
    const isQuiet = chance.isTrue(QUIET_SHARE);
    for (const [fault, rateMax] of Object.entries(CALL_FAULTS) as [CallFault, number][]) {
      // Each kind draws from its own stream, also whether it is there: a new kind changes no other.
      const own = chance.stream(fault);
      if (own.isTrue(KIND_SHARE) && !isQuiet) this.#rates.set(fault, { rate: rateMax * own.float() ** 2, chance: own });
    }
    const spells: Spell[] = [];
    for (const [fault, countMax] of Object.entries(SPELL_FAULTS) as [SpellFault, number][]) {
      const own = chance.stream(fault);
      if (!own.isTrue(KIND_SHARE) || isQuiet) continue;
      const count = own.int(1, Math.max(1, Math.round((countMax * lengthMs) / 60_000)));
      for (let i = 0; i < count; i++) spells.push({ fault, atMs: own.between(0, lengthMs), lengthMs: own.between(100, LONG.has(fault) ? 30_000 : 10_000) });
    }
    this.spells = spells.sort((a, b) => a.atMs - b.atMs);
  }

  /** Whether it comes now. */
  comes(fault: CallFault): boolean {
    const drawn = this.#rates.get(fault);
    if (drawn === undefined || this.#isOver || !drawn.chance.isTrue(drawn.rate)) return false;
    this.came(fault);
    return true;
  }

  came(fault: Fault): void {
    this.#lastMs = this.#nowMs();
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    this.#journal.note("fault", fault);
  }

  /** Since the last one came. */
  get calmMs(): number {
    return this.#nowMs() - this.#lastMs;
  }

  get threadDeathCount(): number {
    return (this.counts.get("worker dies") ?? 0) + (this.counts.get("worker is out of memory") ?? 0);
  }

  /** How long a slow call takes. */
  slowMs(): number {
    return this.#chance.between(50, 4_000);
  }

  /** None comes any more. */
  heal(): void {
    this.#isOver = true;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Of this seed, for whoever reads a failure. */
  describe(): string {
    const calls = [...this.#rates].map(([fault, { rate }]) => `${fault} ${(rate * 100).toFixed(1)} %`);
    return [...calls, ...this.spells.map(({ fault, atMs, lengthMs }) => `${fault} at ${(atMs / 1000).toFixed(1)} s for ${(lengthMs / 1000).toFixed(1)} s`)].join(", ");
  }
}
