import { expect } from "chai";
import type { MemberTable } from "../table/member-table.ts";
import { news, openTable, persist, tell } from "../table/testing/tables.ts";
import { relayId } from "./heartbeats.ts";
import { rosterOf } from "./relay-roster.ts";

describe("the relay's roster", () => {
  /** Ids of the relay are the first 32 bits of store ids. */
  const storeNumber = (id: number): number => id * 2 ** 96;
  const vouchedIncarnation = (table: MemberTable, of: MemberTable): number | undefined => rosterOf(table, new Set()).find(({ id }) => id === relayId(of.own.storeId))?.vouchedIncarnation;

  it("nobody gives his word for a member before it is on disk that it is full: a restart would forget it", () => {
    const a = openTable("a", storeNumber(1), { isFounder: true });
    const b = openTable("b", storeNumber(2));
    tell(b, a);
    expect(vouchedIncarnation(a, b)).equal(undefined); // it is not full
    tell(a, b);
    expect(b.isFull).equal(true);
    a.merge(news([b.own]), 0);
    expect(a.isMemberFull("b")).equal(true);
    expect(vouchedIncarnation(a, b)).equal(-1);
    persist(a);
    expect(vouchedIncarnation(a, b)).equal(b.own.incarnation);
  });
});
