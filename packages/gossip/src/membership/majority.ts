/**
 * The majority: more than half of the full members and of those lost stores that still count.
 *
 * A lost store whose name another store has taken counts, silent, until it is cleared: it may have acknowledged an entry or fenced a member, and its
 * successor, with an empty disk, knows nothing of it. Without that, two members with new disks could outvote what the old ones had said.
 */
import type { StoreId } from "@pyromesh/ring";

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
