import { expect } from "chai";
import { Profile } from "pprof-format";
import { dotGraph } from "./dot.ts";
import { goPgoLocations, LocationTreeMerger, truncateLocations } from "./location-tree.ts";
import { encodePprof } from "./pprof-encode.ts";
import { emptyRowSamples, SampleFilter } from "../scan/scan.ts";
import type { LocationTree } from "../model/stacktrace-tree.ts";
import { INT64_MAX, SumColumn, sumAt, sumOf } from "../model/sums.ts";
import type { Int64 } from "../model/results.ts";

/**
 * Locations 1: main, 2: work with inlined sum, 3: without lines at a high address, 4: never used.
 *
 *   root - 1 - 2 - 3
 *            \ 3
 */
function tree(selfs: readonly Int64[]): LocationTree {
  const texts = ["", "main", "work", "sum", "main.go", "unused", "/bin/app", "build"].map((text) => Buffer.from(text));
  const offsets = [0];
  for (const bytes of texts) offsets.push(offsets.at(-1)! + bytes.length);
  const column = new SumColumn(selfs.length);
  for (const [node, self] of selfs.entries()) {
    column.raise(self);
    column.addInt64(node, self);
  }
  return {
    tree: { nodeCount: 5, nodeParent: Uint32Array.of(0, 0, 1, 2, 1), nodeLocation: Uint32Array.of(0, 1, 2, 3, 3) },
    self: column.view(),
    symbols: {
      stringCount: texts.length,
      stringBytes: Buffer.concat(texts),
      stringOffset: Uint32Array.from(offsets),
      mappingCount: 2,
      mappingStart: BigUint64Array.of(0n, 0x40_0000n),
      mappingLimit: BigUint64Array.of(0n, 0xffff_ffff_ffff_0000n),
      mappingFileOffset: BigUint64Array.of(0n, 4096n),
      mappingFilename: Uint32Array.of(0, 6),
      mappingBuildId: Uint32Array.of(0, 7),
      mappingFlags: Uint8Array.of(0, 0b1011),
      functionCount: 5,
      functionName: Uint32Array.of(0, 1, 2, 3, 5),
      functionSystemName: Uint32Array.of(0, 1, 2, 3, 5),
      functionFilename: Uint32Array.of(0, 4, 4, 4, 4),
      functionStartLine: Float64Array.of(0, 10, 20, 30, 40),
      locationCount: 5,
      locationMapping: Uint32Array.of(0, 1, 1, 0, 1),
      locationAddressLow: Uint32Array.of(0, 0x1000, 0x2000, 0x9abcdef0, 0x4000),
      locationAddressHigh: Uint32Array.of(0, 0, 0, 0xffff_ffff, 0),
      locationFlags: Uint8Array.of(0, 0, 1, 0, 0),
      lineStart: Uint32Array.of(0, 0, 1, 3, 3, 4),
      lineCount: 4,
      lineFunction: Uint32Array.of(1, 3, 2, 4),
      lineNumber: Float64Array.of(11, 31, 21, -1),
    },
  };
}

function encode(source: LocationTree): Profile {
  return Profile.decode(
    encodePprof({
      tree: source,
      sampleType: { type: "cpu", unit: "nanoseconds" },
      periodType: { type: "", unit: "milliseconds" },
      period: -1n,
      timeNs: 1n,
      durationNs: 0n,
    }),
  );
}

/** Frames of a sample, leaf first. */
function samplesOf(profile: Profile): [string, bigint][] {
  return profile.sample.map((sample) => [
    sample.locationId
      .map((id) => {
        const location = profile.location[Number(id) - 1]!;
        const lines = location.line.map((line) => `${profile.stringTable.strings[Number(profile.function[Number(line.functionId) - 1]!.name)]}:${line.line}`);
        return lines.length === 0 ? BigInt.asUintN(64, BigInt(location.address)).toString(16) : lines.join("+");
      })
      .join(" < "),
    BigInt.asIntN(64, BigInt(sample.value[0]!)),
  ]);
}

