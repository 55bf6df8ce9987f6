/**
 * What the server should hold: for each pod, sample and column the sum of all acknowledged pushes, and separately the sum of those whose
 * fate is unknown (pushes without an answer). A correct answer is between the first sum and both together.
 *
 * The sums are computed from the workload, never from what the server or our own decoder returned.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { PushGenerator } from "./generator.ts";
import type { Workload } from "./options.ts";
import type { Program } from "./program.ts";

/** What `--ledger` stores between pushing and verifying. */
export interface LedgerFile {
  readonly version: 1;
  readonly workload: Workload;
  /** Answered with a 4xx status: not stored. */
  readonly refused: readonly number[];
  /** Without an answer, or answered with a 5xx status: perhaps stored. */
  readonly unsure: readonly number[];
}

export function writeLedgerFile(file: string, ledger: LedgerFile): void {
  writeFileSync(file, `${JSON.stringify(ledger)}\n`);
}

export function readLedgerFile(file: string): LedgerFile {
  const ledger = JSON.parse(readFileSync(file, "utf8")) as LedgerFile;
  if (ledger.version !== 1) throw new Error(`${file} is not a ledger of this version: push again`);
  return ledger;
}

/** Expected sums by key: at least `least`, at most `most`. */
export type Expected = Map<string, { least: number; most: number }>;

interface PodSums {
  readonly program: Program;
  readonly service: string;
  readonly least: Float64Array;
  /** Set only where the fate of a push is unknown. */
  unsure: Float64Array | undefined;
}

export class Ledger {
  readonly #pods: PodSums[];
  readonly #podName: (pod: number) => string;

  private constructor(pods: PodSums[], podName: (pod: number) => string) {
    this.#pods = pods;
    this.#podName = podName;
  }

  /** Draws every push again; 20,000 take about two seconds. */
  static of(generator: PushGenerator, outcome: { readonly refused: readonly number[]; readonly unsure: readonly number[] }): Ledger {
    const refused = new Set(outcome.refused);
    const unsure = new Set(outcome.unsure);
    const { podCount, pushCount } = generator.workload;
    const pods = Array.from({ length: podCount }, (_, pod): PodSums => {
      const program = generator.programOfPod(pod);
      return { program, service: generator.serviceOfPod(pod), least: new Float64Array(program.values.length), unsure: undefined };
    });
    // By content, so that each is drawn once however many pushes repeat it.
    const storedCounts = new Float64Array(generator.distinctCount);
    const unsureCounts = new Float64Array(generator.distinctCount);
    for (let push = 0; push < pushCount; push++) {
      if (!refused.has(push)) (unsure.has(push) ? unsureCounts : storedCounts)[push % generator.distinctCount]!++;
    }
    for (let index = 0; index < generator.distinctCount; index++) {
      const [storedCount, unsureCount] = [storedCounts[index]!, unsureCounts[index]!];
      if (storedCount + unsureCount === 0) continue;
      const plan = generator.plan(index);
      const pod = pods[plan.pod]!;
      const columnCount = pod.program.divisors.length;
      const { keptCount, kept, values } = generator.draw(plan);
      for (const [sums, count] of [[pod.least, storedCount], [unsureCount > 0 ? (pod.unsure ??= new Float64Array(pod.least.length)) : undefined, unsureCount]] as const) {
        if (sums === undefined || count === 0) continue;
        for (let i = 0; i < keptCount; i++) {
          const at = kept[i]! * columnCount;
          for (let column = 0; column < columnCount; column++) sums[at + column]! += count * values[i * columnCount + column]!;
        }
      }
    }
    return new Ledger(pods, (pod) => generator.podName(pod));
  }

  services(): string[] {
    return [...new Set(this.#pods.map(({ service }) => service))];
  }

  typesOf(service: string): string[] {
    return [...new Set(this.#pods.filter((pod) => pod.service === service).flatMap(({ program }) => program.profileTypes))].sort();
  }

  podNames(): string[] {
    return this.#pods.map((_, pod) => this.#podName(pod));
  }

  typesOfPod(pod: number): readonly string[] {
    return this.#pods[pod]!.program.profileTypes;
  }

  serviceOfPod(pod: number): string {
    return this.#pods[pod]!.service;
  }

  /** By stack of function names, over the pods of a service. */
  byNames(service: string, profileType: string): Expected {
    return this.#collect(profileType, (pod) => (pod.service === service ? pod.program.nameStacks : undefined));
  }

  /** By full stack of one pod. */
  byFullStack(pod: number, profileType: string): Expected {
    const wanted = this.#pods[pod];
    return this.#collect(profileType, (found) => (found === wanted ? found.program.fullStacks : undefined));
  }

  /** Totals by pod name, over the pods of a service. */
  totals(service: string, profileType: string): Expected {
    return this.#collect(profileType, (pod, index) => (pod.service === service ? this.#podName(index) : undefined));
  }

  #collect(profileType: string, keysOf: (pod: PodSums, index: number) => readonly string[] | string | undefined): Expected {
    const expected: Expected = new Map();
    this.#pods.forEach((pod, index) => {
      const column = pod.program.profileTypes.indexOf(profileType);
      const keys = column < 0 ? undefined : keysOf(pod, index);
      if (keys === undefined) return;
      const columnCount = pod.program.divisors.length;
      for (let sample = 0; sample < pod.program.sampleCount; sample++) {
        const at = sample * columnCount + column;
        const least = pod.least[at]!;
        const most = least + (pod.unsure?.[at] ?? 0);
        if (most === 0) continue;
        const key = typeof keys === "string" ? keys : keys[sample]!;
        const sum = expected.get(key);
        if (sum === undefined) expected.set(key, { least, most });
        else {
          sum.least += least;
          sum.most += most;
          if (!Number.isSafeInteger(sum.most)) throw new Error("a sum of the ledger is beyond 2^53: use fewer pushes");
        }
      }
    });
    return expected;
  }
}
