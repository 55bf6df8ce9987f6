/** Profiles that are small to push and cause large answers. */
import { Function as PprofFunction, Label, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";

/** One sample for each value of the label, so that each becomes a series. */
export function labelledProfile(label, values, timeMs) {
  const writer = new Writer();
  const main = writer.location("main");
  const sample = values.map((value, index) => new Sample({ locationId: [main], value: [index + 1], label: [new Label({ key: writer.text(label), str: writer.text(value) })] }));
  return writer.finish(sample, timeMs);
}

/** Stacktraces that share only the root node: each has its own first frame, and the same frames after it. */
export function wideProfile({ stackCount, depth }, timeMs) {
  const writer = new Writer();
  const shared = Array.from({ length: depth - 1 }, (_, index) => writer.location(`github.com/acme/shop.(*Server).handle${index}`));
  const sample = Array.from({ length: stackCount }, (_, index) => new Sample({ locationId: [...shared, writer.location(`main.worker${index}`)], value: [10_000_000 + index * 977] }));
  return writer.finish(sample, timeMs);
}

class Writer {
  #strings = new StringTable();
  #functions = [];
  #locations = [];

  text(text) {
    return this.#strings.dedup(text);
  }

  /** Makes a new location at each call. */
  location(name) {
    const id = this.#locations.length + 1;
    this.#functions.push(new PprofFunction({ id, name: this.text(name), systemName: this.text(name), filename: this.text("main.go") }));
    this.#locations.push(new Location({ id, line: [new Line({ functionId: id, line: 1 })] }));
    return id;
  }

  finish(sample, timeMs) {
    const type = new ValueType({ type: this.text("cpu"), unit: this.text("nanoseconds") });
    return new Profile({
      sampleType: [type],
      periodType: type,
      period: 1,
      timeNanos: BigInt(timeMs) * 1_000_000n,
      function: this.#functions,
      location: this.#locations,
      sample,
      stringTable: this.#strings,
    }).encode();
  }
}
