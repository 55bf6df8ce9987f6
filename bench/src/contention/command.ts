/**
 * `npm run bench -- contention`: how much longer pushes take while queries over everything run on a node with one worker.
 *
 *   fill     records are pushed; with --place segments they are flushed
 *   alone    pushes at a steady rate
 *   beside   the same, while several callers query everything, again and again
 *   mixed    queries of every kind at once: how long until the last one is answered
 *
 * A push is sent at its scheduled time, even where the one before has no answer yet, and its latency counts from that time. So a stall
 * shows in every push that it delays.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import { PushGenerator } from "../load/generator.ts";
import { HttpClient } from "../load/http-client.ts";
import { defaultCorpusFolder, hasCorpus, RANGE_MS } from "../load/options.ts";
import { readPrograms } from "../load/program.ts";
import { ServedBuild } from "../served-build.ts";

const USAGE = `usage: npm run bench -- contention [options]

  --server DIR       a checkout, built (.)
  --records N        pushed before anything is measured (20000)
  --place PLACE      head or segments: where they lie then (head)
  --queries N        callers that ask for everything (16)
  --per-second N     pushes (50)
  --seconds N        of each measurement (10)
  --mixed N          questions at once in the last part (50)
  --workers N        of the server (1)
  --corpus DIR       the real profiles (PYROMESH_CORPUS, else ../shared/corpus)
`;

interface ContentionOptions {
  readonly server: string;
  readonly recordCount: number;
  readonly place: "head" | "segments";
  readonly queryCount: number;
  readonly pushesPerSecond: number;
  readonly seconds: number;
  readonly mixedCount: number;
  readonly workerCount: number;
  readonly corpus: string;
}

const FILL_IN_FLIGHT = 8;
const CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const MEMORY = "memory:inuse_space:bytes:space:bytes";

export async function runContentionCommand(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  let options: ContentionOptions;
  try {
    options = readOptions(args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  // The flush interval is long, so that data stays in memory until a flush is asked for.
  const flags = ["--workers", String(options.workerCount), "--flush-interval", "1h", "--flush-size", "16GB", "--head-disk-budget", "512GB"];
  const server = await ServedBuild.start(options.server, { flags });
  try {
    await new Contention(server.url, options).run();
    return 0;
  } finally {
    await server.stop();
  }
}

function readOptions(args: readonly string[]): ContentionOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      server: { type: "string", default: "." },
      records: { type: "string", default: "20000" },
      place: { type: "string", default: "head" },
      queries: { type: "string", default: "16" },
      "per-second": { type: "string", default: "50" },
      seconds: { type: "string", default: "10" },
      mixed: { type: "string", default: "50" },
      workers: { type: "string", default: "1" },
      corpus: { type: "string" },
    },
  });
  const countOf = (name: "records" | "queries" | "per-second" | "seconds" | "mixed" | "workers"): number => {
    if (!/^[1-9]\d{0,8}$/.test(values[name])) throw new Error(`--${name} ${values[name]} is not a whole number of at least 1`);
    return Number(values[name]);
  };
  const { place } = values;
  if (place !== "head" && place !== "segments") throw new Error(`--place ${place} is neither head nor segments`);
  const corpus = values.corpus ?? defaultCorpusFolder();
  if (!hasCorpus(corpus)) throw new Error(`no profiles in ${corpus}: set PYROMESH_CORPUS or --corpus`);
  return {
    server: values.server,
    recordCount: countOf("records"),
    place,
    queryCount: countOf("queries"),
    pushesPerSecond: countOf("per-second"),
    seconds: countOf("seconds"),
    mixedCount: countOf("mixed"),
    workerCount: countOf("workers"),
    corpus,
  };
}

const gzipAsync = promisify(gzip);

class Contention {
  readonly #options: ContentionOptions;
  readonly #generator: PushGenerator;
  readonly #pushes: HttpClient;
  readonly #queries: HttpClient;
  readonly #range: { readonly start: number; readonly end: number };
  #nextPush = 0;

  constructor(url: string, options: ContentionOptions) {
    this.#options = options;
    const pushCount = options.recordCount + 2 * options.pushesPerSecond * options.seconds;
    const endMs = Date.now();
    this.#generator = new PushGenerator({ seed: 1, pushCount, podCount: 200, serviceCount: 4, servicePrefix: "load", endMs }, readPrograms(options.corpus));
    this.#pushes = new HttpClient({ url, headers: {}, socketCountMax: Infinity });
    this.#queries = new HttpClient({ url, headers: {}, socketCountMax: Infinity });
    this.#range = { start: endMs - RANGE_MS, end: endMs };
  }

  async run(): Promise<void> {
    await this.#fill();
    const aloneBodies = await this.#bodies(this.#options.pushesPerSecond * this.#options.seconds);
    const besideBodies = await this.#bodies(this.#options.pushesPerSecond * this.#options.seconds);
    const alone = await this.#pushSteadily(aloneBodies);
    this.#report("alone", alone);
    const asking = this.#askForEverything();
    await sleep(1_000);
    const beside = await this.#pushSteadily(besideBodies);
    const { answeredCount, refusedCount, seconds } = await asking.stop();
    this.#report("beside", beside, `   ${answeredCount} queries answered, ${refusedCount} refused in ${seconds.toFixed(1)} s`);
    await this.#askMixed();
    this.#pushes.close();
    this.#queries.close();
  }

  async #fill(): Promise<void> {
    const startMs = performance.now();
    for (let left = this.#options.recordCount; left > 0; ) {
      const bodies = await this.#bodies(Math.min(left, 500));
      left -= bodies.length;
      let next = 0;
      const push = async (): Promise<void> => {
        while (next < bodies.length) await this.#push(bodies[next++]!);
      };
      await Promise.all(Array.from({ length: FILL_IN_FLIGHT }, push));
    }
    if (this.#options.place === "segments") {
      const { status } = await this.#pushes.post("/flush", "application/json", Buffer.alloc(0));
      if (status !== 200) throw new Error(`the flush was answered with ${status}`);
    }
    process.stderr.write(`${this.#options.recordCount} records pushed in ${((performance.now() - startMs) / 1000).toFixed(0)} s\n`);
  }

  async #bodies(count: number): Promise<Uint8Array[]> {
    const bodies: Uint8Array[] = [];
    for (let i = 0; i < count; i++) {
      const plan = this.#generator.plan(this.#nextPush++);
      bodies.push(this.#generator.encodeRequest(plan, await gzipAsync(this.#generator.encodePprof(plan).slice(), { level: constants.Z_BEST_SPEED })));
    }
    return bodies;
  }

  async #push(body: Uint8Array): Promise<void> {
    const { status, body: reply } = await this.#pushes.post("/push.v1.PusherService/Push", "application/proto", body);
    if (status !== 200) throw new Error(`a push was answered with ${status}: ${reply.toString().slice(0, 300)}`);
  }

  /** Returns the latencies in milliseconds. */
  async #pushSteadily(bodies: readonly Uint8Array[]): Promise<number[]> {
    const startMs = performance.now();
    const latencies: Promise<number>[] = [];
    for (const [index, body] of bodies.entries()) {
      const dueMs = startMs + (index * 1000) / this.#options.pushesPerSecond;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      latencies.push(this.#push(body).then(() => performance.now() - dueMs));
    }
    return Promise.all(latencies);
  }

  /** All queries differ, so that each is worked on: equal queries share one run. */
  #askForEverything(): { stop(): Promise<{ answeredCount: number; refusedCount: number; seconds: number }> } {
    const startMs = performance.now();
    let [isStopping, answeredCount, refusedCount, asked] = [false, 0, 0, 0];
    const ask = async (): Promise<void> => {
      while (!isStopping) {
        const { start, end } = this.#range;
        const question = { profileTypeID: asked % 2 === 0 ? CPU : MEMORY, labelSelector: "{}", start: start - asked++, end, maxNodes: 1024 };
        const { status } = await this.#queries.post("/querier.v1.QuerierService/SelectMergeStacktraces", "application/json", Buffer.from(JSON.stringify(question)));
        if (status === 200) answeredCount++;
        else refusedCount++;
      }
    };
    const all = Promise.all(Array.from({ length: this.#options.queryCount }, ask));
    const stop = async (): Promise<{ answeredCount: number; refusedCount: number; seconds: number }> => {
      isStopping = true;
      await all;
      return { answeredCount, refusedCount, seconds: (performance.now() - startMs) / 1000 };
    };
    return { stop };
  }

  async #askMixed(): Promise<void> {
    const { start, end } = this.#range;
    const startMs = performance.now();
    const everything = { labelSelector: "{}", start, end };
    const ofService = (i: number): object => ({ ...everything, labelSelector: `{service_name="load-${i % 4}"}` });
    const questionOf = (i: number): [method: string, message: object] => {
      switch (i % 5) {
        case 0:
          return ["SelectMergeStacktraces", { ...everything, profileTypeID: CPU, maxNodes: 1000 + i }];
        case 1:
          return ["SelectSeries", { ...everything, profileTypeID: CPU, step: 15, groupBy: ["pod"] }];
        case 2:
          return ["SelectMergeProfile", { ...ofService(i), profileTypeID: MEMORY, maxNodes: 1000 + i }];
        case 3:
          return ["LabelNames", { matchers: [], start, end }];
        default:
          return ["SelectMergeStacktraces", { ...ofService(i), profileTypeID: MEMORY, maxNodes: 1000 }];
      }
    };
    const ends = new Map<string, number>();
    let refusedCount = 0;
    const ask = async (i: number): Promise<void> => {
      const [method, message] = questionOf(i);
      const { status } = await this.#queries.post(`/querier.v1.QuerierService/${method}`, "application/json", Buffer.from(JSON.stringify(message)));
      if (status !== 200) refusedCount++;
      ends.set(method, performance.now() - startMs); // the last one is the slowest
    };
    await Promise.all(Array.from({ length: this.#options.mixedCount }, (_, i) => ask(i)));
    const lasts = Array.from(ends, ([method, ms]) => `${method} ${(ms / 1000).toFixed(1)}`).join(", ");
    process.stdout.write(`mixed     ${this.#options.mixedCount} questions in ${((performance.now() - startMs) / 1000).toFixed(1)} s, ${refusedCount} refused (the last ${lasts})\n`);
  }

  #report(what: string, latenciesMs: readonly number[], more = ""): void {
    const sorted = Float64Array.from(latenciesMs).sort();
    const [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1].map((quantile) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]!.toFixed(1));
    process.stdout.write(`${what.padEnd(9)} push p50 ${p50}, p90 ${p90}, p99 ${p99}, max ${max} ms of ${sorted.length}${more}\n`);
  }
}
