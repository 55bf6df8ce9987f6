/**
 * The targets of one job: what its discoveries tell, made into targets.
 *
 * A group that did not change is not made anew, so a change costs what changed, however many targets there are.
 */
import type { Counter, Turns } from "@pyromesh/base";
import { compileRules } from "../relabel/relabel.ts";
import type { Relabel } from "../relabel/relabel.ts";
import type { ScrapeConfig } from "../config/scrape-config.ts";
import type { Discovery, TargetGroup } from "../discovery/discovery.ts";
import { openDiscovery } from "../discovery/open-discovery.ts";
import type { DiscoveryFault, DroppedTarget, ScrapeTarget, TargetModules } from "../target.ts";
import { makeTargets } from "./make-targets.ts";
import type { GroupTargets } from "./make-targets.ts";

/** Of one job. Further ones are dropped, with this as the reason: a wrong selector must not scrape a whole cluster. */
export const TARGETS_MAX = 20_000;
/** Dropped targets that are kept to be shown. Further ones are only counted. */
export const DROPPED_MAX = 1000;

export class JobTargets {
  readonly config: ScrapeConfig;
  readonly #discoveries: readonly Discovery[];
  /** The groups of each discovery, in the order of the configuration. */
  readonly #groups: (readonly TargetGroup[])[];
  readonly #faults = new Set<DiscoveryFault>();
  readonly #relabel: Relabel;
  readonly #onGroups: () => void;
  #made = new Map<TargetGroup, GroupTargets>();
  #targets: readonly ScrapeTarget[] = [];
  #dropped: readonly DroppedTarget[] = [];
  #droppedCount = 0;

  /** `onGroups` is called when a discovery has told something new; `refresh` then takes it over. */
  constructor(config: ScrapeConfig, onGroups: () => void, modules: TargetModules & { readonly failures: Counter }) {
    this.config = config;
    this.#onGroups = onGroups;
    this.#relabel = compileRules(config.relabelRules);
    const logger = modules.logger.with({ job: config.jobName });
    const failures: Counter = { add: (labels, value) => modules.failures.add({ ...labels, job: config.jobName }, value) };
    this.#discoveries = config.discoveries.map((discovery) => openDiscovery(discovery, { ...modules, logger, failures, faults: this.#faults }));
    this.#groups = config.discoveries.map(() => []);
  }

  get targets(): readonly ScrapeTarget[] {
    return this.#targets;
  }

  /** At most `DROPPED_MAX`. */
  get dropped(): readonly DroppedTarget[] {
    return this.#dropped;
  }

  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** One at most for each source of the configuration. */
  get faults(): readonly DiscoveryFault[] {
    return [...this.#faults];
  }

  start(): void {
    for (const [index, discovery] of this.#discoveries.entries()) {
      discovery.start((groups) => {
        this.#groups[index] = groups;
        this.#onGroups();
      });
    }
  }

  stop(): void {
    for (const discovery of this.#discoveries.toReversed()) discovery.stop();
  }

  /** Takes over what the discoveries have told so far. What they tell meanwhile waits for the next time. */
  async refresh(turns: Turns): Promise<void> {
    const made = new Map<TargetGroup, GroupTargets>();
    const targets = new Map<string, ScrapeTarget>();
    const dropped: DroppedTarget[] = [];
    let droppedCount = 0;
    const drop = (target: DroppedTarget): void => {
      droppedCount++;
      if (dropped.length < DROPPED_MAX) dropped.push(target);
    };
    for (const group of this.#groups.flat()) {
      if (turns.areDue) await turns.give();
      const own = made.get(group) ?? this.#made.get(group) ?? (await this.#make(group, turns));
      made.set(group, own);
      for (const target of own.dropped) drop(target);
      for (const target of own.targets) {
        if (targets.has(target.key)) continue;
        if (targets.size < TARGETS_MAX) targets.set(target.key, target);
        else drop({ jobName: this.config.jobName, discovered: target.discovered, reason: `the job has ${TARGETS_MAX} targets already` });
      }
    }
    this.#made = made;
    this.#targets = [...targets.values()];
    this.#dropped = dropped;
    this.#droppedCount = droppedCount;
  }

  async #make(group: TargetGroup, turns: Turns): Promise<GroupTargets> {
    const parts: GroupTargets[] = [];
    for (let from = 0; from < group.targets.length; from += STEP_TARGETS) {
      if (turns.areDue) await turns.give();
      parts.push(makeTargets(this.config, this.#relabel, { labels: group.labels, targets: group.targets.slice(from, from + STEP_TARGETS) }));
    }
    return { targets: parts.flatMap(({ targets }) => targets), dropped: parts.flatMap(({ dropped }) => dropped) };
  }
}

/** Each is relabelled for every profile: some 100 us with ten rules. */
const STEP_TARGETS = 10;
