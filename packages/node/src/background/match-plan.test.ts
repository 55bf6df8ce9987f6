import { expect } from "chai";
import { planMatches } from "./match-plan.ts";

const object = (key: string, changes: object = {}): { key: string; isMatched: boolean; isBeingRead: boolean; retryAtMs: number } => ({ key, isMatched: false, isBeingRead: false, retryAtMs: 0, ...changes });

describe("match plan", () => {
  it("reads what is not matched, in order, two at a time", () => {
    const objects = [object("a", { isMatched: true }), object("b"), object("c"), object("d")];
    expect(planMatches({ nowMs: 0, objects, readingCount: 0 })).deep.equal({ keys: ["b", "c"], wakeAtMs: undefined });
    expect(planMatches({ nowMs: 0, objects: [object("b", { isBeingRead: true }), object("c")], readingCount: 1 }).keys).deep.equal(["c"]);
    expect(planMatches({ nowMs: 0, objects, readingCount: 2 }).keys).deep.equal([]);
  });

  it("one that could not be read waits for its time and holds up no other", () => {
    const objects = [object("a", { retryAtMs: 50 }), object("b", { retryAtMs: 30 }), object("c")];
    expect(planMatches({ nowMs: 10, objects, readingCount: 0 })).deep.equal({ keys: ["c"], wakeAtMs: 30 });
    expect(planMatches({ nowMs: 50, objects, readingCount: 0 })).deep.equal({ keys: ["a", "b"], wakeAtMs: undefined });
  });
});
