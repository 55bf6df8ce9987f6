import { expect } from "chai";
import fc from "fast-check";
import { Profile } from "pprof-format";
import { CodedError, encodeUtf8 } from "@pyromesh/base";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { readFolded, readStacks } from "./folded.ts";
import type { AppProfile, FoldedText } from "../text/folded.ts";
import { profileOfAppName } from "../text/folded.ts";
import { expectedSums } from "../testing/pprof-oracle.ts";

interface FoldedStack {
  readonly stack: string;
  readonly count: number;
}

/** A count beyond the exact doubles is told as a bigint. */
function stacksIn(bytes: Uint8Array, form: Pick<FoldedText, "mode" | "isForm">): FoldedStack[] {
  const { tree, names, counts } = readStacks(bytes, form, DEFAULT_PROFILE_LIMITS);
  return [...counts].map(([node, count]) => ({ stack: tree.framesOf(node).reverse().map((frame) => names.nameOf(frame)).join(";"), count: (Number.isSafeInteger(Number(count)) ? Number(count) : count) as number }));
}

function pprofOf(text: string, profile: AppProfile): Uint8Array {
  const [read] = readFolded(encodeUtf8(text), { mode: "groups", profile }, { labels: [], limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: 1n }).profiles;
  return read!.pprof;
}

