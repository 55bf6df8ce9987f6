/**
 * How a value of a type lies in the recording, as a short program that passes over one: nested types are written out, so that neither
 * the depth of types nor a type that holds itself matters while values are read.
 *
 *   LONGS n   n compressed integers     BYTES n   n bytes     STRING   one string     ARRAY n   a count, then the n words behind it for each element
 */
import type { JfrCursor } from "./jfr-cursor.ts";
import type { JfrField, JfrType, JfrTypes } from "./metadata.ts";
import { malformed } from "../labels/refusal.ts";

/** Layouts of the types of one chunk, each made when it is asked for. */
export class ValueLayouts {
  readonly types: JfrTypes;
  readonly #layouts = new Map<JfrType, ValueLayout>();
  /** Fields written out so far, for all layouts. */
  #fieldCount = 0;

  constructor(types: JfrTypes) {
    this.types = types;
  }

  /** Throws a refusal for a type that is not described, or that holds itself. */
  of(type: JfrType): ValueLayout {
    let layout = this.#layouts.get(type);
    if (layout === undefined) {
      const program = new Program();
      this.#writeType(program, type, 0);
      this.#layouts.set(type, (layout = new ValueLayout(program.words)));
    }
    return layout;
  }

  /** Whether a value of the field is one compressed integer. */
  isLong(field: JfrField): boolean {
    if (field.isArray) return false;
    if (field.isPooled) return true;
    const name = this.types.byId.get(field.typeId)?.name;
    return name === "int" || name === "long" || name === "short" || name === "char";
  }

  ofField(field: JfrField): ValueLayout {
    const program = new Program();
    this.#writeField(program, field, 0);
    return new ValueLayout(program.words);
  }

  #writeType(program: Program, type: JfrType, depth: number): void {
    const simple = SIMPLE_TYPES.get(type.name);
    if (simple !== undefined) return program.push(simple[0], simple[1]);
    if (depth > TYPE_DEPTH_MAX) throw malformed(`the JFR recording's type ${type.name.slice(0, 100)} holds itself, or more than ${TYPE_DEPTH_MAX} types in one another: record with another recorder`);
    for (const field of type.fields) this.#writeField(program, field, depth);
  }

  #writeField(program: Program, field: JfrField, depth: number): void {
    if (++program.fieldCount > FIELDS_MAX) throw malformed(`the JFR recording has a type of more than ${FIELDS_MAX} fields, with those of the types that it holds: record with another recorder`);
    if (++this.#fieldCount > FIELDS_MAX_OF_ALL) throw malformed(`the JFR recording has types of more than ${FIELDS_MAX_OF_ALL} fields together, with those of the types that they hold: record with another recorder`);
    if (!field.isArray) return this.#writeElement(program, field, depth);
    const from = program.openArray();
    this.#writeElement(program, field, depth);
    // An array of nothing takes no bytes, and could have any length.
    if (!program.closeArray(from)) throw malformed(`the JFR recording's field ${field.name.slice(0, 100)} is an array of a type without fields: record with another recorder`);
  }

  #writeElement(program: Program, field: JfrField, depth: number): void {
    if (field.isPooled) return program.push(LONGS, 1);
    const type = this.types.byId.get(field.typeId);
    if (type === undefined) throw malformed(`the JFR recording's field ${field.name.slice(0, 100)} is of type ${field.typeId}, which is not described: send the recording whole, as it was written`);
    this.#writeType(program, type, depth + 1);
  }
}

/** Throws a refusal where the type is not described. */
export function typeNamed(layouts: ValueLayouts, name: string): JfrType {
  const type = layouts.types.byName.get(name);
  if (type === undefined) throw malformed(`the JFR recording does not describe the type ${name}: record with another recorder`);
  return type;
}

export class ValueLayout {
  readonly #words: Int32Array;

  constructor(words: readonly number[]) {
    this.#words = Int32Array.from(words);
  }

  skip(cursor: JfrCursor): void {
    this.#skip(cursor, 0, this.#words.length);
  }

  /** Calls itself once for each array that lies in another, which `TYPE_DEPTH_MAX` bounds. */
  #skip(cursor: JfrCursor, from: number, to: number): void {
    const words = this.#words;
    for (let at = from; at < to; at += 2) {
      const n = words[at + 1]!;
      switch (words[at]) {
        case LONGS:
          cursor.skipLongs(n);
          break;
        case BYTES:
          cursor.skipBytes(n);
          break;
        case STRING:
          cursor.skipString();
          break;
        default: {
          const count = cursor.count();
          const first = at + 2;
          if (n === 2 && words[first] === LONGS) cursor.skipLongs(count * words[first + 1]!);
          else if (n === 2 && words[first] === BYTES) cursor.skipBytes(count * words[first + 1]!);
          else for (let i = 0; i < count; i++) this.#skip(cursor, first, first + n);
          at += n;
        }
      }
    }
  }
}

const LONGS = 0;
const BYTES = 1;
const STRING = 2;
const ARRAY = 3;

const SIMPLE_TYPES: ReadonlyMap<string, readonly [number, number]> = new Map([
  ["boolean", [BYTES, 1]],
  ["byte", [BYTES, 1]],
  ["char", [LONGS, 1]],
  ["short", [LONGS, 1]],
  ["int", [LONGS, 1]],
  ["long", [LONGS, 1]],
  ["float", [BYTES, 4]],
  ["double", [BYTES, 8]],
  ["java.lang.String", [STRING, 1]],
]);

/** Real types are three deep. */
const TYPE_DEPTH_MAX = 8;
/**
 * Types that hold others several times have many more fields than the metadata describes: each level multiplies them. Fields are counted and not
 * words, since equal fields are joined and take no more words, and still the time. Real types have some 40 fields, those of a chunk a few thousand.
 */
const FIELDS_MAX = 4096;
const FIELDS_MAX_OF_ALL = 65_536;

class Program {
  readonly words: number[] = [];
  fieldCount = 0;
  /** The instruction that the next one is joined with where they are equal: most fields are integers. -1: none, at the borders of an array. */
  #last = -1;

  push(kind: number, n: number): void {
    if (this.#last >= 0 && this.words[this.#last] === kind && kind !== STRING) {
      this.words[this.#last + 1]! += n;
      return;
    }
    this.#last = this.words.length;
    this.words.push(kind, n);
  }

  openArray(): number {
    this.words.push(ARRAY, 0);
    this.#last = -1;
    return this.words.length;
  }

  /** Returns whether the array has elements of at least a byte. */
  closeArray(from: number): boolean {
    const length = this.words.length - from;
    this.words[from - 1] = length;
    this.#last = -1;
    return length > 0;
  }
}
