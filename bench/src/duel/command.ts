/**
 * `npm run bench -- duel`: compares two or more builds in one run. The servers of all builds take turns, burst by burst, over the same
 * pushes, so that other load on the machine affects all of them alike. With two servers of the same build the CPU per push differs by a
 * hundredth; between two consecutive runs of one server it differs by a tenth.
 *
 * Latencies depend on who begins: a flush that the first server starts continues during the burst of the second. So there are several
 * rounds with fresh servers, each round begins with another server, and the median of the ratios counts.
 */
import { parseArgs, promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import { PushGenerator } from "../load/generator.ts";
import type { ClusterShape } from "../cluster/served-cluster.ts";
import { ServedCluster, TurnClient } from "../cluster/served-cluster.ts";
import { defaultCorpusFolder, hasCorpus } from "../load/options.ts";
import { readProcessCost } from "../load/process-cost.ts";
import { readPrograms } from "../load/program.ts";

const USAGE = `usage: npm run bench -- duel --server NAME=DIR --server NAME=DIR [options]

  --server NAME=DIR  a checkout, built; the first is what the others are compared with (twice or more)
  --node-flag NAME=FLAG  for one of them, for example new=--single-threaded-gc (repeatable)
  --shape NAME=3x3   one of them is three nodes with replication 3, which get the pushes in turn (1x1); its CPU is that of all its nodes (repeatable)
  --pushes N         to each, in each round (12000)
  --warm N           pushes to each, in each round, that come before those and are not counted (0)
  --rounds N         with fresh servers; the first turn goes to each server in turn, so give a multiple of their number (1)
  --in-flight N      to each node (8)
  --corpus DIR       the real profiles (PYROMESH_CORPUS, else ../shared/corpus)
`;

interface DuelOptions {
  readonly servers: ReadonlyMap<string, string>;
  readonly flags: readonly (readonly [name: string, flag: string])[];
  readonly shapes: ReadonlyMap<string, ClusterShape>;
  readonly pushCount: number;
  readonly warmCount: number;
  readonly roundCount: number;
  readonly inFlightCount: number;
  readonly corpus: string;
}

/** Long enough to outweigh the start of a burst, short enough that other load on the machine affects all servers. */
const BURST_COUNT = 500;

export async function runDuelCommand(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  let options: DuelOptions;
  try {
    options = readOptions(args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const ratios = new Ratios();
  let failedCount = 0;
  for (let round = 0; round < options.roundCount; round++) {
    const servers: Server[] = [];
    try {
      for (const [name, dir] of options.servers) servers.push(await Server.start(name, dir, options));
      await takeTurns(servers, options, round);
      const figures = servers.map((server) => server.figures());
      for (const each of figures) {
        process.stdout.write(`${lineOf(each, figures[0]!)}\n`);
        failedCount += each.failedCount;
      }
      for (const each of figures.slice(1)) ratios.add(each, figures[0]!);
    } finally {
      for (const server of servers) await server.stop();
    }
  }
  if (options.roundCount > 1) process.stdout.write(ratios.report());
  return failedCount > 0 ? 1 : 0;
}

function readOptions(args: readonly string[]): DuelOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      server: { type: "string", multiple: true, default: [] },
      "node-flag": { type: "string", multiple: true, default: [] },
      shape: { type: "string", multiple: true, default: [] },
      pushes: { type: "string", default: "12000" },
      warm: { type: "string" },
      rounds: { type: "string", default: "1" },
      "in-flight": { type: "string", default: "8" },
      corpus: { type: "string" },
    },
  });
  const servers = new Map(values.server.map((text) => pairOf("server", text)));
  if (servers.size < 2) throw new Error("a duel takes two servers: give --server NAME=DIR twice, with two names");
  const flags = values["node-flag"].map((text) => pairOf("node-flag", text));
  for (const [name] of flags) if (!servers.has(name)) throw new Error(`--node-flag names ${name}, which is not a server`);
  const shapes = new Map(values.shape.map((text) => pairOf("shape", text)).map(([name, shape]) => [name, shapeOf(shape)]));
  for (const name of shapes.keys()) if (!servers.has(name)) throw new Error(`--shape names ${name}, which is not a server`);
  const corpus = values.corpus ?? defaultCorpusFolder();
  if (!hasCorpus(corpus)) throw new Error(`no profiles in ${corpus}: set PYROMESH_CORPUS or --corpus`);
  return {
    servers,
    flags,
    shapes,
    pushCount: countOf("pushes", values.pushes),
    warmCount: values.warm === undefined ? 0 : countOf("warm", values.warm),
    roundCount: countOf("rounds", values.rounds),
    inFlightCount: countOf("in-flight", values["in-flight"]),
    corpus,
  };
}

