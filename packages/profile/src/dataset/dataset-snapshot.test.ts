/** A scan that pauses: what is pushed in its pauses changes nothing of its answer, and is in the next one. */
import { expect } from "chai";
import { Cardinality } from "../scan/cardinality.ts";
import { Dataset } from "./dataset.ts";
import { DatasetSnapshot } from "./dataset-snapshot.ts";
import { dotGraph } from "../graph/dot.ts";
import { IdentitySet } from "../scan/identity-set.ts";
import { Interrupt, UNINTERRUPTED } from "../model/interrupt.ts";
import { LabelListing } from "../scan/label-listing.ts";
import { LocationTreeMerger } from "../graph/location-tree.ts";
import { NameTreeBuilder } from "../graph/name-tree.ts";
import { encodePprof } from "../graph/pprof-encode.ts";
import { HeatmapCollector, PointsCollector } from "../scan/scan-points.ts";
import { locationTreeOf, mergeNodes, nameTreeOf } from "../scan/scan-tree.ts";
import { ALL_ROWS } from "../testing/all-rows.ts";
import { recordView } from "../testing/record-view.ts";

const SPAN = "00000000000000a1";

const COUNT = 20;
/** Twice the rows that a dataset begins with room for, and more nodes: each column is copied into a larger one. */
const COUNT_MAX = 140;

/** Each with names, a series and a span of its own, so that every table of a dataset grows with it. */
const RECORDS = Array.from({ length: COUNT_MAX }, (_, number) => {
  const span = `00000000${String(number).padStart(8, "0")}`;
  const samples = Array.from({ length: 9 }, (_, i) => ({ stack: [`f${number}`, `g${number % 7}-${i}`], values: [number + i], span: i === 0 ? SPAN : span }));
  return recordView({ labels: { __name__: "process_cpu", service_name: "api", pod: `pod-${number}` }, timeNs: BigInt(number + 1) * 1_000_000n, samples });
});

function datasetOf(count: number): Dataset {
  const dataset = new Dataset("api");
  for (let number = 0; number < count; number++) dataset.insert(RECORDS[number]!);
  return dataset;
}

const cpu = { type: "cpu", unit: "nanoseconds" };
const facts = { sampleType: cpu, periodType: cpu, period: 1n, timeNs: 1n, durationNs: 1n };
const shape = { startMs: 0, endMs: 60_000, stepMs: 15_000, groupBy: ["pod"], aggregation: "sum", exemplars: "span" } as const;

type View = Dataset | DatasetSnapshot;
const WORK: Readonly<Record<string, (view: View, interrupt: Interrupt) => unknown>> = {
  "a flame graph": (view, interrupt) => {
    const { self, rowCount } = mergeNodes(view, ALL_ROWS, new IdentitySet(), undefined, interrupt);
    const builder = new NameTreeBuilder();
    builder.add(nameTreeOf(view, self, interrupt), interrupt);
    const { nodeCount, nodeParent, nodeName, names } = builder.result();
    return { rowCount, nodeCount, parents: [...nodeParent.subarray(0, nodeCount)], nodes: [...nodeName.subarray(0, nodeCount)].map((name) => names[name]) };
  },
  "a flame graph of a span and a call site": (view, interrupt) =>
    [...mergeNodes(view, { ...ALL_ROWS, spanIds: [SPAN], callSite: ["f7"] }, new IdentitySet(), undefined, interrupt).self.view().low].reduce((sum, value) => sum + value, 0),
  "a pprof": (view, interrupt) => {
    const { self } = mergeNodes(view, ALL_ROWS, new IdentitySet(), undefined, interrupt);
    const merger = new LocationTreeMerger();
    merger.add(locationTreeOf(view, self, interrupt), interrupt);
    const tree = merger.result();
    return [Buffer.from(encodePprof({ ...facts, tree }, interrupt)).toString("hex"), dotGraph({ ...facts, tree }, 10, interrupt)];
  },
  "points": (view, interrupt) => {
    const collector = new PointsCollector(shape);
    collector.scan(view, ALL_ROWS, new IdentitySet(), interrupt);
    return collector.result(0);
  },
  "a heatmap": (view, interrupt) => {
    const collector = new HeatmapCollector({ ...shape, of: "span" });
    collector.scan(view, ALL_ROWS, new IdentitySet(), interrupt);
    return collector.result(0);
  },
  "a listing": (view, interrupt) => {
    const listing = new LabelListing({ kind: "series", names: [], alphabet: "utf8" }, { entryCountMax: 0, bytesMax: 0 });
    listing.scan(view, ALL_ROWS, [], interrupt);
    return listing.result(0);
  },
  "a cardinality": (view, interrupt) => {
    const cardinality = new Cardinality();
    cardinality.scan(view, ALL_ROWS, [], new IdentitySet(), interrupt);
    return cardinality.counts();
  },
};

/** Checks at every step there is, not only every few thousand. */
class EveryStep extends Interrupt {
  override after(): void {
    this.now();
  }

  override at(): void {
    this.now();
  }
}

describe("a snapshot of a dataset", () => {
  for (const [name, work] of Object.entries(WORK)) {
    it(`${name}: rows, series, names and spans that are added at every pause of the scan change nothing of its answer`, () => {
      const expected = work(datasetOf(COUNT), UNINTERRUPTED);
      const dataset = datasetOf(COUNT);
      let next = COUNT;
      const got = work(new DatasetSnapshot(dataset), new EveryStep(() => void (next < COUNT_MAX && dataset.insert(RECORDS[next++]!))));
      expect(next).to.be.above(COUNT);
      expect(got).to.deep.equal(expected);
      expect(work(new DatasetSnapshot(dataset), UNINTERRUPTED), "and they are in the next one").to.deep.equal(work(datasetOf(next), UNINTERRUPTED));
    });
  }
});
