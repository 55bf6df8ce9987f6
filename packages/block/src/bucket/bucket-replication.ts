/**
 * The highest replication under which a cluster has taken pushes, kept in the bucket (design 5.6): a node that counts fewer members knows by it
 * that it knows too few, and takes none.
 *
 *   pyromesh-replication-<n>.json        one small object a value; the highest holds
 *
 * What must stay true: the value is in the object's name, so that a LIST is enough and two nodes that put different ones at the same moment lose neither; the
 * object's content is for people. It is put before it takes force. Only an operator lowers it.
 */
import { assert } from "@pyromesh/base";
import type { Bucket } from "./bucket.ts";

/** More than anyone asks for. */
export const REPLICATION_MAX = 16;
/** Outside of `v1/`, as the identity. */
const PREFIX = "pyromesh-replication-";
const KEY = /^pyromesh-replication-([1-9]\d?)\.json$/;

/** 0: none was ever put. What looks like a value and is none is left alone. */
export async function readReplication(bucket: Bucket, signal: AbortSignal): Promise<number> {
  return Math.max(0, ...(await valuesIn(bucket, signal)));
}

/** Does nothing where it is there. Higher ones stay, and hold. */
export async function putReplication(bucket: Bucket, replication: number, nowMs: number, signal: AbortSignal): Promise<void> {
  const text = { replication, says: "pushes of this cluster were answered under this replication: a node that counts fewer members takes none (docs/cluster.md)", putAtMs: nowMs };
  await bucket.put(replicationKey(replication), Buffer.from(`${JSON.stringify(text)}\n`), { ifAbsent: true }, signal);
}

/** By an operator's word: fewer members are to keep each record from now on. The new value is put first, so that a failure in between leaves the higher one. */
export async function lowerReplication(bucket: Bucket, replication: number, nowMs: number, signal: AbortSignal): Promise<void> {
  await putReplication(bucket, replication, nowMs, signal);
  for (const value of await valuesIn(bucket, signal)) if (value > replication) await bucket.delete(replicationKey(value), signal);
}

async function valuesIn(bucket: Bucket, signal: AbortSignal): Promise<number[]> {
  const values: number[] = [];
  for await (const page of bucket.list(PREFIX, {}, signal)) {
    for (const { key } of page) {
      const value = Number(KEY.exec(key)?.[1] ?? 0);
      if (value >= 1 && value <= REPLICATION_MAX) values.push(value);
    }
  }
  return values;
}

function replicationKey(replication: number): string {
  assert(Number.isInteger(replication) && replication >= 1 && replication <= REPLICATION_MAX, `a replication is 1 to ${REPLICATION_MAX}`);
  return `${PREFIX}${replication}.json`;
}
