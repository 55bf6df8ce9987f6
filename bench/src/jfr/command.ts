/**
 * `npm run bench -- jfr FILE.jfr.gz ...`: the CPU time of one thread from a recording to its encoded records, warm, per MB of the recording once it is decompressed. A file
 * `X.labels.pb.gz` beside `X.jfr.gz` is its labels part. User and system time, the median of several runs: compare figures of one machine alone.
 */
import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { isGzip } from "@pyromesh/base";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS, encodePush } from "@pyromesh/profile";
import { readFormat } from "@pyromesh/profile/files";

const USAGE = "usage: npm run bench -- jfr FILE.jfr.gz ...\n";
const RUNS = 40;
/** The clock of CPU time is coarse, so a run is several recordings. */
const RECORDINGS_PER_RUN = 10;
const NOW_MS = 1_700_000_000_000;

export function runJfrCommand(files: readonly string[]): Promise<number> {
  if (files.length === 0 || files.includes("--help")) {
    (files.length === 0 ? process.stderr : process.stdout).write(USAGE);
    return Promise.resolve(files.length === 0 ? 2 : 0);
  }
  let totalMs = 0;
  let totalMb = 0;
  for (const file of files) {
    const recording = open(file);
    const labelsFile = file.replace(/\.jfr\.gz$/, ".labels.pb.gz");
    const labels = labelsFile !== file && existsSync(labelsFile) ? Buffer.from(open(labelsFile)).toString("latin1") : undefined;
    const runs = Array.from({ length: RUNS }, () => cpuMsOf(recording, labels));
    // The first half warms up.
    const ms = runs.slice(RUNS / 2).sort((a, b) => a - b)[RUNS / 4]!;
    const mb = recording.length / 1e6;
    totalMs += ms;
    totalMb += mb;
    process.stdout.write(`${file}: ${recording.length} bytes, ${ms.toFixed(2)} ms, ${(ms / mb).toFixed(1)} ms/MB\n`);
  }
  process.stdout.write(`all: ${(totalMs / totalMb).toFixed(1)} ms/MB\n`);
  return Promise.resolve(0);
}

function cpuMsOf(recording: Uint8Array, labels: string | undefined): number {
  const start = process.cpuUsage();
  for (let i = 0; i < RECORDINGS_PER_RUN; i++) encode(recording, labels);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000 / RECORDINGS_PER_RUN;
}

function encode(recording: Uint8Array, labels: string | undefined): void {
  const fallbackTimeNs = BigInt(NOW_MS) * 1_000_000n;
  const context = { labels: [{ name: "service_name", value: "bench" }], limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs };
  for (const profile of readFormat({ kind: "jfr", form: { sampleRate: 100, hasTime: true, labels } }, recording, context).profiles) {
    encodePush({ tenant: "bench", labels: profile.labels, pprof: profile.pprof, fallbackTimeNs, nonce: new Uint8Array(16), nowMs: NOW_MS, limits: DEFAULT_PROFILE_LIMITS, window: DEFAULT_ACCEPTANCE_WINDOW });
  }
}

function open(file: string): Uint8Array {
  const bytes = readFileSync(file);
  return isGzip(bytes) ? gunzipSync(bytes) : bytes;
}
