/**
 * Keeps one worker alive (compute-worker.ts): what is done when its thread dies.
 *
 *   thread gone ──▶ counted, logged ──▶ started (worker-restart.ts: when) ──▶ rows read back (read-back.ts) ──▶ holds all rows
 *
 * Records below the head's next seq in the turn in which the worker reports the death are read back: their inserts went to the dead thread.
 * Inserts of later records wait for the next thread.
 *
 * Queries wait for their rows at most HELD_MAX_MS; past it they are refused, and are told how long it will take. Pushes go on. While the head
 * is replayed there is nothing to read rows back from: inserts to a worker whose thread died then are thrown away until there is.
 */
import type { Clock, Counter, Logger, Timer } from "@pyromesh/base";
import { CodedError } from "@pyromesh/base";
import { describeCall } from "./call-shape.ts";
import type { RowSource } from "./compute.ts";
import { ComputeWorker } from "./compute-worker.ts";
import type { WorkerDeath } from "./compute-worker.ts";
import type { WorkerStart } from "./worker-protocol.ts";
import { ReadBack } from "./read-back.ts";
import { planRestart, recentDeaths } from "./worker-restart.ts";
import type { WorkerThreads } from "./worker-threads.ts";

/** How long queries wait for rows that are read back: no longer than a caller waits for a slow query. */
const HELD_MAX_MS = 10_000;
/** `Retry-After` where it is not known how long the read-back will take, for instance because the disk does not answer. */
const RETRY_AFTER_SECONDS = 15;
const RETRY_AFTER_SECONDS_MAX = 600;

export interface WorkerSupervisorModules {
  readonly threads: WorkerThreads;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly restarts: Counter;
  /** Called for each death, before anything else is done about it. */
  readonly onDeath: (death: WorkerDeath) => void;
  /** Called when the worker cannot be kept alive. It refuses all calls from then on. */
  readonly onHopeless: (error: Error) => void;
}

export class WorkerSupervisor {
  readonly worker: ComputeWorker;
  readonly #number: number;
  readonly #modules: WorkerSupervisorModules;
  readonly #readBack: ReadBack;
  readonly #stopped = new AbortController();
  /** When the worker died, since it last answered a call and within the last minute. */
  #deathsMs: number[] = [];
  #source: RowSource | undefined;
  /** True from a death until all rows are read back. */
  #isRefilling = false;
  #startedMs = 0;
  #untilSeq = 0;
  #startTimer: Timer | undefined;
  #heldTimer: Timer | undefined;

  constructor(start: Omit<WorkerStart, "canceled" | "begun" | "epoch">, modules: WorkerSupervisorModules) {
    this.#number = start.worker;
    this.#modules = modules;
    this.worker = new ComputeWorker(start, { threads: modules.threads, onGone: (death) => this.#onGone(death) });
    this.#readBack = new ReadBack(start, { worker: this.worker, clock: modules.clock, logger: modules.logger });
  }

  readBackFrom(source: RowSource): void {
    this.#source = source;
    if (!this.#isRefilling) return;
    this.worker.discard(false);
    this.#untilSeq = source.nextSeq;
    if (!this.worker.isDown) void this.#refill(source);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#cancelTimers();
    await this.worker.stop();
  }

  #onGone(death: WorkerDeath): void {
    const { clock, logger, onDeath, restarts } = this.#modules;
    const nowMs = clock.monotonicMs();
    this.#deathsMs = death.hasServed ? [nowMs] : [...recentDeaths(this.#deathsMs, nowMs), nowMs];
    this.#startTimer?.cancel();
    this.#readBack.onGone(death.reason === "failed" ? [] : death.atWork);
    onDeath(death);
    restarts.add({ reason: death.reason });
    const plan = planRestart(this.#deathsMs);
    const said = { worker: this.#number, reason: death.reason, message: death.message, atWork: death.atWork.map(describeCall) };
    if (plan.kind === "give-up") {
      logger.error("a worker thread died again and again, and is not started any more", { ...said, deaths: this.#deathsMs.length });
      this.#giveUp(death);
      return;
    }
    logger.error("a worker thread died: the calls that it was working on are refused, another thread is started, and its rows are read back", { ...said, startMs: plan.delayMs });
    if (!this.#isRefilling) this.#startedMs = nowMs;
    this.#isRefilling = true;
    if (this.#source === undefined) this.worker.discard(true);
    else this.#untilSeq = this.#source.nextSeq;
    this.#heldTimer ??= clock.after(HELD_MAX_MS, () => this.worker.refuseHeld(() => this.#rowsLate()));
    if (plan.delayMs === 0) this.#start();
    else this.#startTimer = clock.after(plan.delayMs, () => this.#start());
  }

  #start(): void {
    this.worker.start();
    if (this.#source !== undefined) void this.#refill(this.#source);
  }

  async #refill(source: RowSource): Promise<void> {
    const { clock, logger } = this.#modules;
    const { epoch } = this.worker;
    const recordCount = await this.#readBack.run(source, this.#untilSeq, this.#stopped.signal, () => (this.#deathsMs = []));
    if (recordCount === undefined || this.#stopped.signal.aborted || this.worker.epoch !== epoch) return;
    this.#isRefilling = false;
    this.#heldTimer?.cancel();
    this.#heldTimer = undefined;
    this.worker.makeWhole(source.liveGenerations, source.lastGeneration);
    logger.info("a worker that was started again holds all of its rows", { worker: this.#number, recordCount, durationMs: Math.round(clock.monotonicMs() - this.#startedMs) });
  }

  #giveUp({ message, reason }: WorkerDeath): void {
    this.#stopped.abort();
    this.#cancelTimers();
    const error = new CodedError({
      code: "WORKER_HOPELESS",
      kind: "unavailable",
      message:
        `worker ${this.#number} died ${this.#deathsMs.length} times within a minute (${message})` +
        (reason === "out_of_memory" ? ": give the process more memory, or a smaller --flush-size" : ""),
    });
    void this.worker.stop(error);
    this.#modules.onHopeless(error);
  }

  #rowsLate(): CodedError {
    const remainingMs = this.#readBack.remainingMs;
    const seconds = remainingMs === undefined ? RETRY_AFTER_SECONDS : Math.min(RETRY_AFTER_SECONDS_MAX, Math.max(1, Math.ceil(remainingMs / 1000)));
    return new CodedError({
      code: "WORKER_ROWS_LATE",
      kind: "unavailable",
      message: `a worker thread died, and reading its rows back takes long: the answer would lack them; try again in ${seconds} s`,
      details: { retryAfterSeconds: seconds },
    });
  }

  #cancelTimers(): void {
    this.#startTimer?.cancel();
    this.#heldTimer?.cancel();
  }
}
