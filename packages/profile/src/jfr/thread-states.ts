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
  readonly #names = new Map<number, string>();

  constructor(recording: Uint8Array, layouts: ValueLayouts, pools: ConstantPools, texts: ChunkTexts) {
    const type = layouts.types.byName.get(POOL_THREAD_STATE);
    this.#pools = pools;
    this.#texts = texts;
    this.#reader = type === undefined ? undefined : new StructReader(layouts, type, { name: { slot: 0, read: "text" } });
    this.#cursor = new JfrCursor(recording);
  }

  /** Empty for id 0 without a constant: the state is not known. Throws a refusal for another id without one. `at`: who names it. */
  nameOf(id: number, at: number): string {
    let name = this.#names.get(id);
    if (name !== undefined) return name;
    const pool = this.#pools[POOL_THREAD_STATE];
    const number = pool.find(id);
    if (number < 0 && id !== 0) throw dangling(at, POOL_THREAD_STATE, id);
    name = "";
    if (number >= 0 && this.#reader?.has("name") === true) {
      const into = new Float64Array(1);
      this.#cursor.at = pool.placeOf(number);
      this.#reader.readFront(this.#cursor, into);
      name = this.#texts.at(into[0]!);
    }
    this.#names.set(id, name);
    return name;
  }
}
