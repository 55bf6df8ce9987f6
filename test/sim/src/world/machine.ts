/**
 * The machine that the node runs on: it starts, stops, kills and restarts the node. Each run of the node is a life (scheduler.ts): its timers and
 * its calls to disk, bucket and threads belong to it, and none of them completes after its end.
 */
import { inPlaceCompression } from "@pyromesh/api/testing";
import { fasterClock, Metrics } from "@pyromesh/base";
import type { Logger } from "@pyromesh/base";
import { composeNode, loadConfig } from "pyromesh";
import type { ComposedNode, Config, World as NodeWorld } from "pyromesh";
import { Violation } from "../check/violation.ts";
import type { Settings } from "../history/settings.ts";
import { Life } from "./scheduler.ts";
import { simClock } from "./sim-clock.ts";
import { simThreads } from "./sim-threads.ts";
import type { World } from "./world.ts";

export class Machine {
  readonly #world: World;
  #life: Life | undefined;
  #node: ComposedNode | undefined;
  #runCount = 0;
  /** Runs that have ended, by a crash or a stop. */
  deathCount = 0;
  #metrics: Metrics = new Metrics();
  /** True from the end of a start until the run ends. */
  isReady = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** Refusals for good that faults explain: a call that was running when two worker threads died is refused for ten minutes. */
  isExpectedRefusal(body: string): boolean {
    return /ended two (worker )?threads/.test(body);
  }

  start(): void {
    const life = new Life(`run ${++this.#runCount}`);
    this.#life = life;
    this.#note(life, "starts");
    this.#run(life).then(
      () => {
        this.isReady = !life.isOver;
        this.#note(life, "is ready");
      },
      (error: unknown) => {
        if (life.isOver) return;
        // A start that fails ends the process, and the supervisor starts it again.
        this.#note(life, `did not start: ${String(error)}`);
        this.#over(life);
        this.#startLater();
      },
    );
  }

  async #run(life: Life): Promise<void> {
    const { settings } = this.#world;
    const node = await composeNode(configOf(settings), this.#worldOf(life));
    this.#node = node;
    await node.start();
  }

  #worldOf(life: Life): NodeWorld {
    const { bucket, chance, disk, faults, journal, network, scheduler, settings } = this.#world;
    const clock = simClock(scheduler, life, settings.epochMs);
    const random = chance.stream(life.name).asRandom();
    const metrics = (this.#metrics = new Metrics());
    return {
      clock,
      bucketClock: fasterClock(clock, settings.bucketSpeed),
      random,
      logger: this.#logger(life),
      metrics,
      network: network.openFor(life),
      disk: disk.openFor(life),
      openBucket: async () => bucket.openFor(life),
      openThreads: () => simThreads(life, chance.stream(`threads of ${life.name}`), { scheduler, faults, journal, random }),
      compression: inPlaceCompression((step) => void scheduler.after(chance.delay(0.2), life, step)),
      machine: { coreCount: 2, memoryBytes: MEMORY_BYTES, openFilesMax: undefined },
      buildInfo: { version: "0", revision: "", buildDate: "", nodeVersion: "" },
      endProcess: (error) => {
        this.#note(life, `ends itself: ${error.message}`);
        if (faults.threadDeathCount < DEATHS_MAX) this.#world.fail(new Violation("no-error", `the node ended itself after ${faults.threadDeathCount} deaths of threads: ${error.message}`));
        this.crash("kill");
      },
    };
  }

  /** Undefined while the node is down, or if it goes down meanwhile. */
  async metricsText(): Promise<string | undefined> {
    const life = this.#life;
    return life === undefined ? undefined : Promise.race([this.#metrics.text(), life.ended.then(() => undefined)]);
  }

  /** Ends the run by SIGKILL or power loss. The node starts again up to 3 s later. */
  crash(kind: "kill" | "power"): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#note(life, `dies: ${kind}`);
    this.#over(life);
    this.#world.disk.crash(kind);
    this.#startLater();
  }

  /** Stops the node by SIGTERM. It starts again up to 3 s later. */
  async restart(): Promise<void> {
    await this.stop();
    this.#startLater();
  }

  async stop(): Promise<void> {
    const life = this.#life;
    const node = this.#node;
    if (life === undefined || node === undefined) return;
    this.#note(life, "is stopped");
    await Promise.race([node.stop(), life.ended]);
    if (life.isOver) return;
    this.#note(life, "has stopped");
    this.#over(life);
  }

  #note(life: Life, what: string): void {
    this.#world.journal.note("machine", `${life.name} ${what}`);
  }

  #over(life: Life): void {
    life.end();
    this.isReady = false;
    this.deathCount++;
    this.#world.network.close(life);
    this.#life = undefined;
    this.#node = undefined;
  }

  #startLater(): void {
    const { chance, scheduler } = this.#world;
    void scheduler.wait(chance.stream(`pause ${this.#runCount}`).between(50, 3_000)).then(() => {
      if (this.#life === undefined) this.start();
    });
  }

  #logger(life: Life): Logger {
    const say = (level: string) => (message: string, fields?: object) => {
      if (!life.isOver) this.#world.journal.note("node", `${level}: ${message}${fields === undefined ? "" : ` ${describe(fields)}`}`);
    };
    const logger: Logger = { debug: () => {}, info: say("info"), warn: say("warn"), error: say("error"), with: () => logger };
    return logger;
  }
}

/** After this many deaths of threads a node may end itself (node/src/compute/worker-restart.ts). */
const DEATHS_MAX = 6;

/** Small, since the node derives bounds from it, which a minute should be able to reach. */
const MEMORY_BYTES = 64 * 2 ** 20;

function configOf(settings: Settings): Config {
  const flags = {
    multitenancy: "true",
    flush_interval: `${settings.flushIntervalMs}ms`,
    flush_size: `${settings.flushSizeBytes}B`,
    head_disk_budget: `${settings.diskBudgetBytes}B`,
    retention: "0",
    workers: String(settings.workerCount),
  };
  return loadConfig({ flags: new Map(Object.entries(flags).map(([key, value]) => [key, [value]])), env: {}, readFile: () => "" });
}

function describe(fields: object): string {
  return JSON.stringify(fields, (_key, value: unknown) => (value instanceof Error ? `${value.name}: ${value.message}` : typeof value === "bigint" ? String(value) : value));
}
