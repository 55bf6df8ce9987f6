/**
 * Reads named fields of one type, and passes over the others. What a recording lacks stays 0: recorders differ in which fields they write.
 */
import type { JfrCursor } from "./jfr-cursor.ts";
import { malformed } from "../labels/refusal.ts";
import type { JfrField, JfrType } from "./metadata.ts";
import type { ValueLayout, ValueLayouts } from "./value-layout.ts";

/** How a field is read. `text`: where the string begins. `wide`: both halves, the low one at the slot and the high one behind it. */
export type FieldRead = "number" | "wide" | "text";

export interface WantedField {
  readonly slot: number;
  readonly read: FieldRead;
}

export class StructReader {
  /** Instructions, one for each field or run of fields: what to do, and the slot or the count. */
  readonly #steps: Int32Array;
  readonly #layouts: readonly (ValueLayout | undefined)[];
  /** Steps up to the last wanted field. */
  readonly #wantedSteps: number;
  readonly #found: ReadonlySet<string>;

  /** Throws a refusal where a wanted field is of another kind than it is in all recorders. */
  constructor(layouts: ValueLayouts, type: JfrType, wanted: Readonly<Record<string, WantedField>>) {
    const steps: number[] = [];
    const skipped: (ValueLayout | undefined)[] = [];
    const found = new Set<string>();
    let wantedSteps = 0;
    for (const field of type.fields) {
      const want = Object.hasOwn(wanted, field.name) ? wanted[field.name] : undefined;
      if (want !== undefined && !found.has(field.name)) {
        found.add(field.name);
        steps.push(stepOf(layouts, type, field, want), want.slot);
        skipped.push(undefined);
        wantedSteps = skipped.length;
        continue;
      }
      if (layouts.isLong(field)) {
        if (steps.at(-2) === SKIP_LONGS) steps[steps.length - 1]!++;
        else {
          steps.push(SKIP_LONGS, 1);
          skipped.push(undefined);
        }
      } else {
        steps.push(SKIP, 0);
        skipped.push(layouts.ofField(field));
      }
    }
    this.#steps = Int32Array.from(steps);
    this.#layouts = skipped;
    this.#wantedSteps = wantedSteps;
    this.#found = found;
  }

  has(field: string): boolean {
    return this.#found.has(field);
  }

  /** Reads one value whole. */
  read(cursor: JfrCursor, into: Float64Array): void {
    this.#run(cursor, into, this.#layouts.length);
  }

  /** Reads up to the last wanted field, where `cursor` stays. */
  readFront(cursor: JfrCursor, into: Float64Array): void {
    this.#run(cursor, into, this.#wantedSteps);
  }

  #run(cursor: JfrCursor, into: Float64Array, count: number): void {
    const steps = this.#steps;
    for (let i = 0; i < count; i++) {
      const n = steps[i * 2 + 1]!;
      switch (steps[i * 2]) {
        case READ_LONG:
          into[n] = cursor.long();
          break;
        case SKIP_LONGS:
          cursor.skipLongs(n);
          break;
        case READ_WIDE:
          cursor.wide();
          into[n] = cursor.low;
          into[n + 1] = cursor.high;
          break;
        case READ_BYTE:
          into[n] = cursor.byte();
          break;
        case READ_TEXT:
          into[n] = cursor.at;
          cursor.skipString();
          break;
        default:
          this.#layouts[i]!.skip(cursor); // every other step has one
      }
    }
  }
}

const READ_LONG = 0;
const SKIP_LONGS = 1;
const READ_WIDE = 2;
const READ_BYTE = 3;
const READ_TEXT = 4;
const SKIP = 5;

function stepOf(layouts: ValueLayouts, type: JfrType, field: JfrField, { read }: WantedField): number {
  const name = layouts.types.byId.get(field.typeId)?.name;
  if (read === "text" && !field.isArray && !field.isPooled && name === "java.lang.String") return READ_TEXT;
  if (read !== "text" && layouts.isLong(field)) return read === "wide" ? READ_WIDE : READ_LONG;
  if (read === "number" && !field.isArray && (name === "boolean" || name === "byte")) return READ_BYTE;
  throw malformed(`the JFR recording's field ${type.name.slice(0, 100)}.${field.name} is ${field.isArray ? "an array" : `a ${String(name).slice(0, 100)}`}, which no known recorder writes: record with another recorder`);
}
