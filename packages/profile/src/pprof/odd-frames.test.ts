/** Frames that are no function with a name: no stacktrace at all, a bare address, an empty name. Each is one number in every kind of answer. */
import { expect } from "chai";
import { Function as PprofFunction, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { crc32 } from "@pyromesh/base";
import { Dataset } from "../dataset/dataset.ts";
import { dotGraph } from "../graph/dot.ts";
import { encodePush } from "../record/encode-push.ts";
import { flameGraphDiff } from "../graph/flame-graph-diff.ts";
import { flameGraph } from "../graph/flame-graph.ts";
import { IdentitySet } from "../scan/identity-set.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { LocationTreeMerger, truncateLocations } from "../graph/location-tree.ts";
import { NameTreeBuilder } from "../graph/name-tree.ts";
import { encodePprof } from "../graph/pprof-encode.ts";
import { decodeRecord } from "../record/record-decode.ts";
import { RECORD_OFFSET, writeUint32 } from "../record/record.ts";
import { PointsCollector } from "../scan/scan-points.ts";
import type { RowQuery } from "../scan/scan.ts";
import { locationTreeOf, mergeNodes, nameTreeOf } from "../scan/scan-tree.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { sumAt } from "../model/sums.ts";
import { ALL_ROWS } from "../testing/all-rows.ts";
import { topTable } from "../graph/top-table.ts";
import { decodeTree, encodeTree } from "../graph/tree-bytes.ts";

const NOW_MS = 1_700_000_000_000;
const CPU = { type: "cpu", unit: "nanoseconds" };

interface Frame {
  readonly name?: string;
  /** The address of a frame without a name. */
  readonly address?: bigint;
  readonly mapping?: string;
}

/** One sample a stack, its frames from the root. */
function pprofOf(samples: readonly { readonly stack: readonly Frame[]; readonly value: number }[]): Uint8Array {
  const strings = new StringTable();
  const s = (text: string): number => strings.dedup(text);
  const frames = samples.flatMap(({ stack }) => stack);
  const mappings = [...new Set(frames.flatMap(({ mapping }) => (mapping === undefined ? [] : [mapping])))];
  return new Profile({
    sampleType: [new ValueType({ type: s("cpu"), unit: s("nanoseconds") })],
    sample: samples.map(({ stack, value }) => new Sample({ locationId: [...stack].reverse().map((frame) => frames.indexOf(frame) + 1), value: [value] })),
    mapping: mappings.map((filename, i) => new Mapping({ id: i + 1, filename: s(filename) })),
    location: frames.map(
      ({ name, address = 0n, mapping }, i) =>
        new Location({ id: i + 1, address, mappingId: mapping === undefined ? 0 : mappings.indexOf(mapping) + 1, line: name === undefined ? [] : [new Line({ functionId: i + 1, line: 1 })] }),
    ),
    function: frames.map(({ name = "" }, i) => new PprofFunction({ id: i + 1, name: s(name), systemName: s(name) })),
    stringTable: strings,
    timeNanos: BigInt(NOW_MS) * 1_000_000n,
    periodType: new ValueType({ type: s("cpu"), unit: s("nanoseconds") }),
  }).encode();
}

function recordBytes(pprof: Uint8Array): Uint8Array {
  return encodePush({
    tenant: "t1",
    labels: [
      { name: "service_name", value: "shop" },
      { name: "__name__", value: "process_cpu" },
    ],
    pprof,
    fallbackTimeNs: 1n,
    nonce: new Uint8Array(16),
    nowMs: NOW_MS,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  })[0]!.bytes;
}

/** The record as a store of the first normalisation version kept it. */
function ofVersion1(bytes: Uint8Array): Uint8Array {
  const old = bytes.slice();
  old[RECORD_OFFSET.body] = 1;
  writeUint32(old, RECORD_OFFSET.crc, crc32(old.subarray(RECORD_OFFSET.bodyLength)));
  return old;
}

function datasetOf(...records: readonly Uint8Array[]): Dataset {
  const dataset = new Dataset("shop");
  for (const bytes of records) dataset.insert(decodeRecord(bytes, "r"));
  return dataset;
}

const QUERY: RowQuery = { ...ALL_ROWS, endNs: BigInt(NOW_MS) * 1_000_000n };

function namesOf(dataset: Dataset, callSite: readonly string[] = []): NameTree {
  return nameTreeOf(dataset, mergeNodes(dataset, { ...QUERY, callSite }, new IdentitySet()).self);
}

function selfsOf(tree: NameTree): Record<string, number> {
  const paths = [""];
  const selfs: Record<string, number> = {};
  for (let node = 1; node < tree.nodeCount; node++) {
    paths[node] = `${paths[tree.nodeParent[node]!]!};${tree.names[tree.nodeName[node]!]!}`;
    if (sumAt(tree.self, node) !== 0) selfs[paths[node]!] = Number(sumAt(tree.self, node));
  }
  return selfs;
}

function pprofAnswer(dataset: Dataset, maxNodes = 0): { readonly total: number; readonly leaves: Record<string, number> } {
  const merger = new LocationTreeMerger();
  merger.add(locationTreeOf(dataset, mergeNodes(dataset, QUERY, new IdentitySet()).self));
  const again = new LocationTreeMerger(); // as parts of several workers are merged
  again.add(merger.result());
  const tree = truncateLocations(again.result(), maxNodes);
  const profile = Profile.decode(encodePprof({ tree, sampleType: CPU, periodType: CPU, period: 1n, timeNs: 0n, durationNs: 0n }));
  const leaves: Record<string, number> = {};
  for (const { locationId, value } of profile.sample) {
    const leaf = profile.location.find(({ id }) => Number(id) === Number(locationId[0]));
    const called = profile.function.find(({ id }) => Number(id) === Number(leaf?.line[0]?.functionId));
    const name = called === undefined ? "no function" : profile.stringTable.strings[Number(called.name)]!;
    leaves[name] = (leaves[name] ?? 0) + Number(value[0]);
  }
  return { total: Object.values(leaves).reduce((sum, value) => sum + value, 0), leaves };
}

function seriesTotal(dataset: Dataset, callSite: readonly string[] = []): number {
  const points = new PointsCollector({ startMs: NOW_MS - 1000, endMs: NOW_MS + 1000, stepMs: 1000, groupBy: [], aggregation: "sum", exemplars: "none" });
  points.scan(dataset, { ...QUERY, callSite }, new IdentitySet());
  return points.result(0).flatMap((series) => series.points.map(({ value }) => Number(value))).reduce((sum, value) => sum + value, 0);
}

describe("samples without a stacktrace", () => {
  const pprof = pprofOf([
    { stack: [{ name: "main" }], value: 10 },
    { stack: [], value: 5 },
  ]);
  const versions = { "of this version": recordBytes(pprof), "stored by the first version": ofVersion1(recordBytes(pprof)) };

  for (const [what, bytes] of Object.entries(versions)) {
    it(`records ${what}: one number in every answer, under a frame of their own`, () => {
      const dataset = datasetOf(bytes);
      const names = namesOf(dataset);
      expect(selfsOf(names)).deep.equal({ ";main": 10, ";[no stacktrace]": 5 });
      expect(flameGraph(names, 0).graph).deep.include({ names: ["total", "main", "[no stacktrace]"], total: 15 });
      expect(flameGraphDiff(names, names, 0).graph).deep.include({ leftTicks: 15, rightTicks: 15 });
      expect(topTable(names)).deep.include({ total: 15, rowCount: 2 });
      expect(selfsOf(decodeTree(encodeTree(names, 0).bytes))).deep.equal(selfsOf(names));
      expect(pprofAnswer(dataset)).deep.equal({ total: 15, leaves: { main: 10, "[no stacktrace]": 5 } });
      expect(pprofAnswer(dataset, 1)).deep.equal({ total: 15, leaves: { main: 10, other: 5 } });
      expect(seriesTotal(dataset)).equal(15);
      const merger = new LocationTreeMerger();
      merger.add(locationTreeOf(dataset, mergeNodes(dataset, QUERY, new IdentitySet()).self));
      expect(dotGraph({ tree: merger.result(), sampleType: CPU, timeNs: 0n, durationNs: 0n }, 0)).contain("of 15ns total").and.contain("no stacktrace");
    });
  }

  it("are found by the call site that answers show, and by no other", () => {
    const dataset = datasetOf(versions["of this version"]);
    expect(selfsOf(namesOf(dataset, ["[no stacktrace]"]))).deep.equal({ ";[no stacktrace]": 5 });
    expect([seriesTotal(dataset, ["[no stacktrace]"]), seriesTotal(dataset, ["main"]), seriesTotal(dataset, ["[no stacktrace]", "main"])]).deep.equal([5, 10, 0]);
  });

  it("alone they are a profile; a stacktrace whose locations are all missing has none either", () => {
    const dataset = datasetOf(recordBytes(pprofOf([{ stack: [], value: 7 }])));
    expect([selfsOf(namesOf(dataset)), pprofAnswer(dataset), seriesTotal(dataset)]).deep.equal([{ ";[no stacktrace]": 7 }, { total: 7, leaves: { "[no stacktrace]": 7 } }, 7]);
    const missing = Profile.decode(pprof);
    missing.location = [];
    expect(selfsOf(namesOf(datasetOf(recordBytes(missing.encode()))))).deep.equal({ ";[no stacktrace]": 15 });
  });

  it("merge with a function that is really called so, as all frames of one name do", () => {
    const dataset = datasetOf(recordBytes(pprofOf([{ stack: [{ name: "[no stacktrace]" }], value: 1 }, { stack: [], value: 2 }])));
    expect(selfsOf(namesOf(dataset))).deep.equal({ ";[no stacktrace]": 3 });
    expect(pprofAnswer(dataset).leaves).deep.equal({ "[no stacktrace]": 3 });
  });
});

describe("addresses without symbols", () => {
  const cases: readonly (readonly [string | undefined, string])[] = [
    ["/lib/library.so", "library.so!0xcafe04000"],
    ["C:\\app\\library.dll", "library.dll!0xcafe04000"],
    ["[kernel.kallsyms]", "[kernel.kallsyms]!0xcafe04000"],
    ["/lib/", "cafe04000"],
    ["", "cafe04000"],
    [undefined, "cafe04000"],
  ];

  for (const [mapping, name] of cases) {
    it(`in ${mapping === undefined ? "no mapping" : `the mapping ${JSON.stringify(mapping)}`} go by ${name}, and are found by it`, () => {
      const frame = mapping === undefined ? { address: 0xcafe04000n } : { address: 0xcafe04000n, mapping };
      const dataset = datasetOf(recordBytes(pprofOf([{ stack: [{ name: "main" }, frame], value: 3 }, { stack: [{ name: "main" }], value: 1 }])));
      expect(selfsOf(namesOf(dataset))).deep.equal({ [`;main;${name}`]: 3, ";main": 1 });
      expect(selfsOf(namesOf(dataset, ["main", name]))).deep.equal({ [`;main;${name}`]: 3 });
      const merger = new LocationTreeMerger();
      merger.add(locationTreeOf(dataset, mergeNodes(dataset, QUERY, new IdentitySet()).self));
      expect(dotGraph({ tree: merger.result(), sampleType: CPU, timeNs: 0n, durationNs: 0n }, 0)).contain(`tooltip="${name} (3ns)"`);
    });
  }

  it("of two libraries at one address are two frames", () => {
    const dataset = datasetOf(recordBytes(pprofOf([{ stack: [{ address: 16n, mapping: "/a.so" }], value: 1 }, { stack: [{ address: 16n, mapping: "/b.so" }], value: 2 }])));
    expect(selfsOf(namesOf(dataset))).deep.equal({ ";a.so!0x10": 1, ";b.so!0x10": 2 });
  });
});

describe("functions with an empty name", () => {
  it("are an entry of their own, not the root's, in flame graphs, diffs, top tables, tree bytes and pprof", () => {
    const dataset = datasetOf(recordBytes(pprofOf([{ stack: [{ name: "main" }, { name: "" }], value: 4 }, { stack: [{ name: "" }], value: 2 }])));
    const names = namesOf(dataset);
    expect(selfsOf(names)).deep.equal({ ";main;": 4, ";": 2 });
    const { graph } = flameGraph(names, 0);
    expect(graph.names).deep.equal(["total", "main", ""]);
    expect(graph.levels).deep.equal([[0, 6, 0, 0], [0, 2, 2, 2, 0, 4, 0, 1], [2, 4, 4, 2]]);
    expect(flameGraphDiff(names, names, 0).graph.names).deep.equal(["total", "main", ""]);
    expect(topTable(names).rows).deep.equal([
      { name: "", self: 6, total: 6 },
      { name: "main", self: 0, total: 4 },
    ]);
    const merged = new NameTreeBuilder();
    merged.add(decodeTree(encodeTree(names, 0).bytes));
    expect(selfsOf(merged.result())).deep.equal(selfsOf(names));
    expect(pprofAnswer(dataset)).deep.equal({ total: 6, leaves: { "": 6 } });
  });
});
