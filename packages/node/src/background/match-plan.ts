/** Which objects the background reads next to match the head's records with them. Pure. */

export interface MatchView {
  readonly nowMs: number;
  /** Objects of the bucket in the windows of which the head holds records, in the order in which they are to be read. */
  readonly objects: readonly { readonly key: string; readonly isMatched: boolean; readonly isBeingRead: boolean; /** 0: the last try did not fail. */ readonly retryAtMs: number }[];
  /** How many the background reads now. */
  readonly readingCount: number;
}

export interface MatchPlan {
  readonly keys: readonly string[];
  /** When to plan again though nothing changes; undefined: no object waits for its next try. */
  readonly wakeAtMs: number | undefined;
}

/** Objects that the background reads at a time: each is a few requests, and its identities in memory. */
export const READS_MAX = 2;

export function planMatches({ nowMs, objects, readingCount }: MatchView): MatchPlan {
  const keys: string[] = [];
  let wakeAtMs: number | undefined;
  for (const { key, isMatched, isBeingRead, retryAtMs } of objects) {
    if (isMatched || isBeingRead) continue;
    if (retryAtMs > nowMs) wakeAtMs = Math.min(wakeAtMs ?? Infinity, retryAtMs);
    else if (readingCount + keys.length < READS_MAX) keys.push(key);
  }
  return { keys, wakeAtMs };
}
