/** Whether a worker that died is started again, and when: pure. */

/**
 * With one death more than this within a minute, and no call answered between them, the process ends and says why: the machine has no
 * memory or no threads left, or the rows of one worker do not fit into its heap. What was accepted is on disk.
 * Five: a record that no worker can intern is found and set aside within four deaths (read-back.ts).
 */
const DEATHS_MAX = 5;
const WITHIN_MS = 60_000;
/** Wait before the thread after a second death, doubled for each further death. After the first death it starts at once: most workers die of a single query. */
const DELAY_FIRST_MS = 100;

export type RestartPlan = { readonly kind: "start"; readonly delayMs: number } | { readonly kind: "give-up" };

/** `deathsMs`: deaths since the worker last answered a call, with the one of this moment; oldest first. */
export function planRestart(deathsMs: readonly number[]): RestartPlan {
  const nowMs = deathsMs.at(-1)!;
  const count = deathsMs.filter((atMs) => nowMs - atMs < WITHIN_MS).length;
  if (count > DEATHS_MAX) return { kind: "give-up" };
  return { kind: "start", delayMs: count <= 1 ? 0 : DELAY_FIRST_MS * 2 ** (count - 2) };
}

/** The deaths that still count. */
export function recentDeaths(deathsMs: readonly number[], nowMs: number): number[] {
  return deathsMs.filter((atMs) => nowMs - atMs < WITHIN_MS);
}
