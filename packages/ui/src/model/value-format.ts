/** Formats values for readers: three digits and a unit. Times scale by 60 and 1000, bytes by 1024, all else by 1000. */

const TIME_NS: readonly (readonly [string, number])[] = [
  ["d", 86_400e9],
  ["h", 3_600e9],
  ["min", 60e9],
  ["s", 1e9],
  ["ms", 1e6],
  ["µs", 1e3],
  ["ns", 1],
];
const TIME_UNIT_NS: Readonly<Record<string, number>> = { nanoseconds: 1, microseconds: 1e3, milliseconds: 1e6, seconds: 1e9 };
const BYTES: readonly (readonly [string, number])[] = [
  ["PiB", 2 ** 50],
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
  ["B", 1],
];
const COUNT: readonly (readonly [string, number])[] = [
  ["T", 1e12],
  ["G", 1e9],
  ["M", 1e6],
  ["k", 1e3],
  ["", 1],
];

/** `sampleUnit` is the third part of a profile type. An unknown unit is written after the number. */
export function formatValue(value: number, sampleUnit: string): string {
  const unitNs = TIME_UNIT_NS[sampleUnit];
  if (unitNs !== undefined) return scale(value * unitNs, TIME_NS);
  if (sampleUnit === "bytes") return scale(value, BYTES);
  const text = scale(value, COUNT);
  return sampleUnit === "" || sampleUnit === "count" ? text : `${text} ${sampleUnit}`;
}

/** A share of the whole as `12.3 %`. */
export function formatShare(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return "0 %";
  const percent = (part / whole) * 100;
  if (percent < 0.01) return "<0.01 %";
  if (percent >= 99.95) return "100 %";
  return `${percent.toFixed(percent < 10 ? 2 : 1)} %`;
}

function scale(value: number, units: readonly (readonly [string, number])[]): string {
  if (value === 0) return withUnit("0", units.at(-1)![0]);
  const sign = value < 0 ? "-" : "";
  const size = Math.abs(value);
  let at = units.findIndex(([, unitSize]) => size >= unitSize);
  if (at === -1) at = units.length - 1;
  // 999.96 ms is 1.00 s: where rounding reaches the next unit, use that unit.
  if (at > 0 && Number(threeDigits(size / units[at]![1])) * units[at]![1] >= units[at - 1]![1]) at -= 1;
  const [unit, unitSize] = units[at]!;
  return sign + withUnit(threeDigits(size / unitSize), unit);
}

function threeDigits(value: number): string {
  if (Number.isInteger(value) && value < 1000) return String(value);
  if (value >= 99.95) return String(Math.round(value));
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

function withUnit(number: string, unit: string): string {
  return unit === "" ? number : `${number} ${unit}`;
}
