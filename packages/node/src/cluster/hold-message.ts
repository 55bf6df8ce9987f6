/**
 * A member asks the others for holds on targets (`scrape`, PROTOCOL.md).
 *
 *   request   | serial | count | count x target u64 |        all that the member wants to hold; what it held before and is not among them is free
 *   answer    | store id, 16 bytes | digest, 16 bytes | granted, one bit a target, the first in the lowest bit |
 *
 * A serial rises with each request of a process: requests are read out of order where a link was replaced, and only the newest says what the member wants.
 *
 * Serial and count are uvarints. A target is the first 64 bits of the SHA-256 of its key. The store id and the digest are those of who answers. What a later version
 * writes behind these is left unread.
 */
import { hash } from "node:crypto";
import { ByteReader, ByteWriter, CorruptionError, toHex } from "@pyromesh/base";
import type { StoreId } from "@pyromesh/ring";
import { malformed } from "./message.ts";

/** Targets that one member may hold: 800 KB. */
export const HOLDS_MAX = 100_000;
const ID_BYTES = 16;

export type TargetNumber = bigint;

export interface HoldRequest {
  readonly serial: number;
  readonly targets: readonly TargetNumber[];
}

export interface HoldAnswer {
  readonly storeId: StoreId;
  readonly digest: string;
  /** One for each target of the request. */
  readonly granted: readonly boolean[];
}

export function targetNumberOf(key: string): TargetNumber {
  return Buffer.from(hash("sha256", key, "hex").slice(0, 16), "hex").readBigUInt64LE();
}

export function encodeHoldRequest({ serial, targets }: HoldRequest): Uint8Array {
  const writer = new ByteWriter(16 + targets.length * 8).uvarint(serial).uvarint(targets.length);
  for (const target of targets) writer.u64(target);
  return writer.finish();
}

/** Throws PEER_MALFORMED. */
export function decodeHoldRequest(bytes: Uint8Array): HoldRequest {
  return read(bytes, "a request for holds", (reader) => {
    const serial = reader.uvarint();
    const count = reader.uvarint();
    if (count > HOLDS_MAX) reader.fail(`at most ${HOLDS_MAX} targets`, `${count}`);
    return { serial, targets: Array.from({ length: count }, () => reader.u64()) };
  });
}

export function encodeHoldAnswer({ storeId, digest, granted }: HoldAnswer): Uint8Array {
  const bits = new Uint8Array(Math.ceil(granted.length / 8));
  for (const [index, isGranted] of granted.entries()) if (isGranted) bits[index >> 3]! |= 1 << (index & 7);
  return new ByteWriter(2 * ID_BYTES + bits.length).raw(Buffer.from(storeId, "hex")).raw(Buffer.from(digest, "hex")).raw(bits).finish();
}

/** `count`: of the request's targets. Throws PEER_MALFORMED. */
export function decodeHoldAnswer(bytes: Uint8Array, count: number): HoldAnswer {
  return read(bytes, "an answer with holds", (reader) => {
    const storeId = toHex(reader.raw(ID_BYTES));
    const digest = toHex(reader.raw(ID_BYTES));
    const bits = reader.raw(Math.ceil(count / 8));
    return { storeId, digest, granted: Array.from({ length: count }, (_, index) => (bits[index >> 3]! & (1 << (index & 7))) !== 0) };
  });
}

function read<T>(bytes: Uint8Array, what: string, decode: (reader: ByteReader) => T): T {
  try {
    return decode(new ByteReader(bytes, what));
  } catch (thrown) {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    throw malformed(what, thrown.message, thrown);
  }
}
