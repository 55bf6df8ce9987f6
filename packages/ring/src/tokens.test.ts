import { expect } from "chai";
import { tokensOf } from "./tokens.ts";

describe("tokens", () => {
  it("follow from name and zone: golden values, computed by another program", () => {
    expect([...tokensOf("a", "", 9)]).to.deep.equal([579666142, 3134520101, 2848823802, 842472619, 751461744, 1994782379, 3056743846, 2614057064, 3479018468]);
    expect([...tokensOf("node-1:7946", "eu-1", 3)]).to.deep.equal([96834877, 2614855888, 1362544920]);
  });

  it("a member with more tokens has those of one with fewer", () => {
    expect([...tokensOf("a", "z", 512).subarray(0, 128)]).to.deep.equal([...tokensOf("a", "z", 128)]);
  });

  it("the zone is part of the derivation, and name and zone do not run into each other", () => {
    expect([...tokensOf("a", "b", 8)]).to.not.deep.equal([...tokensOf("a", "", 8)]);
    expect([...tokensOf("ab", "", 8)]).to.not.deep.equal([...tokensOf("a", "b", 8)]);
  });

  it("of 2,000 names no two share more than a token", () => {
    const owners = new Map<number, number>();
    const shared = new Map<string, number>();
    for (let name = 0; name < 2000; name++) {
      for (const token of tokensOf(`m${name}`, "", 128)) {
        const other = owners.get(token);
        if (other !== undefined) shared.set(`${other}/${name}`, (shared.get(`${other}/${name}`) ?? 0) + 1);
        owners.set(token, name);
      }
    }
    expect(Math.max(0, ...shared.values())).to.be.at.most(1);
  });
});
