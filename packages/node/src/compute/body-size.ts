/**
 * How large the body of a push may be, as sent and decompressed. A body of one profile has the tenant's limit on profiles
 * (`max_profile_size_bytes`); every body has the one of what can be decoded.
 */
import { claimedInflatedBytes, CodedError, gunzipWithin, GzipTooLarge, invalidArgument, isGzip, LARGE_BYTES_MIN } from "@pyromesh/base";
import { holdsManyProfiles } from "@pyromesh/profile";
import type { BodyFormat } from "@pyromesh/profile";
import type { EncodeTask } from "./compute.ts";

/** Applies also where a tenant's limit is higher or off: profile/src/pprof/pprof-decode.ts refuses what is larger, so inflating more would be wasted. */
export const OUTPUT_BYTES_MAX: number = 16 * 2 ** 20;

/**
 * A body that is not compressed. `limitBytes` 0: only what can be decoded is a bound. A small one is copied out of shared memory: the records of its push are written to
 * the slot in which it came. A large one stays there, since its copy would be garbage of megabytes; its push has the slot until it is answered.
 */
export function openBody(body: Uint8Array, limitBytes: number): Uint8Array {
  if (isGzip(body)) return inflate(body, limitBytes);
  if (limitBytes > 0 && body.length > limitBytes) throw tooLarge(limitBytes);
  return body.buffer instanceof SharedArrayBuffer && body.length < LARGE_BYTES_MIN ? body.slice() : body;
}

function inflate(gzip: Uint8Array, limitBytes: number): Uint8Array {
  const sizeBytesMax = limitBytes > 0 ? Math.min(limitBytes, OUTPUT_BYTES_MAX) : OUTPUT_BYTES_MAX;
  try {
    return gunzipWithin(gzip, sizeBytesMax);
  } catch (error) {
    if (error instanceof GzipTooLarge) throw tooLarge(sizeBytesMax);
    throw invalidArgument("PROFILE_GZIP_BROKEN", `the gzip stream is torn or damaged: send the whole profile`, error);
  }
}

/** Throws PROFILE_TOO_LARGE where that is known without opening the body: by its size, or by what its gzip trailer claims. */
export function checkClaimedSize({ pprof, format, settings }: Pick<EncodeTask, "pprof" | "format"> & { readonly settings: Pick<EncodeTask["settings"], "profileSizeBytesMax"> }): void {
  const limitBytes = bodySizeLimit(format, settings);
  const sizeBytesMax = limitBytes > 0 ? Math.min(limitBytes, OUTPUT_BYTES_MAX) : OUTPUT_BYTES_MAX;
  const sizeBytes = isGzip(pprof) ? claimedInflatedBytes(pprof) : pprof.length;
  if (sizeBytes > sizeBytesMax) throw tooLarge(sizeBytesMax);
}

/** The tenant's limit on a body. 0: only what can be decoded is a bound. */
export function bodySizeLimit(format: BodyFormat | undefined, { profileSizeBytesMax }: Pick<EncodeTask["settings"], "profileSizeBytesMax">): number {
  return format !== undefined && holdsManyProfiles(format) ? 0 : profileSizeBytesMax;
}

/** PROFILE_TOO_LARGE. */
export function tooLarge(sizeBytesMax: number): CodedError {
  const advice = sizeBytesMax < OUTPUT_BYTES_MAX ? ": send a smaller one or raise limits.max_profile_size_bytes" : ", more than can be decoded: profile for a shorter time";
  return new CodedError({
    code: "PROFILE_TOO_LARGE",
    kind: "invalid_argument",
    message: `the profile is larger than ${sizeBytesMax} bytes once decompressed${advice}`,
    details: { reason: "profile_size_limit" },
  });
}
