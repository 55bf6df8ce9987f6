import { WORD_BYTES, wordSkew } from "@pyromesh/base";
import { expect } from "chai";
import { BufferPool, SLOT_BYTES, slotOf } from "./buffer-pool.ts";

describe("the buffer pool", () => {
  it("holds bytes as they lay within their word, at the front of a slot that comes back whole", () => {
    const memory = new BufferPool();
    const own = Uint8Array.from({ length: 300 }, (_, index) => index);
    for (let skew = 0; skew < WORD_BYTES; skew++) {
      const bytes = new Uint8Array(new ArrayBuffer(400), skew, 300);
      bytes.set(own);
      const at = memory.lend(bytes)!;
      const view = memory.view(at, bytes.length);
      expect(wordSkew(view)).to.equal(skew);
      expect(at - slotOf(at)).to.equal(skew);
      expect([...view]).to.deep.equal([...own]);
      memory.takeBack(at);
      expect(memory.lend(own), "the same slot, from its beginning").to.equal(slotOf(at));
      memory.takeBack(at);
    }
  });

  it("lends no more slots than it has, each once, and none to what would reach into the next", () => {
    const memory = new BufferPool();
    expect(memory.lend(new Uint8Array(new ArrayBuffer(SLOT_BYTES + 1), 1))).to.equal(undefined);
    expect(memory.lend(new Uint8Array(SLOT_BYTES + 1))).to.equal(undefined);
    const lent = new Set<number>();
    for (let at = memory.lend(new Uint8Array(SLOT_BYTES)); at !== undefined; at = memory.lend(new Uint8Array(SLOT_BYTES))) lent.add(at);
    expect(lent.size * SLOT_BYTES).to.equal(memory.shared.byteLength);
    memory.takeBack(SLOT_BYTES);
    expect(memory.lend(new Uint8Array(1))).to.equal(SLOT_BYTES);
  });
});
