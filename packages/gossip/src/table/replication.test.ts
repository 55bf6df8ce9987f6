import { expect } from "chai";
import { acksOf, Replication } from "./replication.ts";
import { RULES } from "./rules.ts";

const { mayRise } = RULES;
const open = (rest: object = {}): Replication => new Replication({ configured: 3, joinAddressCount: 1, declared: undefined, bucket: 1, held: Infinity, ...rest });
const refusalOf = (replication: Replication, memberCount: number): string | undefined => replication.refusal(replication.ofPush(memberCount, memberCount));

describe("membership: replication", () => {
  it("acks are the majority", () => {
    expect([1, 2, 3, 4, 5].map(acksOf)).deep.equal([1, 2, 2, 3, 3]);
  });

  it("is what is configured, as far as there are members or join addresses", () => {
    expect(open().target(1)).equal(1);
    expect(open().target(2)).equal(2);
    expect(open().target(9)).equal(3);
    expect(open({ joinAddressCount: 3 }).target(1)).equal(3);
  });

  it("rises only after what is held under fewer acks is flushed, and the bucket holds it", () => {
    const replication = open({ held: 1 });
    expect([replication.wanted(3, mayRise), replication.rise(3, mayRise)]).deep.equal([undefined, false]);
    replication.noteHeld(Infinity);
    expect([replication.wanted(3, mayRise), replication.rise(3, mayRise)]).deep.equal([3, false]);
    replication.noteBucket(3);
    expect([replication.wanted(3, mayRise), replication.rise(3, mayRise), replication.declared]).deep.equal([undefined, true, 3]);
  });

  it("pushes go out under the coming replication as soon as so many are full: so a rise under load ends", () => {
    const replication = open({ held: 1 });
    expect(replication.ofPush(3, 1)).equal(1);
    expect(replication.ofPush(3, 2)).equal(2);
    expect(replication.ofPush(3, 3)).equal(3);
    expect([replication.declared, replication.acksHeld]).deep.equal([1, 1]);
  });

  it("never falls because members went", () => {
    const replication = open({ declared: 3, bucket: 3 });
    expect([replication.ofPush(1, 1), replication.rise(1, mayRise), replication.declared]).deep.equal([3, false, 3]);
  });

  it("below the bucket's refuses pushes with a sentence, until an operator lowers the bucket's", () => {
    const replication = open({ bucket: 3 });
    expect(refusalOf(replication, 1)).match(/its replication is 1 and the bucket's 3/);
    expect(refusalOf(replication, 2)).match(/its replication is 2 and the bucket's 3/);
    replication.noteBucket(1);
    expect(refusalOf(replication, 1)).equal(undefined);
  });

  // A node that had been alone refused every push for as long as it flushed what it had taken alone: a minute, since the members that had joined it had raised the bucket's value.
  it("below the bucket's takes pushes all the same while they name as many stores as the bucket says: so one node grows into three without refusing any", () => {
    const replication = open({ held: 1, bucket: 3 });
    expect([replication.rise(3, mayRise), replication.declared, replication.acksHeld]).deep.equal([false, 1, 1]);
    expect(refusalOf(replication, 3)).equal(undefined);
    replication.noteHeld(2);
    expect([replication.rise(3, mayRise), replication.declared, refusalOf(replication, 3)]).deep.equal([true, 3, undefined]);
  });

  // A fourth member that was started with 5 raised the bucket's value to 4, and the three that were set to 3 refused every push from then on.
  it("follows a bucket's value above its setting, as it rises when members come: another member was started with a higher one", () => {
    const replication = open({ declared: 3, bucket: 3, held: 2 });
    replication.noteBucket(4);
    expect([replication.ofPush(4, 4), refusalOf(replication, 4)]).deep.equal([4, undefined]);
    expect([replication.rise(4, mayRise), replication.acksHeld], "it holds something under 2 acks").deep.equal([false, 2]);
    replication.noteHeld(3);
    expect([replication.rise(4, mayRise), replication.declared, replication.wanted(9, mayRise)]).deep.equal([true, 4, undefined]);
  });

  it("above its setting is still that of its members: one that knows too few refuses pushes", () => {
    const replication = open({ declared: 3, bucket: 4 });
    expect(refusalOf(replication, 3)).match(/its replication is 3 and the bucket's 4/);
  });

  it("above its setting outlasts a restart", () => {
    expect(open({ declared: 4, bucket: 4 }).declared).equal(4);
    expect(open({ configured: 1, declared: 3, bucket: 3 }).declared, "started with a lower setting").equal(3);
  });

  it("lowered by an operator below the setting of some: they raise it again, and the others follow", () => {
    const [high, low] = [open({ configured: 5, declared: 4, bucket: 4 }), open({ declared: 4, bucket: 4 })];
    for (const replication of [high, low]) replication.noteBucket(3);
    expect([high.declared, low.declared]).deep.equal([3, 3]);
    expect([high.wanted(4, mayRise), low.wanted(4, mayRise)]).deep.equal([4, undefined]);
    for (const replication of [high, low]) replication.noteBucket(4);
    expect([high.rise(4, mayRise), low.rise(4, mayRise)]).deep.equal([true, true]);
  });

  it("falls with the bucket's, by an operator's word", () => {
    const replication = open({ declared: 3, bucket: 3 });
    replication.noteBucket(1);
    expect([replication.declared, refusalOf(replication, 1)]).deep.equal([1, undefined]);
  });

  it("of a fresh data directory refuses pushes until the bucket was read, and holds it", () => {
    const replication = open({ joinAddressCount: 3, bucket: undefined });
    expect(refusalOf(replication, 1)).match(/not yet read/);
    replication.noteBucket(1);
    expect([refusalOf(replication, 1), replication.wanted(1, mayRise)]).deep.equal(["its replication of 3 is not in the bucket yet", 3]);
    replication.noteBucket(3);
    expect(refusalOf(replication, 1)).equal(undefined);
  });
});
