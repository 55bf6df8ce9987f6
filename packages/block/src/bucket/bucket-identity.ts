/**
 * The bucket's identity: one small object at its top, by which a node knows its own bucket from another, and from an empty folder
 * where a disk is not mounted. Made once, by the first node; a data dir remembers its `bucketId`. BUCKET.md shows it.
 */
import { CodedError, messageOf } from "@pyromesh/base";
import type { Bucket } from "./bucket.ts";
import { isBucketError } from "./bucket.ts";

/** Outside of `v1/`, so that a LIST of segments does not show it. */
export const IDENTITY_KEY = "pyromesh-bucket.json";
const IDENTITY_FORMAT = 1;

export interface BucketIdentity {
  /** 32 lower-case hex digits. */
  readonly bucketId: string;
  /** Of the cluster whose nodes write here; "" where none was given. */
  readonly clusterName: string;
  /** Store ids, as lower-case hex, that wrote before ordinals were given without gaps: their gaps mean nothing. */
  readonly firstFormatStores: readonly string[];
  /** The store id of the node that made it, which is the first full member of a cluster. Absent: a version before clusters made it. */
  readonly founderStore?: string;
  /** By the clock of the node that made it; for people. */
  readonly createdAtMs: number;
}

export function encodeIdentity(identity: BucketIdentity): Uint8Array {
  return Buffer.from(`${JSON.stringify({ format: IDENTITY_FORMAT, ...identity })}\n`, "utf8");
}

/** Throws BUCKET_IDENTITY_UNREADABLE. */
export function decodeIdentity(bytes: Uint8Array, bucketName: string): BucketIdentity {
  const refuse = (problem: string): never => {
    const message = `${IDENTITY_KEY} of ${bucketName} cannot be read: ${problem}; restore it from a backup, or delete it and start one node with --bucket-init`;
    throw new CodedError({ code: "BUCKET_IDENTITY_UNREADABLE", kind: "failed_precondition", message });
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    return refuse(messageOf(error));
  }
  if (typeof parsed !== "object" || parsed === null) return refuse("it is no JSON object");
  const { format, bucketId, clusterName, firstFormatStores, founderStore, createdAtMs } = parsed as Record<string, unknown>;
  if (format !== IDENTITY_FORMAT) return refuse(`its format is ${JSON.stringify(format)}, and this version knows ${IDENTITY_FORMAT}`);
  if (typeof bucketId !== "string" || !ID.test(bucketId)) return refuse("its bucketId is not 32 lower-case hex digits");
  if (typeof clusterName !== "string") return refuse("its clusterName is no text");
  if (!Array.isArray(firstFormatStores) || !firstFormatStores.every((id): id is string => typeof id === "string" && ID.test(id))) return refuse("its firstFormatStores are no list of store ids");
  if (founderStore !== undefined && (typeof founderStore !== "string" || !ID.test(founderStore))) return refuse("its founderStore is no store id");
  if (typeof createdAtMs !== "number") return refuse("its createdAtMs is no number");
  return { bucketId, clusterName, firstFormatStores, ...(founderStore !== undefined && { founderStore }), createdAtMs };
}

const ID = /^[0-9a-f]{32}$/;

/** Undefined where the bucket answers and has none. */
export async function readIdentity(bucket: Bucket, signal: AbortSignal): Promise<BucketIdentity | undefined> {
  try {
    return decodeIdentity(await bucket.get(IDENTITY_KEY, signal), bucket.name);
  } catch (error) {
    if (isBucketError(error, "BUCKET_NOT_FOUND")) return undefined;
    throw error;
  }
}

/** Puts it where none is, and resolves to the one that is there then: of two nodes that make one at the same moment, both get the same. */
export async function makeIdentity(bucket: Bucket, identity: BucketIdentity, signal: AbortSignal): Promise<BucketIdentity> {
  await bucket.put(IDENTITY_KEY, encodeIdentity(identity), { ifAbsent: true }, signal);
  return decodeIdentity(await bucket.get(IDENTITY_KEY, signal), bucket.name);
}

/** Exempts more stores. Two nodes at the same moment may overwrite each other, so it is looked at again, and done again, `TRIES_MAX` times. */
export async function addFirstFormatStores(bucket: Bucket, storeIds: readonly string[], signal: AbortSignal): Promise<BucketIdentity | undefined> {
  for (let tries = 1; ; tries++) {
    const identity = await readIdentity(bucket, signal);
    const added = storeIds.filter((id) => identity?.firstFormatStores.includes(id) === false);
    if (identity === undefined || added.length === 0 || tries > TRIES_MAX) return identity;
    await bucket.put(IDENTITY_KEY, encodeIdentity({ ...identity, firstFormatStores: [...identity.firstFormatStores, ...added] }), {}, signal);
  }
}

const TRIES_MAX = 5;
