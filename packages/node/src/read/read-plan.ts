/**
 * Decides what a query reads. Pure. On one node these are its own memory and every catalogued object that may hold the range; a cluster adds the
 * stores of other members to the same plan.
 */
import type { CatalogEntry, DatasetEntry } from "@pyromesh/block";
import type { Matcher } from "@pyromesh/profile";
import type { ScanSpec } from "../compute/compute.ts";

export interface QuarantinedSpan {
  readonly id: string;
  readonly reason: string;
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
}

/** Quarantines that may hide a profile of the range. */
export function quarantinesWithin(spans: readonly QuarantinedSpan[], startMs: number, endMs: number): readonly QuarantinedSpan[] {
  return spans.filter((span) => (span.startMs ?? -Infinity) <= endMs && (span.endMs ?? Infinity) >= startMs);
}

/** Groups the objects by tenant and window, in the order of the plan, so that copies of a record are scanned together. The plan has them next to each other. */
export function objectsByWindow(entries: readonly CatalogEntry[]): readonly (readonly CatalogEntry[])[] {
  const groups: CatalogEntry[][] = [];
  let group: CatalogEntry[] = [];
  let last: CatalogEntry["meta"] | undefined;
  for (const entry of entries) {
    const { meta } = entry;
    if (last?.windowStartMs !== meta.windowStartMs || last.tenant !== meta.tenant) groups.push((group = []));
    group.push(entry);
    last = meta;
  }
  return groups;
}

/** The windows of a tenant of which there is a group of objects, in rising order. */
export function windowsCovered(groups: readonly (readonly CatalogEntry[])[], tenant: string): readonly number[] {
  return groups.filter(([first]) => first?.meta.tenant === tenant).map(([first]) => first!.meta.windowStartMs);
}

/** Tells the datasets whose bytes a query needs: those whose times touch the range and whose service one of the selectors admits. Without selectors every service is admitted. */
export function datasetFilter(
  range: { readonly startMs: number; readonly endMs: number },
  selectors: readonly (readonly Matcher[])[],
): (dataset: Pick<DatasetEntry, "service" | "minTimeMs" | "maxTimeMs">) => boolean {
  return ({ service, minTimeMs, maxTimeMs }) =>
    maxTimeMs >= range.startMs && minTimeMs <= range.endMs && (selectors.length === 0 || selectors.some((selector) => mayHoldService(selector, service)));
}

/** The same scan of a tenant's records at or above its floor: objects that straddle it, and memory, hold others. */
export function specAbove(floorMs: number, spec: ScanSpec): ScanSpec {
  const floorNs = BigInt(floorMs) * 1_000_000n;
  if (spec.kind === "listing" || spec.kind === "cardinality") return spec.startNs >= floorNs ? spec : { ...spec, startNs: floorNs };
  return spec.query.startNs >= floorNs ? spec : { ...spec, query: { ...spec.query, startNs: floorNs } };
}

/** The part of a tenant's span that is above its floor. */
export function spanAbove(floorMs: number, span: { readonly oldestMs: number; readonly newestMs: number } | undefined): { readonly oldestMs: number; readonly newestMs: number } | undefined {
  return span === undefined || span.newestMs < floorMs ? undefined : { oldestMs: Math.max(floorMs, span.oldestMs), newestMs: span.newestMs };
}

/** False only when the selector rules the service out. */
function mayHoldService(selector: readonly Matcher[], service: string): boolean {
  return selector.every((matcher) => matcher.name !== "service_name" || matcher.matches(service));
}
