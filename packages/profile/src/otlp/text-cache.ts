/**
 * Decodes short texts, the names and values of attributes, which are the same in one export after the other: a text that was decoded lately is not decoded
 * again. Comparing it with the bytes costs a fifth of decoding, and whoever hashes or compares the text later finds that done.
 *
 * What must stay true: `textOf` returns what `decodeUtf8` does. A cached text has been compared byte for byte.
 *
 * Bounded: SLOT_COUNT texts of up to SHORT_BYTES_MAX ASCII characters. A text takes the slot of the one before it there.
 */
import { decodeUtf8 } from "@pyromesh/base";

/** A power of two. */
const SLOT_COUNT = 1024;
const SHORT_BYTES_MAX = 48;

const slots = new Array<string>(SLOT_COUNT).fill("");

export function textOf(bytes: Uint8Array, start: number, stop: number): string {
  const length = stop - start;
  if (length === 0) return "";
  if (length > SHORT_BYTES_MAX) return decodeUtf8(bytes.subarray(start, stop));
  let hash = length;
  for (let i = start; i < stop; i++) hash = Math.imul(hash ^ bytes[i]!, 0x9e37_79b1);
  const slot = (hash ^ (hash >>> 16)) & (SLOT_COUNT - 1);
  const cached = slots[slot]!;
  if (isTextOf(cached, bytes, start, length)) return cached;
  const text = decodeUtf8(bytes.subarray(start, stop));
  if (isTextOf(text, bytes, start, length)) slots[slot] = text;
  return text;
}

/** Whether the bytes are this text in ASCII. */
function isTextOf(text: string, bytes: Uint8Array, start: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i]!;
    if (byte >= 0x80 || text.charCodeAt(i) !== byte) return false;
  }
  return true;
}
