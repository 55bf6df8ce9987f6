/**
 * LevelDB's table files, read without LevelDB: before a store is opened, each table is checked, and one that is damaged is
 * written anew from its sound entries.
 *
 * Why: classic-level's LevelDB is built with its assertions on. A table whose keys are out of order after one flipped byte
 * aborts the whole process at the next compaction, and again at each start. It also never checks a block's checksum.
 *
 *   table     | data block ... | metaindex block | index block | footer 48 bytes |
 *   block     | entries | restart offsets u32 ... | restart count u32 |  then  | type u8 (0: plain) | masked crc32c u32 |
 *   entry     | shared, unshared, value length (varints) | key's unshared bytes | value |
 *   key       | user key | (sequence << 8 | kind) u64 |          kind 1: put, 0: delete
 *   footer    | metaindex handle, index handle (varints: offset, size), zeros | magic u64 |
 *
 * A block's checksum is left out where a flipped byte in it cannot make LevelDB abort: in a block of one put, in order and not at an end
 * of the table, whose value the replay checks; and in a block of puts whose envelopes (checksum-envelope.ts) match. It would take a
 * second for a start with 500 MB of records. The blocks of the first and last keys, by which LevelDB sorts whole tables, are always checked.
 */
import { crc32, putUvarint, VARINT_BYTES_MAX, VarintCursor } from "@pyromesh/base";
import type { Turns } from "@pyromesh/base";
import { ENVELOPE_BYTES, envelopeSum } from "../entries/checksum-envelope.ts";

/** Whether LevelDB can read the table without aborting the process. For a table of small records this is a second of work: it is done in slices. */
export async function isTableSound(table: Buffer, turns: Turns): Promise<boolean> {
  const handles = readIndex(table);
  if (handles === undefined) return false;
  let last: Buffer | undefined;
  for (const [at, handle] of handles.entries()) {
    if (turns.areDue) await turns.give();
    const { entries, isBroken } = readBlock(table, handle);
    if (isBroken || entries.length === 0) return false;
    for (const { key } of entries) {
      if (last !== undefined && compareInternal(last, key) >= 0) return false;
      last = key;
    }
    const isSinglePut = entries.length === 1 && isPut(entries[0]!) && at > 0 && at < handles.length - 1;
    if (!isSinglePut && !entries.every(isSoundPut) && !isBlockSumRight(table, handle)) return false;
  }
  return true;
}

/** A table of what is sound in a damaged one; undefined when nothing is. */
export async function salvageTable(table: Buffer, turns: Turns): Promise<Buffer | undefined> {
  const handles = readIndex(table) ?? (await guessHandles(table, turns));
  const kept: TableEntry[] = [];
  for (const handle of handles) {
    if (turns.areDue) await turns.give();
    const isSumRight = isBlockSumRight(table, handle);
    for (const entry of readBlock(table, handle).entries) {
      if (!isSumRight && !isSoundPut(entry)) continue;
      const last = kept[kept.length - 1];
      if (last === undefined || compareInternal(last.key, entry.key) < 0) kept.push(entry);
    }
  }
  return kept.length === 0 ? undefined : writeTable(kept, turns);
}

/** Unsigned 32 bits of CRC-32C (Castagnoli). Only for small blocks: some 300 MB/s. */
export function crc32c(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) sum = CRC32C_TABLE[(sum ^ bytes[i]!) & 0xff]! ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

export interface TableEntry {
  /** The user key, then LevelDB's sequence and kind. */
  readonly key: Buffer;
  readonly value: Buffer;
}

