/**
 * Attributes as text: a string, a whole number, or a list of one of these. Others (booleans, fractions, maps, longer lists) are no labels, as in
 * Pyroscope.
 *
 *   KeyValue          1 key   2 value   3 index of the key, instead of it           of a resource, of a scope, and of the dictionary of 1.7
 *   KeyValueAndUnit   1 index of the key   2 value   3 index of the unit            of the dictionary from 1.8 on
 *   AnyValue          1 string  3 int64  5 list of AnyValue  8 index of a string
 */
import type { Label } from "../labels/labels.ts";
import type { ExportTables } from "./export-tables.ts";
import { DECODED_AGAIN_BYTES_MAX, stringAt } from "./export-tables.ts";
import { textOf } from "./text-cache.ts";
import { LENGTH, VARINT, WireCursor } from "./wire-cursor.ts";

/** One attribute; without a text it makes no label. */
export interface Attribute {
  readonly key: string;
  readonly text: string;
}

/** Attributes that are kept decoded. Most exports have fewer; beyond it an attribute is decoded each time, unless it is long. */
const ATTRIBUTES_MAX = 4096;

/** Reads the attributes of one export. */
export class Attributes {
  readonly #tables: ExportTables;
  /** Of the dictionary's table, decoded. */
  readonly #known = new Map<number, Attribute>();
  readonly #owner: WireCursor;
  readonly #pair: WireCursor;
  readonly #value: WireCursor;
  readonly #list: WireCursor;
  readonly #listed: WireCursor;

  constructor(tables: ExportTables) {
    this.#tables = tables;
    [this.#owner, this.#pair, this.#value, this.#list, this.#listed] = Array.from({ length: 5 }, () => new WireCursor(tables.bytes)) as [WireCursor, WireCursor, WireCursor, WireCursor, WireCursor];
  }

  /** An attribute of the dictionary's table, in which the caller knows the index to be. */
  at(index: number): Attribute {
    const known = this.#known.get(index);
    if (known !== undefined) return known;
    const { attributes } = this.#tables;
    const [start, stop] = [attributes.startOf(index), attributes.stopOf(index)];
    const attribute = this.#keyValue(start, stop);
    if (this.#known.size < ATTRIBUTES_MAX || stop - start > DECODED_AGAIN_BYTES_MAX) this.#known.set(index, attribute);
    return attribute;
  }

  /** Those in field `field` of the message that lies there, a resource or a scope, without those that make no label. */
  of(field: number, start: number, stop: number): Label[] {
    const labels: Label[] = [];
    const cursor = this.#owner.enter(start, stop);
    while (cursor.next()) {
      if (cursor.field !== field || cursor.wire !== LENGTH) continue;
      const { key, text } = this.#keyValue(cursor.start, cursor.stop);
      if (key !== "" && text !== "") labels.push({ name: key, value: text });
    }
    return labels;
  }

  /** Reads either kind of pair: the key is a text, or the index of one in field 1 or, in a KeyValue, in field 3. */
  #keyValue(start: number, stop: number): Attribute {
    let key = "";
    let text = "";
    let isIndexed = false;
    let keyIndex = 0;
    const cursor = this.#pair.enter(start, stop);
    while (cursor.next()) {
      if (cursor.field === 1 && cursor.wire === LENGTH) key = textOf(cursor.bytes, cursor.start, cursor.stop);
      else if (cursor.field === 1 && cursor.wire === VARINT) {
        isIndexed = true;
        keyIndex = cursor.number;
      } else if (cursor.field === 3 && cursor.wire === VARINT && key === "" && !isIndexed) keyIndex = cursor.number;
      else if (cursor.field === 2 && cursor.wire === LENGTH) text = this.#valueText(this.#value.enter(cursor.start, cursor.stop), true);
    }
    return { key: keyIndex === 0 ? key : stringAt(this.#tables, keyIndex), text };
  }

  #valueText(cursor: WireCursor, mayBeList: boolean): string {
    let text = "";
    while (cursor.next()) {
      if (cursor.field === 1 && cursor.wire === LENGTH) text = textOf(cursor.bytes, cursor.start, cursor.stop);
      else if (cursor.field === 3 && cursor.wire === VARINT) text = String(cursor.int64());
      else if (cursor.field === 8 && cursor.wire === VARINT) text = stringAt(this.#tables, cursor.number);
      else if (cursor.field === 5 && cursor.wire === LENGTH) text = mayBeList ? this.#onlyText(cursor.start, cursor.stop) : "";
      else text = ""; // of the fields of a oneof the last one counts
    }
    return text;
  }

  /** The text of a list of one value. A list in it has none, so that nothing nests deeper. */
  #onlyText(start: number, stop: number): string {
    let text = "";
    let count = 0;
    const cursor = this.#list.enter(start, stop);
    while (cursor.next()) {
      if (cursor.field !== 1 || cursor.wire !== LENGTH) continue;
      if (++count > 1) return "";
      text = this.#valueText(this.#listed.enter(cursor.start, cursor.stop), false);
    }
    return text;
  }
}
