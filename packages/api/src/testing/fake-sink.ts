/**
 * A ProfileSink for handler tests. It keeps what it gets, and refuses text that cannot be parsed and whatever `refuse` returns an error
 * for.
 */
import { CodedError } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { DEFAULT_PROFILE_LIMITS } from "@pyromesh/profile";
import { readFormat } from "@pyromesh/profile/files";
import type { ArrivedProfile, ProfileSink, PushOutcome, RefusedProfile } from "../ports/ports.ts";

export class FakeSink implements ProfileSink {
  readonly arrived: ArrivedProfile[] = [];
  readonly tenants: TenantId[] = [];
  /** Returns the error for a profile it refuses. */
  refuse: (profile: ArrivedProfile) => Error | undefined = () => undefined;

  push(tenant: TenantId, profiles: readonly ArrivedProfile[]): Promise<PushOutcome> {
    const refused: RefusedProfile[] = [];
    let acceptedCount = 0;
    for (const [index, profile] of profiles.entries()) {
      const error = this.refuse(profile) ?? formatError(profile);
      if (error !== undefined) {
        refused.push({ index, error });
        continue;
      }
      acceptedCount++;
      this.tenants.push(tenant);
      this.arrived.push(profile);
    }
    return Promise.resolve({ acceptedCount, refused });
  }
}

function formatError({ labels, pprof, format }: ArrivedProfile): Error | undefined {
  if (format === undefined) return undefined;
  try {
    for (const _profile of readFormat(format, pprof, { labels, limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: 1n }).profiles);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof CodedError) return thrown;
    throw thrown;
  }
}
