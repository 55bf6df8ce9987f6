/**
 * A cut: a run of records that leaves the open head together, to become one segment per tenant and window. It holds no ordinals:
 * they are given with the seal, so that a cut that is sealed late, or in part, leaves no hole.
 *
 *   version 2   | crc32 u32 | version u8 | firstSeq | lastSeq | madeAtMs f64 |
 *   version 1   the same, then | group count | tenant text, windowStartMs f64, ordinal ... |: read, and its ordinals ignored
 */
import { ByteReader, ByteWriter } from "@pyromesh/base";
import { entryName, unwrap, wrap } from "./checksum-envelope.ts";
import { cutKey } from "./keys.ts";
import type { StoreEntry } from "./store.ts";

export interface CutEntry {
  /** The number of the commit that made it. */
  readonly cutId: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly madeAtMs: number;
}

export function encodeCut(cut: CutEntry): StoreEntry {
  const key = cutKey(cut.cutId);
  const writer = new ByteWriter().u8(VERSION).uvarint(cut.firstSeq).uvarint(cut.lastSeq).f64(cut.madeAtMs);
  return { key, value: wrap(key, writer.finish()) };
}

/** Throws `CorruptionError`. */
export function decodeCut(cutId: number, value: Uint8Array): CutEntry {
  const key = cutKey(cutId);
  const reader = new ByteReader(unwrap(key, value), entryName(key));
  const version = reader.u8();
  if (version !== VERSION && version !== 1) reader.fail(`version 1 or ${VERSION}`, `${version}`);
  const firstSeq = reader.uvarint();
  const lastSeq = reader.uvarint();
  const madeAtMs = reader.f64();
  return { cutId, firstSeq, lastSeq, madeAtMs };
}

const VERSION = 2;
