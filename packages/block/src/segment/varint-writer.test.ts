import { ByteWriter } from "@pyromesh/base";
import { expect } from "chai";
import { VarintWriter } from "./varint-writer.ts";

const NUMBERS = [0, 1, 0x7f, 0x80, 2 ** 28, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 2 ** 49 - 1, 2 ** 49, 2 ** 53 - 1];
const WIDE = [2n ** 53n, 2n ** 56n, 2n ** 63n - 1n, 2n ** 64n - 1n];

describe("the varint writer", () => {
  it("writes runs as a ByteWriter writes each number", () => {
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
});
