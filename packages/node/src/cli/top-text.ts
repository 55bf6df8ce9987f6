/** Prints a top table as text: aligned columns, values in the unit of the profile type. Pure. */
import type { TopTable } from "@pyromesh/profile";
import { shownName } from "./shown-name.ts";

const BOLD = "\u001b[1m";
const DIM = "\u001b[2m";
const PLAIN = "\u001b[0m";

/** `limit`: how many rows were asked for; 0: all. */
export function printTop(table: TopTable, { unit, limit, isColoured }: { readonly unit: string; readonly limit: number; readonly isColoured: boolean }): string {
  const header = ["self", "self%", "total", "total%", "name"];
  const rows = table.rows.map(({ name, self, total }) => [formatValue(Number(self), unit), share(self, table.total), formatValue(Number(total), unit), share(total, table.total), shownName(name)]);
  const widths = header.map((text, column) => (column === header.length - 1 ? 0 : rows.reduce((width, row) => Math.max(width, row[column]!.length), text.length)));
  const line = (cells: readonly string[]): string => cells.map((cell, column) => (column === cells.length - 1 ? cell : cell.padStart(widths[column]!))).join("  ");
  const lines = [isColoured ? `${BOLD}${line(header)}${PLAIN}` : line(header), ...rows.map(line)];
  const hiddenCount = table.rowCount - table.rows.length;
  const rest = hiddenCount > 0 ? `, ${hiddenCount} more name${hiddenCount === 1 ? "" : "s"} (${limit > 0 && table.rows.length === limit ? "--limit 0 shows all" : "the server's max_flamegraph_nodes_max lets no more through"})` : "";
  const foot = `${formatValue(Number(table.total), unit)} in all${rest}`;
  return `${lines.join("\n")}\n${isColoured ? `${DIM}${foot}${PLAIN}` : foot}\n`;
}

type Scale = readonly (readonly [size: number, name: string])[];

const TIME_NS: Scale = [
  [3600e9, "h"],
  [60e9, "min"],
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
  [1, "ns"],
];
const BYTES: Scale = [
  [2 ** 40, "TiB"],
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
  [1, "B"],
];

/** For each unit that profilers count in: how many of its scale's base unit it is, and its scale. */
const UNITS: ReadonlyMap<string, readonly [size: number, Scale]> = new Map([
  ["nanoseconds", [1, TIME_NS]],
  ["microseconds", [1e3, TIME_NS]],
  ["milliseconds", [1e6, TIME_NS]],
  ["seconds", [1e9, TIME_NS]],
  ["bytes", [1, BYTES]],
]);

/** A value with two decimals and a unit. Counts, and values of an unknown unit, are printed whole. */
export function formatValue(value: number, unit: string): string {
  const known = UNITS.get(unit);
  if (known === undefined) return String(value);
  const [unitSize, scale] = known;
  const whole = value * unitSize;
  const [size, name] = scale.find(([least]) => whole >= least) ?? scale.at(-1)!;
  return `${size === 1 ? String(whole) : (whole / size).toFixed(2)} ${name}`;
}

function share(part: number | bigint, whole: number | bigint): string {
  return Number(whole) === 0 ? "0.0" : ((Number(part) / Number(whole)) * 100).toFixed(1);
}
