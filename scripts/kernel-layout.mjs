/**
 * Generates the two sides of packages/profile/kernel/layout.mjs: the kernel's (AssemblyScript) and JavaScript's (TypeScript).
 * Pure: text from the table. build.mjs writes it.
 */
import { COLUMNS, COLUMNS_AT, DIRECTORY_AT, REFUSALS, RESULTS, RESULTS_AT, TIMES, TIMES_AT } from "../packages/profile/kernel/layout.mjs";

const ARRAYS = { u8: "Uint8Array", u32: "Uint32Array", i64: "BigInt64Array", u64: "BigUint64Array", f64: "Float64Array" };
const HEADER = "/** Generated from packages/profile/kernel/layout.mjs by scripts/kernel-layout.mjs. */";

/** A column `input` is `inputAt` here, a result `sampleCount` is `RESULT_SAMPLE_COUNT`, its address. */
export function kernelSide() {
  checkTable();
  return [
    HEADER,
    ...COLUMNS.map(({ name }) => `export let ${name}At: usize = 0;`),
    "",
    "/** Reads the directory, which JavaScript has written. */",
    "export function readDirectory(): void {",
    ...COLUMNS.map(({ name }, i) => `  ${name}At = load<u32>(${DIRECTORY_AT + 4 * i});`),
    "}",
    "",
    `export const RESULTS_AT: usize = ${RESULTS_AT};`,
    `export const RESULTS_END: usize = ${TIMES_AT + 8 * TIMES.length};`,
    ...RESULTS.map((name, i) => `export const RESULT_${upperCase(name)}: usize = ${RESULTS_AT + 4 * i};`),
    ...TIMES.map((name, i) => `export const TIME_${upperCase(name)}: usize = ${TIMES_AT + 8 * i};`),
    "",
    ...REFUSALS.flatMap(({ name, facts }, i) => [...docOf(facts?.join(", ")), `export const ${upperCase(name)}: u32 = ${i};`]),
    "",
  ].join("\n");
}

export function javaScriptSide() {
  checkTable();
  const counts = [...new Set(COLUMNS.map(({ count }) => count))];
  return [
    HEADER,
    "export interface KernelColumns {",
    ...COLUMNS.flatMap(({ name, type, doc }) => [...docOf(doc, "  "), `  readonly ${name}: ${ARRAYS[type]};`]),
    "}",
    "",
    `export type ColumnType = ${[...new Set(COLUMNS.map(({ type }) => `${ARRAYS[type]}Constructor`))].join(" | ")};`,
    "/** How many entries a column has, by a rule of kernel-memory.ts. */",
    `export type EntryCount = ${counts.map((count) => `"${count}"`).join(" | ")};`,
    "",
    "/** In the order in which they lie in memory, and their addresses in the directory. */",
    "export const COLUMNS: readonly (readonly [name: keyof KernelColumns, type: ColumnType, count: EntryCount])[] = [",
    ...COLUMNS.map(({ name, type, count }) => `  ["${name}", ${ARRAYS[type]}, "${count}"],`),
    "];",
    "",
    ...Object.entries({ DIRECTORY_AT, RESULTS_AT, TIMES_AT, COLUMNS_AT }).map(([name, at]) => `export const ${name} = ${at};`),
    "",
    "/** Index into the results. */",
    ...enumOf("RESULT", RESULTS),
    "/** Index into the times. */",
    ...enumOf("TIME", TIMES),
    ...enumOf("REFUSAL", REFUSALS.map(({ name }) => name)),
    "",
  ].join("\n");
}

function enumOf(name, members) {
  return [`export const ${name} = {`, ...members.map((member, i) => `  ${member}: ${i},`), "} as const;"];
}

function docOf(text, indent = "") {
  return text === undefined ? [] : [`${indent}/** ${text} */`];
}

/** endsInNumber -> ENDS_IN_NUMBER */
function upperCase(name) {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** A table that has outgrown its places would have the kernel write over its neighbour. */
function checkTable() {
  const places = [
    ["the directory", DIRECTORY_AT + 4 * COLUMNS.length, RESULTS_AT],
    ["the results", RESULTS_AT + 4 * RESULTS.length, TIMES_AT],
    ["the times", TIMES_AT + 8 * TIMES.length, COLUMNS_AT],
  ];
  for (const [what, end, next] of places) if (end > next) throw new Error(`kernel/layout.mjs: ${what} end at ${end}, behind ${next}: move what follows`);
  for (const names of [COLUMNS.map(({ name }) => name), RESULTS, TIMES, REFUSALS.map(({ name }) => name)]) {
    if (new Set(names).size < names.length) throw new Error("kernel/layout.mjs: a name stands twice");
  }
}
