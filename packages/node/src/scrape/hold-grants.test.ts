import { expect } from "chai";
import { GRANT_MS, HoldGrants } from "./hold-grants.ts";
import type { Asking } from "./hold-grants.ts";

const A = "a".repeat(32);
const B = "b".repeat(32);

describe("hold grants", () => {
  let serial = 0;
  /** The next request of the store. */
  const by = (storeId: string, bootId = "1"): Asking => ({ storeId, bootId, serial: ++serial });
  const started = (): HoldGrants => new HoldGrants(-GRANT_MS);

  it("a process that has just started grants nothing: the one before it may have granted anything", () => {
    const grants = new HoldGrants(0);
    expect(grants.grant(by(A), [1n], GRANT_MS - 1)).deep.equal([false]);
    expect(grants.grant(by(A), [1n], GRANT_MS)).deep.equal([true]);
  });

  it("a target is one store's until that one's grant has ended", () => {
    const grants = started();
    expect(grants.grant(by(A), [1n, 2n], 0)).deep.equal([true, true]);
    expect(grants.grant(by(B), [1n, 3n], GRANT_MS - 1)).deep.equal([false, true]);
    expect(grants.grant(by(A), [1n, 2n], GRANT_MS - 1)).deep.equal([true, true]);
    expect(grants.grant(by(B), [1n, 3n], 2 * GRANT_MS - 2)).deep.equal([false, true]);
    expect(grants.grant(by(B), [1n, 3n], 2 * GRANT_MS - 1)).deep.equal([true, true]);
    expect(grants.grant(by(A), [1n, 2n], 2 * GRANT_MS - 1)).deep.equal([false, true]);
  });

  it("what a store does not want any more is free at once", () => {
    const grants = started();
    grants.grant(by(A), [1n, 2n], 0);
    grants.grant(by(A), [2n], 1);
    expect(grants.grant(by(B), [1n, 2n], 1)).deep.equal([true, false]);
    grants.grant(by(A), [], 2);
    expect(grants.grant(by(B), [1n, 2n], 2)).deep.equal([true, true]);
  });

  it("a grant is unbroken since the request that began it, until another has the target or the store has given it back", () => {
    const grants = started();
    const asked = by(A);
    grants.grant(asked, [1n, 2n], 0);
    const unbroken = (targets: readonly bigint[], serial = asked.serial, bootId = "1"): boolean[] => grants.isUnbroken({ storeId: A, bootId, serial }, targets);
    expect(unbroken([1n, 2n, 3n])).deep.equal([true, true, false]);
    expect([unbroken([1n], asked.serial - 1), unbroken([1n], asked.serial, "2")], "not since before, nor of another process").deep.equal([[false], [false]]);
    expect(unbroken([1n]), "also where it has ended and nobody came").deep.equal([true]);
    grants.grant(by(A), [1n], 3 * GRANT_MS);
    expect(unbroken([1n, 2n])).deep.equal([true, false]);
    grants.grant(by(B), [1n], 5 * GRANT_MS);
    const again = by(A);
    expect(grants.grant(again, [1n], 7 * GRANT_MS)).deep.equal([true]);
    expect([unbroken([1n]), unbroken([1n], again.serial)]).deep.equal([[false], [true]]);
  });

  it("a store gives back only what is its own", () => {
    const grants = started();
    grants.grant(by(A), [1n], 0);
    expect(grants.grant(by(B), [1n], GRANT_MS)).deep.equal([true]);
    grants.grant(by(A), [], GRANT_MS);
    expect(grants.grant(by(A), [1n], GRANT_MS)).deep.equal([false]);
  });

  it("a request that was overtaken frees and gets nothing", () => {
    const grants = started();
    grants.grant(by(A), [1n], 0);
    const overtaken = by(A);
    const newest = by(A);
    expect(grants.grant(newest, [1n], 2)).deep.equal([true]);
    expect(grants.grant(overtaken, [2n], 3)).deep.equal([false]);
    expect(grants.grant(newest, [2n], 3), "nor one that comes twice").deep.equal([false]);
    expect(grants.grant(by(B), [1n, 2n], 4)).deep.equal([false, true]);
  });

  it("the serials of another process begin again", () => {
    const grants = started();
    grants.grant({ ...by(A), serial: 50 }, [1n], 0);
    expect(grants.grant({ ...by(A, "2"), serial: 1 }, [2n], 1)).deep.equal([true]);
    expect(grants.grant(by(B), [1n, 2n], 2)).deep.equal([true, false]);
  });
});
