/**
 * Three times the load that the cluster takes. The load is open (open-loop.ts). First the base: the highest rate at which nothing is refused and answers are quick
 * (base-rate.ts). Then FACTOR times the base, whatever is answered. What was acknowledged must be there once, and what was not must not be there twice.
 *
 * The generator runs on the same machine. How much of the processors it took, and how late it was, is part of the figures: where it is late, latencies that
 * clients see are its own, and those by the nodes' own clocks are below.
 */
import { HttpClient } from "../load/http-client.ts";
import { Ledger } from "../load/ledger.ts";
import { PeakMemory, readProcessCost } from "../load/process-cost.ts";
import { PushGenerator } from "../load/generator.ts";
import { makeBatch, PUSH_PATH } from "../load/push-run.ts";
import { verify } from "../load/verify.ts";
import { baseOf, searchBase } from "./base-rate.ts";
import type { Metrics } from "./metrics.ts";
import { bucketQuantile } from "./metrics.ts";
import type { Fates, OpenLoopFigures } from "./open-loop.ts";
import { openLoop, quantile } from "./open-loop.ts";
import type { ClusterShape } from "./served-cluster.ts";
import { ServedCluster, TurnClient } from "./served-cluster.ts";

export interface LoadFigures {
  readonly offeredPerSecond: number;
  readonly acceptedPerSecond: number;
  /** Answers by status; "none" without one. */
  readonly answers: ReadonlyMap<string, number>;
  /** From when a push was due. */
  readonly acceptedP50Ms: number;
  readonly acceptedP99Ms: number;
  /** By the nodes' own clocks: the upper bound of the histogram's bucket. */
  readonly servedP99Ms: number;
  readonly generatorLateP99Ms: number;
  /** Of all processors. */
  readonly generatorCpuShare: number;
}

export interface OverloadFigures {
  readonly base: LoadFigures;
  /** The lowest rate that was not taken. */
  readonly notTaken: LoadFigures;
  readonly overload: LoadFigures;
  /** Verdicts of death by any member during the overload. */
  readonly deaths: number;
  /** The highest of the sum over the nodes. */
  readonly residentMb: number;
  readonly mismatches: readonly string[];
}

const MB = 2 ** 20;
/** They compile the code of three nodes, and their rate is where the search begins. */
const WARMING_PUSH_COUNT = 2_000;
/** The search begins at this part of what is taken with `--in-flight` in flight. */
const FIRST_PART = 0.5;
const TRIAL_SECONDS = 8;
/** A rate is taken where 99 of 100 answers came within this time. */
const TAKEN_P99_MS = 500;
const FACTOR = 3;
/** An open load has many requests that wait. */
const SOCKET_COUNT_MAX = 1_024;

interface OverloadOptions {
  readonly generator: PushGenerator;
  readonly inFlightCount: number;
  readonly seconds: number;
  readonly progress: (line: string) => void;
}

export async function measureOverload(dir: string, shape: ClusterShape, options: OverloadOptions): Promise<OverloadFigures> {
  const cluster = await ServedCluster.start(dir, shape);
  try {
    return await new Overload(cluster, options).run();
  } finally {
    await cluster.stop();
  }
}

class Overload {
  readonly #cluster: ServedCluster;
  readonly #options: OverloadOptions;
  readonly #fates: Fates = { refused: [], unsure: [] };
  /** Pushes sent so far, each of them once. */
  #pushCount = 0;