export async function writeTable(entries: readonly TableEntry[], turns: Turns): Promise<Buffer> {
  const parts: Buffer[] = [];
  let offset = 0;
  const putBlock = (blockEntries: readonly TableEntry[]): Buffer => {
    const contents = encodeBlock(blockEntries);
    const block = Buffer.concat([contents, Buffer.alloc(TRAILER_BYTES)]); // type 0: plain
    block.writeUInt32LE(maskSum(crc32c(block.subarray(0, contents.length + 1))), contents.length + 1);
    parts.push(block);
    const handle = Buffer.from([...varint(offset), ...varint(contents.length)]);
    offset += block.length;
    return handle;
  };
  const index: TableEntry[] = [];
  let block: TableEntry[] = [];
  let blockBytes = 0;
  for (const [at, entry] of entries.entries()) {
    block.push(entry);
    blockBytes += entry.key.length + entry.value.length;
    if (blockBytes < BLOCK_BYTES && at < entries.length - 1) continue;
    if (turns.areDue) await turns.give();
    index.push({ key: entry.key, value: putBlock(block) });
    block = [];
    blockBytes = 0;
  }
  const footer = Buffer.alloc(FOOTER_BYTES);
  Buffer.concat([putBlock([]), putBlock(index)]).copy(footer);
  footer.writeBigUInt64LE(MAGIC, FOOTER_BYTES - 8);
  return Buffer.concat([...parts, footer]);
}

interface Handle {
  readonly offset: number;
  readonly size: number;
}

const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
const BLOCK_BYTES = 4096;
const RESTART_INTERVAL = 16;
const KEY_TRAILER_BYTES = 8;
const MAGIC = 0xdb4775248b80fb57n;

const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = (sum & 1) === 0 ? sum >>> 1 : (sum >>> 1) ^ 0x82f63b78;
  return sum >>> 0;
});

/** Handles of the data blocks, in order, or undefined when footer or index is not what was written. */
function readIndex(table: Buffer): readonly Handle[] | undefined {
  if (table.length < FOOTER_BYTES) return undefined;
  const footer = table.subarray(table.length - FOOTER_BYTES);
  if (footer.readBigUInt64LE(FOOTER_BYTES - 8) !== MAGIC) return undefined;
  const metaindex = readHandle(footer, 0);
  const index = metaindex && readHandle(footer, metaindex.end);
  if (metaindex === undefined || index === undefined) return undefined;
  for (const { handle } of [metaindex, index]) if (!isInside(table, handle) || !isBlockSumRight(table, handle)) return undefined;
  const handles: Handle[] = [];
  for (const { value } of readBlock(table, index.handle).entries) {
    const read = readHandle(value, 0);
    if (read === undefined || !isInside(table, read.handle)) return undefined;
    handles.push(read.handle);
  }
  return handles;
}

/** Without the index: blocks stand back to back from the start, and where one ends can be told from its restart offsets. */
async function guessHandles(table: Buffer, turns: Turns): Promise<readonly Handle[]> {
  const handles: Handle[] = [];
  let offset = 0;
  while (offset < table.length - FOOTER_BYTES) {
    if (turns.areDue) await turns.give();
    const end = guessBlockEnd(table, offset);
    if (end === undefined) break;
    handles.push({ offset, size: end - offset });
    offset = end + TRAILER_BYTES;
  }
  return handles;
}

function guessBlockEnd(table: Buffer, start: number): number | undefined {
  let at = start;
  for (let count = 0; ; count++) {
    const restartCount = Math.max(1, Math.ceil(count / RESTART_INTERVAL));
    const end = at + restartCount * 4 + 4;
    // No entry looks like this: its key would be empty.
    if (count > 0 && end <= table.length && table.readUInt32LE(at) === 0 && table.readUInt32LE(end - 4) === restartCount) return end;
    const header = readEntryHeader(table, at, table.length);
    if (header === undefined) return undefined;
    at = header.end;
  }
}

function readBlock(table: Buffer, { offset, size }: Handle): { readonly entries: readonly TableEntry[]; readonly isBroken: boolean } {
  const entries: TableEntry[] = [];
  const broken = { entries, isBroken: true };
  if (size < 4 || table[offset + size] !== 0) return broken;
  const restartCount = table.readUInt32LE(offset + size - 4);
  const end = offset + size - 4 - restartCount * 4;
  if (end < offset) return broken;
  const restarts = new Set<number>();
  for (let i = 0; i < restartCount; i++) restarts.add(table.readUInt32LE(end + i * 4));
  let key: Buffer = Buffer.alloc(0);
  let at = offset;
  while (at < end) {
    const header = readEntryHeader(table, at, end);
    if (header === undefined || header.shared > key.length) return broken;
    if (restarts.delete(at - offset) && header.shared !== 0) return broken;
    const unshared = table.subarray(header.keyStart, header.valueStart);
    key = header.shared === 0 ? unshared : Buffer.concat([key.subarray(0, header.shared), unshared]);
    if (key.length < KEY_TRAILER_BYTES || key[key.length - KEY_TRAILER_BYTES]! > 1) return broken;
    entries.push({ key, value: table.subarray(header.valueStart, header.end) });
    at = header.end;
  }
  // A restart that points between entries would send LevelDB's search astray; an empty block has the one at 0.
  restarts.delete(0);
  return { entries, isBroken: restarts.size > 0 };
}

