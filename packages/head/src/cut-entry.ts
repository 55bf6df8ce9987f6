/**
 * A cut: a run of records that leaves the open head together, to become one segment per tenant and window. Its ordinals are
 * fixed when it is made, so a restart builds the same segments under the same keys.
 *
 *   | crc32 u32 | version u8 | firstSeq | lastSeq | madeAtMs f64 | group count | tenant text, windowStartMs f64, ordinal ... |
 */
import { ByteReader, ByteWriter } from "@pyromesh/base";
import { entryName, frame, unframe } from "./frame.ts";
import { cutKey } from "./keys.ts";
import type { StoreEntry } from "./store.ts";

export interface CutEntry {
  /** The number of the commit that made it. */
  readonly cutId: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly madeAtMs: number;
  readonly ordinals: readonly CutOrdinal[];
}

export interface CutOrdinal {
  readonly tenant: string;
  readonly windowStartMs: number;
  readonly ordinal: number;
}

export function encodeCut(cut: CutEntry): StoreEntry {
  const key = cutKey(cut.cutId);
  const writer = new ByteWriter().u8(VERSION).uvarint(cut.firstSeq).uvarint(cut.lastSeq).f64(cut.madeAtMs).uvarint(cut.ordinals.length);
  for (const { tenant, windowStartMs, ordinal } of cut.ordinals) writer.text(tenant).f64(windowStartMs).uvarint(ordinal);
  return { key, value: frame(key, writer.finish()) };
}

/** Throws `CorruptionError`. */
export function decodeCut(cutId: number, value: Uint8Array): CutEntry {
  const key = cutKey(cutId);
  const reader = new ByteReader(unframe(key, value), entryName(key));
  const version = reader.u8();
  if (version !== VERSION) reader.fail(`version ${VERSION}`, `${version}`);
  const firstSeq = reader.uvarint();
  const lastSeq = reader.uvarint();
  const madeAtMs = reader.f64();
  const ordinals: CutOrdinal[] = [];
  for (let left = reader.uvarint(); left > 0; left--) {
    ordinals.push({ tenant: reader.text(), windowStartMs: reader.f64(), ordinal: reader.uvarint() });
  }
  return { cutId, firstSeq, lastSeq, madeAtMs, ordinals };
}

const VERSION = 1;
