/**
 * Reads the values of a JFR recording one after the other, and never beyond `end`.
 *
 *   compressed integer   seven bits a byte, the lowest first, the highest bit says that another byte follows; a ninth byte has all eight
 *   string               one byte says how: 0 null, 1 empty, 2 id in the pool of strings, 3 UTF-8, 4 UTF-16 units as integers, 5 Latin-1
 *
 * What must stay true: each call moves on by at least a byte or throws, so that whoever loops over values ends with the input.
 */
import type { CodedError } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";

export class JfrCursor {
  readonly bytes: Buffer;
  at: number;
  end: number;
  /** The halves of what `wide` has read last. */
  low = 0;
  high = 0;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.end = end;
  }

  /** The next integer: exact below 2^53, rounded from there on. One that the recorder wrote as negative is above 2^31 (int) or 2^63 (long). */
  long(): number {
    const { bytes, end } = this;
    let at = this.at;
    if (at >= end) throw cutShort(at);
    let byte = bytes[at++]!;
    if (byte < 0x80) {
      this.at = at;
      return byte;
    }
    let value = byte & 0x7f;
    let scale = 0x80;
    for (let i = 1; i < LONG_BYTES_MAX; i++) {
      if (at >= end) throw cutShort(at);
      byte = bytes[at++]!;
      if (i === LONG_BYTES_MAX - 1) value += byte * scale;
      else value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 0x80;
    }
    this.at = at;
    return value;
  }

  /** The next integer as the id of something, or as a count or a size. No recorder comes near 2^53 with them. */
  id(): number {
    const { at } = this;
    const value = this.long();
    if (value > Number.MAX_SAFE_INTEGER) throw unreadable(at, "a number beyond 2^53 stands where an id or a size should");
    return value;
  }

  /** A count of things of which each takes at least one byte. */
  count(): number {
    const { at } = this;
    const value = this.long();
    if (value > this.end - this.at) throw unreadable(at, `${value} values are announced and ${this.end - this.at} bytes are left`);
    return value;
  }

  /** All bits of the next integer, into `low` and `high`. */
  wide(): void {
    const { bytes, end } = this;
    let low = 0;
    let high = 0;
    for (let i = 0; ; i++) {
      if (this.at >= end) throw cutShort(this.at);
      const byte = bytes[this.at++]!;
      const isLast = i === LONG_BYTES_MAX - 1;
      const bits = isLast ? byte : byte & 0x7f;
      const shift = i * 7;
      if (shift < 32) low |= bits << shift;
      if (shift > 32) high |= bits << (shift - 32);
      else if (shift > 25) high |= bits >>> (32 - shift);
      if (isLast || byte < 0x80) break;
    }
    this.low = low >>> 0;
    this.high = high >>> 0;
  }

  skipLongs(count: number): void {
    const { bytes, end } = this;
    let { at } = this;
    if (count > end - at) throw cutShort(end);
    for (let left = count; left > 0; left--) {
      if (at >= end) throw cutShort(at);
      if (bytes[at++]! < 0x80) continue;
      for (let i = 1; ; i++) {
        if (at >= end) throw cutShort(at);
        if (bytes[at++]! < 0x80 || i === LONG_BYTES_MAX - 1) break;
      }
    }
    this.at = at;
  }

  skipBytes(count: number): void {
    if (count > this.end - this.at) throw cutShort(this.end);
    this.at += count;
  }

  byte(): number {
    if (this.at >= this.end) throw cutShort(this.at);
    return this.bytes[this.at++]!;
  }

  skipString(): void {
    const kind = this.byte();
    switch (kind) {
      case STRING_NULL:
      case STRING_EMPTY:
        return;
      case STRING_POOLED:
        return this.skipLongs(1);
      case STRING_UTF8:
      case STRING_LATIN1:
        return this.skipBytes(this.count());
      case STRING_UNITS:
        return this.skipLongs(this.count());
      default:
        throw unreadable(this.at - 1, `${kind} is no encoding of a string`);
    }
  }

  /** The string that begins here. Of encoding 2 `pooled` gives the string with that id. Text that is not UTF-8 becomes U+FFFD. */
  string(pooled: (id: number) => string): string {
    const kind = this.byte();
    switch (kind) {
      case STRING_NULL:
      case STRING_EMPTY:
        return "";
      case STRING_POOLED:
        return pooled(this.id());
      case STRING_UTF8: {
        const count = this.count();
        this.at += count;
        return this.bytes.toString("utf8", this.at - count, this.at);
      }
      case STRING_LATIN1: {
        const count = this.count();
        this.at += count;
        return this.bytes.toString("latin1", this.at - count, this.at);
      }
      case STRING_UNITS: {
        const units = Buffer.alloc(this.count() * 2);
        for (let i = 0; i < units.length; i += 2) units.writeUInt16LE(this.long() & 0xffff, i);
        return units.toString("utf16le");
      }
      default:
        throw unreadable(this.at - 1, `${kind} is no encoding of a string`);
    }
  }
}

/** A ninth byte ends an integer, and has eight bits of it. */
const LONG_BYTES_MAX = 9;

const STRING_NULL = 0;
const STRING_EMPTY = 1;
const STRING_POOLED = 2;
const STRING_UTF8 = 3;
const STRING_UNITS = 4;
const STRING_LATIN1 = 5;

/** Whatever is wrong with a recording: at which byte, and what. */
export function unreadable(at: number, what: string): CodedError {
  return malformed(`the JFR recording cannot be read at byte ${at}: ${what}; send the recording whole, as it was written`);
}

export function cutShort(at: number): CodedError {
  return unreadable(at, "a value ends beyond the end of what it belongs to");
}
