/**
 * The messages of membership on the control channel and on the gossip topic: msgpack arrays, whose first element is the kind.
 *
 *   1 probe      entry of the sender, heartbeat, digest          2 ack      heartbeat, is contact, digest
 *   3 help       name of the subject                             4 helped   name of the subject, has answered
 *   5 news       entries, losses, accusations                    6 relay    own heartbeat, row list, word list
 *   7 digest     digest                                          8 buckets  256 x 8 bytes: the bucket digests, number
 *   9 table      entries, losses, bucket digests of the sender or no bytes, number of the `buckets` that it answers or 0
 *
 *   entry        [name, store, boot, incarnation, status, claims full, joins, gone joins, stores that acknowledged, acks held,
 *                 cluster address, http address, zone, tokens, protocol min, protocol max, build,
 *                 formats, promises: bytes of announced-formats.ts; an entry without them is of an earlier build]
 *   loss         [member, store, incarnation, acks held, was full, gone joins, is cleared, stores that fenced, stores that flushed]
 *   accusation   [subject, incarnation, accuser]
 *   store        16 bytes; a set of stores: their bytes one after the other, ascending
 *   digest       8 bytes
 *   row list     n x { u32 relay id, u24 heartbeat heard, u24 word about the receiver }       word list   n x { u32 relay id, u24 word }
 *
 * Numbers in byte strings are little-endian. Elements after the last one of a kind are ignored, so later versions can add some; an unknown kind is ignored.
 * Everything else that is not as above is PEER_MALFORMED.
 */
import { CodedError, messageOf, toHex } from "@pyromesh/base";
import { Packr } from "msgpackr";
import { FORMAT_COUNT_MAX } from "../items/announced-formats.ts";
import { faultOfEntry, STATUSES, type Entry } from "../items/entry.ts";
import { MEMBERS_MAX, LOSSES_MAX } from "../items/limits.ts";
import { faultOfLoss, type Loss } from "../items/losses.ts";
import { isStoreSet } from "../items/store-set.ts";
import { BUCKET_DIGEST_BYTES, BUCKETS } from "../items/table-digest.ts";
import type { RelayMessage } from "./relay.ts";

export interface Accusation {
  readonly subject: string;
  readonly incarnation: number;
  readonly accuser: string;
}

/** `digest`: 16 hex digits over the sender's table. */
export type MembershipMessage =
  | { readonly kind: "probe"; readonly entry: Entry; readonly heartbeat: number; readonly digest: string }
  | { readonly kind: "ack"; readonly heartbeat: number; readonly isContact: boolean; readonly digest: string }
  | { readonly kind: "help"; readonly subject: string }
  | { readonly kind: "helped"; readonly subject: string; readonly hasAnswered: boolean }
  | { readonly kind: "news"; readonly entries: readonly Entry[]; readonly losses: readonly Loss[]; readonly accusations: readonly Accusation[] }
  | { readonly kind: "relay"; readonly relay: RelayMessage }
  | { readonly kind: "digest"; readonly digest: string }
  | { readonly kind: "buckets"; readonly buckets: Uint8Array; readonly number: number }
  | { readonly kind: "table"; readonly entries: readonly Entry[]; readonly losses: readonly Loss[]; readonly buckets: Uint8Array; readonly number: number };

const KINDS: readonly MembershipMessage["kind"][] = ["probe", "ack", "help", "helped", "news", "relay", "digest", "buckets", "table"];
const BUCKETS_BYTES = BUCKETS * BUCKET_DIGEST_BYTES;
const ACCUSATIONS_MAX = 1024;
const RELAYED_MAX = 4096;
const ROW_BYTES = 10;
const WORD_BYTES = 7;

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: "number" });

export function encodeMembershipMessage(message: MembershipMessage): Uint8Array {
  return packr.pack([KINDS.indexOf(message.kind) + 1, ...fieldsOf(message)]);
}

/** Undefined: a kind of a later version. Throws PEER_MALFORMED. */
export function decodeMembershipMessage(bytes: Uint8Array): MembershipMessage | undefined {
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (error) {
    throw malformed(messageOf(error));
  }
  const fields = new Fields(value, "a message of membership");
  const kind = KINDS[fields.whole(0xffff) - 1];
  return kind === undefined ? undefined : messageFrom(kind, fields);
}

function fieldsOf(message: MembershipMessage): unknown[] {
  switch (message.kind) {
    case "probe":
      return [fieldsOfEntry(message.entry), message.heartbeat, bytesOfHex(message.digest)];
    case "ack":
      return [message.heartbeat, message.isContact, bytesOfHex(message.digest)];
    case "help":
      return [message.subject];
    case "helped":
      return [message.subject, message.hasAnswered];
    case "news":
      return [message.entries.map(fieldsOfEntry), message.losses.map(fieldsOfLoss), message.accusations.map(({ subject, incarnation, accuser }) => [subject, incarnation, accuser])];
    case "relay":
      return [message.relay.own, rowBytes(message.relay), wordBytes(message.relay)];
    case "digest":
      return [bytesOfHex(message.digest)];
    case "buckets":
      return [message.buckets, message.number];
    case "table":
      return [message.entries.map(fieldsOfEntry), message.losses.map(fieldsOfLoss), message.buckets, message.number];
  }
}

