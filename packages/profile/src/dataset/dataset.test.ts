import { expect } from "chai";
import fc from "fast-check";
import { Dataset } from "./dataset.ts";
import { IdentitySet } from "../scan/identity-set.ts";
import { parseProfileType } from "../labels/profile-type.ts";
import { LabelListing } from "../scan/label-listing.ts";
import { emptyRowSamples } from "../scan/scan.ts";
import type { RowQuery } from "../scan/scan.ts";
import { PointsCollector } from "../scan/scan-points.ts";
import { mergeNodes, nameTreeOf } from "../scan/scan-tree.ts";
import { sumAt } from "../model/sums.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { recordView } from "../testing/record-view.ts";

const CPU = parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds");
const LABELS = { __name__: "process_cpu", service_name: "api", pod: "a" };
const ALL: RowQuery = {
  startNs: 0n,
  endNs: 10n ** 18n,
  profileType: CPU,
  selector: [],
  callSite: [],
  profileIds: [],
  spanIds: [],
  traceIds: [],
};

/** Self value by stack, as `a;b;c`. */
export function stacksOf(tree: NameTree): Record<string, number | bigint> {
  const path: string[] = [""];
  const stacks: Record<string, number | bigint> = {};
  for (let node = 1; node < tree.nodeCount; node++) {
    const parent = path[tree.nodeParent[node]!]!;
    path[node] = parent === "" ? tree.names[tree.nodeName[node]!]! : `${parent};${tree.names[tree.nodeName[node]!]!}`;
    const value = sumAt(tree.self, node);
    if (value !== 0) stacks[path[node]!] = value;
  }
  return stacks;
}

function merged(dataset: Dataset, query: RowQuery = ALL, seen = new IdentitySet()): Record<string, number | bigint> {
  return stacksOf(nameTreeOf(dataset, mergeNodes(dataset, query, seen).self));
}

