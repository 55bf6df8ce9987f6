/**
 * `npm run bench -- cluster`: what three nodes cost and take, over real processes on this machine, on the pushes of bench load.
 *
 *   cost      a push to one node, to three that keep it three times, and to three that keep it once
 *   idle      three nodes to which nobody speaks
 *   kill      kill -9 of one of three under load
 *   overload  three times the load that three nodes take; exits with 1 where a goal was not met
 */
import { parseArgs } from "node:util";
import { PushGenerator } from "../load/generator.ts";
import { defaultCorpusFolder, hasCorpus } from "../load/options.ts";
import { readPrograms } from "../load/program.ts";
import type { CostFigures } from "./cost.ts";
import { measureCost } from "./cost.ts";
import { measureIdle } from "./idle.ts";
import { measureKill } from "./kill.ts";
import { measureOverload } from "./overload.ts";
import { overloadRows, rates, trialLine } from "./overload-report.ts";
import type { ClusterShape } from "./served-cluster.ts";

const USAGE = `usage: npm run bench -- cluster [cost] [idle] [kill] [overload] [options]; all four where none is named

  --server DIR       a checkout, built (.)
  --pushes N         of cost, to each cluster in each round (20000)
  --warm N           of cost, pushes to each node that come before those and are not counted (10000)
  --rounds N         of cost (1)
  --in-flight N      of cost and, before the base is searched for, of overload, to each node (8)
  --seconds N        of idle and of overload (30)
  --push-rate N      of kill, per second (100)
  --query-rate N     of kill, per second (10)
  --base-rate N      of overload: not searched for
  --with-queries N   of overload, per second (none)
  --pause-one        of overload: the last node is stopped (SIGSTOP) in the second third of it
  --memory-mb N      of overload: what a node may have resident (1024)
  --flag FLAG        of serve, for every node, for example --flag=--gossip=off (repeatable)
  --node-flag FLAG   of Node.js, for the first node, for example --node-flag=--cpu-prof (repeatable)
  --corpus DIR       the real profiles (PYROMESH_CORPUS, else ../shared/corpus)
`;

const PARTS = ["cost", "idle", "kill", "overload"] as const;

interface ClusterOptions {
  readonly parts: readonly string[];
  readonly server: string;
  readonly pushCount: number;
  readonly warmCount: number;
  readonly roundCount: number;
  readonly inFlightCount: number;
  readonly seconds: number;
  readonly pushRate: number;
  readonly queryRate: number;
  readonly basePerSecond: number | undefined;
  readonly overloadQueryRate: number;
  readonly isOnePaused: boolean;
  readonly memoryMb: number;
  readonly flags: readonly string[];
  readonly nodeFlags: readonly string[];
  readonly corpus: string;
}

export async function runClusterCommand(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  let options: ClusterOptions;
  try {
    options = readOptions(args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const { parts } = options;
  if (parts.includes("cost")) await cost(options);
  if (parts.includes("idle")) await idle(options);
  if (parts.includes("kill")) await kill(options);
  const isMet = !parts.includes("overload") || (await overload(options));
  return isMet ? 0 : 1;
}

function readOptions(args: readonly string[]): ClusterOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      server: { type: "string", default: "." },
      pushes: { type: "string", default: "20000" },
      warm: { type: "string", default: "10000" },
      rounds: { type: "string", default: "1" },
      "in-flight": { type: "string", default: "8" },
      seconds: { type: "string", default: "30" },
      "push-rate": { type: "string", default: "100" },
      "query-rate": { type: "string", default: "10" },
      "base-rate": { type: "string" },
      "with-queries": { type: "string" },
      "pause-one": { type: "boolean", default: false },
      "memory-mb": { type: "string", default: "1024" },
      flag: { type: "string", multiple: true, default: [] },
      "node-flag": { type: "string", multiple: true, default: [] },
      corpus: { type: "string" },
    },
  });
  for (const part of positionals) if (!(PARTS as readonly string[]).includes(part)) throw new Error(`${part}: use ${PARTS.join(", ")}`);
  const corpus = values.corpus ?? defaultCorpusFolder();
  if (!hasCorpus(corpus)) throw new Error(`no profiles in ${corpus}: set PYROMESH_CORPUS or --corpus`);
  return {
    parts: positionals.length === 0 ? PARTS : positionals,
    server: values.server,
    pushCount: countOf("pushes", values.pushes),
    warmCount: countOf("warm", values.warm),
    roundCount: countOf("rounds", values.rounds),
    inFlightCount: countOf("in-flight", values["in-flight"]),
    seconds: countOf("seconds", values.seconds),
    pushRate: countOf("push-rate", values["push-rate"]),
    queryRate: countOf("query-rate", values["query-rate"]),
    basePerSecond: values["base-rate"] === undefined ? undefined : countOf("base-rate", values["base-rate"]),
    overloadQueryRate: values["with-queries"] === undefined ? 0 : countOf("with-queries", values["with-queries"]),
    isOnePaused: values["pause-one"],
    memoryMb: countOf("memory-mb", values["memory-mb"]),
    flags: values.flag,
    nodeFlags: values["node-flag"],
    corpus,
  };
}

function countOf(name: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`--${name} ${text} is not a whole number of at least 1`);
  return Number(text);
}

const SHAPES: readonly (readonly [string, ClusterShape])[] = [
  ["1 node", { nodeCount: 1, replication: 1 }],
  ["3 nodes, RF 3", { nodeCount: 3, replication: 3 }],
  ["3 nodes, RF 1", { nodeCount: 3, replication: 1 }],
];
/** Other values than the pushes that are counted have, of the same series. */
const WARMING_SEED = 2;
/** Contents that the pushes of an overload repeat: three seconds of a thousand a second. */
const CONTENT_COUNT = 3_000;
const THREE: ClusterShape = { nodeCount: 3, replication: 3 };