function messageFrom(kind: MembershipMessage["kind"], fields: Fields): MembershipMessage {
  switch (kind) {
    case "probe":
      return { kind, entry: entryFrom(fields.list()), heartbeat: fields.whole(0xffffff), digest: fields.digest() };
    case "ack":
      return { kind, heartbeat: fields.whole(0xffffff), isContact: fields.flag(), digest: fields.digest() };
    case "help":
      return { kind, subject: fields.text() };
    case "helped":
      return { kind, subject: fields.text(), hasAnswered: fields.flag() };
    case "news":
      return { kind, entries: fields.lists(MEMBERS_MAX).map(entryFrom), losses: fields.lists(LOSSES_MAX).map(lossFrom), accusations: fields.lists(ACCUSATIONS_MAX).map(accusationFrom) };
    case "relay":
      return { kind, relay: relayFrom(fields.whole(0xffffff), fields.bytes(), fields.bytes()) };
    case "digest":
      return { kind, digest: fields.digest() };
    case "buckets":
      return { kind, buckets: fields.bytes(BUCKETS_BYTES), number: fields.whole() };
    case "table":
      return { kind, entries: fields.lists(MEMBERS_MAX).map(entryFrom), losses: fields.lists(LOSSES_MAX).map(lossFrom), buckets: fields.bytesOrNone(BUCKETS_BYTES), number: fields.whole() };
  }
}

function fieldsOfEntry(entry: Entry): unknown[] {
  const { name, storeId, bootId, incarnation, status, claimsFull, joins, goneJoins, acknowledgedBy, acksHeld, clusterAddress, httpAddress, zone, tokenCount, protocolMin, protocolMax, build, formats, promises } = entry;
  return [
    name,
    bytesOfHex(storeId),
    bytesOfHex(bootId),
    incarnation,
    STATUSES.indexOf(status),
    claimsFull,
    joins,
    goneJoins,
    bytesOfStores(acknowledgedBy),
    acksHeld,
    clusterAddress,
    httpAddress,
    zone,
    tokenCount,
    protocolMin,
    protocolMax,
    build,
    bytesOfHex(formats),
    bytesOfHex(promises),
  ];
}

function entryFrom(fields: Fields): Entry {
  const entry: Entry = {
    name: fields.text(),
    storeId: toHex(fields.bytes(16)),
    bootId: toHex(fields.bytes(8)),
    incarnation: fields.whole(),
    status: STATUSES[fields.whole()]!, // an unknown one is found by `faultOfEntry`
    claimsFull: fields.flag(),
    joins: fields.whole(),
    goneJoins: fields.whole(),
    acknowledgedBy: fields.stores(),
    acksHeld: fields.whole(),
    clusterAddress: fields.text(),
    httpAddress: fields.text(),
    zone: fields.text(),
    tokenCount: fields.whole(),
    protocolMin: fields.whole(),
    protocolMax: fields.whole(),
    build: fields.text(),
    formats: fields.laterHex(FORMAT_COUNT_MAX * 2),
    promises: fields.laterHex(FORMAT_COUNT_MAX),
  };
  const fault = faultOfEntry(entry);
  if (fault !== undefined) throw malformed(`an entry: ${fault}`);
  return entry;
}

function fieldsOfLoss({ member, storeId, incarnation, acksHeld, wasFull, goneJoins, isCleared, fencedBy, flushedBy }: Loss): unknown[] {
  return [member, bytesOfHex(storeId), incarnation, acksHeld, wasFull, goneJoins, isCleared, bytesOfStores(fencedBy), bytesOfStores(flushedBy)];
}

function lossFrom(fields: Fields): Loss {
  const loss: Loss = {
    member: fields.text(),
    storeId: toHex(fields.bytes(16)),
    incarnation: fields.whole(),
    acksHeld: fields.whole(),
    wasFull: fields.flag(),
    goneJoins: fields.whole(),
    isCleared: fields.flag(),
    fencedBy: fields.stores(),
    flushedBy: fields.stores(),
  };
  const fault = faultOfLoss(loss);
  if (fault !== undefined) throw malformed(`a loss: ${fault}`);
  return loss;
}

function accusationFrom(fields: Fields): Accusation {
  return { subject: fields.text(), incarnation: fields.whole(), accuser: fields.text() };
}

function rowBytes({ rowIds, rowBeats, rowWords }: RelayMessage): Uint8Array {
  const bytes = Buffer.alloc(rowIds.length * ROW_BYTES);
  for (let i = 0; i < rowIds.length; i++) {
    bytes.writeUInt32LE(rowIds[i]!, i * ROW_BYTES);
    bytes.writeUIntLE(rowBeats[i]!, i * ROW_BYTES + 4, 3);
    bytes.writeUIntLE(rowWords[i]!, i * ROW_BYTES + 7, 3);
  }
  return bytes;
}

