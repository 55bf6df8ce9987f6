import { Discards, PushCounts, PushGate, RateLimit } from "@pyromesh/api";
import type { PushOutcome } from "@pyromesh/api";
import { ANONYMOUS, CodedError, invalidArgument, Metrics, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { refusal } from "@pyromesh/profile";
import { NothingStored, scrapeConfigs } from "@pyromesh/scrape";
import type { ScrapedAnswer } from "@pyromesh/scrape";
import { expect } from "chai";
import { storeAnswer } from "./store-answer.ts";

const [JOB] = scrapeConfigs([{ job_name: "app", static_configs: [{ targets: ["a:1"] }] }]);
const ANSWER: ScrapedAnswer = {
  target: { key: "a", job: JOB!, url: "http://a:1/debug/pprof/allocs", labels: [], discovered: [], intervalMs: 15_000, timeoutMs: 10_000, profile: { name: "memory", path: "/debug/pprof/allocs", delta: false, isCumulative: true } },
  body: new Uint8Array(1_000),
  counters: { before: undefined },
  timeNs: 1n,
};

/** What storing an answer rejects with, where the sink does as `push` says. */
async function errorOf(push: () => Promise<PushOutcome>, { rateBytes = 0 }: { readonly rateBytes?: number } = {}): Promise<unknown> {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const limits = { ingestionRateBytesPerSecond: rateBytes, ingestionBurstBytes: rateBytes, ingestionBodyBytesMax: 0, profileSizeBytesMax: 0 };
  const rateLimit = new RateLimit({ limitsOf: () => limits }, { clock });
  rateLimit.take(ANONYMOUS, rateBytes);
  const store = storeAnswer({ limitsOf: () => limits }, { sink: { push }, gate: new PushGate({ clock, metrics }), rateLimit, counts: new PushCounts({ metrics }), discards: new Discards({ metrics }) });
  return store(ANSWER, new AbortController().signal).then(() => undefined, (error: unknown) => error);
}

describe("store answer", () => {
  it("what a rate limit refuses is certainly not stored, and it asks no store", async () => {
    const error = await errorOf(() => Promise.reject(new Error("asked")), { rateBytes: 2_000 });
    expect(error).instanceOf(NothingStored).include({ isAnswerAtFault: false });
    expect((error as NothingStored).reason.code).equal("RATE_LIMITED");
  });

  it("nor is what a node refuses that takes no writes, or is overloaded", async () => {
    for (const code of ["NOT_TAKING_WRITES", "OVERLOADED"]) expect(await errorOf(() => Promise.reject(unavailable(code, "not now")))).instanceOf(NothingStored);
  });

  it("of an answer that is no profile, that is what is at fault", async () => {
    const error = refusal("malformed_profile", "the body is no pprof");
    expect(await errorOf(() => Promise.resolve({ acceptedCount: 0, refused: [{ index: 0, error }] }))).instanceOf(NothingStored).include({ isAnswerAtFault: true, message: "the body is no pprof" });
  });

  // It was kept as what the next answer is compared with: that one could not be stored either, and the one after it was a first one.
  it("a gzip that was cut short is at fault as well, and so is all that its reader refuses", async () => {
    for (const code of ["PROFILE_EMPTY", "PROFILE_GZIP_BROKEN", "PROFILE_SAMPLE_LABELS_LIMIT", "PROFILE_TYPE_INVALID"]) {
      const error = invalidArgument(code, "it cannot be read");
      expect(await errorOf(() => Promise.resolve({ acceptedCount: 0, refused: [{ index: 0, error }] }))).instanceOf(NothingStored).include({ isAnswerAtFault: true });
    }
  });

  it("where stores were asked and too few answered, and of any other error, it does not say so", async () => {
    for (const error of [unavailable("NOT_ENOUGH_ACKS", "one of two"), unavailable("OUT_OF_CONTACT", "kept"), new CodedError({ code: "SERIES_LIMIT", kind: "resource_exhausted", message: "a part of it" }), new Error("bug")]) {
      expect(await errorOf(() => Promise.reject(error))).equal(error);
    }
  });
});
