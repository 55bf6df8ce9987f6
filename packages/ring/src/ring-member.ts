/** What placement knows of a member: what stays the same while it runs. */
import type { ClusterView, Member } from "./cluster-view.ts";

export type RingMember = Pick<Member, "name" | "storeId" | "zone" | "tokenCount">;

/**
 * Those that records are placed on, by name: the active ones. Joining, leaving and dead members own nothing, so that replica sets extend past them. A
 * suspect owns: most suspicions are refuted, and the others end as dead within seconds.
 * `avoided`: names of members that the caller has its own reasons not to send to.
 */
export function ownersOf(view: ClusterView, avoided: ReadonlySet<string> = NONE): readonly RingMember[] {
  return view.members.filter(({ name, state }) => state === "active" && !avoided.has(name));
}

const NONE: ReadonlySet<string> = new Set();
