/**
 * Whether a node that has started takes requests, for /ready and for what it tells other members: as far as it lies with this node. Whether it is in contact is not asked, since all
 * members of a cluster that is cut would say no at once. Pure.
 */
import type { ClusterView } from "@pyromesh/ring";

export interface ReadinessFacts {
  /** Undefined: the node is alone. */
  readonly view: Pick<ClusterView, "self" | "queriesRefusedBecause" | "writesRefusedBecause"> | undefined;
  /** Why its bucket or its disk keeps pushes out, in words. */
  readonly ownReason: string | undefined;
}

/** In words; undefined: it is ready. `of`: only whether it answers queries. */
export function notReadyBecause(of: "queries" | undefined, { view, ownReason }: ReadinessFacts): string | undefined {
  const state = view?.self.state;
  if (state === "leaving" || state === "left") return `${state === "leaving" ? "leaving" : "it has left"} the cluster`;
  if (view?.queriesRefusedBecause !== undefined) return view.queriesRefusedBecause;
  if (of === "queries") return undefined;
  const reason = ownReason ?? view?.writesRefusedBecause;
  return reason === undefined ? undefined : `writes: ${reason}; queries are answered`;
}
