import { expect } from "chai";
import { CONCURRENCY_MAX, isOutage, isRefusalOfOneTenant, planUploads, SLOW_AFTER_MS, TENANT_CONCURRENCY_MAX } from "./upload-plan.ts";
import type { UploadPlan, UploadQueueView } from "./upload-plan.ts";

const NOW_MS = 100_000;
/** `id` is the tenant, then a number. */
const queue = (id: string, changes: Partial<UploadQueueView> = {}): UploadQueueView => ({ id, tenant: id[0]!, busyForMs: undefined, retryAtMs: 0, isAsked: false, triedAtMs: -1, isFailing: false, ...changes });
const failed = (id: string, changes: Partial<UploadQueueView> = {}): UploadQueueView => queue(id, { isFailing: true, retryAtMs: NOW_MS + 700, triedAtMs: NOW_MS - 100, ...changes });
const plan = (queues: readonly UploadQueueView[], outageRetryAtMs = 0): UploadPlan => planUploads({ nowMs: NOW_MS, queues, outageRetryAtMs });

describe("upload plan", () => {
  it("several uploads run at once, not all of them of one tenant, and no queue twice", () => {
    const queues = ["a1", "a2", "a3", "a4", "b1", "b2"].map((id) => queue(id));
    expect(plan(queues).startIds).deep.equal(["a1", "a2", "a3", "b1"]);
    expect(plan(queues).startIds).length(CONCURRENCY_MAX);
    expect(plan(["a1", "a2", "a3", "a4"].map((id) => queue(id))).startIds).length(TENANT_CONCURRENCY_MAX);
    expect(plan([queue("a1", { busyForMs: 5 })])).deep.equal({ startIds: [], wakeAtMs: NOW_MS - 5 + SLOW_AFTER_MS });
  });

  it("a queue that failed waits by itself; the one tried longest ago comes first", () => {
    expect(plan([failed("a1"), queue("a2"), queue("b1")])).deep.equal({ startIds: ["a2", "b1"], wakeAtMs: NOW_MS + 700 });
    expect(plan([queue("a1", { triedAtMs: 9 }), queue("a2", { triedAtMs: 7 })]).startIds).deep.equal(["a2", "a1"]);
    expect(plan([failed("a1", { retryAtMs: NOW_MS })]).startIds).deep.equal(["a1"]);
  });

  it("one that is asked for is tried before its pause has ended", () => {
    expect(plan([failed("a1", { isAsked: true })]).startIds).deep.equal(["a1"]);
  });

  it("puts that hang free their places after 10 s, up to a bound", () => {
    const hanging = (busyForMs: number): UploadQueueView[] => ["a1", "a2", "a3"].map((id) => queue(id, { busyForMs }));
    expect(plan([...hanging(100), queue("a4"), queue("b1")]).startIds).deep.equal(["b1"]);
    expect(plan([...hanging(SLOW_AFTER_MS), queue("a4"), queue("b1")]).startIds).deep.equal(["a4", "b1"]);
    const many = Array.from({ length: 40 }, (_, number) => queue(`a${number}`, { busyForMs: number < 6 ? SLOW_AFTER_MS : undefined }));
    expect(plan(many).startIds, "of one tenant no more").deep.equal([]);
    expect(plan([...many, queue("b1")]).startIds).deep.equal(["b1"]);
  });

  describe("an outage", () => {
    it("is two queues that failed without a success since, of every tenant that waits", () => {
      expect(isOutage([failed("a1")])).equal(false);
      expect(isOutage([failed("a1"), failed("a2"), queue("a3")])).equal(true);
      expect(isOutage([failed("a1"), failed("a2"), queue("b1")]), "b was not asked").equal(false);
      expect(isOutage([failed("a1"), failed("b1"), queue("b2")])).equal(true);
      expect(isOutage([failed("a1"), failed("b1"), failed("c1"), queue("d1")]), "three tenants").equal(true);
    });

    it("is asked for one try at a time, when its pause has ended, whatever the queues' own pauses", () => {
      const queues = [failed("a1", { triedAtMs: 50 }), failed("a2", { triedAtMs: 40 }), queue("a3")];
      expect(plan(queues, NOW_MS + 300)).deep.equal({ startIds: [], wakeAtMs: NOW_MS + 300 });
      expect(plan(queues, NOW_MS).startIds).deep.equal(["a3"]);
      expect(plan([...queues, queue("a4", { busyForMs: 3 })], NOW_MS).startIds, "one is under way").deep.equal([]);
      expect(plan([...queues, queue("a4", { busyForMs: SLOW_AFTER_MS })], NOW_MS).startIds, "it hangs").deep.equal(["a3"]);
    });

    it("tries one upload where every queue was asked for one", () => {
      expect(plan([failed("a1", { isAsked: true }), failed("a2", { isAsked: true }), queue("a3", { isAsked: true })], NOW_MS + 300).startIds).deep.equal(["a3"]);
    });

    it("was none where another tenant's upload succeeds that never failed, and all that fail are one tenant's", () => {
      const ofOne = [failed("a1"), failed("a2"), queue("b1")];
      expect(isRefusalOfOneTenant(ofOne, queue("b1"))).equal(true);
      expect(isRefusalOfOneTenant(ofOne, queue("a3")), "of the tenant itself").equal(false);
      expect(isRefusalOfOneTenant([...ofOne, failed("b2")], queue("b1")), "of two tenants").equal(false);
      expect(isRefusalOfOneTenant([failed("a1"), failed("b1")], failed("b1")), "it failed as well").equal(false);
      expect(isRefusalOfOneTenant([queue("a1")], queue("b1")), "none fails").equal(false);
    });

    it("tries the tenant that was tried longest ago, so that one whose prefix is refused does not prolong it", () => {
      const queues = [failed("a1"), failed("a2", { triedAtMs: 10 }), failed("b1", { triedAtMs: NOW_MS - 500 }), failed("c1", { triedAtMs: NOW_MS - 300 }), queue("a3")];
      expect(plan(queues, NOW_MS).startIds).deep.equal(["b1"]);
    });
  });
});
