/**
 * The targets of all jobs, kept up to date while programs come and go.
 *
 * What must stay true: the same configuration and the same answers of discovery give the same keys on every member of a cluster, since members
 * share targets out by key. What discovery told is taken over at most once in `SETTLE_MS`: a rollout of a thousand pods is some changes, not thousands.
 */
import { assert, Turns } from "@pyromesh/base";
import type { Counter, Timer } from "@pyromesh/base";
import type { ScrapeConfig } from "../config/scrape-config.ts";
import type { DroppedTarget, ScrapeTarget, TargetModules, TargetSource } from "../target.ts";
import { JobTargets } from "./job-targets.ts";

/** Prometheus waits for 5 s. */
const SETTLE_MS = 1000;

export function targetSource(configs: readonly ScrapeConfig[], modules: TargetModules): TargetSource {
  return new Targets(configs, modules);
}

class Targets implements TargetSource {
  readonly #modules: TargetModules;
  readonly #failures: Counter;
  readonly #listeners: (() => void)[] = [];
  /** By the printed form of the configuration. */
  #jobs = new Map<string, JobTargets>();
  #configs: readonly ScrapeConfig[];
  #targets: readonly ScrapeTarget[] = [];
  #state: "new" | "running" | "stopped" = "new";
  #settling: Timer | undefined;
  /** What is being taken over now. */
  #takingOver: Promise<void> | undefined;
  /** Jobs were replaced while they were taken over: what was made of the old ones is not told. */
  #isApplied = false;

  constructor(configs: readonly ScrapeConfig[], modules: TargetModules) {
    this.#configs = configs;
    this.#modules = modules;
    this.#failures = modules.metrics.counter("pyromesh_scrape_discovery_failures_total", "Answers of discovery that did not come or could not be read; the last ones stay.", ["job", "mechanism"]);
    const known = new Set<string>();
    modules.metrics.gauge("pyromesh_scrape_discovered_targets", "Targets that discovery found, by what relabelling made of them.", ["job", "state"], (gauge) => {
      const jobs = [...this.#jobs.values()];
      for (const jobName of known) if (!jobs.some(({ config }) => config.jobName === jobName)) for (const state of ["active", "dropped"]) gauge.remove({ job: jobName, state });
      known.clear();
      for (const { config, targets, droppedCount } of jobs) {
        known.add(config.jobName);
        gauge.set({ job: config.jobName, state: "active" }, targets.length);
        gauge.set({ job: config.jobName, state: "dropped" }, droppedCount);
      }
    });
  }

  get targets(): readonly ScrapeTarget[] {
    return this.#targets;
  }

  get dropped(): readonly DroppedTarget[] {
    return [...this.#jobs.values()].flatMap(({ dropped }) => dropped);
  }

  get droppedCounts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#jobs.values()].filter(({ droppedCount }) => droppedCount > 0).map(({ config, droppedCount }) => [config.jobName, droppedCount]));
  }

  get faults(): TargetSource["faults"] {
    return [...this.#jobs.values()].flatMap(({ config: { jobName }, faults }) => faults.map((fault) => ({ ...fault, jobName })));
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async start(): Promise<void> {
    assert(this.#state === "new", "discovery is started once");
    this.#state = "running";
    this.apply(this.#configs);
    await this.#takingOver; // static targets are there
  }

  stop(): void {
    this.#state = "stopped";
    this.#settling?.cancel();
    for (const job of [...this.#jobs.values()].toReversed()) job.stop();
  }

  apply(configs: readonly ScrapeConfig[]): void {
    this.#configs = configs;
    if (this.#state !== "running") return;
    const before = this.#jobs;
    const opened: JobTargets[] = [];
    this.#jobs = new Map();
    for (const config of configs) {
      const key = keyOf(config);
      const job = before.get(key) ?? new JobTargets(config, () => this.#settle(), { ...this.#modules, failures: this.#failures });
      if (!before.has(key)) opened.push(job);
      this.#jobs.set(key, job);
    }
    for (const [key, job] of before) if (!this.#jobs.has(key)) job.stop();
    for (const job of opened) job.start();
    this.#isApplied = true;
    this.#takingOver ??= this.#takeOver();
  }

  #settle(): void {
    if (this.#state !== "running" || this.#settling !== undefined) return;
    this.#settling = this.#modules.clock.after(SETTLE_MS, () => {
      this.#settling = undefined;
      if (this.#takingOver === undefined) this.#takingOver = this.#takeOver();
      else this.#settle(); // it may have read before the change
    });
  }

  /** In slices: relabelling thousands of targets takes seconds. */
  async #takeOver(): Promise<void> {
    const turns = new Turns(this.#modules);
    do {
      this.#isApplied = false;
      this.#settling?.cancel(); // what was told so far is read now
      this.#settling = undefined;
      for (const job of this.#jobs.values()) await job.refresh(turns);
    } while (this.#isApplied && this.#state === "running");
    this.#takingOver = undefined;
    if (this.#state === "running") this.#publish();
  }

  #publish(): void {
    const targets = [...this.#jobs.values()].flatMap((job) => job.targets).sort((a, b) => (a.key < b.key ? -1 : 1));
    if (targets.length === this.#targets.length && targets.every((target, index) => target === this.#targets[index])) return;
    this.#targets = targets;
    for (const listener of this.#listeners) listener();
  }
}

function keyOf(config: ScrapeConfig): string {
  return JSON.stringify(config, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}
