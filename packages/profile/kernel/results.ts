/** What is one number each, written where JavaScript reads it: 32-bit words from RESULTS on, then three 64-bit ones (src/pprof/kernel-memory.ts). */

const RESULTS: usize = 512;
const TIMES: usize = RESULTS + 32 * 4;

@inline
function put(index: usize, value: u32): void {
  store<u32>(RESULTS + index * 4, value);
}

export function clear(): void {
  memory.fill(RESULTS, 0, 256);
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
  put(0, arrivedSamples);
  put(1, values);
  put(2, samples);
  put(3, labels);
  put(4, strings);
  put(5, stringLengthMax);
  put(6, types);
  put(7, mappings);
  put(8, functions);
  put(9, locations);
  put(10, lines);
}

export function stringMaxima(type: u32, label: u32, functionField: u32, mappingField: u32): void {
  put(11, type);
  put(12, label);
  put(13, functionField);
  put(14, mappingField);
}

export function periodType(type: u32, unit: u32): void {
  put(15, type);
  put(16, unit);
}

export function time(value: u64): void {
  store<u64>(TIMES, value);
}

export function duration(value: u64): void {
  store<u64>(TIMES + 8, value);
}

export function period(value: u64): void {
  store<u64>(TIMES + 16, value);
}

/** What the record written last holds, and where its strings begin. */
export function record(nodes: u32, locations: u32, lines: u32, functions: u32, mappings: u32, strings: u32, stringsFrom: u32): void {
  put(17, nodes);
  put(18, locations);
  put(19, lines);
  put(20, functions);
  put(21, mappings);
  put(22, strings);
  put(23, stringsFrom);
}
