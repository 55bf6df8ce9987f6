/**
 * Joins the rows of an answer that belong to one profile.
 *
 *   push --labels of its samples--> rows that share a profile id --ProfileTable--> one profile again
 *
 * Rows of one push may lie in several datasets, segments, workers and nodes. What must stay true: whatever order they are
 * added in, and through however many partial tables, the profiles are the same, each with the sum of its rows (or what else they are
 * joined by) and with the labels that all of them share. Bounded by the rows of one query, which the query limits bound: some 100 bytes a profile.
 */
import type { Interrupt } from "../model/interrupt.ts";
import { ROW_STEPS, UNINTERRUPTED } from "../model/interrupt.ts";
import type { Label, Labels } from "../labels/labels.ts";
import { labelsKey, labelValue } from "../labels/labels.ts";
import type { Exemplar, Int64 } from "../model/results.ts";
import { hexOf } from "./scan.ts";
import { plus } from "../model/sums.ts";

/** A table as it is sent between threads. Entry i: 24 bytes of `keys` (profile id, span id or zeros), and the i-th value of each other column. */
export interface PartialProfiles {
  readonly keys: Uint8Array;
  readonly timesMs: readonly number[];
  readonly values: readonly Int64[];
  /** Index into `labelSets`. */
  readonly labels: readonly number[];
  readonly labelSets: readonly Labels[];
}

const KEY_BYTES = 24;
const SPAN_OFFSET = 16;

/** An entry is known by profile id, span id and time, so that profiles are counted even where a client gives all of them the same id. */
export class ProfileTable {
  readonly #indexes = new Map<string, number>();
  readonly #timesMs: number[] = [];
  readonly #values: Int64[] = [];
  readonly #labels: number[] = [];
  readonly #labelSets: Labels[] = [];
  readonly #labelSetIds = new Map<string, number>();
  readonly #sharedIds = new Map<string, number>();
  readonly #joinValues: (a: Int64, b: Int64) => Int64;
  readonly #key = new Uint8Array(KEY_BYTES);
  readonly #units = new Uint16Array(this.#key.buffer);
  #keys = new Uint8Array(KEY_BYTES * 16);

  /** `joinValues` makes one value of two rows of a profile. It must be commutative and associative. */
  constructor(joinValues: (a: Int64, b: Int64) => Int64 = plus) {
    this.#joinValues = joinValues;
  }

  get count(): number {
    return this.#values.length;
  }

  /** The number of a label set in this table, for `add`. */
  labelSet(labels: Labels): number {
    const key = labelsKey(labels);
    let id = this.#labelSetIds.get(key);
    if (id === undefined) {
      id = this.#labelSets.push(labels) - 1;
      this.#labelSetIds.set(key, id);
    }
    return id;
  }

  /** `profileId`: 16 bytes. `span`: 8 bytes, or undefined for the whole profile. */
  add(profileId: Uint8Array, span: Uint8Array | undefined, timeMs: number, value: Int64, labels: number): void {
    this.#key.set(profileId);
    if (span === undefined) this.#key.fill(0, SPAN_OFFSET);
    else this.#key.set(span, SPAN_OFFSET);
    this.#join(timeMs, value, labels);
  }

  addAll({ keys, timesMs, values, labels, labelSets }: PartialProfiles, interrupt: Interrupt = UNINTERRUPTED): void {
    const own = labelSets.map((set) => {
      interrupt.after(ROW_STEPS);
      return this.labelSet(set);
    });
    for (let i = 0; i < values.length; i++) {
      interrupt.after(ROW_STEPS);
      this.#key.set(keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES));
      this.#join(timesMs[i]!, values[i]!, own[labels[i]!]!);
    }
  }

  isSpan(index: number): boolean {
    for (let at = index * KEY_BYTES + SPAN_OFFSET; at < (index + 1) * KEY_BYTES; at++) if (this.#keys[at] !== 0) return true;
    return false;
  }

  timeMs(index: number): number {
    return this.#timesMs[index]!;
  }

  value(index: number): Int64 {
    return this.#values[index]!;
  }

  exemplar(index: number): Exemplar {
    const at = index * KEY_BYTES;
    const span = this.isSpan(index) ? this.#keys.subarray(at + SPAN_OFFSET, at + KEY_BYTES) : undefined;
    return exemplarOf(this.#keys.subarray(at, at + SPAN_OFFSET), span, this.#timesMs[index]!, this.#values[index]!, this.#labelSets[this.#labels[index]!]!);
  }

  /** Shares the table's columns, so nothing may be added afterwards. */
  partial(): PartialProfiles {
    return {
      // Copied, since a view would be sent with all of its buffer.
      keys: this.#keys.slice(0, this.count * KEY_BYTES),
      timesMs: this.#timesMs,
      values: this.#values,
      labels: this.#labels,
      labelSets: this.#labelSets,
    };
  }

  /** Adds a value under the key in `#key`. */
  #join(timeMs: number, value: Int64, labels: number): void {
    const text = this.#text(timeMs);
    const known = this.#indexes.get(text);
    if (known !== undefined) {
      this.#values[known] = this.#joinValues(this.#values[known]!, value);
      this.#labels[known] = this.#shared(this.#labels[known]!, labels);
      return;
    }
    const index = this.count;
    this.#indexes.set(text, index);
    if ((index + 1) * KEY_BYTES > this.#keys.length) {
      const grown = new Uint8Array(this.#keys.length * 2);
      grown.set(this.#keys);
      this.#keys = grown;
    }
    this.#keys.set(this.#key, index * KEY_BYTES);
    this.#timesMs.push(timeMs);
    this.#values.push(value);
    this.#labels.push(labels);
  }

  /** The key and the time as one text of 15 UTF-16 units. One call with all of them is three times as fast as spreading and joining. */
  #text(timeMs: number): string {
    const u = this.#units;
    const high = Math.floor(timeMs / 2 ** 32);
    // The typed array has these 12 units.
    return String.fromCharCode(u[0]!, u[1]!, u[2]!, u[3]!, u[4]!, u[5]!, u[6]!, u[7]!, u[8]!, u[9]!, u[10]!, u[11]!, timeMs >>> 16, timeMs, high);
  }

  /** The label set of the labels that both sets share. */
  #shared(a: number, b: number): number {
    if (a === b) return a;
    const pair = `${a} ${b}`;
    let id = this.#sharedIds.get(pair);
    if (id === undefined) {
      const other = this.#labelSets[b]!;
      id = this.labelSet(this.#labelSets[a]!.filter(({ name, value }: Label) => labelValue(other, name) === value));
      this.#sharedIds.set(pair, id);
    }
    return id;
  }
}

export function exemplarOf(profileId: Uint8Array, span: Uint8Array | undefined, timeMs: number, value: Int64, labels: Labels): Exemplar {
  return {
    timestampMs: timeMs,
    profileId: uuidText(hexOf(profileId, 0, 16)),
    spanId: span === undefined ? "" : hexOf(span, 0, 8),
    traceId: "",
    value,
    labels,
  };
}

/** Whether `a` rather than `b` is the exemplar of a bucket: the one with the greater value, else the earlier one, else the one with the smaller id. So the order of adding does not matter. */
export function outranks(a: Exemplar, b: Exemplar | undefined): boolean {
  if (b === undefined || a.value > b.value) return true;
  if (a.value < b.value) return false;
  if (a.timestampMs !== b.timestampMs) return a.timestampMs < b.timestampMs;
  return a.profileId + a.spanId < b.profileId + b.spanId;
}

/** `00112233-4455-...` of 32 hex digits. */
function uuidText(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
