/**
 * The hash under which an identity is looked for: of all its 16 bytes, so that identities made up by a test or a benchmark, which differ
 * in few of them, do not all meet in one place.
 */
export function identityHash(identity: Uint8Array): number {
  return hashOfWords(wordAt(identity, 0), wordAt(identity, 4), wordAt(identity, 8), wordAt(identity, 12));
}

/** The hash of an identity, given as four little-endian words. */
export function hashOfWords(a: number, b: number, c: number, d: number): number {
  let hash = Math.imul(a, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15) ^ b, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15) ^ c, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15) ^ d, 0x9e3779b1);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