describe("dataset", () => {
  it("sums the same stacktrace of different records, and counts the same record once", () => {
    const dataset = new Dataset("api");
    const first = recordView({ labels: LABELS, timeNs: 1000n, samples: [{ stack: ["main", "work"], values: [5] }, { stack: ["main"], values: [1] }] });
    dataset.insert(first);
    dataset.insert(recordView({ labels: LABELS, timeNs: 2000n, samples: [{ stack: ["main", "work"], values: [7] }] }));
    dataset.insert(first);
    const seen = new IdentitySet();
    expect(merged(dataset, ALL, seen)).to.deep.equal({ "main;work": 12, main: 1 });
    expect(seen.count).to.equal(2);
  });

  it("keeps values at and beyond 2^53 exact, alone and summed", () => {
    const dataset = new Dataset("api");
    const big = 2n ** 60n + 1n;
    dataset.insert(recordView({ labels: LABELS, timeNs: 1n, samples: [{ stack: ["a"], values: [big] }, { stack: ["b"], values: [3] }] }));
    dataset.insert(recordView({ labels: LABELS, timeNs: 2n, samples: [{ stack: ["a"], values: [big] }] }));
    expect(merged(dataset)).to.deep.equal({ a: big * 2n, b: 3 });
    expect(dataset.total(0, 0)).to.equal(big + 3n);
  });

  it("grows past its first capacities without losing a row", () => {
    const dataset = new Dataset("api");
    const rowCount = 100;
    for (let i = 0; i < rowCount; i++) {
      const samples = Array.from({ length: 40 }, (_, j) => ({ stack: ["root", `f${i % 50}`, `g${j}`], values: [i + j * 1000] }));
      dataset.insert(recordView({ labels: { ...LABELS, pod: `p${i % 7}` }, timeNs: BigInt(i), samples }));
    }
    const into = emptyRowSamples();
    let sum = 0;
    for (let row = 0; row < rowCount; row++) {
      dataset.read(row, 0, into);
      for (let i = 0; i < into.sampleCount; i++) sum += into.value[i]!;
      expect(dataset.total(row, 0)).to.equal(40 * row + 1000 * 780);
    }
    expect(sum).to.equal((40 * rowCount * (rowCount - 1)) / 2 + 1000 * 780 * rowCount);
    expect(dataset.series.length).to.equal(7);
    expect(dataset.tree.nodeCount).to.equal(1 + 1 + 50 + 50 * 40);
  });

  it("answers a call site, a span and a time range with the samples they name", () => {
    const dataset = new Dataset("api");
    dataset.insert(
      recordView({
        labels: LABELS,
        timeNs: 1000n,
        samples: [
          { stack: ["main", "a", "x"], values: [1], span: "00000000000000aa" },
          { stack: ["main", "b", "x"], values: [2] },
          { stack: ["other", "a"], values: [4], span: "00000000000000bb" },
        ],
      }),
    );
    dataset.insert(recordView({ labels: LABELS, timeNs: 3000n, samples: [{ stack: ["main", "a"], values: [8] }] }));
    expect(merged(dataset, { ...ALL, callSite: ["main", "a"] })).to.deep.equal({ "main;a;x": 1, "main;a": 8 });
    expect(merged(dataset, { ...ALL, spanIds: ["00000000000000AA"] })).to.deep.equal({ "main;a;x": 1 });
    expect(merged(dataset, { ...ALL, startNs: 1001n })).to.deep.equal({ "main;a": 8 });
    expect(merged(dataset, { ...ALL, endNs: 2999n })).to.deep.equal({ "main;a;x": 1, "main;b;x": 2, "other;a": 4 });
  });

  it("a call site keeps whole stacktraces that begin so, and nothing else", () => {
    const name = fc.constantFrom("a", "b", "c");
    const stacktraces = fc.dictionary(fc.array(name, { minLength: 1, maxLength: 4 }).map((path) => path.join(";")), fc.integer({ min: 1, max: 9 }), { minKeys: 1 });
    fc.assert(
      fc.property(stacktraces, fc.array(name, { maxLength: 3 }), (stacks, callSite) => {
        const dataset = new Dataset("api");
        dataset.insert(recordView({ labels: LABELS, timeNs: 1n, samples: Object.entries(stacks).map(([path, value]) => ({ stack: path.split(";"), values: [value] })) }));
        const expected = Object.fromEntries(Object.entries(stacks).filter(([path]) => callSite.every((frame, index) => path.split(";")[index] === frame)));
        expect(merged(dataset, { ...ALL, callSite })).to.deep.equal(expected);
      }),
    );
  });

  it("gives a series the labels of its type, and only while a row is in range", () => {
    const dataset = new Dataset("api");
    dataset.insert(recordView({ labels: LABELS, timeNs: 1000n, samples: [{ stack: ["a"], values: [1] }] }));
    const labelsWithin = (startNs: bigint, endNs: bigint): string[] => {
      const listing = new LabelListing({ kind: "series", names: [], alphabet: "utf8" }, { entryCountMax: 0, bytesMax: 0 });
      listing.scan(dataset, { startNs, endNs }, []);
      return listing.result(0).items.map(({ name, value }) => `${name}=${value}`);
    };
    expect(labelsWithin(0n, 1000n)).to.include.members(["__profile_type__=process_cpu:cpu:nanoseconds:cpu:nanoseconds", "pod=a", "__type__=cpu"]);
    expect(labelsWithin(1001n, 2000n)).to.deep.equal([]);
  });

  it("puts points at the right edge of their step and averages over profiles", () => {
    const dataset = new Dataset("api");
    const second = 1_000_000_000n;
    for (const [time, value] of [[10n, 4], [15n, 6], [16n, 100]] as const) {
      dataset.insert(recordView({ labels: LABELS, timeNs: time * second, samples: [{ stack: ["a"], values: [value] }] }));
    }
    const shape = { startMs: 0, endMs: 30_000, stepMs: 15_000, groupBy: ["pod", "absent"], aggregation: "average" as const, exemplars: "individual" as const };
    const collector = new PointsCollector(shape);
    collector.scan(dataset, ALL, new IdentitySet());
    const [series] = collector.result(0);
    expect(series?.labels).to.deep.equal([{ name: "pod", value: "a" }]);
    expect(series?.points.map(({ timestampMs, value }) => [timestampMs, value])).to.deep.equal([[15_000, 5], [30_000, 100]]);
    expect(series?.points[0]?.exemplars[0]?.value).to.equal(6);
  });
});
