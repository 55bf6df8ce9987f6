/**
 * The port to where segments and blocks are kept. It asks for nothing that a folder or a plain S3 store could not give.
 *
 * What every engine promises: a put that resolved is durable and seen by every later get, head and list, on every node; a reader sees a
 * whole object or none; a list is in key order. `testing/bucket-suite.ts` checks each sentence below on every engine.
 *
 * Keys are UTF-8 text in segments separated by "/". No key is a folder of another (`a` and `a/b`): a file system could not hold both. The
 * names of `object-path.ts` never are.
 */
import type { ErrorKind } from "@pyromesh/base";
import { CodedError, encodeUtf8, messageOf } from "@pyromesh/base";

export interface Bucket {
  /** For logs and errors: `s3://bucket/prefix`. Holds no secret. */
  readonly name: string;
  /**
   * Makes the folder of a `file://` bucket where it is missing. An S3 bucket is made by its owner, and this does nothing. No other call
   * makes a folder, a put neither: one that is missing may be a disk that is not mounted.
   */
  create(signal: AbortSignal): Promise<void>;
  /** Resolves when the bucket is there and lets us list it. Rejects BUCKET_MISSING, BUCKET_FORBIDDEN or BUCKET_UNAVAILABLE. */
  check(signal: AbortSignal): Promise<void>;
  /** The whole object, at most `OBJECT_SIZE_BYTES_MAX`. The bytes are the caller's own. */
  get(key: string, signal: AbortSignal): Promise<Uint8Array>;
  /** Exactly `lengthBytes` bytes from `offset`. Rejects BUCKET_RANGE_OUTSIDE where the object ends before. With a length of 0 no request is made. */
  getRange(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array>;
  head(key: string, signal: AbortSignal): Promise<BucketObject>;
  /**
   * Keeps `bytes` under `key`, replacing what was there; with `ifAbsent` only where nothing is. Do not change `bytes` before it resolves.
   * `isCreated` is false only with `ifAbsent`, when the key is taken: by another, or by an earlier try of this very put
   * whose reply was lost. So a caller whose bytes differ from call to call has to compare. On a store without
   * conditional puts two puts at the same moment may both resolve with true; the bytes of the later one stay.
   */
  put(key: string, bytes: Uint8Array, options: PutOptions, signal: AbortSignal): Promise<{ readonly isCreated: boolean }>;
  /** Objects whose key begins with `prefix`, in bytewise key order, in pages that are never empty. What is put meanwhile may be seen or not. */
  list(prefix: string, options: ListOptions, signal: AbortSignal): AsyncIterable<readonly BucketObject[]>;
  /** Resolves also where there was nothing. */
  delete(key: string, signal: AbortSignal): Promise<void>;
  /**
   * The store's own clock, as its last answer says it, in milliseconds since 1970 and to the second. Absent, or resolving with undefined: it has none of its
   * own, as a folder has not.
   */
  dateMs?(signal: AbortSignal): Promise<number | undefined>;
  close(): Promise<void>;
}

export interface BucketObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** By the store's clock. */
  readonly lastModifiedMs: number;
}

export interface PutOptions {
  readonly ifAbsent?: boolean;
}

export interface ListOptions {
  /** Only keys after this one. */
  readonly startAfter?: string;
  /** The greatest number of objects in all pages together. */
  readonly limit?: number;
}

export type BucketErrorCode =
  | "BUCKET_NOT_FOUND" // no object of that key
  | "BUCKET_MISSING" // no bucket
  | "BUCKET_FORBIDDEN" // credentials or rights
  | "BUCKET_UNAVAILABLE" // the only one that trying again may repair
  | "BUCKET_RANGE_OUTSIDE" // the object is shorter than the caller believed
  | "BUCKET_OBJECT_TOO_LARGE"
  | "BUCKET_KEY_INVALID";

/**
 * What a query that meets the error answers. Never permission_denied or not_found: whatever keeps this node from an object, the caller's
 * request was not wrong.
 */
