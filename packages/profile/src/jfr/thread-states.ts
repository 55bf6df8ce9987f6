/** The names of the states in which threads were sampled, `STATE_RUNNABLE` and `STATE_SLEEPING` among them. */
import type { ConstantPools } from "./constant-pools.ts";
import { dangling, POOL_THREAD_STATE } from "./constant-pools.ts";
import type { ChunkTexts } from "./chunk-texts.ts";
import { JfrCursor } from "./jfr-cursor.ts";
import { StructReader } from "./struct-reader.ts";
import type { ValueLayouts } from "./value-layout.ts";

export class ThreadStates {
  readonly #pools: ConstantPools;
  readonly #texts: ChunkTexts;
  readonly #reader: StructReader | undefined;
  readonly #cursor: JfrCursor;
  /** By number in the pool. */
  readonly #names: (string | undefined)[];

  constructor(recording: Uint8Array, layouts: ValueLayouts, pools: ConstantPools, texts: ChunkTexts) {
    const type = layouts.types.byName.get(POOL_THREAD_STATE);
    this.#pools = pools;
    this.#names = new Array<string | undefined>(pools[POOL_THREAD_STATE].count);
    this.#texts = texts;
    this.#reader = type === undefined ? undefined : new StructReader(layouts, type, { name: { slot: 0, read: "text" } });
    this.#cursor = new JfrCursor(recording);
  }

  /** Empty for id 0 without a constant: the state is not known. Throws a refusal for another id without one. `at`: who names it. */
  nameOf(id: number, at: number): string {
    const pool = this.#pools[POOL_THREAD_STATE];
    const number = pool.find(id);
    if (number < 0) {
      if (id !== 0) throw dangling(at, POOL_THREAD_STATE, id);
      return "";
    }
    return (this.#names[number] ??= this.#read(pool.placeOf(number)));
  }

  #read(place: number): string {
    if (this.#reader?.has("name") !== true) return "";
    const into = new Float64Array(1);
    this.#cursor.at = place;
    this.#reader.readFront(this.#cursor, into);
    return this.#texts.at(into[0]!);
  }
}
