/** Which versions of which formats this build writes and reads. A new version of one is a new number here; PROTOCOL.md of package gossip has the steps. */
import { FORMAT_VERSION } from "@pyromesh/block";
import { HEAD_FORMAT_VERSION, HEAD_FORMAT_VERSION_MIN } from "@pyromesh/head";
import type { HeldVersions } from "@pyromesh/head";
import { NORMALISATION_VERSION, RECORD_VERSION, RECORD_VERSION_MIN } from "@pyromesh/profile";
import { FORMATS } from "@pyromesh/ring";
import type { Format, MemberFormats } from "@pyromesh/ring";

export type BuildFormats = Readonly<Record<Format, { readonly writesFrom: number; readonly reads: number }>>;

export const BUILD_FORMATS: BuildFormats = {
  record: { writesFrom: RECORD_VERSION_MIN, reads: RECORD_VERSION },
  normalisation: only(NORMALISATION_VERSION),
  head: { writesFrom: HEAD_FORMAT_VERSION_MIN, reads: HEAD_FORMAT_VERSION },
  segment: only(FORMAT_VERSION),
  partial: only(1), // PARTIAL_VERSION of compute/partial-format.ts, a room that comes after this one; a test compares them
};

/** There is one version that it writes. It may read older ones. */
function only(version: number): { readonly writesFrom: number; readonly reads: number } {
  return { writesFrom: version, reads: version };
}

/** What a member announces that has promised `held`, which its data directory may hold. */
export function memberFormats(build: BuildFormats, held: HeldVersions): MemberFormats {
  return FORMATS.map((format) => ({ ...build[format], promised: Math.max(build[format].writesFrom, Math.min(build[format].reads, held[format] ?? 0)) }));
}

/** For the data directory: what this build reads of each format, or the oldest version that it writes. */
export function heldVersions(build: BuildFormats, which: "reads" | "writesFrom"): HeldVersions {
  return Object.fromEntries(FORMATS.map((format) => [format, build[format][which]]));
}
