/**
 * `npm run bench -- commits`: what a record costs in the head. It appends to a real LevelDB in a temporary directory, several records in
 * flight at once, and cuts and seals as the flusher does, so that LevelDB's compactions are part of the figures.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CodedError, Metrics, seededRandom, silentLogger, systemClock } from "@pyromesh/base";
import { openHead } from "@pyromesh/head";
import type { Cut, Head } from "@pyromesh/head";
import type { EncodedRecord } from "@pyromesh/profile";

const USAGE = `usage: npm run bench -- commits [options]

  --records N       how many to append (20000), after a tenth as many to warm up
  --in-flight N     appends at once (12)
  --record-bytes N  bytes of one (10240)
  --per-second N    at most so many a second (0: as many as go)
  --cut-mb N        cut after so many MB, and seal the cut when half the next one is there (64)
  --budget-mb N     disk budget (65536); a cut is no larger than it wants one, and what it refuses is tried again
  --dir DIR         where (the system's temp directory)
`;

interface CommitsOptions {
  readonly recordCount: number;
  readonly inFlightCount: number;
  readonly recordBytes: number;
  readonly perSecond: number;
  readonly cutBytes: number;
  readonly budgetBytes: number;
  readonly dir: string;
}

export async function runCommitsCommand(args: readonly string[]): Promise<number> {
  let options: CommitsOptions;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean" },
        records: { type: "string", default: "20000" },
        "in-flight": { type: "string", default: "12" },
        "record-bytes": { type: "string", default: "10240" },
        "per-second": { type: "string", default: "0" },
        "cut-mb": { type: "string", default: "64" },
        "budget-mb": { type: "string", default: "65536" },
        dir: { type: "string", default: tmpdir() },
      },
    });
    if (values.help === true) {
      process.stdout.write(USAGE);
      return 0;
    }
    options = {
      recordCount: numberOf("records", values.records, 1),
      inFlightCount: numberOf("in-flight", values["in-flight"], 1),
      recordBytes: numberOf("record-bytes", values["record-bytes"], 1),
      perSecond: numberOf("per-second", values["per-second"], 0),
      cutBytes: numberOf("cut-mb", values["cut-mb"], 1) * (1 << 20),
      budgetBytes: numberOf("budget-mb", values["budget-mb"], 1) * 2 ** 20,
      dir: values.dir,
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const dir = mkdtempSync(join(options.dir, "pyromesh-commits-"));
  try {
    await measureCommits(options, dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return 0;
}

async function measureCommits(options: CommitsOptions, dir: string): Promise<void> {
  const metrics = new Metrics();
  const head = await openHead({ dir, diskBudgetBytes: options.budgetBytes }, { clock: systemClock, random: seededRandom(1), logger: silentLogger, metrics });
  await head.replay(async () => {});
  const makeRecord = recordMaker(options.recordBytes);
  const cutter = new Cutter(head, Math.min(options.cutBytes, head.cutBytesMax));

  await appendAll(head, makeRecord, Math.ceil(options.recordCount / 10), options, cutter);
  const commitsBefore = await commitCount(metrics);
  const before = costNow();
  const loopBefore = performance.eventLoopUtilization();
  const dirBytesMax = { value: 0 };
  const watch = setInterval(() => (dirBytesMax.value = Math.max(dirBytesMax.value, bytesUnder(join(dir, "db")))), 250);
  await appendAll(head, makeRecord, options.recordCount, options, cutter);
  clearInterval(watch);
  const loop = performance.eventLoopUtilization(loopBefore);
  const appended = costNow();
  await cutter.settle();
  await head.close(); // waits for LevelDB's running compactions
  const closed = costNow();

  const perRecord = (us: number): string => (us / options.recordCount).toFixed(1);
  const seconds = (appended.wallUs - before.wallUs) / 1e6;
  const commits = (await commitCount(metrics)) - commitsBefore;
  process.stdout.write(
    [
      `records                    ${options.recordCount} of ${options.recordBytes} bytes, ${options.inFlightCount} in flight: ${(options.recordCount / seconds).toFixed(0)} a second, ${(options.recordCount / commits).toFixed(1)} a commit`,
      `main thread, µs a record   ${before.mainUs === undefined ? "unknown here" : perRecord(appended.mainUs! - before.mainUs)}   (event loop busy ${(loop.utilization * 100).toFixed(0)} %)`,
      `process, µs a record       ${perRecord(appended.processUs - before.processUs)}, with what it compacts until it is closed ${perRecord(closed.processUs - before.processUs)}`,
      `written, bytes a byte      ${((closed.writtenBytes - before.writtenBytes) / (options.recordCount * options.recordBytes)).toFixed(2)}`,
      `LevelDB on disk, at most   ${(dirBytesMax.value / (1 << 20)).toFixed(0)} MB`,
      `anonymous memory, at most  ${(appended.anonymousBytes / (1 << 20)).toFixed(0)} MB`,
      "",
    ].join("\n"),
  );
}

/** `inFlightCount` appenders, each with one append in flight. */
async function appendAll(head: Head, makeRecord: () => EncodedRecord, count: number, options: CommitsOptions, cutter: Cutter): Promise<void> {
  const startMs = performance.now();
  let begun = 0;
  const appendOn = async (): Promise<void> => {
    while (begun < count) {
      const dueMs = options.perSecond === 0 ? 0 : startMs + (begun * 1000) / options.perSecond;
      begun++;
      const waitMs = dueMs - performance.now();
      if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const record = makeRecord();
      for (let isTaken = false; !isTaken; ) {
        isTaken = await head.append(record).then(() => true, refused);
        cutter.look();
      }
    }
  };
  await Promise.all(Array.from({ length: options.inFlightCount }, appendOn));
}