function withFlags(shape: ClusterShape, { flags, nodeFlags }: ClusterOptions): ClusterShape {
  return { ...shape, flags, nodeFlags };
}

function generatorOf({ corpus }: ClusterOptions, pushCount: number, seed = 1): PushGenerator {
  return new PushGenerator({ seed, pushCount, podCount: 200, serviceCount: 4, servicePrefix: "load", endMs: Date.now() }, readPrograms(corpus));
}

async function cost(options: ClusterOptions): Promise<void> {
  for (let round = 0; round < options.roundCount; round++) {
    let one: CostFigures | undefined;
    const all: CostFigures[] = [];
    for (const [name, shape] of SHAPES) {
      const figures = await measureCost(options.server, withFlags(shape, options), {
        warming: generatorOf(options, options.warmCount * shape.nodeCount, WARMING_SEED),
        generator: generatorOf(options, options.pushCount),
        inFlightCount: options.inFlightCount,
        progress,
      });
      one ??= figures;
      all.push(figures);
      const { cpuMs, flushCpuMs, cpuInG, pushesPerSecond, p50Ms, p99Ms, bucketRequests, bucketBytes, peerBytes, records, takeoverCount, failedCount } = figures;
      const more = `${(cpuMs / one.cpuMs).toFixed(2)}x, ${(cpuInG - one.cpuInG).toFixed(2)} G more`;
      print(`cost      ${name.padEnd(14)} CPU ${cpuMs.toFixed(3)} ms = ${cpuInG.toFixed(2)} G a push (${more}), ${flushCpuMs.toFixed(3)} ms of it in the last flush, ${pushesPerSecond.toFixed(0)} pushes/s, p50 ${p50Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)} ms, ${failedCount} failed`);
      print(`          a push: ${bucketRequests.toFixed(4)} requests and ${bucketBytes.toFixed(0)} bytes to the bucket, ${peerBytes.toFixed(0)} bytes between nodes, ${records.toFixed(3)} records in segments; ${takeoverCount} records taken over`);
    }
    const [alone, thrice, once] = all as [CostFigures, CostFigures, CostFigures]; // one for each of SHAPES
    const gMs = Math.min(...all.map(({ cpuMs, cpuInG }) => cpuMs / cpuInG));
    print(`          RF 3 minus RF 1: ${(thrice.cpuMs - once.cpuMs).toFixed(3)} ms = ${((thrice.cpuMs - once.cpuMs) / gMs).toFixed(2)} G a push (G ${gMs.toFixed(3)} ms, the least of the three); RF 1 to one node: ${(once.cpuMs / alone.cpuMs).toFixed(2)}x`);
  }
}

async function idle(options: ClusterOptions): Promise<void> {
  for (const [name, shape] of [SHAPES[0]!, SHAPES[1]!]) {
    const { cpuPercent, controlBytesPerSecond, deviceBytesPerSecond } = await measureIdle(options.server, withFlags(shape, options), options.seconds);
    print(`idle      ${name.padEnd(14)} a node: ${cpuPercent.toFixed(2)} % of a core, ${controlBytesPerSecond.toFixed(0)} bytes/s of messages, ${deviceBytesPerSecond.toFixed(0)} bytes/s on the loopback device`);
  }
}

async function kill(options: ClusterOptions): Promise<void> {
  const figures = await measureKill(options.server, withFlags(THREE, options), { generator: generatorOf(options, options.pushRate * 30), pushesPerSecond: options.pushRate, queriesPerSecond: options.queryRate });
  const { pushCount, pushFailures, queryCount, queryFailures, queryFailureTexts, detectedMs, pushP99Ms } = figures;
  print(`kill      detected after ${(detectedMs / 1000).toFixed(1)} s; ${pushFailures.length} of ${pushCount} pushes failed, p99 ${pushP99Ms.toFixed(0)} ms`);
  print(`          of ${queryCount} queries failed, by second after the kill: ${[...queryFailures].map(([second, count]) => `${second}: ${count}`).join(", ") || "none"}`);
  for (const text of [...pushFailures.slice(0, 5), ...queryFailureTexts]) print(`          ${text}`);
}

/** Resolves with whether every goal was met. */
async function overload(options: ClusterOptions): Promise<boolean> {
  const { basePerSecond: givenPerSecond, inFlightCount, isOnePaused, memoryMb, overloadQueryRate: queriesPerSecond, seconds } = options;
  const generator = generatorOf(options, CONTENT_COUNT);
  const figures = await measureOverload(options.server, withFlags(THREE, options), { generator, inFlightCount, seconds, queriesPerSecond, isOnePaused, basePerSecond: givenPerSecond, progress, onTrial: (trial) => print(`overload  ${trialLine(trial)}`) });
  const { basePerSecond, overload: load, mismatches, queries } = figures;
  print(`          base ${basePerSecond.toFixed(0)}/s; ${load.offeredPerSecond.toFixed(0)}/s for ${seconds} s: ${rates(load)}`);
  for (const [words, count] of load.refusals) print(`          ${count} answered ${words}`);
  const rows = overloadRows(figures, { memoryMb, isOnePaused });
  for (const { name, goal, measured, isMet } of rows) print(`          ${isMet ? "pass" : "FAIL"}  ${name.padEnd(34)}${goal.padEnd(18)}${measured}`);
  for (const text of [...mismatches.slice(0, 5), ...queries.texts]) print(`          ${text}`);
  return rows.every(({ isMet }) => isMet);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
}
