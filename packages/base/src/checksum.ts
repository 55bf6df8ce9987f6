/** CRC-32 (zlib's polynomial). Node.js' zlib computes 5.9 GB/s, so everything that is stored gets one. */
import { crc32 as zlibCrc32 } from "node:zlib";

/** Unsigned 32 bits. `seed` continues an earlier sum. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return zlibCrc32(bytes, seed);
}
