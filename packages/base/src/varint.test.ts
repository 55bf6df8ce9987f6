import { expect } from "chai";
import fc from "fast-check";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { CorruptionError } from "./errors.ts";
import { putUvarint, putUvarint64, putUvarintHalves, VARINT_BYTES_MAX, VarintCursor } from "./varint.ts";

const EDGES = [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 2 ** 28, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 2 ** 49 - 1, 2 ** 49, 2 ** 53 - 1];
const WIDE = [2n ** 53n, 2n ** 56n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];
const anyNumber = fc.oneof(fc.constantFrom(...EDGES), fc.maxSafeNat());
const anyWide = fc.oneof(fc.constantFrom(...WIDE, ...EDGES.map(BigInt)), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));

/** Seven bits a byte, by the book. */
function bytesOf(value: bigint): number[] {
  return value < 0x80n ? [Number(value)] : [Number(value & 0x7fn) | 0x80, ...bytesOf(value >> 7n)];
}

describe("varints", () => {
  it("are written as the definition says", () => {
    const room = new Uint8Array(VARINT_BYTES_MAX + 1);
    fc.assert(
      fc.property(anyNumber, anyWide, (number, wide) => {
        expect([...room.subarray(1, putUvarint(room, 1, number))]).to.deep.equal(bytesOf(BigInt(number)));
        expect([...room.subarray(1, putUvarint64(room, 1, wide))]).to.deep.equal(bytesOf(wide));
        expect([...room.subarray(1, putUvarintHalves(room, 1, Number(wide & 0xffff_ffffn), Number(wide >> 32n)))]).to.deep.equal(bytesOf(wide));
        expect([...room.subarray(1, putUvarint64(room, 1, number))]).to.deep.equal(bytesOf(BigInt(number)));
        expect([...new ByteWriter(0).uvarint(number).uvarint64(wide).finish()]).to.deep.equal([...bytesOf(BigInt(number)), ...bytesOf(wide)]);
      }),
    );
  });

  it("are read back one after the other: numbers below 2^53, and bigints from there on", () => {
    fc.assert(
      fc.property(fc.array(anyWide, { maxLength: 8 }), (values) => {
        const bytes = Uint8Array.from(values.flatMap(bytesOf));
        const expected = values.map((value) => (value < 2n ** 53n ? Number(value) : value));
        const wide = new VarintCursor(bytes);
        expect(values.map(() => wide.nextWide())).to.deep.equal(expected);
        const near = new VarintCursor(bytes);
        for (const value of values) expect(near.next() / Number(value || 1n)).to.be.closeTo(value === 0n ? 0 : 1, value < 2n ** 53n ? 0 : 2 ** -50);
        const checked = new ByteReader(bytes, "numbers");
        expect(values.map(() => checked.uvarintWide())).to.deep.equal(expected);
        expect([wide.offset, near.offset, checked.remaining]).to.deep.equal([bytes.length, bytes.length, 0]);
      }),
    );
  });

  it("that are cut off, or longer than any, are answered by -1, and by CORRUPTION from a ByteReader", () => {
    const tooLong = new Uint8Array(VARINT_BYTES_MAX + 1).fill(0x80);
    const short = [...EDGES.map(BigInt), ...WIDE].flatMap((value) => bytesOf(value).map((_, length) => Uint8Array.from(bytesOf(value).slice(0, length))));
    for (const bytes of [...short, tooLong]) {
      const cursor = new VarintCursor(bytes);
      const what = `bytes ${bytes.join(" ")}`;
      expect([cursor.next(), cursor.nextWide(), cursor.offset], what).to.deep.equal([-1, -1, 0]);
      expect(() => new ByteReader(bytes, "numbers").uvarint(), what).to.throw(CorruptionError);
      expect(() => new ByteReader(bytes, "numbers").uvarint64(), what).to.throw(CorruptionError);
    }
    const whole = Uint8Array.from(bytesOf(300n));
    expect(new VarintCursor(whole, 0, 1).next(), "the end before the last byte").to.equal(-1);
    for (const value of WIDE) expect(() => new ByteReader(Uint8Array.from(bytesOf(value)), "numbers").uvarint(), "2^53 and more").to.throw(CorruptionError);
    expect(() => new ByteReader(Uint8Array.from([...new Array<number>(9).fill(0xff), 2]), "numbers").uvarintWide(), "2^64 and more").to.throw(CorruptionError);
    expect(() => new ByteReader(Uint8Array.from([0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), "numbers").uvarint(), "1 in nine bytes").to.throw(CorruptionError);
  });
});
