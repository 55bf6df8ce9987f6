import { FORMATS, type FormatSupport, type MemberFormats } from "@pyromesh/ring";
import { expect } from "chai";
import type { MemberTable } from "../table/member-table.ts";
import { RULES } from "../table/rules.ts";
import { converge, entryOf, openCluster, openTable, ownEntry, persist, tell } from "../table/testing/tables.ts";
import { announced, type AnnouncedFormats, faultOfFormats, formatsOf, joinPromises } from "./announced-formats.ts";
import { joinEntries } from "./entry.ts";

/** Of a build that reads records up to `reads`, and version 1 of all else. */
const formats = (reads: number, promised = 1): MemberFormats => FORMATS.map((_, at): FormatSupport => ({ writesFrom: 1, reads: at === 0 ? reads : 1, promised: at === 0 ? promised : 1 }));
const self = (name: string, store: number, reads: number, promised = 1) => ({ ...ownEntry(name, store), ...announced(formats(reads, promised)) });

function promise(table: MemberTable, version: number): void {
  table.promise(formats(version, version), 0);
  persist(table);
}

describe("membership: announced formats", () => {
  it("are read as they were written", () => {
    expect(formatsOf(announced(formats(3, 2)))).to.deep.equal(formats(3, 2));
  });

  it("none: a build from before they were announced, which reads what there was then", () => {
    expect(formatsOf({ formats: "", promises: "" }).map(({ reads }) => reads)).to.deep.equal([2, 2, 3, 1, 1]);
  });

  it("those of a later build that are not known here are kept, and passed on", () => {
    const later: AnnouncedFormats = { formats: `${announced(formats(2)).formats}0007`, promises: `${announced(formats(2)).promises}05` };
    const table = openTable("a", 1, { isFounder: true });
    table.merge({ isWhole: true, entries: [entryOf("b", 2, later)], losses: [] }, 0);
    expect(table.entry("b")).to.deep.include(later);
  });

  it("malformed ones are refused", () => {
    const { promises } = announced(formats(2));
    for (const [bad, words] of [
      [{ formats: "01", promises: "" }, /no list/],
      [{ formats: "0102".repeat(33), promises: "" }, /no list/],
      [{ formats: "", promises }, /announces none/],
      [{ formats: "0201", promises: "" }, /writes a version .* that it does not read/],
      [{ formats: "0102", promises: "03" }, /promised a version .* that it does not read/],
      [{ formats: "0102", promises: "0101" }, /more formats/],
    ] as const) {
      expect(faultOfFormats(bad)).to.match(words);
    }
    expect(faultOfFormats(announced(formats(2)))).to.equal(undefined);
  });

  it("promises are joined by the higher of each, whoever says less, and stay with the store", () => {
    expect([joinPromises("0102", "0201"), joinPromises("", "01"), joinPromises("0101", "")]).to.deep.equal(["0202", "01", "0101"]);
    const [low, high] = [announced(formats(2, 1)), announced(formats(2, 2))];
    expect(joinEntries(entryOf("b", 2, { incarnation: 5, ...low }), entryOf("b", 2, { incarnation: 4, ...high })).promises).to.equal(high.promises);
    expect(joinEntries(entryOf("b", 3, { incarnation: 5, ...low }), entryOf("b", 2, { incarnation: 4, ...high })).promises).to.equal(low.promises);
  });

  it("an entry that an earlier build passed on has none, and takes none away", () => {
    const known = entryOf("b", 2, announced(formats(2, 2)));
    const passedOn = entryOf("b", 2, { formats: "", promises: "" });
    expect(joinEntries(known, passedOn)).to.equal(known);
    expect(joinEntries(passedOn, known)).to.deep.equal(known);
  });
});

describe("membership: promises", () => {
  it("are on disk before they are told, and outlast a restart", () => {
    const [a, b] = openCluster(2, {}) as [MemberTable, MemberTable];
    const table = openTable("x", 9, { isFounder: true, self: self("x", 9, 2) });
    table.promise(formats(2, 2), 0);
    expect(table.persistedVersion).to.be.lessThan(table.persistVersion);
    persist(table);
    expect(formatsOf(openTable("x", 9, { self: self("x", 9, 2), restored: table.state }).own)[0]).to.deep.include({ promised: 2 });
    expect([a, b].every(({ isFull }) => isFull)).to.equal(true);
  });

  it("travel in whole messages alone: who counts one knows all that the promiser knew", () => {
    const a = openTable("a", 1, { isFounder: true, self: self("a", 1, 2) });
    const { news, isExchangeDue } = a.promise(formats(2, 2), 0);
    expect(isExchangeDue).to.equal(true);
    expect(news.entries.map(({ promises }) => promises)).to.deep.equal([""]);
  });

  it("are made by full members only", () => {
    const table = openTable("b", 2, { self: self("b", 2, 2) });
    table.promise(formats(2, 2), 0);
    expect(formatsOf(table.own)[0]!.promised).to.equal(1);
  });

  it("whoever reads less than was promised is not acknowledged, and joins nobody; without the rule it would", () => {
    for (const isOn of [true, false]) {
      const rules = isOn ? {} : { rules: { ...RULES, mayAcknowledge: () => true } };
      const founder = openTable("a", 1, { isFounder: true, self: self("a", 1, 2), ...rules });
      founder.noteBucketReplication(1, 0);
      promise(founder, 2);
      const older = openTable("old", 2, { self: self("old", 2, 1), ...rules });
      for (let round = 0; round < 3; round++) {
        tell(older, founder);
        tell(founder, older);
      }
      expect(older.isFull).to.equal(!isOn);
      expect(founder.formatsApart({ name: "old", storeId: older.own.storeId, formats: formats(1) })).to.match(/^reads record up to version 1, and version 2 /);
    }
  });

  it("one that was acknowledged before holds the promise back, dead too, until it is forgotten", () => {
    const tables = [openTable("a", 1, { isFounder: true, self: self("a", 1, 2) }), openTable("b", 2, { self: self("b", 2, 2) }), openTable("old", 3, { self: self("old", 3, 1) })];
    for (const table of tables) table.noteBucketReplication(3, 0);
    converge(tables);
    converge(tables);
    expect(tables.map(({ isFull }) => isFull)).to.deep.equal([true, true, true]);
    tables[0]!.declareDead("old", 0);
    const newer = { name: "new", storeId: "0e".repeat(16), formats: formats(3, 2) };
    expect(tables[0]!.formatsApart(newer)).to.match(/^writes record of version 2 or may have, and not every other member reads more than version 1/);
    // A full member is upgraded already, with all others: this node was cut off meanwhile, and would learn of it from nobody.
    expect(tables[0]!.formatsApart({ ...newer, name: "b" })).to.match(/^writes record of version 2/);
    expect(tables[0]!.formatsApart({ ...newer, name: "b", storeId: tables[1]!.own.storeId })).to.equal(undefined);
  });
});