const KIND_OF: Readonly<Record<BucketErrorCode, ErrorKind>> = {
  BUCKET_NOT_FOUND: "unavailable",
  BUCKET_MISSING: "unavailable",
  BUCKET_FORBIDDEN: "unavailable",
  BUCKET_UNAVAILABLE: "unavailable",
  BUCKET_RANGE_OUTSIDE: "data_loss",
  BUCKET_OBJECT_TOO_LARGE: "failed_precondition",
  BUCKET_KEY_INVALID: "internal",
};

export class BucketError extends CodedError {
  declare readonly code: BucketErrorCode;
  /** The object, or "" where the bucket is meant. */
  readonly key: string;

  constructor(code: BucketErrorCode, key: string, message: string, cause?: unknown) {
    super({ code, kind: KIND_OF[code], message, details: { key }, cause });
    this.name = "BucketError";
    this.key = key;
  }

  get isRetriable(): boolean {
    return this.code === "BUCKET_UNAVAILABLE";
  }
}

/** True for a BucketError with one of these codes. */
export function isBucketError(thrown: unknown, ...codes: readonly BucketErrorCode[]): thrown is BucketError {
  return thrown instanceof BucketError && (codes.length === 0 || codes.includes(thrown.code));
}

export function bucketUnavailable(bucket: string, doing: string, key: string, cause: unknown): BucketError {
  return new BucketError("BUCKET_UNAVAILABLE", key, `${bucket} could not ${doing} ${JSON.stringify(key)}: ${messageOf(cause)}; it may work again later`, cause);
}

export function objectNotFound(bucket: string, key: string, cause?: unknown): BucketError {
  return new BucketError("BUCKET_NOT_FOUND", key, `${bucket} holds no object ${JSON.stringify(key)}`, cause);
}

export function rangeOutside(bucket: string, key: string, offset: number, lengthBytes: number, sizeBytes: number | undefined): BucketError {
  const size = sizeBytes === undefined ? "which is beyond its end" : `which has ${sizeBytes}`;
  return new BucketError("BUCKET_RANGE_OUTSIDE", key, `asked for bytes ${offset} to ${offset + lengthBytes} of ${JSON.stringify(key)} in ${bucket}, ${size}`);
}

/**
 * Largest object read or written in one piece. A flush seals at 64 MB of encoded records by default and a block is split
 * before it grows past this; more in one Buffer would cost a node its memory. At the bound: BUCKET_OBJECT_TOO_LARGE.
 */
export const OBJECT_SIZE_BYTES_MAX: number = 512 * 2 ** 20;

export function checkObjectSize(bucket: string, key: string, sizeBytes: number): void {
  if (sizeBytes <= OBJECT_SIZE_BYTES_MAX) return;
  throw new BucketError(
    "BUCKET_OBJECT_TOO_LARGE",
    key,
    `${JSON.stringify(key)} of ${bucket} has ${sizeBytes} bytes, more than the ${OBJECT_SIZE_BYTES_MAX} that are moved in one piece: read it by ranges, or seal smaller ones`,
  );
}

/** S3 ends keys at 1024 bytes, of which the URL's prefix takes some. */
const KEY_BYTES_MAX = 900;
/** The XML of a LIST cannot carry control characters; half of a surrogate pair is no UTF-8. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\ufffe\uffff]|\p{Cs}/u;

/** Throws BUCKET_KEY_INVALID for a key that one of the engines could not keep. The rule is the same for all of them. */
export function checkKey(key: string): void {
  const problem = keyProblem(key);
  if (problem !== undefined) throw new BucketError("BUCKET_KEY_INVALID", key, `${JSON.stringify(key.slice(0, 200))} cannot be an object's key: ${problem}`);
}

function keyProblem(key: string): string | undefined {
  if (UNSAFE.test(key)) return "use no control characters and no halves of a surrogate pair";
  if (encodeUtf8(key).length > KEY_BYTES_MAX) return `use at most ${KEY_BYTES_MAX} bytes`;
  for (const segment of key.split("/")) {
    if (segment === "" || segment === "." || segment === "..") return `use no empty, "." or ".." segment`;
  }
  return undefined;
}
