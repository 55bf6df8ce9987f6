/**
 * The stacktraces of a chunk that events name, as locations. A stacktrace is read once, however many events name it; so are its methods
 * and their symbols.
 *
 *   event -> StackTrace -> frames: Method, line -> Class, Symbol -> Symbol -> text
 *
 * A wait that began in one chunk and ended in the next is an event of the next. The JDK took its stacktrace when it began, and writes it into the
 * chunk of that time alone: so the stacktraces of the chunk before are kept.
 */
import type { ConstantPools } from "./constant-pools.ts";
import { dangling, POOL_METHOD, POOL_STACK_TRACE } from "./constant-pools.ts";
import { ChunkFunctions } from "./chunk-functions.ts";
import type { ChunkTexts } from "./chunk-texts.ts";
import { FrameReader } from "./frame-reader.ts";
import type { FrameTable } from "./frame-table.ts";
import { JfrCursor } from "./jfr-cursor.ts";
import type { StackList } from "./stack-list.ts";
import type { TextBudget } from "./text-budget.ts";
import { typeNamed } from "./value-layout.ts";
import type { ValueLayouts } from "./value-layout.ts";

export interface StackSinks {
  readonly frames: FrameTable;
  readonly stacks: StackList;
  readonly texts: ChunkTexts;
  readonly budget: TextBudget;
}

export class ChunkStacks {
  readonly #pools: ConstantPools;
  readonly #frames: FrameTable;
  readonly #stacks: StackList;
  readonly #cursor: JfrCursor;
  readonly #reader: FrameReader;
  readonly #functions: ChunkFunctions;
  /** By number of the stacktrace in its pool: its number in the list plus 1, 0 where it was not read yet. */
  readonly #stackOf: Uint32Array;
  /** By number of the method in its pool: its function plus 1, and the last line and location that it was found with (plus 1). */
  readonly #functionOf: Uint32Array;
  readonly #lastLine: Uint32Array;
  readonly #lastLocation: Uint32Array;
  #before: ChunkStacks | undefined;

  /** Throws a refusal where a type that leads from events to names is missing. */
  constructor(recording: Uint8Array, layouts: ValueLayouts, pools: ConstantPools, into: StackSinks, before: ChunkStacks | undefined) {
    if (before !== undefined) before.#before = undefined; // one chunk is kept, however many there are
    this.#before = before;
    this.#pools = pools;
    this.#frames = into.frames;
    this.#stacks = into.stacks;
    this.#cursor = new JfrCursor(recording);
    this.#reader = new FrameReader(layouts, typeNamed(layouts, POOL_STACK_TRACE));
    this.#functions = new ChunkFunctions(recording, layouts, pools, into);
    this.#stackOf = new Uint32Array(pools[POOL_STACK_TRACE].count);
    this.#functionOf = new Uint32Array(pools[POOL_METHOD].count);
    this.#lastLine = new Uint32Array(pools[POOL_METHOD].count);
    this.#lastLocation = new Uint32Array(pools[POOL_METHOD].count);
  }

  /** The number of the stacktrace in the list; -1 for id 0, with which recorders say that there is none. `at`: who names it. */
  stack(id: number, at: number): number {
    const stack = this.#find(id);
    if (stack < 0 && id !== 0) throw dangling(at, POOL_STACK_TRACE, id);
    return stack;
  }

  /** As `stack`, of an event that began before this chunk. -1 also where the chunk before does not have it, or is not in the recording. */
  stackOfEarlier(id: number): number {
    const stack = this.#find(id);
    return stack >= 0 || this.#before === undefined ? stack : this.#before.#find(id);
  }

  /** -1: the chunk has no such stacktrace. */
  #find(id: number): number {
    const number = this.#pools[POOL_STACK_TRACE].find(id);
    if (number < 0) return -1;
    const known = this.#stackOf[number]!;
    if (known > 0) return known - 1;
    const stack = this.#read(this.#pools[POOL_STACK_TRACE].placeOf(number));
    this.#stackOf[number] = stack + 1;
    return stack;
  }

  #read(place: number): number {
    this.#cursor.at = place;
    const count = this.#reader.read(this.#cursor);
    const { methods, lines } = this.#reader;
    const pool = this.#pools[POOL_METHOD];
    const [lastLine, lastLocation] = [this.#lastLine, this.#lastLocation];
    const from = this.#stacks.reserve(count);
    const { locations } = this.#stacks;
    for (let i = 0; i < count; i++) {
      const number = pool.find(methods[i]!);
      if (number < 0) throw dangling(place, POOL_METHOD, methods[i]!);
      const line = lines[i]! > LINE_MAX ? 0 : lines[i]!;
      let location = lastLocation[number]!;
      if (location === 0 || lastLine[number] !== line) {
        location = this.#frames.location(this.#function(number), line) + 1;
        lastLine[number] = line;
        lastLocation[number] = location;
      }
      locations[from + i] = location - 1;
    }
    return this.#stacks.close(count);
  }

  #function(number: number): number {
    const known = this.#functionOf[number]!;
    if (known > 0) return known - 1;
    const called = this.#functions.ofMethod(number);
    this.#functionOf[number] = called + 1;
    return called;
  }
}

/** Recorders write a line that they do not know as 0 or as -1. */
const LINE_MAX = 0x7fff_ffff;
