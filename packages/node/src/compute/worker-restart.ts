/** Whether a worker that died is started again, and when: pure. */

/**
 * So many deaths within a minute, and nothing done between them: the machine has no memory or no threads left, or the rows of one worker do
 * not fit into its heap. The process ends then, and says why; what was accepted is on disk.
 * Six: a record that no worker can intern is found and set aside within four (read-back.ts).
 */
const DEATHS_MAX = 5;
const WITHIN_MS = 60_000;
/** The first is started at once: most die of one query. */
const DELAY_FIRST_MS = 100;

export type RestartPlan = { readonly kind: "start"; readonly delayMs: number } | { readonly kind: "give-up" };

/** `deathsMs`: since the worker last did what it is for, the one just now included; oldest first. */
export function planRestart(deathsMs: readonly number[]): RestartPlan {
  const nowMs = deathsMs.at(-1)!;
  const count = deathsMs.filter((atMs) => nowMs - atMs < WITHIN_MS).length;
  if (count > DEATHS_MAX) return { kind: "give-up" };
  return { kind: "start", delayMs: count <= 1 ? 0 : DELAY_FIRST_MS * 2 ** (count - 2) };
}

/** Older deaths count no longer. */
export function recentDeaths(deathsMs: readonly number[], nowMs: number): number[] {
  return deathsMs.filter((atMs) => nowMs - atMs < WITHIN_MS);
}
