/**
 * What the JSON of a flame graph (`/pyroscope/render`) says of its values in `metadata`, by Pyroscope's rules. Clients choose by it how
 * values are shown.
 */
import type { SampleType } from "../labels/profile-type.ts";

export interface GraphMetadata {
  /** The sample type: what the values are called. */
  readonly name: string;
  readonly spyName: string;
  readonly sampleRate: number;
  readonly units: string;
}

const COUNTED = new Set(["inuse_objects", "alloc_objects", "goroutine", "samples"]);

export function graphMetadata({ type, unit }: SampleType): GraphMetadata {
  // Values of a cpu profile are nanoseconds, shown as samples at a rate of a billion a second.
  if (type === "cpu") return { name: type, spyName: "", sampleRate: 1_000_000_000, units: "samples" };
  return { name: type, spyName: "", sampleRate: 100, units: COUNTED.has(type) ? "objects" : unit };
}
