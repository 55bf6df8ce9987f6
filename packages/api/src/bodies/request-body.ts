/**
 * Reads the body of a request into one buffer. With a Content-Length the bytes are copied into their final buffer, which grows as they
 * come: a client cannot claim memory by announcing a large body. Without it (chunked) the pieces are joined at the end. Small bodies use
 * pooled buffers, so that pushes make no garbage outside the heap, which V8 answers with full collections (docs/decisions/0006).
 *
 * A body waits for memory before its first byte is read, while it holds none. Once it has begun, it grows at once or is refused, so that
 * no two bodies wait for each other. While it waits, its socket is not read, so its client waits too. A small body of known length, which
 * cannot grow, may use a reserve instead: otherwise a few clients that send large bodies and stall would block every push and query until
 * they time out.
 *
 * What must stay true: a body never holds more than `sizeBytesMax`, nor all bodies more than their budget. Nobody uses a body after its
 * `release`, which comes when the handler has ended, even where the request was answered before.
 */
import { CodedError, MemoryBudget } from "@pyromesh/base";
import type { BudgetWait, Clock, MemoryBudgetOptions } from "@pyromesh/base";
import { hasBody } from "../ports/http-stream.ts";
import type { IncomingRequest } from "../ports/http-stream.ts";
import type { Timeouts, Waiting } from "../ports/timeouts.ts";
import { bodiesTooMany } from "../ports/request-memory.ts";

/**
 * Bodies up to this size use pooled buffers. A body counts with its own length; the rest of its buffer is bounded by the number of
 * running handlers (64 MiB).
 */
const POOLED_BODY_BYTES_MAX = 64 * 2 ** 10;
/** Free buffers that the pool keeps: 4 MiB. */
const FREE_COUNT_MAX = 64;

/** The size of the reserve for small bodies, relative to the budget. Of 256 MiB it is room for 256 of the largest of them. */
const RESERVE_PART = 1 / 16;

/**
 * What Node.js has read of a request whose body nobody reads yet: two reads (READ_BYTES of listener/http-listener.ts), or the window of a
 * stream of HTTP/2. No budget counts it.
 */
export const UNREAD_BYTES_MAX: number = 128 * 2 ** 10;
const WAITING_COUNT_MIN = 64;

/** The memory that all bodies hold as they were sent. */
export class BodyMemory {
  /** At the bound a new body waits for a bounded time, then it is refused (503). A body larger than the budget is refused at once (413). */
  readonly budget: MemoryBudget;
  /** For small bodies that find no room in `budget`. */
  readonly reserve: MemoryBudget;
  /** Bodies that may wait: together their sockets hold no more than the budget. One more is refused at once (503). */
  readonly waitingCountMax: number;
  readonly #free: Uint8Array[] = [];

  constructor({ bytesMax, waitTimeoutMs }: MemoryBudgetOptions, modules: { readonly clock: Clock }) {
    this.budget = new MemoryBudget({ bytesMax, waitTimeoutMs }, modules);
    this.waitingCountMax = Math.max(WAITING_COUNT_MIN, Math.floor(bytesMax / UNREAD_BYTES_MAX));
    this.reserve = new MemoryBudget({ bytesMax: Math.floor(bytesMax * RESERVE_PART), waitTimeoutMs }, modules);
  }

