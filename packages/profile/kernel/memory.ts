/**
 * How the kernel opens its memory and reads columns of 32-bit numbers. The addresses of the columns are variables of gen/layout.ts, generated
 * from layout.mjs, where the memory is drawn.
 *
 * Columns are as long as the longest input can make them, so the kernel never compares an index with a column's end.
 */
import { readDirectory } from "./gen/layout";

/** How many mappings and sample types there is room for: the only columns that an input could outgrow. */
export let mappingCapacity: u32 = 0;
export let typeCapacity: u32 = 0;

export function open(mappings: u32, types: u32): void {
  mappingCapacity = mappings;
  typeCapacity = types;
  readDirectory();
}

/** Entry `index` of a column of 32-bit numbers. */
@inline
export function at32(column: usize, index: u32): u32 {
  return load<u32>(column + (<usize>index << 2));
}

@inline
export function put32(column: usize, index: u32, value: u32): void {
  store<u32>(column + (<usize>index << 2), value);
}
