/**
 * A cut: records that leave the open head together, to become one segment per tenant and window. It holds no ordinals: they are given
 * with the seal, so that a cut that is sealed late, or in part, leaves no hole.
 *
 *   version 3   | crc32 u32 | version u8 | madeAtMs f64 | ranges of seqs (number-ranges.ts) |
 *   version 2   | crc32 u32 | version u8 | firstSeq | lastSeq (uvarints) | madeAtMs f64 |: every seq from first to last
 *   version 1   as version 2, then | group count | tenant text, windowStartMs f64, ordinal ... |: read, and its ordinals ignored
 *
 * A range may name seqs under which there is nothing any more. No two cuts name the same seq.
 */
import { ByteReader, ByteWriter } from "@pyromesh/base";
import { entryName, unwrap, wrap } from "./checksum-envelope.ts";
import { cutKey } from "./keys.ts";
import { NumberRanges } from "./number-ranges.ts";
import type { StoreEntry } from "./store.ts";

export interface CutEntry {
  /** The number of the commit that made it. */
  readonly cutId: number;
  /** Not empty. */
  readonly seqs: NumberRanges;
  readonly madeAtMs: number;
}

export function firstSeqOf({ seqs }: CutEntry): number {
  return seqs.ranges[0]?.from ?? 0;
}

export function lastSeqOf({ seqs }: CutEntry): number {
  return seqs.ranges.at(-1)?.to ?? 0;
}

export function encodeCut(cut: CutEntry): StoreEntry {
  const key = cutKey(cut.cutId);
  const writer = new ByteWriter().u8(VERSION).f64(cut.madeAtMs);
  cut.seqs.write(writer);
  return { key, value: wrap(key, writer.finish()) };
}

/** Throws `CorruptionError`. */
export function decodeCut(cutId: number, value: Uint8Array): CutEntry {
  const key = cutKey(cutId);
  const reader = new ByteReader(unwrap(key, value), entryName(key));
  const version = reader.u8();
  if (version < 1 || version > VERSION) reader.fail(`version 1 to ${VERSION}`, `${version}`);
  if (version === VERSION) {
    const madeAtMs = reader.f64();
    return { cutId, madeAtMs, seqs: NumberRanges.read(reader) };
  }
  const range = { from: reader.uvarint(), to: reader.uvarint() };
  return { cutId, seqs: NumberRanges.of([range]), madeAtMs: reader.f64() };
}

const VERSION = 3;
