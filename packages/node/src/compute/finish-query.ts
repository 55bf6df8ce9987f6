/** The answer of a query from the partial answers of its lanes and windows. */
import { printListing, printTopTable } from "@pyromesh/api";
import { unreachable } from "@pyromesh/base";
import type { Interrupt, LocationTree } from "@pyromesh/profile";
import {
  Census,
  dotGraph,
  encodePprof,
  encodeTree,
  flameGraph,
  flameGraphDiff,
  goPgoLocations,
  HeatmapCollector,
  LabelListing,
  LocationTreeMerger,
  NameTreeBuilder,
  PointsCollector,
  ProfileDurations,
  topTable,
  truncateLocations,
  UNINTERRUPTED,
} from "@pyromesh/profile";
import type { Finished, FinishSpec, ScanPartial } from "./compute.ts";

export function finishQuery(spec: FinishSpec, partials: readonly ScanPartial[], interrupt: Interrupt = UNINTERRUPTED): Finished {
  switch (spec.kind) {
    case "flame-graph": {
      const { graph, isSaturated } = flameGraph(mergeNames(partials, interrupt), spec.maxNodes);
      return { kind: "flame-graph", graph, isSaturated };
    }
    case "tree-bytes": {
      const { bytes, isSaturated } = encodeTree(mergeNames(partials, interrupt), spec.maxNodes);
      return { kind: "tree-bytes", bytes, isSaturated };
    }
    case "diff": {
      const { graph, isSaturated } = flameGraphDiff(
        mergeNames(partials.slice(0, spec.leftCount), interrupt),
        mergeNames(partials.slice(spec.leftCount), interrupt),
        spec.maxNodes,
        interrupt,
      );
      return { kind: "diff", graph, isSaturated };
    }
    case "top-table": {
      const table = topTable(mergeNames(partials, interrupt), spec, interrupt);
      return { kind: "top-table", bytes: printTopTable(table, spec.form), isSaturated: table.isSaturated };
    }
    case "pprof":
    case "dot": {
      const { profileType } = spec;
      const input = {
        tree: mergeLocations(partials, interrupt),
        sampleType: { type: profileType.sampleType, unit: profileType.sampleUnit },
        periodType: { type: profileType.periodType, unit: profileType.periodUnit },
        period: partials.find(({ period }) => period > 0n)?.period ?? 0n,
        timeNs: spec.timeNs,
        durationNs: totalDurationNs(partials, interrupt),
      };
      if (spec.kind === "dot") return { kind: "dot", text: dotGraph(input, spec.maxNodes, interrupt) };
      const pgo = spec.goPgo === undefined ? input.tree : goPgoLocations(input.tree, spec.goPgo, interrupt);
      return { kind: "pprof", bytes: encodePprof({ ...input, tree: truncateLocations(pgo, spec.maxNodes, interrupt) }, interrupt) };
    }
    case "points": {
      const collector = new PointsCollector(spec.shape);
      for (const { points } of partials) {
        interrupt.now();
        collector.add(points, interrupt);
      }
      return { kind: "points", series: collector.result(spec.limit, interrupt) };
    }
    case "heatmap": {
      const collector = new HeatmapCollector(spec.shape);
      for (const { heatmap } of partials) {
        interrupt.now();
        collector.add(heatmap, interrupt);
      }
      return { kind: "heatmap", series: collector.result(spec.limit, interrupt) };
    }
    case "listing": {
      const listed = mergeListings(spec, partials, interrupt).result(spec.limit);
      const { entryCount, totalCount } = listed;
      return { kind: "listing", bytes: printListing(spec.listing, listed, spec.form), entryCount, totalCount };
    }
    case "census": {
      const [segments, head, both] = [new Census(), new Census(), new Census()];
      for (const { census } of partials) {
        interrupt.now();
        if (census === undefined) continue;
        segments.add(census.segments, interrupt);
        head.add(census.head, interrupt);
        both.add(census.segments, interrupt);
        both.add(census.head, interrupt);
      }
      return { kind: "census", counts: { segments: segments.counts(), head: head.counts() }, seriesCount: both.counts().seriesCount };
    }
    default:
      return unreachable(spec);
  }
}

function mergeNames(partials: readonly ScanPartial[], interrupt: Interrupt): ReturnType<NameTreeBuilder["result"]> {
  const builder = new NameTreeBuilder();
  for (const { names } of partials) if (names !== undefined) builder.add(names, interrupt);
  interrupt.now();
  return builder.result();
}

function mergeListings({ listing, bounds }: Extract<FinishSpec, { kind: "listing" }>, partials: readonly ScanPartial[], interrupt: Interrupt): LabelListing {
  const merged = new LabelListing(listing, bounds);
  for (const partial of partials) {
    interrupt.now();
    if (partial.listing !== undefined) merged.add(partial.listing, interrupt);
  }
  interrupt.now();
  return merged;
}

/** Parts of one profile may lie in several lanes. */
function totalDurationNs(partials: readonly ScanPartial[], interrupt: Interrupt): bigint {
  const all = new ProfileDurations();
  for (const { durations } of partials) {
    interrupt.now();
    if (durations !== undefined) all.addAll(durations, interrupt);
  }
  return all.totalNs();
}

function mergeLocations(partials: readonly ScanPartial[], interrupt: Interrupt): LocationTree {
  const merger = new LocationTreeMerger();
  for (const { locations } of partials) if (locations !== undefined) merger.add(locations, interrupt);
  interrupt.now();
  return merger.result();
}
