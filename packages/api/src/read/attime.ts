/**
 * Parses the times of the render and ingest routes: `1700000000` (seconds; 13 digits are milliseconds, 16 microseconds, 19 nanoseconds),
 * `1700000000.25` (a fraction of any of these; 8 digits are seconds then), `20240131` (a day, UTC), `now-1h`, `now+30min`.
 *
 * There are two parsers: one for routes where Pyroscope takes any other text for now, and a strict one for routes that would store data
 * at a time that nobody wrote.
 */

/** Milliseconds since the epoch. Other text is `nowMs`, as in Pyroscope. */
export function parseAttime(text: string, nowMs: number): number {
  return parseAttimeStrict(text, nowMs) ?? nowMs;
}

/** Milliseconds since the epoch. Undefined for other text. */
export function parseAttimeStrict(text: string, nowMs: number): number | undefined {
  const bare = text.replace(/[_, ]/g, "");
  if (/^\d+$/.test(bare)) return parseDigits(bare);
  const fraction = /^(\d+)\.(\d+)$/.exec(bare);
  if (fraction !== null) return parseFraction(fraction[1]!, fraction[2]!);
  const match = /^([A-Za-z]*)(?:([+-])((?:\d+[A-Za-z]+)+))?$/.exec(bare);
  if (match === null || bare === "") return undefined;
  const [, reference, sign, offset] = match;
  // The word before the sign is ignored (`noon-1h` is `now-1h`), but without an offset only `now` is a time.
  if (offset === undefined) return reference === "now" ? nowMs : undefined;
  let offsetMs = 0;
  for (const [, count, unit] of offset.matchAll(/(\d+)([A-Za-z]+)/g)) {
    const oneMs = unitMs(unit!); // both groups are part of every match
    if (oneMs === undefined) return undefined;
    offsetMs += Number(count) * oneMs;
  }
  const timeMs = sign === "-" ? nowMs - offsetMs : nowMs + offsetMs;
  return Number.isSafeInteger(timeMs) ? timeMs : undefined;
}

function parseDigits(digits: string): number | undefined {
  switch (digits.length) {
    case 8:
      return parseDay(digits) ?? Number(digits) * 1000;
    case 13:
      return Number(digits);
    case 16:
      return Number(BigInt(digits) / 1_000n);
    case 19:
      return Number(BigInt(digits) / 1_000_000n);
    default: {
      const timeMs = Number(digits) * 1000;
      return Number.isSafeInteger(timeMs) ? timeMs : undefined;
    }
  }
}

/** The form that Python's `time.time()` prints. Digits below a millisecond are dropped. */
function parseFraction(whole: string, part: string): number | undefined {
  if (whole.length === 13 || whole.length === 16 || whole.length === 19) return parseDigits(whole);
  const timeMs = Number(whole) * 1000 + Number(part.slice(0, 3).padEnd(3, "0"));
  return Number.isSafeInteger(timeMs) ? timeMs : undefined;
}

/** Undefined for digits that are no day, such as `20240231`: they are seconds then. */
function parseDay(digits: string): number | undefined {
  const year = Number(digits.slice(0, 4));
  const month = Number(digits.slice(4, 6));
  const day = Number(digits.slice(6, 8));
  const timeMs = Date.UTC(year, month - 1, day);
  const date = new Date(timeMs);
  const isReal = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return isReal ? timeMs : undefined;
}

const DAY_MS = 86_400_000;

/** As in Graphite the first letters decide (`5mins`, `2hrs`), and case tells minutes from months: `5m` and `5M`. */
function unitMs(unit: string): number | undefined {
  if (unit.startsWith("M") || unit.startsWith("mon")) return 30 * DAY_MS;
  if (unit.startsWith("m")) return 60_000;
  if (unit.startsWith("s")) return 1000;
  if (unit.startsWith("h")) return 3_600_000;
  if (unit.startsWith("d")) return DAY_MS;
  if (unit.startsWith("w")) return 7 * DAY_MS;
  if (unit.startsWith("y")) return 365 * DAY_MS;
  return undefined;
}
