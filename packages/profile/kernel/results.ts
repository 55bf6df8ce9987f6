/** Writes the single numbers that JavaScript reads after a call (`RESULTS` and `TIMES` of layout.mjs). */
import {
  RESULTS_AT,
  RESULTS_END,
  RESULT_ARRIVED_SAMPLE_COUNT,
  RESULT_FUNCTION_COUNT,
  RESULT_FUNCTION_STRING_MAX,
  RESULT_LABEL_COUNT,
  RESULT_LABEL_STRING_MAX,
  RESULT_LINE_COUNT,
  RESULT_LOCATION_COUNT,
  RESULT_MAPPING_COUNT,
  RESULT_MAPPING_STRING_MAX,
  RESULT_PERIOD_TYPE_TYPE,
  RESULT_PERIOD_TYPE_UNIT,
  RESULT_RECORD_FUNCTION_COUNT,
  RESULT_RECORD_LINE_COUNT,
  RESULT_RECORD_LOCATION_COUNT,
  RESULT_RECORD_MAPPING_COUNT,
  RESULT_RECORD_NODE_COUNT,
  RESULT_RECORD_STRINGS_AT,
  RESULT_RECORD_STRING_COUNT,
  RESULT_SAMPLE_COUNT,
  RESULT_STRING_COUNT,
  RESULT_STRING_LENGTH_MAX,
  RESULT_TYPE_COUNT,
  RESULT_TYPE_STRING_MAX,
  RESULT_VALUE_COUNT,
  TIME_DURATION,
  TIME_PERIOD,
  TIME_TIME,
} from "./gen/layout";

export function clear(): void {
  memory.fill(RESULTS_AT, 0, RESULTS_END - RESULTS_AT);
}

export function counts(
  arrivedSamples: u32,
  values: u32,
  samples: u32,
  labels: u32,
  strings: u32,
  stringLengthMax: u32,
  types: u32,
  mappings: u32,
  functions: u32,
  locations: u32,
  lines: u32,
): void {
  store<u32>(RESULT_ARRIVED_SAMPLE_COUNT, arrivedSamples);
  store<u32>(RESULT_VALUE_COUNT, values);
  store<u32>(RESULT_SAMPLE_COUNT, samples);
  store<u32>(RESULT_LABEL_COUNT, labels);
  store<u32>(RESULT_STRING_COUNT, strings);
  store<u32>(RESULT_STRING_LENGTH_MAX, stringLengthMax);
  store<u32>(RESULT_TYPE_COUNT, types);
  store<u32>(RESULT_MAPPING_COUNT, mappings);
  store<u32>(RESULT_FUNCTION_COUNT, functions);
  store<u32>(RESULT_LOCATION_COUNT, locations);
  store<u32>(RESULT_LINE_COUNT, lines);
}

export function stringMaxima(type: u32, label: u32, functionField: u32, mappingField: u32): void {
  store<u32>(RESULT_TYPE_STRING_MAX, type);
  store<u32>(RESULT_LABEL_STRING_MAX, label);
  store<u32>(RESULT_FUNCTION_STRING_MAX, functionField);
  store<u32>(RESULT_MAPPING_STRING_MAX, mappingField);
}

export function periodType(type: u32, unit: u32): void {
  store<u32>(RESULT_PERIOD_TYPE_TYPE, type);
  store<u32>(RESULT_PERIOD_TYPE_UNIT, unit);
}

export function time(value: u64): void {
  store<u64>(TIME_TIME, value);
}

export function duration(value: u64): void {
  store<u64>(TIME_DURATION, value);
}

export function period(value: u64): void {
  store<u64>(TIME_PERIOD, value);
}

/** The counts of the record that was written last, and the address of its strings. */
export function record(nodes: u32, locations: u32, lines: u32, functions: u32, mappings: u32, strings: u32, stringsFrom: u32): void {
  store<u32>(RESULT_RECORD_NODE_COUNT, nodes);
  store<u32>(RESULT_RECORD_LOCATION_COUNT, locations);
  store<u32>(RESULT_RECORD_LINE_COUNT, lines);
  store<u32>(RESULT_RECORD_FUNCTION_COUNT, functions);
  store<u32>(RESULT_RECORD_MAPPING_COUNT, mappings);
  store<u32>(RESULT_RECORD_STRING_COUNT, strings);
  store<u32>(RESULT_RECORD_STRINGS_AT, stringsFrom);
}
