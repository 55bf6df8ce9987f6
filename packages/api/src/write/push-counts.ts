/**
 * What was pushed and what of it was kept, by tenant:
 *
 *   pyromesh_received_profiles_total, _bytes_total    before any limit
 *   pyromesh_accepted_profiles_total, _bytes_total    synced to disk, or found to be there already
 *
 * What must stay true: once no push is in flight, what was received is what was accepted and what was discarded (discards.ts), by
 * tenant, in profiles and in bytes. Bytes are before compression, as the profile's gzip trailer claims them.
 *
 * A push costs one look-up of its tenant: the metrics are read from here at each scrape.
 */
import type { MetricLabels, Metrics, MetricValue, TenantId } from "@pyromesh/base";
import { TenantLabels } from "../ports/tenant-labels.ts";

/** Of one tenant, or of all that share a line. */
interface Counts {
  readonly labels: MetricLabels;
  receivedCount: number;
  receivedBytes: number;
  acceptedCount: number;
  acceptedBytes: number;
}

export class PushCounts {
  readonly #labels = new TenantLabels();
  /** By label value: bounded, since those are. */
  readonly #counts = new Map<string, Counts>();

  constructor({ metrics }: { readonly metrics: Metrics }) {
    const values = (of: (counts: Counts) => number) => (): readonly MetricValue[] => [...this.#counts.values()].map((counts) => ({ labels: counts.labels, value: of(counts) }));
    metrics.readCounter("pyromesh_received_profiles_total", "Profiles that were pushed, before any limit.", values(({ receivedCount }) => receivedCount));
    metrics.readCounter("pyromesh_received_bytes_total", "Bytes of profiles that were pushed, before any limit and before compression.", values(({ receivedBytes }) => receivedBytes));
    metrics.readCounter("pyromesh_accepted_profiles_total", "Profiles that were kept, or found to be kept already.", values(({ acceptedCount }) => acceptedCount));
    metrics.readCounter("pyromesh_accepted_bytes_total", "Bytes of profiles that were kept, or found to be kept already, before compression.", values(({ acceptedBytes }) => acceptedBytes));
  }

  /** `sizeBytes`: of the profiles together. */
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
