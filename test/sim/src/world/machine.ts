/**
 * A machine that a node runs on, with its disk, its HTTP network and its clocks: it starts, stops, kills and restarts the node. Each run of the node is a life (scheduler.ts): its timers and
 * its calls to disk, bucket and threads belong to it, and none of them completes after its end.
 */
import { inPlaceCompression } from "@pyromesh/api/testing";
import { fasterClock, Metrics } from "@pyromesh/base";
import type { Logger } from "@pyromesh/base";
import { STORE_CLEARED } from "@pyromesh/gossip";
import { BUILD_FORMATS, composeNode, loadConfig } from "pyromesh";
import type { BuildFormats, ComposedNode, Config, World as NodeWorld } from "pyromesh";
import { Violation } from "../check/violation.ts";
import type { Settings } from "../history/settings.ts";
import type { Chance } from "./chance.ts";
import { Life } from "./scheduler.ts";
import { simClock } from "./sim-clock.ts";
import type { MachineTime } from "./sim-clock.ts";
import { SimDisk } from "./sim-disk.ts";
import type { DiskSnapshot } from "./sim-disk.ts";
import { SimNetwork } from "./sim-network.ts";
import { simThreads } from "./sim-threads.ts";
import type { World } from "./world.ts";

/** What a machine is besides the others of its cluster. */
export interface MemberInit {
  readonly name: string;
  readonly host: string;
  /** `host:port` of all members. */
  readonly join: readonly string[];
  /** How far its wall clock is ahead. */
  readonly skewMs: number;
  /** It begins with an earlier build. */
  readonly isEarlier: boolean;
}

/** Of an earlier build: it writes records of version 1, and refuses newer ones, from others and on its disk. */
const EARLIER_FORMATS: BuildFormats = { ...BUILD_FORMATS, record: { writesFrom: 1, reads: 1 }, head: { writesFrom: 3, reads: 3 } };

export class Machine {
  /** "" where the node is alone. */
  readonly name: string;
  readonly host: string;
  readonly network: SimNetwork;
  readonly time: MachineTime;
  readonly #world: World;
  readonly #member: MemberInit | undefined;
  #disk: SimDisk;
  #diskCount = 0;
  #life: Life | undefined;
  #node: ComposedNode | undefined;
  #runCount = 0;
  #isRemoved = false;
  /** Runs that have ended, by a crash or a stop. */
  deathCount = 0;
  #metrics: Metrics = new Metrics();
  #leapMs = 0;
  /** True from the end of a start until the run ends. */
  isReady = false;
  /** Once it has left the cluster it is thrown away, and does not join anew. */
  isToGo = false;
  /** Its next start is one of the earlier build. */
  isEarlier: boolean;
  /** This run, or the last one, is of the earlier build. */
  #runsEarlier = false;

  /** `member`: undefined where the node is alone. */
  constructor(world: World, member?: MemberInit) {
    this.#world = world;
    this.#member = member;
    this.name = member?.name ?? "";
    this.isEarlier = member?.isEarlier ?? false;
    this.host = member?.host ?? "127.0.0.1";
    this.time = { epochMs: world.settings.epochMs + (member?.skewMs ?? 0), suspendedMs: 0 };
    this.network = new SimNetwork(this.#stream("network"), world);
    this.#disk = new SimDisk(this.#stream("disk"), world);
  }

  get disk(): SimDisk {
    return this.#disk;
  }

  /** A stream of random numbers for this machine alone. */
  #stream(name: string): Chance {
    return this.#world.chance.stream(this.#named(name));
  }

