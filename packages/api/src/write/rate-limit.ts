/**
 * The rate limit on pushes: a token bucket for each tenant, in bytes of uncompressed profiles.
 *
 *   ingestion_rate_mb        tokens added per second      0: unlimited
 *   ingestion_burst_size_mb  size of the bucket
 *
 * A profile passes when the bucket has tokens for it. A client that is refused sends the whole push again, so it is told to wait until
 * the bucket has tokens for all of it. A push larger than the bucket never passes, and the caller has to change it. A full bucket is the
 * same as none, so tenants with a full bucket are removed from the map.
 */
import { CodedError } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";

export interface RateLimits {
  /** `limits.ingestion_rate_mb`. 0: unlimited. */
  readonly ingestionRateBytesPerSecond: number;
  /** `limits.ingestion_burst_size_mb`. */
  readonly ingestionBurstBytes: number;
}

interface RateLimitOptions {
  /** Called for every profile, so that a reloaded override applies at once. */
  readonly limitsOf: (tenant: TenantId) => RateLimits;
  /**
   * Buckets kept. At the bound full buckets are removed, then the one unused for the longest time (that tenant begins again with a full
   * bucket).
   */
  readonly tenantCountMax?: number;
  /** Told of each profile that passed. */
  readonly onTaken?: (tenant: TenantId, sizeBytes: number) => void;
}

export class RateLimit {
  readonly #limitsOf: (tenant: TenantId) => RateLimits;
  readonly #tenantCountMax: number;
  readonly #onTaken: (tenant: TenantId, sizeBytes: number) => void;
  readonly #clock: Clock;
  /** In order of last use: an entry is removed and added again when it is used. */
  readonly #buckets = new Map<TenantId, Bucket>();
  /** The tenant used last. */
  #latest: TenantId | undefined;

  constructor(options: RateLimitOptions, modules: { readonly clock: Clock }) {
    this.#limitsOf = options.limitsOf;
    this.#tenantCountMax = options.tenantCountMax ?? 10_000;
    this.#onTaken = options.onTaken ?? (() => {});
    this.#clock = modules.clock;
  }

  get tenantCount(): number {
    return this.#buckets.size;
  }

