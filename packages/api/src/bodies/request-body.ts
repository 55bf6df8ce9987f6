/**
 * Reads the body of a request into one buffer. With a Content-Length the bytes are copied into their final buffer, which grows as they
 * come: a client cannot claim memory by announcing a large body. Without it (chunked, HTTP/2) they are copied into blocks, which are joined at
 * the end. Small bodies use pooled buffers, so that pushes make no garbage outside the heap, which V8 answers with full collections
 * (docs/decisions/0006).
 *
 * A body waits for memory before its first byte is read, while it holds none. Once it has begun, it grows at once or is refused, so that
 * no two bodies wait for each other. While it waits, its socket is not read, so its client waits too; one that may come in pieces of a byte
 * (chunked, HTTP/2) is read meanwhile, and refused where it is larger than UNREAD_BYTES_MAX. A small body of known length, which cannot grow,
 * may use a reserve instead: otherwise a few clients that send large bodies and stall would block every push and query until they time out.
 *
 * What must stay true: a body never holds more than `sizeBytesMax`, nor all bodies more than their budget. Nobody uses a body after its
 * `release`, which comes when the handler has ended, even where the request was answered before.
 */
import { areLargeBytes, CodedError, freeBytes, grownTo, LARGE_BYTES_MIN, largeBytes, MemoryBudget } from "@pyromesh/base";
import type { BudgetWait, Clock, MemoryBudgetOptions, Timer } from "@pyromesh/base";
import type { BodyUse } from "../ports/http.ts";
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

/** The size of the reserve for small bodies, relative to the budget. Of 128 MiB it is room for 128 of the largest of them. */
const RESERVE_PART = 1 / 16;

/**
 * What Node.js has read of a request whose body nobody reads yet: two reads (READ_BYTES of listener/http-listener.ts), or the window of a
 * stream of HTTP/2. A body that waits for memory holds as much. No budget counts it.
 */
export const UNREAD_BYTES_MAX: number = 128 * 2 ** 10;

/** A body of a profile is there within a second, also over a slow line. */
const SLOW_AGE_MS = 5_000;
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
  readonly bodyTimeouts: Timeouts<RequestBody>;
}

export class RequestBody implements Waiting {
  readonly #request: IncomingRequest;
  readonly #memory: BodyMemory;
  readonly #timeouts: Timeouts<RequestBody>;
  /** Of its arrival. */
  #timeout: Timer | undefined;
  #takenBytes = 0;
  #isStarted = false;
  #isFreedAtEnd = false;
  /** The body is neither complete nor given up. */
  #isReading = false;
  /** All bytes have come. */
  #isWhole = false;
  #arrivedBytes = 0;
  #bounds!: BodyBounds; // set before the body is read
  /** Where the bytes go once the body has its memory. */
  #into: Collector | undefined;
  /** What comes before that. */
  #early: BlockCollector | undefined;
  /** A buffer of `lend` that holds the complete body. */
  #pool: Uint8Array | undefined;
  /** The budget that its memory was taken from. */
  #budget: MemoryBudget;
  /** Its places in line while it waits for memory. */
  #waits: readonly BudgetWait[] = NO_WAITS;
  #resolve!: (body: Uint8Array) => void; // both are set before the body flows or waits
  #reject!: (error: CodedError) => void;

  constructor(request: IncomingRequest, { bodyMemory, bodyTimeouts }: BodyModules) {
    this.#request = request;
    this.#memory = bodyMemory;
    this.#budget = bodyMemory.budget;
    this.#timeouts = bodyTimeouts;
  }

