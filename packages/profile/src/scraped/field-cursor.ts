/** Walks the fields of protobuf messages. One cursor is used for many messages, since a profile has a million of a few bytes each. */
import { VarintCursor } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";

export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

export class FieldCursor {
  number = 0;
  wire = 0;
  /** Where its tag begins. */
  start = 0;
  /** [from, to): what it holds. */
  from = 0;
  to = 0;
  /** Of a varint; else 0. */
  value: number | bigint = 0;
  readonly #cursor = new VarintCursor();

  /** Begins with the message in [from, to) of `bytes`. */
  over(bytes: Uint8Array, from: number, to: number): this {
    setTo(this.#cursor, bytes, from, to);
    return this;
  }

  /** False at the end of the message. Throws a refusal where a field does not end within it. */
  next(): boolean {
    const cursor = this.#cursor;
    const start = cursor.offset;
    const { bytes, end } = cursor;
    if (start >= end) return false;
    let tag = bytes[start]!;
    if (tag < 0x80) cursor.offset = start + 1;
    else {
      tag = cursor.next();
      if (tag < 0) throw unended(start);
    }
    const wire = tag & 7;
    this.start = start;
    this.wire = wire;
    this.number = tag < 0x80 ? tag >>> 3 : Math.floor(tag / 8);
    this.value = 0;
    const from = cursor.offset;
    if (wire === WIRE.varint) {
      const value = cursor.nextWide();
      if (value < 0) throw unended(start);
      this.value = value;
      this.from = from;
    } else {
      const length = wire === WIRE.bytes ? cursor.next() : wire === WIRE.fixed64 ? 8 : wire === WIRE.fixed32 ? 4 : -1;
      if (length < 0 || length > end - cursor.offset) throw unended(start);
      this.from = cursor.offset;
      cursor.offset += length;
    }
    this.to = cursor.offset;
    return true;
  }
}

function setTo(cursor: VarintCursor, bytes: Uint8Array, from: number, to: number): void {
  cursor.bytes = bytes;
  cursor.offset = from;
  cursor.end = to;
}

/** Reads a repeated number, which may come packed or one by one. Throws a refusal. */
export class NumberCursor {
  value: number | bigint = 0;
  readonly #cursor = new VarintCursor();
  #isSingle = false;

  /** Begins with what the field holds: nothing, where it is of another wire type. */
  over(bytes: Uint8Array, field: FieldCursor): this {
    this.#isSingle = field.wire === WIRE.varint;
    this.value = field.value;
    setTo(this.#cursor, bytes, field.from, field.wire === WIRE.bytes ? field.to : field.from);
    return this;
  }

  next(): boolean {
    if (this.#isSingle) {
      this.#isSingle = false;
      return true;
    }
    const cursor = this.#cursor;
    if (cursor.offset >= cursor.end) return false;
    const value = cursor.nextWide();
    if (value < 0) throw unended(cursor.offset);
    this.value = value;
    return true;
  }
}

/** The varints 1, 2 and 4 of a message: the last of each number, as protobuf has it, and 0 where there is none. */
export class ShortMessage {
  first: number | bigint = 0;
  second: number | bigint = 0;
  fourth: number | bigint = 0;
  readonly #fields = new FieldCursor();

  /** Throws a refusal. */
  read(bytes: Uint8Array, from: number, to: number): this {
    this.first = this.second = this.fourth = 0;
    const fields = this.#fields.over(bytes, from, to);
    while (fields.next()) {
      if (fields.wire !== WIRE.varint) continue;
      if (fields.number === 1) this.first = fields.value;
      else if (fields.number === 2) this.second = fields.value;
      else if (fields.number === 4) this.fourth = fields.value;
    }
    return this;
  }
}

function unended(offset: number): Error {
  return malformed(`the body is no pprof: a field at byte ${offset} does not end within it; check the path of the profile, which should answer pprof`);
}
