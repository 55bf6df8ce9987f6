/** What a gzip stream says of itself. */

/** Told by its magic, as pprof itself does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Deflate cannot do better than this, so a trailer that claims more is noise. */
const DEFLATE_RATIO_MAX = 1_032;

/**
 * What it says it will be once inflated: its trailer, in constant time. Of several members the last one's; a trailer may lie, either
 * way, so this is for making room and for charging in advance, and whoever inflates has bounds of his own.
 */
export function claimedInflatedBytes(gzip: Uint8Array): number {
  const end = gzip.length;
  if (end < 4) return 0;
  const claimed = gzip[end - 4]! + gzip[end - 3]! * 2 ** 8 + gzip[end - 2]! * 2 ** 16 + gzip[end - 1]! * 2 ** 24;
  return Math.min(claimed, end * DEFLATE_RATIO_MAX);
}
