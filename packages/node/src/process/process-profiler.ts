/**
 * Profiles of this process's main thread, taken when they are asked for. Only this file imports V8's profiler. To begin one holds the thread
 * for 10 to 40 ms, in which V8 lists its functions: that is why nothing takes profiles by itself but where --self-profile asks for it.
 */
import type * as pprofModule from "@datadog/pprof";
import { CodedError, messageOf } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { DebugProfileKind, DebugProfiler } from "@pyromesh/api";

/** Between two samples of time, as in Go: 100 a second cost nothing that is felt, and their profile is made in a millisecond or two. */
const INTERVAL_MICROS = 10_000;
/** Between two samples of allocations, as in Go. */
const HEAP_INTERVAL_BYTES = 512 * 2 ** 10;
const STACK_DEPTH_MAX = 64;

type Pprof = typeof pprofModule;

export class ProcessProfiler implements DebugProfiler {
  readonly #clock: Clock;
  /** When the profile under way ends. V8 has one profiler of each kind, so there is one profile at a time: another one is refused. */
  #busyUntilMs: number | undefined;

  constructor(modules: { readonly clock: Clock }) {
    this.#clock = modules.clock;
  }

  async profile(kind: DebugProfileKind, seconds: number, signal: AbortSignal): Promise<Uint8Array> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#busyUntilMs !== undefined) throw busy(Math.max(1, Math.ceil((this.#busyUntilMs - nowMs) / 1000)));
    this.#busyUntilMs = nowMs + seconds * 1000;
    try {
      const pprof = await load();
      const profile = kind === "heap" ? await this.#heap(pprof, seconds, signal) : await this.#time(pprof, kind, seconds, signal);
      return await pprof.encode(profile);
    } finally {
      this.#busyUntilMs = undefined;
    }
  }

  async #time({ time }: Pprof, kind: "cpu" | "wall", seconds: number, signal: AbortSignal): Promise<Parameters<Pprof["encode"]>[0]> {
    if (time.isStarted()) throw inUse();
    const isCpu = kind === "cpu";
    // CPU time is kept in the samples' contexts, which a profile by lines cannot have.
    time.start({ durationMillis: seconds * 1000, intervalMicros: INTERVAL_MICROS, withContexts: isCpu, collectCpuTime: isCpu, lineNumbers: !isCpu });
    try {
      await this.#clock.sleep(seconds * 1000, signal);
    } catch (error) {
      time.stop(false, noLabels);
      throw error;
    }
    return time.stop(false, noLabels);
  }

  async #heap({ heap }: Pprof, seconds: number, signal: AbortSignal): Promise<Parameters<Pprof["encode"]>[0]> {
    try {
      heap.start(HEAP_INTERVAL_BYTES, STACK_DEPTH_MAX);
    } catch {
      // --self-profile has it running since the start of the process: what that knows is answered, at once.
      return heap.profile();
    }
    try {
      await this.#clock.sleep(seconds * 1000, signal);
      return heap.profile();
    } finally {
      heap.stop();
    }
  }
}

/** Loaded when it is first asked for: it is a native module of some megabytes. */
async function load(): Promise<Pprof> {
  try {
    const loaded = await import("@datadog/pprof");
    return "default" in loaded ? (loaded.default as Pprof) : loaded; // the package is CommonJS under a default
  } catch (cause) {
    throw new CodedError({ code: "DEBUG_PROFILE_UNAVAILABLE", kind: "unimplemented", message: `this process cannot be profiled on this platform: ${messageOf(cause)}`, cause });
  }
}

function noLabels(): Record<string, never> {
  return {};
}

function busy(retryAfterSeconds: number): CodedError {
  return new CodedError({
    code: "DEBUG_PROFILE_BUSY",
    kind: "unavailable",
    message: `another profile of this process is being taken: try again in ${retryAfterSeconds} s`,
    details: { retryAfterSeconds },
  });
}

function inUse(): CodedError {
  return new CodedError({
    code: "DEBUG_PROFILE_IN_USE",
    kind: "failed_precondition",
    message: "this node profiles itself (--self-profile), and there is one profiler in a process: ask for the profiles of service pyromesh, or start the node without it",
  });
}
