/**
 * Appends that are on their way into the store, by identity: the one thing in the head's memory that is not durable yet.
 *
 * Not a Map: one in which each entry is added and soon deleted is rebuilt every dozen entries, and V8's garbage collector keeps the rebuilt
 * tables, with all that they held, until its next full collection. At some thousands (the queue's bound in bytes) a bucket holds a dozen.
 */
import type { PendingAppend } from "../store/write-queue.ts";
import { identityHash } from "./identity-hash.ts";

export class PendingAppends {
  readonly #buckets: readonly PendingAppend[][] = Array.from({ length: BUCKET_COUNT }, () => []);

  find(identity: Uint8Array): PendingAppend | undefined {
    for (const append of this.#bucketOf(identity)) if (isSame(append.record.identity, identity)) return append;
    return undefined;
  }

  /** No append of its identity is here. */
  add(append: PendingAppend): void {
    this.#bucketOf(append.record.identity).push(append);
  }

  /** Does nothing where there is none. */
  remove(identity: Uint8Array): void {
    const bucket = this.#bucketOf(identity);
    for (let at = 0; at < bucket.length; at++) {
      if (!isSame(bucket[at]!.record.identity, identity)) continue;
      const last = bucket.pop()!; // there is one
      if (at < bucket.length) bucket[at] = last;
      return;
    }
  }

  #bucketOf(identity: Uint8Array): PendingAppend[] {
    return this.#buckets[identityHash(identity) % BUCKET_COUNT]!;
  }
}

const BUCKET_COUNT = 512;

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
