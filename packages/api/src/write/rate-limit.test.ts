import { parseTenantId } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import fc from "fast-check";
import { RateLimit, step } from "./rate-limit.ts";
import type { Bucket, RateLimits } from "./rate-limit.ts";

const MIB = 2 ** 20;
const A = parseTenantId("a");
const B = parseTenantId("b");

function limiter(limitsOf: (tenant: TenantId) => RateLimits, tenantCountMax?: number): { limit: RateLimit; clock: ManualClock } {
  const clock = new ManualClock();
  return { limit: new RateLimit(tenantCountMax === undefined ? { limitsOf } : { limitsOf, tenantCountMax }, { clock }), clock };
}

const DEFAULTS: RateLimits = { ingestionRateBytesPerSecond: 4 * MIB, ingestionBurstBytes: 8 * MIB };

describe("rate limit", () => {
  it("a full bucket passes its burst, then refuses until tokens have flowed in", () => {
    const { limit, clock } = limiter(() => DEFAULTS);
    expect(limit.take(A, 5 * MIB)).to.equal(undefined);
    expect(limit.take(A, 3 * MIB)).to.equal(undefined);
    const refused = limit.take(A, 2 * MIB);
    expect(refused?.code).to.equal("RATE_LIMITED");
    expect(refused?.kind).to.equal("resource_exhausted");
    clock.advance(500);
    expect(limit.take(A, 2 * MIB)).to.equal(undefined);
  });

  it("the refusal names the limits, the numbers and when to try again, and that time is enough", () => {
    const { limit, clock } = limiter(() => DEFAULTS);
    limit.take(A, 8 * MIB);
    const refused = limit.take(A, 6 * MIB)!;
    expect(refused.message).to.contain("ingestion_rate_mb (4 MB a second)").and.to.contain("ingestion_burst_size_mb (8 MB)").and.to.contain(`${6 * MIB} bytes`);
    expect(refused.details["retryAfterSeconds"]).to.equal(2);
    expect(refused.details["reason"]).to.equal("rate_limited");
    clock.advance(2_000);
    expect(limit.take(A, 6 * MIB)).to.equal(undefined);
  });

  it("a profile larger than the burst can never pass, which is an error of the caller", () => {
    const { limit } = limiter(() => DEFAULTS);
    const refused = limit.take(A, 8 * MIB + 1)!;
    expect(refused.message).to.contain("can never pass").and.to.contain("raise ingestion_burst_size_mb");
    expect([refused.code, refused.kind]).to.deep.equal(["RATE_BURST_EXCEEDED", "invalid_argument"]);
    expect(refused.details).not.to.have.property("retryAfterSeconds");
    expect(limit.take(A, 8 * MIB), "a refusal costs nothing").to.equal(undefined);
  });

  it("the time to wait is until the whole push would pass; a push that never would is told so", () => {
    const { limit, clock } = limiter(() => DEFAULTS);
    expect(limit.take(A, 5 * MIB, 7 * MIB)).to.equal(undefined);
    expect(limit.take(A, 2 * MIB, 7 * MIB)).to.equal(undefined);
    const refused = limit.take(A, 2 * MIB, 7 * MIB)!;
    expect([refused.code, refused.details["retryAfterSeconds"], limit.waitSeconds(A, 7 * MIB)]).to.deep.equal(["RATE_LIMITED", 2, 2]);
    const never = limit.take(A, 2 * MIB, 9 * MIB)!;
    expect([never.code, never.kind, limit.waitSeconds(A, 9 * MIB)]).to.deep.equal(["RATE_BURST_EXCEEDED", "invalid_argument", 0]);
    expect(never.message).to.contain(`the profiles of this push are ${9 * MIB} bytes together`).and.to.contain("send fewer at once, or raise ingestion_burst_size_mb");
    clock.advance(2_000);
    expect(limit.waitSeconds(A, 7 * MIB)).to.equal(0);
    expect(limit.take(A, 5 * MIB, 7 * MIB) ?? limit.take(A, 2 * MIB, 7 * MIB)).to.equal(undefined);
  });

  it("a rate of 0 lifts the limit and keeps nothing", () => {
    const { limit } = limiter(() => ({ ingestionRateBytesPerSecond: 0, ingestionBurstBytes: 0 }));
    for (let i = 0; i < 100; i++) expect(limit.take(A, 1_000 * MIB)).to.equal(undefined);
    expect(limit.tenantCount).to.equal(0);
  });

  it("tenants do not spend each other's tokens, and each has its own limits", () => {
    const { limit } = limiter((tenant) => (tenant === A ? DEFAULTS : { ingestionRateBytesPerSecond: MIB, ingestionBurstBytes: MIB }));
    expect(limit.take(A, 8 * MIB)).to.equal(undefined);
    expect(limit.take(B, MIB)).to.equal(undefined);
    expect(limit.take(B, 1)?.message).to.contain("ingestion_rate_mb (1 MB a second)");
  });

  it("an override applies to the next profile", () => {
    let limits = DEFAULTS;
    const { limit } = limiter(() => limits);
    limit.take(A, 8 * MIB);
    expect(limit.take(A, MIB)).not.to.equal(undefined);
    limits = { ingestionRateBytesPerSecond: 0, ingestionBurstBytes: 8 * MIB };
    expect(limit.take(A, MIB)).to.equal(undefined);
  });

  it("the map of tenants is bounded: full buckets are removed first, then the one unused for the longest time", () => {
    const { limit, clock } = limiter(() => DEFAULTS, 10);
    for (let i = 0; i < 1_000; i++) limit.take(parseTenantId(`t${i}`), MIB);
    expect(limit.tenantCount).to.equal(10);
    clock.advance(60_000);
    limit.take(A, MIB);
    expect(limit.tenantCount, "the others are full again and left").to.equal(1);
  });

  it("a clock that steps back adds no tokens", () => {
    const bucket: Bucket = { tokenBytes: 5, atMs: 1_000 };
    const taken = step(bucket, { sizeBytes: 6, nowMs: 0, bytesPerSecond: 1_000, burstBytes: 10 });
    expect(taken.isAllowed).to.equal(false);
    expect(taken.bucket.tokenBytes).to.equal(5);
  });

  it("over any run no more passes than the burst and the tokens that were added", () => {
    const ask = fc.record({ sizeBytes: fc.integer({ min: 0, max: 200 }), waitMs: fc.integer({ min: 0, max: 500 }) });
    fc.assert(
      fc.property(fc.array(ask, { maxLength: 60 }), (asks) => {
        let bucket: Bucket | undefined;
        let nowMs = 0;
        let passedBytes = 0;
        for (const { sizeBytes, waitMs } of asks) {
          nowMs += waitMs;
          const taken = step(bucket, { sizeBytes, nowMs, bytesPerSecond: 100, burstBytes: 150 });
          bucket = taken.bucket;
          if (taken.isAllowed) passedBytes += sizeBytes;
          else if (Number.isFinite(taken.retryAfterMs)) {
            const later = step(bucket, { sizeBytes, nowMs: nowMs + Math.ceil(taken.retryAfterMs + 1e-6), bytesPerSecond: 100, burstBytes: 150 });
            expect(later.isAllowed, "retryAfterMs is enough").to.equal(true);
          }
        }
        expect(passedBytes).to.be.at.most(150 + (nowMs / 1000) * 100 + 1e-6);
      }),
    );
  });
});
