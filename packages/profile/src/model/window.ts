/** Records are grouped by the aligned hour of their time: copies of a record share it, so they meet where it is read. */

export const WINDOW_MS = 3_600_000;

export function windowStartOf(timeMs: number): number {
  return Math.floor(timeMs / WINDOW_MS) * WINDOW_MS;
}
