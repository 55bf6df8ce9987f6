/** Lets `countMax` works run at once; the others wait in the order in which they came. Whoever asks bounds how many wait. */
export class Gate {
  readonly #countMax: number;
  readonly #waiting: (() => void)[] = [];
  #count = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#count >= this.#countMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#count++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#count--;
      else next(); // takes our place
    }
  }
}
