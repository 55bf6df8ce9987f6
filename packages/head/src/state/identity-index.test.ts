import { expect } from "chai";
import fc from "fast-check";
import { makeRecord } from "../testing/fixtures.ts";
import { identityHash } from "./identity-hash.ts";
import { IdentityIndex } from "./identity-index.ts";
import { RecordTable } from "./record-table.ts";

describe("the index of identities", () => {
  it("finds what a map would find, whatever was added and removed", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ number: fc.nat(700), isAdded: fc.boolean() }), { maxLength: 1500, size: "medium" }), (steps) => {
        const table = new RecordTable();
        const index = new IdentityIndex(table);
        const held = new Map<number, number>();
        let seq = 1;
        for (const { number, isAdded } of steps) {
          const { identity } = makeRecord(number);
          const known = held.get(number);
          if (isAdded && known === undefined) {
            table.add(seq, { record: { ...makeRecord(number), identity }, place: { rank: 0, stores: [] }, entryBytes: 1, sum: 1, commit: 1 }, 1);
            index.add(identity, seq);
            held.set(number, seq++);
          } else if (!isAdded && known !== undefined) {
            index.remove(identityHash(identity), known);
            table.remove(table.at(known)!);
            held.delete(number);
          }
        }
        for (let number = 0; number <= 700; number++) expect(index.find(makeRecord(number).identity)).equal(held.get(number));
        expect([index.count, table.size]).deep.equal([held.size, held.size]);
      }),
    );
  });

  it("grows and shrinks with what it holds", () => {
    const table = new RecordTable();
    const index = new IdentityIndex(table);
    const count = 5000;
    for (let number = 0; number < count; number++) {
      const record = makeRecord(number);
      table.add(number + 1, { record, place: { rank: 0, stores: [] }, entryBytes: 1, sum: 1, commit: 1 }, 1);
      index.add(record.identity, number + 1);
    }
    for (let number = 0; number < count - 3; number++) {
      index.remove(table.at(number + 1)!.identityHash, number + 1);
      table.remove(table.at(number + 1)!);
    }
    for (let number = 0; number < count; number++) expect(index.find(makeRecord(number).identity)).equal(number < count - 3 ? undefined : number + 1);
    expect([...table.rows(0, count)].length).equal(3);
  });
});
