/**
 * The limits in force while the node runs: those of the start, until the configuration file has others.
 *
 * What must stay true: a file that cannot be read or is refused changes nothing, a file takes hold as a whole or not at all, and no request
 * waits for it. Flags and variables still take precedence over the file. The whole file is read at intervals and compared with the text before:
 * this notices a switched link in a mounted folder as well as an editor's rename, for the cost of a small read. Changed text takes hold
 * only once it was read twice: half of a file that is being written may be valid YAML, and would lift the overrides in its other half.
 */
import { messageOf } from "@pyromesh/base";
import type { Clock, Gauge, Logger, Metrics, Timer } from "@pyromesh/base";
import { changedSettings } from "./config.ts";
import type { Config } from "./config.ts";
import type { LimitsInForce } from "./limits.ts";

/** The pause between the two readings of changed text. */
const SETTLE_MS = 500;

export interface LiveLimitsModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly readFile: (file: string) => Promise<string>;
  /** All settings, with `text` in place of what the file holds. Throws where the text is refused. */
  readonly load: (text: string) => Config;
  /** Called with each configuration that is taken over, for what else may change while the node runs: the jobs that are scraped. */
  readonly onConfig?: (config: Config) => void;
}

export class LiveLimits {
  readonly #config: Config;
  readonly #modules: LiveLimitsModules;
  readonly #isLastGood: Gauge | undefined;
  #inForce: LimitsInForce;
  /** The text that was taken over or refused last. */
  #text: string | undefined;
  /** Changed text that was read once so far. */
  #unsettled: string | undefined;
  #problem: string | undefined;
  #unheeded = "";
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(config: Config, modules: LiveLimitsModules) {
    this.#config = config;
    this.#modules = modules;
    this.#inForce = { limits: config.limits, overrides: config.overrides };
    if (config.configFile === undefined) return;
    // Named as in Pyroscope, with our prefix.
    this.#isLastGood = modules.metrics.gauge("pyromesh_runtime_config_last_reload_successful", "1 when the configuration file was last read without fault, else 0.");
    this.#isLastGood.set({}, 1);
  }

  get inForce(): LimitsInForce {
    return this.#inForce;
  }

  /** Begins to read the file at intervals. Does nothing without a file, or with an interval of 0. */
  start(): void {
    const { configFile, configReloadIntervalMs } = this.#config;
    if (configFile === undefined || configReloadIntervalMs === 0 || this.#isStopped) return;
    const delayMs = this.#unsettled === undefined ? configReloadIntervalMs : Math.min(SETTLE_MS, configReloadIntervalMs);
    this.#timer = this.#modules.clock.after(delayMs, () => void this.reload().finally(() => this.start()));
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** Reads the file once. Never rejects: an error is logged once, and the metric shows it until it is repaired. */
  async reload(): Promise<void> {
    const { load, logger, readFile } = this.#modules;
    const { configFile } = this.#config;
    if (configFile === undefined) return;
    try {
      const text = await readFile(configFile).catch((thrown: unknown) => {
        this.#text = this.#unsettled = undefined; // so that the file is read as a changed one when it is back
        throw thrown;
      });
      const isSettled = text === this.#unsettled;
      this.#unsettled = isSettled || text === this.#text ? undefined : text;
      if (!isSettled || text === this.#text) return;
      this.#text = text;
      const config = load(text);
      this.#warnOfUnheeded(config);
      this.#inForce = { limits: config.limits, overrides: config.overrides };
      this.#modules.onConfig?.(config);
      if (this.#problem !== undefined) logger.info("the configuration file is good again", { file: configFile });
      this.#problem = undefined;
      this.#isLastGood?.set({}, 1);
    } catch (thrown) {
      this.#isLastGood?.set({}, 0);
      const problem = messageOf(thrown);
      if (problem !== this.#problem) logger.error("the configuration file is not taken over; what was in force stays", { file: configFile, reason: problem });
      this.#problem = problem;
    }
  }

  #warnOfUnheeded(config: Config): void {
    const changed = changedSettings(this.#config, config).join(", ");
    if (changed !== "" && changed !== this.#unheeded) {
      this.#modules.logger.warn("the configuration file changed settings that take hold at the next start", { file: this.#config.configFile, settings: changed });
    }
    this.#unheeded = changed;
  }
}
