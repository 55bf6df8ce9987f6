/**
 * A request's body in one piece. Where the length is known the bytes go straight to their place, in memory that grows as they come:
 * what a client says that it will send costs it nothing, and so takes nothing from the others. Where it is not known (chunked) they
 * are joined at the end. A small one lies in memory that is used again and again, so that pushes leave no garbage outside the
 * heap (V8 answers that with full collections; a body that came in one chunk left where Node put it saved the main thread 1 to 4 %,
 * and cost the process 0.4 to 2.7 % more).
 *
 * A body waits for memory before its first byte is read, while it holds none: a body that has begun grows at once or is refused, so that
 * no two wait for each other. Who waits is not read, so its client waits too. A small one of known length, which does not grow, may be held
 * in a reserve besides: a few clients that send much and then stop would otherwise keep every push and query out until they are cut off.
 *
 * What must stay true: never more than `sizeBytesMax` of one body, nor more than the budget of all bodies together; nobody
 * looks at a body after its `release`, which comes when the handler has ended, not when it is given up.
 */
import { CodedError, MemoryBudget } from "@pyromesh/base";
import type { BudgetWait, Clock, MemoryBudgetOptions } from "@pyromesh/base";
import type { IncomingRequest } from "../ports/http-stream.ts";
import type { Timeouts, Waiting } from "../ports/timeouts.ts";
import { bodiesTooMany } from "../ports/request-memory.ts";

/** A body up to this lies in memory of the pool. It counts its own length; what its memory is longer is bounded by the handlers at work (64 MiB). */
const POOLED_BODY_BYTES_MAX = 64 * 2 ** 10;
/** Pieces of memory that the pool keeps for the next small bodies: 4 MiB. */
const FREE_COUNT_MAX = 64;

/** What the reserve for small bodies is of the budget, beside it: 256 of the largest of them, of 256 MiB. */
const RESERVE_PART = 1 / 16;

/** What all bodies in flight hold, as they were sent. */
export class BodyMemory {
  /** At the bound a new body waits for a time, then it is refused (503). A larger body than this never gets in, and is told so (413). */
  readonly budget: MemoryBudget;
  /** For small bodies that find no room in there. */
  readonly reserve: MemoryBudget;
  readonly #free: Uint8Array[] = [];

  constructor({ bytesMax, waitTimeoutMs }: MemoryBudgetOptions, modules: { readonly clock: Clock }) {
    this.budget = new MemoryBudget({ bytesMax, waitTimeoutMs }, modules);
    this.reserve = new MemoryBudget({ bytesMax: Math.floor(bytesMax * RESERVE_PART), waitTimeoutMs }, modules);
  }

  /** Room for a body: memory of the pool for a small one. */
  lend(sizeBytes: number): Uint8Array {
    if (sizeBytes === 0 || sizeBytes > POOLED_BODY_BYTES_MAX) return new Uint8Array(sizeBytes);
    return (this.#free.pop() ?? new Uint8Array(POOLED_BODY_BYTES_MAX)).subarray(0, sizeBytes);
  }

  /** What `lend` gave. Past FREE_COUNT_MAX it is garbage. */
  takeBack({ buffer }: Uint8Array): void {
    if (buffer.byteLength === POOLED_BODY_BYTES_MAX && this.#free.length < FREE_COUNT_MAX) this.#free.push(new Uint8Array(buffer));
  }
}

export interface BodyModules {
  readonly bodyMemory: BodyMemory;
  /** From a body's first read to its last byte. */
  readonly bodyTimeouts: Timeouts;
}

export class RequestBody implements Waiting {
  readonly #request: IncomingRequest;
  readonly #memory: BodyMemory;
  readonly #timeouts: Timeouts;
  #takenBytes = 0;
  #isStarted = false;
  /** Neither whole nor given up. */
  #isReading = false;
  /** Lent, and no longer written to. */
  #pool: Uint8Array | undefined;
  /** What it took its memory from. */
  #budget: MemoryBudget;
  /** While it waits for memory. */
  #waits: readonly BudgetWait[] = NO_WAITS;
  #isClosed = false;
  #resolve!: (body: Uint8Array) => void; // set with the first listener
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
    if (length === undefined && headers["transfer-encoding"] === undefined) return Promise.resolve(new Uint8Array(0));
    const sizeBytes = length === undefined ? undefined : Number(length);
    const { bytesMax, largeBytesMax } = this.#memory.budget;
    // One of unknown length lies in memory twice when its pieces are joined.
    const bounds = { sizeBytesMax, heldBytesMax: sizeBytes === undefined ? Math.floor(bytesMax / 2) : bytesMax };
    if (sizeBytes !== undefined && sizeBytes > boundOf(bounds)) return Promise.reject(tooLarge(bounds));
    const firstBytes = sizeBytes === undefined ? 0 : Math.min(sizeBytes, POOLED_BODY_BYTES_MAX, largeBytesMax);
    const { budget, reserve } = this.#memory;
    // As a large piece: bodies that grow need what that leaves free.
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
    if (sizeBytes === undefined) return this.#collect(new Chunks(), bounds);
    const first = sizeBytes > firstBytes ? new Uint8Array(firstBytes) : this.#memory.lend(firstBytes);
    return this.#collect(new Filled(first, sizeBytes), bounds);
  }

  /** Call once the request is done with, by its handler too: what it held counts no more and may hold another body. */
  release(): void {
    this.#budget.give(this.#takenBytes);
    this.#takenBytes = 0;
    if (this.#pool !== undefined) this.#memory.takeBack(this.#pool);
    this.#pool = undefined;
  }

  /** Call when the connection is gone. */
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

  /** Listeners stay on the request, which goes soon: taking each off costs as much as putting it on. */
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
      this.#request.on("data", onData).on("end", onEnd).on("error", ignore); // what ends a request too soon closes its connection: `onClosed`
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

/** The budget that has room first; undefined where none has in time. What another one granted at the same moment is given back. */
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
        } else if (leftCount === 0) resolve(undefined); // without effect where one was granted
      });
    }
  });
}

interface BodyBounds {
  /** Of this body: a limit of its tenant or its route. */
  readonly sizeBytesMax: number;
  /** Of any body: what the memory for all of them allows. */
  readonly heldBytesMax: number;
}

function boundOf({ sizeBytesMax, heldBytesMax }: BodyBounds): number {
  return Math.min(sizeBytesMax, heldBytesMax);
}

interface Collector {
  /** How much more memory `add` will hold for so many bytes. */
  growthFor(lengthBytes: number): number;
  add(chunk: Uint8Array): void;
  finish(): Uint8Array;
  /** What is not held any more after `finish`. */
  readonly spareBytes: number;
}

/** The parser hands over exactly as many bytes as Content-Length says, or fails the request. Full memory is doubled, up to that length. */
class Filled implements Collector {
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

class Chunks implements Collector {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  /** Room for the joined pieces too. */
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
