/** Long work that is told to end in the middle: every kind of scan and merge asks often enough, and goes no further. */
import { expect } from "chai";
import { Cardinality } from "../scan/cardinality.ts";
import { Dataset } from "../dataset/dataset.ts";
import { dotGraph } from "../graph/dot.ts";
import { flameGraphDiff } from "../graph/flame-graph-diff.ts";
import { IdentitySet } from "../scan/identity-set.ts";
import { Interrupt } from "./interrupt.ts";
import { LabelListing } from "../scan/label-listing.ts";
import { goPgoLocations, LocationTreeMerger, truncateLocations } from "../graph/location-tree.ts";
import { makeMatcher } from "../selector/matcher.ts";
import { NameTreeBuilder } from "../graph/name-tree.ts";
import { encodePprof } from "../graph/pprof-encode.ts";
import { matchingColumns } from "../scan/scan.ts";
import { HeatmapCollector, PointsCollector } from "../scan/scan-points.ts";
import { locationTreeOf, mergeNodes, nameTreeOf } from "../scan/scan-tree.ts";
import { ALL_ROWS } from "../testing/all-rows.ts";
import { recordView } from "../testing/record-view.ts";

const ROW_COUNT = 50_000;
const NODE_COUNT = 50_000;

/** Many rows of one sample: what a scan of rows walks. */
function manyRows(): Dataset {
  const dataset = new Dataset("api");
  const row = recordView({ labels: { __name__: "process_cpu", service_name: "api" }, timeNs: 1_000_000n, samples: [{ stack: ["main"], values: [1] }] });
  for (let i = 0; i < ROW_COUNT; i++) {
    const identity = new Uint8Array(16);
    new DataView(identity.buffer).setUint32(0, Math.imul(i, 0x9e3779b1), true);
    dataset.insert({ ...row, identity });
  }
  return dataset;
}

/** One row of many stacktraces: what a merge of trees walks. */
function manyNodes(): Dataset {
  const dataset = new Dataset("api");
  const names = Array.from({ length: 250 }, (_, i) => `f${i}`);
  const samples = names.flatMap((a) => names.slice(0, NODE_COUNT / 250).map((b) => ({ stack: [a, b], values: [1] })));
  dataset.insert(recordView({ labels: { __name__: "process_cpu", service_name: "api" }, timeNs: 1_000_000n, samples }));
  return dataset;
}

/** One row of many functions. */
function manyNames(): Dataset {
  const dataset = new Dataset("api");
  const samples = Array.from({ length: 10_000 }, (_, i) => ({ stack: [`f${i}`], values: [1] }));
  dataset.insert(recordView({ labels: { __name__: "process_cpu", service_name: "api" }, timeNs: 1_000_000n, samples }));
  return dataset;
}

