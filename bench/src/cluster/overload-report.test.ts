import { expect } from "chai";
import type { LoadFigures, OverloadFigures } from "./overload.ts";
import { overloadRows } from "./overload-report.ts";

const QUICK = { p50Ms: 10, p99Ms: 900, maxMs: 1_500 };
const LOAD: LoadFigures = {
  offeredPerSecond: 300,
  acceptedPerSecond: 80,
  answers: new Map([[200, 80], [503, 220]]),
  refusals: new Map(),
  untimedCount: 0,
  accepted: QUICK,
  refused: QUICK,
  acceptedSinceDueP99Ms: 950,
  generatorLate: { p50Ms: 1, p99Ms: 50, maxMs: 100 },
  generatorCores: 0.2,
  allCores: 2,
};
const MET: OverloadFigures = {
  basePerSecond: 100,
  overload: LOAD,
  paused: undefined,
  queries: { sentCount: 10, answers: new Map([[200, 9], [503, 1]]), p50Ms: 100, maxMs: 2_000, untimedCount: 0, texts: [] },
  deaths: 0,
  residentMb: [400, 500, 450],
  unsureCount: 0,
  sumCount: 7_000,
  mismatches: [],
};

function failedOf(figures: Partial<OverloadFigures>): string[] {
  return overloadRows({ ...MET, ...figures }, { memoryMb: 512, isOnePaused: false }).flatMap(({ name, isMet }) => (isMet ? [] : [name]));
}

describe("bench cluster overload: the report", () => {
  it("every goal is met by figures at their bounds, and each is failed by one beyond it", () => {
    expect(failedOf({})).to.deep.equal([]);
    expect(failedOf({ basePerSecond: 101 })).to.deep.equal(["accepted, of the base"]);
    expect(failedOf({ overload: { ...LOAD, accepted: { ...QUICK, p99Ms: 1_001 } } })).to.deep.equal(["p99 of what was accepted"]);
    expect(failedOf({ residentMb: [400, 513, 450] })).to.deep.equal(["resident memory, each node"]);
    expect(failedOf({ deaths: 1 })).to.deep.equal(["members declared dead"]);
    expect(failedOf({ mismatches: ["x should be 5, is 4 (lost)"] })).to.deep.equal(["lost or doubled"]);
    expect(failedOf({ overload: { ...LOAD, untimedCount: 1 } })).to.deep.equal(["refusals with Retry-After"]);
    expect(failedOf({ overload: { ...LOAD, generatorLate: QUICK } })).to.deep.equal(["generator late"]);
    expect(failedOf({ queries: { ...MET.queries, answers: new Map([[0, 1]]) } })).to.deep.equal(["queries"]);
  });

  it("a member that was stopped must have been declared dead: else the count of deaths counts nothing", () => {
    const deathRow = (deaths: number): boolean => overloadRows({ ...MET, deaths }, { memoryMb: 512, isOnePaused: true }).find(({ name }) => name === "members declared dead")!.isMet;
    expect([deathRow(0), deathRow(2)]).to.deep.equal([false, true]);
  });

  it("figures that are no numbers are no pass: nothing was accepted, or nothing was compared", () => {
    const none = { p50Ms: NaN, p99Ms: NaN, maxMs: NaN };
    expect(failedOf({ overload: { ...LOAD, acceptedPerSecond: 0, accepted: none }, sumCount: 0 })).to.deep.equal(["accepted, of the base", "p99 of what was accepted", "lost or doubled"]);
  });
});
