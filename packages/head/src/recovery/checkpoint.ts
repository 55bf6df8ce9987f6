/**
 * The checkpoint: a small file beside LevelDB that says how far the head got, so that a tail LevelDB drops in silence is
 * noticed (after the last commit there is no neighbour whose number could show the gap).
 *
 * It is written after a commit was synced and never before: it may be behind (it is not synced itself), never ahead. Two
 * slots take turns, so a torn write leaves the other.
 *
 *   slot (64 bytes): | magic u32 | store id 16 | commit u64 | nextSeq u64 | ordinalNext u64 | alive span 2 x f64 | crc32 u32 |
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { ByteReader, crc32 } from "@pyromesh/base";
import { readSpan } from "../entries/time-span.ts";
import type { TimeSpan } from "../entries/time-span.ts";

export interface CheckpointMark {
  readonly storeId: Uint8Array;
  /** Number of the last commit that was synced. */
  readonly commit: number;
  readonly nextSeq: number;
  /** No ordinal at or above it was ever given. */
  readonly ordinalNext: number;
  /** Times of all that the store answered for then. */
  readonly alive: TimeSpan | undefined;
}

export interface Checkpoint {
  /** The later of the slots that are sound. */
  read(): CheckpointMark | undefined;
  /** Written to the page cache before it returns; it is not synced. */
  write(mark: CheckpointMark): void;
  close(): void;
}

/** A write of 64 bytes into the page cache takes some 5 µs: less than handing it to the thread pool. */
export class FileCheckpoint implements Checkpoint {
  readonly #descriptor: number;
  readonly #bytes = Buffer.alloc(SLOT_BYTES);
  #slot = 0;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  static open(path: string): FileCheckpoint {
    // "a+" would append and "w+" truncate: make it if missing, then open it for both.
    closeSync(openSync(path, "a"));
    return new FileCheckpoint(openSync(path, "r+"));
  }

  read(): CheckpointMark | undefined {
    const bytes = new Uint8Array(SLOT_BYTES * 2);
    const count = readSync(this.#descriptor, bytes, 0, bytes.length, 0);
    const marks = [0, 1].map((slot) => decodeMark(bytes.subarray(0, count).subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES)));
    const [first, second] = marks;
    const isSecondLater = second !== undefined && (first === undefined || second.commit > first.commit);
    this.#slot = isSecondLater ? 0 : 1;
    return isSecondLater ? second : first;
  }

  write(mark: CheckpointMark): void {
    writeSync(this.#descriptor, encodeMark(mark, this.#bytes), 0, SLOT_BYTES, this.#slot * SLOT_BYTES);
    this.#slot = 1 - this.#slot;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

export const SLOT_BYTES = 64;
const MAGIC = 0x57_52_59_50; // "PYRW"

/** Encodes into `slot`: one mark is written with each commit, and needs no buffer of its own. */
export function encodeMark(mark: CheckpointMark, slot: Buffer = Buffer.alloc(SLOT_BYTES)): Buffer {
  slot.writeUInt32LE(MAGIC, 0);
  slot.set(mark.storeId, 4);
  writeNumber(slot, 20, mark.commit);
  writeNumber(slot, 28, mark.nextSeq);
  writeNumber(slot, 36, mark.ordinalNext);
  slot.writeDoubleLE(mark.alive?.minMs ?? Number.NaN, 44);
  slot.writeDoubleLE(mark.alive?.maxMs ?? Number.NaN, 52);
  slot.writeUInt32LE(crc32(slot.subarray(0, SLOT_BYTES - 4)), SLOT_BYTES - 4);
  return slot;
}

/** A u64. */
function writeNumber(slot: Buffer, at: number, value: number): void {
  slot.writeUInt32LE(value % 2 ** 32, at);
  slot.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

/** Undefined for a slot that was never written or is not what was written. */
export function decodeMark(slot: Uint8Array): CheckpointMark | undefined {
  if (slot.length !== SLOT_BYTES) return undefined;
  const reader = new ByteReader(slot, "witness");
  if (reader.u32() !== MAGIC) return undefined;
  const storeId = Uint8Array.from(reader.raw(16));
  const [commit, nextSeq, ordinalNext] = [Number(reader.u64()), Number(reader.u64()), Number(reader.u64())];
  const end = SLOT_BYTES - 4;
  if (new ByteReader(slot, "witness", end).u32() !== crc32(slot.subarray(0, end))) return undefined;
  return { storeId, commit, nextSeq, ordinalNext, alive: readSpan(reader) };
}
