import { expect } from "chai";
import fc from "fast-check";
import { Profile } from "pprof-format";
import { CodedError, encodeUtf8 } from "@pyromesh/base";
import type { FoldedStack } from "./folded.ts";
import { foldedToPprof, parseFolded, pprofOfText, profileOfAppName, splitAppName } from "./folded.ts";
import { expectedSums } from "../testing/pprof-oracle.ts";

describe("folded stacks", () => {
  const groups = (text: string, isForm?: boolean): FoldedStack[] => parseFolded(encodeUtf8(text), { mode: "groups", isForm });
  const lines = (text: string): FoldedStack[] => parseFolded(encodeUtf8(text), { mode: "lines" });

  it("groups: blanks or tabs part the count from the stack", () => {
    expect(groups("main;read file 3\r\nmain 4\nmain;ünï 9223372036854775807\ntab\t5\nboth \t 6 \t\nlast\t7")).deep.equal([
      { stack: "main;read file", count: 3 },
      { stack: "main", count: 4 },
      { stack: "main;ünï", count: 9223372036854775807n },
      { stack: "tab", count: 5 },
      { stack: "both", count: 6 },
      { stack: "last", count: 7 },
    ]);
  });

  it("the byte order mark of a file is skipped, and one inside the text is part of a name", () => {
    expect(groups("\ufeffmain;a 1\n\ufeffmain;b 2")).deep.equal([
      { stack: "main;a", count: 1 },
      { stack: "\ufeffmain;b", count: 2 },
    ]);
  });

  it("lines of blanks, and those that begin with #, say nothing, in both formats", () => {
    const around = (line: string): string => `\n# event: cpu\n \t \r\n  # samples: 12\n#\n${line}\r\n\r\n`;
    expect(groups(around("main;a 1"))).deep.equal([{ stack: "main;a", count: 1 }]);
    expect(lines(around("main;a"))).deep.equal([{ stack: "main;a", count: 1 }]);
    expect(groups("main;#private 2")).deep.equal([{ stack: "main;#private", count: 2 }]);
  });

  it("groups: any other line without a count is refused with its number, and the whole text with it", () => {
    for (const line of ["garbage", "no number here", "main;a", "a 1.5", "a 0x1", "a 1a", "12", "a;1", "a 9223372036854775808"]) {
      expect(() => groups(`main 1\n\n# x\n${line}\nmain 2\n`), line).throw(CodedError, "line 4").with.property("code", "PROFILE_MALFORMED");
    }
  });

  it("text that is not UTF-8 is refused with the line and its bytes", () => {
    const latin1 = Buffer.from("main;a 1\nmain;\xfcn\xef 2\n", "latin1");
    for (const mode of ["groups", "lines"] as const) {
      expect(() => parseFolded(latin1, { mode }), mode).throw(CodedError, "line 2 of the folded stacks is not UTF-8, its bytes are 6d61696e3bfc6eef2032:");
    }
    const long = Buffer.concat([Buffer.from(`${"a".repeat(1000)};`), Buffer.of(0xff), Buffer.from(`${"b".repeat(1000)} 1`)]);
    expect(() => parseFolded(long, { mode: "groups" })).throw(CodedError, `bytes are ...${"61".repeat(31)}3bff${"62".repeat(31)}...:`);
    expect(() => parseFolded(Uint8Array.from([0xff, 32, 49]), { mode: "groups" })).throw(CodedError, "bytes are ff2031:");
  });

  it("lines whose ends were lost, as by curl -d, are refused, and the refusal says --data-binary", () => {
    const refusedOf = (text: string, isForm?: boolean): boolean => {
      try {
        groups(text, isForm);
        return false;
      } catch (thrown) {
        expect((thrown as CodedError).code).equal("PROFILE_MALFORMED");
        return (thrown as CodedError).message.includes("--data-binary");
      }
    };
    for (const isForm of [true, false, undefined]) {
      for (const text of ["main;a 1main;b 2main;c 3", "main;a 1main;b 2", "main;a\t1main;b\t2", "a 1;b;a;c 1a;d;a 3"]) expect(refusedOf(text, isForm), `${text} ${isForm}`).equal(text !== "a 1;b;a;c 1a;d;a 3" || isForm === true);
    }
    // With other roots, or frames alone, only a form tells.
    for (const text of ["main;a 1other;b 2", "main 1other 2", "main;a 10x4f;b 2"]) expect([refusedOf(text, true), refusedOf(text)], text).deep.equal([true, false]);
  });

  it("names with digits and blanks are names, from a form too where no count runs into another stack", () => {
    for (const isForm of [true, false]) {
      for (const [text, stack] of [
        ["a1;b 3", "a1;b"],
        ["lambda$1;x 2", "lambda$1;x"],
        ["main;main1;b 2", "main;main1;b"],
        ["main;x1main;b 2", "main;x1main;b"],
        ["thread 12;main 5", "thread 12;main"],
        ["thread 12 ;main 5", "thread 12 ;main"],
        ["1;2;3 4", "1;2;3"],
        ["main;a 1", "main;a"],
        ["main;std::array<char, 16>::at(int, 2);x 3", "main;std::array<char, 16>::at(int, 2);x"],
        ['process 12:"python app.py 2";<module> (a.py:1) 3', 'process 12:"python app.py 2";<module> (a.py:1)'],
        ["main;block (2 levels) in at 0x1f, v8 10.2;x 4", "main;block (2 levels) in at 0x1f, v8 10.2;x"],
      ] as const) expect(groups(text, isForm), `${text} ${isForm}`).deep.equal([{ stack, count: Number(text.slice(-1)) }]);
      // A line end says that none were lost.
      expect(groups("main;2 1main;b 2\n", isForm)).deep.equal([{ stack: "main;2 1main;b", count: 2 }]);
    }
    expect(groups("main;operator new 2nd;x 3")).deep.equal([{ stack: "main;operator new 2nd;x", count: 3 }]);
  });

  it("lines: every line counts one, equal ones add up", () => {
    expect(lines("a;b\na;b\r\n\na 5\n")).deep.equal([
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

  it("an empty frame is no frame, wherever it stands", () => {
    expect(groups("a;b; 1\na;b 1\n;a 1\na;;b 1\na;; 1\n;; 1\n 1\n")).deep.equal([
      { stack: "a;b", count: 3 },
      { stack: "a", count: 2 },
      { stack: "", count: 2 },
    ]);
    expect(lines("a;b;\n;a;;b\n").map(({ stack, count }) => [stack, count])).deep.equal([["a;b", 2]]);
    const { sample } = Profile.decode(foldedToPprof([{ stack: "", count: 2 }], profileOfAppName("bytes", 0)));
    expect(sample.map(({ locationId, value }) => [locationId.length, Number(value[0])])).deep.equal([[0, 2]]);
  });

  it("frames lie in mapping 1 and have their name for a system name, as Pyroscope makes them", () => {
    const pprof = Profile.decode(pprofOfText(encodeUtf8("main;a 1\nmain;b 2\n"), { mode: "groups", profile: profileOfAppName("cpu", 100) }));
    expect(pprof.mapping.map(({ id, filename, buildId, memoryStart }) => [id, filename, buildId, memoryStart].map(Number))).deep.equal([[1, 0, 0, 0]]);
    expect(pprof.location.map(({ mappingId }) => Number(mappingId))).deep.equal([1, 1, 1]);
    expect(pprof.function.map(({ name, systemName }) => [name, systemName].map((index) => pprof.stringTable.strings[Number(index)]))).deep.equal([
      ["main", "main"],
      ["a", "a"],
      ["b", "b"],
    ]);
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
    expect(profileOfAppName(undefined, 0)).deep.include({ sampleType: { type: "samples", unit: "count" }, periodType: { type: "", unit: "" }, period: 0 });
    expect(profileOfAppName("seconds", 100)).deep.include({ name: "wall", sampleType: { type: "wall", unit: "nanoseconds" } });
  });

  it("the application's suffix names the type, and an unknown one is refused", () => {
    expect(splitAppName("shop.cart.cpu")).deep.equal({ service: "shop.cart", suffix: "cpu" });
    expect(splitAppName("shop")).deep.equal({ service: "shop", suffix: undefined });
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
    for (const app of ["shop.service", "shop."]) {
      expect(() => profileOfAppName(splitAppName(app).suffix, 100), app).throw(CodedError).with.property("code", "APP_SUFFIX_UNKNOWN");
    }
  });
});
