/** Reads times as people write them: `now`, `now-1h30m`, RFC 3339, or a number since 1970 as `/render` takes it. Pure. */
import { messageOf, parseDuration } from "@pyromesh/base";
import { usage } from "./client.ts";

/** A smaller number means seconds; in milliseconds it would be a time before 1974. */
const SECONDS_MAX = 1e11;

/** Returns whole milliseconds. A refusal names `flag`. */
export function parseTime(text: string, nowMs: number, flag: string): number {
  const relative = /^now(?:([+-])(.+))?$/.exec(text);
  if (relative !== null) {
    const [, sign, duration] = relative;
    if (duration === undefined) return nowMs;
    try {
      return Math.round(nowMs + (sign === "-" ? -1 : 1) * parseDuration(duration));
    } catch (thrown) {
      throw usage(`${flag} ${text}: ${messageOf(thrown)}`);
    }
  }
  const timeMs = /^\d+$/.test(text) ? sinceEpochMs(text) : /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs)) throw usage(`${flag} ${JSON.stringify(text)} is not a time: write it as now, now-1h, 2026-01-31T12:00:00Z or seconds since 1970`);
  return timeMs;
}

/** Reads seconds, or milliseconds from `SECONDS_MAX` on; 16 digits are microseconds and 19 nanoseconds. NaN for any other number of digits above 14. */
function sinceEpochMs(digits: string): number {
  if (digits.length === 19) return Number(BigInt(digits) / 1_000_000n);
  if (digits.length === 16) return Math.floor(Number(digits) / 1000);
  if (digits.length > 14) return Number.NaN;
  return Number(digits) < SECONDS_MAX ? Number(digits) * 1000 : Number(digits);
}
