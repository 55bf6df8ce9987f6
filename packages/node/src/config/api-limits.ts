/** A tenant's limits as the API's parts ask for them. */
import type { QueryLimits, WriteLimits } from "@pyromesh/api";
import type { TenantId } from "@pyromesh/base";
import type { WriterLimits } from "../write/writer.ts";
import { limitsFor } from "./limits.ts";
import type { LimitsInForce, TenantLimits } from "./limits.ts";

const MB = 2 ** 20;

export function writeLimitsOf(inForce: LimitsInForce, tenant: TenantId): WriteLimits {
  const limits = limitsFor(inForce, tenant);
  return {
    ingestionRateMb: limits.ingestionRateBytesPerSecond / MB,
    ingestionBurstSizeMb: limits.ingestionBurstBytes / MB,
    ingestionBodyLimitMb: limits.ingestionBodyBytesMax / MB,
    maxProfileSizeBytes: limits.profileSizeBytesMax,
  };
}

export function queryLimitsOf(inForce: LimitsInForce, tenant: TenantId): QueryLimits {
  const limits = limitsFor(inForce, tenant);
  return {
    maxQueryLengthMs: limits.queryLengthMs,
    maxQueryLookbackMs: limits.queryLookbackMs,
    maxFlamegraphNodesDefault: limits.flameGraphNodesDefault,
    maxFlamegraphNodesMax: limits.flameGraphNodesMax,
    isMergeProfileBounded: limits.isMergeProfileBounded,
    maxLabelListing: limits.labelListingMax,
    maxLabelListingBytes: limits.labelListingBytesMax,
    isPartialAllowed: limits.isPartialAllowed,
  };
}

/** The same object for the same limits: what of them the workers go by is sent to each once. */
const writerLimits = new WeakMap<TenantLimits, WriterLimits>();

export function writerLimitsOf(inForce: LimitsInForce, tenant: TenantId): WriterLimits {
  const limits = limitsFor(inForce, tenant);
  const known = writerLimits.get(limits);
  if (known !== undefined) return known;
  const made: WriterLimits = {
    encode: {
      limits: {
        profileSizeBytesMax: limits.profileSizeBytesMax,
        sampleCountMax: limits.profileSampleCountMax,
        sampleLabelCountMax: limits.sampleLabelCountMax,
        stacktraceDepthMax: limits.stacktraceDepthMax,
        symbolLengthBytesMax: limits.symbolLengthMax,
        labelCountMax: limits.labelCountMax,
        labelNameLengthBytesMax: limits.labelNameLengthMax,
        labelValueLengthBytesMax: limits.labelValueLengthMax,
        repairsGoStacktraces: limits.repairsGoStacktraces,
      },
      window: { rejectOlderThanMs: limits.rejectOlderThanMs, rejectNewerThanMs: limits.rejectNewerThanMs },
    },
    series: { localSeriesMax: limits.localSeriesMax, globalSeriesMax: limits.globalSeriesMax },
    sessionsPerSeriesMax: limits.sessionsPerSeriesMax,
    profilesAtOnceMax: limits.pushProfilesAtOnceMax,
  };
  writerLimits.set(limits, made);
  return made;
}
