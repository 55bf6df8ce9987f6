/** Merges partial answers of one query into one, in their order: merging in steps gives the same as merging all at once. */
import { addIdentitySums, Cardinality, HeatmapCollector, LabelListing, LocationTreeMerger, NameTreeBuilder, PointsCollector, ProfileDurations, UNINTERRUPTED } from "@pyromesh/profile";
import type { Interrupt } from "@pyromesh/profile";
import type { ByPlace, ScanPartial, ScanSpec } from "./compute.ts";

export function mergePartials(spec: ScanSpec, partials: readonly ScanPartial[], interrupt: Interrupt = UNINTERRUPTED): ScanPartial {
  const names = new NameTreeBuilder();
  const locations = new LocationTreeMerger();
  const durations = new ProfileDurations();
  const points = spec.kind === "points" ? new PointsCollector(spec.shape) : undefined;
  const heatmap = spec.kind === "heatmap" ? new HeatmapCollector(spec.shape) : undefined;
  const listing = spec.kind === "listing" ? new LabelListing(spec.listing, spec.bounds) : undefined;
  const cardinality: ByPlace<Cardinality> = { segments: new Cardinality(), head: new Cardinality() };
  let recordCount = 0;
  let identitySum = "0".repeat(32);
  for (const partial of partials) {
    interrupt.now();
    recordCount += partial.recordCount;
    identitySum = addIdentitySums(identitySum, partial.identitySum);
    if (partial.names !== undefined) names.add(partial.names, interrupt);
    if (partial.locations !== undefined) locations.add(partial.locations, interrupt);
    if (partial.durations !== undefined) durations.addAll(partial.durations, interrupt);
    points?.add(partial.points, interrupt);
    heatmap?.add(partial.heatmap, interrupt);
    if (partial.listing !== undefined) listing?.add(partial.listing, interrupt);
    if (partial.cardinality === undefined) continue;
    cardinality.segments.add(partial.cardinality.segments, interrupt);
    cardinality.head.add(partial.cardinality.head, interrupt);
  }
  const has = (field: "names" | "locations" | "durations" | "cardinality"): boolean => partials.some((partial) => partial[field] !== undefined);
  return {
    recordCount,
    identitySum,
    names: has("names") ? names.result() : undefined,
    locations: has("locations") ? locations.result() : undefined,
    durations: has("durations") ? durations.partial() : undefined,
    period: partials.find(({ period }) => period > 0n)?.period ?? 0n,
    points: points?.partial() ?? [],
    heatmap: heatmap?.partial() ?? [],
    listing: listing?.partial(),
    cardinality: has("cardinality") ? { segments: cardinality.segments.partial(), head: cardinality.head.partial() } : undefined,
  };
}

/** What a node of a tree takes: parent, name, a sum, and the slack of columns that grow by doubling. */
const NODE_BYTES = 40;
/** What a name, a point or a profile takes: an object of V8 with a text or two. */
const ENTRY_BYTES = 128;
const LABELS_BYTES = 512;

/** About how much memory a partial takes: it bounds how many are held. */
export function partialBytes({ names, locations, durations, points, heatmap, listing, cardinality, packed }: ScanPartial): number {
  if (packed !== undefined) return packed.length;
  let bytes = ENTRY_BYTES + (listing?.length ?? 0);
  if (names !== undefined) bytes += names.nodeCount * NODE_BYTES + names.names.length * ENTRY_BYTES;
  if (locations !== undefined) {
    const { symbols, tree } = locations;
    bytes += tree.nodeCount * NODE_BYTES + symbols.stringBytes.length + (symbols.stringCount + symbols.functionCount + symbols.locationCount + symbols.lineCount) * NODE_BYTES;
  }
  if (durations !== undefined) bytes += durations.profiles.values.length * ENTRY_BYTES;
  for (const group of points) bytes += LABELS_BYTES + (group.points.size + group.profiles.values.length) * ENTRY_BYTES;
  for (const group of heatmap) bytes += LABELS_BYTES + group.profiles.values.length * ENTRY_BYTES;
  for (const place of cardinality === undefined ? [] : [cardinality.segments, cardinality.head]) bytes += place.series.length + place.profiles.values.length * ENTRY_BYTES;
  return bytes;
}
