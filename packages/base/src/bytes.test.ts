import { expect } from "chai";
import fc from "fast-check";
import { ByteWriter, decodeUtf8, encodeUtf8 } from "./bytes.ts";

describe("decodeUtf8", () => {
  it("keeps a leading U+FEFF, and puts U+FFFD where there is no UTF-8", () => {
    expect(decodeUtf8(encodeUtf8("\ufeffmain"))).to.equal("\ufeffmain");
    expect(decodeUtf8(Uint8Array.of(0x61, 0xff))).to.equal("a\ufffd");
  });
});

describe("byte writer", () => {
  it("writes any whole number with the digits of String", () => {
    const edges = [0, -0, 9, 10, 99_999_999, 100_000_000, 999_999_999, 1_000_000_000, 1_000_000_001, 10 ** 15, Number.MAX_SAFE_INTEGER, 2 ** 53, 1e21, -1, -(2 ** 40), 0n, 2n ** 63n - 1n, -(2n ** 63n)];
    const whole = fc.oneof(fc.constantFrom<number | bigint>(...edges), fc.maxSafeInteger(), fc.nat(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }));
    fc.assert(
      fc.property(fc.array(whole), (values) => {
        const writer = new ByteWriter(1);
        for (const value of values) writer.decimal(value).u8(0x20);
        expect(decodeUtf8(writer.finish())).to.equal(values.map((value) => `${String(value)} `).join(""));
      }),
    );
  });

  it("writes the same bytes in chunks, and can be written to after `finish`", () => {
    const part = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.string({ maxLength: 40 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
    fc.assert(
      fc.property(fc.array(part), fc.array(part), fc.nat({ max: 64 }), (before, after, chunkBytes) => {
        const [plain, chunked] = [new ByteWriter(1), new ByteWriter(1, { chunkBytes })];
        for (const parts of [before, after]) {
          for (const writer of [plain, chunked]) {
            for (const one of parts) {
              if (typeof one === "string") writer.utf8(one).text(one);
              else if (typeof one === "bigint") writer.u64(one).decimal(one).uvarint64(one);
              else writer.raw(one).prefixed(one);
            }
          }
          expect(chunked.length).to.equal(plain.length);
          expect(Buffer.from(chunked.finish()).equals(plain.finish())).to.equal(true);
        }
      }),
    );
  });

  it("that was cleared writes as a new one does, whatever it held and however it grew", () => {
    for (const options of [{}, { chunkBytes: 16 }]) {
      const [used, fresh] = [new ByteWriter(4, options), new ByteWriter(4, options)];
      used.text("x".repeat(1000)).clear();
      for (const writer of [used, fresh]) writer.uvarint(300).text("main").f64(1.5);
      expect(used.length).to.equal(fresh.length);
      expect(used.finish()).to.deep.equal(fresh.finish());
      expect(used.clear().finish().length).to.equal(0);
    }
  });

  it("writes any text as UTF-8, short or long", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: "binary", maxLength: 200 }), fc.string({ unit: "grapheme" }));
    fc.assert(
      fc.property(fc.array(text), (texts) => {
        const writer = new ByteWriter(1);
        for (const one of texts) writer.utf8(one);
        // Each text by itself: half a surrogate pair at the end of one and the other half at the start of the next are no character.
        expect(Buffer.from(writer.finish()).equals(Buffer.concat(texts.map((one) => Buffer.from(one))))).to.equal(true);
      }),
      { numRuns: 50 },
    );
  });
});
