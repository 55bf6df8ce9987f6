/**
 * Three times the load that the cluster takes. The load is open (open-loop.ts). First the base: the highest rate at which nothing is refused and answers are quick
 * (base-rate.ts). Then FACTOR times the base, whatever is answered, with queries beside it where they are asked for. What was acknowledged must be there once, and what
 * was not must not be there twice.
 *
 * The generator runs on the same machine. How much of the processors it took, and how late it was, is part of the figures.
 */
import type { Buffer } from "node:buffer";
import { setTimeout as sleep } from "node:timers/promises";
import { HttpClient } from "../load/http-client.ts";
import { Ledger } from "../load/ledger.ts";
import { PeakMemory, readProcessCost } from "../load/process-cost.ts";
import { PushGenerator } from "../load/generator.ts";
import { verify } from "../load/verify.ts";
import { searchBase } from "./base-rate.ts";
import type { StepLength } from "./base-rate.ts";
import type { Metrics } from "./metrics.ts";
import type { Fates, OpenLoadOutcome, Sent } from "./open-loop.ts";
import { openLoad, quantile } from "./open-loop.ts";
import { PushSockets } from "./push-sockets.ts";
import type { PushAnswer } from "./push-sockets.ts";
import type { QueryFigures } from "./query-load.ts";
import { QueryLoad } from "./query-load.ts";
import { RepeatedPushes } from "./repeated-pushes.ts";
import type { ClusterShape } from "./served-cluster.ts";
import { ServedCluster } from "./served-cluster.ts";

export interface LoadFigures {
  readonly offeredPerSecond: number;
  readonly acceptedPerSecond: number;
  /** Answers by status; 0 without one. */
  readonly answers: ReadonlyMap<number, number>;
  readonly refusals: ReadonlyMap<string, number>;
  readonly untimedCount: number;
  /** From when a push was sent. */
  readonly accepted: Latencies;
  readonly refused: Latencies;
  /** From when it was due: the generator's lateness counts. */
  readonly acceptedSinceDueP99Ms: number;
  readonly generatorLate: Latencies;
  /** Processors that the generator had, of those that all had. */
  readonly generatorCores: number;
  readonly allCores: number;
}

export interface Latencies {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** One step of the search for the base. */
export interface Trial {
  readonly figures: LoadFigures;
  readonly isTaken: boolean;
}

export interface OverloadFigures {
  readonly basePerSecond: number;
  readonly overload: LoadFigures;
  /** Of the time while a node was stopped: pushes to the others. */
  readonly paused: LoadFigures | undefined;
  readonly queries: QueryFigures;
  /** Verdicts of death by any member during the overload. */
  readonly deaths: number;
  /** The highest of each node. */
  readonly residentMb: readonly number[];
  readonly unsureCount: number;
  readonly sumCount: number;
  readonly mismatches: readonly string[];
}

export interface OverloadOptions {
  /** Of as many pushes as there are contents. */
  readonly generator: PushGenerator;
  readonly inFlightCount: number;
  readonly seconds: number;
  readonly queriesPerSecond: number;
  /** The last node is stopped (SIGSTOP) during the middle third of the overload. */
  readonly isOnePaused: boolean;
  /** Not searched for. */
  readonly basePerSecond: number | undefined;
  readonly progress: (line: string) => void;
  /** Told as they are made: where no rate holds, they say why. */
  readonly onTrial: (trial: Trial) => void;
}

const MB = 2 ** 20;
/** They compile the code of three nodes. The rate that is taken with `--in-flight` to each node is where the search begins. */
const WARMING_PUSH_COUNT = 3_000;
/** A long step is longer than the time between two flushes at the rates that are tried here. The search takes some 50 s, and 105 s at most (base-rate.ts). */
const STEP_SECONDS = { short: 3, long: 12 } as const;
/** After a rate that was too high, the nodes go back to taking everything within this time. */
const PAUSE_MS = 1_500;
/** A rate is taken where nothing was refused and 99 of 100 answers came within this time, as those to an overload must. */
const TAKEN_P99_MS = 1_000;
const FACTOR = 3;

export async function measureOverload(dir: string, shape: ClusterShape, options: OverloadOptions): Promise<OverloadFigures> {
  const pushes = await RepeatedPushes.make(options.generator);
  const cluster = await ServedCluster.start(dir, shape);
  const sockets = cluster.nodes.map(({ url }) => new PushSockets(url));
  try {
    return await new Overload(cluster, pushes, sockets, options).run();
  } finally {
    for (const each of sockets) each.close();
    await cluster.stop();
  }
}

class Overload {
  readonly #cluster: ServedCluster;
  readonly #pushes: RepeatedPushes;
  readonly #sockets: readonly PushSockets[];
  readonly #options: OverloadOptions;
  readonly #fates: Fates = { refused: [], unsure: [] };
  /** Pushes sent so far, each of them once. */
  #pushCount = 0;