  /** A buffer for a body, from the pool where it is small. */
  lend(sizeBytes: number): Uint8Array {
    if (sizeBytes === 0 || sizeBytes > POOLED_BODY_BYTES_MAX) return new Uint8Array(sizeBytes);
    return (this.#free.pop() ?? new Uint8Array(POOLED_BODY_BYTES_MAX)).subarray(0, sizeBytes);
  }

  /** Returns a buffer of `lend` to the pool. Beyond FREE_COUNT_MAX it is left to the garbage collector. */
  takeBack({ buffer }: Uint8Array): void {
    if (buffer.byteLength === POOLED_BODY_BYTES_MAX && this.#free.length < FREE_COUNT_MAX) this.#free.push(new Uint8Array(buffer));
  }
}

export interface BodyModules {
  readonly bodyMemory: BodyMemory;
  /** The time limit from the first read of a body to its last byte. */
  readonly bodyTimeouts: Timeouts;
}

export class RequestBody implements Waiting {
  readonly #request: IncomingRequest;
  readonly #memory: BodyMemory;
  readonly #timeouts: Timeouts;
  #takenBytes = 0;
  #isStarted = false;
  /** The body is neither complete nor given up. */
  #isReading = false;
  /** A buffer of `lend` that holds the complete body. */
  #pool: Uint8Array | undefined;
  /** The budget that its memory was taken from. */
  #budget: MemoryBudget;
  /** Its places in line while it waits for memory. */
  #waits: readonly BudgetWait[] = NO_WAITS;
  #isClosed = false;
  #resolve!: (body: Uint8Array) => void; // set before the first listener is
  #reject!: (error: CodedError) => void;

  constructor(request: IncomingRequest, { bodyMemory, bodyTimeouts }: BodyModules) {
    this.#request = request;
    this.#memory = bodyMemory;
    this.#budget = bodyMemory.budget;
    this.#timeouts = bodyTimeouts;
  }

  /** Rejects BODY_TOO_LARGE, BODY_READ_FAILED or BODIES_TOO_MANY. */
  read(sizeBytesMax: number): Promise<Uint8Array> {
    if (this.#isStarted) return Promise.reject(new Error("the body was read twice"));
    this.#isStarted = true;
    const { headers } = this.#request;
    const length = headers["content-length"];
    if (!hasBody(this.#request)) return Promise.resolve(new Uint8Array(0));
    const sizeBytes = length === undefined ? undefined : Number(length);
    const { bytesMax, largeBytesMax } = this.#memory.budget;
    // A body of unknown length is in memory twice while its pieces are joined.
    const bounds = { sizeBytesMax, heldBytesMax: sizeBytes === undefined ? Math.floor(bytesMax / 2) : bytesMax };
    if (sizeBytes !== undefined && sizeBytes > boundOf(bounds)) return Promise.reject(tooLarge(bounds));
    const firstBytes = sizeBytes === undefined ? 0 : Math.min(sizeBytes, POOLED_BODY_BYTES_MAX, largeBytesMax);
    const { budget, reserve } = this.#memory;
    // Counted as a large piece, which leaves a quarter of the budget free for bodies that grow.
    if (!budget.tryBegin(firstBytes, true)) {
      const isOfReserve = firstBytes === sizeBytes && sizeBytes <= reserve.bytesMax;
      if (!isOfReserve) return this.#readLater([budget], firstBytes, sizeBytes, bounds);
      if (!reserve.tryBegin(firstBytes, false)) return this.#readLater([budget, reserve], firstBytes, sizeBytes, bounds);
      this.#budget = reserve;
    }
    this.#takenBytes += firstBytes;
    return this.#begin(firstBytes, sizeBytes, bounds);
  }

  async #readLater(budgets: readonly MemoryBudget[], firstBytes: number, sizeBytes: number | undefined, bounds: BodyBounds): Promise<Uint8Array> {
    if (this.#memory.budget.waitingCount >= this.#memory.waitingCountMax) throw bodiesTooMany(this.#memory.budget);
    const waits = budgets.map((budget) => ({ budget, wait: budget.wait(firstBytes, budget === this.#memory.budget) }));
    this.#waits = waits.map(({ wait }) => wait);
    const budget = await firstHeld(waits, firstBytes);
    this.#waits = NO_WAITS;
    if (budget === undefined) throw this.#isClosed ? stoppedEarly() : bodiesTooMany(this.#memory.budget);
    this.#budget = budget;
    this.#takenBytes += firstBytes;
    return this.#begin(firstBytes, sizeBytes, bounds);
  }

  #begin(firstBytes: number, sizeBytes: number | undefined, bounds: BodyBounds): Promise<Uint8Array> {
    if (sizeBytes === undefined) return this.#collect(new ChunkCollector(), bounds);
    const first = sizeBytes > firstBytes ? new Uint8Array(firstBytes) : this.#memory.lend(firstBytes);
    return this.#collect(new SizedCollector(first, sizeBytes), bounds);
  }

  /** Call it when the request and its handler are done. It gives the memory back. */
  release(): void {
    this.#budget.give(this.#takenBytes);
    this.#takenBytes = 0;
    if (this.#pool !== undefined) this.#memory.takeBack(this.#pool);
    this.#pool = undefined;
  }

  /** Call it when the connection is closed. */
  onClosed(): void {
    this.#isClosed = true;
    for (const wait of this.#waits) wait.cancel();
    if (this.#isReading) this.#fail(stoppedEarly());
  }

  onTimeout(): void {
    this.#fail(readFailed(`the body did not arrive within ${Math.round(this.#timeouts.lengthMs / 1000)}s: send less at once, or over a better line`));
  }

  #take(bytes: number): boolean {
    if (!this.#budget.tryTake(bytes)) return false;
    this.#takenBytes += bytes;
    return true;
  }

  /** The listeners are never removed: that costs as much as adding them, and the request is collected soon. */
  #collect(into: Collector, bounds: BodyBounds): Promise<Uint8Array> {
    const bytesMax = boundOf(bounds);
    let sizeBytes = 0;
    const onData = (chunk: Buffer): void => {
      if (!this.#isReading) return;
      sizeBytes += chunk.length;
      if (sizeBytes > bytesMax) return this.#fail(tooLarge(bounds));
      const growthBytes = into.growthFor(chunk.length);
      if (growthBytes > 0 && !this.#take(growthBytes)) return this.#fail(bodiesTooMany(this.#memory.budget));
      into.add(chunk);
    };
    const onEnd = (): void => {
      if (!this.#isReading) return;
      this.#finish();
      this.#pool = into.finish();
      this.#budget.give(into.spareBytes);
      this.#takenBytes -= into.spareBytes;
      this.#resolve(this.#pool);
    };
    return new Promise((resolve, reject) => {
      this.#isReading = true;
      this.#resolve = resolve;
      this.#reject = reject;
      this.#timeouts.add(this);
      this.#request.on("data", onData).on("end", onEnd).on("error", ignore); // an aborted request also closes its connection, and `onClosed` handles that
    });
  }

  #finish(): void {
    this.#isReading = false;
    this.#timeouts.delete(this);
  }

  #fail(error: CodedError): void {
    this.#finish();
    this.#request.resume();
    this.#reject(error);
  }
}

function ignore(): void {}

const NO_WAITS: readonly BudgetWait[] = [];

/**
 * Resolves with the budget that has room first, or undefined where none has room in time. What another budget granted at the same moment
 * is given back.
 */
function firstHeld(waits: readonly { readonly budget: MemoryBudget; readonly wait: BudgetWait }[], sizeBytes: number): Promise<MemoryBudget | undefined> {
  return new Promise((resolve) => {
    let leftCount = waits.length;
    let isHeld = false;
    for (const { budget, wait } of waits) {
      void wait.outcome.then((isGranted) => {
        leftCount--;
        if (isGranted && isHeld) budget.give(sizeBytes);
        else if (isGranted) {
          isHeld = true;
          for (const other of waits) other.wait.cancel();
          resolve(budget);
        } else if (leftCount === 0) resolve(undefined); // no effect where one was granted
      });
    }
  });
}

interface BodyBounds {
  /** The limit of this body, from its tenant or route. */
  readonly sizeBytesMax: number;
  /** The limit of every body, from the memory for all bodies. */
  readonly heldBytesMax: number;
}

function boundOf({ sizeBytesMax, heldBytesMax }: BodyBounds): number {
  return Math.min(sizeBytesMax, heldBytesMax);
}

interface Collector {
  /** How much more memory `add` will take for `lengthBytes`. */
  growthFor(lengthBytes: number): number;
  add(chunk: Uint8Array): void;
  finish(): Uint8Array;
  /** Memory that is free again after `finish`. */
  readonly spareBytes: number;
}

/**
 * For bodies with a Content-Length; the parser delivers exactly as many bytes, or fails the request. A full buffer doubles, up to that
 * length.
 */
class SizedCollector implements Collector {
  readonly spareBytes = 0;
  readonly #sizeBytes: number;
  #bytes: Uint8Array;
  #length = 0;

  constructor(first: Uint8Array, sizeBytes: number) {
    this.#bytes = first;
    this.#sizeBytes = sizeBytes;
  }

  growthFor(lengthBytes: number): number {
    return this.#roomFor(lengthBytes) - this.#bytes.length;
  }

  add(chunk: Uint8Array): void {
    const room = this.#roomFor(chunk.length);
    if (room > this.#bytes.length) {
      const larger = new Uint8Array(room);
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  finish(): Uint8Array {
    return this.#bytes;
  }

  #roomFor(lengthBytes: number): number {
    const needed = this.#length + lengthBytes;
    if (needed <= this.#bytes.length) return this.#bytes.length;
    return Math.max(needed, Math.min(this.#sizeBytes, this.#bytes.length * 2));
  }
}

class ChunkCollector implements Collector {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  /** Counts the memory for the joined pieces too. */
  growthFor(lengthBytes: number): number {
    return 2 * lengthBytes;
  }

  get spareBytes(): number {
    return this.#length;
  }

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}

function tooLarge(bounds: BodyBounds): CodedError {
  const { sizeBytesMax, heldBytesMax } = bounds;
  const isOfMemory = heldBytesMax < sizeBytesMax;
  const advice = isOfMemory ? ", which is what this node's memory allows of one body: send less at once, or give the node more memory" : ": send less at once";
  return new CodedError({ code: "BODY_TOO_LARGE", kind: "invalid_argument", message: `the body is larger than ${boundOf(bounds)} bytes${advice}`, details: { sizeBytesMax: boundOf(bounds) } });
}

function stoppedEarly(): CodedError {
  return readFailed("the client stopped before its body was whole: send it again");
}

function readFailed(message: string): CodedError {
  return new CodedError({ code: "BODY_READ_FAILED", kind: "canceled", message });
}
