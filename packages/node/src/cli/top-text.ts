/** A top table as text: aligned columns, values in the unit of the profile type. Pure. */
import type { TopTable } from "@pyromesh/profile";

const BOLD = "\u001b[1m";
const DIM = "\u001b[2m";
const PLAIN = "\u001b[0m";

export function printTop(table: TopTable, unit: string, isColoured: boolean): string {
  const header = ["self", "self%", "total", "total%", "name"];
  const rows = table.rows.map(({ name, self, total }) => [formatValue(Number(self), unit), share(self, table.total), formatValue(Number(total), unit), share(total, table.total), name]);
  const widths = header.map((text, column) => (column === header.length - 1 ? 0 : Math.max(text.length, ...rows.map((row) => row[column]!.length))));
  const line = (cells: readonly string[]): string => cells.map((cell, column) => (column === cells.length - 1 ? cell : cell.padStart(widths[column]!))).join("  ");
  const lines = [isColoured ? `${BOLD}${line(header)}${PLAIN}` : line(header), ...rows.map(line)];
  const hiddenCount = table.rowCount - table.rows.length;
  const rest = hiddenCount > 0 ? `, ${hiddenCount} more name${hiddenCount === 1 ? "" : "s"} (--limit 0 shows all)` : "";
  const foot = `${formatValue(Number(table.total), unit)} in all${rest}`;
  return `${lines.join("\n")}\n${isColoured ? `${DIM}${foot}${PLAIN}` : foot}\n`;
}

const SCALES: Readonly<Record<string, readonly (readonly [number, string])[]>> = {
  nanoseconds: [
    [3600e9, "h"],
    [60e9, "min"],
    [1e9, "s"],
    [1e6, "ms"],
    [1e3, "µs"],
    [1, "ns"],
  ],
  bytes: [
    [2 ** 40, "TiB"],
    [2 ** 30, "GiB"],
    [2 ** 20, "MiB"],
    [2 ** 10, "KiB"],
    [1, "B"],
  ],
};

/** Two decimals and a unit; counts stay whole. */
export function formatValue(value: number, unit: string): string {
  const scale = SCALES[unit];
  if (scale === undefined) return String(value);
  const [size, name] = scale.find(([least]) => value >= least) ?? scale.at(-1)!;
  return `${size === 1 ? String(value) : (value / size).toFixed(2)} ${name}`;
}

function share(part: number | bigint, whole: number | bigint): string {
  return Number(whole) === 0 ? "0.0" : ((Number(part) / Number(whole)) * 100).toFixed(1);
}
