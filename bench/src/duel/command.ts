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
import { HttpClient } from "../load/http-client.ts";
import { defaultCorpusFolder, hasCorpus } from "../load/options.ts";
import { readProcessCost } from "../load/process-cost.ts";
import { readPrograms } from "../load/program.ts";
import { ServedBuild } from "../served-build.ts";

const USAGE = `usage: npm run bench -- duel --server NAME=DIR --server NAME=DIR [options]

  --server NAME=DIR  a checkout, built; the first is what the others are compared with (twice or more)
  --node-flag NAME=FLAG  for one of them, for example new=--single-threaded-gc (repeatable)
  --pushes N         to each, in each round (12000)
  --rounds N         with fresh servers; the first turn goes to each server in turn, so give a multiple of their number (1)
  --in-flight N      (8)
  --corpus DIR       the real profiles (PYROMESH_CORPUS, else ../shared/corpus)
`;

interface DuelOptions {
  readonly servers: ReadonlyMap<string, string>;
  readonly flags: readonly (readonly [name: string, flag: string])[];
  readonly pushCount: number;
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
      pushes: { type: "string", default: "12000" },
      rounds: { type: "string", default: "1" },
      "in-flight": { type: "string", default: "8" },
      corpus: { type: "string" },
    },
  });
  const servers = new Map(values.server.map((text) => pairOf("server", text)));
  if (servers.size < 2) throw new Error("a duel takes two servers: give --server NAME=DIR twice, with two names");
  const flags = values["node-flag"].map((text) => pairOf("node-flag", text));
  for (const [name] of flags) if (!servers.has(name)) throw new Error(`--node-flag names ${name}, which is not a server`);
  const corpus = values.corpus ?? defaultCorpusFolder();
  if (!hasCorpus(corpus)) throw new Error(`no profiles in ${corpus}: set PYROMESH_CORPUS or --corpus`);
  return {
    servers,
    flags,
    pushCount: countOf("pushes", values.pushes),
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

function countOf(name: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`--${name} ${text} is not a whole number of at least 1`);
  return Number(text);
}

class Server {
  readonly name: string;
  readonly #build: ServedBuild;
  readonly #client: HttpClient;
  readonly #inFlightCount: number;
  readonly #startCpuMs: number;
  readonly #latenciesMs: number[] = [];
  #elapsedMs = 0;
  failedCount = 0;

  private constructor(name: string, build: ServedBuild, inFlightCount: number) {
    this.name = name;
    this.#build = build;
    this.#inFlightCount = inFlightCount;
    this.#client = new HttpClient({ url: build.url, headers: {}, socketCountMax: inFlightCount });
    this.#startCpuMs = this.#cpuMs();
  }

  static async start(name: string, dir: string, { flags, inFlightCount }: DuelOptions): Promise<Server> {
    const nodeFlags = flags.filter(([of]) => of === name).map(([, flag]) => flag);
    return new Server(name, await ServedBuild.start(dir, { nodeFlags }), inFlightCount);
  }

  async burst(bodies: readonly Uint8Array[]): Promise<void> {
    const startMs = performance.now();
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
    this.#client.close();
  }

  figures(): Figures {
    const sorted = Float64Array.from(this.#latenciesMs).sort();
    const [p50Ms, p90Ms, p99Ms] = [0.5, 0.9, 0.99].map((quantile) => sorted[Math.floor(sorted.length * quantile)]!) as [number, number, number];
    return {
      name: this.name,
      cpuMs: (this.#cpuMs() - this.#startCpuMs) / sorted.length,
      pushesPerSecond: (sorted.length / this.#elapsedMs) * 1000,
      p50Ms,
      p90Ms,
      p99Ms,
      failedCount: this.failedCount,
    };
  }

  stop(): Promise<void> {
    return this.#build.stop();
  }

  #cpuMs(): number {
    return readProcessCost([this.#build.pid])?.cpuMs ?? NaN; // NaN where there is no /proc
  }
}

interface Figures {
  readonly name: string;
  /** Per push. */
  readonly cpuMs: number;
  readonly pushesPerSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly failedCount: number;
}

function lineOf({ name, cpuMs, pushesPerSecond, p50Ms, p90Ms, p99Ms, failedCount }: Figures, first: Figures): string {
  const latencies = `p50 ${p50Ms.toFixed(1)}, p90 ${p90Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)} ms`;
  return `${name.padEnd(12)} CPU ${cpuMs.toFixed(4)} ms a push = ${(cpuMs / first.cpuMs).toFixed(3)}   ${pushesPerSecond.toFixed(0)} pushes/s   ${latencies}   ${failedCount} failed`;
}

/** The ratios of each server to the first one, by round. */
class Ratios {
  readonly #rounds = new Map<string, { readonly cpu: number[]; readonly rate: number[]; readonly p99: number[] }>();
  #firstName = "";

  add(figures: Figures, first: Figures): void {
    this.#firstName = first.name;
    let rounds = this.#rounds.get(figures.name);
    if (rounds === undefined) this.#rounds.set(figures.name, (rounds = { cpu: [], rate: [], p99: [] }));
    rounds.cpu.push(figures.cpuMs / first.cpuMs);
    rounds.rate.push(figures.pushesPerSecond / first.pushesPerSecond);
    rounds.p99.push(figures.p99Ms / first.p99Ms);
  }

  report(): string {
    return [...this.#rounds]
      .map(([name, { cpu, rate, p99 }]) => `${name} to ${this.#firstName}, median of ${cpu.length} rounds (least to most): CPU ${spreadOf(cpu)}, pushes/s ${spreadOf(rate)}, p99 ${spreadOf(p99)}\n`)
      .join("");
  }
}

function spreadOf(ratios: readonly number[]): string {
  const sorted = ratios.toSorted((a, b) => a - b);
  const median = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
  return `${median.toFixed(3)} (${sorted[0]!.toFixed(3)} to ${sorted.at(-1)!.toFixed(3)})`;
}

const gzipAsync = promisify(gzip);

async function takeTurns(servers: readonly Server[], { pushCount, corpus }: DuelOptions, firstTurn: number): Promise<void> {
  const workload = { seed: 1, pushCount, podCount: 200, serviceCount: 4, servicePrefix: "load", endMs: Date.now() };
  const generator = new PushGenerator(workload, readPrograms(corpus));
  for (let from = 0, turn = firstTurn; from < pushCount; from += BURST_COUNT, turn++) {
    const bodies: Uint8Array[] = [];
    for (let index = from; index < Math.min(pushCount, from + BURST_COUNT); index++) {
      const plan = generator.plan(index);
      bodies.push(generator.encodeRequest(plan, await gzipAsync(generator.encodePprof(plan).slice(), { level: constants.Z_BEST_SPEED })));
    }
    // Begin with another server each time: the first one finds the CPU caches as the encoding of bodies left them.
    for (let i = 0; i < servers.length; i++) await servers[(i + turn) % servers.length]!.burst(bodies);
    process.stderr.write(`${Math.min(pushCount, from + BURST_COUNT)} of ${pushCount} pushed to each\n`);
  }
}
