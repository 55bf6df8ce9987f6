import { ByteReader } from "@pyromesh/base";
import { Dataset } from "@pyromesh/profile";
import { expect } from "chai";
import { BitWriter, widthOf } from "./bit-writer.ts";
import { LAYOUTS } from "./layouts.ts";
import type { Row } from "./rows.ts";

describe("bench layouts", () => {
  it("bits come back in order, wide ones too, and varints begin at a whole byte", () => {
    const numbers = [5, 0, 2 ** 24, 2 ** 40 + 3, 1, 2 ** 53 - 1];
    const out = new BitWriter();
    for (const number of numbers) out.bits(number, widthOf(number));
    out.align();
    out.varint(2 ** 40);
    out.zigzag(-3);
    const bytes = out.finish();
    let bits = 0n;
    bytes.forEach((byte, at) => (bits |= BigInt(byte) << BigInt(at * 8)));
    for (const number of numbers) {
      const width = BigInt(widthOf(number));
      expect(bits & ((1n << width) - 1n)).to.equal(BigInt(number));
      bits >>= width;
    }
    const packedBytes = Math.ceil(numbers.reduce((sum, number) => sum + widthOf(number), 0) / 8);
    const reader = new ByteReader(bytes, "bits", packedBytes);
    expect([reader.uvarint(), reader.uvarint(), reader.remaining]).to.deep.equal([2 ** 40, 5, 0]);
  });

  it("every layout takes rows without samples, stacks that stand twice and values of 0", () => {
    const row = (series: number, timeNs: bigint, nodes: number[], values: number[]): Row => ({
      series,
      columnSet: series,
      timeNs,
      nodes: Uint32Array.from(nodes),
      byNode: Uint32Array.from(nodes, (_, place) => place).sort((a, b) => nodes[a]! - nodes[b]! || a - b),
      columns: [Float64Array.from(values)],
    });
    const rows = [row(0, 1_000n, [3, 1, 3], [10, 0, 30]), row(0, 3_000n, [], []), row(0, 4_000n, [1], [0]), row(1, 2_000n, [5, 200], [7, 2 ** 40])];
    for (const { encode, group, name } of LAYOUTS) {
      const sections = encode({ pushCount: 4, dataset: new Dataset("bench"), rows, nodeCount: 256 });
      expect(sections.reduce((sum, { length }) => sum + length, 0), `${group}: ${name}`).to.be.above(0);
    }
  });
});
