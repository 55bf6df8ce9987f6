/**
 * `npm run bench -- otlp EXPORT.pb.bin`: the CPU time of one thread from an OTLP export to its encoded records, warm, against that of the same profiles sent as pprof. User and
 * system time; both are measured in turn, and the ratio is the median of those of each turn.
 */
import { readFileSync } from "node:fs";
import { DEFAULT_PROFILE_LIMITS, encodePush } from "@pyromesh/profile";
import { readFormat } from "@pyromesh/profile/files";
import type { FormatProfile } from "@pyromesh/profile";

const USAGE = "usage: npm run bench -- otlp EXPORT.pb.bin\n";
/** The clock of CPU time is coarse, so a run is several exports. */
const EXPORTS_PER_RUN = 20;
const RUNS = 15;
const WARMUP_RUNS = 4;

export function runOtlpCommand([file, ...more]: readonly string[]): Promise<number> {
  if (file === undefined || file === "--help" || more.length > 0) {
    (file === "--help" ? process.stdout : process.stderr).write(USAGE);
    return Promise.resolve(file === "--help" ? 0 : 2);
  }
  const body = new Uint8Array(readFileSync(file));
  const pprofs = [...profilesOf(body)];
  const asOtlp = (): void => {
    for (const profile of profilesOf(body)) encode(profile);
  };
  const asPprof = (): void => {
    for (const profile of pprofs) encode(profile);
  };
  const runs = Array.from({ length: WARMUP_RUNS + RUNS }, () => ({ otlp: cpuMsOf(asOtlp), pprof: cpuMsOf(asPprof) })).slice(WARMUP_RUNS);
  const [otlp, pprof, ratio] = [medianOf(runs.map((run) => run.otlp)), medianOf(runs.map((run) => run.pprof)), medianOf(runs.map((run) => run.otlp / run.pprof))];
  process.stdout.write(`${file}: ${body.length} bytes, ${pprofs.length} profiles; OTLP ${otlp.toFixed(2)} ms, pprof ${pprof.toFixed(2)} ms, ratio ${ratio.toFixed(2)}\n`);
  return Promise.resolve(0);
}

function profilesOf(body: Uint8Array): Iterable<FormatProfile> {
  return readFormat({ kind: "otlp", form: { encoding: "protobuf" } }, body, { labels: [], limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: 1n }).profiles;
}

function encode({ labels, pprof }: FormatProfile): void {
  const window = { rejectOlderThanMs: 0, rejectNewerThanMs: 0 };
  encodePush({ tenant: "bench", labels, pprof, fallbackTimeNs: 1n, nonce: new Uint8Array(16), nowMs: 1, limits: DEFAULT_PROFILE_LIMITS, window });
}

function cpuMsOf(run: () => void): number {
  const start = process.cpuUsage();
  for (let i = 0; i < EXPORTS_PER_RUN; i++) run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000 / EXPORTS_PER_RUN;
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
