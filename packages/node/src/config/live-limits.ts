/**
 * The limits in force while the node runs: those of the start, replaced when the configuration file says others.
 *
 * What must stay true: a file that cannot be read or is refused changes nothing, all of it or none takes hold, and no request
 * waits for it. Flags and variables still beat the file. The file is read whole every so often and compared: that sees a
 * mounted folder's switched link as well as an editor's rename, and costs a small read. Changed text is looked at once it was
 * read twice: half of a file that is being written may be good YAML, and would lift the overrides in its other half.
 */
import { messageOf } from "@pyromesh/base";
import type { Clock, Gauge, Logger, Metrics, Timer } from "@pyromesh/base";
import { changedSettings } from "./config.ts";
import type { Config } from "./config.ts";
import type { LimitsInForce } from "./limits.ts";

/** Between the two readings of changed text. */
const SETTLE_MS = 500;

export interface LiveLimitsModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly readFile: (file: string) => Promise<string>;
  /** All settings as they are with `text` in the file. Throws what is wrong with it. */
  readonly load: (text: string) => Config;
}

export class LiveLimits {
  readonly #config: Config;
  readonly #modules: LiveLimitsModules;
  readonly #isLastGood: Gauge | undefined;
  #inForce: LimitsInForce;
  /** What was taken over or refused last. */
  #text: string | undefined;
  /** Changed text that was read once. */
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
    // Pyroscope's name for it, with our prefix.
    this.#isLastGood = modules.metrics.gauge("pyromesh_runtime_config_last_reload_successful", "1 when the configuration file was last read without fault, else 0.");
    this.#isLastGood.set({}, 1);
  }

  get inForce(): LimitsInForce {
    return this.#inForce;
  }

  /** Reads the file again and again. Without a file, or with an interval of 0, does nothing. */
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

  /** One reading. Never rejects: what is wrong is logged once and shown by the metric until it is repaired. */
  async reload(): Promise<void> {
    const { load, logger, readFile } = this.#modules;
    const { configFile } = this.#config;
    if (configFile === undefined) return;
    try {
      const text = await readFile(configFile).catch((thrown: unknown) => {
        this.#text = this.#unsettled = undefined; // when it is back, it is looked at whatever it holds
        throw thrown;
      });
      const isSettled = text === this.#unsettled;
      this.#unsettled = isSettled || text === this.#text ? undefined : text;
      if (!isSettled || text === this.#text) return;
      this.#text = text;
      const config = load(text);
      this.#warnOfUnheeded(config);
      this.#inForce = { limits: config.limits, overrides: config.overrides };
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
