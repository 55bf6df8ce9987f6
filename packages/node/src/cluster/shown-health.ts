/** What `/api/v1/cluster/health` shows, of what the members said of themselves. */
import type { ClusterHealth as ShownHealth } from "@pyromesh/api";

/** As `member/cluster-health.ts` makes it. */
export interface FoundHealth {
  readonly mayStopOne: boolean;
  readonly because: readonly string[];
  readonly notes: readonly string[];
  readonly members: readonly {
    readonly name: string;
    /** Undefined: it did not answer. */
    readonly said: MemberSaid | undefined;
    readonly problems: readonly string[];
  }[];
}

export interface MemberSaid {
  readonly ownRecords: number;
  readonly keptRecords: number;
  readonly backlogBytes: number;
  readonly takeovers: number;
  readonly lastRefusals: readonly string[];
}

/** `isAlone`: a node without a cluster may be stopped at any time. What it accepted is on its disk, and there is nobody for whom it would have to go on. */
export function shownHealth({ mayStopOne, because, members, notes }: FoundHealth, { isAlone }: { readonly isAlone: boolean }): ShownHealth {
  return {
    mayStop: isAlone || mayStopOne,
    reasons: isAlone ? [] : because,
    notes,
    members: members.map(({ name, said, problems }) => ({
      name,
      problems,
      ownRecords: said?.ownRecords,
      keptRecords: said?.keptRecords,
      backlogBytes: said?.backlogBytes,
      takeovers: said?.takeovers,
      lastRefusals: said?.lastRefusals ?? [],
    })),
  };
}