function pairOf(name: string, text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) throw new Error(`--${name} ${text} is not written as NAME=...`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function shapeOf(text: string): ClusterShape {
  const found = /^(\d{1,2})x(\d{1,2})$/.exec(text);
  if (found === null) throw new Error(`--shape ${text} is not written as NODESxREPLICATION`);
  return { nodeCount: Number(found[1]), replication: Number(found[2]) };
}

function countOf(name: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`--${name} ${text} is not a whole number of at least 1`);
  return Number(text);
}

const ALONE: ClusterShape = { nodeCount: 1, replication: 1 };

class Server {
  readonly name: string;
  readonly #cluster: ServedCluster;
  readonly #client: TurnClient;
  readonly #inFlightCount: number;
  #startCpuMs = 0;
  #turnCpuMs = 0;
  #latenciesMs: number[] = [];
  #elapsedMs = 0;
  failedCount = 0;

  private constructor(name: string, cluster: ServedCluster, inFlightCount: number) {
    this.name = name;
    this.#cluster = cluster;
    this.#inFlightCount = inFlightCount * cluster.nodes.length;
    this.#client = new TurnClient(cluster.nodes, inFlightCount);
    this.begin();
  }

  static async start(name: string, dir: string, { flags, shapes, inFlightCount }: DuelOptions): Promise<Server> {
    const nodeFlags = flags.filter(([of]) => of === name).map(([, flag]) => flag);
    return new Server(name, await ServedCluster.start(dir, { ...(shapes.get(name) ?? ALONE), nodeFlags }), inFlightCount);
  }

  /** What came before is not counted. */
  begin(): void {
    this.#startCpuMs = this.#cpuMs();
    this.#turnCpuMs = 0;
    this.#latenciesMs = [];
    this.#elapsedMs = 0;
  }

