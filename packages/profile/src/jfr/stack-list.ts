/** The stacktraces of a recording, of all its chunks. The locations of number n are those from `startOf(n)` to `ends[n]`, leaf first. */
export class StackList {
  locations: Uint32Array = new Uint32Array(1 << 12);
  ends: Uint32Array = new Uint32Array(1 << 8);
  count = 0;
  #length = 0;

  startOf(stack: number): number {
    return stack === 0 ? 0 : this.ends[stack - 1]!;
  }

  /** Makes room for a stacktrace of so many locations, which the caller writes into `locations` from the returned place on. */
  reserve(count: number): number {
    if (this.#length + count > this.locations.length) {
      const longer = new Uint32Array(Math.max(this.locations.length * 2, this.#length + count));
      longer.set(this.locations);
      this.locations = longer;
    }
    return this.#length;
  }

  /** Ends that stacktrace, and returns its number. */
  close(count: number): number {
    if (this.count === this.ends.length) {
      const longer = new Uint32Array(this.count * 2);
      longer.set(this.ends);
      this.ends = longer;
    }
    this.#length += count;
    this.ends[this.count] = this.#length;
    return this.count++;
  }
}
