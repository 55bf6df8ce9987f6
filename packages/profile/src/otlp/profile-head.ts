/**
 * What an OTLP profile says of itself, and the profile type that it becomes:
 *
 *   samples:count, period cpu:nanoseconds   process_cpu, cpu:nanoseconds: each value is multiplied by the period
 *   off_cpu:nanoseconds, without a period   off_cpu
 *   any other                               named by its period type, as `memory` of memory:bytes; process_cpu without one
 */
import { malformed } from "../labels/refusal.ts";
import type { SampleType } from "../labels/profile-type.ts";
import type { ExportTables } from "./export-tables.ts";
import { stringAt } from "./export-tables.ts";
import type { Layout } from "./generation.ts";
import { checkListLength, FIXED64, LENGTH, VARINT, WireCursor } from "./wire-cursor.ts";

export interface ProfileHead {
  /** `__name__` */
  readonly name: string;
  readonly types: readonly SampleType[];
  /** Each value counts this much. */
  readonly scales: readonly (number | bigint)[];
  readonly periodType: SampleType;
  readonly period: number | bigint;
  /** Nanoseconds since 1970, in halves of 32 bits; 0: none. */
  readonly timeLow: number;
  readonly timeHigh: number;
  readonly durationNs: number | bigint;
  /** Of 1.7: where the pieces lie of the list of which stacks are parts, start and stop in turn. A number that is not packed is a piece. */
  readonly locationIndices: readonly number[];
}

/** What a sender takes that says nothing of a duration, as in Pyroscope. */
const DURATION_DEFAULT_NS = 10_000_000_000;
/** As many as a pprof may have. */
const SAMPLE_TYPES_MAX = 4096;
const NO_TYPE: SampleType = { type: "", unit: "" };

/** Reads the heads of an export's profiles. */
export class ProfileHeads {
  readonly #tables: ExportTables;
  readonly #layout: Layout["profile"];
  readonly #cursor: WireCursor;
  readonly #typeCursor: WireCursor;

  constructor(tables: ExportTables, layout: Layout) {
    this.#tables = tables;
    this.#layout = layout.profile;
    this.#cursor = new WireCursor(tables.bytes);
    this.#typeCursor = new WireCursor(tables.bytes);
  }

  /** Of the profile that lies there. Throws a refusal of it. */
  read(start: number, stop: number): ProfileHead {
    const profile = this.#layout;
    const types: SampleType[] = [];
    let periodType = NO_TYPE;
    let period: number | bigint = 0;
    let durationNs: number | bigint = 0;
    let [timeLow, timeHigh] = [0, 0];
    const locationIndices: number[] = [];
    const cursor = this.#cursor.enter(start, stop);
    while (cursor.next()) {
      const { field, wire } = cursor;
      if (field === 1 && wire === LENGTH) {
        if (types.length === SAMPLE_TYPES_MAX) throw malformed(`it has more than ${SAMPLE_TYPES_MAX} sample types: send fewer`);
        types.push(this.#valueType(cursor));
      } else if (field === profile.locationIndices && (wire === LENGTH || wire === VARINT)) {
        locationIndices.push(cursor.start, cursor.stop);
        checkListLength(locationIndices.length / 2);
      } else if (field === profile.time && (wire === FIXED64 || wire === VARINT)) [timeLow, timeHigh] = [cursor.low(), cursor.high()];
      else if (field === profile.duration && wire === VARINT) durationNs = cursor.int64();
      else if (field === profile.periodType && wire === LENGTH) periodType = this.#valueType(cursor);
      else if (field === profile.period && wire === VARINT) period = cursor.int64();
    }
    if (types.length === 0) throw malformed("it has no sample_type: say what its values are");
    if (durationNs <= 0) durationNs = DURATION_DEFAULT_NS;
    if (timeHigh >= 2 ** 31) [timeLow, timeHigh] = [0, 0]; // a negative one
    // A period of 0 says that nothing is sampled periodically, whatever its type.
    const sampled = period === 0 ? NO_TYPE : periodType;
    const scales = types.map((type) => (isCpuSamples(type, sampled) ? period : 1));
    const shown = types.map((type) => (isCpuSamples(type, sampled) ? sampled : type));
    return { name: nameOf(types, sampled), types: shown, scales, periodType, period, timeLow, timeHigh, durationNs, locationIndices };
  }

  #valueType({ start, stop }: WireCursor): SampleType {
    let type = 0;
    let unit = 0;
    const cursor = this.#typeCursor.enter(start, stop);
    while (cursor.next()) {
      if (cursor.field === 1 && cursor.wire === VARINT) type = cursor.number;
      else if (cursor.field === 2 && cursor.wire === VARINT) unit = cursor.number;
    }
    return { type: stringAt(this.#tables, type), unit: stringAt(this.#tables, unit) };
  }
}

function isCpuSamples({ type, unit }: SampleType, period: SampleType): boolean {
  return type === "samples" && unit === "count" && period.type === "cpu" && period.unit === "nanoseconds";
}

function nameOf(types: readonly SampleType[], periodType: SampleType): string {
  const [first] = types;
  if (first!.type === "off_cpu" && first!.unit === "nanoseconds" && types.length === 1 && periodType.type === "") return "off_cpu";
  if (periodType.type === "" || isCpuSamples(first!, periodType)) return "process_cpu";
  return periodType.type;
}
