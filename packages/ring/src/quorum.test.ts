import { expect } from "chai";
import { majorityOf } from "./quorum.ts";

describe("quorum", () => {
  it("any two majorities of a set share a member", () => {
    for (let count = 1; count <= 20; count++) {
      expect(2 * majorityOf(count)).to.be.greaterThan(count);
      expect(majorityOf(count)).to.be.at.most(count);
    }
  });

  it("a set of none has no majority", () => {
    expect(majorityOf(0)).to.be.greaterThan(0);
  });
});
