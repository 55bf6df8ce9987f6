/**
 * Programs that the members of a cluster scrape. Each counts ticks of virtual time from its start on, and answers a profile in which each tick has a stack of its own. So an answer of the store
 * shows for each tick how often it was counted, whoever scraped it.
 *
 *   memory        cumulative: all ticks since the start of the program (alloc_objects). Also one stack of the answer itself (inuse_objects), which shows whether this answer was stored
 *   process_cpu   measured while it is asked, for `seconds`: the ticks of that time, and the stack of the answer
 *
 * What must stay true: what a program answers depends on the time at which it is asked alone. A program outlives the nodes; each run of a node asks by a fetch of its own.
 */
import { gzipSync } from "node:zlib";
import type { World as NodeWorld } from "pyromesh";
import { pprofOfProgram } from "../history/program-profile.ts";
import type { Chance } from "./chance.ts";
import type { Faults } from "./faults.ts";
import type { Journal } from "./journal.ts";
import type { Life, Scheduler } from "./scheduler.ts";
import { WORLD } from "./scheduler.ts";

/** The tenant of all programs: no client pushes or asks for it, so what clients know stays exact. */
export const PROGRAM_TENANT = "owl";
const TICK_MS = 500;
/** The share of clusters that scrape. */
const SCRAPING_SHARE = 0.15;
const WAY_MS = 0.5;

export interface ProgramSettings {
  /** `host:port`, as the configuration of all members names them. */
  readonly addresses: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly isGzip: boolean;
  /** Its CPU profile is asked for, besides memory. */
  readonly hasCpu: boolean;
}

/** Undefined: the members scrape nothing. */
export function drawPrograms(chance: Chance, { isCluster }: { readonly isCluster: boolean }): ProgramSettings | undefined {
  if (!isCluster || !chance.isTrue(SCRAPING_SHARE)) return undefined;
  const intervalMs = chance.int(1, 4) * 1_000;
  return {
    addresses: Array.from({ length: chance.int(1, 3) }, (_, at) => `program-${at + 1}:6060`),
    intervalMs,
    timeoutMs: Math.min(intervalMs, chance.pick([500, 1_000, 4_000])),
    isGzip: chance.isTrue(0.5),
    hasCpu: chance.isTrue(0.5),
  };
}

/** `scrape_configs` of the configuration file. */
export function scrapeConfigs({ addresses, hasCpu, intervalMs, timeoutMs }: ProgramSettings): readonly object[] {
  const off = { enabled: false };
  const profiling = { pprof_config: { block: off, goroutine: off, mutex: off, process_cpu: { enabled: hasCpu } } };
  const job = { job_name: "programs", tenant: PROGRAM_TENANT, scrape_interval: `${intervalMs}ms`, scrape_timeout: `${timeoutMs}ms`, profiling_config: profiling, static_configs: [{ targets: addresses }] };
  return [job];
}

export type ProgramProfile = "memory" | "process_cpu";

/** What a program said, and to whom. */
export interface ProgramAnswer {
  readonly id: number;
  readonly address: string;
  readonly profile: ProgramProfile;
  /** Which start of the program. Each counts from 0. */
  readonly start: number;
  /** The run of a node. */
  readonly asker: string;
  readonly askerHost: string;
  /** The ticks from this one on, and below `endTick`. Of memory 0. */
  readonly fromTick: number;
  readonly endTick: number;
  /** When it was asked, and when it said it, since the world began. Of memory the same. */
  readonly fromMs: number;
  readonly atMs: number;
  /** It was sent to its end: no fault cut it short. */
  readonly isWhole: boolean;
}

type Fetch = NonNullable<NodeWorld["programs"]>["fetch"];

interface Program {
  start: number;
  startedMs: number;
}

export class Programs {
  readonly settings: ProgramSettings;
  /** All answers with status 200, in their order. */
  readonly answers: ProgramAnswer[] = [];
  readonly #chance: Chance;
  readonly #modules: { readonly scheduler: Scheduler; readonly faults: Faults; readonly journal: Journal };
  readonly #programs: ReadonlyMap<string, Program>;
  #isGone = false;

  constructor(settings: ProgramSettings, chance: Chance, modules: { readonly scheduler: Scheduler; readonly faults: Faults; readonly journal: Journal }) {
    this.settings = settings;
    this.#chance = chance;
    this.#modules = modules;
    this.#programs = new Map(settings.addresses.map((address) => [address, { start: 1, startedMs: 0 }]));
  }

  /** The profile types of all targets. */
  get profiles(): readonly ProgramProfile[] {
    return this.settings.hasCpu ? ["memory", "process_cpu"] : ["memory"];
  }

