/**
 * The checksum around every value of the head's store.
 *
 *   | crc32 u32 | body ... |      the crc covers the key, then the body
 *
 * The key is inside the sum because LevelDB shares key prefixes between neighbours: one flipped byte can turn a good value
 * into the value of another key.
 */
import { CorruptionError, crc32 } from "@pyromesh/base";
import { printKey } from "./keys.ts";

export const ENVELOPE_BYTES = 4;

export function wrap(key: Uint8Array, body: Uint8Array): Uint8Array {
  const value = Buffer.allocUnsafe(ENVELOPE_BYTES + body.length);
  value.set(body, ENVELOPE_BYTES);
  stampEnvelope(key, value);
  return value;
}

/** Writes the sum over `key` and `value`'s body into its first four bytes, and returns it. */
export function stampEnvelope(key: Uint8Array, value: Buffer): number {
  const sum = crc32(value.subarray(ENVELOPE_BYTES), crc32(key));
  value.writeUInt32LE(sum, 0);
  return sum;
}

/** The body. Throws `CorruptionError`. */
export function unwrap(key: Uint8Array, value: Uint8Array): Uint8Array {
  if (value.length < ENVELOPE_BYTES) {
    throw new CorruptionError({ object: entryName(key), offset: 0, expected: `at least ${ENVELOPE_BYTES} bytes`, found: `${value.length}` });
  }
  const body = value.subarray(ENVELOPE_BYTES);
  const expected = envelopeSum(value);
  const found = crc32(body, crc32(key));
  if (found !== expected) {
    throw new CorruptionError({ object: entryName(key), offset: 0, expected: `checksum ${expected.toString(16)}`, found: found.toString(16) });
  }
  return body;
}

/** How an error names the entry of a key. */
export function entryName(key: Uint8Array): string {
  return `entry ${printKey(key)}`;
}

/** The checksum that the value holds, unchecked. */
export function envelopeSum(value: Uint8Array): number {
  return (value[0]! | (value[1]! << 8) | (value[2]! << 16) | (value[3]! << 24)) >>> 0;
}