function readEntryHeader(table: Buffer, at: number, end: number): { shared: number; keyStart: number; valueStart: number; end: number } | undefined {
  const cursor = new VarintCursor(table, at, end);
  const shared = cursor.next();
  const unsharedBytes = cursor.next();
  const valueBytes = cursor.next();
  if (shared < 0 || unsharedBytes < 0 || valueBytes < 0) return undefined;
  const keyStart = cursor.offset;
  const valueStart = keyStart + unsharedBytes;
  const entryEnd = valueStart + valueBytes;
  return entryEnd > end ? undefined : { shared, keyStart, valueStart, end: entryEnd };
}

function readHandle(bytes: Buffer, at: number): { readonly handle: Handle; readonly end: number } | undefined {
  const cursor = new VarintCursor(bytes, at);
  const offset = cursor.next();
  const size = cursor.next();
  return offset < 0 || size < 0 ? undefined : { handle: { offset, size }, end: cursor.offset };
}

function varint(value: number): number[] {
  const bytes = new Uint8Array(VARINT_BYTES_MAX);
  return [...bytes.subarray(0, putUvarint(bytes, 0, value))];
}

function encodeBlock(entries: readonly TableEntry[]): Buffer {
  const parts: Buffer[] = [];
  const restarts: number[] = entries.length === 0 ? [0] : [];
  let length = 0;
  let last: Buffer = Buffer.alloc(0);
  for (const [at, { key, value }] of entries.entries()) {
    let shared = 0;
    if (at % RESTART_INTERVAL === 0) restarts.push(length);
    else while (shared < last.length && shared < key.length && last[shared] === key[shared]) shared++;
    const header = Buffer.from([...varint(shared), ...varint(key.length - shared), ...varint(value.length)]);
    parts.push(header, key.subarray(shared), value);
    length += header.length + key.length - shared + value.length;
    last = key;
  }
  const tail = Buffer.alloc(restarts.length * 4 + 4);
  for (const [at, restart] of [...restarts, restarts.length].entries()) tail.writeUInt32LE(restart, at * 4);
  return Buffer.concat([...parts, tail]);
}

function isInside(table: Buffer, { offset, size }: Handle): boolean {
  return offset + size + TRAILER_BYTES <= table.length - FOOTER_BYTES;
}

function isBlockSumRight(table: Buffer, { offset, size }: Handle): boolean {
  const end = offset + size;
  return table[end] === 0 && table.readUInt32LE(end + 1) === maskSum(crc32c(table.subarray(offset, end + 1)));
}

/** LevelDB stores a checksum rotated and shifted, so that the checksum over bytes that hold checksums stays strong. */
function maskSum(sum: number): number {
  return ((((sum >>> 15) | (sum << 17)) >>> 0) + 0xa282ead8) >>> 0;
}

function isPut({ key }: TableEntry): boolean {
  return key[key.length - KEY_TRAILER_BYTES] === 1;
}

function isSoundPut(entry: TableEntry): boolean {
  const { key, value } = entry;
  if (!isPut(entry) || value.length < ENVELOPE_BYTES) return false;
  return crc32(value.subarray(ENVELOPE_BYTES), crc32(key.subarray(0, -KEY_TRAILER_BYTES))) === envelopeSum(value);
}

/** User keys ascend; of one user key the later sequence comes first. */
function compareInternal(a: Buffer, b: Buffer): number {
  const order = Buffer.compare(a.subarray(0, -KEY_TRAILER_BYTES), b.subarray(0, -KEY_TRAILER_BYTES));
  if (order !== 0) return order;
  const [left, right] = [a.readBigUInt64LE(a.length - KEY_TRAILER_BYTES), b.readBigUInt64LE(b.length - KEY_TRAILER_BYTES)];
  return left > right ? -1 : left < right ? 1 : 0;
}
