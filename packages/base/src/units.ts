/** Durations and sizes in settings: `15s`, `31d`, `64MB`. Zero needs no unit. */
import { invalidArgument } from "./errors.ts";

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Parses `1h30m`, `15s`, `0` to milliseconds. Throws `DURATION_INVALID`. */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  let totalMs = 0;
  let rest = text;
  while (rest !== "") {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/.exec(rest);
    if (match === null) {
      throw invalidArgument("DURATION_INVALID", `${JSON.stringify(text)} is not a duration: write it as 15s, 90m, 1h30m or 31d`);
    }
    totalMs += Number(match[1]) * DURATION_MS[match[2]!]!;
    rest = rest.slice(match[0].length);
  }
  if (text === "") throw invalidArgument("DURATION_INVALID", "an empty duration: write it as 15s, 90m or 31d");
  return totalMs;
}

/** The shortest form that `parseDuration` reads back. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return "0";
  let rest = durationMs;
  let text = "";
  for (const unit of ["d", "h", "m", "s", "ms"]) {
    const count = Math.floor(rest / DURATION_MS[unit]!);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * DURATION_MS[unit]!;
  }
  return text;
}

const SIZE_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 2 ** 10,
  MB: 2 ** 20,
  GB: 2 ** 30,
  TB: 2 ** 40,
};

/** Parses `64MB`, `10GB`, `1.5KB`, `0` to bytes (powers of 1024, as in Pyroscope). Throws `SIZE_INVALID`. */
export function parseSize(text: string): number {
  if (text === "0") return 0;
  const match = /^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/.exec(text);
  if (match === null) throw invalidArgument("SIZE_INVALID", `${JSON.stringify(text)} is not a size: write it as 64MB or 10GB`);
  return Math.floor(Number(match[1]) * SIZE_BYTES[match[2]!.replace("i", "")]!);
}

export function formatSize(sizeBytes: number): string {
  for (const unit of ["TB", "GB", "MB", "KB"]) {
    if (sizeBytes >= SIZE_BYTES[unit]! && sizeBytes % SIZE_BYTES[unit]! === 0) return `${sizeBytes / SIZE_BYTES[unit]!}${unit}`;
  }
  return sizeBytes === 0 ? "0" : `${sizeBytes}B`;
}
