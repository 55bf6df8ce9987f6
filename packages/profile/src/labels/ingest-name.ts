/**
 * Finds the `__name__` of a pprof that was pushed to /ingest, which does not name its profile. As in Pyroscope it follows from the sample types,
 * under the display names that the client gives them. The first sample type that fits decides, except that a `wall` anywhere makes it a wall
 * profile; where none fits, the last display name is used.
 */
import type { SampleType } from "./profile-type.ts";

/** What a request to /ingest says beside the profile. `api` fills it in. */
export interface IngestQuirks {
  readonly spyName: string;
  /** From `sample_type_config`: pprof sample type -> how the client shows it. Undefined: none was sent. */
  readonly sampleTypes: Readonly<Record<string, { readonly displayName?: string; readonly units?: string }>> | undefined;
}

/** How Go's own sample types are shown where the client sends no configuration. A configuration that is sent replaces these. */
const SHOWN_AS = new Map([
  ["samples", "cpu"],
  ["goroutine", "goroutines"],
  ["contentions", "mutex_count"],
  ["delay", "mutex_duration"],
]);

/** `__name__` by the whole name that is shown. */
const NAME_BY_WHOLE = new Map([
  ["space", "memory"],
  ["objects", "memory"],
]);

/** `__name__` by a part of the name that is shown, in the order in which they are tried. */
const NAME_BY_PART: readonly (readonly [string, string])[] = [
  ["cpu", "process_cpu"],
  ["alloc_", "memory"],
  ["inuse_", "memory"],
  ["mutex_", "mutex"],
  ["block_", "block"],
  ["goroutines", "goroutines"],
];

export function ingestName(sampleTypes: readonly SampleType[], ingest: IngestQuirks): string {
  if (sampleTypes.some(({ type }) => type === "wall")) return "wall";
  let shown = "";
  for (const { type } of sampleTypes) {
    shown = shownAs(type, ingest.sampleTypes);
    const whole = NAME_BY_WHOLE.get(shown);
    if (whole !== undefined) return whole;
    for (const [part, name] of NAME_BY_PART) if (shown.includes(part)) return name;
  }
  return shown;
}

function shownAs(type: string, sampleTypes: IngestQuirks["sampleTypes"]): string {
  if (sampleTypes === undefined) return SHOWN_AS.get(type) ?? type;
  return (Object.hasOwn(sampleTypes, type) ? sampleTypes[type]!.displayName : undefined) || type; // "" counts as no name
}