  /** Rejects BODY_TOO_LARGE, BODY_READ_FAILED or BODIES_TOO_MANY. */
  read(sizeBytesMax: number, { isFreedAtEnd = false }: BodyUse = NO_USE): Promise<Uint8Array> {
    this.#isFreedAtEnd = isFreedAtEnd;
    if (this.#isStarted) return Promise.reject(new Error("the body was read twice"));
    this.#isStarted = true;
    const { headers } = this.#request;
    const length = headers["content-length"];
    if (!hasBody(this.#request)) return Promise.resolve(new Uint8Array(0));
    const sizeBytes = length === undefined ? undefined : Number(length);
    const { bytesMax, largeBytesMax } = this.#memory.budget;
    // A body of unknown length is in memory twice while its pieces are joined.
    const bounds = { sizeBytesMax, heldBytesMax: sizeBytes === undefined ? Math.floor(bytesMax / 2) : bytesMax };
    this.#bounds = bounds;
    if (sizeBytes !== undefined && sizeBytes > boundOf(bounds)) return Promise.reject(tooLarge(bounds));
    const firstBytes = sizeBytes === undefined ? 0 : Math.min(sizeBytes, POOLED_BODY_BYTES_MAX, largeBytesMax);
    const { budget, reserve } = this.#memory;
    // Counted as a large piece, which leaves a quarter of the budget free for bodies that grow.
    if (!budget.tryBegin(firstBytes, true)) {
      const isOfReserve = firstBytes === sizeBytes && sizeBytes <= reserve.bytesMax;
      if (!isOfReserve) return this.#readLater([budget], firstBytes, sizeBytes);
      if (!reserve.tryBegin(firstBytes, false)) return this.#readLater([budget, reserve], firstBytes, sizeBytes);
      this.#budget = reserve;
    }
    this.#begin(firstBytes, sizeBytes);
    return this.#outcome(() => this.#flow());
  }

  #readLater(budgets: readonly MemoryBudget[], firstBytes: number, sizeBytes: number | undefined): Promise<Uint8Array> {
    if (this.#memory.budget.waitingCount >= this.#memory.waitingCountMax) return Promise.reject(bodiesTooMany(this.#memory.budget));
    return this.#outcome(() => {
      const waits = budgets.map((budget) => ({ budget, wait: budget.wait(firstBytes, budget === this.#memory.budget) }));
      this.#waits = waits.map(({ wait }) => wait);
      if (isSentInLittle(this.#request)) {
        this.#early = new BlockCollector(this.#memory, false);
        this.#flow();
      }
      void firstHeld(waits, firstBytes).then((budget) => this.#endWait(budget, firstBytes, sizeBytes));
    });
  }

  #outcome(start: () => void): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#isReading = true;
      this.#resolve = resolve;
      this.#reject = reject;
      start();
    });
  }

  /** `budget`: of `firstBytes`; undefined where none came in time. */
  #endWait(budget: MemoryBudget | undefined, firstBytes: number, sizeBytes: number | undefined): void {
    this.#waits = NO_WAITS;
    if (!this.#isReading) return budget?.give(firstBytes); // it was given up meanwhile
    if (budget === undefined) return this.#fail(bodiesTooMany(this.#memory.budget));
    this.#budget = budget;
    const early = this.#early;
    this.#begin(firstBytes, sizeBytes);
    if (early === undefined) return this.#flow();
    this.#early = undefined;
    const bytes = early.finish();
    if (!this.#add(bytes)) return;
    this.#memory.takeBack(bytes);
    if (this.#isWhole) this.#complete();
  }

  /** Its first memory was taken. */
  #begin(firstBytes: number, sizeBytes: number | undefined): void {
    this.#takenBytes += firstBytes;
    if (sizeBytes === undefined) this.#into = new BlockCollector(this.#memory, this.#isFreedAtEnd);
    else this.#into = new SizedCollector(sizeBytes > firstBytes ? new Uint8Array(firstBytes) : this.#memory.lend(firstBytes), sizeBytes, this.#isFreedAtEnd);
  }

  /** Call it when the request and its handler are done. It gives the memory back. */
  release(): void {
    this.#budget.give(this.#takenBytes);
    this.#takenBytes = 0;
    if (this.#pool !== undefined) {
      freeBytes(this.#pool);
      this.#memory.takeBack(this.#pool);
    }
    this.#pool = undefined;
  }

  /** Call it when the connection is closed. */
  onClosed(): void {
    if (this.#isReading) this.#fail(stoppedEarly());
  }

  /** For a node that has no place for another request: a body that has come more slowly than others may wait for gives its place away. Returns whether it did. */
  endWhereSlow(ageMs: number, bytesPerSecondMin: number): boolean {
    if (ageMs < SLOW_AGE_MS || this.#arrivedBytes >= (ageMs / 1000) * bytesPerSecondMin) return false;
    this.#fail(readFailed(`the body came at less than ${bytesPerSecondMin} bytes a second, and others wait for its place: send it again, over a better line`));
    return true;
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
  #flow(): void {
    this.#timeout = this.#timeouts.add(this);
    this.#request.invite?.();
    this.#request.on("data", this.#onData).on("end", this.#onEnd).on("error", ignore); // an aborted request also closes its connection, and `onClosed` handles that
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.#isReading) return;
    this.#arrivedBytes += chunk.length;
    if (this.#arrivedBytes > boundOf(this.#bounds)) return this.#fail(tooLarge(this.#bounds));
    if (this.#early === undefined) return void this.#add(chunk);
    if (this.#arrivedBytes > UNREAD_BYTES_MAX) return this.#fail(bodiesTooMany(this.#memory.budget));
    this.#early.add(chunk);
  };

  readonly #onEnd = (): void => {
    if (!this.#isReading) return;
    this.#isWhole = true;
    this.#timeout?.cancel(); // its client has done all it could, though the body may wait for memory
    if (this.#early === undefined) this.#complete();
  };

  /** False: there is no memory for the bytes, and the body was given up. */
  #add(bytes: Uint8Array): boolean {
    const into = this.#into!; // it has its memory
    const growthBytes = into.growthFor(bytes.length);
    if (growthBytes > 0 && !this.#take(growthBytes)) {
      this.#fail(bodiesTooMany(this.#memory.budget));
      return false;
    }
    into.add(bytes);
    return true;
  }

  #complete(): void {
    const into = this.#into!; // it has its memory
    this.#finish();
    this.#pool = into.finish();
    this.#budget.give(into.spareBytes);
    this.#takenBytes -= into.spareBytes;
    this.#resolve(this.#pool);
  }

  /** What was collected goes too: the request, which may run for long, would keep the blocks that were joined, and no budget counts those any more. */
  #finish(): void {
    this.#isReading = false;
    this.#into = undefined;
    this.#early = undefined;
    this.#timeout?.cancel();
  }

  #fail(error: CodedError): void {
    this.#into?.drop();
    this.#finish();
    for (const wait of this.#waits) wait.cancel();
    this.#request.resume();
    this.#reject(error);
  }
}

/**
 * The client may send each byte in a chunk or a frame of its own. Node.js holds an object of some hundred bytes for each until it is read, so that
 * nobody may leave such a body unread. One with a Content-Length is whatever was read of the connection at once.
 */
function isSentInLittle({ headers, httpVersion }: IncomingRequest): boolean {
  return httpVersion === "2.0" || headers["content-length"] === undefined;
}

function ignore(): void {}

const NO_WAITS: readonly BudgetWait[] = [];
const NO_USE: BodyUse = {};

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
  /** Frees what was collected of a body that will not be whole. */
  drop(): void;
  /** Memory that is free again after `finish`. */
  readonly spareBytes: number;
}

/**
 * For bodies with a Content-Length; the parser delivers exactly as many bytes, or fails the request. A full buffer doubles, up to that
 * length: a large one in place, where it is freed with the request.
 */
class SizedCollector implements Collector {
  readonly spareBytes = 0;
  readonly #sizeBytes: number;
  readonly #isInPlace: boolean;
  #bytes: Uint8Array;
  #length = 0;

  constructor(first: Uint8Array, sizeBytes: number, isFreedAtEnd: boolean) {
    this.#bytes = first;
    this.#sizeBytes = sizeBytes;
    this.#isInPlace = isFreedAtEnd && sizeBytes >= LARGE_BYTES_MIN;
  }

  growthFor(lengthBytes: number): number {
    return this.#roomFor(lengthBytes) - this.#bytes.length;
  }

  add(chunk: Uint8Array): void {
    const room = this.#roomFor(chunk.length);
    if (room > this.#bytes.length) this.#grow(room);
    this.#bytes.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  drop(): void {
    freeBytes(this.#bytes);
  }

  #grow(room: number): void {
    if (areLargeBytes(this.#bytes)) {
      this.#bytes = grownTo(this.#bytes, room);
      return;
    }
    const larger = this.#isInPlace ? largeBytes(room, this.#sizeBytes) : new Uint8Array(room);
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
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

/**
 * For bodies without a Content-Length. Each piece is copied at once: it is a view of all that Node.js has read of the connection in one go, 64 KiB,
 * and an object of some hundred bytes. A client that sends a byte in each chunk or frame would have thousands of times its body held.
 *
 * The blocks are pooled buffers. The last one is partly filled, and counts with what it holds, like a small body of known length.
 */
class BlockCollector implements Collector {
  readonly #memory: BodyMemory;
  readonly #isFreedAtEnd: boolean;
  readonly #blocks: Uint8Array[] = [];
  #length = 0;

  constructor(memory: BodyMemory, isFreedAtEnd: boolean) {
    this.#memory = memory;
    this.#isFreedAtEnd = isFreedAtEnd;
  }

  /** Counts the memory for the joined blocks too. */
  growthFor(lengthBytes: number): number {
    return 2 * lengthBytes;
  }

  get spareBytes(): number {
    return this.#length;
  }

  add(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const offset = this.#length % POOLED_BODY_BYTES_MAX;
      if (offset === 0) this.#blocks.push(this.#memory.lend(POOLED_BODY_BYTES_MAX));
      const part = chunk.subarray(at, at + POOLED_BODY_BYTES_MAX - offset);
      this.#blocks.at(-1)!.set(part, offset);
      at += part.length;
      this.#length += part.length;
    }
  }

  drop(): void {} // its blocks are small

  finish(): Uint8Array {
    const [first, another] = this.#blocks;
    if (first === undefined) return new Uint8Array(0);
    if (another === undefined) return first.subarray(0, this.#length);
    const bytes = this.#isFreedAtEnd && this.#length >= LARGE_BYTES_MIN ? largeBytes(this.#length) : new Uint8Array(this.#length);
    for (const [index, block] of this.#blocks.entries()) {
      const at = index * POOLED_BODY_BYTES_MAX;
      bytes.set(block.subarray(0, this.#length - at), at);
      this.#memory.takeBack(block);
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
