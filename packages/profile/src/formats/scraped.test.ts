import { expect } from "chai";
import fc from "fast-check";
import { gzipSync } from "node:zlib";
import { Label, Profile } from "pprof-format";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import { expectedSums } from "../testing/pprof-oracle.ts";
import type { FormatContext } from "./format.ts";
import { readScraped } from "./scraped.ts";

type Stacks = Readonly<Record<string, readonly number[]>>;

const HEAP = [
  { type: "alloc_objects", unit: "count" },
  { type: "alloc_space", unit: "bytes" },
  { type: "inuse_objects", unit: "count" },
  { type: "inuse_space", unit: "bytes" },
];
const CONTEXT: FormatContext = { labels: [{ name: "__name__", value: "memory" }], limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: 7n };

/** A heap profile of `stack -> four values`, with a sample for each; frames from the root, parted by `;`. */
function heap(stacks: Stacks, { timeNs = 1n, isReversed = false }: { readonly timeNs?: bigint; readonly isReversed?: boolean } = {}): Uint8Array {
  const writer = new PprofWriter({ sampleTypes: HEAP, periodType: { type: "space", unit: "bytes" }, period: 524288, timeNs, durationNs: 0n });
  const entries = Object.entries(stacks);
  // Ids and strings come in another order each time, as they do from a program.
  for (const [stack, values] of isReversed ? entries.reverse() : entries) {
    writer.sample(stack.split(";").map((name) => writer.frame(name, `${name}.go`, 3)).reverse(), values);
  }
  return writer.finish();
}

function stored(before: Uint8Array | undefined, now: Uint8Array): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  for (const { pprof } of readScraped(now, { timeNs: 5n, counters: { before } }, CONTEXT).profiles) {
    for (const [key, sum] of expectedSums(pprof)) sums.set(key.replace(/\{\} (\w+):\w+ /, "$1 ").replace(/(\w+) \w+\.go:3/g, "$1"), sum);
  }
  return sums;
}

