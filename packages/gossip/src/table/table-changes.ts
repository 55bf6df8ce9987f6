/** What a call changed in the member table: what to tell others, and what to look at again. */
import type { StoreId } from "@pyromesh/ring";
import type { Entry } from "../items/entry.ts";
import type { Loss } from "../items/losses.ts";
import { newsOfEntry, newsOfLoss, NO_NEWS, type TableMessage } from "../items/table-message.ts";

export interface Changes {
  /** To be gossiped: items that changed, without conclusions. */
  readonly news: TableMessage;
  /** Members that are new, or have another incarnation, store or status than before. */
  readonly members: readonly string[];
  /** `view` would be another. */
  readonly isViewChanged: boolean;
  /** Something changed that news do not carry: exchange whole messages soon. */
  readonly isExchangeDue: boolean;
  /** A reader must list the bucket first. */
  readonly isListDue: boolean;
  readonly refused: readonly Refusal[];
}

export const NO_CHANGES: Changes = { news: NO_NEWS, members: [], isViewChanged: false, isExchangeDue: false, isListDue: false, refused: [] };

export interface Refusal {
  /** The member that the item is about. */
  readonly member: string;
  readonly code: RefusalCode;
  readonly reason: string;
}

/**
 * ENTRY_MALFORMED   a field is out of its range
 * INCARNATION_JUMP  more than INCARNATION_JUMP_MAX above what is known
 * STORE_TWICE       another member has this store id
 * TABLE_FULL        MEMBERS_MAX or LOSSES_MAX is reached
 */
export type RefusalCode = "ENTRY_MALFORMED" | "INCARNATION_JUMP" | "STORE_TWICE" | "TABLE_FULL";

/** The changes of one call, while it runs. */
export class ChangeDraft {
  readonly entries: Set<string> = new Set();
  readonly losses: Set<StoreId> = new Set();
  readonly members: Set<string> = new Set();
  readonly refused: Refusal[] = [];
  isExchangeDue = false;
  isListDue = false;

  /** `entries` and `losses`: the table's, as they are at the end of the call. */
  changes(entries: ReadonlyMap<string, Entry>, losses: ReadonlyMap<StoreId, Loss>): Changes {
    const entryNews: Entry[] = [];
    let isExchangeDue = this.isExchangeDue;
    for (const name of this.entries) {
      const entry = entries.get(name);
      if (entry === undefined) continue; // it made room
      const news = newsOfEntry(entry);
      // Promises alone are in each entry, and few of its changes are of them: `MemberTable.promise` and `TableItems.put` say when.
      if (news === undefined || entry.goneJoins > 0 || entry.acknowledgedBy.length > 0) isExchangeDue = true;
      if (news !== undefined) entryNews.push(news);
    }
    const lossNews: Loss[] = [];
    for (const store of this.losses) {
      const loss = losses.get(store);
      if (loss !== undefined) lossNews.push(newsOfLoss(loss));
    }
    const isViewChanged = this.entries.size > 0 || this.losses.size > 0;
    return { news: { isWhole: false, entries: entryNews, losses: lossNews }, members: [...this.members], isViewChanged, isExchangeDue, isListDue: this.isListDue, refused: this.refused };
  }
}
