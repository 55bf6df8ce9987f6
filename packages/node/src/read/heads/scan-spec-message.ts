/** What a holder is to scan for, as part of a message. The kinds and their fields are those of `ScanSpec`. */
import { unreachable } from "@pyromesh/base";
import type { HeatmapShape, Listing, PointsShape, ProfileType } from "@pyromesh/profile";
import type { Fields } from "../../cluster/message.ts";
import type { PlainMatcher, PlainRowQuery, ScanSpec } from "../../compute/compute.ts";

const TEXT_LENGTH_MAX = 65_536;
const SELECTORS_MAX = 1024;
const MATCHERS_MAX = 1024;
const LIST_MAX = 65_536;
const TIME_MS_MAX = 8.64e15;
const EXEMPLARS = ["none", "individual", "span"] as const;
const ALPHABETS = ["legacy", "utf8"] as const;

export function packScanSpec(spec: ScanSpec): Record<string, unknown> {
  switch (spec.kind) {
    case "names":
    case "locations":
      return { kind: spec.kind, query: packQuery(spec.query) };
    case "points":
    case "heatmap":
      return { kind: spec.kind, query: packQuery(spec.query), shape: spec.shape };
    case "listing":
      return { kind: spec.kind, ...timesOf(spec), selectors: packSelectors(spec.selectors), listing: spec.listing, bounds: spec.bounds };
    case "cardinality":
      return { kind: spec.kind, ...timesOf(spec), selectors: packSelectors(spec.selectors) };
    default:
      return unreachable(spec);
  }
}

/** Throws PEER_MALFORMED. */
export function openScanSpec(fields: Fields): ScanSpec {
  const kind = fields.oneOf("kind", ["names", "locations", "points", "heatmap", "listing", "cardinality"]);
  switch (kind) {
    case "names":
    case "locations":
      return { kind, query: openQuery(fields.fields("query")) };
    case "points":
      return { kind, query: openQuery(fields.fields("query")), shape: openPoints(fields.fields("shape")) };
    case "heatmap":
      return { kind, query: openQuery(fields.fields("query")), shape: openHeatmap(fields.fields("shape")) };
    case "listing": {
      const bounds = fields.fields("bounds");
      return { kind, ...openSelected(fields), listing: openListing(fields.fields("listing")), bounds: { entryCountMax: bounds.integer("entryCountMax"), bytesMax: bounds.integer("bytesMax") } };
    }
    case "cardinality":
      return { kind, ...openSelected(fields) };
    default:
      return unreachable(kind);
  }
}

function packQuery(query: PlainRowQuery): Record<string, unknown> {
  return { ...query, ...timesOf(query) };
}

/** A record's time is a number of 64 bits. */
function timesOf({ startNs, endNs }: { readonly startNs: bigint; readonly endNs: bigint }): { startNs: bigint; endNs: bigint } {
  return { startNs: startNs < -TWO_63 ? -TWO_63 : startNs, endNs: endNs >= TWO_63 ? TWO_63 - 1n : endNs };
}

const TWO_63 = 2n ** 63n;

function openMatchers(fields: Fields, name: string): PlainMatcher[] {
  return fields.list(name, MATCHERS_MAX, (matcher) => ({
    name: matcher.text("name", TEXT_LENGTH_MAX),
    operator: matcher.oneOf("operator", ["=", "!=", "=~", "!~"]),
    value: matcher.text("value", TEXT_LENGTH_MAX),
  }));
}

/** A list within a list would have no name in an error. */
export function packSelectors(selectors: readonly (readonly PlainMatcher[])[]): Record<string, unknown>[] {
  return selectors.map((matchers) => ({ matchers: matchers.map(({ name, operator, value }) => ({ name, operator, value })) }));
}

export function openSelectors(fields: Fields, name: string): PlainMatcher[][] {
  return fields.list(name, SELECTORS_MAX, (selector) => openMatchers(selector, "matchers"));
}

function openSelected(fields: Fields): { startNs: bigint; endNs: bigint; selectors: PlainMatcher[][] } {
  return { startNs: fields.bigint("startNs"), endNs: fields.bigint("endNs"), selectors: openSelectors(fields, "selectors") };
}

function openQuery(fields: Fields): PlainRowQuery {
  return {
    startNs: fields.bigint("startNs"),
    endNs: fields.bigint("endNs"),
    profileType: openType(fields.fields("profileType")),
    selector: openMatchers(fields, "selector"),
    callSite: fields.texts("callSite", LIST_MAX, TEXT_LENGTH_MAX),
    profileIds: fields.texts("profileIds", LIST_MAX, 256),
    spanIds: fields.texts("spanIds", LIST_MAX, 256),
    traceIds: fields.texts("traceIds", LIST_MAX, 256),
  };
}

function openType(fields: Fields): ProfileType {
  const text = (name: keyof ProfileType): string => fields.text(name, TEXT_LENGTH_MAX);
  return { name: text("name"), sampleType: text("sampleType"), sampleUnit: text("sampleUnit"), periodType: text("periodType"), periodUnit: text("periodUnit") };
}

function openSteps(fields: Fields): Pick<PointsShape, "startMs" | "endMs" | "stepMs" | "groupBy"> {
  const time = { min: -TIME_MS_MAX, max: TIME_MS_MAX };
  return { startMs: fields.number("startMs", time), endMs: fields.number("endMs", time), stepMs: fields.number("stepMs", { min: 1, max: TIME_MS_MAX }), groupBy: fields.texts("groupBy", LIST_MAX, TEXT_LENGTH_MAX) };
}

function openPoints(fields: Fields): PointsShape {
  return { ...openSteps(fields), aggregation: fields.oneOf("aggregation", ["sum", "average"]), exemplars: fields.oneOf("exemplars", EXEMPLARS) };
}

function openHeatmap(fields: Fields): HeatmapShape {
  return { ...openSteps(fields), of: fields.oneOf("of", ["individual", "span"]), exemplars: fields.oneOf("exemplars", EXEMPLARS) };
}

function openListing(fields: Fields): Listing {
  const kind = fields.oneOf("kind", ["names", "values", "types", "series"]);
  switch (kind) {
    case "names":
      return { kind, alphabet: fields.oneOf("alphabet", ALPHABETS) };
    case "values":
      return { kind, name: fields.text("name", TEXT_LENGTH_MAX) };
    case "types":
      return { kind };
    case "series":
      return { kind, names: fields.texts("names", LIST_MAX, TEXT_LENGTH_MAX), alphabet: fields.oneOf("alphabet", ALPHABETS) };
    default:
      return unreachable(kind);
  }
}
