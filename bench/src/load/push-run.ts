/**
 * Pushes a workload. Bodies are encoded in batches between bursts of pushes, so that encoding neither takes CPU from the server nor
 * counts as its time. During a burst `inFlightCount` requests are always in flight.
 */
import { promisify } from "node:util";
import { constants, gunzipSync, gzip } from "node:zlib";
import type { PushGenerator } from "./generator.ts";
import type { HttpClient } from "./http-client.ts";
import type { ProcessCost } from "./process-cost.ts";
import { PeakMemory, readProcessCost } from "./process-cost.ts";

interface PushRunOptions {
  readonly inFlightCount: number;
  readonly aheadBytes: number;
  readonly pids: readonly number[];
  readonly isFlushedAtEnd: boolean;
}

export interface PushRunResult {
  readonly pushCount: number;
  readonly ackedCount: number;
  readonly refused: readonly number[];
  readonly unsure: readonly number[];
  /** The first few answers with another status than 200. */
  readonly failures: readonly string[];
  /** The time of all bursts together. */
  readonly elapsedMs: number;
  /** Uncompressed pprof of the acknowledged pushes. */
  readonly rawBytes: number;
  /** Request bodies of the acknowledged pushes. */
  readonly sentBytes: number;
  /** Latencies of the acknowledged pushes. */
  readonly latenciesMs: Float64Array;
  /** From the first push to the last answer. Undefined without a pid, or where the process has ended. */
  readonly cpuMs: number | undefined;
  readonly peak: { readonly anonymousBytes: number; readonly residentBytes: number } | undefined;
  /** The unit G: what decompressing one of these bodies costs here, single-threaded, the best of five. */
  readonly gunzipMs: number;
  readonly flush: { readonly elapsedMs: number; readonly cpuMs: number | undefined; readonly status: number } | undefined;
}

/** `HttpClient`, or several of them in turn. */
export type PushClient = Pick<HttpClient, "post" | "close">;

export const PUSH_PATH = "/push.v1.PusherService/Push";
const FAILURES_TOLD_MAX = 5;

export async function runPushes(
  options: PushRunOptions,
  modules: { readonly generator: PushGenerator; readonly client: PushClient; readonly progress: (line: string) => void },
): Promise<PushRunResult> {
  const { generator, client, progress } = modules;
  const { pushCount } = generator.workload;
  const latenciesMs = new Float64Array(pushCount).fill(NaN);
  const refused: number[] = [];
  const unsure: number[] = [];
  const failures: string[] = [];
  let ackedCount = 0;
  let rawBytes = 0;
  let sentBytes = 0;
  let elapsedMs = 0;
  let gunzipMs = 0;
  const peak = new PeakMemory(options.pids);
  let before: ProcessCost | undefined;

  const send = async (body: ReadyBody, index: number): Promise<void> => {
    const startMs = performance.now();
    let failure: string | undefined;
    try {
      const reply = await client.post(PUSH_PATH, "application/proto", body.bytes);
      if (reply.status === 200) {
        ackedCount++;
        rawBytes += body.rawBytes;
        sentBytes += body.bytes.length;
      } else {
        // A 4xx status, 429 among them, says that nothing was stored. Any other answer leaves it unknown.
        (reply.status >= 400 && reply.status < 500 && reply.status !== 408 ? refused : unsure).push(index);
        failure = `push ${index}: ${reply.status} ${reply.body.toString().slice(0, 200)}`;
      }
    } catch (error) {
      // What never reached the server was not stored.
      ((error as NodeJS.ErrnoException).code === "ECONNREFUSED" ? refused : unsure).push(index);
      failure = `push ${index}: ${(error as Error).message}`;
    }
    if (failure === undefined) latenciesMs[index] = performance.now() - startMs;
    if (failure !== undefined && failures.length < FAILURES_TOLD_MAX) failures.push(failure);
  };

  for (let from = 0; from < pushCount; ) {
    progress(`making bodies from push ${from} of ${pushCount}`);
    const batch = await makeBatch(generator, from, options.aheadBytes);
    if (from === 0) {
      gunzipMs = measureGunzip(batch);
      before = options.pids.length === 0 ? undefined : readProcessCost(options.pids);
    }
    const startMs = performance.now();
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < batch.length) {
        const at = next++;
        await send(batch[at]!, from + at);
      }
    };
    const ticker = setInterval(() => {
      const rate = ackedCount / ((elapsedMs + performance.now() - startMs) / 1000);
      progress(`${from + next} of ${pushCount} pushed, ${rate.toFixed(0)}/s, ${refused.length + unsure.length} failed`);
    }, 1_000);
    await Promise.all(Array.from({ length: options.inFlightCount }, worker));
    clearInterval(ticker);
    elapsedMs += performance.now() - startMs;
    from += batch.length;
    client.close();
  }

  const after = before === undefined ? undefined : readProcessCost(options.pids);
  const cpuMs = before === undefined || after === undefined ? undefined : after.cpuMs - before.cpuMs;
  const flush = options.isFlushedAtEnd ? await flushNow(client, options.pids, after) : undefined;
  peak.stop();
  return {
    pushCount,
    ackedCount,
    refused,
    unsure,
    failures,
    elapsedMs,
    rawBytes,
    sentBytes,
    latenciesMs: latenciesMs.filter((latencyMs) => !Number.isNaN(latencyMs)),
    cpuMs,
    peak: before === undefined ? undefined : { anonymousBytes: peak.anonymousBytes, residentBytes: peak.residentBytes },
    gunzipMs,
    flush,
  };
}

