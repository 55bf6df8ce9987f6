/**
 * The metadata of a chunk: which types its events and constants have, and which fields each type.
 *
 *   size, type 0, start, duration, id, count of strings, strings, then one element, which holds all others:
 *   element: name, count of attributes, (name, value) each, count of children, children       (names and values are numbers of strings)
 *
 *   root > metadata > class id= name= > field name= class=(id of a type) constantPool= dimension=
 *
 * Other elements (annotations, settings, the region) are passed over.
 */
import { JfrCursor, unreadable } from "./jfr-cursor.ts";
import { PoolIndex } from "./pool-index.ts";

export interface JfrField {
  readonly name: string;
  readonly typeId: number;
  /** The value is the id of a constant of that type. */
  readonly isPooled: boolean;
  readonly isArray: boolean;
}

export interface JfrType {
  readonly id: number;
  readonly name: string;
  readonly fields: readonly JfrField[];
}

export interface JfrTypes {
  readonly byId: TypesById;
  readonly byName: ReadonlyMap<string, JfrType>;
}

/** Whoever sends a recording chooses the ids of its types, so they are in no hash table (pool-index.ts). */
class TypesById {
  readonly #types: readonly JfrType[];
  readonly #index = new PoolIndex();

  /** Throws a refusal where two have one id. */
  constructor(types: readonly OpenType[]) {
    this.#types = types;
    for (const { id, at } of types) this.#index.add(id, at);
    this.#index.seal();
    for (const [number, { id, at }] of types.entries()) if (this.#index.find(id) !== number) throw unreadable(at, `type ${id} is described twice`);
  }

  get(id: number): JfrType | undefined {
    const number = this.#index.find(id);
    return number < 0 ? undefined : this.#types[number];
  }
}

/** Real metadata is five deep. The path to an element is kept, so that depth is bounded and nothing recurses. */
const DEPTH_MAX = 16;

/** Throws a refusal. `end` is that of the chunk. */
export function readMetadata(recording: Uint8Array, at: number, end: number): JfrTypes {
  const cursor = new JfrCursor(recording, at, end);
  const sizeBytes = cursor.id();
  if (sizeBytes > end - at) throw unreadable(at, `the metadata has ${sizeBytes} bytes, more than its chunk`);
  cursor.end = at + sizeBytes;
  const type = cursor.long();
  if (type !== METADATA_TYPE) throw unreadable(at, `an event of type ${type} stands where the metadata should`);
  cursor.skipLongs(3);
  const strings = new StringTable(cursor);
  return readElements(cursor, strings);
}

const METADATA_TYPE = 0;

/** Strings are decoded when they are asked for: most are descriptions, which nobody reads here. */
class StringTable {
  readonly #cursor: JfrCursor;
  readonly #places: Uint32Array;
  readonly #texts: (string | undefined)[] = [];

  /** Moves `cursor` past the strings. */
  constructor(cursor: JfrCursor) {
    this.#cursor = new JfrCursor(cursor.bytes, cursor.at, cursor.end);
    this.#places = new Uint32Array(cursor.count());
    for (let i = 0; i < this.#places.length; i++) {
      this.#places[i] = cursor.at;
      cursor.skipString();
    }
  }

  text(index: number): string {
    let text = this.#texts[index];
    if (text !== undefined) return text;
    const place = this.#places[index];
    if (place === undefined) throw unreadable(this.#cursor.at, `string ${index} of ${this.#places.length} is named`);
    this.#cursor.at = place;
    text = this.#cursor.string(() => {
      throw unreadable(place, "a string of the metadata is said to be in a pool");
    });
    this.#texts[index] = text;
    return text;
  }
}

interface OpenType extends JfrType {
  readonly fields: JfrField[];
  /** Where it is described. */
  readonly at: number;
}

function readElements(cursor: JfrCursor, strings: StringTable): JfrTypes {
  const types: OpenType[] = [];
  const byName = new Map<string, JfrType>();
  /** How many children of each element on the path are still to come, from the root. */
  const left: number[] = [1];
  let type: OpenType | undefined;
  while (left.length > 0) {
    if (left.at(-1) === 0) {
      left.pop();
      continue;
    }
    left[left.length - 1]!--;
    const depth = left.length - 1;
    const { at } = cursor;
    const name = strings.text(cursor.long());
    const attributes = cursor.count();
    if (name === "class" && depth === CLASS_DEPTH) {
      type = { ...readAttributes(cursor, strings, attributes), fields: [], at };
      types.push(type);
      byName.set(type.name, type);
    } else if (name === "field" && depth === FIELD_DEPTH && type !== undefined) {
      type.fields.push(readField(cursor, strings, attributes, at));
    } else {
      cursor.skipLongs(attributes * 2);
    }
    const children = cursor.count();
    if (children > 0) {
      if (left.length >= DEPTH_MAX) throw unreadable(at, `the metadata is more than ${DEPTH_MAX} elements deep`);
      left.push(children);
    }
  }
  return { byId: new TypesById(types), byName };
}

const CLASS_DEPTH = 2;
const FIELD_DEPTH = 3;

function readAttributes(cursor: JfrCursor, strings: StringTable, count: number): Pick<JfrType, "id" | "name"> {
  const { at } = cursor;
  let id = -1;
  let name = "";
  for (let i = 0; i < count; i++) {
    const key = strings.text(cursor.long());
    const value = cursor.long();
    if (key === "id") id = numberOf(strings.text(value), at);
    else if (key === "name") name = strings.text(value);
  }
  if (id < 0) throw unreadable(at, "a type has no id");
  return { id, name };
}

function readField(cursor: JfrCursor, strings: StringTable, count: number, at: number): JfrField {
  let name = "";
  let typeId = -1;
  let isPooled = false;
  let isArray = false;
  for (let i = 0; i < count; i++) {
    const key = strings.text(cursor.long());
    const value = cursor.long();
    if (key === "name") name = strings.text(value);
    else if (key === "class") typeId = numberOf(strings.text(value), at);
    else if (key === "constantPool") isPooled = strings.text(value) === "true";
    else if (key === "dimension") isArray = isOneDimension(strings.text(value), at);
  }
  if (typeId < 0) throw unreadable(at, `the field ${JSON.stringify(name.slice(0, 100))} has no type`);
  return { name, typeId, isPooled, isArray };
}

function isOneDimension(text: string, at: number): boolean {
  if (text !== "0" && text !== "1" && text !== "") throw unreadable(at, `a field has ${JSON.stringify(text.slice(0, 40))} dimensions, and one is read`);
  return text === "1";
}

function numberOf(text: string, at: number): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw unreadable(at, `${JSON.stringify(text.slice(0, 40))} is no id of a type`);
  return Number(text);
}
