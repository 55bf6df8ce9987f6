import { expect } from "chai";
import { isLargeProfile, LargeSlots } from "./large-slots.ts";

const MIB = 2 ** 20;

function profileOf(fill: number, skew = 0): Uint8Array {
  return new Uint8Array(2 * MIB + skew).fill(fill).subarray(skew);
}

describe("large slots", () => {
  it("are for profiles of a MiB and more, up to the largest that can be decoded", () => {
    expect([MIB - 1, MIB, 16 * MIB, 16 * MIB + 1].map((length) => isLargeProfile(new Uint8Array(length)))).to.deep.equal([false, true, true, false]);
  });

  it("hold a copy in shared memory that begins at the same place within a word", async () => {
    const slots = new LargeSlots(1);
    for (const skew of [0, 3, 7]) {
      const profile = profileOf(skew + 1, skew);
      const copy = await slots.lend(profile);
      expect(copy.buffer).to.be.instanceOf(SharedArrayBuffer);
      expect(copy.byteOffset % 8).to.equal(skew);
      expect(Buffer.compare(copy, profile)).to.equal(0);
      slots.takeBack(copy);
    }
  });

  it("belong to one profile each until they are taken back, and go to those that wait in the order in which they came", async () => {
    const slots = new LargeSlots(2);
    const [first, second] = [await slots.lend(profileOf(1)), await slots.lend(profileOf(2, 7))];
    const order: number[] = [];
    const waiting = [3, 4].map(async (fill) => {
      const copy = await slots.lend(profileOf(fill));
      order.push(fill);
      return copy;
    });
    slots.takeBack(second);
    const late = slots.lend(profileOf(5)); // it comes before the third one has run: the slot is not free
    const third = await waiting[0]!;
    expect(order).to.deep.equal([3]);
    expect([first[0], first.at(-1), third[0], third.at(-1)]).to.deep.equal([1, 1, 3, 3]);
    slots.takeBack(first);
    const fourth = await waiting[1]!;
    expect(order).to.deep.equal([3, 4]);
    slots.takeBack(third);
    expect((await late)[0]).to.equal(5);
    expect(fourth[0]).to.equal(4);
    expect(new Set([third.buffer, fourth.buffer, first.buffer]).size).to.equal(1);
  });
});
