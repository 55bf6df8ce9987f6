/**
 * `__name__` of a pprof that came by /ingest, which names no profile: it is told from the sample types, under the names
 * the client shows them by (reference 1.4.1). The first sample type that fits decides, except that a `wall` anywhere
 * makes it a wall profile.
 */
import type { SampleType } from "./profile-type.ts";

/** What /ingest knows beside the profile. `api` fills it in. */
export interface IngestQuirks {
  readonly spyName: string;
  /** From `sample_type_config`: pprof sample type -> how the client shows it. Empty: none was sent. */
  readonly sampleTypes: Readonly<Record<string, { readonly displayName?: string; readonly units?: string }>>;
}

/** How Go's own sample types are shown where the client's configuration does not name them. */
const SHOWN_AS = new Map([
  ["samples", "cpu"],
  ["goroutine", "goroutines"],
  ["contentions", "mutex_count"],
  ["delay", "mutex_duration"],
]);

/** Part of a shown name -> `__name__`, in the order they are tried. */
const NAME_BY_PART: readonly (readonly [string, string])[] = [
  ["cpu", "process_cpu"],
  ["alloc_", "memory"],
  ["inuse_", "memory"],
  ["space", "memory"],
  ["objects", "memory"],
  ["mutex_", "mutex"],
  ["block_", "block"],
  ["goroutines", "goroutines"],
];

export function ingestName(sampleTypes: readonly SampleType[], ingest: IngestQuirks): string {
  if (sampleTypes.some(({ type }) => type === "wall")) return "wall";
  for (const { type } of sampleTypes) {
    const isConfigured = Object.hasOwn(ingest.sampleTypes, type);
    const shown = (isConfigured ? ingest.sampleTypes[type]?.displayName : SHOWN_AS.get(type)) ?? type;
    for (const [part, name] of NAME_BY_PART) if (shown.includes(part)) return name;
  }
  return sampleTypes[0]?.type ?? "";
}
