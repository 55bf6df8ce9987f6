/**
 * Virtual time, and the queue of all future events: timers, completions of the disk, the bucket and the threads, messages of the network. Nothing
 * else happens in a simulated world, so the seed determines the whole history.
 *
 *   take the earliest event ── run it ── let every promise it settled run to its end ── take the next
 *
 * What must stay true: the seed orders events of the same moment; when an event begins, no promise callback is left to run.
 *
 * Node runs the queue of `process.nextTick` when no microtask is left, so the next event runs from there. That costs a tenth of a round of the
 * event loop. A round is needed now and then, since garbage collection and the compiler finish their work in it. Nothing else waits in
 * the event loop or in that queue, so nothing else can come in between.
 */
import type { Chance } from "./chance.ts";

export interface Pending {
  cancel(): void;
}

/** One run of a node, from its start to its stop or crash. Events belong to a life, and those that are pending when it ends are dropped. */
export class Life {
  readonly name: string;
  readonly ended: Promise<void>;
  /** While set, events of this life wait (`Pause`). */
  pause: Pause | undefined;
  #isOver = false;
  #resolveEnded!: () => void; // set before the constructor returns

  constructor(name: string) {
    this.name = name;
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Ends the life: the scheduler drops its events from now on. */
  end(): void {
    this.#isOver = true;
    this.#resolveEnded();
  }
}

/** A process that is stopped for a while: SIGSTOP, or a machine that is suspended. */
export interface Pause {
  readonly untilUs: number;
}

/** The life of what exists as long as the world does: clients, the disk, the bucket. */
export const WORLD: Life = new Life("world");

class Event implements Pending {
  /** Whole microseconds. */
  atUs: number;
  tie: number;
  readonly life: Life;
  /** Undefined: cancelled. */
  run: (() => void) | undefined;

  constructor(atUs: number, tie: number, life: Life, run: () => void) {
    this.atUs = atUs;
    this.tie = tie;
    this.life = life;
    this.run = run;
  }

  cancel(): void {
    this.run = undefined;
  }
}

/** More events than any history of a minute has. At the bound the run fails, since something repeats for ever. */
const EVENTS_MAX = 2_000_000;

export class Scheduler {
  readonly #chance: Chance;
  readonly #heap: Event[] = [];
  #nowUs = 0;
  #eventCount = 0;
  /** Events that a pause has put off so far. */
  #deferredCount = 0;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  /** Virtual time since the world began. */
  get nowMs(): number {
    return this.#nowUs / 1000;
  }

  /** The same in whole microseconds. */
  get nowUs(): number {
    return this.#nowUs;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  /** Runs `run` once in `delayMs`, unless it is cancelled or `life` is over by then. */
  after(delayMs: number, life: Life, run: () => void): Pending {
    // Rounded up to a microsecond, so that a caller which waited and reads the clock never finds that less than its delay has passed.
    const atUs = this.#nowUs + Math.max(0, Math.ceil(delayMs * 1000));
    const event = new Event(atUs, this.#chance.uint32(), life, run);
    push(this.#heap, event);
    return event;
  }

  /** Resolves after `delayMs`; never if `life` ends before. */
  wait(delayMs: number, life: Life = WORLD): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, life, resolve));
  }

  /**
   * Runs no event of a life for `lengthMs`. What is due meanwhile runs at the end, in its order. `isClockStopped`: time stands still for this life, so
   * what is pending is due that much later. Resolves at the end. Must not be called while the life is paused.
   */
  async pause(life: Life, lengthMs: number, { isClockStopped }: { readonly isClockStopped: boolean }): Promise<void> {
    const lengthUs = Math.ceil(lengthMs * 1000);
    life.pause = { untilUs: this.#nowUs + lengthUs };
    if (isClockStopped) {
      for (const event of this.#heap) if (event.life === life) event.atUs += lengthUs;
      for (const event of this.#heap.splice(0)) push(this.#heap, event);
    }
    await this.wait(lengthMs);
    life.pause = undefined;
  }

  /** Runs events until `isDone()` is true or no event is left. Rejects with what an event throws. */
  run(isDone: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const afterMicrotasks = (): void => process.nextTick(step);
      const step = (): void => {
        try {
          if (isDone() || !this.#next()) resolve();
          else if (this.#eventCount % EVENTS_A_ROUND === 0) nextRound(step);
          else void SETTLED.then(afterMicrotasks);
        } catch (error) {
          reject(error as Error);
        }
      };
      step();
    });
  }

  /** Runs the next event. Returns false if none is left. */
  #next(): boolean {
    for (;;) {
      const event = pop(this.#heap);
      if (event === undefined) return false;
      if (event.run === undefined || event.life.isOver) continue;
      if (event.life.pause !== undefined && event.life.pause.untilUs >= event.atUs) {
        event.atUs = event.life.pause.untilUs + 1;
        event.tie = this.#deferredCount++;
        push(this.#heap, event);
        continue;
      }
      if (++this.#eventCount > EVENTS_MAX) throw new Error(`${EVENTS_MAX} events: something repeats for ever`);
      this.#nowUs = event.atUs;
      event.run();
      return true;
    }
  }
}

/** Events that run in one round of the event loop. */
const EVENTS_A_ROUND = 100;

/** `then` of a promise costs half of `queueMicrotask`. */
const SETTLED = Promise.resolve();

/** Kept here before `no-escape.ts` replaces the global. */
const nextRound = setImmediate;

// --- a binary heap ----------------------------------------------------------------------------------------------------

function isBefore(a: Event, b: Event): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.tie < b.tie);
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