describe("scraped pprof", () => {
  it("what counts is stored as the difference by stacktrace, and what is in use as it is", () => {
    const before = heap({ "main;a": [10, 100, 1, 10], "main;c": [5, 50, 0, 0] });
    const now = heap({ "main;a": [14, 140, 2, 20], "main;b": [3, 30, 3, 30], "main;c": [5, 50, 0, 0] }, { isReversed: true });
    const expected = { "alloc_objects main;a": 4n, "alloc_space main;a": 40n, "inuse_objects main;a": 2n, "inuse_space main;a": 20n, "alloc_objects main;b": 3n, "alloc_space main;b": 30n, "inuse_objects main;b": 3n, "inuse_space main;b": 30n };
    expect(Object.fromEntries(stored(before, now))).deep.equal(expected);
    expect(Object.fromEntries(stored(new Uint8Array(gzipSync(before)), now))).deep.equal(expected);
  });

  it("the first scrape is what later ones are compared with: nothing that counts is stored of it", () => {
    expect(Object.fromEntries(stored(undefined, heap({ "main;a": [10, 100, 1, 10] })))).deep.equal({ "inuse_objects main;a": 1n, "inuse_space main;a": 10n });
    expect([...readScraped(heap({ "main;a": [10, 100, 0, 0] }), { timeNs: 5n, counters: { before: undefined } }, CONTEXT).profiles]).deep.equal([]);
  });

  it("a value that fell, and a stacktrace that is gone, tell of a new start: the scrape is a first one", () => {
    const before = heap({ "main;a": [10, 100, 1, 10], "main;b": [1, 10, 0, 0] });
    const onlyInUse = { "inuse_objects main;a": 9n, "inuse_space main;a": 90n };
    expect(Object.fromEntries(stored(before, heap({ "main;a": [9, 900, 9, 90], "main;b": [9, 90, 0, 0] })))).deep.equal(onlyInUse);
    expect(Object.fromEntries(stored(before, heap({ "main;a": [90, 900, 9, 90] })))).deep.equal(onlyInUse);
  });

  it("other sample types than before make it a first one", () => {
    const writer = new PprofWriter({ sampleTypes: HEAP.slice(0, 2), periodType: { type: "space", unit: "bytes" }, period: 1, timeNs: 1n, durationNs: 0n });
    writer.sample([writer.frame("main", "main.go", 3)], [1, 1]);
    expect(stored(writer.finish(), heap({ main: [4, 4, 0, 0] })).size).equal(0);
  });

  it("samples of one stacktrace that differ in a number have one difference", () => {
    const two = (first: number, second: number): Uint8Array => {
      const profile = Profile.decode(heap({ main: [first, first, 1, 1] }));
      profile.sample.push(new Profile({ ...Profile.decode(heap({ main: [second, second, 1, 1] })) }).sample[0]!);
      return new Uint8Array(profile.encode());
    };
    expect(Object.fromEntries(stored(two(3, 4), two(5, 6)))).deep.equal({ "alloc_objects main": 4n, "alloc_space main": 4n, "inuse_objects main": 2n, "inuse_space main": 2n });
  });

  it("differences are exact beyond 2^53", () => {
    const at = (value: bigint): Uint8Array => {
      const writer = new PprofWriter({ sampleTypes: HEAP.slice(0, 1), periodType: { type: "space", unit: "bytes" }, period: 1, timeNs: 1n, durationNs: 0n });
      writer.sample([writer.frame("main")], [value]);
      return writer.finish();
    };
    const [profile] = readScraped(at(9223372036854775807n), { timeNs: 5n, counters: { before: at(9223372036854775800n) } }, CONTEXT).profiles;
    expect([...expectedSums(profile!.pprof).values()]).deep.equal([7n]);
  });

  it("a profile keeps its time, and one without gets the time of the scrape", () => {
    const timeOf = (timeNs: bigint, counters?: { before: undefined }): bigint => {
      const [profile] = readScraped(heap({ main: [1, 1, 1, 1] }, { timeNs }), { timeNs: 5n, ...(counters && { counters }) }, CONTEXT).profiles;
      return BigInt(Profile.decode(profile!.pprof).timeNanos);
    };
    expect([timeOf(3n), timeOf(0n), timeOf(3n, { before: undefined }), timeOf(0n, { before: undefined })]).deep.equal([3n, 5n, 3n, 5n]);
  });

  it("a profile that counts nothing is passed on byte for byte", () => {
    const body = heap({ main: [1, 2, 3, 4] });
    expect([...readScraped(body, { timeNs: 5n }, CONTEXT).profiles]).deep.equal([{ pprof: body, labels: CONTEXT.labels }]);
  });

  it("the differences of any number of scrapes add up to the last less the first", () => {
    const growth = fc.array(fc.dictionary(fc.constantFrom("main", "main;a", "main;b", "main;a;c"), fc.integer({ min: 0, max: 1000 })), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(growth, (steps) => {
        const totals: Record<string, number> = {};
        const bodies = steps.map((step) => {
          for (const [stack, count] of Object.entries(step)) totals[stack] = (totals[stack] ?? 0) + count;
          return heap(Object.fromEntries(Object.entries(totals).map(([stack, total]) => [stack, [total, total * 2, 0, 0]])));
        });
        const sums = new Map<string, bigint>();
        for (const [index, body] of bodies.entries()) for (const [key, sum] of stored(bodies[index - 1], body)) sums.set(key, (sums.get(key) ?? 0n) + sum);
        const expected = new Map<string, bigint>();
        for (const [stack, total] of Object.entries(totals)) {
          const count = total - (steps[0]![stack] ?? 0);
          if (count > 0) expected.set(`alloc_objects ${stack}`, BigInt(count)).set(`alloc_space ${stack}`, BigInt(count * 2));
        }
        expect(Object.fromEntries([...sums].sort())).deep.equal(Object.fromEntries([...expected].sort()));
      }),
    );
  });

  it("a location of 10,000 lines with a name of a megabyte has its difference, as any other", () => {
    const at = (value: number): Uint8Array => {
      const profile = Profile.decode(heap({ ["x".repeat(1 << 20)]: [value, value, 0, 0] }));
      const [line] = profile.location[0]!.line;
      profile.location[0]!.line = Array.from({ length: 10_000 }, () => line!);
      return new Uint8Array(profile.encode());
    };
    const [profile] = readScraped(at(9), { timeNs: 5n, counters: { before: at(4) } }, CONTEXT).profiles;
    expect(Profile.decode(profile!.pprof).sample.map(({ value }) => value.map(Number))).deep.equal([[5, 5, 0, 0]]);
  });

  it("samples whose labels have a text of a megabyte, 10,000 times, have their difference, as any other", () => {
    const at = (value: number): Uint8Array => {
      const profile = Profile.decode(heap({ main: [value, value, 0, 0] }));
      const key = profile.stringTable.dedup("k");
      const str = profile.stringTable.dedup("x".repeat(1 << 20));
      profile.sample[0]!.label = Array.from({ length: 10_000 }, () => new Label({ key, str }));
      return new Uint8Array(profile.encode());
    };
    const [profile] = readScraped(at(9), { timeNs: 5n, counters: { before: at(4) } }, CONTEXT).profiles;
    expect(Profile.decode(profile!.pprof).sample.map(({ value }) => value.map(Number))).deep.equal([[5, 5, 0, 0]]);
  });

  it("names that hold line breaks stay apart", () => {
    const at = (second: number): Uint8Array => {
      const writer = new PprofWriter({ sampleTypes: HEAP.slice(0, 1), periodType: { type: "space", unit: "bytes" }, period: 1, timeNs: 1n, durationNs: 0n });
      writer.sample([writer.frame("a\nb", "c", 3)], [1]);
      writer.sample([writer.frame("a", "b\nc", 3)], [second]);
      return writer.finish();
    };
    const [profile] = readScraped(at(9), { timeNs: 5n, counters: { before: at(4) } }, CONTEXT).profiles;
    expect(Profile.decode(profile!.pprof).sample.map(({ locationId, value }) => [locationId.map(Number), value.map(Number)])).deep.equal([[[2], [5]]]);
  });

  it("what is cut off anywhere, and noise, is refused or read, and never throws anything else", () => {
    const body = heap({ "main;a": [10, 100, 1, 10] });
    const read = (bytes: Uint8Array): void => {
      try {
        readScraped(bytes, { timeNs: 5n, counters: { before: body } }, CONTEXT);
      } catch (error) {
        expect(error).property("code", "PROFILE_MALFORMED");
      }
    };
    for (let length = 0; length < body.length; length++) read(body.subarray(0, length));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), read));
  });
});
