/**
 * Folded stacktraces, the text formats of /ingest, are turned into a pprof of function names.
 *
 *   groups:  main;serve;parse 12      the count is the last word, behind blanks or tabs
 *   lines:   main;serve;parse         every line counts one
 *
 * In both, lines end in LF or CRLF; blank lines and lines that begin with `#` are skipped; empty frames (`;main`, `a;;b`) are left out.
 * The counts of equal stacks add up. Any other line without a count refuses the whole text. So does a count that does not fit
 * into 64 bits, as it is or in the unit in which it is kept: it would come back as another number.
 *
 * Text names no profile type. As in Pyroscope the application's name does, by its suffix after the last dot: `shop.cpu`.
 */
import { isUtf8 } from "node:buffer";
import { decodeUtf8, invalidArgument } from "@pyromesh/base";
import { hexOfInvalidText } from "../pprof/invalid-text.ts";
import { hasJoinedLines } from "./joined-lines.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import type { SampleType } from "../labels/profile-type.ts";
import { malformed } from "../labels/refusal.ts";

/** How a text is read, and as which profile type. Plain data: it is sent to the worker together with the text. */
export interface FoldedText {
  readonly mode: "groups" | "lines";
  readonly profile: AppProfile;
  /** Its content type is that of a form. `curl -d` sends that for everything. */
  readonly isForm?: boolean | undefined;
}

/** Throws a refusal. A text without stacks gives a profile without samples. */
export function pprofOfText(bytes: Uint8Array, { mode, profile, isForm }: FoldedText): Uint8Array {
  return foldedToPprof(parseFolded(bytes, { mode, isForm }), profile);
}

export interface FoldedStack {
  /** Function names from the root, joined by ";", none of them empty. No frame at all: "". */
  readonly stack: string;
  readonly count: number | bigint;
}

/** Returns each stack once. Throws a refusal for a line that cannot be read. */
export function parseFolded(bytes: Uint8Array, options: Pick<FoldedText, "mode" | "isForm">): FoldedStack[] {
  if (!isUtf8(bytes)) throw notUtf8(bytes);
  const text = decodeUtf8(bytes).replace(/^\ufeff/, ""); // the byte order mark of a file
  if (options.mode === "groups" && hasJoinedLines(text, { isForm: options.isForm === true })) {
    throw malformed(
      "the text is one line in which a count runs into the next stack, as `curl -d @file` sends a file, without its line ends: send it with `--data-binary @file`; a single stack whose names look so takes a line end or Content-Type: text/plain",
    );
  }
  const lines = text.split("\n");
  const counts = options.mode === "groups" ? sumGroups(lines) : countLines(lines);
  return [...counts].map(([stack, count]): FoldedStack => ({ stack, count }));
}

function notUtf8(bytes: Uint8Array): Error {
  let line = 1;
  let from = 0;
  for (;;) {
    const end = bytes.indexOf(LF, from);
    const to = end < 0 ? bytes.length : end;
    // No byte of a longer character is a line end, so one line by itself is not UTF-8.
    if (end < 0 || !isUtf8(bytes.subarray(from, to))) {
      return malformed(
        `line ${line} of the folded stacks is not UTF-8, its bytes are ${hexOfInvalidText(bytes.subarray(from, to))}: encode the text as UTF-8, or send format=pprof where this is a pprof profile`,
      );
    }
    line++;
    from = end + 1;
  }
}

const LF = 0x0a;

function sumGroups(lines: readonly string[]): Map<string, number | bigint> {
  const counts = new Map<string, number | bigint>();
  for (const [i, line] of lines.entries()) {
    const end = endWithoutBlanks(line, line.length);
    if (end === 0 || isComment(line)) continue;
    let countFrom = end;
    while (countFrom > 0 && !isBlank(line.charCodeAt(countFrom - 1))) countFrom--;
    const digits = line.slice(countFrom, end);
    if (countFrom === 0 || !/^[+-]?[0-9]+$/.test(digits)) {
      throw malformed(`line ${i + 1} ends in ${JSON.stringify(digits.slice(-40))}, which is no count: end it with a blank and a whole number, as in "main;work 12"`);
    }
    const stack = withoutEmptyFrames(line.slice(0, endWithoutBlanks(line, countFrom)));
    const sum = plus(counts.get(stack) ?? 0, digits);
    if (typeof sum === "bigint" && !isInt64(sum)) throw malformed(`line ${i + 1} has a count beyond 64 bits, by itself or with those of its stack before: send a smaller one`);
    counts.set(stack, sum);
  }
  return counts;
}

/** Every number of at most this many digits is exact as a double. */
const EXACT_DIGITS_MAX = 15;

/** Adds in doubles while the sum is exact, since most counts are small. */
function plus(count: number | bigint, digits: string): number | bigint {
  if (typeof count === "number" && digits.length <= EXACT_DIGITS_MAX) {
    const sum = count + Number(digits);
    if (Number.isSafeInteger(sum)) return sum;
  }
  const exact = BigInt(count) + BigInt(digits.startsWith("+") ? digits.slice(1) : digits);
  const sum = Number(exact);
  return Number.isSafeInteger(sum) ? sum : exact;
}

function countLines(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of lines) {
    if (endWithoutBlanks(line, line.length) === 0 || isComment(line)) continue;
    const stack = withoutEmptyFrames(line.endsWith("\r") ? line.slice(0, -1) : line);
    counts.set(stack, (counts.get(stack) ?? 0) + 1);
  }
  return counts;
}

/** A blank, a tab, or the CR of a line end. */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d;
}

function endWithoutBlanks(line: string, end: number): number {
  let at = end;
  while (at > 0 && isBlank(line.charCodeAt(at - 1))) at--;
  return at;
}