function wordBytes({ ids, words }: RelayMessage): Uint8Array {
  const bytes = Buffer.alloc(ids.length * WORD_BYTES);
  for (let i = 0; i < ids.length; i++) {
    bytes.writeUInt32LE(ids[i]!, i * WORD_BYTES);
    bytes.writeUIntLE(words[i]!, i * WORD_BYTES + 4, 3);
  }
  return bytes;
}

function relayFrom(own: number, rows: Uint8Array, pairs: Uint8Array): RelayMessage {
  if (rows.length % ROW_BYTES !== 0 || pairs.length % WORD_BYTES !== 0) throw malformed("a list of heartbeats ends in the middle of one");
  const rowCount = rows.length / ROW_BYTES;
  const wordCount = pairs.length / WORD_BYTES;
  if (rowCount > RELAYED_MAX || wordCount > RELAYED_MAX) throw malformed(`more than ${RELAYED_MAX} heartbeats in one message`);
  const row = Buffer.from(rows.buffer, rows.byteOffset, rows.length);
  const pair = Buffer.from(pairs.buffer, pairs.byteOffset, pairs.length);
  const message = { own, rowIds: new Uint32Array(rowCount), rowBeats: new Uint32Array(rowCount), rowWords: new Uint32Array(rowCount), ids: new Uint32Array(wordCount), words: new Uint32Array(wordCount) };
  for (let i = 0; i < rowCount; i++) {
    message.rowIds[i] = row.readUInt32LE(i * ROW_BYTES);
    message.rowBeats[i] = row.readUIntLE(i * ROW_BYTES + 4, 3);
    message.rowWords[i] = row.readUIntLE(i * ROW_BYTES + 7, 3);
  }
  for (let i = 0; i < wordCount; i++) {
    message.ids[i] = pair.readUInt32LE(i * WORD_BYTES);
    message.words[i] = pair.readUIntLE(i * WORD_BYTES + 4, 3);
  }
  return message;
}

function bytesOfHex(hex: string): Uint8Array {
  return Buffer.from(hex, "hex");
}

function bytesOfStores(stores: readonly string[]): Uint8Array {
  return Buffer.from(stores.join(""), "hex");
}

/** The elements of one array, read in their order: each must be there and of its type. */
class Fields {
  readonly #values: readonly unknown[];
  readonly #what: string;
  #at = 0;

  constructor(value: unknown, what: string) {
    if (!Array.isArray(value)) throw malformed(`${what} is not an array`);
    this.#values = value;
    this.#what = what;
  }

  whole(max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#next();
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > max) throw this.#wrong("a whole number in its range");
    return value;
  }

  text(): string {
    const value = this.#next();
    if (typeof value !== "string" || value.length > 512) throw this.#wrong("a short text");
    return value;
  }

  flag(): boolean {
    const value = this.#next();
    if (typeof value !== "boolean") throw this.#wrong("true or false");
    return value;
  }

  bytes(length?: number): Uint8Array {
    const value = this.#next();
    if (!(value instanceof Uint8Array) || (length !== undefined && value.length !== length)) throw this.#wrong(length === undefined ? "bytes" : `${length} bytes`);
    return value;
  }

  /** Bytes that an earlier build does not send, in hex. */
  laterHex(lengthMax: number): string {
    if (this.#at >= this.#values.length) return "";
    const bytes = this.bytes();
    if (bytes.length > lengthMax) throw this.#wrong(`at most ${lengthMax} bytes`);
    return toHex(bytes);
  }

  bytesOrNone(length: number): Uint8Array {
    const value = this.bytes();
    if (value.length !== 0 && value.length !== length) throw this.#wrong(`${length} bytes, or none`);
    return value;
  }

  digest(): string {
    return toHex(this.bytes(8));
  }

  stores(): readonly string[] {
    const bytes = this.bytes();
    if (bytes.length % 16 !== 0 || bytes.length > MEMBERS_MAX * 16) throw this.#wrong("a set of stores");
    const stores = Array.from({ length: bytes.length / 16 }, (_, i) => toHex(bytes.subarray(i * 16, i * 16 + 16)));
    if (!isStoreSet(stores)) throw this.#wrong("an ascending set of stores");
    return stores;
  }

  list(): Fields {
    return new Fields(this.#next(), `element ${this.#at} of ${this.#what}`);
  }

  lists(countMax: number): Fields[] {
    const value = this.#next();
    if (!Array.isArray(value) || value.length > countMax) throw this.#wrong(`a list of at most ${countMax}`);
    return value.map((each) => new Fields(each, `an element of ${this.#what}`));
  }

  #next(): unknown {
    return this.#values[this.#at++];
  }

  #wrong(expected: string): CodedError {
    return malformed(`element ${this.#at} of ${this.#what} is not ${expected}`);
  }
}

function malformed(reason: string): CodedError {
  return new CodedError({ code: "PEER_MALFORMED", kind: "invalid_argument", message: `a message of membership is malformed: ${reason}` });
}
