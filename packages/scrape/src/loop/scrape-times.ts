/**
 * When a target is scraped: every interval, at an offset that its key decides, so that the targets of a job are spread over the interval and each keeps its
 * place after a restart. Pure.
 */
import { hash } from "node:crypto";

/** How long from `nowMs`, by the wall clock, to the first scrape. */
export function firstDelayMs(key: string, intervalMs: number, nowMs: number): number {
  const offsetMs = Math.floor(offsetOf(key) * intervalMs);
  const intoMs = nowMs % intervalMs;
  return intoMs <= offsetMs ? offsetMs - intoMs : offsetMs + intervalMs - intoMs;
}

/**
 * When the scrape after the one that was due at `dueMs` and ended at `endedMs` is due. One that took longer than the interval is followed at once where the
 * program measures while it is asked (`isContinuous`), so that it measures nearly all the time; else at the next time that has not passed.
 */
export function nextDueMs(dueMs: number, endedMs: number, { intervalMs, isContinuous }: { readonly intervalMs: number; readonly isContinuous: boolean }): number {
  const nextMs = dueMs + intervalMs;
  if (endedMs < nextMs) return nextMs;
  return isContinuous ? endedMs : dueMs + Math.ceil((endedMs - dueMs) / intervalMs) * intervalMs;
}

/** In [0, 1). */
function offsetOf(key: string): number {
  return Number.parseInt(hash("sha256", key, "hex").slice(0, 8), 16) / 2 ** 32;
}
