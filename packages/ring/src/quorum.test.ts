import { expect } from "chai";
import { majorityOf, toleratedFailures } from "./quorum.ts";

describe("quorum", () => {
  it("any two majorities of a set share a member", () => {
    for (let count = 1; count <= 20; count++) {
      expect(2 * majorityOf(count)).to.be.greaterThan(count);
      expect(majorityOf(count)).to.be.at.most(count);
    }
  });

  it("what may fail and the majority are the whole set", () => {
    expect([0, 1, 2, 3, 4, 5].map(toleratedFailures)).to.deep.equal([0, 0, 0, 1, 1, 2]);
  });

  it("a set of none has no majority", () => {
    expect(majorityOf(0)).to.be.greaterThan(0);
  });
});
