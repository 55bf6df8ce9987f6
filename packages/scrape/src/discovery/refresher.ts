/**
 * Asks again and again, never twice at once. An answer that fails keeps what was known, is counted, and is logged once until the reason changes.
 */
import { messageOf, within } from "@pyromesh/base";
import type { Timer } from "@pyromesh/base";
import type { DiscoveryModules } from "./discovery.ts";

export interface RefresherOptions {
  readonly intervalMs: number;
  /** One asking that takes longer counts as failed. Its signal aborts. */
  readonly timeoutMs: number;
  /** The label of metric and log: `file`, `http`, `dns`. */
  readonly mechanism: string;
  /** What is asked, for the log. */
  readonly source: string;
}

export class Refresher {
  readonly #options: RefresherOptions;
  readonly #modules: Pick<DiscoveryModules, "clock" | "logger" | "failures">;
  readonly #refresh: (signal: AbortSignal) => Promise<void>;
  readonly #stopped = new AbortController();
  #timer: Timer | undefined;
  #problem: string | undefined;

  constructor(options: RefresherOptions, modules: Pick<DiscoveryModules, "clock" | "logger" | "failures">, refresh: (signal: AbortSignal) => Promise<void>) {
    this.#options = options;
    this.#modules = modules;
    this.#refresh = refresh;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped.abort();
    this.#timer?.cancel();
  }

  async #run(): Promise<void> {
    const { clock, logger, failures } = this.#modules;
    const { intervalMs, timeoutMs, mechanism, source } = this.#options;
    const late = new AbortController(); // so that what is still under way ends with the time
    const signal = AbortSignal.any([this.#stopped.signal, late.signal]);
    try {
      await within(this.#refresh(signal), { timeoutMs, lateError: () => new Error(`no answer within ${timeoutMs / 1000} s`) }, { clock, signal: this.#stopped.signal });
      if (this.#problem !== undefined) logger.info("discovery works again", { mechanism, source });
      this.#problem = undefined;
    } catch (thrown) {
      if (this.#stopped.signal.aborted) return;
      failures.add({ mechanism });
      const problem = messageOf(thrown);
      if (problem !== this.#problem) logger.warn("discovery failed; the targets that were known stay", { mechanism, source, reason: problem });
      this.#problem = problem;
    } finally {
      late.abort();
    }
    if (!this.#stopped.signal.aborted) this.#timer = clock.after(intervalMs, () => void this.#run());
  }
}
