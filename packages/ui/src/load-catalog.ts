/**
 * Loads what the page can show in a span: the services and their types, the service to begin with, and, where the span is empty, whether
 * the whole store is.
 */
import type { QuerierClient, StoreStats } from "./client.ts";
import type { ServiceActivity, ServiceCatalog } from "./model/service-catalog.ts";
import { catalogOf, commonestType, preferredService, preferredType } from "./model/service-catalog.ts";
import type { TimeSpan } from "./model/time-range.ts";
import { alignSpan, stepMsOf } from "./model/time-range.ts";

interface LoadedCatalog {
  readonly catalog: ServiceCatalog;
  /** Undefined when there is no service. */
  readonly suggested: { readonly service: string; readonly profileType: string } | undefined;
  /** Loaded only where the catalog is empty. */
  readonly stats: StoreStats | undefined;
  /** What the list of services lacks. Empty where it is complete. */
  readonly missing: string;
  /** How many of the services and types are listed, where there are too many. Otherwise empty. */
  readonly truncated: string;
}

export async function loadCatalog(client: QuerierClient, span: TimeSpan, hasChoice: boolean, signal: AbortSignal): Promise<LoadedCatalog> {
  const { value: pairs, missing, truncated } = await client.services(span, signal);
  const catalog = catalogOf(pairs);
  if (catalog.services.size === 0) return { catalog, suggested: undefined, stats: await loadStats(client, span, signal), missing, truncated };
  const activity = hasChoice || catalog.services.size === 1 ? [] : await loadActivity(client, catalog, span, signal);
  const service = preferredService(catalog, activity)!; // the catalog is not empty
  return { catalog, suggested: { service, profileType: preferredType(catalog.services.get(service)!)! }, stats: undefined, missing, truncated };
}

/** The activity only decides which service the page begins with. Without it that is the first one by name. */
async function loadActivity(client: QuerierClient, catalog: ServiceCatalog, span: TimeSpan, signal: AbortSignal): Promise<ServiceActivity[]> {
  const profileType = commonestType(catalog);
  if (profileType === undefined) return [];
  const stepMs = stepMsOf(span);
  try {
    const { value: series } = await client.points({ profileType, selector: "{}", span: alignSpan(span, stepMs) }, stepMs, ["service_name"], signal);
    return series.map(({ labels, points }) => ({
      service: labels.get("service_name") ?? "",
      newestMs: points.reduce((newest, { timestampMs }) => Math.max(newest, timestampMs), 0),
      total: points.reduce((sum, { value }) => sum + value, 0),
    }));
  } catch (error) {
    if (signal.aborted) throw error;
    return [];
  }
}

/** Some nodes refuse statistics (several tenants at once, an older server). Those are asked for any series at any time. */
async function loadStats(client: QuerierClient, span: TimeSpan, signal: AbortSignal): Promise<StoreStats> {
  try {
    return await client.stats(signal);
  } catch (error) {
    if (signal.aborted) throw error;
    const { value: pairs } = await client.services({ startMs: 1, endMs: span.endMs }, signal);
    return { hasData: pairs.length > 0, oldestMs: 0, newestMs: 0 };
  }
}
