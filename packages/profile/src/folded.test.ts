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

  it("groups: equal stacks are one and add up, so that a profile's greatest number of samples is one of stacks", () => {
    expect(parseFolded(encodeUtf8("a;b 5\na 1\na;b 7\na;b -2\n"), { mode: "groups" })).deep.equal([
      { stack: "a;b", count: 10 },
      { stack: "a", count: 1 },
    ]);
    expect(parseFolded(encodeUtf8("a 9007199254740991\na +1\nb -0\n"), { mode: "groups" })).deep.equal([
      { stack: "a", count: 9007199254740992n },
      { stack: "b", count: 0 },
    ]);
    expect(parseFolded(encodeUtf8("a 9223372036854775807\na -1\n"), { mode: "groups" })).deep.equal([{ stack: "a", count: 9223372036854775806n }]);
    expect(() => parseFolded(encodeUtf8("a 9223372036854775807\na 1\n"), { mode: "groups" })).throw(CodedError, "line 2");
  });

  it("one semicolon at a stack's end is no frame; empty frames elsewhere are", () => {
    const stacks = (text: string, mode: "groups" | "lines"): string[] => parseFolded(encodeUtf8(text), { mode }).map(({ stack }) => stack);
    expect(stacks("a;b; 1\na;b 1\n;a 1\na;;b 1\na;; 1\n", "groups")).deep.equal(["a;b", ";a", "a;;b", "a;"]);
    expect(stacks("a;b;\na;b\n", "lines")).deep.equal(["a;b"]);
  });

  it("a count that is beyond 64 bits as nanoseconds is refused, not stored as another number; nothing is no sample", () => {
    const profile = profileOfAppName("cpu", 100);
    expect(() => foldedToPprof([{ stack: "a", count: 10 ** 12 }], profile)).throw(CodedError, "beyond 64 bits");
    expect(Profile.decode(foldedToPprof([{ stack: "a", count: 0 }, { stack: "b", count: 1 }], profile)).sample).length(1);
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
    // Counts of no clock have no period either: process_cpu:samples:count::
    expect(profileOfAppName("", 0)).deep.include({ sampleType: { type: "samples", unit: "count" }, periodType: { type: "", unit: "" }, period: 0 });
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
