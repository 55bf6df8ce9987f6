/**
 * Which faults a seed has, and when. Each seed draws a few kinds and how often each occurs, so that frequent kinds do not always hide rare ones
 * (swarm testing). Whether a fault of one call occurs is drawn where the call is made; faults of the whole node are drawn at the beginning, each
 * with its time and length.
 */
import { Chance } from "./chance.ts";
import type { Journal } from "./journal.ts";

/** Faults of one call: the greatest share of calls that have it. A seed draws its own share below it. */
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
  "bucket list page is empty": 0.4,
  "bucket list loses its place": 0.05,
  "worker is slow": 0.05,
  "worker dies": 0.0008,
  "worker is out of memory": 0.0006,
  "client goes away": 0.08,
} as const;

/** As `CALL_FAULTS`, of the network between members. */
const PEER_CALL_FAULTS = {
  "gossip is lost": 0.5,
  "gossip comes twice": 0.3,
  "peer frame is slow": 0.02,
} as const;

/** As `CALL_FAULTS`, of programs that are scraped. A seed has them only where its members scrape. */
const PROGRAM_CALL_FAULTS = {
  "program does not answer": 0.1,
  "program answers late": 0.2,
  "program answers an error": 0.15,
  "program's answer is cut short": 0.15,
} as const;

/** As `CALL_FAULTS`, of seeds that keep ad hoc profiles. */
const ADHOC_CALL_FAULTS = {
  "bucket delete fails": 0.3,
} as const;

