import type { ClusterView, LostStore, Member } from "@pyromesh/ring";
import { expect } from "chai";
import { FakeClusterWorld } from "../../testing/fake-cluster.ts";
import { SeededWorld } from "../../testing/seeded-world.ts";
import { judge } from "./completeness.ts";

const world = new FakeClusterWorld(["a", "b", "c"], { clock: new SeededWorld(1).clock });
const storeOf = (name: string): string => world.storeIdOf(name);
const lost = (storeId: string, isCleared: boolean): LostStore => ({ member: "x", storeId, incarnation: 1, acksHeld: 2, isCleared, isReplaced: false, fencedBy: [], flushedBy: [] });

function judged(answered: readonly string[], change: Partial<ClusterView> = {}, { isMajority = true, quarantined = [] as readonly string[], becauseOf = new Map<string, string>() } = {}): readonly string[] {
  const view = { ...world.of("a").view, ...change };
  const answers = answered.map((name) => ({ storeId: name.length === 1 ? storeOf(name) : name, quarantines: quarantined.includes(name) ? ["quarantine 1: a gap"] : [] }));
  const { isComplete, missing } = judge(view, answers, { becauseOf, isMajority: () => isMajority });
  expect(isComplete).equal(missing.length === 0);
  return missing;
}

const dead = (name: string): readonly Member[] => world.of("a").view.members.map((member) => (member.name === name ? { ...member, state: "dead" } : member));

describe("completeness", () => {
  it("one of three may fail at two acks, two may not", () => {
    expect(judged(["a", "b", "c"])).deep.equal([]);
    expect(judged(["a", "b"])).deep.equal([]);
    expect(judged(["a"])).to.have.lengthOf(2);
  });

  it("none may fail at one ack", () => {
    expect(judged(["a", "b", "c"], { acksMin: 1 })).deep.equal([]);
    expect(judged(["a", "b"], { acksMin: 1 }, { becauseOf: new Map([["c", "the link closed"]]) })).deep.equal([`node c (store ${storeOf("c").slice(0, 8)}) did not answer: the link closed`]);
  });

  it("a store that answered under another id than the view has does not stand for the member's", () => {
    expect(judged(["a", "b", "ff".repeat(16)], { acksMin: 1 })[0]).contain("node c");
  });

  it("a dead member's store counts as failed until its loss is cleared", () => {
    expect(judged(["a", "b"], { acksMin: 1, members: dead("c"), lostStores: [lost(storeOf("c"), false)] })[0]).contain("it is dead");
    expect(judged(["a", "b"], { acksMin: 1, members: dead("c"), lostStores: [lost(storeOf("c"), true)] })).deep.equal([]);
    expect(judged(["a", "b"], { acksMin: 1, members: dead("c") })).to.have.lengthOf(1);
  });

  it("a lost store that is no member's counts once, and one that answered does not", () => {
    const other = "dd".repeat(16);
    expect(judged(["a", "b", "c"], { acksMin: 1, lostStores: [lost(other, false)] })[0]).contain("not cleared");
    expect(judged(["a", "b", "c", other], { acksMin: 1, lostStores: [lost(other, false)] })).deep.equal([]);
    expect(judged(["a", "b"], { acksMin: 2, lostStores: [lost(storeOf("c"), false)] })).deep.equal([]);
  });

  it("a store with a quarantine failed", () => {
    expect(judged(["a", "b", "c"], {}, { quarantined: ["b"] })).deep.equal([]);
    expect(judged(["a", "b"], {}, { quarantined: ["b"] })).to.have.lengthOf(2);
    expect(judged(["a", "b", "c"], { acksMin: 1 }, { quarantined: ["b"] })[0]).contain("quarantine 1: a gap");
  });

  it("answers must come from a majority", () => {
    expect(judged(["a", "b", "c"], {}, { isMajority: false })).deep.equal(["3 stores have answered, which is no majority of the full members"]);
    expect(judged(["a"], { acksMin: 3 }, { isMajority: false }).at(-1)).contain("one store has answered");
  });
});
