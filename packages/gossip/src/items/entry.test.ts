import { expect } from "chai";
import fc from "fast-check";
import { entryOf, lossOfStore, storeOf } from "../table/testing/tables.ts";
import { type Entry, faultOfEntry, joinEntries, NOBODY, STATUSES } from "./entry.ts";
import { joinLosses, type Loss } from "./losses.ts";
import { unionOf } from "./store-set.ts";

const storeSets = fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 4 }).map((numbers) => numbers.map(storeOf).sort());

/** One member's entries, of two stores. What a node says of itself depends on store and incarnation alone. */
const entries: fc.Arbitrary<Entry> = fc
  .record({
    store: fc.integer({ min: 1, max: 2 }),
    incarnation: fc.integer({ min: 0, max: 3 }),
    status: fc.constantFrom(...STATUSES),
    claimsFull: fc.boolean(),
    joins: fc.integer({ min: 1, max: 3 }),
    goneJoins: fc.integer({ min: 0, max: 1 }),
    acksHeld: fc.integer({ min: 1, max: 3 }),
    acknowledgedBy: storeSets,
  })
  .map(({ store, acknowledgedBy, ...rest }) => entryOf("a", store, { ...rest, acknowledgedBy: rest.claimsFull ? NOBODY : acknowledgedBy }));

const losses: fc.Arbitrary<Loss> = fc
  .record({
    incarnation: fc.integer({ min: 0, max: 2 }),
    acksHeld: fc.integer({ min: 1, max: 3 }),
    wasFull: fc.boolean(),
    goneJoins: fc.integer({ min: 0, max: 2 }),
    isCleared: fc.boolean(),
    fencedBy: storeSets,
    flushedBy: storeSets,
  })
  .map((rest) => lossOfStore("a", 1, rest.isCleared ? { ...rest, fencedBy: NOBODY, flushedBy: NOBODY } : rest));

/** A verdict of "gone" stays with its store, and a member's entry keeps one store: order matters only where two stores met in between. */
const ofOneStore = (list: readonly Entry[]): readonly Entry[] => list.map((entry) => ({ ...entry, storeId: storeOf(1) }));

describe("membership: entries", () => {
  it("are joined in any order, any number of times, with the same outcome", () => {
    fc.assert(
      fc.property(entries, entries, entries, (a, b, c) => {
        expect(joinEntries(a, b)).deep.equal(joinEntries(b, a));
        expect(joinEntries(a, a)).equal(a);
        expect(joinEntries(joinEntries(a, b), b)).deep.equal(joinEntries(a, b));
        const [x, y, z] = ofOneStore([a, b, c]) as [Entry, Entry, Entry];
        expect(joinEntries(joinEntries(x, y), z)).deep.equal(joinEntries(x, joinEntries(y, z)));
      }),
    );
  });

  it("are ordered by incarnation first, and at the same one by what is worse", () => {
    const alive = entryOf("a", 1, { incarnation: 2 });
    expect(joinEntries(alive, entryOf("a", 1, { incarnation: 1, status: "dead" }))).equal(alive);
    expect(joinEntries(alive, entryOf("a", 1, { incarnation: 2, status: "dead" })).status).equal("dead");
    expect(joinEntries(alive, entryOf("a", 2, { incarnation: 1, status: "left" }))).equal(alive);
  });

  it("keep that their store was forgotten at an older incarnation", () => {
    const forgotten = entryOf("a", 1, { incarnation: 1, status: "forgotten", goneJoins: 1 });
    expect(joinEntries(entryOf("a", 1, { incarnation: 5 }), forgotten)).include({ incarnation: 5, status: "alive", goneJoins: 1 });
  });

  it("are the same object where nothing is added: then nobody is told", () => {
    const a = entryOf("a", 1, { claimsFull: false, acknowledgedBy: [storeOf(2), storeOf(3)] });
    expect(joinEntries(a, { ...a, acknowledgedBy: [storeOf(3)] })).equal(a);
  });

  it("are refused with a reason where a field is out of its range", () => {
    const faults = (rest: object): string | undefined => faultOfEntry({ ...entryOf("a", 1), ...rest });
    expect(faults({})).equal(undefined);
    const bad: readonly object[] = [
      { name: "" },
      { name: "two words" },
      { name: "x".repeat(256) },
      { storeId: "xyz" },
      { bootId: "1" },
      { incarnation: -1 },
      { incarnation: 1.5 },
      { incarnation: 2 ** 48 + 1 },
      { status: "ghost" },
      { joins: 0 },
      { goneJoins: 2 },
      { acksHeld: 0 },
      { tokenCount: 0 },
      { tokenCount: 1_000_000 },
      { protocolMin: 2, protocolMax: 1 },
      { clusterAddress: "x".repeat(301) },
      { acknowledgedBy: [storeOf(1)] },
      { claimsFull: false, acknowledgedBy: [storeOf(2), storeOf(1)] },
      { claimsFull: false, acknowledgedBy: ["zz"] },
    ];
    for (const rest of bad) expect(faults(rest), JSON.stringify(rest)).a("string");
  });
});

describe("membership: losses", () => {
  it("are joined in any order, any number of times, with the same outcome", () => {
    fc.assert(
      fc.property(losses, losses, losses, (a, b, c) => {
        expect(joinLosses(a, b)).deep.equal(joinLosses(b, a));
        expect(joinLosses(a, a)).equal(a);
        expect(joinLosses(joinLosses(a, b), c)).deep.equal(joinLosses(a, joinLosses(b, c)));
      }),
    );
  });

  it("at a higher incarnation are not cleared by what was cleared before", () => {
    const cleared = lossOfStore("a", 1, { incarnation: 1, isCleared: true });
    expect(joinLosses(cleared, lossOfStore("a", 1, { incarnation: 2 }))).include({ incarnation: 2, isCleared: false });
  });
});

describe("membership: sets of stores", () => {
  it("a union holds both, sorted, and is the first where the second adds nothing", () => {
    fc.assert(
      fc.property(storeSets, storeSets, (a, b) => {
        const both = [...new Set([...a, ...b])].sort();
        expect(unionOf(a, b)).deep.equal(both);
        if (both.length === a.length) expect(unionOf(a, b)).equal(a);
      }),
    );
  });
});
