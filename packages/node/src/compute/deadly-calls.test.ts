import { expect } from "chai";
import { DeadlyCalls } from "./deadly-calls.ts";

describe("deadly calls", () => {
  it("one death makes a suspect, the second a refusal until so long after it", () => {
    const calls = new DeadlyCalls({ expiryMs: 1000 });
    expect([calls.isEmpty, calls.isSuspect("a", 0), calls.refusedForMs("a", 0)]).to.deep.equal([true, false, 0]);
    calls.note("a", 0);
    expect([calls.isEmpty, calls.isSuspect("a", 1), calls.refusedForMs("a", 1)]).to.deep.equal([false, true, 0]);
    calls.note("a", 400);
    expect(calls.refusedForMs("a", 500)).to.equal(900);
    expect(calls.refusedForMs("b", 500)).to.equal(0);
    expect(calls.refusedForMs("a", 1400)).to.equal(0);
    expect(calls.isEmpty).to.equal(true);
  });

  it("deaths that lie far apart do not add up, and a call that ended well is no suspect any more", () => {
    const calls = new DeadlyCalls({ expiryMs: 1000 });
    calls.note("a", 0);
    calls.note("a", 1000);
    expect(calls.refusedForMs("a", 1000)).to.equal(0);
    calls.clear("a");
    expect(calls.isSuspect("a", 1000)).to.equal(false);
  });

  it("at the bound the one whose last death is the longest ago is forgotten", () => {
    const calls = new DeadlyCalls({ countMax: 2 });
    for (const kind of ["a", "b", "a", "c"]) calls.note(kind, 0);
    expect(["a", "b", "c"].map((kind) => calls.isSuspect(kind, 0))).to.deep.equal([true, false, true]);
    expect(calls.refusedForMs("a", 0)).to.be.above(0);
  });
});
