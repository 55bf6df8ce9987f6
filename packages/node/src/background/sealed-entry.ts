/**
 * What the head remembers of a sealed segment, so that a local file which is no longer what was written is noticed.
 *
 *   size u64 │ crc32 of all its bytes u32                      little-endian
 *   size u64 │ crc32 of all its bytes u32 │ u8 = 1 (lost)      its file was corrupted: a mark goes to the bucket in its place
 *
 * The segment's own checksums are not enough: another whole segment in the file's place would pass them.
 */
import { crc32 } from "@pyromesh/base";

export interface SealedEntry {
  readonly sizeBytes: number;
  readonly crc: number;
  readonly isLost: boolean;
}

/** What a local file is compared by. */
export type FileSum = Pick<SealedEntry, "sizeBytes" | "crc">;

export function sealedEntryOf(bytes: Uint8Array): SealedEntry {
  return { sizeBytes: bytes.length, crc: crc32(bytes), isLost: false };
}

export function encodeSealedEntry({ sizeBytes, crc, isLost }: SealedEntry): Uint8Array {
  const bytes = new Uint8Array(isLost ? 13 : 12);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(sizeBytes), true);
  view.setUint32(8, crc, true);
  if (isLost) view.setUint8(12, 1);
  return bytes;
}

/** Checks nothing: the head keeps the bytes under a checksum of its own. */
export function decodeSealedEntry(entry: Uint8Array): SealedEntry {
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  return { sizeBytes: Number(view.getBigUint64(0, true)), crc: view.getUint32(8, true), isLost: entry.byteLength > 12 && view.getUint8(12) === 1 };
}

/** Why a file is not what was sealed; undefined where it is. `found` undefined: there is no file. */
export function corruptionOf(found: FileSum | undefined, sealed: FileSum): string | undefined {
  if (found === undefined) return "is not on disk";
  if (found.sizeBytes !== sealed.sizeBytes) return `has ${found.sizeBytes} bytes on disk instead of ${sealed.sizeBytes}`;
  if (found.crc !== sealed.crc) return `has crc32 ${found.crc.toString(16)} on disk instead of ${sealed.crc.toString(16)}`;
  return undefined;
}
