/**
 * The options of a load run. `Workload` determines the content of every push, byte for byte and on any day, so that what the server
 * should hold can be computed long after the run.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

export interface Workload {
  readonly seed: number;
  readonly pushCount: number;
  readonly podCount: number;
  readonly serviceCount: number;
  /** Services have the names `<prefix>-0`, `<prefix>-1`, ... */
  readonly servicePrefix: string;
  /** All timestamps are in the 50 minutes before it. */
  readonly endMs: number;
  /** Push i has the content of push i modulo this, and a profile id of its own, which makes it another record. Absent: every push has its own content. */
  readonly distinctCount?: number;
}

export interface LoadOptions {
  readonly url: string;
  /** The server's processes, whose cost is read from /proc. Several for a cluster. */
  readonly pids: readonly number[];
  readonly inFlightCount: number;
  readonly phase: "push" | "verify" | "both";
  readonly isFlushedAtEnd: boolean;
  readonly workload: Workload;
  /** The file that holds the workload and what was not acknowledged, between pushing and verifying. */
  readonly ledgerFile: string | undefined;
  readonly jsonFile: string | undefined;
  /** The most bytes of bodies that are encoded ahead. */
  readonly aheadBytes: number;
  readonly corpusFolder: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Series whose pprof is compared stack by stack. */
  readonly profileSeriesCount: number;
}

export const RANGE_MS: number = 50 * 60_000;

export const USAGE = `npm run bench -- load [options]

  --url URL          the server (http://127.0.0.1:4040)
  --pid PID          of the server; its CPU and memory are read from /proc (repeatable)
  --pushes N         (20000)         --in-flight N   (8)
  --pods N           (200)           --services N    (4)
  --seed N           (1)             --service-prefix NAME  (load)
  --phase PHASE      push, verify or both (push)
  --verify           the same as --phase both
  --flush-at-end     POST /flush after the last push, timed apart
  --ledger FILE      written by push, read by verify: the workload, and which pushes were not acknowledged
  --end-ms MS        end of the timestamps (now); verify without a ledger file needs the one of the push
  --profiles N       series compared by their pprof (10)
  --header K=V       sent with every request, for example X-Scope-OrgID=a (repeatable)
  --json FILE        the result as JSON; - for standard output
  --ahead-mb N       bodies made in advance, between bursts of pushes (256)
  --corpus DIR       the real profiles (PYROMESH_CORPUS, else ../shared/corpus)
`;

/** Throws an Error that says what to change. */
export function readLoadOptions(args: readonly string[], nowMs: number): LoadOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      url: { type: "string", default: "http://127.0.0.1:4040" },
      pid: { type: "string", multiple: true, default: [] },
      pushes: { type: "string", default: "20000" },
      "in-flight": { type: "string", default: "8" },
      pods: { type: "string", default: "200" },
      services: { type: "string", default: "4" },
      seed: { type: "string", default: "1" },
      "service-prefix": { type: "string", default: "load" },
      phase: { type: "string", default: "push" },
      verify: { type: "boolean", default: false },
      "flush-at-end": { type: "boolean", default: false },
      ledger: { type: "string" },
      "end-ms": { type: "string" },
      profiles: { type: "string", default: "10" },
      header: { type: "string", multiple: true, default: [] },
      json: { type: "string" },
      "ahead-mb": { type: "string", default: "256" },
      corpus: { type: "string" },
    },
  });
  const phase = values.verify ? "both" : values.phase;
  if (phase !== "push" && phase !== "verify" && phase !== "both") throw new Error(`--phase ${phase}: use push, verify or both`);
  return {
    url: values.url.replace(/\/+$/, ""),
    pids: values.pid.map((pid) => wholeNumber("pid", pid, 1)),
    inFlightCount: wholeNumber("in-flight", values["in-flight"], 1),
    phase,
    isFlushedAtEnd: values["flush-at-end"],
    workload: {
      seed: wholeNumber("seed", values.seed, 0),
      pushCount: wholeNumber("pushes", values.pushes, 1),
      podCount: wholeNumber("pods", values.pods, 1),
      serviceCount: wholeNumber("services", values.services, 1),
      servicePrefix: values["service-prefix"],
      endMs: values["end-ms"] === undefined ? nowMs : wholeNumber("end-ms", values["end-ms"], 1),
    },
    ledgerFile: values.ledger,
    jsonFile: values.json,
    aheadBytes: wholeNumber("ahead-mb", values["ahead-mb"], 1) * 2 ** 20,
    corpusFolder: values.corpus ?? defaultCorpusFolder(),
    headers: Object.fromEntries(values.header.map(headerOf)),
    profileSeriesCount: wholeNumber("profiles", values.profiles, 0),
  };
}

export function defaultCorpusFolder(): string {
  const repository = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../..");
  return process.env["PYROMESH_CORPUS"] ?? path.join(repository, "../shared/corpus");
}

export function hasCorpus(folder: string): boolean {
  return existsSync(path.join(folder, "pprof"));
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) throw new Error(`--${name} ${text}: use a whole number of at least ${least}`);
  return value;
}

function headerOf(text: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new Error(`--header ${text}: write it as Name=value`);
  return [text.slice(0, equals).toLowerCase(), text.slice(equals + 1)];
}
