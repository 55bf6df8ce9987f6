/**
 * `npm run bench -- duel`: two builds or more, side by side in one run. A server of each is started, and they take turns, burst by
 * burst, over the same pushes; so whatever else the machine does meets all of them alike. Of two servers of one build the CPU a
 * push differs by a hundredth; of two runs, one after the other, by a tenth.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import { PushGenerator } from "../load/generator.ts";
import { HttpClient } from "../load/http-client.ts";
import { defaultCorpusFolder, hasCorpus } from "../load/options.ts";
import { readProcessCost } from "../load/process-cost.ts";
import { readPrograms } from "../load/program.ts";

const USAGE = `usage: npm run bench -- duel --server NAME=DIR --server NAME=DIR [options]

  --server NAME=DIR  a checkout, built; the first is what the others are compared with (twice or more)
  --node-flag NAME=FLAG  for one of them, for example new=--single-threaded-gc (repeatable)
  --pushes N         to each (12000)
  --in-flight N      (8)
  --corpus DIR       the real profiles (PYROMESH_CORPUS, else ../shared/corpus)
`;

interface DuelOptions {
  readonly servers: ReadonlyMap<string, string>;
  readonly flags: readonly (readonly [name: string, flag: string])[];
  readonly pushCount: number;
  readonly inFlightCount: number;
  readonly corpus: string;
}

/** Long enough for a burst to be worth its start, short enough for what the machine does meanwhile to meet all. */
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
  const servers: Server[] = [];
  try {
    for (const [name, dir] of options.servers) servers.push(await Server.start(name, dir, options));
    await takeTurns(servers, options);
    process.stdout.write(`${servers.map((server) => server.report(servers[0]!)).join("\n")}\n`);
    return servers.some(({ failedCount }) => failedCount > 0) ? 1 : 0;
  } finally {
    for (const server of servers) await server.stop();
  }
}

function readOptions(args: readonly string[]): DuelOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      server: { type: "string", multiple: true, default: [] },
      "node-flag": { type: "string", multiple: true, default: [] },
      pushes: { type: "string", default: "12000" },
      "in-flight": { type: "string", default: "8" },
      corpus: { type: "string" },
    },
  });
  const servers = new Map(values.server.map((text) => pairOf("server", text)));
  if (servers.size < 2) throw new Error("a duel takes two servers: give --server NAME=DIR twice, with two names");
  const flags = values["node-flag"].map((text) => pairOf("node-flag", text));
  for (const [name] of flags) if (!servers.has(name)) throw new Error(`--node-flag names ${name}, which is no server`);
  const corpus = values.corpus ?? defaultCorpusFolder();
  if (!hasCorpus(corpus)) throw new Error(`no profiles in ${corpus}: set PYROMESH_CORPUS or --corpus`);
  return { servers, flags, pushCount: countOf("pushes", values.pushes), inFlightCount: countOf("in-flight", values["in-flight"]), corpus };
}

function pairOf(name: string, text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) throw new Error(`--${name} ${text} is not written as NAME=...`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function countOf(name: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`--${name} ${text} is no whole number from 1 on`);
  return Number(text);
}

class Server {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #dataDir: string;
  readonly #client: HttpClient;
  readonly #inFlightCount: number;
  readonly #startCpuMs: number;
  readonly #latenciesMs: number[] = [];
  #elapsedMs = 0;
  failedCount = 0;

  private constructor(name: string, child: ChildProcess, dataDir: string, url: string, inFlightCount: number) {
    this.name = name;
    this.#process = child;
    this.#dataDir = dataDir;
    this.#inFlightCount = inFlightCount;
    this.#client = new HttpClient({ url, headers: {}, socketCountMax: inFlightCount });
    this.#startCpuMs = this.#cpuMs();
  }

  static async start(name: string, dir: string, { flags, inFlightCount }: DuelOptions): Promise<Server> {
    const dataDir = mkdtempSync(path.join(tmpdir(), "pyromesh-duel-"));
    const nodeFlags = flags.filter(([of]) => of === name).map(([, flag]) => flag);
    const serve = ["serve", "--data-dir", dataDir, "--http-addr", "127.0.0.1:0", "--limits.ingestion-rate-mb", "0"];
    const env = { ...process.env, UV_THREADPOOL_SIZE: "16" }; // as bin/pyromesh.js has it
    const child = spawn(process.execPath, [...nodeFlags, path.join(dir, "packages/node/bin/pyromesh.js"), ...serve], { env, stdio: ["ignore", "ignore", "pipe"] });
    for await (const line of createInterface({ input: child.stderr })) {
      const found = /"url":"(http:[^"]+)".*"msg":"listening"/.exec(line);
      if (found === null) continue;
      child.stderr.resume();
      // It listens before it is ready, and refuses pushes until then.
      while ((await fetch(`${found[1]!}/ready`)).status !== 200) await sleep(20);
      return new Server(name, child, dataDir, found[1]!, inFlightCount);
    }
    throw new Error(`${name}: ${dir} did not start: is it built?`);
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

  get cpuMsPerPush(): number {
    return (this.#cpuMs() - this.#startCpuMs) / this.#latenciesMs.length;
  }

  report(first: Server): string {
    const sorted = Float64Array.from(this.#latenciesMs).sort();
    const [p50, p90, p99] = [0.5, 0.9, 0.99].map((quantile) => sorted[Math.floor(sorted.length * quantile)]!.toFixed(1));
    const rate = (sorted.length / this.#elapsedMs) * 1000;
    return `${this.name.padEnd(12)} CPU ${this.cpuMsPerPush.toFixed(4)} ms a push = ${(this.cpuMsPerPush / first.cpuMsPerPush).toFixed(3)}   ${rate.toFixed(0)} pushes/s   p50 ${p50}, p90 ${p90}, p99 ${p99} ms   ${this.failedCount} failed`;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      this.#process.kill();
      await once(this.#process, "exit");
    }
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  #cpuMs(): number {
    return readProcessCost([this.#process.pid!])?.cpuMs ?? NaN; // it was spawned; NaN where there is no /proc
  }
}

const gzipAsync = promisify(gzip);

async function takeTurns(servers: readonly Server[], { pushCount, corpus }: DuelOptions): Promise<void> {
  const workload = { seed: 1, pushCount, podCount: 200, serviceCount: 4, servicePrefix: "load", endMs: Date.now() };
  const generator = new PushGenerator(workload, readPrograms(corpus));
  for (let from = 0, turn = 0; from < pushCount; from += BURST_COUNT, turn++) {
    const bodies: Uint8Array[] = [];
    for (let index = from; index < Math.min(pushCount, from + BURST_COUNT); index++) {
      const plan = generator.plan(index);
      bodies.push(generator.encodeRequest(plan, await gzipAsync(generator.encodePprof(plan).slice(), { level: constants.Z_BEST_SPEED })));
    }
    // Another one begins each time: who comes first finds the caches as the making of bodies left them.
    for (let i = 0; i < servers.length; i++) await servers[(i + turn) % servers.length]!.burst(bodies);
    process.stderr.write(`${Math.min(pushCount, from + BURST_COUNT)} of ${pushCount} pushed to each\n`);
  }
}
