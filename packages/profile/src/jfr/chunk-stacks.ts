/**
 * The stacktraces of a chunk that events name, as locations. A stacktrace is read once, however many events name it; so are its methods
 * and their symbols.
 *
 *   event -> StackTrace -> frames: Method, line -> Class, Symbol -> Symbol -> text
 */
import type { ConstantPools, PoolName } from "./constant-pools.ts";
import { POOL_CLASS, POOL_METHOD, POOL_STACK_TRACE, POOL_STRING, POOL_SYMBOL } from "./constant-pools.ts";
import type { FrameTable } from "./frame-table.ts";
import { foldGeneratedName } from "./generated-names.ts";
import { JfrCursor, unreadable } from "./jfr-cursor.ts";
import { malformed } from "../labels/refusal.ts";
import type { JfrType } from "./metadata.ts";
import type { WantedField } from "./struct-reader.ts";
import { StructReader } from "./struct-reader.ts";
import type { ValueLayouts } from "./value-layout.ts";

/** Stacktraces of all chunks. A stacktrace is its number here; its locations are those from `ends[n - 1]` to `ends[n]`, leaf first. */
export class StackList {
  locations: Uint32Array = new Uint32Array(1 << 14);
  length = 0;
  ends: Uint32Array = new Uint32Array(1 << 10);
  count = 0;

  startOf(stack: number): number {
    return stack === 0 ? 0 : this.ends[stack - 1]!;
  }

  add(location: number): void {
    if (this.length === this.locations.length) {
      const longer = new Uint32Array(this.length * 2);
      longer.set(this.locations);
      this.locations = longer;
    }
    this.locations[this.length++] = location;
  }

  /** Ends a stacktrace and returns its number. */
  close(): number {
    if (this.count === this.ends.length) {
      const longer = new Uint32Array(this.count * 2);
      longer.set(this.ends);
      this.ends = longer;
    }
    this.ends[this.count] = this.length;
    return this.count++;
  }
}

export class ChunkStacks {
  readonly #pools: ConstantPools;
  readonly #frames: FrameTable;
  readonly #stacks: StackList;
  readonly #cursor: JfrCursor;
  readonly #stackReader: StackReader;
  readonly #methodReader: StructReader;
  readonly #classReader: StructReader;
  readonly #symbolReader: StructReader;
  /** By number of the constant: what it has become plus 1, 0 where it was not read yet. */
  readonly #stackOf: Uint32Array;
  readonly #functionOf: Uint32Array;
  readonly #symbolTexts: (string | undefined)[];
  readonly #values = new Float64Array(4);

  /** Throws a refusal where a type that leads from events to names is missing. */
  constructor(recording: Uint8Array, layouts: ValueLayouts, pools: ConstantPools, into: { readonly frames: FrameTable; readonly stacks: StackList }) {
    this.#pools = pools;
    this.#frames = into.frames;
    this.#stacks = into.stacks;
    this.#cursor = new JfrCursor(recording);
    const reader = (pool: PoolName, wanted: Readonly<Record<string, WantedField>>): StructReader => {
      const struct = new StructReader(layouts, typeNamed(layouts, pool), wanted);
      for (const name of Object.keys(wanted)) if (!struct.has(name)) throw malformed(`the JFR recording's type ${pool} has no field ${name}: record with another recorder`);
      return struct;
    };
    this.#stackReader = new StackReader(layouts);
    this.#methodReader = reader(POOL_METHOD, { type: { slot: 0, read: "number" }, name: { slot: 1, read: "number" } });
    this.#classReader = reader(POOL_CLASS, { name: { slot: 0, read: "number" } });
    this.#symbolReader = reader(POOL_SYMBOL, { string: { slot: 0, read: "text" } });
    this.#stackOf = new Uint32Array(pools[POOL_STACK_TRACE].count);
    this.#functionOf = new Uint32Array(pools[POOL_METHOD].count);
    this.#symbolTexts = new Array<string | undefined>(pools[POOL_SYMBOL].count);
  }

  /** The number of the stacktrace in the list; -1 for id 0, with which recorders say that there is none. `at`: who names it. */
  stack(id: number, at: number): number {
    const number = this.#pools[POOL_STACK_TRACE].find(id);
    if (number < 0) {
      if (id === 0) return -1;
      throw dangling(at, POOL_STACK_TRACE, id);
    }
    const known = this.#stackOf[number]!;
    if (known > 0) return known - 1;
    const stack = this.#readStack(this.#pools[POOL_STACK_TRACE].placeOf(number));
    this.#stackOf[number] = stack + 1;
    return stack;
  }

  /** The text that begins at `place`: a string of an event or of a constant. */
  textAt(place: number): string {
    return this.#textAt(place, 0);
  }

