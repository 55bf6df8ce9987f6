/**
 * Takes profiles of this process's main thread when a request asks for one. Only this file imports V8's profiler. Beginning a profile holds the
 * thread for 10 to 40 ms, in which V8 lists its functions. So no profile is taken unasked, except with --self-profile.
 */
import type * as pprofModule from "@datadog/pprof";
import { CodedError, messageOf } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { DebugProfileKind, DebugProfiler } from "@pyromesh/api";

/** Time between two samples, as in Go: 100 samples a second cost little, and the profile is made of them in 1 to 2 ms. */
const INTERVAL_MICROS = 10_000;
/** Bytes between two samples of allocations, as in Go. */
const HEAP_INTERVAL_BYTES = 512 * 2 ** 10;
const STACK_DEPTH_MAX = 64;

type Pprof = typeof pprofModule;

export class ProcessProfiler implements DebugProfiler {
  readonly #clock: Clock;
  /** When the profile under way ends. V8 has one profiler of each kind, so a second profile at the same time is refused. */
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
    // The profiler keeps CPU time in the contexts of samples, which it does not have in a profile by lines.
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
      // With --self-profile the heap profiler has run since the start of the process: its samples are answered now.
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

/** Loaded at the first request: it is a native module of some megabytes. */
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
