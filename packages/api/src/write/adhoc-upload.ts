/**
 * Reads an AdHocProfilesUploadRequest, in JSON or binary, without making a string of its file: the base64 is decoded in place, in steps, so that
 * a file of megabytes does not hold the thread.
 *
 *   1 name: string    2 profile: string, base64    3 max_nodes: optional int64
 *
 * What must stay true: nothing is read beyond the end, and unknown fields are skipped. The body cannot be read again.
 */
import { Base64Text, invalidArgument, JsonFault, JsonReader, VarintCursor } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import type { Codec } from "../bodies/connect.ts";
import { JSON_MESSAGE_BOUNDS } from "../proto/json-bounds.ts";
import { FIXED32, FIXED64, LENGTH, VARINT } from "../proto/wire.ts";
import type { Reading } from "./large-readings.ts";

export interface ReadUpload {
  readonly name: string;
  /** A view of the body. */
  readonly file: Uint8Array;
  readonly maxNodes: number;
}

/** Throws MESSAGE_MALFORMED. */
export function readUpload(body: Uint8Array, codec: Codec): Reading<ReadUpload> {
  return codec === "json" ? readJson(body) : readBinary(body);
}

// --- JSON -------------------------------------------------------------------------------------------------------------

function* readJson(body: Uint8Array): Reading<ReadUpload> {
  try {
    const reader = new JsonReader(body, JSON_MESSAGE_BOUNDS);
    let [name, maxNodes] = ["", 0];
    let file: Uint8Array | undefined;
    const seen = new Set<string>();
    reader.beginObject();
    for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
      const field = key === "max_nodes" ? "maxNodes" : key;
      if (field !== "name" && field !== "profile" && field !== "maxNodes") {
        yield* reader.skipInSteps();
        continue;
      }
      if (seen.has(field)) throw malformed(`${field} is given twice: send it once`);
      seen.add(field);
      if (reader.kind === "null") reader.skip();
      else if (field === "maxNodes") maxNodes = readNumber(reader);
      else if (reader.kind !== "text") throw malformed(`${field} should be a string`);
      else if (field === "name") name = reader.text();
      else file = yield* decoded(reader.base64());
    }
    reader.end();
    return { name, file: file ?? NOTHING, maxNodes };
  } catch (thrown) {
    if (!(thrown instanceof JsonFault)) throw thrown;
    throw invalidArgument("MESSAGE_MALFORMED", `the body is not JSON: send {"name":"cpu.pb.gz","profile":"<base64>"} (${thrown.message})`, thrown);
  }
}

/** An int64 is a number or a text in JSON. */
function readNumber(reader: JsonReader): number {
  const value = reader.kind === "text" ? wholeOf(reader.text()) : reader.number();
  if (!Number.isInteger(value)) throw malformed("maxNodes should be a whole number");
  return value;
}

function wholeOf(text: string): number {
  return /^-?\d{1,19}$/.test(text) ? Number(text) : NaN;
}

// --- binary -----------------------------------------------------------------------------------------------------------

/** Field numbers and wire types together, as on the wire. */
const NAME = (1 << 3) | LENGTH;
const PROFILE = (2 << 3) | LENGTH;
const MAX_NODES = (3 << 3) | VARINT;

function* readBinary(body: Uint8Array): Reading<ReadUpload> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const cursor = new VarintCursor(body);
  const varint = (): number => {
    const value = cursor.next();
    if (value < 0) throw torn(cursor.offset, body.length);
    return value;
  };
  /** Returns where the field begins, and goes behind it. */
  const step = (lengthBytes: number): number => {
    if (lengthBytes > body.length - cursor.offset) throw torn(cursor.offset, body.length);
    const from = cursor.offset;
    cursor.offset += lengthBytes;
    return from;
  };
  let maxNodes = 0;
  let [name, file]: [Uint8Array, Uint8Array] = [NOTHING, NOTHING];
  let fieldCount = 0;
  while (cursor.offset < body.length) {
    const tag = varint();
    if (tag === NAME) name = bytes.subarray(step(varint()), cursor.offset);
    else if (tag === PROFILE) file = bytes.subarray(step(varint()), cursor.offset);
    else if (tag === MAX_NODES) maxNodes = varint();
    else if (tag < 8) throw torn(cursor.offset, body.length);
    else if ((tag & 7) === VARINT) varint();
    else if ((tag & 7) === LENGTH) step(varint());
    else if ((tag & 7) === FIXED64) step(8);
    else if ((tag & 7) === FIXED32) step(4);
    else throw torn(cursor.offset, body.length);
    if (++fieldCount % FIELDS_AT_ONCE === 0) yield;
  }
  // A backslash would be the beginning of an escape, which only JSON has.
  if (file.includes(BACKSLASH)) throw notBase64();
  try {
    // A number of 64 bits that is negative reads as one above 2^63.
    return { name: textOf(name), file: yield* decoded(new Base64Text(Buffer.from(file.buffer, file.byteOffset, file.length))), maxNodes: maxNodes >= 2 ** 63 ? -1 : maxNodes };
  } catch (thrown) {
    if (thrown instanceof JsonFault) throw notBase64();
    throw thrown;
  }
}

function textOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, Math.min(name.length, NAME_BYTES_READ)).toString();
}

/** Of a name that is longer the rest is left out: what is left is refused for its length as well, and megabytes of text would hold the thread. */
const NAME_BYTES_READ = 4096;
/** What one step reads, in less than a millisecond. */
const FIELDS_AT_ONCE = 4096;
const BACKSLASH = 0x5c;

// --- both -------------------------------------------------------------------------------------------------------------

function* decoded(text: Base64Text): Reading<Uint8Array> {
  try {
    while (!text.isDone) {
      text.step();
      if (!text.isDone) yield;
    }
  } catch (thrown) {
    if (thrown instanceof JsonFault) throw notBase64();
    throw thrown;
  }
  return text.finish();
}

const NOTHING = new Uint8Array(0);

function notBase64(): CodedError {
  return malformed("profile should be base64: encode the file's bytes");
}

function torn(offset: number, sizeBytes: number): CodedError {
  return malformed(`the body is not an AdHocProfilesUploadRequest: it cannot be read from byte ${offset} of ${sizeBytes} on`);
}

function malformed(message: string): CodedError {
  return invalidArgument("MESSAGE_MALFORMED", message);
}