/** Faults of the whole node, which last for a while or happen at one moment: how often a minute has them at most. */
const TIMED_FAULTS = {
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

/** As `TIMED_FAULTS`, of the members of a cluster and of the network between them. */
const CLUSTER_FAULTS = {
  "two members are cut apart": 3,
  "one way is cut": 2,
  "a member is cut off": 2,
  "links are reset": 4,
  "links are lost silently": 2,
  "links are slow": 2,
  "node is paused": 2,
  "machine is suspended": 1,
  "wall clock jumps": 2,
  "disk is replaced": 1,
  "all nodes are restarted": 1,
  "a node joins": 1,
  "members are upgraded": 1,
  "a member leaves": 1,
} as const;

/**
 * Of a cluster too: several faults in an order that chance alone seldom brings about, once a minute at most. The share of seeds that have each: some take half a
 * minute, so a history with many of them would have little else.
 */
const COMPOSED_FAULTS = {
  "a store is lost and the other copies do not answer": 0.3,
  "all others restart while a member is cut off": 0.3,
  "two members are cut apart, and then the third is silent": 0.1,
  "pushes come again while the bucket is slow": 0.1,
  "a loss is cleared, and then who flushed is silent": 0.1,
  "a node joins while a member is cut off": 0.1,
  "a member is slow while segments are flushed": 0.1,
  "a machine is replaced, and then another one is silent": 0.1,
  "a disk is replaced while its machine is cut off": 0.1,
  "a member is cut off, and then another one": 0.1,
  "a disk is put back, and then another copy is silent": 0.1,
  "a new segment vanishes, and those who read it start anew": 0.1,
  "a node starts again while its machine is cut off": 0.1,
  "a disk is lost while a sealed segment waits on it": 0.1,
} as const;

/** As `CLUSTER_FAULTS`, of programs and of the member that was the last to scrape one: it is silent for longer than a hold on a target lasts, so that another member takes over. */
const PROGRAM_FAULTS = {
  "a program starts anew": 3,
  "a member that scrapes is cut off": 1,
  "a member that scrapes is paused": 1,
  "the machine of a member that scrapes is suspended": 1,
} as const;

/** As `TIMED_FAULTS`, where ad hoc profiles are kept, which are deleted for their age. More than design 9 believes a clock to be wrong. */
const ADHOC_FAULTS = {
  "wall clock leaps": 2,
} as const;

export type CallFault = keyof typeof CALL_FAULTS | keyof typeof PEER_CALL_FAULTS | keyof typeof PROGRAM_CALL_FAULTS | keyof typeof ADHOC_CALL_FAULTS;
export type ComposedFault = keyof typeof COMPOSED_FAULTS;
export type ProgramFault = keyof typeof PROGRAM_FAULTS;
export type ClusterFault = keyof typeof CLUSTER_FAULTS | ProgramFault | ComposedFault;
export type TimedFault = keyof typeof TIMED_FAULTS | keyof typeof ADHOC_FAULTS | ClusterFault;
export type Fault = CallFault | TimedFault;

/** The share of seeds without any fault: what fails there needs none. */
const QUIET_SHARE = 0.03;
/** More, since some promises of a cluster hold only there: one copy in the bucket, no member taken for dead. */
const QUIET_CLUSTER_SHARE = 0.08;
/** The share of the other seeds that have a given kind. */
const KIND_SHARE = 0.3;

/** More: without it no clock is wrong that must not be believed. */
const ADHOC_KIND_SHARE = 0.6;

/** Faults that last up to 30 s instead of 10 s: the checks during them need longer (CALM_MS of check-others-go-on.ts), or members that take one for dead and flush what it took. */
const LONG: ReadonlySet<TimedFault> = new Set(["bucket forbids a tenant", "sealed folder takes no file", "a store is lost and the other copies do not answer", "all others restart while a member is cut off", "a node starts again while its machine is cut off", "a member that scrapes is cut off", "a member that scrapes is paused", "the machine of a member that scrapes is suspended", "wall clock leaps"]);

export interface ScheduledFault {
  readonly fault: TimedFault;
  readonly atMs: number;
  /** Ignored by faults that happen at one moment. */
  readonly lengthMs: number;
}

/** The faults of the whole node that a seed has, as its `Faults` draws them. */
export function scheduledOf(seed: number, drawn: Drawn): readonly TimedFault[] {
  const chance = new Chance(seed, "faults");
  return drawsQuiet(chance, drawn) ? [] : drawTimed(chance, drawn).map(({ fault }) => fault);
}

interface Drawn {
  readonly isCluster: boolean;
  /** The members scrape programs (programs.ts). */
  readonly isScraping: boolean;
  /** Ad hoc profiles are kept (adhoc-settings.ts). */
  readonly isAdHoc: boolean;
  readonly lengthMs: number;
}

function drawsQuiet(chance: Chance, { isCluster }: Drawn): boolean {
  return chance.isTrue(isCluster ? QUIET_CLUSTER_SHARE : QUIET_SHARE);
}

function drawTimed(chance: Chance, { isAdHoc, isCluster, isScraping, lengthMs }: Drawn): readonly ScheduledFault[] {
  const kinds: (readonly [fault: TimedFault, countMax: number, share: number])[] = [];
  for (const [fault, countMax] of Object.entries(isCluster ? { ...TIMED_FAULTS, ...CLUSTER_FAULTS } : TIMED_FAULTS) as [TimedFault, number][]) kinds.push([fault, countMax, KIND_SHARE]);
  if (isScraping) for (const [fault, countMax] of Object.entries(PROGRAM_FAULTS) as [ProgramFault, number][]) kinds.push([fault, countMax, KIND_SHARE]);
  if (isAdHoc) for (const [fault, countMax] of Object.entries(ADHOC_FAULTS) as [keyof typeof ADHOC_FAULTS, number][]) kinds.push([fault, countMax, ADHOC_KIND_SHARE]);
  if (isCluster) for (const [fault, share] of Object.entries(COMPOSED_FAULTS) as [ComposedFault, number][]) kinds.push([fault, 1, share]);
  const scheduled: ScheduledFault[] = [];
  for (const [fault, countMax, share] of kinds) {
    const own = chance.stream(fault);
    if (!own.isTrue(share)) continue;
    const count = own.int(1, Math.max(1, Math.round((countMax * lengthMs) / 60_000)));
    for (let i = 0; i < count; i++) scheduled.push({ fault, atMs: own.between(0, lengthMs), lengthMs: own.between(100, LONG.has(fault) ? 30_000 : 10_000) });
  }
  return scheduled.sort((a, b) => a.atMs - b.atMs);
}

export class Faults {
  readonly scheduled: readonly ScheduledFault[];
  /** How often each fault occurred. */
  readonly counts: Map<Fault, number> = new Map();
  readonly #nowMs: () => number;
  readonly #chance: Chance;
  readonly #journal: Journal;
  readonly #rates = new Map<CallFault, { readonly rate: number; readonly chance: Chance }>();
  #isOver = false;
  #lastMs = -Infinity;
  /** This seed has no fault at all. */
  readonly isQuiet: boolean;

  constructor(chance: Chance, drawn: Drawn, { journal, nowMs }: { readonly journal: Journal; readonly nowMs: () => number }) {
    this.#nowMs = nowMs;
    this.#chance = chance;
    this.#journal = journal;
    const { isAdHoc, isCluster, isScraping } = drawn;
    const isQuiet = (this.isQuiet = drawsQuiet(chance, drawn));
    for (const [fault, rateMax] of Object.entries({ ...CALL_FAULTS, ...(isCluster ? PEER_CALL_FAULTS : {}), ...(isScraping ? PROGRAM_CALL_FAULTS : {}), ...(isAdHoc ? ADHOC_CALL_FAULTS : {}) }) as [CallFault, number][]) {
      // Each kind draws from a stream of its own, even whether the seed has it: so a new kind does not change the others.
      const own = chance.stream(fault);
      if (own.isTrue(KIND_SHARE) && !isQuiet) this.#rates.set(fault, { rate: rateMax * own.float() ** 2, chance: own });
    }
    this.scheduled = isQuiet ? [] : drawTimed(chance, drawn);
  }

  /** Draws whether the fault occurs in this call, and counts it if so. */
  comes(fault: CallFault): boolean {
    const drawn = this.#rates.get(fault);
    if (drawn === undefined || this.#isOver || !drawn.chance.isTrue(drawn.rate)) return false;
    this.came(fault);
    return true;
  }

  /** Counts a fault that occurs. */
  came(fault: Fault): void {
    this.#lastMs = this.#nowMs();
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    this.#journal.note("fault", fault);
  }

  /** How long ago the last fault occurred. */
  get calmMs(): number {
    return this.#nowMs() - this.#lastMs;
  }

  get threadDeathCount(): number {
    return (this.counts.get("worker dies") ?? 0) + (this.counts.get("worker is out of memory") ?? 0);
  }

  /** How much longer a slow call takes. */
  slowMs(): number {
    return this.#chance.between(50, 4_000);
  }

  /** Ends the faults of calls: `comes` returns false from now on. */
  heal(): void {
    this.#isOver = true;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The seed's faults, for the report of a failure. */
  describe(): string {
    const calls = [...this.#rates].map(([fault, { rate }]) => `${fault} ${(rate * 100).toFixed(1)} %`);
    return [...calls, ...this.scheduled.map(({ fault, atMs, lengthMs }) => `${fault} at ${(atMs / 1000).toFixed(1)} s for ${(lengthMs / 1000).toFixed(1)} s`)].join(", ");
  }
}
