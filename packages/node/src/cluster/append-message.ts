/**
 * The messages of `append`: records to keep, and what became of each (PROTOCOL.md). Pure.
 *
 *   request    | head bytes u32 | head | records back to back |
 *   head       | list count | lists | record count | per record: index of its list, size |
 *   list       | acks | store count | store ids, 16 each |
 *
 *   answer     | store id 16 | record count | per record: outcome |
 *   outcome    | 0: kept |   | 1: kept before, under another list |   | 2: refused | code text | message text |
 *
 * Counts, sizes and indexes are uvarints; a text is a uvarint length and its UTF-8. A later version may add fields behind those of the head and
 * behind the outcomes: they are left unread.
 *
 * A record says itself which tenant it belongs to, and all else that a store must know of it. So the request names nothing that the record's
 * identity does not vouch for but the stores that keep it.
 */
import { ByteReader, ByteWriter, CodedError, CorruptionError, decodeUtf8 } from "@pyromesh/base";
import { majorityOf } from "@pyromesh/ring";

/** Records of one request at most. */
export const APPEND_COUNT_MAX = 1024;
/** Stores of one record at most: the head takes no longer lists. */
const STORE_COUNT_MAX = 16;
const STORE_ID_BYTES = 16;
const HEAD_LENGTH_BYTES = 4;
/** Of a refusal: what is longer is cut. */
const TEXT_BYTES_MAX = 1024;

/** Under which stores, in the order of their ranks, and under how many acks a record is sent. Records with the same object share one list of the request. */
export interface StoreList {
  readonly stores: readonly Uint8Array[];
  readonly acks: number;
}

export interface SentRecord {
  readonly list: StoreList;
  readonly bytes: Uint8Array;
}

export type AppendOutcome = "kept" | "kept-before" | AppendRefusal;

export interface AppendRefusal {
  readonly code: string;
  readonly message: string;
}

export interface AppendAnswer {
  /** 32 hex digits: the store that the outcomes are of. */
  readonly storeId: string;
  /** In the order of the request's records. */
  readonly outcomes: readonly AppendOutcome[];
}

export function encodeAppend(records: readonly SentRecord[]): Uint8Array {
  const indexes = new Map<StoreList, number>();
  for (const { list } of records) if (!indexes.has(list)) indexes.set(list, indexes.size);
  const head = new ByteWriter(64 + indexes.size * 64 + records.length * 5).uvarint(indexes.size);
  for (const { acks, stores } of indexes.keys()) {
    head.uvarint(acks).uvarint(stores.length);
    for (const storeId of stores) head.raw(storeId);
  }
  head.uvarint(records.length);
  let bytesCount = 0;
  for (const { list, bytes } of records) {
    head.uvarint(indexes.get(list)!).uvarint(bytes.length); // each list was given an index above
    bytesCount += bytes.length;
  }
  const headBytes = head.finish();
  const message = Buffer.allocUnsafeSlow(HEAD_LENGTH_BYTES + headBytes.length + bytesCount);
  message.writeUInt32LE(headBytes.length, 0);
  message.set(headBytes, HEAD_LENGTH_BYTES);
  let at = HEAD_LENGTH_BYTES + headBytes.length;
  for (const { bytes } of records) {
    message.set(bytes, at);
    at += bytes.length;
  }
  return message;
}

/** The records' bytes are views into `message`. Throws `PEER_MALFORMED`. */
export function decodeAppend(message: Uint8Array): readonly SentRecord[] {
  return reading("a request to append", message, (reader) => {
    const headBytes = reader.u32();
    const head: ByteReader = new ByteReader(reader.raw(headBytes), "the head of a request to append");
    const lists = Array.from({ length: countOf(head, APPEND_COUNT_MAX, "lists") }, () => listOf(head));
    const recordCount = countOf(head, APPEND_COUNT_MAX, "records");
    const records: SentRecord[] = [];
    for (let left = recordCount; left > 0; left--) {
      const list = lists[head.uvarint()];
      if (list === undefined) head.fail("the index of a list", "another");
      records.push({ list, bytes: reader.raw(head.uvarint()) });
    }
    if (reader.remaining > 0) reader.fail("the end", `${reader.remaining} more bytes`);
    return records;
  });
}

export function encodeAppendAnswer({ storeId, outcomes }: AppendAnswer): Uint8Array {
  const writer = new ByteWriter(32 + outcomes.length).raw(Buffer.from(storeId, "hex")).uvarint(outcomes.length);
  for (const outcome of outcomes) {
    if (outcome === "kept") writer.u8(KEPT);
    else if (outcome === "kept-before") writer.u8(KEPT_BEFORE);
    else writer.u8(REFUSED).prefixed(shortText(outcome.code)).prefixed(shortText(outcome.message));
  }
  return writer.finish();
}

/** `count`: how many records were sent. Throws `PEER_MALFORMED`. */
export function decodeAppendAnswer(message: Uint8Array, count: number): AppendAnswer {
  return reading("an answer to append", message, (reader) => {
    const storeId = Buffer.from(reader.raw(STORE_ID_BYTES)).toString("hex");
    const found = countOf(reader, APPEND_COUNT_MAX, "outcomes");
    if (found !== count) reader.fail(`${count} outcomes`, `${found}`);
    return { storeId, outcomes: Array.from({ length: count }, () => outcomeOf(reader)) };
  });
}

const KEPT = 0;
const KEPT_BEFORE = 1;
const REFUSED = 2;

function listOf(head: ByteReader): StoreList {
  const acks = head.uvarint();
  const count = head.uvarint();
  if (count < 1 || count > STORE_COUNT_MAX) head.fail(`1 to ${STORE_COUNT_MAX} stores`, `${count}`);
  // So the acks that a list's length stands for, once the request is gone, are never more than those that it was sent under.
  if (acks < majorityOf(count) || acks > count) head.fail(`${majorityOf(count)} to ${count} acks`, `${acks}`);
  const stores = Array.from({ length: count }, () => head.raw(STORE_ID_BYTES));
  for (const [rank, storeId] of stores.entries()) {
    if (stores.findIndex((other) => Buffer.compare(storeId, other) === 0) < rank) head.fail("each store once", "one that is named twice");
  }
  return { stores, acks };
}

function outcomeOf(reader: ByteReader): AppendOutcome {
  const kind = reader.u8();
  if (kind === KEPT) return "kept";
  if (kind === KEPT_BEFORE) return "kept-before";
  if (kind !== REFUSED) reader.fail("an outcome of 0 to 2", `${kind}`);
  return { code: textOf(reader), message: textOf(reader) };
}

function countOf(reader: ByteReader, max: number, what: string): number {
  const count = reader.uvarint();
  if (count > max) reader.fail(`at most ${max} ${what}`, `${count}`);
  return count;
}

function textOf(reader: ByteReader): string {
  const length = reader.uvarint();
  if (length > TEXT_BYTES_MAX) reader.fail(`a text of at most ${TEXT_BYTES_MAX} bytes`, `${length}`);
  return decodeUtf8(reader.raw(length));
}

function shortText(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  return bytes.length <= TEXT_BYTES_MAX ? bytes : bytes.subarray(0, TEXT_BYTES_MAX);
}

function reading<T>(what: string, message: Uint8Array, read: (reader: ByteReader) => T): T {
  try {
    return read(new ByteReader(message, what));
  } catch (thrown) {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    throw new CodedError({ code: "PEER_MALFORMED", kind: "invalid_argument", message: thrown.message, cause: thrown });
  }
}