describe("pprof encoding", () => {
  it("writes what samples reach, under dense ids, and nothing else", () => {
    const profile = encode(tree([0, 1, 0, 2n ** 62n, 7]));
    expect(samplesOf(profile)).to.deep.equal([
      ["main:11", 1n],
      ["ffffffff9abcdef0 < sum:31+work:21 < main:11", 2n ** 62n],
      ["ffffffff9abcdef0 < main:11", 7n],
    ]);
    expect(profile.location.map((location) => Number(location.id))).to.deep.equal([1, 2, 3]);
    expect(profile.location.map((location) => [Number(location.mappingId), location.isFolded])).to.deep.equal([
      [1, false],
      [1, true],
      [0, false],
    ]);
    expect(profile.function.map((fn) => Number(fn.startLine))).to.deep.equal([10, 30, 20]);
    expect(profile.stringTable.strings).to.not.contain("unused");
    expect(profile.stringTable.strings[0]).to.equal("");
    const [mapping] = profile.mapping;
    expect(BigInt.asUintN(64, BigInt(mapping!.memoryLimit))).to.equal(0xffff_ffff_ffff_0000n);
    expect([mapping!.hasFunctions, mapping!.hasFilenames, mapping!.hasLineNumbers, mapping!.hasInlineFrames]).to.deep.equal([true, true, false, true]);
    expect(BigInt.asIntN(64, BigInt(profile.period))).to.equal(-1n);
  });

  it("a line number below zero stays one, and a sum beyond int64 is held at its end", () => {
    const source = tree([0, 0, 0, 0, 1]);
    source.tree.nodeLocation[1] = 4;
    expect(samplesOf(encode(source))).to.deep.equal([["ffffffff9abcdef0 < unused:" + String(encode(source).location[0]!.line[0]!.line), 1n]]);
    expect(BigInt.asIntN(64, BigInt(encode(source).location[0]!.line[0]!.line))).to.equal(-1n);
    expect(samplesOf(encode(tree([0, 2n ** 63n, 0, 0, 0])))).to.deep.equal([["main:11", INT64_MAX]]);
  });

  it("an empty tree is a profile without samples", () => {
    const profile = encode(new LocationTreeMerger().result());
    expect([profile.sample.length, profile.location.length, profile.sampleType.length]).to.deep.equal([0, 0, 1]);
  });
});

