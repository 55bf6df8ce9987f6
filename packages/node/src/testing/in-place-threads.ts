/**
 * Worker threads in place, for the simulator and for tests: the worker's own code (worker-loop.ts) runs on the caller's thread, under the same
 * supervision as in production. `InPlaceWorld` decides what libuv and the machine would decide: when a message arrives, and when a thread dies. The
 * same decisions give the same history.
 *
 *   post ──▶ inbox ──deliver──▶ worker-loop ──▶ outbox ──deliver──▶ onReply, onGone
 *
 * As between real threads, each message is a structured clone (what cannot be cloned throws here, too), only shared memory is shared, and
 * each direction keeps its order: a delivery hands over the oldest message, whichever it was made for. A delivery never runs in the turn of
 * the call that caused it, provided that `deliver` keeps to that.
 *
 * Two things differ from real threads. A batch is done in one turn: between its slices a query meets only calls that were posted before it began, and
 * no cancel reaches it. And memory is not measured: a thread runs out of memory when `endAt` says so.
 *
 * A simulated node that crashes leaves its threads alone: `deliver` drops what is still under way.
 */
import { messageOf } from "@pyromesh/base";
import type { Random } from "@pyromesh/base";
import { encodeSection, isWorthCompressing } from "@pyromesh/block";
import { describeCall } from "../compute/call-shape.ts";
import type { GuardedHeap } from "../compute/memory-guard.ts";
import { WorkerLoop } from "../compute/worker-loop.ts";
import type { WorkerBatch, WorkerCall, WorkerReply, WorkerStart } from "../compute/worker-protocol.ts";
import type { ThreadEnd, ThreadEvents, WorkerThread, WorkerThreads } from "../compute/worker-threads.ts";

export interface InPlaceWorld {
  readonly random: Random;
  /** Runs `run` once, in a later turn; in any order among others. `what` is for a log of the history. */
  deliver(what: string, run: () => void): void;
  /** Copies a message as `structuredClone` does. Absent: `structuredClone`. The simulator, which runs thousands of histories, has a faster one. */
  readonly clone?: <T>(message: T) => T;
  /** Whether a thread dies at this moment, and of what. Absent: none dies. */
  readonly endAt?: (moment: ThreadMoment) => ThreadEnd | undefined;
}

/** A moment at which a thread may die. */
export interface ThreadMoment {
  /** Counts the moments of all threads, from 0: a test kills at each of them in turn. */
  readonly step: number;
  readonly worker: number;
  readonly epoch: number;
  /**
   * `start`    before the first message
   * `arrival`  a batch has arrived and is not begun: it is sent to the next thread
   * `call`     a call of a batch is about to be done
   * `slice`    a query is between two slices
   * `reply`    a batch is done, and its reply not sent
   */
  readonly at: "start" | "arrival" | "call" | "slice" | "reply";
  /** The calls of the batch, or the one call; none at the start. */
  readonly calls: readonly WorkerCall[];
}

export const OUT_OF_MEMORY: ThreadEnd = { reason: "out_of_memory", message: "Worker terminated due to reaching memory limit: JS heap out of memory" };
export const CRASHED: ThreadEnd = { reason: "crashed", message: "it exited with 1" };

/** Thrown to end the loop of a dead thread. It goes no further than this file. */
class ThreadIsDead extends Error {}

/** A heap that never looks full, so the memory guard ends no query. */
const AMPLE_HEAP: GuardedHeap = { use: () => ({ usedBytes: 0, heapBytesMax: 2 ** 40, outsideBytes: 0 }), collect: () => {} };

export class InPlaceThreads implements WorkerThreads {
  readonly #world: InPlaceWorld;
  /** The current thread of each worker. */
  readonly #latest: InPlaceThread[] = [];
  #step = 0;

  constructor(world: InPlaceWorld) {
    this.#world = world;
  }

