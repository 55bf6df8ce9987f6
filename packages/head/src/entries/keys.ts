/**
 * Keys of the head's store. KEYS.md says what each holds; a test compares the two.
 *
 *   r/<u64>            record                    g/<u64>   commit entry           c/<u64>  cut
 *   s/<text>           sealed segment            q/<u64>   corrupt record's bytes m/<text> what is said of the whole store
 *   n/<text>           note of an object that records went into
 *   o/<tenant>/<i64>                   next ordinal of a window
 *   l/<store id, hex>/<tenant>/<i64>   the same, under a store id that this store had before
 *
 * Numbers are big-endian, so that bytewise order is their order (the sign bit of an i64 is flipped for the same reason).
 */
import { decodeUtf8, encodeUtf8 } from "@pyromesh/base";
import type { KeyRange } from "./store.ts";

/** Never reuse a letter for something else; retire it in KEYS.md. */
export const KEY_PREFIXES = {
  cut: "c/",
  commit: "g/",
  formerOrdinal: "l/",
  meta: "m/",
  note: "n/",
  ordinal: "o/",
  quarantined: "q/",
  record: "r/",
  sealed: "s/",
} as const;

export type KeyKind = keyof typeof KEY_PREFIXES;

export const META_STORE: Uint8Array = encodeUtf8("m/store");
export const META_RETIRED: Uint8Array = encodeUtf8("m/retired");
export const META_ORDINAL_FLOOR: Uint8Array = encodeUtf8("m/ordinal-floor");
export const META_NOTES: Uint8Array = encodeUtf8("m/notes");
export const META_BUCKET: Uint8Array = encodeUtf8("m/bucket");

/** Has no value: a write that tries the disk deletes it. */
export const META_TRIAL: Uint8Array = encodeUtf8("m/trial");

export const recordKey = (seq: number): Uint8Array => numberKey("record", seq);
export const commitKey = (commit: number): Uint8Array => numberKey("commit", commit);
export const cutKey = (cutId: number): Uint8Array => numberKey("cut", cutId);
export const quarantinedKey = (seq: number): Uint8Array => numberKey("quarantined", seq);
export const noteKey = (objectKey: string): Uint8Array => encodeUtf8(KEY_PREFIXES.note + objectKey);
export const sealedKey = (segmentKey: string): Uint8Array => encodeUtf8(KEY_PREFIXES.sealed + segmentKey);

export const ordinalKey = (tenant: string, windowStartMs: number): Uint8Array => windowEnd(`${KEY_PREFIXES.ordinal}${tenant}/`, windowStartMs);
/** `storeId` in lower-case hex. */
export const formerOrdinalKey = (storeId: string, tenant: string, windowStartMs: number): Uint8Array =>
  windowEnd(`${KEY_PREFIXES.formerOrdinal}${storeId}/${tenant}/`, windowStartMs);

function windowEnd(text: string, windowStartMs: number): Uint8Array {
  const head = Buffer.from(text, "utf8");
  const key = Buffer.allocUnsafe(head.length + 8);
  head.copy(key);
  key.writeBigUInt64BE(BigInt.asUintN(64, BigInt(windowStartMs)) ^ SIGN_BIT, head.length);
  return key;
}

/** What a key means, or undefined for one that no version of this program wrote. */
export type ParsedKey =
  | { readonly kind: "record" | "commit" | "cut" | "quarantined"; readonly number: number }
  | { readonly kind: "sealed" | "note" | "meta"; readonly text: string }
  | { readonly kind: "ordinal"; readonly tenant: string; readonly windowStartMs: number }
  | { readonly kind: "formerOrdinal"; readonly storeId: string; readonly tenant: string; readonly windowStartMs: number };

export function parseKey(key: Uint8Array): ParsedKey | undefined {
  if (key.length < 3 || key[1] !== SLASH) return undefined;
  const kind = KIND_BY_LETTER.get(key[0]!);
  switch (kind) {
    case "record":
    case "commit":
    case "cut":
    case "quarantined": {
      const number = key.length === 10 ? viewOf(key).getBigUint64(2) : undefined;
      return number === undefined || number > MAX_NUMBER ? undefined : { kind, number: Number(number) };
    }
    case "sealed":
    case "note":
    case "meta":
      return { kind, text: decodeUtf8(key.subarray(2)) };
    case "ordinal":
    case "formerOrdinal": {
      const slash = key.length - 9;
      if (slash < 3 || key[slash] !== SLASH) return undefined;
      const windowStartMs = Number(BigInt.asIntN(64, viewOf(key).getBigUint64(slash + 1) ^ SIGN_BIT));
      const text = decodeUtf8(key.subarray(2, slash));
      if (kind === "ordinal") return { kind, tenant: text, windowStartMs };
      const found = /^([0-9a-f]{32})\/(.+)$/s.exec(text);
      return found === null ? undefined : { kind, storeId: found[1]!, tenant: found[2]!, windowStartMs };
    }
    case undefined:
      return undefined;
  }
}

/** Every key of one kind. */
export function rangeOf(kind: KeyKind): KeyRange {
  const from = encodeUtf8(KEY_PREFIXES[kind]);
  const to = Uint8Array.from(from);
  to[1] = SLASH + 1;
  return { from, to };
}

/** The records of these seqs, both inclusive. */
export function recordsBetween(firstSeq: number, lastSeq: number): KeyRange {
  return { from: recordKey(firstSeq), to: recordKey(lastSeq + 1) };
}

/** The records from `seq` on. */
export function recordsFrom(seq: number): KeyRange {
  return { from: recordKey(seq), to: rangeOf("record").to };
}

/** How a log line names a key. */
export function printKey(key: Uint8Array): string {
  const parsed = parseKey(key);
  if (parsed === undefined) return `0x${Buffer.from(key.subarray(0, 64)).toString("hex")}`;
  switch (parsed.kind) {
    case "sealed":
    case "note":
    case "meta":
      return KEY_PREFIXES[parsed.kind] + parsed.text;
    case "ordinal":
      return `${KEY_PREFIXES.ordinal}${parsed.tenant}/${parsed.windowStartMs}`;
    case "formerOrdinal":
      return `${KEY_PREFIXES.formerOrdinal}${parsed.storeId}/${parsed.tenant}/${parsed.windowStartMs}`;
    default:
      return KEY_PREFIXES[parsed.kind] + String(parsed.number);
  }
}

const SLASH = 0x2f;
const SIGN_BIT = 1n << 63n;
const MAX_NUMBER = BigInt(Number.MAX_SAFE_INTEGER);
const KIND_BY_LETTER: ReadonlyMap<number, KeyKind> = new Map(
  Object.entries(KEY_PREFIXES).map(([kind, prefix]) => [prefix.charCodeAt(0), kind as KeyKind]), // keys of that very object
);

/** Written byte by byte: a DataView would make V8 give so short an array a buffer outside its heap. */
function numberKey(kind: KeyKind, number: number): Uint8Array {
  const key = new Uint8Array(10);
  key[0] = KEY_PREFIXES[kind].charCodeAt(0);
  key[1] = SLASH;
  writeUint32(key, 2, Math.floor(number / 2 ** 32));
  writeUint32(key, 6, number % 2 ** 32);
  return key;
}

/** Big-endian. */
function writeUint32(key: Uint8Array, at: number, value: number): void {
  key[at] = value >>> 24;
  key[at + 1] = value >>> 16;
  key[at + 2] = value >>> 8;
  key[at + 3] = value;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
