/** Records are grouped by the aligned hour of their time: copies of a record have the same time, so they are always read together. */

export const WINDOW_MS = 3_600_000;

export function windowStartOf(timeMs: number): number {
  return Math.floor(timeMs / WINDOW_MS) * WINDOW_MS;
}