  start(start: WorkerStart, events: ThreadEvents): WorkerThread {
    return (this.#latest[start.worker] = new InPlaceThread(structuredClone(start), events, this.#world, () => this.#step++));
  }

  /** Ends the thread of a worker now, between two messages. Resolves when the main thread knows. */
  kill(worker: number, end: ThreadEnd = CRASHED): Promise<void> {
    return this.#latest[worker]!.kill(end);
  }

  /** How many moments (`ThreadMoment`) there were so far. */
  get stepCount(): number {
    return this.#step;
  }

  readonly encodeSection: WorkerThreads["encodeSection"] = async (tag, raw, codec, quality) => {
    if (isWorthCompressing(raw, codec)) await new Promise<void>((resolve) => this.#world.deliver("a section is compressed", resolve));
    return encodeSection(tag, raw, codec, quality);
  };
}

class InPlaceThread implements WorkerThread {
  readonly #start: WorkerStart;
  readonly #events: ThreadEvents;
  readonly #world: InPlaceWorld;
  readonly #nextStep: () => number;
  readonly #loop: WorkerLoop;
  readonly #inbox: WorkerBatch[] = [];
  readonly #outbox: (() => void)[] = [];
  /** Batches that have begun: one, or a query and above it the batch that runs between two of its slices. */
  readonly #begun: WorkerBatch[] = [];
  #isDead = false;
  readonly #gone: Promise<void>;
  #resolveGone!: () => void; // set before the constructor returns

  constructor(start: WorkerStart, events: ThreadEvents, world: InPlaceWorld, nextStep: () => number) {
    this.#start = start;
    this.#events = events;
    this.#world = world;
    this.#nextStep = nextStep;
    this.#gone = new Promise((resolve) => (this.#resolveGone = resolve));
    this.#loop = new WorkerLoop(start, {
      post: (reply) => this.#reply(reply),
      receive: () => {
        this.#liveThrough("slice", callsOf(this.#begun.at(-1)));
        return this.#receive();
      },
      random: world.random,
      heap: AMPLE_HEAP,
      onCall: (call) => this.#liveThrough("call", [call]),
    });
    this.#diesAt("start", []);
  }

  post(batch: WorkerBatch): void {
    const copy = this.#clone(batch);
    if (this.#isDead) return;
    this.#inbox.push(copy);
    this.#world.deliver(`to worker ${this.#start.worker}: ${describeBatch(copy)}`, () => this.#take());
  }

  #clone<T>(message: T): T {
    return this.#world.clone === undefined ? structuredClone(message) : this.#world.clone(message);
  }

  busyMs(): number {
    return 0;
  }

  end(): Promise<void> {
    return this.kill(CRASHED);
  }

  kill(end: ThreadEnd): Promise<void> {
    this.#die(end);
    return this.#gone;
  }

  #take(): void {
    if (this.#isDead || this.#inbox.length === 0) return; // it was taken between two slices of a query
    try {
      this.#loop.answer(this.#receive()!); // there is one
    } catch (error) {
      // As in a thread, what the loop throws ends it.
      if (!(error instanceof ThreadIsDead)) this.#die({ reason: "crashed", message: messageOf(error) });
    }
  }

  #receive(): WorkerBatch | undefined {
    const [batch] = this.#inbox;
    if (batch === undefined) return undefined;
    this.#liveThrough("arrival", callsOf(batch));
    this.#inbox.shift();
    this.#begun.push(batch);
    return batch;
  }

  #reply(reply: WorkerReply): void {
    if (this.#isDead) return; // what was at work when it died is unwound
    const batch = this.#begun.pop();
    this.#liveThrough("reply", callsOf(batch));
    const copy = this.#clone(reply);
    this.#send(`from worker ${this.#start.worker}: reply ${reply[0]}`, () => this.#events.onReply(copy));
  }

  /** Throws where the thread dies at this moment, or is dead. */
  #liveThrough(at: ThreadMoment["at"], calls: readonly WorkerCall[]): void {
    if (this.#isDead || this.#diesAt(at, calls)) throw new ThreadIsDead();
  }

  #diesAt(at: ThreadMoment["at"], calls: readonly WorkerCall[]): boolean {
    const { worker, epoch } = this.#start;
    const step = this.#nextStep();
    const end = this.#world.endAt?.({ step, worker, epoch, at, calls });
    if (end !== undefined) this.#die(end);
    return end !== undefined;
  }

  /** Replies that were sent before arrive before the end does. */
  #die(end: ThreadEnd): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#inbox.length = 0;
    this.#send(`worker ${this.#start.worker} is gone: ${end.reason}`, () => {
      this.#events.onGone(end);
      this.#resolveGone();
    });
  }

  #send(what: string, run: () => void): void {
    this.#outbox.push(run);
    this.#world.deliver(what, () => this.#outbox.shift()!()); // one delivery for each
  }
}

function callsOf(batch: WorkerBatch | undefined): readonly WorkerCall[] {
  if (batch === undefined) return [];
  const [, ...calls] = batch;
  return calls;
}

function describeBatch(batch: WorkerBatch): string {
  return `${batch[0]} ${callsOf(batch).map(describeCall).join(", ")}`;
}
