/** The answer of a query from the partial answers of its workers and windows, as the bytes of its reply. */
import {
  printDiff,
  printDot,
  printFlameGraph,
  printHeatmap,
  printListing,
  printPprof,
  printRender,
  printRenderDiff,
  printSeries,
  printTopTable,
  printTree,
} from "@pyromesh/api/print";
import { unreachable } from "@pyromesh/base";
import type { Interrupt, LocationTree, PointsShape, PprofInput } from "@pyromesh/profile";
import {
  Cardinality,
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

/**
 * In two steps, so that the parts of the answer are garbage while it is printed: a worker's memory need not hold both.
 *
 *   partials --merge--> answer --print--> bytes
 */
export function finishQuery(spec: FinishSpec, partials: readonly ScanPartial[], interrupt: Interrupt = UNINTERRUPTED): Finished {
  return mergeAnswer(spec, partials, interrupt)();
}

/** Returns a function that prints the answer. It refers to the answer and to none of its parts. */
export function mergeAnswer(spec: FinishSpec, partials: readonly ScanPartial[], interrupt: Interrupt): () => Finished {
  switch (spec.kind) {
    case "flame-graph": {
      const { graph, isSaturated } = flameGraph(mergeNames(partials, interrupt), spec.maxNodes);
      return () => reply(printFlameGraph(graph, spec.form, interrupt), isSaturated);
    }
    case "tree-bytes": {
      const { bytes, isSaturated } = encodeTree(mergeNames(partials, interrupt), spec.maxNodes);
      return () => reply(printTree(bytes, spec.form, interrupt), isSaturated);
    }
    case "diff": {
      const { graph, isSaturated } = flameGraphDiff(
        mergeNames(partials.slice(0, spec.leftCount), interrupt),
        mergeNames(partials.slice(spec.leftCount), interrupt),
        spec.maxNodes,
        interrupt,
      );
      return () => reply(spec.form === "render" ? printRenderDiff(graph, spec.profileType, interrupt) : printDiff(graph, spec.form, interrupt), isSaturated);
    }
    case "render": {
      const { profileType, shape } = spec;
      const series = mergePoints(shape, partials.slice(spec.graphCount), interrupt).result(0, interrupt);
      const { graph, isSaturated } = flameGraph(mergeNames(partials.slice(0, spec.graphCount), interrupt), spec.maxNodes);
      return () => reply(printRender({ graph, series, profileType, shape }, interrupt), isSaturated);
    }
    case "top-table": {
      const table = topTable(mergeNames(partials, interrupt), spec, interrupt);
      return () => reply(printTopTable(table, spec.form, interrupt), table.isSaturated);
    }
    case "pprof": {
      const input = pprofInput(spec, partials, interrupt);
      const pgo = spec.goPgo === undefined ? input.tree : goPgoLocations(input.tree, spec.goPgo, interrupt);
      const profile = encodePprof({ ...input, tree: truncateLocations(pgo, spec.maxNodes, interrupt) }, interrupt);
      return () => reply(printPprof(profile, spec.form, interrupt));
    }
    case "dot": {
      const text = dotGraph(pprofInput(spec, partials, interrupt), spec.maxNodes, interrupt);
      return () => reply(printDot(text, spec.form, interrupt));
    }
    case "points": {
      const series = mergePoints(spec.shape, partials, interrupt).result(spec.limit, interrupt);
      return () => reply(printSeries(series, spec.form, interrupt));
    }
    case "heatmap": {
      const collector = new HeatmapCollector(spec.shape);
      for (const { heatmap } of partials) {
        interrupt.now();
        collector.add(heatmap, interrupt);
      }
      const series = collector.result(spec.limit, interrupt);
      return () => reply(printHeatmap(series, spec.form, interrupt));
    }
    case "listing": {
      const listed = mergeListings(spec, partials, interrupt).result(spec.limit);
      const { entryCount, totalCount } = listed;
      return () => ({ kind: "listing", bytes: printListing(spec.listing, listed, spec.form), entryCount, totalCount });
    }
    case "cardinality": {
      const [segments, head, both] = [new Cardinality(), new Cardinality(), new Cardinality()];
      for (const { cardinality } of partials) {
        interrupt.now();
        if (cardinality === undefined) continue;
        segments.add(cardinality.segments, interrupt);
        head.add(cardinality.head, interrupt);
        both.add(cardinality.segments, interrupt);
        both.add(cardinality.head, interrupt);
      }
      return () => ({ kind: "cardinality", counts: { segments: segments.counts(), head: head.counts() }, seriesCount: both.counts().seriesCount });
    }
    default:
      return unreachable(spec);
  }
}

function pprofInput(spec: Extract<FinishSpec, { kind: "pprof" | "dot" }>, partials: readonly ScanPartial[], interrupt: Interrupt): PprofInput {
  const { profileType } = spec;
  return {
    tree: mergeLocations(partials, interrupt),
    sampleType: { type: profileType.sampleType, unit: profileType.sampleUnit },
    periodType: { type: profileType.periodType, unit: profileType.periodUnit },
    period: partials.find(({ period }) => period > 0n)?.period ?? 0n,
    timeNs: spec.timeNs,
    durationNs: totalDurationNs(partials, interrupt),
  };
}

function reply(bytes: Uint8Array, isSaturated = false): Finished {
  return { kind: "reply", bytes, isSaturated };
}

function mergePoints(shape: PointsShape, partials: readonly ScanPartial[], interrupt: Interrupt): PointsCollector {
  const collector = new PointsCollector(shape);
  for (const { points } of partials) {
    interrupt.now();
    collector.add(points, interrupt);
  }
  return collector;
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

/** Rows of one profile may lie in several workers: its duration counts once. */
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
