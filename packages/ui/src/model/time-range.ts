/** The time that the page shows: the last minutes, hours or days, or the time between two moments. "Now" is passed in. */

export type TimeRange =
  | { readonly kind: "last"; readonly spanMs: number }
  | { readonly kind: "between"; readonly startMs: number; readonly endMs: number };

/** Both ends are inclusive, as in the querier. */
export interface TimeSpan {
  readonly startMs: number;
  readonly endMs: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const DEFAULT_RANGE: TimeRange = { kind: "last", spanMs: 15 * MINUTE_MS };

export const RANGE_PRESETS: readonly { readonly spanMs: number; readonly text: string }[] = [
  { spanMs: 5 * MINUTE_MS, text: "Last 5 minutes" },
  { spanMs: 15 * MINUTE_MS, text: "Last 15 minutes" },
  { spanMs: 30 * MINUTE_MS, text: "Last 30 minutes" },
  { spanMs: HOUR_MS, text: "Last hour" },
  { spanMs: 3 * HOUR_MS, text: "Last 3 hours" },
  { spanMs: 6 * HOUR_MS, text: "Last 6 hours" },
  { spanMs: 12 * HOUR_MS, text: "Last 12 hours" },
  { spanMs: DAY_MS, text: "Last 24 hours" },
  { spanMs: 2 * DAY_MS, text: "Last 2 days" },
  { spanMs: 7 * DAY_MS, text: "Last 7 days" },
  { spanMs: 30 * DAY_MS, text: "Last 30 days" },
];

// Clients push every 15 s: a shorter step would show gaps.
const STEPS_MS = [15_000, 30_000, 1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440].map((step) => (step < 15_000 ? step * MINUTE_MS : step));
const STEP_COUNT_MAX = 240;

export function resolveRange(range: TimeRange, nowMs: number): TimeSpan {
  return range.kind === "last" ? { startMs: nowMs - range.spanMs, endMs: nowMs } : { startMs: range.startMs, endMs: range.endMs };
}

/** The smallest step with at most 240 points. */
export function stepMsOf(span: TimeSpan): number {
  const lengthMs = span.endMs - span.startMs;
  return STEPS_MS.find((stepMs) => lengthMs / stepMs <= STEP_COUNT_MAX) ?? Math.ceil(lengthMs / STEP_COUNT_MAX / DAY_MS) * DAY_MS;
}

/** The span widened to whole steps, so that repeated queries return the same buckets. */
export function alignSpan(span: TimeSpan, stepMs: number): TimeSpan {
  return { startMs: Math.floor(span.startMs / stepMs) * stepMs, endMs: Math.ceil(span.endMs / stepMs) * stepMs };
}

/** `now-15m`, or milliseconds for a moment. */
export function printRange(range: TimeRange): { readonly from: string; readonly until: string } {
  if (range.kind === "between") return { from: String(range.startMs), until: String(range.endMs) };
  return { from: `now-${printSpan(range.spanMs)}`, until: "now" };
}

/** Undefined where the pair is no range. The page shows its default one then. */
export function parseRange(from: string | null, until: string | null): TimeRange | undefined {
  if (from === null) return undefined;
  const last = /^now-(\d{1,9})(s|m|h|d)$/.exec(from);
  if (last !== null && (until === null || until === "now")) {
    const spanMs = Number(last[1]) * UNIT_MS[last[2] as keyof typeof UNIT_MS]; // the expression matches only its keys
    return spanMs > 0 ? { kind: "last", spanMs } : undefined;
  }
  const startMs = parseMoment(from);
  const endMs = parseMoment(until ?? "");
  return startMs !== undefined && endMs !== undefined && startMs < endMs ? { kind: "between", startMs, endMs } : undefined;
}

const UNIT_MS = { s: 1000, m: MINUTE_MS, h: HOUR_MS, d: DAY_MS };

function printSpan(spanMs: number): string {
  if (spanMs % DAY_MS === 0) return `${spanMs / DAY_MS}d`;
  if (spanMs % HOUR_MS === 0) return `${spanMs / HOUR_MS}h`;
  if (spanMs % MINUTE_MS === 0) return `${spanMs / MINUTE_MS}m`;
  return `${Math.max(1, Math.round(spanMs / 1000))}s`;
}

function parseMoment(text: string): number | undefined {
  if (/^\d{9,10}$/.test(text)) return Number(text) * 1000;
  return /^\d{11,14}$/.test(text) ? Number(text) : undefined;
}
