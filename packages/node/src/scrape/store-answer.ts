/** Stores what a program answered as a push of its tenant: with the same limits, counts and refusals as one that came over HTTP. */
import { claimedSizeBytes, keep } from "@pyromesh/api";
import type { WriteModules, WriteLimits } from "@pyromesh/api";
import { CodedError } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { withLabels } from "@pyromesh/profile";
import { NothingStored } from "@pyromesh/scrape";
import type { ScrapedAnswer, StoreAnswer } from "@pyromesh/scrape";

/** Refusals that come before any store is given a record. */
const BEFORE_STORING: ReadonlySet<string> = new Set(["RATE_LIMITED", "RATE_BURST_EXCEEDED", "OVERLOADED", "NOT_TAKING_WRITES", "NODE_STARTING"]);
/** Those that come while the body is read. */
const ANSWER_AT_FAULT: ReadonlySet<string> = new Set(["PROFILE_EMPTY", "PROFILE_GZIP_BROKEN", "PROFILE_MALFORMED", "PROFILE_SAMPLE_LABELS_LIMIT", "PROFILE_SAMPLES_LIMIT", "PROFILE_TOO_LARGE", "PROFILE_TYPE_INVALID"]);

export function storeAnswer({ limitsOf }: { readonly limitsOf: (tenant: TenantId) => WriteLimits }, modules: WriteModules): StoreAnswer {
  return async ({ target, body, counters, timeNs }: ScrapedAnswer, signal: AbortSignal): Promise<void> => {
    const { counts, discards, rateLimit } = modules;
    const { tenant } = target.job;
    const sizeBytes = claimedSizeBytes(body, limitsOf(tenant).profileSizeBytesMax);
    counts.received(tenant, sizeBytes);
    const problem = rateLimit.take(tenant, sizeBytes);
    if (problem !== undefined) {
      discards.add(tenant, problem, sizeBytes);
      throw nothingStored(problem);
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
    const [refused] = await keep({ tenant, profiles: [profile], sizesBytes: [sizeBytes] }, signal, modules).catch((thrown: unknown) => {
      throw nothingStored(thrown);
    });
    if (refused !== undefined) throw nothingStored(refused.error);
  };
}

/** As NothingStored, where the error says that. */
function nothingStored(thrown: unknown): unknown {
  if (!(thrown instanceof CodedError)) return thrown;
  const isAnswerAtFault = ANSWER_AT_FAULT.has(thrown.code);
  return isAnswerAtFault || BEFORE_STORING.has(thrown.code) ? new NothingStored(thrown, { isAnswerAtFault }) : thrown;
}