describe("location trees", () => {
  it("truncation keeps the greatest, puts the rest under other, and keeps the total exact", () => {
    const kept = truncateLocations(tree([0, 0, 1, 5, 2n ** 60n]), 2);
    expect(samplesOf(encode(kept))).to.deep.equal([
      ["other:0 < main:11", 6n],
      ["ffffffff9abcdef0 < main:11", 2n ** 60n],
    ]);
    expect(sumOf(kept.self, kept.tree.nodeCount)).to.equal(2n ** 60n + 6n);
  });

  it("merging keeps same frames one and different ones apart", () => {
    const merger = new LocationTreeMerger();
    merger.add(tree([0, 1, 2, 3, 4]));
    const shifted = tree([0, 10, 20, 30, 40]);
    shifted.symbols.lineNumber[0] = 12;
    merger.add(shifted);
    merger.add(tree([0, 100, 200, 300, 2n ** 53n]));
    expect(new Map(samplesOf(encode(merger.result())))).to.deep.equal(
      new Map([
        ["main:11", 101n],
        ["sum:31+work:21 < main:11", 202n],
        ["ffffffff9abcdef0 < sum:31+work:21 < main:11", 303n],
        ["ffffffff9abcdef0 < main:11", 2n ** 53n + 4n],
        ["main:12", 10n],
        ["sum:31+work:21 < main:12", 20n],
        ["ffffffff9abcdef0 < sum:31+work:21 < main:12", 30n],
        ["ffffffff9abcdef0 < main:12", 40n],
      ]),
    );
  });

  it("call sites see inlined functions, and addresses where there is no name", () => {
    const under = (...callSite: string[]): number => {
      const source = tree([0, 1, 2, 4, 8]);
      const filter = new SampleFilter({ ...source, spans: new Uint8Array(8), traces: new Uint8Array(16) }, { callSite, spanIds: [], traceIds: [] });
      const samples = { ...emptyRowSamples(), sampleCount: 4, node: Uint32Array.of(1, 2, 3, 4) };
      return [0, 1, 2, 3].reduce((sum, at) => sum + (filter.takes(samples, at) ? Number(sumAt(source.self, at + 1)) : 0), 0);
    };
    expect([under(), under("main"), under("main", "work"), under("main", "work", "sum"), under("main", "sum")]).to.deep.equal([15, 15, 6, 6, 0]);
    expect([under("main", "ffffffff9abcdef0"), under("work"), under("main", "work", "sum", "x")]).to.deep.equal([8, 0, 0]);
  });

  it("go-pgo forgets the leaf's line, and only that", () => {
    const source = tree([0, 1, 2, 0, 0]);
    expect(samplesOf(encode(goPgoLocations(source, { keepLocations: 0, aggregateCallees: true })))).to.deep.equal([
      ["main:0", 1n],
      ["sum:0+work:21 < main:11", 2n],
    ]);
    expect(samplesOf(encode(goPgoLocations(source, { keepLocations: 1, aggregateCallees: false })))).to.deep.equal([
      ["main:11", 1n],
      ["sum:31+work:21", 2n],
    ]);
    expect(sumAt(source.self, 1)).to.equal(1);
  });

  it("a call graph counts recursion once, marks inlined calls, and survives any name", () => {
    const source = tree([0, 1, 2, 4, 8]);
    // 3 becomes main again, and a quote in a name must not end a label.
    source.symbols.stringBytes.set(Buffer.from('"\\n'), source.symbols.stringOffset[3]!);
    const text = dotGraph({ tree: source, sampleType: { type: "cpu", unit: "nanoseconds" }, timeNs: 0n, durationNs: 2_500_000_000n }, 0);
    expect(text).to.contain("Time: Jan 1, 1970 at 12:00am (UTC)\\lDuration: 2.5s\\lShowing nodes accounting for 15ns, 100% of 15ns total\\l");
    expect(text).to.contain('label="main\\nmain.go:11\\n1ns (6.67%)\\nof 15ns (100%)"');
    expect(text).to.contain(String.raw`label="\"\\n\nmain.go:31\n2ns (13.33%)\nof 6ns (40.00%)"`);
    expect(text).to.contain(String.raw`label=" 6ns\n (inline)"`);
    expect(text.split("\n").filter((line) => line.includes("->") && line.startsWith("N")).length).to.equal(4);
    source.tree.nodeLocation.set([1, 1, 1], 2);
    const recursive = dotGraph({ tree: source, sampleType: { type: "objects", unit: "count" }, timeNs: 0n, durationNs: 0n }, 0);
    expect(recursive).to.contain("15 (100%)");
    expect(recursive).to.not.contain("->  ");
    expect(recursive.split("\n").some((line) => /^N\d+ -> /.test(line))).to.equal(false);
  });

  // A colon of each `::` stood before the next line.
  it("a call graph breaks names of C++ and Rust at ::, and keeps a colon alone", () => {
    const labelOf = (name: string): string | undefined => {
      const source = tree([0, 1, 0, 0, 0]);
      source.symbols.stringBytes.set(Buffer.from(name), source.symbols.stringOffset[1]!); // main
      return /^N1 \[label="(.*?)\\nmain\.go/m.exec(dotGraph({ tree: source, sampleType: { type: "cpu", unit: "nanoseconds" }, timeNs: 0n, durationNs: 0n }, 0))?.[1];
    };
    expect([labelOf("a::b"), labelOf("aa:b"), labelOf("a.b:")]).to.deep.equal(["a\\nb", "aa:b", "a\\nb:"]);
  });
});