  constructor(cluster: ServedCluster, pushes: RepeatedPushes, sockets: readonly PushSockets[], options: OverloadOptions) {
    this.#cluster = cluster;
    this.#pushes = pushes;
    this.#sockets = sockets;
    this.#options = options;
  }

  async run(): Promise<OverloadFigures> {
    const { basePerSecond, generator, isOnePaused, onTrial, progress, queriesPerSecond, seconds } = this.#options;
    const closedPerSecond = await this.#warm();
    progress(`${closedPerSecond.toFixed(0)}/s with ${this.#options.inFlightCount} in flight to each node`);
    const tryRate = async (perSecond: number, length: StepLength): Promise<boolean> => {
      const figures = (await this.#load(perSecond, STEP_SECONDS[length])).all;
      const isTaken = figures.answers.size === 1 && figures.answers.has(200) && figures.accepted.p99Ms <= TAKEN_P99_MS;
      onTrial({ figures, isTaken });
      if (!isTaken) await sleep(PAUSE_MS);
      return isTaken;
    };
    const base = basePerSecond ?? (await searchBase(closedPerSecond, tryRate));
    const before = await this.#cluster.metrics();
    const peaks = this.#cluster.pids.map((pid) => new PeakMemory([pid]));
    const queries = new QueryLoad({ perSecond: queriesPerSecond, workload: generator.workload }, { urls: this.#cluster.nodes.map(({ url }) => url) });
    progress(`${(base * FACTOR).toFixed(0)}/s for ${seconds} s`);
    const pausing = isOnePaused ? this.#pauseLast((seconds * 1000) / 3) : undefined;
    const { all, paused } = await this.#load(base * FACTOR, seconds, isOnePaused);
    await pausing;
    const queryFigures = await queries.end();
    for (const peak of peaks) peak.stop();
    const deaths = sumOf(await this.#cluster.metrics(), DEATHS) - sumOf(before, DEATHS);
    const { mismatches, sumCount } = await this.#verify();
    return {
      basePerSecond: base,
      overload: all,
      paused,
      queries: queryFigures,
      deaths,
      residentMb: peaks.map(({ residentBytes }) => residentBytes / MB),
      unsureCount: this.#fates.unsure.length,
      sumCount,
      mismatches,
    };
  }

  /** With so many pushes in flight to each node. Resolves with the rate of the second half. */
  async #warm(): Promise<number> {
    const { inFlightCount, progress } = this.#options;
    progress("warming up");
    const first = this.#pushCount;
    this.#pushCount += WARMING_PUSH_COUNT;
    let next = 0;
    let halfMs = 0;
    const worker = async (): Promise<void> => {
      while (next < WARMING_PUSH_COUNT) {
        if (next === WARMING_PUSH_COUNT / 2) halfMs = performance.now();
        const push = first + next++;
        const { status, text } = await this.#post(push % this.#sockets.length, this.#pushes.body(push));
        if (status !== 200) throw new Error(`${inFlightCount} in flight are too many already: a push was answered ${status} ${text}`);
      }
    };
    await Promise.all(Array.from({ length: inFlightCount * this.#sockets.length }, worker));
    return (WARMING_PUSH_COUNT / 2 / (performance.now() - halfMs)) * 1000;
  }

  async #load(perSecond: number, seconds: number, isOnePaused = false): Promise<{ readonly all: LoadFigures; readonly paused: LoadFigures | undefined }> {
    const load = { first: this.#pushCount, perSecond, seconds, nodeCount: this.#sockets.length };
    this.#pushCount += Math.ceil(perSecond * seconds);
    const pids = [process.pid, ...this.#cluster.pids];
    const ownBefore = cpuOf([process.pid]);
    const allBefore = cpuOf(pids);
    const outcome = await openLoad(load, { body: (push) => this.#pushes.body(push), post: (node, body) => this.#post(node, body), fates: this.#fates });
    const cpu = { own: cpuOf([process.pid]) - ownBefore, all: cpuOf(pids) - allBefore };
    const all = loadFigures(outcome, perSecond, cpu);
    if (!isOnePaused) return { all, paused: undefined };
    const [fromMs, toMs] = [(seconds * 1000) / 3, (seconds * 2000) / 3];
    const last = load.nodeCount - 1;
    const sent = outcome.sent.filter(({ node, dueMs }) => node !== last && dueMs >= fromMs && dueMs < toMs);
    return { all, paused: loadFigures({ ...outcome, sent, elapsedMs: toMs - fromMs }, (perSecond * last) / load.nodeCount, { own: NaN, all: NaN }) };
  }

  async #pauseLast(thirdMs: number): Promise<void> {
    const { pid } = this.#cluster.nodes.at(-1)!;
    await sleep(thirdMs);
    process.kill(pid, "SIGSTOP");
    await sleep(thirdMs);
    process.kill(pid, "SIGCONT");
  }

  #post(node: number, body: Buffer): Promise<PushAnswer> {
    return this.#sockets[node]!.post(body);
  }

  async #verify(): Promise<{ readonly mismatches: readonly string[]; readonly sumCount: number }> {
    const { generator, inFlightCount, progress } = this.#options;
    const whole = new PushGenerator({ ...generator.workload, pushCount: this.#pushCount, distinctCount: generator.distinctCount }, generator.programs);
    const client = new HttpClient({ url: this.#cluster.nodes[0]!.url, headers: {}, socketCountMax: inFlightCount });
    const { mismatches, sumCount } = await verify({ workload: whole.workload, profileSeriesCount: 3 }, { ledger: Ledger.of(whole, this.#fates), client, progress });
    client.close();
    return { mismatches, sumCount };
  }
}

function loadFigures({ sent, elapsedMs, refusals }: OpenLoadOutcome, perSecond: number, cpu: { readonly own: number; readonly all: number }): LoadFigures {
  const accepted = sent.filter(({ status }) => status === 200);
  const answers = new Map<number, number>();
  for (const { status } of sent) answers.set(status, (answers.get(status) ?? 0) + 1);
  return {
    offeredPerSecond: perSecond,
    acceptedPerSecond: (accepted.length / elapsedMs) * 1000,
    answers,
    refusals,
    untimedCount: sent.filter(({ isUntimed }) => isUntimed).length,
    accepted: latenciesOf(accepted, ({ tookMs }) => tookMs),
    refused: latenciesOf(
      sent.filter(({ status }) => status === 503),
      ({ tookMs }) => tookMs,
    ),
    acceptedSinceDueP99Ms: latenciesOf(accepted, ({ lateMs, tookMs }) => lateMs + tookMs).p99Ms,
    generatorLate: latenciesOf(sent, ({ lateMs }) => lateMs),
    generatorCores: cpu.own / elapsedMs,
    allCores: cpu.all / elapsedMs,
  };
}

function latenciesOf(sent: readonly Sent[], of: (each: Sent) => number): Latencies {
  const values = sent.map(of);
  return { p50Ms: quantile(values, 0.5), p99Ms: quantile(values, 0.99), maxMs: quantile(values, 1) };
}

const DEATHS = { name: "pyromesh_membership_verdicts_total", labels: { verdict: "declared-dead" } } as const;

function sumOf(nodes: readonly Metrics[], { name, labels }: { readonly name: string; readonly labels: Readonly<Record<string, string>> }): number {
  return nodes.reduce((sum, metrics) => sum + metrics.sum(name, labels), 0);
}

function cpuOf(pids: readonly number[]): number {
  return readProcessCost(pids)?.cpuMs ?? NaN;
}
