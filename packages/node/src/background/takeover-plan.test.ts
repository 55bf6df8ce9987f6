import { expect } from "chai";
import { planTakeover } from "./takeover-plan.ts";
import type { FlusherStatus, OverdueRecord } from "./takeover-plan.ts";

const STORES = ["a", "b", "c"];
const SEGMENT = { kind: "segment" } as FlusherStatus; // the plan asks nothing else of it
const record = (rank: number): OverdueRecord => ({ rank, stores: STORES, dueAtMs: 100 });

function step(rank: number, status: FlusherStatus, { nowMs = 150, live = STORES }: { readonly nowMs?: number; readonly live?: readonly string[] } = {}): string {
  const planned = planTakeover(record(rank), status, { nowMs, dueAfterMs: 100, isLive: (storeId) => live.includes(storeId) });
  return planned.kind === "take" ? `take: ${planned.reason}` : "wait";
}

describe("takeover plan", () => {
  it("while rank 0 flushes the record, has flushed it, or does not answer, every rank waits", () => {
    for (const status of [{ kind: "buffered" }, { kind: "silent" }, SEGMENT] as const) for (const rank of [1, 2]) expect(step(rank, status)).equal("wait");
  });

  it("a record that rank 0 does not flush is the next live rank's", () => {
    for (const kind of ["unknown", "held"] as const) {
      expect([step(1, { kind }), step(2, { kind }), step(2, { kind }, { live: ["a", "c"] })]).deep.equal(["take: unknown", "wait", "take: unknown"]);
    }
    expect([step(1, { kind: "gone" }, { live: ["b", "c"] }), step(2, { kind: "gone" }, { live: ["b", "c"] }), step(2, { kind: "gone" }, { live: ["c"] })]).deep.equal(["take: gone", "wait", "take: gone"]);
  });

  it("three due times after it came rank 1 takes it, whatever it hears, and one due time later rank 2", () => {
    for (const status of [{ kind: "buffered" }, { kind: "silent" }, { kind: "gone" }, SEGMENT] as const) {
      expect([299, 300].map((nowMs) => step(1, status, { nowMs }).endsWith("late"))).deep.equal([false, true]);
      expect([399, 400].map((nowMs) => step(2, status, { nowMs }))).deep.equal(["wait", "take: late"]);
    }
  });
});
