/**
 * Prints a message that is encoded in protobuf's binary form as JSON, without decoding it into objects. For a pprof of a million samples
 * the objects would take ten times its bytes, more than a worker's heap.
 *
 *   1. one walk over the tags of a message finds where the values of each field begin and end
 *   2. the fields are printed in the order of the schema, each by a walk over its range
 *
 * Only for bytes that we have encoded: what cannot be read is a bug of ours. It prints what `decodeBinary` would read: unknown fields are
 * skipped, repeated fields may be packed or not, and of a repeated scalar field the last value counts.
 */
import { VarintCursor } from "@pyromesh/base";
import type { ByteWriter } from "@pyromesh/base";
import type { Int64, Interrupt } from "@pyromesh/profile";
import { writeJsonKey, writeJsonScalar } from "./json-scalars.ts";
import { isUnset } from "./schema.ts";
import type { Field, MessageSchema } from "./schema.ts";
import { FIXED32, FIXED64, fieldIndex, LENGTH, VARINT, wireOf } from "./wire.ts";

/** Calls `interrupt` for each value. */
export function binaryToJson(schema: MessageSchema<object>, bytes: Uint8Array, out: ByteWriter, interrupt: Interrupt): void {
  new Printer(schema.name, bytes, out, interrupt).message(schema, 0, bytes.length, 0);
}

/** For each field of a message, by its position in the schema: the range from its first tag to the end of its last value. -1: absent. */
interface Spans {
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

class Printer {
  readonly #name: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #cursor: VarintCursor;
  readonly #out: ByteWriter;
  readonly #interrupt: Interrupt;
  /** By depth, and reused by each message at that depth. The schemas do not recurse, so the depth is bounded. */
  readonly #spans: Spans[] = [];
  #at = 0;

  constructor(name: string, bytes: Uint8Array, out: ByteWriter, interrupt: Interrupt) {
    this.#name = name;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#cursor = new VarintCursor(bytes);
    this.#out = out;
    this.#interrupt = interrupt;
  }

  message(schema: MessageSchema<object>, start: number, end: number, depth: number): void {
    const { fields } = schema;
    const { starts, ends } = this.#find(fields, start, end, depth);
    const out = this.#out.utf8("{");
    let isFirst = true;
    for (let i = 0; i < fields.length; i++) {
      if (starts[i]! < 0) continue;
      const field = fields[i]!;
      const isPrinted = field.isRepeated ? this.#list(field, starts[i]!, ends[i]!, isFirst, depth) : this.#last(field, starts[i]!, ends[i]!, isFirst, depth);
      if (isPrinted) isFirst = false;
    }
    out.utf8("}");
    this.#at = end;
  }

  #find(fields: readonly Field[], start: number, end: number, depth: number): Spans {
    const spans = this.#spansAt(depth, fields.length);
    this.#at = start;
    while (this.#at < end) {
      this.#interrupt.after(1);
      const tagAt = this.#at;
      const tag = this.#uint();
      const index = fieldIndex(fields, Math.floor(tag / 8));
      this.#skip(tag % 8);
      if (index < 0) continue;
      if (spans.starts[index]! < 0) spans.starts[index] = tagAt;
      spans.ends[index] = this.#at;
    }
    if (this.#at !== end) this.#fail();
    return spans;
  }

  #spansAt(depth: number, fieldCount: number): Spans {
    const known = this.#spans[depth];
    if (known === undefined || known.starts.length < fieldCount) return (this.#spans[depth] = { starts: new Int32Array(fieldCount).fill(-1), ends: new Int32Array(fieldCount) });
    known.starts.fill(-1);
    return known;
  }

  /** Prints a repeated field. False where it has no item, only an empty packed list. */
  #list(field: Field, start: number, end: number, isFirst: boolean, depth: number): boolean {
    const out = this.#out;
    let count = 0;
    const begin = (): void => {
      this.#interrupt.after(1);
      if (count++ > 0) out.utf8(",");
      else {
        if (!isFirst) out.utf8(",");
        writeJsonKey(field, out);
        out.utf8("[");
      }
    };
    this.#at = start;
    while (this.#at < end) {
      const tag = this.#uint();
      const wire = tag % 8;
      if (Math.floor(tag / 8) !== field.number) {
        this.#skip(wire);
      } else if (field.kind === "message") {
        const length = this.#uint();
        begin();
        this.message(field.message!, this.#at, this.#at + length, depth + 1);
      } else if (wire === LENGTH && wireOf(field) !== LENGTH) {
        for (const packedEnd = this.#uint() + this.#at; this.#at < packedEnd; ) {
          begin();
          writeJsonScalar(field, this.#scalar(field), out);
        }
      } else {
        begin();
        writeJsonScalar(field, this.#scalar(field), out);
      }
    }
    if (count > 0) out.utf8("]");
    return count > 0;
  }

  /** Prints a field that is not repeated. False where it is zero and has no presence, and so is not printed. */
  #last(field: Field, start: number, end: number, isFirst: boolean, depth: number): boolean {
    this.#at = start;
    let valueAt = start;
    while (this.#at < end) {
      const tag = this.#uint();
      if (Math.floor(tag / 8) === field.number) valueAt = this.#at;
      this.#skip(tag % 8);
    }
    this.#at = valueAt;
    const out = this.#out;
    const begin = (): void => {
      if (!isFirst) out.utf8(",");
      writeJsonKey(field, out);
    };
    if (field.kind === "message") {
      const length = this.#uint();
      begin();
      this.message(field.message!, this.#at, this.#at + length, depth + 1);
      return true;
    }
    const value = this.#scalar(field);
    if (isUnset(field, value)) return false;
    begin();
    writeJsonScalar(field, value, out);
    return true;
  }

  #scalar(field: Field): unknown {
    switch (field.kind) {
      case "string":
        return utf8.decode(this.#prefixed());
      case "bytes":
        return this.#prefixed();
      case "bool":
        return this.#varint() !== 0;
      case "double": {
        const at = this.#take(8);
        return this.#view.getFloat64(at, true);
      }
      case "fixed64": {
        const at = this.#take(8);
        return this.#view.getBigUint64(at, true);
      }
      case "int32":
      case "enum":
        return Number(BigInt.asIntN(32, BigInt(this.#varint())));
      case "uint32":
        return Number(BigInt.asUintN(32, BigInt(this.#varint())));
      case "uint64":
        return this.#varint();
      default: {
        const raw = this.#varint();
        return typeof raw === "number" ? raw : BigInt.asIntN(64, raw);
      }
    }
  }

  #prefixed(): Uint8Array {
    const length = this.#uint();
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Returns a number up to 2^49, which almost every varint is, and a bigint above. */
  #varint(): Int64 {
    const cursor = this.#cursor;
    cursor.offset = this.#at;
    const value = cursor.nextWide();
    if (value < 0) this.#fail();
    this.#at = cursor.offset;
    return typeof value === "number" ? value : BigInt.asUintN(64, value);
  }

  /** Reads a tag or a length. */
  #uint(): number {
    const value = this.#varint();
    return typeof value === "number" ? value : this.#fail();
  }

  #skip(wire: number): void {
    if (wire === VARINT) this.#varint();
    else if (wire === LENGTH) this.#take(this.#uint());
    else if (wire === FIXED64) this.#take(8);
    else if (wire === FIXED32) this.#take(4);
    else this.#fail();
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) this.#fail();
    this.#at = at + count;
    return at;
  }

  #fail(): never {
    throw new Error(`an encoded ${this.#name} of ours cannot be read near byte ${this.#at}`);
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
