/** Shows text that is not UTF-8 in an error: some of its bytes, in hexadecimal. */
import { toHex } from "@pyromesh/base";

/** Bytes shown of one text at most: those around the first byte that is wrong. */
const SHOWN_BYTES_MAX = 64;
/** How many of them stand before that byte. */
const SHOWN_BYTES_BEFORE = 32;

/** `666f6fff`; with "..." where it was cut. */
export function hexOfInvalidText(bytes: Uint8Array): string {
  if (bytes.length <= SHOWN_BYTES_MAX) return toHex(bytes);
  const from = Math.max(0, Math.min(invalidAt(bytes) - SHOWN_BYTES_BEFORE, bytes.length - SHOWN_BYTES_MAX));
  const to = from + SHOWN_BYTES_MAX;
  return `${from > 0 ? "..." : ""}${toHex(bytes.subarray(from, to))}${to < bytes.length ? "..." : ""}`;
}

/**
 * About where the first wrong byte is: decoding replaces it, so that encoding again gives other bytes from there on. Never behind the end of the line
 * that it is in.
 */
export function invalidAt(bytes: Uint8Array): number {
  const again = Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
  let at = 0;
  while (at < bytes.length && bytes[at] === again[at]) at++;
  return at;
}