  constructor(cluster: ServedCluster, options: OverloadOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  async run(): Promise<OverloadFigures> {
    const { progress, seconds } = this.#options;
    const trials = new Map<number, LoadFigures>();
    const found = await searchBase((await this.#warm()) * FIRST_PART, async (perSecond) => {
      const figures = await this.#load(perSecond, TRIAL_SECONDS);
      trials.set(perSecond, figures);
      const isTaken = figures.answers.size === 1 && figures.answers.has("200") && figures.acceptedP99Ms <= TAKEN_P99_MS;
      progress(`${perSecond.toFixed(0)}/s: ${isTaken ? "taken" : "not taken"}, p99 ${figures.acceptedP99Ms.toFixed(0)} ms`);
      return isTaken;
    });
    const base = baseOf(found);
    const notTaken = Math.min(...found.filter(({ isTaken }) => !isTaken).map(({ perSecond }) => perSecond));
    const before = await this.#cluster.metrics();
    const peak = new PeakMemory(this.#cluster.pids);
    const overload = await this.#load(base * FACTOR, seconds);
    peak.stop();
    const deaths = sumOf(await this.#cluster.metrics(), DEATHS) - sumOf(before, DEATHS);
    return { base: trials.get(base)!, notTaken: trials.get(notTaken)!, overload, deaths, residentMb: peak.residentBytes / MB, mismatches: await this.#mismatches() };
  }

  /** With `--in-flight` pushes in flight. Resolves with the rate of the second half. */
  async #warm(): Promise<number> {
    const { inFlightCount, progress } = this.#options;
    progress("warming up");
    const client = new TurnClient(this.#cluster.nodes, SOCKET_COUNT_MAX);
    const bodies = await this.#bodies(WARMING_PUSH_COUNT);
    let next = 0;
    let halfMs = 0;
    const worker = async (): Promise<void> => {
      while (next < bodies.length) {
        if (next === bodies.length / 2) halfMs = performance.now();
        const { status } = await client.post(PUSH_PATH, "application/proto", bodies[next++]!.bytes);
        if (status !== 200) throw new Error(`${inFlightCount} in flight are too many already: a push was answered ${status}`);
      }
    };
    await Promise.all(Array.from({ length: inFlightCount }, worker));
    client.close();
    return (bodies.length / 2 / (performance.now() - halfMs)) * 1000;
  }

  async #load(perSecond: number, seconds: number): Promise<LoadFigures> {
    this.#options.progress(`making the bodies of ${seconds} s at ${perSecond.toFixed(0)}/s`);
    const first = this.#pushCount;
    const bodies = await this.#bodies(Math.ceil(perSecond * seconds));
    const client = new TurnClient(this.#cluster.nodes, SOCKET_COUNT_MAX);
    this.#options.progress(`pushing ${perSecond.toFixed(0)}/s for ${seconds} s`);
    const before = await this.#cluster.metrics();
    const cpuBefore = cpuOf([process.pid]);
    const allBefore = cpuOf([process.pid, ...this.#cluster.pids]);
    const figures = await openLoop({ bodies, first, perSecond }, client, this.#fates);
    const ownCpu = cpuOf([process.pid]) - cpuBefore;
    const allCpu = cpuOf([process.pid, ...this.#cluster.pids]) - allBefore;
    const after = await this.#cluster.metrics();
    client.close();
    return loadFigures(figures, { perSecond, servedP99Ms: servedP99Ms(before, after), generatorCpuShare: ownCpu / allCpu });
  }

  /** The next so many of the workload. */
  async #bodies(count: number): ReturnType<typeof makeBatch> {
    const first = this.#pushCount;
    this.#pushCount += count;
    return makeBatch(this.#generator, first, Infinity);
  }

  /** Of as many pushes as were made so far. */
  get #generator(): PushGenerator {
    const { workload, programs } = this.#options.generator;
    return new PushGenerator({ ...workload, pushCount: this.#pushCount }, programs);
  }

  async #mismatches(): Promise<readonly string[]> {
    const { inFlightCount, progress } = this.#options;
    const generator = this.#generator;
    const client = new HttpClient({ url: this.#cluster.nodes[0]!.url, headers: {}, socketCountMax: inFlightCount });
    const { mismatches } = await verify({ workload: generator.workload, profileSeriesCount: 3 }, { ledger: Ledger.of(generator, this.#fates), client, progress });
    client.close();
    return mismatches;
  }
}

function loadFigures({ elapsedMs, answers, latenciesMs, latenessMs }: OpenLoopFigures, { perSecond, servedP99Ms: p99Ms, generatorCpuShare }: { readonly perSecond: number; readonly servedP99Ms: number; readonly generatorCpuShare: number }): LoadFigures {
  return {
    offeredPerSecond: perSecond,
    acceptedPerSecond: (latenciesMs.length / elapsedMs) * 1000,
    answers,
    acceptedP50Ms: quantile(latenciesMs, 0.5),
    acceptedP99Ms: quantile(latenciesMs, 0.99),
    servedP99Ms: p99Ms,
    generatorLateP99Ms: quantile(latenessMs, 0.99),
    generatorCpuShare,
  };
}

const DEATHS = { name: "pyromesh_membership_verdicts_total", labels: { verdict: "dead" } } as const;
const ACCEPTED = { route: PUSH_PATH, status_code: "200" } as const;

function sumOf(nodes: readonly Metrics[], { name, labels }: { readonly name: string; readonly labels: Readonly<Record<string, string>> }): number {
  return nodes.reduce((sum, metrics) => sum + metrics.sum(name, labels), 0);
}

function servedP99Ms(before: readonly Metrics[], after: readonly Metrics[]): number {
  return bucketQuantile(before, after, "pyromesh_request_duration_seconds", ACCEPTED, 0.99) * 1000;
}

function cpuOf(pids: readonly number[]): number {
  return readProcessCost(pids)?.cpuMs ?? NaN;
}
