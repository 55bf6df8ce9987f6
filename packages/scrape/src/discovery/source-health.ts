/**
 * Whether one source of targets answers. A failure is counted, logged once until its reason changes, and shown on `/targets` until the source
 * answers again.
 */
import { messageOf } from "@pyromesh/base";
import type { DiscoveryModules } from "./discovery.ts";
import type { DiscoveryFault } from "../target.ts";

export type HealthModules = Pick<DiscoveryModules, "clock" | "logger" | "failures" | "faults">;

export class SourceHealth {
  readonly #source: Pick<DiscoveryFault, "mechanism" | "source">;
  readonly #modules: HealthModules;
  #fault: DiscoveryFault | undefined;

  constructor(source: Pick<DiscoveryFault, "mechanism" | "source">, modules: HealthModules) {
    this.#source = source;
    this.#modules = modules;
  }

  failed(thrown: unknown): void {
    const { clock, failures, faults, logger } = this.#modules;
    failures.add({ mechanism: this.#source.mechanism });
    const before = this.#fault;
    const reason = messageOf(thrown);
    if (reason === before?.reason) return;
    logger.warn("discovery failed; the targets that were known stay", { ...this.#source, reason });
    if (before !== undefined) faults.delete(before);
    this.#fault = { ...this.#source, reason, sinceMs: before?.sinceMs ?? clock.nowMs() };
    faults.add(this.#fault);
  }

  works(): void {
    if (this.#fault === undefined) return;
    this.#modules.faults.delete(this.#fault);
    this.#fault = undefined;
    this.#modules.logger.info("discovery works again", this.#source);
  }
}
