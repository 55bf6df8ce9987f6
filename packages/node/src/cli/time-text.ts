/** Times as people write them: `now`, `now-1h30m`, RFC 3339, or seconds or milliseconds since 1970. Pure. */
import { messageOf, parseDuration } from "@pyromesh/base";
import { usage } from "./client.ts";

/** Below this a bare number means seconds: as milliseconds it would be a day in 1971. */
const SECONDS_MAX = 1e11;

/** `flag` names the culprit in the refusal. */
export function parseTime(text: string, nowMs: number, flag: string): number {
  const relative = /^now(?:([+-])(.+))?$/.exec(text);
  if (relative !== null) {
    const [, sign, duration] = relative;
    if (duration === undefined) return nowMs;
    try {
      return nowMs + (sign === "-" ? -1 : 1) * parseDuration(duration);
    } catch (thrown) {
      throw usage(`${flag} ${text}: ${messageOf(thrown)}`);
    }
  }
  if (/^\d+$/.test(text)) return Number(text) < SECONDS_MAX ? Number(text) * 1000 : Number(text);
  const timeMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs)) throw usage(`${flag} ${JSON.stringify(text)} is no time: write it as now, now-1h, 2026-01-31T12:00:00Z or seconds since 1970`);
  return timeMs;
}
