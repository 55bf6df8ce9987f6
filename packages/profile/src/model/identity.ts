/**
 * Identity of a record: the first 16 bytes of SHA-256 over its body (record.ts), whose first byte is the version of the
 * normalisation. The same push has the same identity on every node, without coordination; counting relies on nothing else.
 */
import { hash } from "node:crypto";

export const IDENTITY_BYTES = 16;

/**
 * Rises with every change of what normalisation makes of a push (normalize.ts, split-samples.ts, relabel.ts, the body's
 * layout), and only when every member can: two versions give one push two identities, and it would count twice.
 *
 * History: 1, first. 2: stacktraces that Go's runtime cut off are completed in every Go profile; of folded text, empty frames are left out,
 * frames lie in a mapping and functions have a system name; a label that is sent twice is one.
 */
export const NORMALISATION_VERSION = 2;
/** The oldest version that is read. Its columns mean the same; only the rules that made them of a push were others. */
export const NORMALISATION_VERSION_MIN = 1;

export function identityOf(body: Uint8Array): Uint8Array {
  // A copy: the identity outlives the record, whose bytes may be transferred.
  return new Uint8Array(hash("sha256", body, "buffer").subarray(0, IDENTITY_BYTES));
}
