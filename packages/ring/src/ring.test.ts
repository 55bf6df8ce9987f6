import { expect } from "chai";
import fc from "fast-check";
import { Ring } from "./ring.ts";
import { testMember, testMembers } from "./testing/ring-members.ts";

describe("ring", () => {
  it("equal members give equal rings, in whatever order they come", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(testMembers(12, ["a", "b"]), { minLength: 12 }), (members) => {
        const ring = Ring.of(members);
        const plain = Ring.of(testMembers(12, ["a", "b"]));
        expect(ring.members).to.deep.equal(plain.members);
        expect(places(ring)).to.deep.equal(places(plain));
      }),
      { numRuns: 20 },
    );
  });

  it("a ring that is made of another is the one that is made of nothing, whoever came, went or changed", () => {
    const collision = firstCollision();
    const pool = [...testMembers(12, ["a", "b"]), testMember(collision.earlier), testMember(collision.later)];
    const someOf = fc.subarray(pool).chain((members) => fc.array(fc.boolean(), { minLength: members.length, maxLength: members.length }).map((halves) => members.map((member, at) => (halves[at]! ? { ...member, tokenCount: 64 } : member))));
    fc.assert(
      fc.property(fc.array(someOf, { minLength: 2, maxLength: 5 }), (steps) => {
        let ring = Ring.of([]);
        for (const members of steps) {
          ring = Ring.of(members, ring);
          expect(ring.members).to.deep.equal(Ring.of(members).members);
          expect(places(ring)).to.deep.equal(places(Ring.of(members)));
        }
      }),
      { numRuns: 100 },
    );
  });

  it("the owner of a point is the member of the first token after it, and the ring is closed", () => {
    const ring = Ring.of(testMembers(3));
    const tokens = places(ring).map(({ token }) => token);
    expect(tokens).to.deep.equal([...tokens].sort((a, b) => a - b));
    expect(ring.placeAfter(tokens[0]!)).to.equal(1);
    expect(ring.placeAfter(tokens[5]! - 1)).to.equal(5);
    expect(ring.placeAfter(tokens.at(-1)!)).to.equal(0);
    expect(ring.placeAfter(2 ** 32 - 1)).to.equal(0);
  });

  it("of two members with the same token the smaller name keeps it", () => {
    const collision = firstCollision();
    const ring = Ring.of([testMember(collision.later), testMember(collision.earlier)]);
    expect(ring.tokenCount).to.equal(255);
    const place = places(ring).find(({ token }) => token === collision.token)!;
    expect(ring.members[place.member]!.name).to.equal([collision.earlier, collision.later].sort()[0]);
  });

  it("shares are the whole, and go by the number of tokens", () => {
    const shares = Ring.of([testMember("a", { tokenCount: 512 }), testMember("b", { tokenCount: 256 }), testMember("c", { tokenCount: 256 })]).shares();
    expect(shares.reduce((sum, share) => sum + share, 0)).to.be.closeTo(1, 1e-12);
    expect(shares[0]).to.be.closeTo(0.5, 0.06);
    expect(shares[1]).to.be.closeTo(0.25, 0.05);
  });

  it("at 128 tokens the largest of 100 shares is at most 1.3 times the mean", () => {
    const shares = Ring.of(testMembers(100)).shares();
    expect(Math.max(...shares) * 100).to.be.at.most(1.3);
  });

  it("nobody: no token, and no share", () => {
    const ring = Ring.of([]);
    expect(ring.tokenCount).to.equal(0);
    expect(ring.shares()).to.deep.equal([]);
  });
});

function places(ring: Ring): { readonly token: number; readonly member: number }[] {
  return Array.from({ length: ring.tokenCount }, (_, place) => ({ token: ring.tokenAt(place), member: ring.memberAt(place) }));
}

function firstCollision(): { readonly earlier: string; readonly later: string; readonly token: number } {
  const owners = new Map<number, string>();
  for (const { name } of testMembers(4000)) {
    for (const { token } of places(Ring.of([testMember(name)]))) {
      const earlier = owners.get(token);
      if (earlier !== undefined && earlier !== name) return { earlier, later: name, token };
      owners.set(token, name);
    }
  }
  throw new Error("no two names share a token");
}
