import { expect } from "chai";
import { isFirstMember } from "./founding.ts";
import type { FoundingFacts } from "./founding.ts";

describe("the first member of a cluster", () => {
  const FACTS: FoundingFacts = { isInit: false, founder: "other", wasMarked: false, hasJoins: true, hasData: false, bucketReplication: 0 };
  const is = (facts: Partial<FoundingFacts>): boolean => isFirstMember({ ...FACTS, ...facts });

  it("is who made the bucket's identity, also where a first start put the replication and ended before it was full", () => {
    expect(is({ founder: "self" })).equal(true);
    expect(is({ founder: "self", bucketReplication: 3 })).equal(true);
    expect(is({})).equal(false);
  });

  it("is not one that lost its state beside its data, where others keep records too: it would answer alone, without theirs", () => {
    expect(is({ founder: "self", hasData: true, bucketReplication: 3 })).equal(false);
    expect(is({ wasMarked: true, hasJoins: false, hasData: true, bucketReplication: 3 })).equal(false);
    expect(is({ founder: "unnamed", wasMarked: true, hasData: true, bucketReplication: 3 })).equal(false);
  });

  it("is a node that was alone with its bucket", () => {
    expect(is({ founder: "unnamed", wasMarked: true, hasData: true })).equal(true);
    expect(is({ wasMarked: true, hasJoins: false, hasData: true, bucketReplication: 1 })).equal(true);
    expect(is({ wasMarked: false, hasJoins: false }), "a fresh directory on a bucket of others").equal(false);
  });

  it("is whoever an operator says, and nobody before the identity was read", () => {
    expect(is({ isInit: true, bucketReplication: 3 })).equal(true);
    expect(is({ founder: undefined, wasMarked: true, hasJoins: false })).equal(false);
  });
});
