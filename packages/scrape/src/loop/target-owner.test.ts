import { expect } from "chai";
import fc from "fast-check";
import { TargetOwners } from "./target-owner.ts";

describe("target owner", () => {
  const ownerOf = (key: string, names: readonly string[]): string | undefined => names[new TargetOwners(names).indexOf(key)];
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 12 });
  const keys = fc.array(fc.string({ maxLength: 40 }), { maxLength: 60 });

  it("a member that goes moves its own targets and no others", () => {
    fc.assert(
      fc.property(names, keys, fc.nat(), (all, targets, at) => {
        const gone = all[at % all.length]!;
        const rest = all.filter((name) => name !== gone);
        for (const key of targets) if (ownerOf(key, all) !== gone) expect(ownerOf(key, rest)).equal(ownerOf(key, all));
      }),
    );
  });

  it("the order in which members are listed says nothing", () => {
    fc.assert(fc.property(names, keys, (all, targets) => targets.forEach((key) => expect(ownerOf(key, [...all].reverse())).equal(ownerOf(key, all)))));
  });

  it("each of five members has its fifth of 5,000 targets, within a tenth", () => {
    const members = ["a", "b", "c", "d", "e"];
    const counts = new Map<string, number>();
    for (let i = 0; i < 5_000; i++) {
      const owner = ownerOf(`job http://10.0.0.${i % 250}:6060/debug/pprof/heap ${i}`, members)!;
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    for (const name of members) expect(counts.get(name)).within(900, 1_100);
  });

  it("without members there is no owner", () => {
    expect(new TargetOwners([]).indexOf("x")).equal(-1);
  });
});
