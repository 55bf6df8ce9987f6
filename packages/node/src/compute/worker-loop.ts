/**
 * What a worker's own thread does: takes batches of calls in the order in which they arrive, and answers each when it is done. While a query
 * is at work it takes what arrives between two of its slices (sliced-work.ts).
 *
 * It knows no thread: what it needs of the world is passed in. compute.worker.ts runs it in a thread, testing/in-place-threads.ts in place.
 */
import { assert, sharedBytes, unreachable, WORD_BYTES } from "@pyromesh/base";
import type { Random } from "@pyromesh/base";
import { Interrupt, pushMemoryBytes } from "@pyromesh/profile";
import { ComputeEngine } from "./compute-engine.ts";
import type { EncodedPush } from "./compute-engine.ts";
import { drawFiles } from "./draw-files.ts";
import { mergeAnswer } from "./finish-query.ts";
import type { BuiltDataset, EncodeSettings, Finished } from "./compute.ts";
import { mergePartials } from "./merge-partials.ts";
import { workerOf } from "./worker-of.ts";
import { cancelCell, firstHalfOf, firstRowOf, isPush, packRecords, queryCanceled, recordsTooLarge, toPlainError, unpackPush, workerLost } from "./worker-protocol.ts";
import type { HalfPush, PackedPush, PackedRecords, PartOfBody, WorkerBatch, WorkerCall, WorkerOutcome, WorkerReply, WorkerStart } from "./worker-protocol.ts";
import { SLOT_BYTES, slotOf } from "./buffer-pool.ts";
import { HeldHeap, MemoryGuard } from "./memory-guard.ts";
import type { GuardedHeap } from "./memory-guard.ts";
import { packPartial, unpackPartials } from "./packed-partial.ts";
import { sharedCopy } from "./shared-copy.ts";
import { SlicedWork } from "./sliced-work.ts";

/** What a worker needs of its thread. */
export interface WorkerWorld {
  /** Sends a reply to the main thread. */
  post(reply: WorkerReply): void;
  /** Takes the oldest batch that has arrived and is not begun; undefined if there is none. Called between two slices of a query. */
  receive(): WorkerBatch | undefined;
  readonly random: Random;
  readonly heap: GuardedHeap;
  /** Called before each call of a batch, once the batch counts as begun: a test ends the thread here. What it throws ends the thread. */
  readonly onCall: (call: WorkerCall) => void;
}

export class WorkerLoop {
  readonly #start: WorkerStart;
  readonly #world: WorkerWorld;
  readonly #heap: HeldHeap;
  readonly #engine: ComputeEngine;
  readonly #settings = new Map<number, EncodeSettings>();
  readonly #slices: SlicedWork<WorkerBatch>;
  /** Pushes that are done in part, by number: two at most, since worker-compute.ts lets bodies take turns (mutex.ts), each with its body and tables. */
  readonly #half = new Map<number, Generator<undefined, EncodedPush>>();
  #nextHalf: number;
  /** Guards the query at the bottom of the stack. What a listing allocates between two of its slices counts as the query's own. */
  #guard: MemoryGuard | undefined;

  constructor(start: WorkerStart, world: WorkerWorld) {
    const { worker, workerCount, epoch, openBytesMax } = start;
    this.#start = start;
    this.#nextHalf = firstHalfOf(epoch);
    this.#world = world;
    this.#heap = new HeldHeap(world.heap);
    this.#engine = new ComputeEngine({ openBytesMax }, { random: world.random, isMine: (record) => workerOf(record, workerCount) === worker, firstRow: firstRowOf(epoch) });
    this.#slices = new SlicedWork({ receive: () => world.receive(), run: (batch) => this.answer(batch) });
  }

  /** Does the calls of a batch and posts the reply. Throws only what ends the thread. */
  answer([number, ...calls]: WorkerBatch): void {
    Atomics.store(this.#start.begun, 0, BigInt(number));
    const reply: [number, ...WorkerOutcome[]] = [number];
    for (const call of calls) reply.push(this.#outcomeOf(number, call));
    this.#world.post(reply);
  }

  #outcomeOf(batch: number, call: WorkerCall): WorkerOutcome {
    this.#world.onCall(call);
    try {
      if (isPush(call)) return this.#encode(call);
      if (call.method === "resume") return this.#resume(call.push);
      const value = this.#run(batch, call);
      return value === undefined ? undefined : { value };
    } catch (thrown) {
      return { error: toPlainError(thrown) };
    }
  }

  #run(batch: number, call: Exclude<WorkerCall, PackedPush | { readonly method: "resume" }>): unknown {
    const engine = this.#engine;
    switch (call.method) {
      case "settings":
        if (call.isFirst) this.#settings.clear();
        this.#settings.set(call.number, call.settings);
        return undefined;
      case "insert":
        return engine.insert(call.generation, call.records);
      case "rows":
        return engine.insertRows(call.generation, call.rows);
      case "release":
        return engine.releaseRows(call.rows);
      case "build":
        return this.#build(call);
      case "drop":
        return engine.drop(call.generation);
      case "barrier":
        return undefined;
      case "scan":
        return this.#withInterrupt(batch, call, (interrupt) => packPartial(engine.scan(call.task, interrupt)));
      case "merge":
        return this.#withInterrupt(batch, call, (interrupt) => packPartial(mergePartials(call.spec, unpackPartials(call.partials, interrupt), interrupt)));
      case "finish":
        // No name for the unpacked parts here: this frame would keep them while the answer is printed.
        return this.#withInterrupt(batch, call, (interrupt) => finishedShared(mergeAnswer(call.spec, unpackPartials(call.partials, interrupt), interrupt)()));
      case "draw":
        return this.#withInterrupt(batch, call, (interrupt) => finishedShared(drawFiles(call.task, this.#world.random.bytes(16), interrupt)));
      default:
        return unreachable(call);
    }
  }

