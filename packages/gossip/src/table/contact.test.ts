import { expect } from "chai";
import { Contact } from "./contact.ts";
import { Electorate } from "./majority.ts";
import { storeOf } from "./testing/tables.ts";

const stores = (count: number): string[] => Array.from({ length: count }, (_, i) => storeOf(i + 1));

describe("membership: contact", () => {
  it("counts from when the probe was sent, however late its answer is heard", () => {
    const contact = new Contact(5000);
    const three = new Electorate(stores(3), 0);
    contact.heard(storeOf(2), 1000);
    expect(contact.isInContact(three, storeOf(1), 6000)).equal(true);
    expect(contact.isInContact(three, storeOf(1), 6001)).equal(false);
    contact.heard(storeOf(2), 500);
    expect(contact.isInContact(three, storeOf(1), 6001)).equal(false);
  });

  it("of five needs two others, and holds as long as the older of their two answers", () => {
    const contact = new Contact(5000);
    const five = new Electorate(stores(5), 0);
    contact.heard(storeOf(2), 3000);
    expect(contact.isInContact(five, storeOf(1), 3000)).equal(false);
    contact.heard(storeOf(3), 1000);
    expect(contact.isInContact(five, storeOf(1), 6000)).equal(true);
    expect(contact.isInContact(five, storeOf(1), 6001)).equal(false);
  });

  it("who is not a voter itself needs a majority of the others", () => {
    const contact = new Contact(5000);
    const two = new Electorate([storeOf(2), storeOf(3)], 0);
    contact.heard(storeOf(2), 0);
    expect(contact.isInContact(two, storeOf(1), 0)).equal(false);
    contact.heard(storeOf(3), 0);
    expect(contact.isInContact(two, storeOf(1), 0)).equal(true);
  });

  it("is judged anew when others vote", () => {
    const contact = new Contact(5000);
    contact.heard(storeOf(2), 0);
    expect(contact.isInContact(new Electorate(stores(3), 0), storeOf(1), 0)).equal(true);
    contact.electorateChanged();
    expect(contact.isInContact(new Electorate(stores(3), 1), storeOf(1), 0)).equal(false);
  });

  it("alone is always in contact", () => {
    expect(new Contact(5000).isInContact(new Electorate(stores(1), 0), storeOf(1), 1e9)).equal(true);
  });
});

describe("membership: majority", () => {
  it("is more than half of the voters and of the silent ones", () => {
    const needed = (voters: number, silent: number): number => new Electorate(stores(voters), silent).needed;
    expect([needed(1, 0), needed(2, 0), needed(3, 0), needed(4, 0), needed(5, 0)]).deep.equal([1, 2, 2, 3, 3]);
    expect([needed(3, 1), needed(3, 2), needed(2, 1)]).deep.equal([3, 3, 2]);
    expect(new Electorate([], 0).isMajority(() => true)).equal(false);
  });

  // Two nodes that differ in one member still cannot both have a majority.
  it("of n members and of n + 1 always meet", () => {
    for (let n = 1; n < 50; n++) expect(new Electorate(stores(n), 0).needed + new Electorate(stores(n + 1), 0).needed).greaterThan(n + 1);
  });
});
