/**
 * The majority: more than half of the full members and of those lost stores that still count.
 *
 * A lost store whose name another store has taken counts, silent, until it is cleared: it may have acknowledged an entry or fenced a member, and its
 * successor, with an empty disk, knows nothing of it. Without that, two members with new disks could outvote what the old ones had said.
 */
import type { StoreId } from "@pyromesh/ring";
import { type Entry, isInCluster } from "../items/entry.ts";
import { isReplaced, type Loss } from "../items/losses.ts";
import type { MembershipRules } from "./rules.ts";

export class Electorate {
  /** The stores that vote: of full members, alive, leaving or dead. */
  readonly voters: readonly StoreId[];
  readonly silentCount: number;

  constructor(voters: readonly StoreId[], silentCount: number) {
    this.voters = voters;
    this.silentCount = silentCount;
  }

  /** So many votes are a majority. */
  get needed(): number {
    return Math.floor((this.voters.length + this.silentCount) / 2) + 1;
  }

  isMajority(hasVote: (store: StoreId) => boolean): boolean {
    let missing = this.needed;
    for (const store of this.voters) if (hasVote(store) && --missing === 0) return true;
    return false;
  }
}

/** `entries`: by member. */
export function electorateOf(entries: ReadonlyMap<string, Entry>, losses: Iterable<Loss>, isFull: (entry: Entry) => boolean, rules: MembershipRules): Electorate {
  const voters: StoreId[] = [];
  for (const entry of entries.values()) if (isInCluster(entry) && rules.votes(isFull(entry))) voters.push(entry.storeId);
  let silentCount = 0;
  for (const loss of losses) if (rules.isSilentVote(loss, isReplaced(loss, entries.get(loss.member)))) silentCount++;
  return new Electorate(voters, silentCount);
}