  async burst(bodies: readonly Uint8Array[]): Promise<void> {
    const startMs = performance.now();
    const startCpuMs = this.#cpuMs();
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < bodies.length) {
        const body = bodies[next++]!;
        const sentMs = performance.now();
        const { status } = await this.#client.post("/push.v1.PusherService/Push", "application/proto", body);
        if (status !== 200) this.failedCount++;
        this.#latenciesMs.push(performance.now() - sentMs);
      }
    };
    await Promise.all(Array.from({ length: this.#inFlightCount }, worker));
    this.#elapsedMs += performance.now() - startMs;
    this.#turnCpuMs += this.#cpuMs() - startCpuMs;
    this.#client.close();
  }

  figures(): Figures {
    const sorted = Float64Array.from(this.#latenciesMs).sort();
    const [p50Ms, p90Ms, p99Ms] = [0.5, 0.9, 0.99].map((quantile) => sorted[Math.floor(sorted.length * quantile)]!) as [number, number, number];
    return {
      name: this.name,
      cpuMs: (this.#cpuMs() - this.#startCpuMs) / sorted.length,
      turnCpuMs: this.#turnCpuMs / sorted.length,
      pushesPerSecond: (sorted.length / this.#elapsedMs) * 1000,
      p50Ms,
      p90Ms,
      p99Ms,
      failedCount: this.failedCount,
    };
  }

  stop(): Promise<void> {
    return this.#cluster.stop();
  }

  #cpuMs(): number {
    return readProcessCost(this.#cluster.pids)?.cpuMs ?? NaN; // NaN where there is no /proc
  }
}

interface Figures {
  readonly name: string;
  /** Per push. */
  readonly cpuMs: number;
  /** What of it was used in the server's own turns: without flushes that went on in others' turns, and without what idle nodes of a cluster say to each other. */
  readonly turnCpuMs: number;
  readonly pushesPerSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly failedCount: number;
}

function lineOf({ name, cpuMs, turnCpuMs, pushesPerSecond, p50Ms, p90Ms, p99Ms, failedCount }: Figures, first: Figures): string {
  const latencies = `p50 ${p50Ms.toFixed(1)}, p90 ${p90Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)} ms`;
  return `${name.padEnd(12)} CPU ${cpuMs.toFixed(4)} ms a push = ${(cpuMs / first.cpuMs).toFixed(3)} (in its turns ${turnCpuMs.toFixed(4)} = ${(turnCpuMs / first.turnCpuMs).toFixed(3)})   ${pushesPerSecond.toFixed(0)} pushes/s   ${latencies}   ${failedCount} failed`;
}

/** The ratios of each server to the first one, by round. */
class Ratios {
  readonly #rounds = new Map<string, { readonly cpu: number[]; readonly turnCpu: number[]; readonly rate: number[]; readonly p99: number[] }>();
  #firstName = "";

  add(figures: Figures, first: Figures): void {
    this.#firstName = first.name;
    let rounds = this.#rounds.get(figures.name);
    if (rounds === undefined) this.#rounds.set(figures.name, (rounds = { cpu: [], turnCpu: [], rate: [], p99: [] }));
    rounds.cpu.push(figures.cpuMs / first.cpuMs);
    rounds.turnCpu.push(figures.turnCpuMs / first.turnCpuMs);
    rounds.rate.push(figures.pushesPerSecond / first.pushesPerSecond);
    rounds.p99.push(figures.p99Ms / first.p99Ms);
  }

  report(): string {
    return [...this.#rounds]
      .map(([name, { cpu, turnCpu, rate, p99 }]) => `${name} to ${this.#firstName}, median of ${cpu.length} rounds (least to most): CPU ${spreadOf(cpu)}, in its turns ${spreadOf(turnCpu)}, pushes/s ${spreadOf(rate)}, p99 ${spreadOf(p99)}\n`)
      .join("");
  }
}

function spreadOf(ratios: readonly number[]): string {
  const sorted = ratios.toSorted((a, b) => a - b);
  const median = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
  return `${median.toFixed(3)} (${sorted[0]!.toFixed(3)} to ${sorted.at(-1)!.toFixed(3)})`;
}

const gzipAsync = promisify(gzip);

async function takeTurns(servers: readonly Server[], { warmCount, corpus, ...options }: DuelOptions, firstTurn: number): Promise<void> {
  const pushCount = warmCount + options.pushCount;
  const workload = { seed: 1, pushCount, podCount: 200, serviceCount: 4, servicePrefix: "load", endMs: Date.now() };
  const generator = new PushGenerator(workload, readPrograms(corpus));
  for (let from = 0, turn = firstTurn; from < pushCount; turn++) {
    if (from === warmCount) for (const server of servers) server.begin();
    const end = Math.min(from + BURST_COUNT, from < warmCount ? warmCount : pushCount);
    const bodies: Uint8Array[] = [];
    for (let index = from; index < end; index++) {
      const plan = generator.plan(index);
      bodies.push(generator.encodeRequest(plan, await gzipAsync(generator.encodePprof(plan).slice(), { level: constants.Z_BEST_SPEED })));
    }
    // Begin with another server each time: the first one finds the CPU caches as the encoding of bodies left them.
    for (let i = 0; i < servers.length; i++) await servers[(i + turn) % servers.length]!.burst(bodies);
    process.stderr.write(`${end} of ${pushCount} pushed to each\n`);
    from = end;
  }
}
