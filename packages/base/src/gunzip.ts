/** Decompresses gzip within a bound, at once and on the calling thread: for a worker. */
import { constants, gunzipSync } from "node:zlib";
import { claimedInflatedBytes } from "./gzip.ts";

/** It decompresses to more than the bound. */
export class GzipTooLarge extends Error {}

/** zlib is given a buffer of the length that the gzip trailer claims: growing one in steps costs as much as inflating. A trailer that claims too much costs INFLATE_STEP_MAX at most. */
const INFLATE_STEP_MIN = 1 << 12;
const INFLATE_STEP_MAX = 1 << 20;

/** All members of the stream. Throws GzipTooLarge, or zlib's error where the stream is torn or damaged. */
export function gunzipWithin(gzip: Uint8Array, sizeBytesMax: number): Uint8Array {
  try {
    return gunzipSync(gzip, {
      maxOutputLength: sizeBytesMax,
      chunkSize: Math.min(INFLATE_STEP_MAX, Math.max(INFLATE_STEP_MIN, claimedInflatedBytes(gzip) + 1)),
      finishFlush: constants.Z_FINISH,
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw new GzipTooLarge(`it decompresses to more than ${sizeBytesMax} bytes`);
    throw error;
  }
}
