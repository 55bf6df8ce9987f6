import { Cardinality, HeatmapCollector, Interrupt, LabelListing, LocationTreeMerger, NameTreeBuilder, parseProfileType, PointsCollector, ProfileDurations } from "@pyromesh/profile";
import { expect } from "chai";
import type { FinishSpec, ScanPartial } from "./compute.ts";
import { finishQuery } from "./finish-query.ts";

const profileType = parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds");
const shape = { startMs: 0, endMs: 60_000, stepMs: 15_000, groupBy: [], exemplars: "none" } as const;
const points = { ...shape, aggregation: "sum" } as const;
const heatmap = { ...shape, of: "individual" } as const;
const pods = { listing: { kind: "values", name: "pod" }, bounds: { entryCountMax: 0, bytesMax: 0 } } as const;
const json = { form: "json" } as const;
const SPECS: readonly FinishSpec[] = [
  { kind: "flame-graph", maxNodes: 10, ...json },
  { kind: "tree-bytes", maxNodes: 10, ...json },
  { kind: "diff", maxNodes: 10, leftCount: 1, profileType, form: "render" },
  { kind: "render", maxNodes: 10, graphCount: 1, profileType, shape: points },
  { kind: "top-table", limit: 10, sort: "self", callSite: [], nameContains: "", ...json },
  { kind: "pprof", maxNodes: 10, goPgo: undefined, profileType, timeNs: 1n, ...json },
  { kind: "dot", maxNodes: 10, profileType, timeNs: 1n, form: "text" },
  { kind: "points", shape: points, limit: 0, ...json },
  { kind: "heatmap", shape: heatmap, limit: 0, ...json },
  { kind: "listing", ...pods, limit: 0, ...json },
  { kind: "cardinality" },
];

function partialOf(): ScanPartial {
  return {
    recordCount: 0,
    identitySum: "0".repeat(32),
    names: new NameTreeBuilder().result(),
    locations: new LocationTreeMerger().result(),
    durations: new ProfileDurations().partial(),
    period: 0n,
    points: new PointsCollector(points).partial(),
    heatmap: new HeatmapCollector(heatmap).partial(),
    listing: new LabelListing(pods.listing, pods.bounds).partial(),
    cardinality: { segments: new Cardinality().partial(), head: new Cardinality().partial() },
  };
}

describe("finish query", () => {
  for (const spec of SPECS) {
    it(`${spec.kind}: ends where nobody waits for it`, () => {
      const partials = [partialOf(), partialOf()];
      expect(finishQuery(spec, partials).kind).to.equal(spec.kind === "listing" || spec.kind === "cardinality" ? spec.kind : "reply");
      const gone = new Error("gone");
      const interrupt = new Interrupt(() => {
        throw gone;
      });
      expect(() => finishQuery(spec, partials, interrupt)).to.throw(gone);
    });
  }
});
