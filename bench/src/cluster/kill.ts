/** `kill -9` of one node of three while pushes and queries go to the other two at a steady rate, none of them sent twice. */
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { HttpClient } from "../load/http-client.ts";
import { makeBatch, PUSH_PATH } from "../load/push-run.ts";
import type { PushGenerator } from "../load/generator.ts";
import type { ServedBuild } from "../served-build.ts";
import type { ClusterShape } from "./served-cluster.ts";
import { nameOf, ServedCluster } from "./served-cluster.ts";

export interface KillFigures {
  readonly pushCount: number;
  readonly pushFailures: readonly string[];
  readonly queryCount: number;
  /** Failed queries by the second after the kill in which they were sent; -1: before it. */
  readonly queryFailures: ReadonlyMap<number, number>;
  readonly queryFailureTexts: readonly string[];
  /** Until both others say that it is no longer active. */
  readonly detectedMs: number;
  readonly pushP99Ms: number;
}

const SECONDS_BEFORE = 5;
const SECONDS_AFTER = 25;
const POLL_MS = 100;
const TEXTS_MAX = 5;

export async function measureKill(dir: string, shape: ClusterShape, { generator, pushesPerSecond, queriesPerSecond }: { readonly generator: PushGenerator; readonly pushesPerSecond: number; readonly queriesPerSecond: number }): Promise<KillFigures> {
  const bodies = await makeBatch(generator, 0, 2 ** 30);
  const cluster = await ServedCluster.start(dir, shape);
  try {
    const killed = shape.nodeCount - 1;
    const live = cluster.nodes.slice(0, killed);
    const clients = live.map(({ url }) => new HttpClient({ url, headers: {}, socketCountMax: 64 }));
    const pushFailures: string[] = [];
    const queryFailures = new Map<number, number>();
    const queryFailureTexts: string[] = [];
    const latenciesMs: number[] = [];
    const startMs = performance.now();
    let killedMs = Infinity;
    const push = async (index: number): Promise<void> => {
      const sentMs = performance.now();
      const failure = await failureOf(clients[index % clients.length]!.post(PUSH_PATH, "application/proto", bodies[index % bodies.length]!.bytes));
      latenciesMs.push(performance.now() - sentMs);
      if (failure !== undefined) pushFailures.push(`${((sentMs - killedMs) / 1000).toFixed(1)} s: ${failure}`);
    };
    const query = async (index: number): Promise<void> => {
      const sentMs = performance.now();
      const { endMs, servicePrefix, serviceCount } = generator.workload;
      const message = { profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: `{service_name="${servicePrefix}-${index % serviceCount}"}`, start: endMs - 3_600_000, end: endMs + 60_000 };
      const failure = await failureOf(clients[index % clients.length]!.post("/querier.v1.QuerierService/SelectMergeStacktraces", "application/json", Buffer.from(JSON.stringify(message))));
      if (failure === undefined) return;
      const second = sentMs < killedMs ? -1 : Math.floor((sentMs - killedMs) / 1000);
      queryFailures.set(second, (queryFailures.get(second) ?? 0) + 1);
      if (queryFailureTexts.length < TEXTS_MAX) queryFailureTexts.push(`${((sentMs - killedMs) / 1000).toFixed(1)} s: ${failure}`);
    };
    const totalMs = (SECONDS_BEFORE + SECONDS_AFTER) * 1000;
    const [pushes, queries, detectedMs] = await Promise.all([
      atRate(pushesPerSecond, totalMs, push),
      atRate(queriesPerSecond, totalMs, query),
      (async () => {
        await sleep(SECONDS_BEFORE * 1000 - (performance.now() - startMs));
        killedMs = performance.now();
        await cluster.nodes[killed]!.kill();
        return untilDetected(live, nameOf(killed), killedMs);
      })(),
    ]);
    for (const client of clients) client.close();
    const sorted = latenciesMs.toSorted((a, b) => a - b);
    return { pushCount: pushes, pushFailures, queryCount: queries, queryFailures, queryFailureTexts, detectedMs, pushP99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? NaN };
  } finally {
    await cluster.stop();
  }
}

/** Calls `send` at a steady rate, whether or not the calls before have ended. Resolves with their number when all have. */
export async function atRate(perSecond: number, lengthMs: number, send: (index: number) => Promise<void>): Promise<number> {
  const startMs = performance.now();
  const running: Promise<void>[] = [];
  for (let index = 0; (index / perSecond) * 1000 < lengthMs; index++) {
    const waitMs = startMs + (index / perSecond) * 1000 - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    else await turn(); // late: what was answered meanwhile is read before the next is sent
    running.push(send(index));
  }
  await Promise.all(running);
  return running.length;
}

async function failureOf(reply: Promise<{ readonly status: number; readonly body: Buffer }>): Promise<string | undefined> {
  try {
    const { status, body } = await reply;
    return status === 200 ? undefined : `${status} ${body.toString().slice(0, 200)}`;
  } catch (error) {
    return (error as Error).message;
  }
}

async function untilDetected(live: readonly ServedBuild[], name: string, killedMs: number): Promise<number> {
  for (;;) {
    const states = await Promise.all(live.map((node) => stateOf(node, name)));
    const passedMs = performance.now() - killedMs;
    if (states.every((state) => state !== "active")) return passedMs;
    if (passedMs > SECONDS_AFTER * 1000) return Infinity;
    await sleep(POLL_MS);
  }
}

/** "dead", "active", ...; undefined where the node does not know it. */
export async function stateOf({ url }: ServedBuild, name: string): Promise<string | undefined> {
  const reply = await fetch(`${url}/members?format=json`);
  const { members } = (await reply.json()) as { members: { name: string; state: string }[] };
  return members.find((member) => member.name === name)?.state;
}
