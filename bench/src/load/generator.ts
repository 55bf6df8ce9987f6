/**
 * Generates the pushes of a workload. Push i is a variation of a real program's profile: each sample is kept with probability 0.7, and
 * all values are scaled by a factor of the push, exp(uniform(-0.7, 0.7)), and rounded to multiples (at least one) of the column's
 * greatest common divisor. Zeros stay zero.
 *
 *   pod = i mod pods    program = pod mod programs    service = (pod / programs) mod services
 *
 * A pod runs one program, and every service has pods of every program.
 *
 * Where the workload has `distinctCount`, i is the push's number modulo that.
 *
 * What must stay true: push i depends on the workload and on i alone, never on the pushes before it.
 */
import type { Workload } from "./options.ts";
import { RANGE_MS } from "./options.ts";
import type { Program } from "./program.ts";

interface PushPlan {
  /** The push that has this content first. */
  readonly index: number;
  readonly pod: number;
  readonly program: Program;
  readonly service: string;
  readonly timeNs: bigint;
}

/** The samples that a push keeps, and their values. The next `draw` overwrites it. */
export interface Draw {
  keptCount: number;
  /** Sample indexes of the program. */
  readonly kept: Uint32Array;
  /** keptCount * columns. */
  readonly values: Float64Array;
}

const KEEP_CHANCE = 0.7;
const SPREAD = 0.7;

export class PushGenerator {
  readonly workload: Workload;
  readonly programs: readonly Program[];
  readonly #draw: Draw;
  #scratch: Uint8Array;

  constructor(workload: Workload, programs: readonly Program[]) {
    this.workload = workload;
    this.programs = programs;
    this.#draw = { keptCount: 0, kept: new Uint32Array(Math.max(...programs.map(({ sampleCount }) => sampleCount))), values: new Float64Array(Math.max(...programs.map(({ values }) => values.length))) };
    // Encoding adds a tag, a length and at most ten bytes per value to a sample.
    this.#scratch = new Uint8Array(Math.max(...programs.map((program) => program.rest.length + 32 + program.fixed.reduce((sum, fixed) => sum + fixed.length + 16, 0) + program.values.length * 10)));
  }

  podName(pod: number): string {
    return `pod-${pod}`;
  }

  programOfPod(pod: number): Program {
    return this.programs[pod % this.programs.length]!;
  }

  serviceOfPod(pod: number): string {
    return `${this.workload.servicePrefix}-${Math.floor(pod / this.programs.length) % this.workload.serviceCount}`;
  }

  /** Contents that pushes repeat. */
  get distinctCount(): number {
    return this.workload.distinctCount ?? this.workload.pushCount;
  }

  plan(push: number): PushPlan {
    const { distinctCount } = this;
    const { podCount, endMs } = this.workload;
    const index = push % distinctCount;
    const pod = index % podCount;
    // Evenly over the range. No two pushes of one pod have the same nanosecond.
    const timeNs = BigInt(endMs - RANGE_MS) * 1_000_000n + (BigInt(RANGE_MS) * 1_000_000n * BigInt(index)) / BigInt(distinctCount) + BigInt(index % 1_000);
    return { index, pod, program: this.programOfPod(pod), service: this.serviceOfPod(pod), timeNs };
  }

  draw(plan: PushPlan): Draw {
    const { program, index } = plan;
    const next = chance(this.workload.seed, index);
    const factor = Math.exp((next() * 2 - 1) * SPREAD);
    const columnCount = program.divisors.length;
    const { kept, values } = this.#draw;
    let keptCount = 0;
    for (let sample = 0; sample < program.sampleCount; sample++) {
      if (next() >= KEEP_CHANCE) continue;
      for (let column = 0; column < columnCount; column++) {
        const value = program.values[sample * columnCount + column]!;
        const divisor = program.divisors[column]!;
        values[keptCount * columnCount + column] = value === 0 ? 0 : Math.max(1, Math.round((value * factor) / divisor)) * divisor;
      }
      kept[keptCount++] = sample;
    }
    this.#draw.keptCount = keptCount;
    return this.#draw;
  }

  /** Returns the uncompressed pprof of a push: a view that the next call overwrites. */
  encodePprof(plan: PushPlan): Uint8Array {
    const { program } = plan;
    const { keptCount, kept, values } = this.draw(plan);
    const columnCount = program.divisors.length;
    const out = this.#scratch;
    out.set(program.rest, 0);
    let at = program.rest.length;
    for (let i = 0; i < keptCount; i++) {
      const fixed = program.fixed[kept[i]!]!;
      let valueBytes = 0;
      for (let column = 0; column < columnCount; column++) valueBytes += varintSize(values[i * columnCount + column]!);
      out[at++] = 0x12; // Profile.sample
      at = writeVarint(out, at, fixed.length + 1 + varintSize(valueBytes) + valueBytes);
      out.set(fixed, at);
      at += fixed.length;
      out[at++] = 0x12; // Sample.value, packed
      at = writeVarint(out, at, valueBytes);
      for (let column = 0; column < columnCount; column++) at = writeVarint(out, at, values[i * columnCount + column]!);
    }
    out[at++] = 0x48; // Profile.time_nanos
    let time = plan.timeNs;
    while (time >= 0x80n) {
      out[at++] = Number(time & 0x7fn) | 0x80;
      time >>= 7n;
    }
    out[at++] = Number(time);
    return out.subarray(0, at);
  }

  /** Wraps a pprof, compressed or not, in a PushRequest with one series and one sample. The profile id, where there is one, is what it ends with. */
  encodeRequest(plan: PushPlan, rawProfile: Uint8Array, profileId?: string): Uint8Array {
    const labels = [
      ["__name__", plan.program.profileName],
      ["service_name", plan.service],
      ["pod", this.podName(plan.pod)],
      ["pyroscope_spy", SPY_NAME],
    ] as const;
    const pairs = labels.map(([name, value]) => field(1, Buffer.concat([field(1, Buffer.from(name)), field(2, Buffer.from(value))])));
    const id = profileId === undefined ? NOTHING : field(2, Buffer.from(profileId));
    return field(1, Buffer.concat([...pairs, field(2, Buffer.concat([field(1, rawProfile), id]))]));
  }
}

const NOTHING = new Uint8Array(0);

/**
 * The client's name is not Go's, so that neither Pyromesh nor Pyroscope repairs truncated Go stacktraces: the ledger knows only what was
 * pushed.
 */
const SPY_NAME = "nodespy";

/** Random numbers in [0, 1) for one push: mulberry32, seeded from the run's seed and the push's index. */
function chance(seed: number, index: number): () => number {
  let state = Math.imul(seed ^ (seed >>> 16), 0x45d9f3b) ^ Math.imul(index + 1, 0x9e3779b1);
  state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
  state = (state ^ (state >>> 13)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function field(number: number, content: Uint8Array): Uint8Array {
  const out = new Uint8Array(1 + varintSize(content.length) + content.length);
  out[0] = number * 8 + 2;
  out.set(content, writeVarint(out, 1, content.length));
  return out;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function writeVarint(out: Uint8Array, from: number, value: number): number {
  let at = from;
  let rest = value;
  while (rest >= 0x80) {
    out[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[at++] = rest;
  return at;
}