  #named(what: string): string {
    return this.name === "" ? what : `${this.name} ${what}`;
  }

  /** Refusals for good that faults explain: a call that was running when two worker threads died is refused for ten minutes. */
  isExpectedRefusal(body: string): boolean {
    return /ended two (worker )?threads/.test(body);
  }

  start(): void {
    const life = new Life(this.#named(`run ${++this.#runCount}`));
    this.#life = life;
    if (this.#leapMs !== 0) this.#misled(life);
    if (this.#member !== undefined && this.#disk.store.lacksNotes) this.#world.bucket.showWhatWasPut();
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
    const { configText, settings } = this.#world;
    const node = await composeNode(configOf(settings, this.#member, configText), this.#worldOf(life));
    this.#node = node;
    await node.start();
  }

  #worldOf(life: Life): NodeWorld {
    const { adHoc, bucket, chance, configText = "", faults, journal, peers, programs, scheduler, settings } = this.#world;
    const clock = simClock(scheduler, life, this.time);
    const random = chance.stream(life.name).asRandom();
    const metrics = (this.#metrics = new Metrics());
    this.#runsEarlier = this.isEarlier;
    return {
      clock,
      bucketClock: fasterClock(clock, settings.bucketSpeed),
      ...(adHoc && { expiryClock: fasterClock(clock, adHoc.settings.lookSpeed) }),
      random,
      logger: this.#logger(life),
      metrics,
      network: this.network.openFor(life),
      openPeerNetwork: async () => peers.openFor(life),
      disk: this.#disk.openFor(life),
      openBucket: async () => bucket.openFor({ life, host: this.host }),
      openThreads: () => simThreads(life, chance.stream(`threads of ${life.name}`), { scheduler, faults, journal, random }),
      compression: inPlaceCompression((step) => void scheduler.after(chance.delay(0.2), life, step)),
      machine: { coreCount: 2, memoryBytes: MEMORY_BYTES, openFilesMax: undefined },
      onLeft: () => {
        this.#note(life, "has left the cluster");
        // Nobody waits for it any more, so where the others that released the same records are silent, answers rest on LISTs (decision 0021).
        this.#world.bucket.showWhatWasPut();
        this.#world.leaving.delete(this);
        if (this.isToGo) this.#world.removeMachine(this);
        // It joins anew.
        else this.#world.watch(this.restart());
      },
      // It is read again and again, and stays as it is.
      ...(programs && { configFile: { readFile: async () => configText, load: (text) => configOf(settings, this.#member, text) } }),
      // An earlier build scrapes nothing, and grants others no target.
      ...(this.isEarlier ? { formats: EARLIER_FORMATS } : programs && { programs: programs.openFor(life, this.host) }),
      buildInfo: { version: "0", revision: "", buildDate: "", nodeVersion: "" },
      endProcess: (error) => {
        this.#note(life, `ends itself: ${error.message}`);
        if (this.#isNewId(error)) {
          this.#world.hasNewId = true;
          this.#world.isFewer = true;
        } else if (faults.threadDeathCount < DEATHS_MAX) this.#world.fail(new Violation("no-error", `the node ended itself after ${faults.threadDeathCount} deaths of threads: ${error.message}`));
        this.crash("kill");
      },
    };
  }

  /** A store that was rolled back, or finds another object under the key of one of its own, takes a new id, and a member then ends itself: its next start joins under that id. */
  #isNewId(error: Error): boolean {
    const { counts } = this.#world.faults;
    return "code" in error && error.code === "STORE_ID_CHANGED" && (counts.has("bucket mixes up two objects") || counts.has("a disk is put back, and then another copy is silent"));
  }

  /** These metrics of the node; undefined while it is down, or if it goes down meanwhile. The whole page costs as much as ten pushes. */
  async metricsText(isWanted: (name: string) => boolean): Promise<string | undefined> {
    const life = this.#life;
    return life === undefined ? undefined : Promise.race([this.#metrics.text(isWanted), life.ended.then(() => undefined)]);
  }

  /** Ends the run by SIGKILL or power loss. The node starts again up to 3 s later. */
  crash(kind: "kill" | "power"): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#note(life, `dies: ${kind}`);
    this.#over(life);
    this.#world.peers.close(life, { isTold: kind === "kill" });
    this.#disk.crash(kind);
    this.#startLater();
  }

  /** The machine is lost, and another one starts in its place: with the same name, and an empty disk. */
  wipe(): void {
    this.crash("power");
    this.#disk = new SimDisk(this.#stream(`disk ${++this.#diskCount}`), this.#world);
    this.#world.journal.note("machine", `${this.name} has an empty disk`);
  }

  /** The machine loses power, and its disk is put back to an earlier state before it starts again. */
  rollBack(snapshot: DiskSnapshot): void {
    this.crash("power");
    this.#disk.restore(snapshot);
    this.#world.journal.note("machine", `${this.name} has its disk as it was`);
  }

  /** It is gone for good, disk and all. */
  remove(): void {
    this.crash("power");
    this.#isRemoved = true;
    this.#world.journal.note("machine", `${this.name} is thrown away`);
  }

  /** Its wall clock is wrong by so much for a while, also over a restart. */
  async leap(leapMs: number, lengthMs: number): Promise<void> {
    const { journal, scheduler } = this.#world;
    journal.note("machine", `${this.name} has a wall clock that is ahead by ${leapMs} ms`);
    this.#leapMs = leapMs;
    this.time.epochMs += leapMs;
    if (this.#life !== undefined && !this.isReady) this.#misled(this.#life);
    await scheduler.wait(lengthMs);
    this.time.epochMs -= leapMs;
    this.#leapMs = 0;
    journal.note("machine", `${this.name} has its wall clock set right`);
  }

  /** This run began with a wrong clock. */
  #misled(life: Life): void {
    const { adHoc } = this.#world;
    if (this.#member === undefined && adHoc?.settings.hasDate === false) adHoc.misled.add(life);
  }

  get isPaused(): boolean {
    return this.#life?.pause !== undefined;
  }

  /** Resolves when the node is ready, or after so long. */
  async ready(withinMs: number): Promise<void> {
    const { scheduler } = this.#world;
    const endMs = scheduler.nowMs + withinMs;
    while (!this.isReady && !this.#isRemoved && scheduler.nowMs < endMs) await scheduler.wait(500);
  }

  /** SIGSTOP and SIGCONT, or a suspended machine. Nothing happens while it is down or paused. */
  async pause(lengthMs: number, { isClockStopped }: { readonly isClockStopped: boolean }): Promise<void> {
    const life = this.#life;
    if (life === undefined || life.pause !== undefined) return;
    this.#note(life, `is paused for ${Math.round(lengthMs)} ms${isClockStopped ? ", with its clocks" : ""}`);
    if (isClockStopped) {
      // The wall clock is set again when it goes on.
      this.time.suspendedMs += lengthMs;
      this.time.epochMs += lengthMs;
    }
    await this.#world.scheduler.pause(life, lengthMs, { isClockStopped });
    this.#note(life, "goes on");
  }

  /** The same, and it starts again as the newer build. */
  async upgrade(): Promise<void> {
    this.isEarlier = false;
    if (!this.#runsEarlier) return;
    this.#world.journal.note("machine", `${this.name} is upgraded`);
    // One that is just starting takes no SIGTERM yet.
    if (this.#node === undefined) this.crash("kill");
    else await this.restart();
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
    this.#world.peers.close(life, { isTold: true });
  }

  #note(life: Life, what: string): void {
    this.#world.journal.note("machine", `${life.name} ${what}`);
  }

  #over(life: Life): void {
    life.end();
    this.isReady = false;
    this.deathCount++;
    this.network.close(life);
    this.#life = undefined;
    this.#node = undefined;
  }

  #startLater(): void {
    const { chance, scheduler } = this.#world;
    void scheduler.wait(chance.stream(this.#named(`pause ${this.#runCount}`)).between(50, 3_000)).then(() => {
      if (this.#life === undefined && !this.#isRemoved) this.start();
    });
  }

  #logger(life: Life): Logger {
    const say = (level: string) => (message: string, fields?: object) => {
      if (life.isOver) return;
      if (fields !== undefined && "error" in fields && codeOf(fields.error) === "RECORD_NEWER") this.#world.fail(new Violation("no-error", "a member was sent a record that its build does not read"));
      // Nobody waits for that store any more, so where the only other one that knows an object is silent, answers rest on LISTs, as after a LEFT.
      if (message === STORE_CLEARED) this.#world.bucket.showWhatWasPut();
      this.#world.journal.note(this.#named("node"), `${level}: ${message}${fields === undefined ? "" : ` ${describe(fields)}`}`);
    };
    const logger: Logger = { debug: () => {}, info: say("info"), warn: say("warn"), error: say("error"), with: () => logger };
    return logger;
  }
}

/** For log lines: " at n1"; "" where the node is alone. */
export function at({ name }: Machine): string {
  return name === "" ? "" : ` at ${name}`;
}

export const CLUSTER_PORT = 7946;

/** After this many deaths of threads a node may end itself (node/src/compute/worker-restart.ts). */
const DEATHS_MAX = 6;

/** Small, since the node derives bounds from it, which a minute should be able to reach. */
const MEMORY_BYTES = 64 * 2 ** 20;

/** `text`: what the configuration file holds. Undefined: there is none. */
function configOf(settings: Settings, member: MemberInit | undefined, text: string | undefined): Config {
  const flags = {
    multitenancy: "true",
    flush_interval: `${settings.flushIntervalMs}ms`,
    flush_size: `${settings.flushSizeBytes}B`,
    head_disk_budget: `${settings.diskBudgetBytes}B`,
    retention: "0",
    workers: String(settings.workerCount),
    ...(text !== undefined && { config: "pyromesh.yaml" }),
    ...(member && { cluster_name: "sim", cluster_addr: `${member.host}:${CLUSTER_PORT}`, node_name: member.name }),
  };
  const given = new Map(Object.entries(flags).map(([key, value]) => [key, [value]]));
  if (member !== undefined) given.set("join", [...member.join]);
  return loadConfig({ flags: given, env: {}, readFile: () => text ?? "" });
}

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}

function describe(fields: object): string {
  return JSON.stringify(fields, (_key, value: unknown) => (value instanceof Error ? `${value.name}: ${value.message}` : typeof value === "bigint" ? String(value) : value));
}