  /** Runs the call in slices. Between two slices it ends if its caller has gone or it needs too much memory; otherwise batches that have arrived run first. */
  #withInterrupt<T>(batch: number, call: WorkerCall, work: (interrupt: Interrupt) => T): T {
    const { canceled, outsideBytesMax } = this.#start;
    const [own, cell] = [BigInt(batch), cancelCell(call)];
    const outer = this.#guard;
    const memory = outer ?? new MemoryGuard({ outsideBytesMax }, { heap: this.#heap, rowBytes: () => this.#engine.rowBytes + pushMemoryBytes() });
    this.#guard = memory;
    try {
      return work(
        new Interrupt(() => {
          if (Atomics.load(canceled, cell) === own) throw queryCanceled();
          memory.check();
          this.#slices.giveWay();
        }),
      );
    } finally {
      this.#guard = outer;
    }
  }

  /** Sections are views of writers' larger buffers: what travels is no more than they hold. */
  #build({ generation, tenant, windowStartMs }: Extract<WorkerCall, { method: "build" }>): BuiltDataset[] | undefined {
    this.#guard?.noteCompany();
    return this.#engine.build(generation, tenant, windowStartMs)?.map((dataset) => ({
      ...dataset,
      sections: dataset.sections.map((section) => ({ ...section, raw: sharedCopy(section.raw) })),
    }));
  }

  /** The records lie where the pprof lay, as far as they fit. */
  #encode(push: PackedPush): WorkerOutcome {
    const { shared, recordBytesMax } = this.#start;
    const [place] = push;
    const task = unpackPush(push, (at, lengthBytes) => new Uint8Array(shared, at, lengthBytes), this.#settingsOf);
    let next = typeof place === "number" ? slotOf(place) : 0;
    const end = typeof place === "number" ? next + SLOT_BYTES : 0;
    let recordBytes = 0;
    const room = (lengthBytes: number): Uint8Array => {
      recordBytes += lengthBytes;
      if (recordBytes > recordBytesMax) throw recordsTooLarge(recordBytesMax);
      if (next + lengthBytes > end) return sharedBytes(lengthBytes);
      const at = next;
      next += Math.ceil(lengthBytes / WORD_BYTES) * WORD_BYTES; // each begins with a word
      return new Uint8Array(shared, at, lengthBytes);
    };
    if (task.format === undefined) return this.#packed(this.#engine.encode(task, room));
    return this.#goOn(this.#nextHalf++, this.#engine.encodeBody(task, task.format, room));
  }

  #resume(number: number): WorkerOutcome {
    const steps = this.#half.get(number);
    if (steps === undefined) throw workerLost("the one before had begun the body", false);
    this.#half.delete(number);
    return this.#goOn(number, steps);
  }

  /** Does a step of a push, and keeps what is left of it. */
  #goOn(number: number, steps: Generator<undefined, EncodedPush>): WorkerOutcome {
    const step = steps.next();
    if (step.done === true) return this.#packed(step.value);
    this.#half.set(number, steps);
    return { value: { half: number } satisfies HalfPush };
  }

  #packed(encoded: EncodedPush): PackedRecords | { readonly value: PartOfBody } {
    const { shared } = this.#start;
    const records = packRecords(encoded, (bytes) => (bytes.buffer === shared ? bytes.byteOffset : bytes));
    return encoded.refused === undefined ? records : { value: { records, refused: encoded.refused.map(toPlainError) } };
  }

  readonly #settingsOf = (number: number): EncodeSettings => {
    const found = this.#settings.get(number);
    assert(found !== undefined, "settings are sent before the first push that names them");
    return found;
  };
}

/** An answer of megabytes travels in shared memory: the main thread would copy bytes that lie in the message itself. */
function finishedShared(finished: Finished): Finished {
  return "bytes" in finished ? { ...finished, bytes: sharedCopy(finished.bytes) } : finished;
}
