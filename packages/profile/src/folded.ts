/**
 * Folded stacktraces, the text formats of /ingest, and what they are turned into: a pprof of function names.
 *
 *   groups:  main;serve;parse 12      the count stands behind the last space; a line without a space says nothing
 *   lines:   main;serve;parse         every line counts one
 *
 * Equal stacks are one and add up; one ";" at a stack's end is no frame. What does not fit into 64 bits, as counted or in the unit
 * it is kept in, is refused: it would come back as another number, or not at all.
 *
 * Text names no profile type: it is told from what stands behind the last dot of the application's name (reference 1.4).
 */
import { isUtf8 } from "node:buffer";
import { decodeUtf8, invalidArgument } from "@pyromesh/base";
import { PprofWriter } from "./pprof-write.ts";
import type { SampleType } from "./profile-type.ts";
import { malformed } from "./refusal.ts";

/** How a text is read, and as what. Plain data: it travels with the text to where profiles are decoded. */
export interface FoldedText {
  readonly mode: "groups" | "lines";
  readonly profile: AppProfile;
}

/** Throws a refusal. A text without stacks gives a profile without samples. */
export function pprofOfText(bytes: Uint8Array, { mode, profile }: FoldedText): Uint8Array {
  return foldedToPprof(parseFolded(bytes, { mode }), profile);
}

export interface FoldedStack {
  /** Function names from the root, joined by ";". */
  readonly stack: string;
  readonly count: number | bigint;
}

/** Each stack once. Throws a refusal for a count that is no whole number of 64 bits. */
export function parseFolded(bytes: Uint8Array, options: { readonly mode: "groups" | "lines" }): FoldedStack[] {
  if (!isUtf8(bytes)) throw malformed("the folded stacks are not UTF-8: encode them as UTF-8, or send format=pprof where this is a pprof profile");
  const lines = decodeUtf8(bytes).split("\n");
  const counts = options.mode === "groups" ? sumGroups(lines) : countLines(lines);
  return [...counts].map(([stack, count]): FoldedStack => ({ stack, count }));
}

function sumGroups(lines: readonly string[]): Map<string, number | bigint> {
  const counts = new Map<string, number | bigint>();
  for (const [i, line] of lines.entries()) {
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    const space = text.lastIndexOf(" ");
    if (space < 0) continue;
    const digits = text.slice(space + 1);
    if (!/^[+-]?[0-9]+$/.test(digits)) {
      throw malformed(`line ${i + 1} ends in ${JSON.stringify(digits.slice(0, 40))}: end it with a space and a whole number, as in "main;work 12"`);
    }
    const stack = withoutLastSemicolon(text.slice(0, space));
    const sum = plus(counts.get(stack) ?? 0, digits);
    if (typeof sum === "bigint" && !isInt64(sum)) throw malformed(`line ${i + 1} has a count beyond 64 bits, by itself or with those of its stack before: send a smaller one`);
    counts.set(stack, sum);
  }
  return counts;
}

/** Digits that a number holds exactly. */
const EXACT_DIGITS_MAX = 15;

/** In numbers as long as they are exact: most counts are small. */
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
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (text === "") continue;
    const stack = withoutLastSemicolon(text);
    counts.set(stack, (counts.get(stack) ?? 0) + 1);
  }
  return counts;
}

function withoutLastSemicolon(stack: string): string {
  return stack.endsWith(";") ? stack.slice(0, -1) : stack;
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
  /** Every count stands for this many of the sample type's unit. */
  readonly scale: number;
}

const NO_TYPE: SampleType = { type: "", unit: "" };
const CPU_NANOSECONDS: SampleType = { type: "cpu", unit: "nanoseconds" };
const NS_PER_S = 1_000_000_000;

/** Suffix -> `__name__`, sample type, unit; those measured in samples of time are apart, in `profileOfAppName`. */
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
export function splitAppName(app: string): { readonly service: string; readonly suffix: string } {
  const dot = app.lastIndexOf(".");
  return dot < 0 ? { service: app, suffix: "" } : { service: app.slice(0, dot), suffix: app.slice(dot + 1) };
}

/** Throws `APP_SUFFIX_UNKNOWN`. `sampleRate` is in samples a second; 0: counts are kept as counts. */
export function profileOfAppName(suffix: string, sampleRate: number): AppProfile {
  switch (suffix) {
    case "":
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
  });
  const scale = BigInt(profile.scale);
  for (const { stack, count } of stacks) {
    const value = BigInt(count) * scale;
    if (value === 0n) continue; // nothing, but it would count as a sample
    if (!isInt64(value)) {
      throw malformed(`${JSON.stringify(stack.slice(0, 100))} counts ${count}, which is beyond 64 bits in ${profile.sampleType.unit} of the sample rate: send a smaller count`);
    }
    const frames = stack.split(";").map((name) => writer.frame(name));
    writer.sample(frames.reverse(), [value]);
  }
  return writer.finish();
}
