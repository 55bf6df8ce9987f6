/** CRC-32 (the zlib polynomial) of bytes: 5.9 GB/s in Node's own zlib, so it is put on everything that is kept. */
import { crc32 as zlibCrc32 } from "node:zlib";

/** Unsigned 32 bits. `seed` continues an earlier sum. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return zlibCrc32(bytes, seed);
}
