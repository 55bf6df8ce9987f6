/**
 * What a member keeps on disk of the cluster: its table, whole. One file, replaced as a whole and synced before anything in it counts.
 *
 *   magic "PYMC" · version (u32 = 2) · length of what follows (u32) · body · CRC-32 of all before it (u32)
 *   body: replication · replication of the bucket, plus one (0: unknown) · entries (count, then each) · losses (count, then each)
 *
 * Entries and losses: table-bytes.ts. History: 1, the first. 2: entries have the formats that their members announce; version 1 is read, and written on as 2.
 */
import { ByteReader, ByteWriter, CorruptionError, crc32 } from "@pyromesh/base";
import type { Entry } from "./entry.ts";
import { LOSSES_MAX, MEMBERS_MAX, TABLE_BYTES_MAX } from "./limits.ts";
import type { Loss } from "./losses.ts";
import { readEntry, readLoss, TABLE_BYTES_VERSION, writeEntry, writeLoss } from "./table-bytes.ts";

export interface ClusterState {
  readonly replication: number;
  readonly bucketReplication: number | undefined;
  readonly entries: readonly Entry[];
  readonly losses: readonly Loss[];
}

export const CLUSTER_STATE_VERSION: number = TABLE_BYTES_VERSION;

export function encodeClusterState(state: ClusterState): Uint8Array {
  const body = new ByteWriter(4096);
  body.uvarint(state.replication).uvarint(state.bucketReplication === undefined ? 0 : state.bucketReplication + 1);
  body.uvarint(state.entries.length);
  for (const entry of state.entries) writeEntry(body, entry);
  body.uvarint(state.losses.length);
  for (const loss of state.losses) writeLoss(body, loss);
  const writer = new ByteWriter(body.length + HEADER_BYTES + CRC_BYTES);
  writer.u32(MAGIC).u32(CLUSTER_STATE_VERSION).u32(body.length).raw(body.finish());
  return writer.u32(crc32(writer.finish())).finish();
}

/** Throws `CorruptionError`: nothing of a damaged state counts, since what is missing may be whom this node has fenced. */
export function decodeClusterState(bytes: Uint8Array): ClusterState {
  const fail = (offset: number, expected: string, found: string): never => {
    throw new CorruptionError({ object: OBJECT, offset, expected, found });
  };
  if (bytes.length < HEADER_BYTES + CRC_BYTES) fail(0, `at least ${HEADER_BYTES + CRC_BYTES} bytes`, `${bytes.length}`);
  if (bytes.length > TABLE_BYTES_MAX) fail(0, `at most ${TABLE_BYTES_MAX} bytes`, `${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== MAGIC) fail(0, "the state of a member", "something else");
  const version = view.getUint32(4, true);
  if (version < 1 || version > CLUSTER_STATE_VERSION) fail(4, `version 1 to ${CLUSTER_STATE_VERSION}`, `version ${version}, of another build`);
  const length = view.getUint32(8, true);
  if (length !== bytes.length - HEADER_BYTES - CRC_BYTES) fail(8, `${bytes.length - HEADER_BYTES - CRC_BYTES} bytes of body`, `${length}`);
  const end = bytes.length - CRC_BYTES;
  const crc = crc32(bytes.subarray(0, end));
  if (crc !== view.getUint32(end, true)) fail(end, `checksum ${crc}`, `${view.getUint32(end, true)}`);
  const reader = new ByteReader(bytes.subarray(HEADER_BYTES, end), OBJECT);
  const replication = reader.uvarint();
  const bucket = reader.uvarint();
  const entries = readMany(reader, MEMBERS_MAX, (from) => readEntry(from, version));
  const losses = readMany(reader, LOSSES_MAX, readLoss);
  if (reader.remaining > 0) reader.fail("the end", `${reader.remaining} more bytes`);
  return { replication, bucketReplication: bucket === 0 ? undefined : bucket - 1, entries, losses };
}

const OBJECT = "the cluster state";
/** "PYMC", little-endian. */
const MAGIC = 0x434d_5950;
const HEADER_BYTES = 12;
const CRC_BYTES = 4;

function readMany<T>(reader: ByteReader, countMax: number, read: (reader: ByteReader) => T): T[] {
  const count = reader.uvarint();
  if (count > countMax) reader.fail(`at most ${countMax} items`, `${count}`);
  return Array.from({ length: count }, () => read(reader));
}
