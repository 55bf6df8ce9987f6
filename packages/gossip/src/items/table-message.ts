/**
 * What nodes tell each other of the table: entries and losses.
 *
 * News are single items, by gossip or on a probe, in any order. They may add a member, raise an incarnation, bring a verdict of death: all that a node could
 * have learned by itself, from one member. They carry no conclusions.
 *
 * A whole message holds everything that its sender knew at one moment and its receiver did not. Only there do conclusions travel: who acknowledged, who
 * fenced, who flushed, what is cleared, who has left, who is forgotten, which versions of formats are promised. So a node that counts another's vote knows everything that the other knew when it
 * voted; each majority is counted among members that include the voter's own.
 */
import { NO_PROMISES } from "./announced-formats.ts";
import { type Entry, NOBODY } from "./entry.ts";
import type { Loss } from "./losses.ts";

export interface TableMessage {
  readonly isWhole: boolean;
  readonly entries: readonly Entry[];
  readonly losses: readonly Loss[];
}

export const NO_NEWS: TableMessage = { isWhole: false, entries: [], losses: [] };

/** What of an entry may travel alone; undefined: nothing. */
export function newsOfEntry(entry: Entry): Entry | undefined {
  if (entry.status === "left" || entry.status === "forgotten") return undefined;
  if (entry.goneJoins === 0 && entry.acknowledgedBy.length === 0 && entry.promises === NO_PROMISES) return entry;
  return { ...entry, goneJoins: 0, acknowledgedBy: NOBODY, promises: NO_PROMISES };
}

export function newsOfLoss(loss: Loss): Loss {
  if (!loss.isCleared && loss.goneJoins === 0 && loss.fencedBy.length === 0 && loss.flushedBy.length === 0) return loss;
  return { ...loss, isCleared: false, goneJoins: 0, fencedBy: NOBODY, flushedBy: NOBODY };
}
