/**
 * A copy in shared memory of its own, for what travels between threads and fits no lent slot.
 *
 * Nothing is ever transferred: a transfer detaches a buffer, and from the first detached buffer on V8 lets go of all the code it
 * has compiled for typed arrays, and compiles it with a check on every access (measured: a worker stood for 100 ms and stayed slower).
 */
import { sharedBytes, wordSkew } from "@pyromesh/base";

export function sharedCopy(bytes: Uint8Array): Uint8Array<SharedArrayBuffer> {
  const skew = wordSkew(bytes);
  const copy = sharedBytes(skew + bytes.length).subarray(skew);
  copy.set(bytes);
  return copy;
}
