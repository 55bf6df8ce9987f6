import { ByteWriter, CorruptionError } from "@pyromesh/base";
import { expect } from "chai";
import { VarintReader } from "./varint-reader.ts";
import { VarintWriter } from "./varint-writer.ts";

const NUMBERS = [0, 1, 0x7f, 0x80, 2 ** 28, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 2 ** 49 - 1, 2 ** 49, 2 ** 53 - 1];
const WIDE = [2n ** 53n, 2n ** 56n, 2n ** 63n - 1n, 2n ** 64n - 1n];

describe("varint runs", () => {
  it("the writer writes what ByteWriter writes", () => {
    const expected = new ByteWriter();
    for (const number of NUMBERS) expected.uvarint(number);
    for (const number of [...WIDE].reverse()) expected.uvarint64(number);
    for (const delta of [3, 0, 2 ** 31]) expected.uvarint(delta);
    const writer = new VarintWriter(0);
    writer.numbers(Float64Array.from(NUMBERS), NUMBERS.length);
    writer.exact(BigInt64Array.from(WIDE), Uint32Array.of(3, 2, 1, 0), WIDE.length);
    writer.deltas(Uint32Array.of(3, 3, 2 ** 31 + 3), 3);
    expect([...writer.finish()]).to.deep.equal([...expected.finish()]);
  });

  it("the reader gives numbers below 2^53 and bigints from there on, and knows the end", () => {
    const writer = new ByteWriter();
    for (const number of [...NUMBERS.map(BigInt), ...WIDE]) writer.uvarint64(number);
    const reader = new VarintReader(writer.finish(), "run");
    expect(NUMBERS.map(() => reader.int64())).to.deep.equal(NUMBERS);
    expect(WIDE.map(() => reader.int64())).to.deep.equal(WIDE);
    reader.end();
    for (const number of NUMBERS) {
      const bytes = new ByteWriter().uvarint(number).finish();
      expect(new VarintReader(bytes, "run").number()).to.equal(number);
      for (let length = 0; length < bytes.length; length++) expect(() => new VarintReader(bytes.subarray(0, length), "run").number(), `${number} cut at ${length}`).to.throw(CorruptionError);
    }
    for (const number of WIDE) expect(() => new VarintReader(new ByteWriter().uvarint64(number).finish(), "run").number()).to.throw(CorruptionError, "run");
    expect(() => new VarintReader(new Uint8Array(11).fill(0xff), "run").int64()).to.throw(CorruptionError);
  });
});
