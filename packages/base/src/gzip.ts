/** What can be told of a gzip stream without decompressing it. */

/** Recognises gzip by its magic bytes, as pprof's own tools do. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** The highest ratio of deflate. A trailer that claims more is wrong. */
const DEFLATE_RATIO_MAX = 1_032;

/**
 * The uncompressed size that the gzip trailer claims, in constant time. Of several members it is the size of the last one. A trailer may
 * lie in both directions, so use this only to prepare memory and to charge in advance, and bound the decompression itself.
 */
export function claimedInflatedBytes(gzip: Uint8Array): number {
  const end = gzip.length;
  if (end < 4) return 0;
  const claimed = gzip[end - 4]! + gzip[end - 3]! * 2 ** 8 + gzip[end - 2]! * 2 ** 16 + gzip[end - 1]! * 2 ** 24;
  return Math.min(claimed, end * DEFLATE_RATIO_MAX);
}
