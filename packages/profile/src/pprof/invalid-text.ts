/** Text that is not UTF-8, shown so that a reader finds it again: its bytes in hexadecimal, bounded. */
import { toHex } from "@pyromesh/base";

/** Bytes shown of one text: longer ones are cut around the first byte that is wrong. */
const SHOWN_BYTES_MAX = 64;
/** So many of them before that byte. */
const SHOWN_BYTES_BEFORE = 32;

/** `666f6fff`; with "..." where it was cut. */
export function hexOfInvalidText(bytes: Uint8Array): string {
  if (bytes.length <= SHOWN_BYTES_MAX) return toHex(bytes);
  const from = Math.max(0, Math.min(invalidAt(bytes) - SHOWN_BYTES_BEFORE, bytes.length - SHOWN_BYTES_MAX));
  const to = from + SHOWN_BYTES_MAX;
  return `${from > 0 ? "..." : ""}${toHex(bytes.subarray(from, to))}${to < bytes.length ? "..." : ""}`;
}

/** Near where the first character stands that is none: reading replaces it, so that what is written again differs from there on. */
function invalidAt(bytes: Uint8Array): number {
  const again = Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
  let at = 0;
  while (at < bytes.length && bytes[at] === again[at]) at++;
  return at;
}
