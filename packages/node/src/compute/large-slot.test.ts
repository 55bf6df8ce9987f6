import { expect } from "chai";
import { isLargeProfile, LargeSlot } from "./large-slot.ts";

const MIB = 2 ** 20;

function profileOf(fill: number, skew = 0): Uint8Array {
  return new Uint8Array(2 * MIB + skew).fill(fill).subarray(skew);
}

describe("the slot for large profiles", () => {
  it("is for profiles of a MiB and more, up to the largest that can be decoded", () => {
    expect([MIB - 1, MIB, 16 * MIB, 16 * MIB + 1].map((length) => isLargeProfile(new Uint8Array(length)))).to.deep.equal([false, true, true, false]);
  });

  it("holds a copy in shared memory that begins at the same place within a word", async () => {
    const slot = new LargeSlot();
    for (const skew of [0, 3, 7]) {
      const profile = profileOf(skew + 1, skew);
      const { copy, giveBack } = await slot.lend(profile);
      expect(copy.buffer).to.be.instanceOf(SharedArrayBuffer);
      expect(copy.byteOffset % 8).to.equal(skew);
      expect(Buffer.compare(copy, profile)).to.equal(0);
      giveBack();
    }
  });

  it("has room for the largest, wherever it begins within a word", async () => {
    const profile = new Uint8Array(16 * MIB + 7).fill(9).subarray(7);
    const { copy } = await new LargeSlot().lend(profile);
    expect([copy.length, copy.byteOffset, copy[0], copy.at(-1)]).to.deep.equal([16 * MIB, 7, 9, 9]);
  });

  it("belongs to one profile until it is given back, and goes to those that wait in the order in which they came", async () => {
    const slot = new LargeSlot();
    const first = await slot.lend(profileOf(1, 7));
    const order: number[] = [];
    const waiting = [2, 3].map(async (fill) => {
      const lent = await slot.lend(profileOf(fill));
      order.push(fill);
      return lent;
    });
    expect([first.copy[0], first.copy.at(-1), order.length]).to.deep.equal([1, 1, 0]);
    first.giveBack();
    const late = slot.lend(profileOf(4)); // it comes before the second one has run: the slot is not free
    const second = await waiting[0]!;
    expect([order, second.copy[0], second.copy.at(-1)]).to.deep.equal([[2], 2, 2]);
    second.giveBack();
    const third = await waiting[1]!;
    expect([order, third.copy[0]]).to.deep.equal([[2, 3], 3]);
    third.giveBack();
    const last = await late;
    expect(last.copy[0]).to.equal(4);
    expect(last.copy.buffer).to.equal(first.copy.buffer);
  });
});
