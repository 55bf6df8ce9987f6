/** The constants of a chunk for tests: stacks by the names of their functions, each name, class and method once. */
import type { Value } from "./jfr-writer.ts";

export interface TestFrame {
  /** `Class.method`; what stands before the last dot is the class. */
  readonly name: string;
  readonly line?: number;
}

export class JfrPools {
  readonly pools: Map<string, Map<number, Value>> = new Map();
  readonly #known = new Map<string, number>();
  /** The id of the n-th constant of a type. Recorders number in different ways. */
  readonly #idOf: (number: number) => number;

  constructor(idOf: (number: number) => number = (number) => number) {
    this.#idOf = idOf;
    for (const type of ["jdk.types.Symbol", "java.lang.Class", "jdk.types.Method", "jdk.types.StackTrace", "jdk.types.ThreadState", "java.lang.String"]) this.pools.set(type, new Map());
  }

  /** Returns the id of the constant. Those with equal keys are one. */
  add(type: string, key: string, value: () => Value): number {
    const known = this.#known.get(`${type} ${key}`);
    if (known !== undefined) return known;
    const read = value();
    const pool = this.pools.get(type) ?? new Map<number, Value>();
    this.pools.set(type, pool);
    const id = this.#idOf(pool.size + 1);
    pool.set(id, read);
    this.#known.set(`${type} ${key}`, id);
    return id;
  }

  symbol(text: string): number {
    return this.add("jdk.types.Symbol", text, () => ({ string: text }));
  }

  method(name: string): number {
    const dot = name.lastIndexOf(".");
    const [className, methodName] = [name.slice(0, dot), name.slice(dot + 1)];
    const type = this.add("java.lang.Class", className, () => ({ name: this.symbol(className) }));
    return this.add("jdk.types.Method", name, () => ({ type, name: this.symbol(methodName) }));
  }

  /** `frames` leaf first. */
  stack(frames: readonly TestFrame[]): number {
    const read = frames.map(({ name, line = 0 }) => ({ method: this.method(name), lineNumber: line, bytecodeIndex: 7, type: 1 }));
    return this.add("jdk.types.StackTrace", JSON.stringify(frames), () => ({ truncated: 0, frames: read }));
  }

  state(name: string): number {
    return this.add("jdk.types.ThreadState", name, () => ({ name }));
  }
}