describe("folded stacks", () => {
  const groups = (text: string, isForm?: boolean): FoldedStack[] => stacksIn(encodeUtf8(text), { mode: "groups", isForm });
  const lines = (text: string): FoldedStack[] => stacksIn(encodeUtf8(text), { mode: "lines" });

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
      expect(() => stacksIn(latin1, { mode }), mode).throw(CodedError, "line 2 of the folded stacks is not UTF-8, its bytes are 6d61696e3bfc6eef2032:");
    }
    const long = Buffer.concat([Buffer.from(`${"a".repeat(1000)};`), Buffer.of(0xff), Buffer.from(`${"b".repeat(1000)} 1`)]);
    expect(() => stacksIn(long, { mode: "groups" })).throw(CodedError, `bytes are ...${"61".repeat(31)}3bff${"62".repeat(31)}...:`);
    expect(() => stacksIn(Uint8Array.from([0xff, 32, 49]), { mode: "groups" })).throw(CodedError, "bytes are ff2031:");
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
    expect(groups("a;b 5\na 1\na;b 7\na;b -2\n")).deep.equal([
      { stack: "a;b", count: 10 },
      { stack: "a", count: 1 },
    ]);
    expect(groups("a 9007199254740991\na +1\nb -0\n")).deep.equal([
      { stack: "a", count: 9007199254740992n },
      { stack: "b", count: 0 },
    ]);
    expect(groups("a 9223372036854775807\na -1\n")).deep.equal([{ stack: "a", count: 9223372036854775806n }]);
    expect(() => groups("a 9223372036854775807\na 1\n")).throw(CodedError, "line 2");
  });

  it("an empty frame is no frame, wherever it stands", () => {
    expect(groups("a;b; 1\na;b 1\n;a 1\na;;b 1\na;; 1\n;; 1\n 1\n")).deep.equal([
      { stack: "a;b", count: 3 },
      { stack: "a", count: 2 },
      { stack: "", count: 2 },
    ]);
    expect(lines("a;b;\n;a;;b\n").map(({ stack, count }) => [stack, count])).deep.equal([["a;b", 2]]);
    const { sample } = Profile.decode(pprofOf("; 2\n", profileOfAppName("bytes", 0)));
    expect(sample.map(({ locationId, value }) => [locationId.length, Number(value[0])])).deep.equal([[0, 2]]);
  });

  it("frames lie in mapping 1 and have their name for a system name, as Pyroscope makes them", () => {
    const pprof = Profile.decode(pprofOf("main;a 1\nmain;b 2\n", profileOfAppName("cpu", 100)));
    expect(pprof.mapping.map(({ id, filename, buildId, memoryStart }) => [id, filename, buildId, memoryStart].map(Number))).deep.equal([[1, 0, 0, 0]]);
    expect(pprof.location.map(({ mappingId }) => Number(mappingId))).deep.equal([1, 1, 1]);
    expect(pprof.function.map(({ name, systemName }) => [name, systemName].map((index) => pprof.stringTable.strings[Number(index)])).sort()).deep.equal([
      ["a", "a"],
      ["b", "b"],
      ["main", "main"],
    ]);
  });

  it("a count that is beyond 64 bits as nanoseconds is refused, not stored as another number; nothing is no sample", () => {
    const profile = profileOfAppName("cpu", 100);
    expect(() => pprofOf("a 1000000000000", profile)).throw(CodedError, "beyond 64 bits");
    expect(Profile.decode(pprofOf("a 0\nb 1", profile)).sample).length(1);
  });

  it("the pprof of folded stacks holds their sums, as pprof-format tells them", () => {
    const frame = fc.stringMatching(/^[a-zA-Z0-9_.ü]([a-zA-Z0-9_.ü ]{0,10}[a-zA-Z0-9_.ü])?$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.array(frame, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 2 ** 40 })), { maxLength: 20 }), (stacks) => {
        const profile = profileOfAppName("alloc_space", 100);
        const pprof = pprofOf(stacks.map(([frames, count]) => `${frames.join(";")} ${count}\n`).join(""), profile);
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
    const pprof = Profile.decode(pprofOf("a;b 3\n", profile));
    expect(pprof.sample.map(({ value }) => Number(value[0]))).deep.equal([30_000_000]);
    expect([BigInt(pprof.timeNanos), Number(pprof.period)]).deep.equal([0n, 10_000_000]);
    // Counts of no clock have no period either: process_cpu:samples:count::
    expect(profileOfAppName(undefined, 0)).deep.include({ sampleType: { type: "samples", unit: "count" }, periodType: { type: "", unit: "" }, period: 0 });
    expect(profileOfAppName("seconds", 100)).deep.include({ name: "wall", sampleType: { type: "wall", unit: "nanoseconds" } });
  });

  it("a text with more stacks than a profile may have is read no further: a line behind them that is no stack goes unnoticed", () => {
    const text = (stackCount: number): string => `${Array.from({ length: stackCount }, (_, i) => `s${i} 1\n`).join("")}no count\n`;
    const { sampleCountMax } = DEFAULT_PROFILE_LIMITS;
    expect(() => groups(text(sampleCountMax + 1))).throw(CodedError).with.property("code", "PROFILE_SAMPLES_LIMIT");
    expect(() => groups(text(sampleCountMax))).throw(CodedError, `line ${sampleCountMax + 1}`);
  });

  it("frames beyond the greatest depth are not read: they add nothing to the names that are kept", () => {
    const { stacktraceDepthMax } = DEFAULT_PROFILE_LIMITS;
    const line = Array.from({ length: 50_000 }, (_, i) => `f${i}`).join(";");
    const { names, counts, tree } = readStacks(encodeUtf8(`${line} 3\n`), { mode: "groups" }, DEFAULT_PROFILE_LIMITS);
    const [[node, count] = [0, 0n]] = [...counts];
    expect([names.count, tree.framesOf(node).length, count]).deep.equal([stacktraceDepthMax, stacktraceDepthMax, 3n]);
  });

  it("a count of a million digits is refused for its length, and one of a million zeros is what follows them", () => {
    expect(() => groups(`a ${"1".repeat(1_000_000)}`)).throw(CodedError, "line 1 has a count beyond 64 bits");
    expect(groups(`a ${"0".repeat(1_000_000)}7\na -${"0".repeat(100)}2`)).deep.equal([{ stack: "a", count: 5 }]);
    expect(() => groups("a -9223372036854775808\na 18446744073709551616")).throw(CodedError, "line 2 has a count beyond 64 bits");
    expect(groups("a -9223372036854775808\na 10000000000000000000")).deep.equal([{ stack: "a", count: 776627963145224192n }]);
  });
});
