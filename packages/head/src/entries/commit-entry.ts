/**
 * Commits: each batch that takes something in (records, a cut, a seal) carries one numbered entry, so that what LevelDB
 * drops in silence leaves a gap in the numbers or a sum that does not add up.
 *
 *   | crc32 u32 | version u8 | kind u8 | span | alive span | ... |       the number is in the key; a span is two f64, NaN: none
 *
 *   kind 1 records   | firstSeq | lastSeq | recordCount | bytes (uvarints) | sum u32: crc32 over the records' sums, in order |
 *   kind 2 cut       (the cut entry has the same number)
 *   kind 3 seal      | cutId | key count (uvarints) | keys (texts) |
 *   kind 4 rest      as kind 1, for the records that are left, then | ranges of the seqs that left (number-ranges.ts) |
 *
 * A commit whose records leave one by one (released, or sealed with another cut) is written again as kind 4, in the batch that deletes
 * them, and goes with the last. So a record that left on purpose is no loss, and one that is lost of the rest still shows. That
 * batch takes nothing in and has no number of its own: where it is lost, its records are back, and leave again.
 *
 * `alive` spans the times of everything this store answers for just after the commit (open, cut, sealed). So whatever was
 * lost of an earlier commit lies inside the `alive` of any later one: that bounds what a gap may have cost.
 */
import { ByteReader, ByteWriter, crc32, unreachable } from "@pyromesh/base";
import { entryName, unwrap, wrap } from "./checksum-envelope.ts";
import { commitKey } from "./keys.ts";
import { NumberRanges } from "./number-ranges.ts";
import type { StoreEntry } from "./store.ts";
import { readSpan, writeSpan } from "./time-span.ts";
import type { TimeSpan } from "./time-span.ts";

interface CommitBase {
  readonly number: number;
  /** Times of what this commit took in. */
  readonly span: TimeSpan | undefined;
  readonly alive: TimeSpan | undefined;
}

export interface RecordsCommit extends CommitBase {
  readonly kind: "records";
  /** Its records lie in firstSeq..lastSeq; fewer than fit only where some left or were quarantined. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Seqs of records that left on purpose: one that is found all the same is no record any more. `recordCount`, `bytes` and `sum` are of the others. */
  readonly left: NumberRanges;
  readonly recordCount: number;
  readonly bytes: number;
  readonly sum: number;
}

export interface CutCommit extends CommitBase {
  readonly kind: "cut";
}

export interface SealCommit extends CommitBase {
  readonly kind: "seal";
  readonly cutId: number;
  /** Segments not yet unsealed. */
  readonly segmentKeys: readonly string[];
}

export type Commit = RecordsCommit | CutCommit | SealCommit;

/** The sum that a commit of records holds: a checksum over the checksums of their entries. */
export function sumOf(recordSums: readonly number[]): number {
  const bytes = Buffer.allocUnsafe(recordSums.length * 4);
  recordSums.forEach((sum, index) => bytes.writeUInt32LE(sum, index * 4));
  return crc32(bytes);
}

export function encodeCommit(commit: Commit): StoreEntry {
  const key = commitKey(commit.number);
  const hasLeft = commit.kind === "records" && commit.left.ranges.length > 0;
  const writer = new ByteWriter(96).u8(VERSION).u8(hasLeft ? KIND_CODES.rest : KIND_CODES[commit.kind]);
  writeSpan(writer, commit.span);
  writeSpan(writer, commit.alive);
  switch (commit.kind) {
    case "records":
      writer.uvarint(commit.firstSeq).uvarint(commit.lastSeq).uvarint(commit.recordCount).uvarint(commit.bytes).u32(commit.sum);
      if (hasLeft) commit.left.write(writer);
      break;
    case "cut":
      break;
    case "seal":
      writer.uvarint(commit.cutId).uvarint(commit.segmentKeys.length);
      for (const segmentKey of commit.segmentKeys) writer.text(segmentKey);
      break;
    default:
      unreachable(commit);
  }
  return { key, value: wrap(key, writer.finish()) };
}

/** Throws `CorruptionError`. */
export function decodeCommit(number: number, value: Uint8Array): Commit {
  const key = commitKey(number);
  const reader = new ByteReader(unwrap(key, value), entryName(key));
  const version = reader.u8();
  if (version !== VERSION) reader.fail(`version ${VERSION}`, `${version}`);
  const kind = reader.u8();
  const span = readSpan(reader);
  const alive = readSpan(reader);
  switch (kind) {
    case KIND_CODES.records:
    case KIND_CODES.rest: {
      const [firstSeq, lastSeq, recordCount, bytes] = [reader.uvarint(), reader.uvarint(), reader.uvarint(), reader.uvarint()];
      const sum = reader.u32();
      const left = kind === KIND_CODES.rest ? NumberRanges.read(reader) : NumberRanges.NONE;
      return { kind: "records", number, span, alive, firstSeq, lastSeq, left, recordCount, bytes, sum };
    }
    case KIND_CODES.cut:
      return { kind: "cut", number, span, alive };
    case KIND_CODES.seal: {
      const cutId = reader.uvarint();
      const segmentKeys: string[] = [];
      for (let left = reader.uvarint(); left > 0; left--) segmentKeys.push(reader.text());
      return { kind: "seal", number, span, alive, cutId, segmentKeys };
    }
    default:
      return reader.fail("a commit kind of 1 to 4", `${kind}`);
  }
}

const VERSION = 1;
/** Append only; a number is never used again for something else. */
const KIND_CODES = { records: 1, cut: 2, seal: 3, rest: 4 } as const;
