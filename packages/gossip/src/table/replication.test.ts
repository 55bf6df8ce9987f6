import { expect } from "chai";
import { acksOf, Replication } from "./replication.ts";
import { RULES } from "./rules.ts";

const { mayRise } = RULES;
const open = (rest: object = {}): Replication => new Replication({ configured: 3, joinAddressCount: 1, declared: undefined, bucket: 1, held: Infinity, ...rest });

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
    expect(replication.refusal).match(/its replication is 1 and the bucket's 3/);
    replication.noteBucket(1);
    expect(replication.refusal).equal(undefined);
  });

  it("falls with the bucket's, by an operator's word", () => {
    const replication = open({ declared: 3, bucket: 3 });
    replication.noteBucket(1);
    expect([replication.declared, replication.refusal]).deep.equal([1, undefined]);
  });

  it("of a fresh data directory refuses pushes until the bucket was read, and holds it", () => {
    const replication = open({ joinAddressCount: 3, bucket: undefined });
    expect(replication.refusal).match(/not yet read/);
    replication.noteBucket(1);
    expect([replication.refusal, replication.wanted(1, mayRise)]).deep.equal(["its replication of 3 is not in the bucket yet", 3]);
    replication.noteBucket(3);
    expect(replication.refusal).equal(undefined);
  });
});
