import { expect } from "chai";
import { planTakeover } from "./takeover-plan.ts";
import type { FlusherStatus } from "./takeover-plan.ts";

const SEGMENT = { kind: "segment" } as FlusherStatus; // the plan asks nothing else of it
const GONE: FlusherStatus = { kind: "gone" };
const HELD: FlusherStatus = { kind: "held" };
const UNKNOWN: FlusherStatus = { kind: "unknown" };

/** What the store of this rank does, past the due time at 100, when those below it say this. */
function step(rank: number, said: readonly FlusherStatus[], nowMs = 150): string {
  const planned = planTakeover({ rank, dueAtMs: 100 }, said, { nowMs, dueAfterMs: 100 });
  return planned.kind === "take" ? `take: ${planned.reason}` : "wait";
}

describe("takeover plan", () => {
  it("while rank 0 flushes the record, has flushed it, or does not answer, every rank waits", () => {
    for (const status of [{ kind: "buffered" }, { kind: "silent" }, SEGMENT] as const) expect([step(1, [status]), step(2, [status, UNKNOWN])]).deep.equal(["wait", "wait"]);
  });

  it("a record that rank 0 does not flush is the next rank's that has it", () => {
    for (const status of [UNKNOWN, HELD]) expect([step(1, [status]), step(2, [status, HELD]), step(2, [status, GONE])]).deep.equal(["take: unknown", "wait", "take: unknown"]);
    expect([step(1, [GONE]), step(2, [GONE, HELD]), step(2, [GONE, GONE])]).deep.equal(["take: gone", "wait", "take: gone"]);
  });

  // The disk of rank 0 was replaced, and rank 1 was not reached by the push: its member lives, and rank 2 waited for it for three due times, and POST /flush in vain.
  it("a rank that lives and never had the record is not waited for", () => {
    expect([step(2, [GONE, UNKNOWN]), step(3, [GONE, UNKNOWN, HELD]), step(3, [GONE, UNKNOWN, UNKNOWN])]).deep.equal(["take: gone", "wait", "take: gone"]);
  });

  it("a lower rank that does not answer, or has flushed the record, is waited for", () => {
    for (const status of [{ kind: "silent" }, SEGMENT] as const) expect(step(2, [GONE, status])).equal("wait");
    expect(step(2, [GONE]), "nothing is known of rank 1").equal("wait");
  });

  it("three due times after it came rank 1 takes it, whatever it hears, and one due time later rank 2", () => {
    for (const status of [{ kind: "buffered" }, { kind: "silent" }, GONE, SEGMENT] as const) {
      expect([299, 300].map((nowMs) => step(1, [status], nowMs).endsWith("late"))).deep.equal([false, true]);
      expect([399, 400].map((nowMs) => step(2, [status, HELD], nowMs))).deep.equal(["wait", "take: late"]);
    }
  });
});