  /** The host of the member that was the last to be answered by any program. Undefined: none was yet. */
  get lastAskerHost(): string | undefined {
    return this.answers.at(-1)?.askerHost;
  }

  /** The program counts from 0 again, and what it was measuring is lost. */
  restart(chance: Chance): void {
    const [address, program] = chance.pick([...this.#programs]);
    program.start++;
    program.startedMs = this.#modules.scheduler.nowMs;
    this.#modules.journal.note("program", `${address} starts anew, the ${program.start}. time`);
  }

  /** No program is there any more. */
  end(): void {
    this.#isGone = true;
    this.#modules.journal.note("program", "all end");
  }

  /** As one run of a node sees them. */
  openFor(life: Life, host: string): NonNullable<NodeWorld["programs"]> {
    const none = (): Promise<never> => Promise.reject(new Error("there is no such discovery here"));
    return { fetch: (get) => this.#fetch(life, host, get), files: { read: none, list: none, stat: none }, resolver: { addresses: none, services: none, mailServers: none } };
  }

  #fetch(life: Life, host: string, { url, signal }: Parameters<Fetch>[0]): ReturnType<Fetch> {
    const { faults, scheduler } = this.#modules;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      const { pathname, host: address, searchParams } = new URL(url);
      const program = this.#programs.get(address);
      const fail = (why: string): void => void scheduler.after(this.#wayMs(), life, () => reject(new Error(`${address}: ${why}`)));
      scheduler.after(this.#wayMs(), WORLD, () => {
        if (program === undefined || this.#isGone) return fail("the connection was refused");
        if (faults.comes("program does not answer")) return;
        if (faults.comes("program answers an error")) return void scheduler.after(this.#wayMs(), life, () => resolve({ status: 500, headers: {}, body: inPieces([Buffer.from("no profile now")]) }));
        const profile: ProgramProfile = pathname === "/debug/pprof/allocs" ? "memory" : "process_cpu";
        const asked = { address, profile, start: program.start, asker: life.name, askerHost: host, fromTick: profile === "memory" ? 0 : ticksOf(program, scheduler.nowMs), fromMs: scheduler.nowMs };
        const measureMs = 1_000 * Number(searchParams.get("seconds") ?? 0);
        const lateMs = faults.comes("program answers late") ? faults.slowMs() : 0;
        // A late program has counted before it is late: what it says is old by then.
        scheduler.after(measureMs, WORLD, () => {
          if (this.#isGone || program.start !== asked.start) return fail("the connection was reset");
          const body = this.#answer({ ...asked, endTick: ticksOf(program, scheduler.nowMs), atMs: scheduler.nowMs });
          scheduler.after(lateMs + this.#wayMs(), life, () => resolve({ status: 200, headers: {}, body: this.#bodyOf(body, life, signal) }));
        });
      });
    });
  }

  #answer(said: Omit<ProgramAnswer, "id" | "isWhole">): { readonly bytes: Uint8Array; readonly isTorn: boolean } {
    const isTorn = this.#modules.faults.comes("program's answer is cut short");
    const answer: ProgramAnswer = { ...said, id: this.answers.length + 1, isWhole: !isTorn };
    this.answers.push(answer);
    this.#modules.journal.note("program", `${answer.address} says ${answer.profile} ${answer.id} to ${answer.asker}: ticks ${answer.fromTick} to ${answer.endTick} of start ${answer.start}${isTorn ? ", cut short" : ""}`);
    const pprof = pprofOfProgram(answer);
    const whole = this.settings.isGzip ? gzipSync(pprof, { level: 1 }) : pprof;
    return { bytes: isTorn ? whole.subarray(0, this.#chance.int(0, whole.length - 1)) : whole, isTorn };
  }

  /** Of a body that was cut short the connection ends, but where it is gzip, at times the body: who reads it finds that its end is missing. */
  async *#bodyOf({ bytes, isTorn }: { readonly bytes: Uint8Array; readonly isTorn: boolean }, life: Life, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { scheduler } = this.#modules;
    const at = this.#chance.isTrue(0.3) ? this.#chance.int(0, bytes.length) : bytes.length;
    for (const piece of [bytes.subarray(0, at), bytes.subarray(at)]) {
      if (piece.length === 0) continue;
      await scheduler.wait(this.#wayMs(), life);
      signal.throwIfAborted();
      yield piece;
    }
    if (isTorn && !(this.settings.isGzip && this.#chance.isTrue(0.5))) throw new Error("the connection was reset");
  }

  #wayMs(): number {
    return this.#chance.delay(WAY_MS);
  }
}

function ticksOf({ startedMs }: Program, nowMs: number): number {
  return Math.floor((nowMs - startedMs) / TICK_MS);
}

async function* inPieces(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}