describe("interrupt", () => {
  const rows = manyRows();
  const nodes = manyNodes();
  const { self } = mergeNodes(nodes, ALL_ROWS, new IdentitySet());
  const many = manyNames();
  const { self: manySelf } = mergeNodes(many, ALL_ROWS, new IdentitySet());
  const named = locationTreeOf(many, manySelf);
  const fewSeries = new Dataset("api");
  for (const pod of ["a", "b", "c", "d"]) {
    fewSeries.insert(recordView({ labels: { __name__: "process_cpu", service_name: "api", pod }, timeNs: 1_000_000n, samples: [{ stack: ["main"], values: [1] }] }));
  }
  const large = [makeMatcher("pod", "=~", "(x|y){0,250}z")];
  const cpu = { type: "cpu", unit: "nanoseconds" };
  const facts = { sampleType: cpu, periodType: cpu, period: 1n, timeNs: 1n, durationNs: 1n };
  const shape = { startMs: 0, endMs: 60_000, stepMs: 15_000, groupBy: [], exemplars: "individual" } as const;
  const work: Readonly<Record<string, (interrupt: Interrupt) => unknown>> = {
    "a merge of many rows": (interrupt) => mergeNodes(rows, ALL_ROWS, new IdentitySet(), undefined, interrupt),
    "a merge of one long row after another": (interrupt) => [1, 2, 3].map(() => mergeNodes(nodes, ALL_ROWS, new IdentitySet(), undefined, interrupt)),
    "rows that were seen before": (interrupt) => {
      const seen = new IdentitySet();
      mergeNodes(rows, ALL_ROWS, seen);
      mergeNodes(rows, ALL_ROWS, seen, undefined, interrupt);
    },
    "rows out of range": (interrupt) => mergeNodes(rows, { ...ALL_ROWS, startNs: 10n ** 17n }, new IdentitySet(), undefined, interrupt),
    "a call site": (interrupt) => mergeNodes(nodes, { ...ALL_ROWS, callSite: ["f1"], startNs: 10n ** 17n }, new IdentitySet(), undefined, interrupt),
    "points": (interrupt) => new PointsCollector({ ...shape, aggregation: "sum" }).scan(rows, ALL_ROWS, new IdentitySet(), interrupt),
    "a heatmap": (interrupt) => new HeatmapCollector({ ...shape, of: "individual" }).scan(rows, ALL_ROWS, new IdentitySet(), interrupt),
    "a listing": (interrupt) => new LabelListing({ kind: "types" }, { entryCountMax: 0, bytesMax: 0 }).scan(rows, ALL_ROWS, [], interrupt),
    "a few series under a large regular expression": (interrupt) => matchingColumns(fewSeries, { ...ALL_ROWS, selector: large }, interrupt),
    "a listing of them": (interrupt) => new LabelListing({ kind: "types" }, { entryCountMax: 0, bytesMax: 0 }).scan(fewSeries, ALL_ROWS, [large], interrupt),
    "a cardinality of them": (interrupt) => new Cardinality().scan(fewSeries, ALL_ROWS, [large], new IdentitySet(), interrupt),
    "a cardinality": (interrupt) => new Cardinality().scan(rows, ALL_ROWS, [], new IdentitySet(), interrupt),
    "a name tree": (interrupt) => nameTreeOf(nodes, self, interrupt),
    "a location tree": (interrupt) => locationTreeOf(nodes, self, interrupt),
    "merged name trees": (interrupt) => new NameTreeBuilder().add(nameTreeOf(nodes, self), interrupt),
    "merged location trees": (interrupt) => new LocationTreeMerger().add(locationTreeOf(nodes, self), interrupt),
    "merged symbols": (interrupt) => new LocationTreeMerger().add(named, interrupt),
    "merged names": (interrupt) => new NameTreeBuilder().add(nameTreeOf(many, manySelf), interrupt),
    "a diff": (interrupt) => flameGraphDiff(nameTreeOf(nodes, self), nameTreeOf(nodes, self), 10, interrupt),
    "a location tree cut down": (interrupt) => truncateLocations(locationTreeOf(nodes, self), 10, interrupt),
    "a location tree for Go's PGO": (interrupt) => goPgoLocations(locationTreeOf(nodes, self), { keepLocations: 1, aggregateCallees: false }, interrupt),
    "a pprof": (interrupt) => encodePprof({ ...facts, tree: locationTreeOf(nodes, self) }, interrupt),
    "a drawing": (interrupt) => dotGraph({ ...facts, tree: locationTreeOf(nodes, self) }, 10, interrupt),
  };

  for (const [name, run] of Object.entries(work)) {
    it(`${name}: asks on its way, and ends at the check that says so`, () => {
      let checkCount = 0;
      run(new Interrupt(() => void checkCount++));
      expect(checkCount).to.be.at.least(2);
      for (const last of new Set([1, 2, Math.ceil(checkCount / 2), checkCount])) {
        let left = last;
        const gone = new Error("gone");
        const interrupt = new Interrupt(() => {
          left--;
          if (left === 0) throw gone;
        });
        expect(() => run(interrupt)).to.throw(gone);
        expect(left).to.equal(0);
      }
    });
  }

  it("in the middle of a scan: the rows after it are not read, and the dataset answers as before", () => {
    const seen = new IdentitySet();
    let isCanceled = false;
    const interrupt = new Interrupt(() => {
      if (isCanceled) throw new Error("gone");
      isCanceled = true;
    });
    expect(() => mergeNodes(rows, ALL_ROWS, seen, undefined, interrupt)).to.throw("gone");
    expect(seen.count).to.be.within(1, ROW_COUNT * 0.75);
    expect(mergeNodes(rows, ALL_ROWS, new IdentitySet()).rowCount).to.equal(ROW_COUNT);
  });
});