  #textAt(place: number, hops: number): string {
    this.#cursor.at = place;
    return this.#cursor.string((id) => {
      const pool = this.#pools[POOL_STRING];
      const number = pool.find(id);
      if (number < 0) throw dangling(place, POOL_STRING, id);
      if (hops >= STRING_HOPS_MAX) throw unreadable(place, `string ${id} leads to itself`);
      return this.#textAt(pool.placeOf(number), hops + 1);
    });
  }

  #readStack(place: number): number {
    const cursor = this.#cursor;
    const values = this.#values;
    cursor.at = place;
    let left = this.#stackReader.open(cursor);
    for (; left > 0; left--) {
      values.fill(0, 0, 2);
      this.#stackReader.frame(cursor, values);
      const { at } = cursor;
      const line = values[1]!;
      this.#stacks.add(this.#frames.location(this.#function(values[0]!, at), line > LINE_MAX ? 0 : line));
      cursor.at = at;
    }
    return this.#stacks.close();
  }

  #function(id: number, at: number): number {
    const number = this.#pools[POOL_METHOD].find(id);
    if (number < 0) throw dangling(at, POOL_METHOD, id);
    const known = this.#functionOf[number]!;
    if (known > 0) return known - 1;
    const [values, cursor] = [this.#values, this.#cursor];
    const frameLine = values[1]!;
    const methodAt = this.#pools[POOL_METHOD].placeOf(number);
    cursor.at = methodAt;
    this.#methodReader.readFront(cursor, values);
    const name = values[1]!;
    const type = this.#pools[POOL_CLASS].find(values[0]!);
    if (type < 0) throw dangling(methodAt, POOL_CLASS, values[0]!);
    cursor.at = this.#pools[POOL_CLASS].placeOf(type);
    this.#classReader.readFront(cursor, values);
    const called = this.#frames.functionNamed(`${this.#symbol(values[0]!, cursor.at)}.${this.#symbol(name, methodAt)}`);
    values[1] = frameLine;
    this.#functionOf[number] = called + 1;
    return called;
  }

  #symbol(id: number, at: number): string {
    const pool = this.#pools[POOL_SYMBOL];
    const number = pool.find(id);
    if (number < 0) {
      if (id === 0) return "";
      throw dangling(at, POOL_SYMBOL, id);
    }
    let text = this.#symbolTexts[number];
    if (text !== undefined) return text;
    const into = new Float64Array(1);
    this.#cursor.at = pool.placeOf(number);
    this.#symbolReader.readFront(this.#cursor, into);
    text = foldGeneratedName(this.textAt(into[0]!));
    this.#symbolTexts[number] = text;
    return text;
  }
}

/** Reads the frames of one stacktrace after the other. */
class StackReader {
  readonly #front: StructReader;
  readonly #frame: StructReader;
  readonly #ignored = new Float64Array(1);

  constructor(layouts: ValueLayouts) {
    const type = typeNamed(layouts, POOL_STACK_TRACE);
    const index = type.fields.findIndex(({ name }) => name === "frames");
    const frames = type.fields[index];
    const frameType = frames === undefined ? undefined : layouts.types.byId.get(frames.typeId);
    if (frames === undefined || frameType === undefined || !frames.isArray || frames.isPooled) throw malformed("the JFR recording's stacktraces have no frames: record with another recorder");
    this.#front = new StructReader(layouts, { ...type, fields: type.fields.slice(0, index) }, {});
    this.#frame = new StructReader(layouts, frameType, { method: { slot: 0, read: "number" }, lineNumber: { slot: 1, read: "number" } });
    if (!this.#frame.has("method")) throw malformed("the JFR recording's frames name no method: record with another recorder");
  }

  /** Returns how many frames follow. */
  open(cursor: JfrCursor): number {
    this.#front.read(cursor, this.#ignored);
    return cursor.count();
  }

  frame(cursor: JfrCursor, into: Float64Array): void {
    this.#frame.read(cursor, into);
  }
}

function typeNamed(layouts: ValueLayouts, name: string): JfrType {
  const type = layouts.types.byName.get(name);
  if (type === undefined) throw malformed(`the JFR recording has events of stacktraces and does not describe the type ${name}: record with another recorder`);
  return type;
}

export function dangling(at: number, pool: PoolName, id: number): Error {
  return unreadable(at, `it names ${pool} ${id}, which is in no checkpoint of the chunk`);
}

/** A string in the pool is text itself. Some more are followed, and then it is a cycle. */
const STRING_HOPS_MAX = 4;
/** Recorders write a line that they do not know as 0 or as -1. */
const LINE_MAX = 0x7fff_ffff;