async function flushNow(client: PushClient, pids: readonly number[], before: ProcessCost | undefined): Promise<PushRunResult["flush"]> {
  const startMs = performance.now();
  const { status } = await client.post("/flush", "application/json", new Uint8Array(0));
  const after = before === undefined ? undefined : readProcessCost(pids);
  return { elapsedMs: performance.now() - startMs, cpuMs: before === undefined || after === undefined ? undefined : after.cpuMs - before.cpuMs, status };
}

// --- bodies -------------------------------------------------------------------------------------------------------------

export interface ReadyBody {
  readonly bytes: Uint8Array;
  readonly compressed: Uint8Array;
  /** Size of the uncompressed pprof. */
  readonly rawBytes: number;
}

const gzipAsync = promisify(gzip);

/** Bodies that are compressed at once: enough to fill the thread pool, few compared with a batch. */
const COMPRESSING_COUNT = 16;

/** Encodes pushes from `from` on, up to `aheadBytes`. With gzip level 1, as profilers do. */
export async function makeBatch(generator: PushGenerator, from: number, aheadBytes: number): Promise<ReadyBody[]> {
  const batch: ReadyBody[] = [];
  let batchBytes = 0;
  while (from + batch.length < generator.workload.pushCount && batchBytes < aheadBytes) {
    const first = from + batch.length;
    const count = Math.min(COMPRESSING_COUNT, generator.workload.pushCount - first);
    const bodies = await Promise.all(
      Array.from({ length: count }, async (_, i): Promise<ReadyBody> => {
        const plan = generator.plan(first + i);
        const pprof = new Uint8Array(generator.encodePprof(plan));
        const compressed = await gzipAsync(pprof, { level: constants.Z_BEST_SPEED });
        return { bytes: generator.encodeRequest(plan, compressed), compressed, rawBytes: pprof.length };
      }),
    );
    for (const body of bodies) {
      batch.push(body);
      batchBytes += body.bytes.length + body.compressed.length;
    }
  }
  return batch;
}

const GUNZIP_BODY_COUNT_MAX = 1_000;

function measureGunzip(batch: readonly ReadyBody[]): number {
  const bodies = batch.slice(0, GUNZIP_BODY_COUNT_MAX);
  let bestMs = Infinity;
  for (let round = 0; round < 5; round++) {
    // CPU, as that of the servers: by the clock a busy machine would make the unit as long as it likes.
    const start = process.cpuUsage();
    for (const { compressed } of bodies) gunzipSync(compressed);
    const { user, system } = process.cpuUsage(start);
    bestMs = Math.min(bestMs, (user + system) / 1000);
  }
  return bestMs / bodies.length;
}
