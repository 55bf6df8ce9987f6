/**
 * Encodes and decodes protobuf's binary form, for any schema. Decoding is strict about ends, wire types and UTF-8, and lenient where
 * protobuf is: unknown fields are skipped, repeated fields may be packed or not, and of a repeated scalar field the last value counts.
 *
 *   field := tag(number << 3 | wire) payload
 *   wire 0: varint   1: 8 bytes   2: varint length, then so many bytes   5: 4 bytes
 *
 * A message field may be given as encoded bytes (a Uint8Array), which are written as they are. So a pprof of megabytes is never decoded
 * for a reply.
 */
import { ByteReader, ByteWriter, invalidArgument, messageOf, CorruptionError } from "@pyromesh/base";
import type { Int64 } from "@pyromesh/profile";
import { emptyMessage, isUnset } from "./schema.ts";
import type { Field, MessageSchema } from "./schema.ts";
import { FIXED32, FIXED64, fieldIndex, LENGTH, VARINT, wireOf } from "./wire.ts";

/**
 * The bound for a request's message. A selection may have 10,000 ids, in each of several lists. An empty item takes two bytes on the wire
 * and fifty in memory.
 */
export const REQUEST_ITEM_COUNT_MAX = 65_536;

/**
 * `itemCountMax`, for bytes that are not our own, is the bound on the items of all lists together. Throws MESSAGE_MALFORMED, naming the
 * message and the byte, or MESSAGE_TOO_MANY_ITEMS.
 */
export function decodeBinary<T extends object>(schema: MessageSchema<T>, bytes: Uint8Array, itemCountMax: number = Infinity): T {
  try {
    return readMessage(schema, new ByteReader(bytes, schema.name), { left: itemCountMax }) as T; // the schema's table describes T
  } catch (thrown) {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    // The bytes are a caller's: this is a wrong request, not lost data.
    throw invalidArgument("MESSAGE_MALFORMED", `the body is not a ${schema.name}: ${messageOf(thrown)}`, thrown);
  }
}

export function encodeBinary<T extends object>(schema: MessageSchema<T>, value: T): Uint8Array {
  const writer = new ByteWriter(1024);
  writeMessage(schema, value as Readonly<Record<string, unknown>>, writer); // only the table's names are read
  return writer.finish();
}

// --- reading --------------------------------------------------------------------------------------------------------

/** Items that the message may still have. */
interface ItemCount {
  left: number;
}

function countItem(items: ItemCount): void {
  if (--items.left < 0) throw invalidArgument("MESSAGE_TOO_MANY_ITEMS", `the lists of the message have more than ${REQUEST_ITEM_COUNT_MAX} items together: send fewer`);
}

/** Our schemas do not recurse, so the depth is bounded. */
function readMessage(schema: MessageSchema<object>, reader: ByteReader, items: ItemCount): Record<string, unknown> {
  const value = emptyMessage(schema);
  while (reader.remaining > 0) {
    const tag = reader.uvarint();
    const wire = tag % 8;
    const number = (tag - wire) / 8;
    if (number < 1 || number > 0x1fff_ffff) reader.fail("a field number from 1 to 2^29 - 1", String(number));
    const field = schema.fields[fieldIndex(schema.fields, number)];
    if (field === undefined) skip(reader, wire);
    else readField(field, wire, reader, value, items);
  }
  return value;
}

