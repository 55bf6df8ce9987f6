/** What finds targets: it tells all groups that it knows whenever one of them has changed. */

import type { Counter } from "@pyromesh/base";
import type { DiscoveryFault, TargetModules } from "../target.ts";

/** Targets that come from one place: a file, a name, a pod. Never changed: a group that is the same object has the same targets. */
export interface TargetGroup {
  /** Labels of each target, `__address__` among them. */
  readonly targets: readonly LabelValues[];
  /** Of all of them; what a target has itself comes before. */
  readonly labels: LabelValues;
}

export type LabelValues = Readonly<Record<string, string>>;

export interface Discovery {
  /** Calls `onGroups` with all groups, at once or later, and again after each change. What cannot be reached keeps its last groups. */
  start(onGroups: (groups: readonly TargetGroup[]) => void): void;
  stop(): void;
}

export interface DiscoveryModules extends TargetModules {
  /** Counts by the label `mechanism`. */
  readonly failures: Counter;
  /** What fails now. */
  readonly faults: Set<DiscoveryFault>;
}