  /**
   * Returns undefined and takes the tokens where the profile passes. Otherwise RATE_LIMITED with `details.retryAfterSeconds` (when all
   * `pushBytes` of the push would pass), or RATE_BURST_EXCEEDED (`invalid_argument`) where they never would.
   */
  take(tenant: TenantId, sizeBytes: number, pushBytes: number = sizeBytes): CodedError | undefined {
    const limits = this.#limitsOf(tenant);
    if (limits.ingestionRateBytesPerSecond <= 0) {
      this.#buckets.delete(tenant);
      return undefined;
    }
    const rate = rateOf(limits);
    const nowMs = this.#clock.monotonicMs();
    const taken = step(this.#buckets.get(tenant), { sizeBytes, nowMs, ...rate });
    this.#keep(tenant, taken.bucket, nowMs);
    if (taken.isAllowed) this.#onTaken(tenant, sizeBytes);
    return taken.isAllowed ? undefined : refusal(limits, rate, { sizeBytes, pushBytes }, taken);
  }

  /** Whole seconds until `sizeBytes` would pass. 0: they would now, or never. */
  waitSeconds(tenant: TenantId, sizeBytes: number): number {
    const limits = this.#limitsOf(tenant);
    if (limits.ingestionRateBytesPerSecond <= 0) return 0;
    const { retryAfterMs } = step(this.#buckets.get(tenant), { sizeBytes, nowMs: this.#clock.monotonicMs(), ...rateOf(limits) });
    return Number.isFinite(retryAfterMs) ? Math.ceil(retryAfterMs / 1000) : 0;
  }

  #keep(tenant: TenantId, bucket: Bucket, nowMs: number): void {
    if (tenant === this.#latest && this.#buckets.has(tenant)) {
      this.#buckets.set(tenant, bucket); // it is the last already: a push takes tokens once for each of its profiles
      return;
    }
    this.#latest = tenant;
    this.#buckets.delete(tenant);
    if (this.#buckets.size >= this.#tenantCountMax) this.#makeRoom(nowMs);
    this.#buckets.set(tenant, bucket);
  }

  #makeRoom(nowMs: number): void {
    for (const [tenant, bucket] of this.#buckets) {
      const limits = this.#limitsOf(tenant);
      if (limits.ingestionRateBytesPerSecond <= 0 || isFull(bucket, nowMs, rateOf(limits))) this.#buckets.delete(tenant);
    }
    if (this.#buckets.size < this.#tenantCountMax) return;
    const oldest = this.#buckets.keys().next();
    if (oldest.done !== true) this.#buckets.delete(oldest.value);
  }
}

// --- the bucket, pure -------------------------------------------------------------------------------------------------

export interface Bucket {
  readonly tokenBytes: number;
  readonly atMs: number;
}

interface Rate {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
}

export interface Taken {
  readonly bucket: Bucket;
  readonly isAllowed: boolean;
  /** Until the request would pass: 0 where it did, Infinity where it never can. */
  readonly retryAfterMs: number;
}

/** Takes `sizeBytes` from the bucket; undefined is a full bucket. Time that runs backwards adds no tokens. */
export function step(bucket: Bucket | undefined, ask: Rate & { readonly sizeBytes: number; readonly nowMs: number }): Taken {
  const tokenBytes = bucket === undefined ? ask.burstBytes : filled(bucket, ask.nowMs, ask);
  const isAllowed = ask.sizeBytes <= tokenBytes;
  if (isAllowed) return { bucket: { tokenBytes: tokenBytes - ask.sizeBytes, atMs: ask.nowMs }, isAllowed, retryAfterMs: 0 };
  const isHopeless = ask.sizeBytes > ask.burstBytes;
  const retryAfterMs = isHopeless ? Infinity : ((ask.sizeBytes - tokenBytes) / ask.bytesPerSecond) * 1000;
  return { bucket: { tokenBytes, atMs: ask.nowMs }, isAllowed, retryAfterMs };
}

function filled(bucket: Bucket, nowMs: number, rate: Rate): number {
  const elapsedMs = Math.max(0, nowMs - bucket.atMs);
  return Math.min(rate.burstBytes, bucket.tokenBytes + (elapsedMs / 1000) * rate.bytesPerSecond);
}

function isFull(bucket: Bucket, nowMs: number, rate: Rate): boolean {
  return filled(bucket, nowMs, rate) >= rate.burstBytes;
}

function rateOf(limits: RateLimits): Rate {
  return { bytesPerSecond: limits.ingestionRateBytesPerSecond, burstBytes: limits.ingestionBurstBytes };
}

/** One MB of the settings (`ingestion_rate_mb`, `ingestion_burst_size_mb`). */
const MB = 2 ** 20;

interface Sizes {
  readonly sizeBytes: number;
  /** The size of all profiles of the push, this one included. */
  readonly pushBytes: number;
}

function refusal(limits: RateLimits, rate: Rate, { sizeBytes, pushBytes }: Sizes, { bucket }: Taken): CodedError {
  const held = `the limits ingestion_rate_mb (${rate.bytesPerSecond / MB} MB a second) and ingestion_burst_size_mb (${rate.burstBytes / MB} MB)`;
  const details = { reason: "rate_limited", sizeBytes, burstBytes: rate.burstBytes };
  if (pushBytes > rate.burstBytes) {
    const what =
      sizeBytes > rate.burstBytes
        ? `a profile of ${sizeBytes} bytes can never pass ${held}: raise ingestion_burst_size_mb, or send a smaller profile`
        : `the profiles of this push are ${pushBytes} bytes together, and can never pass ${held} at once: send fewer at once, or raise ingestion_burst_size_mb`;
    return new CodedError({ code: "RATE_BURST_EXCEEDED", kind: "invalid_argument", message: what, details });
  }
  const { retryAfterMs } = step(bucket, { ...rate, sizeBytes: pushBytes, nowMs: bucket.atMs });
  const retryAfterSeconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return new CodedError({
    code: "RATE_LIMITED",
    kind: "resource_exhausted",
    message: `a profile of ${sizeBytes} bytes exceeds ${held}: ${Math.floor(bucket.tokenBytes)} bytes are free now; try again in ${retryAfterSeconds} s, or raise the limits`,
    details: { ...details, retryAfterSeconds },
  });
}
