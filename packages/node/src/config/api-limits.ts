/** A tenant's limits as the API's parts ask for them. */
import type { QueryLimits, WriteLimits } from "@pyromesh/api";
import type { TenantId } from "@pyromesh/base";
import type { AcceptanceWindow, ProfileLimits } from "@pyromesh/profile";
import type { Config } from "./config.ts";
import { limitsFor } from "./limits.ts";

const MB = 2 ** 20;
/** Series in one push: Pyroscope's push_max_concurrency. */
const PUSH_SERIES_MAX = 256;

export function writeLimitsOf(config: Config, tenant: TenantId): WriteLimits {
  const limits = limitsFor(config, tenant);
  return {
    ingestionRateMb: limits.ingestionRateBytesPerSecond / MB,
    ingestionBurstSizeMb: limits.ingestionBurstBytes / MB,
    ingestionBodyLimitMb: limits.ingestionBodyBytesMax / MB,
    pushMaxConcurrency: PUSH_SERIES_MAX,
    maxProfileSizeBytes: limits.profileSizeBytesMax,
  };
}

export function queryLimitsOf(config: Config, tenant: TenantId): QueryLimits {
  const limits = limitsFor(config, tenant);
  return {
    maxQueryLengthMs: limits.queryLengthMs,
    maxQueryLookbackMs: limits.queryLookbackMs,
    maxFlamegraphNodesDefault: limits.flameGraphNodesDefault,
    maxFlamegraphNodesMax: limits.flameGraphNodesMax,
    isMergeProfileBounded: limits.isMergeProfileBounded,
  };
}

export function profileLimitsOf(config: Config, tenant: TenantId): { readonly profile: ProfileLimits; readonly window: AcceptanceWindow } {
  const limits = limitsFor(config, tenant);
  return {
    profile: {
      profileSizeBytesMax: limits.profileSizeBytesMax,
      sampleCountMax: limits.profileSampleCountMax,
      sampleLabelCountMax: limits.sampleLabelCountMax,
      stacktraceDepthMax: limits.stacktraceDepthMax,
      symbolLengthBytesMax: limits.symbolLengthMax,
      labelCountMax: limits.labelCountMax,
      labelNameLengthBytesMax: limits.labelNameLengthMax,
      labelValueLengthBytesMax: limits.labelValueLengthMax,
    },
    window: { rejectOlderThanMs: limits.rejectOlderThanMs, rejectNewerThanMs: limits.rejectNewerThanMs },
  };
}
