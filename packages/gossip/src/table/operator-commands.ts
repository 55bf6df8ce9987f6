/** What an operator asks of membership: to leave, to take that back, to forget a member. Each is granted or refused by what this node's table holds. */
import { CodedError } from "@pyromesh/base";
import type { MemberState } from "@pyromesh/ring";
import { type Entry, isLive } from "../items/entry.ts";
import type { Loss } from "../items/losses.ts";

/** What the commands look at (class MemberTable). */
export interface CommandSource {
  readonly own: Entry;
  /** This node is a full member, and that is on disk. */
  readonly isFull: boolean;
  readonly entries: Iterable<Entry>;
  readonly openLosses: readonly Loss[];
  entry(name: string): Entry | undefined;
  isMemberFull(name: string): boolean;
  stateOf(entry: Entry): MemberState;
  /** For longer than a lease neither the member nor a majority has answered this node. */
  isUnheard(entry: Entry, nowMs: number): boolean;
}

/** The own entry of a node that is leaving; undefined: it is, or has left. Throws LEAVE_REFUSED. */
export function leavingEntry(source: CommandSource): Entry | undefined {
  const { own } = source;
  if (own.status === "leaving" || own.status === "left") return undefined;
  if (!source.isFull || own.status !== "alive") throw leaveRefused("it has not joined the cluster");
  const others = [...source.entries].filter((entry) => entry.name !== own.name);
  const dead = others.find((entry) => entry.status === "dead");
  if (dead !== undefined) throw leaveRefused(`member ${dead.name} is dead; bring it back, or forget it, first`);
  const joining = others.find((entry) => entry.status === "alive" && !source.isMemberFull(entry.name));
  if (joining !== undefined) throw leaveRefused(`member ${joining.name} is joining; wait until it has joined`);
  if (!isAnotherActive(source)) throw leaveRefused("it is the last full member");
  return { ...own, incarnation: own.incarnation + 1, status: "leaving" };
}

/** The own entry of a node that leaves no more; undefined: it is not leaving. Throws LEAVE_REFUSED once it has left. */
export function stayingEntry({ own }: CommandSource): Entry | undefined {
  if (own.status === "left") throw leaveRefused("it has left already; start it again");
  if (own.status === "alive") return undefined;
  return { ...own, incarnation: own.incarnation + 1, status: "alive" };
}

/** The own entry of a node that has left; undefined: it has already. Throws LEAVE_REFUSED. */
export function leftEntry(source: CommandSource): Entry | undefined {
  const { own } = source;
  if (own.status === "left") return undefined;
  if (own.status !== "leaving") throw leaveRefused("it is not leaving");
  if (!isAnotherActive(source)) throw leaveRefused("it is the last full member");
  return { ...own, status: "left", goneJoins: own.joins };
}

/** The entry of a member that is declared dead by the operator's word; undefined: it is dead, or an older store of its name is meant. Throws FORGET_REFUSED. */
export function givenUpEntry(source: CommandSource, name: string, { isForced }: { readonly isForced: boolean }, nowMs: number): Entry | undefined {
  const isSelf = name === source.own.name;
  const entry = source.entry(name);
  const open = source.openLosses.filter((loss) => loss.member === name);
  if (entry === undefined && open.length === 0) throw forgetRefused(name, "no such member is known");
  if (isSelf && open.length === 0) throw forgetRefused(name, "it is this node");
  const isUnheard = entry !== undefined && !isSelf && isLive(entry) && source.isUnheard(entry, nowMs);
  const isGivenUp = isForced && isUnheard && open.length === 0;
  if (entry !== undefined && entry.status !== "dead" && open.length === 0 && !isGivenUp) {
    const isCutOff = "it does not answer, and this node, out of contact with a majority, declares nobody dead: bring others back, or say --force where its machine is gone for good";
    throw forgetRefused(name, isUnheard ? isCutOff : `it is ${source.stateOf(entry)}: stop it first, and wait until it is declared dead`);
  }
  if (!isForced && open.some((loss) => loss.wasFull)) throw forgetRefused(name, "its loss is not cleared: others may lack what it held. Wait until the survivors have flushed, or say --force where its machine is gone for good");
  return isGivenUp ? { ...entry, status: "dead" } : undefined;
}

function isAnotherActive(source: CommandSource): boolean {
  for (const { name, status } of source.entries) if (name !== source.own.name && status === "alive" && source.isMemberFull(name)) return true;
  return false;
}

function leaveRefused(reason: string): CodedError {
  return new CodedError({ code: "LEAVE_REFUSED", kind: "failed_precondition", message: `this node cannot leave: ${reason}` });
}

function forgetRefused(name: string, reason: string): CodedError {
  return new CodedError({ code: "FORGET_REFUSED", kind: "failed_precondition", message: `member ${name} cannot be forgotten: ${reason}`, details: { member: name } });
}
