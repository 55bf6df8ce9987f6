import { expect } from "chai";
import fc from "fast-check";
import { Profile } from "pprof-format";
import { CodedError, encodeUtf8 } from "@pyromesh/base";
import { foldedToPprof, parseFolded, profileOfAppName, splitAppName } from "./folded.ts";
import { expectedSums } from "./testing/pprof-oracle.ts";

describe("folded stacks", () => {
  it("groups: the count stands behind the last space; lines without one say nothing", () => {
    const stacks = parseFolded(encodeUtf8("main;read file 3\r\nmain 4\n\nnothing\nmain;ünï 9223372036854775807\n"), { mode: "groups" });
    expect(stacks).deep.equal([
      { stack: "main;read file", count: 3 },
      { stack: "main", count: 4 },
      { stack: "main;ünï", count: 9223372036854775807n },
    ]);
  });

  it("groups: a count that is no whole number of 64 bits is refused", () => {
    for (const text of ["no number here", "a 1.5", "a 0x1", "a ", "a 9223372036854775808"]) {
      expect(() => parseFolded(encodeUtf8(text), { mode: "groups" }), text).throw(CodedError);
    }
    expect(() => parseFolded(Uint8Array.from([0xff, 32, 49]), { mode: "groups" })).throw(CodedError);
  });

  it("lines: every line counts one, equal ones add up", () => {
    expect(parseFolded(encodeUtf8("a;b\na;b\n\na 5\n"), { mode: "lines" })).deep.equal([
      { stack: "a;b", count: 2 },
      { stack: "a 5", count: 1 },
    ]);
  });

  it("the pprof of folded stacks holds their sums, as pprof-format tells them", () => {
    const frame = fc.stringMatching(/^[a-zA-Z0-9_.ü ]{1,12}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.array(frame, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 2 ** 40 })), { maxLength: 20 }), (stacks) => {
        const profile = profileOfAppName("alloc_space", 100);
        const pprof = foldedToPprof(stacks.map(([frames, count]) => ({ stack: frames.join(";"), count })), profile);
        const expected = new Map<string, bigint>();
        for (const [frames, count] of stacks) {
          const key = `{} alloc_space:bytes ${frames.map((name) => `${name} :0`).join(";")}`;
          expected.set(key, (expected.get(key) ?? 0n) + BigInt(count));
        }
        expect(expectedSums(pprof)).deep.equal(expected);
      }),
      { numRuns: 100 },
    );
  });

  it("samples of time count as nanoseconds of the sample rate", () => {
    const profile = profileOfAppName("cpu", 100);
    expect(profile).deep.equal({
      name: "process_cpu",
      sampleType: { type: "cpu", unit: "nanoseconds" },
      periodType: { type: "cpu", unit: "nanoseconds" },
      period: 10_000_000,
      scale: 10_000_000,
    });
    const pprof = Profile.decode(foldedToPprof([{ stack: "a;b", count: 3 }], profile, { timeNs: 5_000_000_000n, durationNs: 7n }));
    expect(pprof.sample.map(({ value }) => Number(value[0]))).deep.equal([30_000_000]);
    expect([BigInt(pprof.timeNanos), BigInt(pprof.durationNanos), Number(pprof.period)]).deep.equal([5_000_000_000n, 7n, 10_000_000]);
    expect(profileOfAppName("", 0).sampleType).deep.equal({ type: "samples", unit: "count" });
    expect(profileOfAppName("seconds", 100)).deep.include({ name: "wall", sampleType: { type: "wall", unit: "nanoseconds" } });
  });

  it("the application's suffix names the type, and an unknown one is refused", () => {
    expect(splitAppName("shop.cart.cpu")).deep.equal({ service: "shop.cart", suffix: "cpu" });
    expect(splitAppName("shop")).deep.equal({ service: "shop", suffix: "" });
    const told = ["inuse_objects", "goroutines", "lock_duration", "mutex_count", "live", "exceptions", "bytes", "alloc_in_new_tlab_bytes"].map((suffix) => {
      const { name, sampleType } = profileOfAppName(suffix, 100);
      return `${name}:${sampleType.type}:${sampleType.unit}`;
    });
    expect(told).deep.equal([
      "memory:inuse_objects:count",
      "goroutine:goroutines:count",
      "block:delay:nanoseconds",
      "mutex:contentions:count",
      "memory:live:count",
      "exceptions:samples:count",
      "memory:samples:bytes",
      "memory:alloc_in_new_tlab_bytes:bytes",
    ]);
    expect(() => profileOfAppName("service", 100)).throw(CodedError).with.property("code", "APP_SUFFIX_UNKNOWN");
  });
});
