/**
 * Three times the load that the cluster takes. First as many pushes as it answers with four times `--in-flight` in flight, which is the rate at which nothing is
 * refused. Then pushes at three times that rate, whatever is answered. What was acknowledged must be there once, and what was not must not be there twice.
 */
import { HttpClient } from "../load/http-client.ts";
import { Ledger } from "../load/ledger.ts";
import { PeakMemory } from "../load/process-cost.ts";
import { PushGenerator } from "../load/generator.ts";
import { makeBatch, PUSH_PATH } from "../load/push-run.ts";
import type { ReadyBody } from "../load/push-run.ts";
import { verify } from "../load/verify.ts";
import { atRate } from "./kill.ts";
import type { ClusterShape } from "./served-cluster.ts";
import { ServedCluster, TurnClient } from "./served-cluster.ts";

export interface OverloadFigures {
  readonly sustainedPerSecond: number;
  readonly offeredPerSecond: number;
  readonly acceptedPerSecond: number;
  /** Answers by status; "none" without one. */
  readonly answers: ReadonlyMap<string, number>;
  readonly acceptedP50Ms: number;
  readonly acceptedP99Ms: number;
  /** Verdicts of death by any member during the run. */
  readonly deaths: number;
  /** The highest of the sum over the nodes. */
  readonly residentMb: number;
  readonly mismatches: readonly string[];
}

const MB = 2 ** 20;
/** The first half compiles the code of three nodes; the second half is measured. */
const SUSTAINED_PUSH_COUNT = 4_000;
/** Times as many in flight as of the other parts: the nodes are busy all the time. */
const SATURATION = 4;
const FACTOR = 3;
/** An open run has many requests that wait. */
const SOCKET_COUNT_MAX = 1_024;

export async function measureOverload(dir: string, shape: ClusterShape, { generator, inFlightCount, seconds, progress }: { readonly generator: PushGenerator; readonly inFlightCount: number; readonly seconds: number; readonly progress: (line: string) => void }): Promise<OverloadFigures> {
  const cluster = await ServedCluster.start(dir, shape);
  try {
    const { workload } = generator;
    const unsure: number[] = [];
    const refused: number[] = [];
    const answers = new Map<string, number>();
    let client = new TurnClient(cluster.nodes, SOCKET_COUNT_MAX);
    const send = async (bodies: readonly ReadyBody[], from: number, at: number, latenciesMs: number[]): Promise<void> => {
      const sentMs = performance.now();
      let answer = "none";
      try {
        const { status } = await client.post(PUSH_PATH, "application/proto", bodies[at]!.bytes);
        if (status === 200) latenciesMs.push(performance.now() - sentMs);
        else (status < 500 && status !== 408 ? refused : unsure).push(from + at);
        answer = String(status);
      } catch {
        unsure.push(from + at);
      }
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    };
    progress("pushing what is accepted");
    const first = await makeBatch(new PushGenerator({ ...workload, pushCount: SUSTAINED_PUSH_COUNT }, generator.programs), 0, Infinity);
    let next = 0;
    let halfMs = 0;
    const worker = async (): Promise<void> => {
      while (next < first.length) {
        if (next === first.length / 2) halfMs = performance.now();
        await send(first, 0, next++, []);
      }
    };
    await Promise.all(Array.from({ length: inFlightCount * SATURATION }, worker));
    const sustainedPerSecond = (first.length / 2 / (performance.now() - halfMs)) * 1000;
    client.close();
    if (refused.length + unsure.length > 0) throw new Error(`${inFlightCount * SATURATION} in flight are too many already: ${[...answers].join(" ")}`);
    answers.clear();

    const offeredPerSecond = sustainedPerSecond * FACTOR;
    const pushCount = first.length + Math.ceil(offeredPerSecond * seconds);
    const whole = new PushGenerator({ ...workload, pushCount }, generator.programs);
    progress(`making ${pushCount - first.length} bodies`);
    const bodies = await makeBatch(whole, first.length, Infinity);
    client = new TurnClient(cluster.nodes, SOCKET_COUNT_MAX);
    const before = await cluster.metrics();
    const peak = new PeakMemory(cluster.pids);
    const latenciesMs: number[] = [];
    const startMs = performance.now();
    progress(`pushing ${offeredPerSecond.toFixed(0)}/s`);
    await atRate(offeredPerSecond, seconds * 1000 - 1, (index) => send(bodies, first.length, Math.min(index, bodies.length - 1), latenciesMs));
    const elapsedS = (performance.now() - startMs) / 1000;
    peak.stop();
    client.close();
    const after = await cluster.metrics();
    const deaths = after.reduce((sum, metrics, node) => sum + metrics.sum("pyromesh_membership_verdicts_total", { verdict: "dead" }) - before[node]!.sum("pyromesh_membership_verdicts_total", { verdict: "dead" }), 0);
    const checker = new HttpClient({ url: cluster.nodes[0]!.url, headers: {}, socketCountMax: inFlightCount });
    const { mismatches } = await verify({ workload: whole.workload, profileSeriesCount: 3 }, { ledger: Ledger.of(whole, { refused, unsure }), client: checker, progress });
    checker.close();
    const sorted = latenciesMs.toSorted((a, b) => a - b);
    return {
      sustainedPerSecond,
      offeredPerSecond,
      acceptedPerSecond: latenciesMs.length / elapsedS,
      answers,
      acceptedP50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? NaN,
      acceptedP99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? NaN,
      deaths,
      residentMb: peak.residentBytes / MB,
      mismatches,
    };
  } finally {
    await cluster.stop();
  }
}
