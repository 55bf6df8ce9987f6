/** Stores what a program answered as a push of its tenant: with the same limits, counts and refusals as one that came over HTTP. */
import { claimedSizeBytes, keep } from "@pyromesh/api";
import type { WriteModules, WriteLimits } from "@pyromesh/api";
import type { TenantId } from "@pyromesh/base";
import { withLabels } from "@pyromesh/profile";
import type { ScrapedAnswer, StoreAnswer } from "@pyromesh/scrape";

export function storeAnswer({ limitsOf }: { readonly limitsOf: (tenant: TenantId) => WriteLimits }, modules: WriteModules): StoreAnswer {
  return async ({ target, body, counters, timeNs }: ScrapedAnswer, signal: AbortSignal): Promise<void> => {
    const { counts, discards, rateLimit } = modules;
    const { tenant } = target.job;
    const sizeBytes = claimedSizeBytes(body, limitsOf(tenant).profileSizeBytesMax);
    counts.received(tenant, sizeBytes);
    const problem = rateLimit.take(tenant, sizeBytes);
    if (problem !== undefined) {
      discards.add(tenant, problem, sizeBytes);
      throw problem;
    }
    const profile = {
      labels: withLabels(target.labels, { __name__: target.profile.name }),
      pprof: body,
      format: { kind: "scraped", form: { timeNs, ...(counters && { counters }) } },
      profileId: undefined,
      fallbackTimeMs: undefined,
      idempotencyKey: undefined,
      ingest: undefined,
      describe: `target ${target.url}`,
    } as const;
    const [refused] = await keep({ tenant, profiles: [profile], sizesBytes: [sizeBytes] }, signal, modules);
    if (refused !== undefined) throw refused.error;
  };
}
