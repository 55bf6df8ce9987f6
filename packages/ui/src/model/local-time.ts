/** Moments in the reader's own time zone: as text, and as the value of a `datetime-local` input. */
import type { TimeSpan } from "./time-range.ts";

const DAY_MS = 86_400_000;

/** In a longer span a day and a month may occur twice, so the year is shown. */
const DAYS_WITHOUT_YEAR = 300;

/**
 * `11:04:30`; with the day in front where the span is longer than a day; only the day, with its year, where it is longer than
 * DAYS_WITHOUT_YEAR.
 */
export function formatMoment(timeMs: number, span: TimeSpan): string {
  const text = inputValueOf(timeMs);
  const days = (span.endMs - span.startMs) / DAY_MS;
  if (days > DAYS_WITHOUT_YEAR) return text.slice(0, 10);
  return days > 1 ? `${text.slice(5, 10)} ${text.slice(11, 16)}` : text.slice(11);
}

/** `2026-11-23 11:04:30` */
export function formatFullMoment(timeMs: number): string {
  return inputValueOf(timeMs).replace("T", " ");
}

/** `2026-11-23T11:04:30` */
export function inputValueOf(timeMs: number): string {
  const date = new Date(timeMs);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Undefined where the input is empty or no date. */
export function momentOfInput(value: string): number | undefined {
  const timeMs = new Date(value).getTime();
  return Number.isNaN(timeMs) ? undefined : timeMs;
}
