/** The functions that the methods of a chunk are, by the name of the class and of the method. A method and a symbol are read once. */
import type { ConstantPools, PoolName } from "./constant-pools.ts";
import { dangling, POOL_CLASS, POOL_METHOD, POOL_SYMBOL } from "./constant-pools.ts";
import type { ChunkTexts } from "./chunk-texts.ts";
import type { FrameTable } from "./frame-table.ts";
import { foldGeneratedName } from "./generated-names.ts";
import { JfrCursor } from "./jfr-cursor.ts";
import { malformed } from "../labels/refusal.ts";
import type { TextBudget } from "./text-budget.ts";
import type { WantedField } from "./struct-reader.ts";
import { StructReader } from "./struct-reader.ts";
import { typeNamed } from "./value-layout.ts";
import type { ValueLayouts } from "./value-layout.ts";

export class ChunkFunctions {
  readonly #pools: ConstantPools;
  readonly #texts: ChunkTexts;
  readonly #budget: TextBudget;
  readonly #frames: FrameTable;
  readonly #cursor: JfrCursor;
  readonly #methodReader: StructReader;
  readonly #classReader: StructReader;
  readonly #symbolReader: StructReader;
  readonly #symbols: (string | undefined)[];
  readonly #values = new Float64Array(2);

  /** Throws a refusal where a type that leads to names is missing. */
  constructor(recording: Uint8Array, layouts: ValueLayouts, pools: ConstantPools, into: { readonly frames: FrameTable; readonly texts: ChunkTexts; readonly budget: TextBudget }) {
    this.#pools = pools;
    this.#texts = into.texts;
    this.#budget = into.budget;
    this.#frames = into.frames;
    this.#cursor = new JfrCursor(recording);
    const reader = (pool: PoolName, wanted: Readonly<Record<string, WantedField>>): StructReader => {
      const struct = new StructReader(layouts, typeNamed(layouts, pool), wanted);
      for (const name of Object.keys(wanted)) if (!struct.has(name)) throw malformed(`the JFR recording's type ${pool} has no field ${name}: record with another recorder`);
      return struct;
    };
    this.#methodReader = reader(POOL_METHOD, { type: { slot: 0, read: "number" }, name: { slot: 1, read: "number" } });
    this.#classReader = reader(POOL_CLASS, { name: { slot: 0, read: "number" } });
    this.#symbolReader = reader(POOL_SYMBOL, { string: { slot: 0, read: "text" } });
    this.#symbols = new Array<string | undefined>(pools[POOL_SYMBOL].count);
  }

  /** The function of the method with this number in its pool. Names are `class.method`; that of native code has an empty class. */
  ofMethod(number: number): number {
    const [values, cursor] = [this.#values, this.#cursor];
    const methodAt = this.#pools[POOL_METHOD].placeOf(number);
    cursor.at = methodAt;
    this.#methodReader.readFront(cursor, values);
    const name = values[1]!;
    const type = this.#pools[POOL_CLASS].find(values[0]!);
    if (type < 0) throw dangling(methodAt, POOL_CLASS, values[0]!);
    const classAt = this.#pools[POOL_CLASS].placeOf(type);
    cursor.at = classAt;
    this.#classReader.readFront(cursor, values);
    const called = `${this.#symbol(values[0]!, classAt)}.${this.#symbol(name, methodAt)}`;
    this.#budget.spend(called.length);
    return this.#frames.functionNamed(called);
  }

  #symbol(id: number, at: number): string {
    const pool = this.#pools[POOL_SYMBOL];
    const number = pool.find(id);
    if (number < 0) {
      if (id === 0) return "";
      throw dangling(at, POOL_SYMBOL, id);
    }
    const known = this.#symbols[number];
    if (known !== undefined) return known;
    this.#cursor.at = pool.placeOf(number);
    this.#symbolReader.readFront(this.#cursor, this.#values);
    const text = foldGeneratedName(this.#texts.at(this.#values[0]!));
    this.#symbols[number] = text;
    return text;
  }
}
