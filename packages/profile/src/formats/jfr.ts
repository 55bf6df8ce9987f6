/** A JFR recording (jfr/recording.ts): one profile for each kind of what was sampled. */
import { gunzipWithin, GzipTooLarge, isGzip } from "@pyromesh/base";
import { LabelsSnapshot } from "../jfr/labels-snapshot.ts";
import { readRecording } from "../jfr/recording.ts";
import type { Recording } from "../jfr/recording.ts";
import { samplesToPprof } from "../jfr/samples-to-pprof.ts";
import type { Label } from "../labels/labels.ts";
import { LABEL_NAME } from "../labels/labels.ts";
import { pprofSizeBytesMax } from "../labels/limits.ts";
import { malformed, refusal } from "../labels/refusal.ts";
import type { FormatBody, FormatContext, FormatProfile } from "./format.ts";

/** How a recording is read. Plain data. */
export interface JfrForm {
  /** Samples a second, by which counts become nanoseconds. 0: they stay 0, as in Pyroscope. */
  readonly sampleRate: number;
  /** The request says from when the recording is. Where it does not, the recording has no clock of its own: its own time is of another clock. */
  readonly hasTime: boolean;
  /** Absent: as long as the recording says. */
  readonly durationMs?: number | undefined;
  /** The labels part, gzipped or not, as text of one character a byte: so it can be hashed with the request. */
  readonly labels?: string | undefined;
}

export function readJfr(body: Uint8Array, form: JfrForm, context: FormatContext): FormatBody {
  const { limits } = context;
  const snapshot = form.labels === undefined ? undefined : new LabelsSnapshot(inflated(Buffer.from(form.labels, "latin1"), pprofSizeBytesMax(limits)));
  return { profiles: profilesOf(readRecording(body, snapshot, limits), form, context) };
}

const NS_PER_S = 1_000_000_000;
const NS_PER_MS = 1_000_000n;

function* profilesOf(recording: Recording, form: JfrForm, { labels, limits, fallbackTimeNs }: FormatContext): Generator<FormatProfile> {
  const times = {
    timeNs: form.hasTime ? withOwnFraction(fallbackTimeNs, recording.startNs) : 0n,
    durationNs: form.durationMs === undefined ? BigInt.asUintN(63, recording.durationNs) : BigInt(Math.round(form.durationMs)) * NS_PER_MS,
    periodNs: form.sampleRate > 0 ? Math.floor(NS_PER_S / form.sampleRate) : 0,
  };
  for (const [kind, samples] of recording.samples) {
    const own: Label[] = [...labels, { name: LABEL_NAME, value: kind.name }];
    if (recording.sampledEvent !== "") own.push({ name: LABEL_JFR_EVENT, value: recording.sampledEvent });
    yield { pprof: samplesToPprof(recording, kind, samples, times, pprofSizeBytesMax(limits)), labels: own };
  }
}

const LABEL_JFR_EVENT = "jfr_event";

/**
 * The request gives its time in whole seconds (as the agent does) or milliseconds. What lies below is taken from the recording's own clock: two
 * processes with equal labels, which send the same few samples in one second, are told apart, and a recording that is sent again counts once.
 */
function withOwnFraction(timeNs: bigint, startNs: bigint): bigint {
  const unitNs = timeNs % BigInt(NS_PER_S) === 0n ? BigInt(NS_PER_S) : NS_PER_MS;
  return timeNs - (timeNs % unitNs) + (startNs % unitNs);
}

function inflated(labels: Uint8Array, sizeBytesMax: number): Uint8Array {
  if (!isGzip(labels)) return labels;
  try {
    return gunzipWithin(labels, sizeBytesMax);
  } catch (error) {
    if (error instanceof GzipTooLarge) {
      throw refusal("profile_size_limit", `the field labels has more than ${sizeBytesMax} bytes once decompressed: use fewer label sets in one recording, or raise limits.max_profile_size_bytes`);
    }
    throw malformed("the field labels is a gzip stream that is torn or damaged: send it whole");
  }
}
