/**
 * Whether an answer is complete, by which stores answered (design 10.1). Pure.
 *
 *   complete = fewer stores failed than the smallest `acks` under which any store may hold something
 *              and those that answered are a majority of the full members
 *
 * A store failed where it is a member's and did not answer with the id that the view has, where it answered and has a loss in the range that nobody acknowledged,
 * and where it is lost and not cleared. Each record that was acknowledged is in `acks` stores, so at least one that has it answered.
 */
import type { ClusterView, StoreId } from "@pyromesh/ring";

export interface AnsweredStore {
  readonly storeId: StoreId;
  /** Losses of its head in the range, in words. */
  readonly quarantines: readonly string[];
}

export interface Judgement {
  readonly isComplete: boolean;
  /** What is missing, in words that name members; empty where it is complete. */
  readonly missing: readonly string[];
}

/** `becauseOf`: why a member did not answer, by its name. `isMajority`: `Cluster.isMajority`. */
export function judge(
  view: Pick<ClusterView, "members" | "lostStores" | "acksMin">,
  answers: readonly AnsweredStore[],
  { becauseOf, isMajority }: { readonly becauseOf: ReadonlyMap<string, string>; readonly isMajority: (answered: ReadonlySet<StoreId>) => boolean },
): Judgement {
  const answered = new Set(answers.map(({ storeId }) => storeId));
  const failed = failedStores(view, answers, becauseOf);
  const isByMajority = isMajority(answered);
  if (failed.size < view.acksMin && isByMajority) return { isComplete: true, missing: [] };
  const missing = [...failed.values()];
  if (!isByMajority) missing.push(`${answered.size === 1 ? "one store has" : `${answered.size} stores have`} answered, which is no majority of the full members`);
  return { isComplete: false, missing };
}

/** By store id, in words. */
function failedStores({ members, lostStores }: Pick<ClusterView, "members" | "lostStores">, answers: readonly AnsweredStore[], becauseOf: ReadonlyMap<string, string>): ReadonlyMap<StoreId, string> {
  const failed = new Map<StoreId, string>();
  const answered = new Map(answers.map((answer) => [answer.storeId, answer]));
  const cleared = new Set(lostStores.filter(({ isCleared }) => isCleared).map(({ storeId }) => storeId));
  for (const { name, state, storeId } of members) {
    const answer = answered.get(storeId);
    if (answer !== undefined && answer.quarantines.length > 0) failed.set(storeId, `node ${name} may have lost profiles of this time (${answer.quarantines.join("; ")}; acknowledge with POST /admin/quarantine)`);
    if (answer !== undefined || (state === "dead" && cleared.has(storeId))) continue;
    const reason = becauseOf.get(name) ?? (state === "dead" ? "it is dead" : "it was too slow");
    failed.set(storeId, `node ${name} (store ${shortOf(storeId)}) did not answer: ${reason}`);
  }
  for (const { member, storeId, isCleared } of lostStores) {
    if (isCleared || answered.has(storeId) || failed.has(storeId)) continue;
    failed.set(storeId, `store ${shortOf(storeId)} of node ${member} is lost, and its loss is not cleared yet`);
  }
  return failed;
}

function shortOf(storeId: StoreId): string {
  return storeId.slice(0, 8);
}
