import { expect } from "chai";
import { planRestart, recentDeaths } from "./worker-restart.ts";

describe("worker restart", () => {
  it("the first death is followed by a start at once, later ones by pauses that double", () => {
    const deaths: number[] = [];
    const delays = Array.from({ length: 5 }, (_, index) => {
      deaths.push(1000 + index);
      const plan = planRestart(deaths);
      return plan.kind === "start" ? plan.delayMs : NaN;
    });
    expect(delays).to.deep.equal([0, 100, 200, 400, 800]);
  });

  it("the sixth within a minute is the last; deaths that lie further apart never are", () => {
    expect(planRestart([0, 10, 20, 30, 40, 59_999])).to.deep.equal({ kind: "give-up" });
    expect(planRestart([0, 10, 20, 30, 40, 60_000])).to.deep.equal({ kind: "start", delayMs: 800 });
    let deaths: number[] = [];
    for (let nowMs = 0; nowMs < 100 * 15_000; nowMs += 15_000) {
      deaths = [...recentDeaths(deaths, nowMs), nowMs];
      expect(planRestart(deaths).kind).to.equal("start");
      expect(deaths.length).to.be.at.most(4);
    }
  });
});
