/**
 * Copies a bucket into another one, with its identity, so that the nodes whose data names it go on with the copy.
 *
 * 1. The other one must be empty, or an earlier copy of this one: nothing in it that is not in this one, until it has this one's identity.
 * 2. Each object is put where none is, and read back; one that is there must have the same bytes. So a copy that was broken off goes on where it
 *    was, and a second one copies what is new and checks the rest.
 * 3. The identity comes last: until then no node takes the copy for its bucket.
 *
 * Objects never change, so a node may go on writing to the first one; what it writes is copied by a second run, after it was stopped.
 */
import { CodedError, compareBytes } from "@pyromesh/base";
import { IDENTITY_KEY, isBucketError, makeIdentity, readIdentity } from "@pyromesh/block";
import type { Bucket, BucketObject } from "@pyromesh/block";

export interface BucketCopy {
  readonly bucketId: string;
  readonly copied: number;
  readonly copiedBytes: number;
  /** That were there already. */
  readonly known: number;
}

/** Objects moved at once have at most so many bytes together, and a larger one is moved alone. */
const BATCH_BYTES_MAX = 32 * 2 ** 20;
const BATCH_COUNT_MAX = 16;

/** Rejects BUCKET_IDENTITY_GONE, BUCKET_NOT_EMPTY, BUCKET_IS_ANOTHER, BUCKET_COPY_DIFFERS. `onObjects` is called with how many more are done. */
export async function copyBucket(from: Bucket, to: Bucket, onObjects: (count: number) => void, signal: AbortSignal): Promise<BucketCopy> {
  const identity = await readIdentity(from, signal);
  if (identity === undefined) throw refusal("BUCKET_IDENTITY_GONE", `${from.name} has no identity (${IDENTITY_KEY}): no node has used it, or it is not the one you meant`);
  await to.create(signal);
  const other = await readIdentity(to, signal);
  if (other !== undefined && other.bucketId !== identity.bucketId) {
    throw refusal("BUCKET_IS_ANOTHER", `${to.name} is another bucket (${other.bucketId}) than ${from.name} (${identity.bucketId}): copy into an empty one`);
  }
  if (other === undefined) await refuseStranger(from, to, signal);

  let [copied, copiedBytes, known] = [0, 0, 0];
  for await (const batch of batchesOf(from.list("", {}, signal))) {
    const outcomes = await Promise.all(batch.map((object) => copyObject(from, to, object, signal)));
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome === "known") known++;
      if (outcome !== "copied") continue;
      copied++;
      copiedBytes += batch[at]!.sizeBytes;
    }
    onObjects(batch.length);
  }
  await makeIdentity(to, identity, signal);
  return { bucketId: identity.bucketId, copied, copiedBytes, known };
}

/** "gone": it was deleted since it was listed. */
async function copyObject(from: Bucket, to: Bucket, { key }: BucketObject, signal: AbortSignal): Promise<"copied" | "known" | "gone"> {
  let bytes: Uint8Array;
  try {
    bytes = await from.get(key, signal);
  } catch (error) {
    if (isBucketError(error, "BUCKET_NOT_FOUND")) return "gone";
    throw error;
  }
  const { isCreated } = await to.put(key, bytes, { ifAbsent: true }, signal);
  if (compareBytes(await to.get(key, signal), bytes) === 0) return isCreated ? "copied" : "known";
  throw refusal("BUCKET_COPY_DIFFERS", `${key} of ${to.name} has other bytes than that of ${from.name}: one of the two is damaged, or it is no copy`);
}

/** Throws BUCKET_NOT_EMPTY for an object that only `to` has. Both lists are in the order of keys. */
async function refuseStranger(from: Bucket, to: Bucket, signal: AbortSignal): Promise<void> {
  const source = keysOf(from.list("", {}, signal));
  let next = await source.next();
  for await (const key of keysOf(to.list("", {}, signal))) {
    while (next.done !== true && Buffer.compare(Buffer.from(next.value), Buffer.from(key)) < 0) next = await source.next();
    if (next.done === true || next.value !== key) throw refusal("BUCKET_NOT_EMPTY", `${to.name} holds ${key}, which ${from.name} does not: copy into an empty bucket`);
  }
}

async function* keysOf(pages: AsyncIterable<readonly BucketObject[]>): AsyncGenerator<string, undefined> {
  for await (const page of pages) for (const { key } of page) yield key;
  return undefined;
}

async function* batchesOf(pages: AsyncIterable<readonly BucketObject[]>): AsyncGenerator<readonly BucketObject[]> {
  let batch: BucketObject[] = [];
  let bytes = 0;
  for await (const page of pages) {
    for (const object of page) {
      if (object.key === IDENTITY_KEY) continue;
      if (batch.length > 0 && (batch.length === BATCH_COUNT_MAX || bytes + object.sizeBytes > BATCH_BYTES_MAX)) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push(object);
      bytes += object.sizeBytes;
    }
  }
  if (batch.length > 0) yield batch;
}

function refusal(code: string, message: string): CodedError {
  return new CodedError({ code, kind: "failed_precondition", message });
}
