/**
 * How a probe is answered. Any answer says that this node is alive; one for contact says in addition that this node knows the sender as a full member and
 * does not fence it, so that the sender may count on being heard.
 */
import { compareEntries, type Entry } from "../items/entry.ts";
import type { Loss } from "../items/losses.ts";
import type { MembershipRules } from "./rules.ts";
import type { Changes } from "./table-changes.ts";

export interface ProbeAnswer {
  /**
   * The sender may count the answer for contact. Otherwise this node is alive all the same, and says why it does not count: its own table tells the
   * sender more.
   */
  readonly isContact: boolean;
  readonly reason: AnswerReason;
  /** The answer may leave once this version is on disk. */
  readonly afterVersion: number;
  readonly changes: Changes;
}

export type AnswerReason = "answered" | "notFull" | "fenced" | "senderNotFull" | "refused";

/** A store at an incarnation, as a probe or a heartbeat shows it. */
export type Sender = Pick<Entry, "name" | "storeId" | "incarnation">;

/** What is looked at (class MemberTable). */
export interface AnswerSource {
  readonly own: Entry;
  /** This node is a full member, and that is on disk. */
  readonly isFull: boolean;
  entry(name: string): Entry | undefined;
  loss(storeId: string): Loss | undefined;
  isMemberFull(name: string): boolean;
}

/** `wasFenced`: the sender was, before its probe was merged. */
export function answerTo(sender: Sender, wasFenced: boolean, source: AnswerSource, rules: MembershipRules): AnswerReason {
  const entry = source.entry(sender.name);
  if (sender.name === source.own.name || entry === undefined) return "refused";
  if (!rules.mayAnswer(source.isFull)) return "notFull";
  if (wasFenced) return "fenced";
  if (entry.storeId !== sender.storeId) return "refused";
  return source.isMemberFull(sender.name) ? "answered" : "senderNotFull";
}

/** This node answers no probe for contact from this store at this incarnation: something later is known of it. */
export function fences(sender: Sender, source: AnswerSource, rules: MembershipRules): boolean {
  const entry = source.entry(sender.name);
  const loss = source.loss(sender.storeId);
  let isDeadHere = loss !== undefined && loss.incarnation >= sender.incarnation;
  if (entry !== undefined) {
    if (entry.storeId !== sender.storeId) isDeadHere ||= compareEntries(entry, sender) > 0;
    else isDeadHere ||= entry.incarnation > sender.incarnation || (entry.incarnation === sender.incarnation && (entry.status === "dead" || entry.status === "forgotten"));
  }
  return rules.fences(isDeadHere);
}
