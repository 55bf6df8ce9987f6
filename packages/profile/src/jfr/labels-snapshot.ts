/**
 * The labels part of a request: the labels that the agent's contexts stood for while it recorded. Protobuf:
 *
 *   message LabelsSnapshot { map<int64, Context> contexts = 1; map<int64, string> strings = 2; }
 *   message Context        { map<int64, int64> labels = 1; }           name -> value, both numbers of strings
 *
 * A context and a string are read when they are asked for, and once: many contexts may name one string, and many events one context.
 * Their numbers are kept as texts that are not digits alone: the sender chooses them, and V8's hash of numbers has no seed.
 */
import { VarintCursor } from "@pyromesh/base";
import type { Label } from "../labels/labels.ts";
import { malformed } from "../labels/refusal.ts";

export class LabelsSnapshot {
  readonly #bytes: Buffer;
  /** Where each lies. */
  readonly #contexts = new Map<string, Span>();
  readonly #strings = new Map<string, Span>();
  readonly #readContexts = new Map<string, readonly Label[]>();
  readonly #readStrings = new Map<string, string>();

  /** Throws a refusal. */
  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    forEachField(this.#bytes, 0, bytes.length, (field, from, to) => {
      if (field !== CONTEXTS && field !== STRINGS) return;
      let value: Span = [to, to];
      const key = this.#readEntry(from, to, (valueFrom, valueTo) => (value = [valueFrom, valueTo]));
      (field === CONTEXTS ? this.#contexts : this.#strings).set(keyOf(key), value);
    });
  }

  /** Undefined where there is no such context. Labels whose name or value is empty are left out. */
  labelsOf(context: bigint): readonly Label[] | undefined {
    const contextKey = keyOf(context);
    const known = this.#readContexts.get(contextKey);
    if (known !== undefined) return known;
    const found = this.#contexts.get(contextKey);
    if (found === undefined) return undefined;
    const labels: Label[] = [];
    this.#readContexts.set(contextKey, labels);
    forEachField(this.#bytes, found[0], found[1], (field, from, to) => {
      if (field !== CONTEXT_LABELS) return;
      let named = 0n;
      const key = this.#readEntry(from, to, undefined, (number) => (named = number));
      const [name, value] = [this.stringOf(key), this.stringOf(named)];
      if (name !== "" && value !== "") labels.push({ name, value });
    });
    return labels;
  }

  /** Empty where there is no such string. */
  stringOf(number: bigint): string {
    const key = keyOf(number);
    const known = this.#readStrings.get(key);
    if (known !== undefined) return known;
    const found = this.#strings.get(key);
    if (found === undefined) return "";
    const text = this.#bytes.toString("utf8", found[0], found[1]);
    this.#readStrings.set(key, text);
    return text;
  }

  /** Reads an entry of a map, and returns its key. */
  #readEntry(from: number, to: number, onBytes?: (from: number, to: number) => void, onNumber?: (value: bigint) => void): bigint {
    let key = 0n;
    forEachField(
      this.#bytes,
      from,
      to,
      (field, valueFrom, valueTo) => {
        if (field === ENTRY_VALUE) onBytes?.(valueFrom, valueTo);
      },
      (field, value) => {
        if (field === ENTRY_KEY) key = value;
        else if (field === ENTRY_VALUE) onNumber?.(value);
      },
    );
    return key;
  }
}

function keyOf(number: bigint): string {
  return `n${number}`;
}

/** From and to. */
type Span = readonly [number, number];

const CONTEXTS = 1;
const STRINGS = 2;
const CONTEXT_LABELS = 1;
const ENTRY_KEY = 1;
const ENTRY_VALUE = 2;

function forEachField(bytes: Uint8Array, from: number, to: number, onBytes: (field: number, from: number, to: number) => void, onNumber?: (field: number, value: bigint) => void): void {
  const cursor = new VarintCursor(bytes, from, to);
  while (cursor.offset < to) {
    const tag = cursor.next();
    const field = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0: {
        const value = cursor.nextWide();
        if (value < 0) throw broken();
        onNumber?.(field, BigInt.asUintN(64, BigInt(value)));
        break;
      }
      case 1:
        cursor.offset += 8;
        break;
      case 2: {
        const length = cursor.next();
        if (length < 0 || length > to - cursor.offset) throw broken();
        onBytes(field, cursor.offset, cursor.offset + length);
        cursor.offset += length;
        break;
      }
      case 5:
        cursor.offset += 4;
        break;
      default: // the other wire types, and the -1 of a tag that is cut short
        throw broken();
    }
    if (cursor.offset > to) throw broken();
  }
}

function broken(): Error {
  return malformed("the field labels is no LabelsSnapshot: send what the agent made, or leave the field out");
}
