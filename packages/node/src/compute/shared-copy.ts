/**
 * A copy in shared memory of its own, for what is sent between threads and fits into no slot of the buffer pool.
 *
 * No buffer is ever transferred: a transfer detaches it, and at the first detached buffer V8 throws away all code that it compiled for typed
 * arrays, and compiles it again with a check on every access (docs/decisions/0006-workers.md).
 */
import { sharedBytes, wordSkew } from "@pyromesh/base";

export function sharedCopy(bytes: Uint8Array): Uint8Array<SharedArrayBuffer> {
  const skew = wordSkew(bytes);
  const copy = sharedBytes(skew + bytes.length).subarray(skew);
  copy.set(bytes);
  return copy;
}
