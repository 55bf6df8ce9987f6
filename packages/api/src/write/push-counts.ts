/**
 * Counts what was pushed and what was accepted, by tenant:
 *
 *   pyromesh_received_profiles_total, _bytes_total    before any limit
 *   pyromesh_accepted_profiles_total, _bytes_total    synced to disk now or before
 *
 * What must stay true: when no push is in flight, received = accepted + discarded (discards.ts), by tenant, in profiles and in bytes.
 * Bytes are uncompressed, as the gzip trailer of the profile claims them.
 *
 * A push costs one look-up of its tenant. The metrics read these counts at each scrape.
 */
import type { MetricLabels, Metrics, MetricValue, TenantId } from "@pyromesh/base";
import { TenantLabels } from "../ports/tenant-labels.ts";

/** The counts of one tenant, or of all tenants that share a label value. */
interface Counts {
  readonly labels: MetricLabels;
  receivedCount: number;
  receivedBytes: number;
  acceptedCount: number;
  acceptedBytes: number;
}

export class PushCounts {
  readonly #labels = new TenantLabels();
  /** By label value. TenantLabels bounds their number. */
  readonly #counts = new Map<string, Counts>();

  constructor({ metrics }: { readonly metrics: Metrics }) {
    const values = (of: (counts: Counts) => number) => (): readonly MetricValue[] => [...this.#counts.values()].map((counts) => ({ labels: counts.labels, value: of(counts) }));
    metrics.readCounter("pyromesh_received_profiles_total", "Profiles that were pushed, before any limit.", values(({ receivedCount }) => receivedCount));
    metrics.readCounter("pyromesh_received_bytes_total", "Uncompressed bytes of profiles that were pushed, before any limit.", values(({ receivedBytes }) => receivedBytes));
    metrics.readCounter("pyromesh_accepted_profiles_total", "Profiles that were stored, now or by an earlier push.", values(({ acceptedCount }) => acceptedCount));
    metrics.readCounter("pyromesh_accepted_bytes_total", "Uncompressed bytes of profiles that were stored, now or by an earlier push.", values(({ acceptedBytes }) => acceptedBytes));
  }

  /** `sizeBytes`: the size of the profiles together. */
  received(tenant: TenantId, sizeBytes: number, profileCount = 1): void {
    const counts = this.#of(tenant);
    counts.receivedCount += profileCount;
    counts.receivedBytes += sizeBytes;
  }

  accepted(tenant: TenantId, sizeBytes: number): void {
    const counts = this.#of(tenant);
    counts.acceptedCount++;
    counts.acceptedBytes += sizeBytes;
  }

  #of(tenant: TenantId): Counts {
    let counts = this.#counts.get(tenant);
    if (counts !== undefined) return counts;
    const label = this.#labels.of(tenant);
    counts = this.#counts.get(label);
    if (counts === undefined) this.#counts.set(label, (counts = { labels: { tenant: label }, receivedCount: 0, receivedBytes: 0, acceptedCount: 0, acceptedBytes: 0 }));
    return counts;
  }
}