/** `perf` and similar tools write such lines before the stacks: `# event: cpu`. */
function isComment(line: string): boolean {
  let at = 0;
  while (at < line.length && isBlank(line.charCodeAt(at))) at++;
  return line.startsWith("#", at);
}

function withoutEmptyFrames(stack: string): string {
  if (!stack.startsWith(";") && !stack.endsWith(";") && !stack.includes(";;")) return stack;
  return stack
    .split(";")
    .filter((frame) => frame !== "")
    .join(";");
}

function isInt64(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value;
}

/** What a text profile of an application holds. */
export interface AppProfile {
  /** `__name__` */
  readonly name: string;
  readonly sampleType: SampleType;
  readonly periodType: SampleType;
  readonly period: number;
  /** A count of 1 stands for this many units of the sample type. */
  readonly scale: number;
}

const NO_TYPE: SampleType = { type: "", unit: "" };
const CPU_NANOSECONDS: SampleType = { type: "cpu", unit: "nanoseconds" };
const NS_PER_S = 1_000_000_000;

/** `__name__`, sample type and unit by suffix. Suffixes whose counts are samples of time are in `profileOfAppName`. */
const PROFILE_BY_SUFFIX: ReadonlyMap<string, readonly [string, string, string]> = new Map([
  ["inuse_objects", ["memory", "inuse_objects", "count"]],
  ["alloc_objects", ["memory", "alloc_objects", "count"]],
  ["inuse_space", ["memory", "inuse_space", "bytes"]],
  ["alloc_space", ["memory", "alloc_space", "bytes"]],
  ["goroutines", ["goroutine", "goroutines", "count"]],
  ["mutex_count", ["mutex", "contentions", "count"]],
  ["mutex_duration", ["mutex", "delay", "nanoseconds"]],
  ["block_count", ["block", "contentions", "count"]],
  ["block_duration", ["block", "delay", "nanoseconds"]],
  ["lock_count", ["block", "contentions", "count"]],
  ["lock_duration", ["block", "delay", "nanoseconds"]],
  ["alloc_in_new_tlab_objects", ["memory", "alloc_in_new_tlab_objects", "count"]],
  ["alloc_in_new_tlab_bytes", ["memory", "alloc_in_new_tlab_bytes", "bytes"]],
  ["alloc_outside_tlab_objects", ["memory", "alloc_outside_tlab_objects", "count"]],
  ["alloc_outside_tlab_bytes", ["memory", "alloc_outside_tlab_bytes", "bytes"]],
  ["live", ["memory", "live", "count"]],
  ["exceptions", ["exceptions", "samples", "count"]],
  ["bytes", ["memory", "samples", "bytes"]],
]);

/** `shop.cart.cpu` is service `shop.cart`, suffix `cpu`; without a dot there is no suffix. */
export function splitAppName(app: string): { readonly service: string; readonly suffix: string | undefined } {
  const dot = app.lastIndexOf(".");
  return dot < 0 ? { service: app, suffix: undefined } : { service: app.slice(0, dot), suffix: app.slice(dot + 1) };
}

/** Throws `APP_SUFFIX_UNKNOWN`. `sampleRate` is in samples a second; 0: counts are kept as counts. */
export function profileOfAppName(suffix: string | undefined, sampleRate: number): AppProfile {
  switch (suffix) {
    case undefined:
    case "cpu":
    case "itimer":
      return timeProfile("process_cpu", "cpu", sampleRate);
    case "wall":
    case "seconds":
    case "milliseconds":
    case "microseconds":
    case "nanoseconds":
      return timeProfile("wall", "wall", sampleRate);
    default: {
      const known = PROFILE_BY_SUFFIX.get(suffix);
      if (known === undefined) {
        throw invalidArgument(
          "APP_SUFFIX_UNKNOWN",
          `the name ends in ${JSON.stringify(`.${suffix}`)}, which is no profile type: end it with .cpu, .wall, .alloc_space, .inuse_space, .goroutines or another known one`,
        );
      }
      const [name, type, unit] = known;
      return { name, sampleType: { type, unit }, periodType: NO_TYPE, period: 0, scale: 1 };
    }
  }
}

function timeProfile(name: string, type: string, sampleRate: number): AppProfile {
  if (sampleRate <= 0) return { name, sampleType: { type: "samples", unit: "count" }, periodType: NO_TYPE, period: 0, scale: 1 };
  const period = Math.floor(NS_PER_S / sampleRate);
  return { name, sampleType: { type, unit: "nanoseconds" }, periodType: CPU_NANOSECONDS, period, scale: period };
}

/** A pprof of function names. Text has no clock: `timeNs` is 0 unless the caller knows one. Throws a refusal for a value beyond 64 bits. */
export function foldedToPprof(
  stacks: readonly FoldedStack[],
  profile: AppProfile,
  options: { readonly timeNs?: bigint; readonly durationNs?: bigint } = {},
): Uint8Array {
  const writer = new PprofWriter({
    sampleTypes: [profile.sampleType],
    periodType: profile.periodType,
    period: profile.period,
    timeNs: options.timeNs ?? 0n,
    durationNs: options.durationNs ?? 0n,
    isOfText: true,
  });
  const scale = BigInt(profile.scale);
  for (const { stack, count } of stacks) {
    const value = BigInt(count) * scale;
    if (value === 0n) continue; // it holds nothing, but would count as a sample
    if (!isInt64(value)) {
      throw malformed(`${JSON.stringify(stack.slice(0, 100))} counts ${count}, which is beyond 64 bits in ${profile.sampleType.unit} of the sample rate: send a smaller count`);
    }
    const frames = stack === "" ? [] : stack.split(";").map((name) => writer.frame(name));
    writer.sample(frames.reverse(), [value]);
  }
  return writer.finish();
}
