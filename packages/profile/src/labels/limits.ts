/**
 * What a push may hold at most, and when it must be from. 0 lifts a limit. Defaults are Pyroscope's; its names for them
 * stand beside each.
 */
import type { CodedError } from "@pyromesh/base";
import { refusal } from "./refusal.ts";

export interface ProfileLimits {
  /** max_profile_size_bytes: pprof after gunzip. */
  readonly profileSizeBytesMax: number;
  /** max_profile_stacktrace_samples */
  readonly sampleCountMax: number;
  /** max_profile_stacktrace_sample_labels: labels of one sample, numeric ones included. */
  readonly sampleLabelCountMax: number;
  /** max_profile_stacktrace_depth: a deeper stacktrace keeps its root side. */
  readonly stacktraceDepthMax: number;
  /** max_profile_symbol_value_length: a longer string keeps its end. */
  readonly symbolLengthBytesMax: number;
  /** max_label_names_per_series */
  readonly labelCountMax: number;
  /** max_label_name_length */
  readonly labelNameLengthBytesMax: number;
  /** max_label_value_length */
  readonly labelValueLengthBytesMax: number;
  /** repair_truncated_go_stacktraces: ours, Pyroscope always does. */
  readonly repairsGoStacktraces: boolean;
}

/** A profile's time must lie within [now - older, now + newer]. */
export interface AcceptanceWindow {
  /** reject_older_than */
  readonly rejectOlderThanMs: number;
  /** reject_newer_than */
  readonly rejectNewerThanMs: number;
}

export const DEFAULT_PROFILE_LIMITS: ProfileLimits = {
  profileSizeBytesMax: 4 * 1024 * 1024,
  sampleCountMax: 16_000,
  sampleLabelCountMax: 100,
  stacktraceDepthMax: 1000,
  symbolLengthBytesMax: 65_535,
  labelCountMax: 30,
  labelNameLengthBytesMax: 1024,
  labelValueLengthBytesMax: 2048,
  repairsGoStacktraces: true,
};

export const DEFAULT_ACCEPTANCE_WINDOW: AcceptanceWindow = {
  rejectOlderThanMs: 3_600_000,
  rejectNewerThanMs: 600_000,
};

/** A kernel for more would need more memory than WebAssembly can address. */
export const PPROF_SIZE_BYTES_MAX: number = 16 * 2 ** 20;

/** How large a pprof may be that a reader of another format makes: more is refused, or could not be decoded where the limit was raised beyond it. */
export function pprofSizeBytesMax({ profileSizeBytesMax }: Pick<ProfileLimits, "profileSizeBytesMax">): number {
  return Math.min(orUnbounded(profileSizeBytesMax), PPROF_SIZE_BYTES_MAX);
}

export function checkProfileSize(sizeBytes: number, limits: ProfileLimits): void {
  if (limits.profileSizeBytesMax > 0 && sizeBytes > limits.profileSizeBytesMax) {
    throw refusal(
      "profile_size_limit",
      `the profile is ${sizeBytes} bytes uncompressed and at most ${limits.profileSizeBytesMax} are taken: profile for a shorter time, or raise limits.max_profile_size_bytes`,
    );
  }
}

/** Stands for no limit: no push has as many of anything, and V8 compares it as a small integer. */
const UNBOUNDED = 0x3fff_ffff;

/** `limit`, or a number beyond any push where it is 0. */
export function orUnbounded(limit: number): number {
  return limit > 0 && limit < UNBOUNDED ? limit : UNBOUNDED;
}

export function tooManySamples(sampleCountMax: number): CodedError {
  return refusal(
    "samples_limit",
    `the profile has more than ${sampleCountMax} samples: profile for a shorter time, or raise limits.max_profile_stacktrace_samples`,
  );
}

export function checkTime(timeNs: bigint, nowMs: number, window: AcceptanceWindow): void {
  const timeMs = Number(timeNs / 1_000_000n);
  if (window.rejectOlderThanMs > 0 && timeMs < nowMs - window.rejectOlderThanMs) {
    throw refusal(
      "not_in_ingestion_window",
      `the profile's time, ${describeTime(timeMs)}, is ${Math.round((nowMs - timeMs) / 1000)} s in the past and at most ${window.rejectOlderThanMs / 1000} s are taken: send it with the time at which it was taken, or raise limits.reject_older_than`,
    );
  }
  if (window.rejectNewerThanMs > 0 && timeMs > nowMs + window.rejectNewerThanMs) {
    throw refusal(
      "not_in_ingestion_window",
      `the profile's time, ${describeTime(timeMs)}, is ${Math.round((timeMs - nowMs) / 1000)} s in the future and at most ${window.rejectNewerThanMs / 1000} s are taken: set the client's clock, or raise limits.reject_newer_than`,
    );
  }
}

function describeTime(timeMs: number): string {
  const isDate = Math.abs(timeMs) <= 8.64e15; // the range of a Date
  return isDate ? new Date(timeMs).toISOString() : `${timeMs} ms`;
}
