/** Asks again and again, never twice at once. An answer that fails keeps what was known. */
import { within } from "@pyromesh/base";
import type { Timer } from "@pyromesh/base";
import { SourceHealth } from "./source-health.ts";
import type { HealthModules } from "./source-health.ts";

export interface RefresherOptions {
  readonly intervalMs: number;
  /** One asking that takes longer counts as failed. Its signal aborts. */
  readonly timeoutMs: number;
  /** `file`, `http`, `dns`. */
  readonly mechanism: string;
  /** What is asked, in words. */
  readonly source: string;
}

export class Refresher {
  readonly #options: RefresherOptions;
  readonly #modules: HealthModules;
  readonly #refresh: (signal: AbortSignal) => Promise<void>;
  readonly #stopped = new AbortController();
  readonly #health: SourceHealth;
  #timer: Timer | undefined;

  constructor(options: RefresherOptions, modules: HealthModules, refresh: (signal: AbortSignal) => Promise<void>) {
    this.#options = options;
    this.#modules = modules;
    this.#refresh = refresh;
    this.#health = new SourceHealth({ mechanism: options.mechanism, source: options.source }, modules);
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped.abort();
    this.#timer?.cancel();
  }

  async #run(): Promise<void> {
    const { clock } = this.#modules;
    const { intervalMs, timeoutMs } = this.#options;
    const late = new AbortController(); // so that what is still under way ends with the time
    const signal = AbortSignal.any([this.#stopped.signal, late.signal]);
    try {
      await within(this.#refresh(signal), { timeoutMs, lateError: () => new Error(`no answer within ${timeoutMs / 1000} s`) }, { clock, signal: this.#stopped.signal });
      this.#health.works();
    } catch (thrown) {
      if (this.#stopped.signal.aborted) return;
      this.#health.failed(thrown);
    } finally {
      late.abort();
    }
    if (!this.#stopped.signal.aborted) this.#timer = clock.after(intervalMs, () => void this.#run());
  }
}
