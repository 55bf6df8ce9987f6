/** Times as people write them: `now`, `now-1h30m`, RFC 3339, or a number since 1970, read as render reads it. Pure. */
import { messageOf, parseDuration } from "@pyromesh/base";
import { usage } from "./client.ts";

/** Below this a bare number means seconds: as milliseconds it would be a day in 1971. */
const SECONDS_MAX = 1e11;

/** Whole milliseconds. `flag` names the culprit in the refusal. */
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
  if (Number.isNaN(timeMs)) throw usage(`${flag} ${JSON.stringify(text)} is no time: write it as now, now-1h, 2026-01-31T12:00:00Z or seconds since 1970`);
  return timeMs;
}

/** Seconds, or milliseconds from `SECONDS_MAX` on; 16 digits are micro-, 19 nanoseconds. Not a number: more digits than any of them. */
function sinceEpochMs(digits: string): number {
  if (digits.length === 19) return Number(BigInt(digits) / 1_000_000n);
  if (digits.length === 16) return Math.floor(Number(digits) / 1000);
  if (digits.length > 14) return Number.NaN;
  return Number(digits) < SECONDS_MAX ? Number(digits) * 1000 : Number(digits);
}