/** Waits a little before the next try, as a client does. Rethrows any error that is no refusal. */
async function refused(error: unknown): Promise<false> {
  if (!(error instanceof CodedError) || error.code !== "HEAD_FULL") throw error;
  await new Promise((resolve) => setTimeout(resolve, 5));
  return false;
}

/** Cuts by size, and seals each cut (as if it were in the bucket) when half of the next one has come in. */
class Cutter {
  readonly #head: Head;
  readonly #cutBytes: number;
  #cut: Cut | undefined;
  #cutting: Promise<void> | undefined;

  constructor(head: Head, cutBytes: number) {
    this.#head = head;
    this.#cutBytes = cutBytes;
  }

  look(): void {
    if (this.#cutting !== undefined) return;
    const { openBytes } = this.#head.stats;
    if (this.#cut === undefined ? openBytes < this.#cutBytes : openBytes < this.#cutBytes / 2) return;
    this.#cutting = this.#cutAndSeal().finally(() => {
      this.#cutting = undefined;
    });
  }

  async settle(): Promise<void> {
    await this.#cutting;
  }

  async #cutAndSeal(): Promise<void> {
    if (this.#cut === undefined) {
      this.#cut = await this.#head.cut();
      return;
    }
    await this.#head.seal(this.#cut.cutId, []);
    this.#cut = undefined;
  }
}

/** Makes records with different identities. The bytes of each are one of a few hundred random buffers. */
function recordMaker(recordBytes: number): () => EncodedRecord {
  const random = seededRandom(7);
  const bodies = Array.from({ length: 256 }, () => random.bytes(recordBytes));
  let number = 0;
  return () => {
    const identity = new Uint8Array(16);
    new DataView(identity.buffer).setUint32(0, ++number);
    return { identity, tenant: "anonymous", service: `service-${number % 4}`, timeMs: 1_700_000_000_000 + number, sampleCount: 100, fingerprint: BigInt(number % 200), bytes: bodies[number % bodies.length]! };
  };
}

interface CostNow {
  readonly wallUs: number;
  readonly processUs: number;
  /** Undefined where the system does not report it. */
  readonly mainUs: number | undefined;
  readonly writtenBytes: number;
  readonly anonymousBytes: number;
}

/** On other systems than Linux only the CPU of the process is known. */
function costNow(): CostNow {
  const { user, system } = process.cpuUsage();
  return {
    wallUs: performance.now() * 1000,
    processUs: user + system,
    mainUs: numberIn(`/proc/self/task/${process.pid}/schedstat`, /^(\d+)/, 1 / 1000),
    writtenBytes: numberIn("/proc/self/io", /^wchar: (\d+)/m, 1) ?? 0,
    anonymousBytes: numberIn("/proc/self/status", /^RssAnon:\s+(\d+)/m, 1024) ?? 0,
  };
}

function numberIn(path: string, pattern: RegExp, scale: number): number | undefined {
  try {
    const found = pattern.exec(readFileSync(path, "latin1"));
    return found === null ? undefined : Number(found[1]) * scale;
  } catch {
    return undefined;
  }
}

async function commitCount(metrics: Metrics): Promise<number> {
  return Number(/^pyromesh_commit_records_count (\d+)/m.exec(await metrics.text())?.[1] ?? 0);
}

/** A file may disappear in between: LevelDB deletes what it has compacted. */
function bytesUnder(dir: string): number {
  return readdirSync(dir).reduce((sum, name) => sum + (statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

function numberOf(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) throw new Error(`--${name} takes a whole number of at least ${least}, not "${text}"`);
  return value;
}