function readField(field: Field, wire: number, reader: ByteReader, into: Record<string, unknown>, itemCount: ItemCount): void {
  const expected = wireOf(field);
  if (wire === LENGTH && expected !== LENGTH && field.isRepeated) {
    const packed = reader.raw(reader.uvarint());
    const items = new ByteReader(packed, field.name);
    const list = into[field.jsonName] as unknown[]; // emptyMessage put an array there
    while (items.remaining > 0) {
      countItem(itemCount);
      list.push(readScalar(field, items));
    }
    return;
  }
  if (wire !== expected) reader.fail(`wire type ${expected} for ${field.name}`, `wire type ${wire}`);
  if (field.isRepeated) countItem(itemCount);
  const item = field.kind === "message" ? readMessage(field.message!, new ByteReader(reader.prefixed(), field.message!.name), itemCount) : readScalar(field, reader);
  if (field.isRepeated) (into[field.jsonName] as unknown[]).push(item);
  else into[field.jsonName] = item;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function readScalar(field: Field, reader: ByteReader): unknown {
  switch (field.kind) {
    case "string": {
      const bytes = reader.prefixed();
      try {
        return utf8.decode(bytes);
      } catch {
        return reader.fail(`UTF-8 in ${field.name}`, "bytes that are not");
      }
    }
    case "bytes":
      return reader.prefixed().slice();
    case "bool":
      return readVarint(reader) !== 0;
    case "double":
      return reader.f64();
    case "int32":
    case "enum":
      return Number(BigInt.asIntN(32, BigInt(readVarint(reader))));
    case "uint32":
      return Number(BigInt.asUintN(32, BigInt(readVarint(reader))));
    case "uint64":
      return readVarint(reader);
    case "fixed64":
      return toInt64(reader.u64());
    default: {
      const raw = readVarint(reader);
      return typeof raw === "number" ? raw : toInt64(BigInt.asIntN(64, raw));
    }
  }
}

/** Returns a number up to 2^53, which almost every varint is, and a bigint above. */
function readVarint(reader: ByteReader): Int64 {
  const value = reader.uvarintWide();
  return typeof value === "number" ? value : toInt64(value);
}

function toInt64(value: bigint): Int64 {
  return value <= 0x1f_ffff_ffff_ffffn && value >= -0x1f_ffff_ffff_ffffn ? Number(value) : value;
}

function skip(reader: ByteReader, wire: number): void {
  switch (wire) {
    case VARINT:
      readVarint(reader);
      return;
    case FIXED64:
      reader.raw(8);
      return;
    case LENGTH:
      reader.prefixed();
      return;
    case FIXED32:
      reader.raw(4);
      return;
    default:
      reader.fail("a wire type of 0, 1, 2 or 5", String(wire));
  }
}

// --- writing --------------------------------------------------------------------------------------------------------

function writeMessage(schema: MessageSchema<object>, value: Readonly<Record<string, unknown>>, writer: ByteWriter): void {
  for (const field of schema.fields) {
    const item = value[field.jsonName];
    if (field.isRepeated) {
      const list = (item ?? []) as readonly unknown[]; // guaranteed by the schema's type
      if (list.length > 0) writeRepeated(field, list, writer);
    } else if (!isUnset(field, item)) {
      writer.uvarint(field.number * 8 + wireOf(field));
      writeItem(field, item, writer);
    }
  }
}

function writeRepeated(field: Field, list: readonly unknown[], writer: ByteWriter): void {
  if (wireOf(field) === LENGTH) {
    for (const item of list) {
      writer.uvarint(field.number * 8 + LENGTH);
      writeItem(field, item, writer);
    }
    return;
  }
  const packed = new ByteWriter(list.length * 5);
  if (field.kind === "int64" || field.kind === "uint64") {
    const values = list as readonly Int64[]; // guaranteed by the field's kind
    // The hot loop: the levels of a flame graph. Nearly all values are small and not negative.
    for (let i = 0; i < values.length; i++) writeVarint(values[i]!, packed);
  } else {
    for (const item of list) writeItem(field, item, packed);
  }
  writer.uvarint(field.number * 8 + LENGTH).prefixed(packed.finish());
}

function writeItem(field: Field, item: unknown, writer: ByteWriter): void {
  switch (field.kind) {
    case "message": {
      if (item instanceof Uint8Array) {
        writer.prefixed(item);
        return;
      }
      const inner = new ByteWriter(128);
      writeMessage(field.message!, item as Readonly<Record<string, unknown>>, inner); // guaranteed by the schema's type
      writer.prefixed(inner.finish());
      return;
    }
    case "string":
      writer.text(item as string);
      return;
    case "bytes":
      writer.prefixed(item as Uint8Array);
      return;
    case "bool":
      writer.u8(item === true ? 1 : 0);
      return;
    case "double":
      writer.f64(item as number);
      return;
    case "fixed64":
      writer.u64(BigInt(item as Int64));
      return;
    default:
      writeVarint(item as Int64, writer);
  }
}

function writeVarint(value: Int64, writer: ByteWriter): void {
  if (typeof value === "number" && value >= 0) writer.uvarint(value);
  else writer.uvarint64(BigInt.asUintN(64, BigInt(value)));
}
