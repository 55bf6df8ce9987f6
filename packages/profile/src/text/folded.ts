/**
 * How folded text is to be read (formats/folded.ts reads it), and what it is a profile of.
 *
 * Text names no profile type. As in Pyroscope the application's name does, by its suffix after the last dot: `shop.cpu`.
 */
import { invalidArgument } from "@pyromesh/base";
import type { SampleType } from "../labels/profile-type.ts";

/** How a text is read, and as which profile type. Plain data: it is sent to the worker together with the text. */
export interface FoldedText {
  readonly mode: "groups" | "lines";
  readonly profile: AppProfile;
  /** Its content type is that of a form. `curl -d` sends that for everything. */
  readonly isForm?: boolean | undefined;
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
