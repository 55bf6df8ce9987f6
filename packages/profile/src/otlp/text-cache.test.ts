import { decodeUtf8 } from "@pyromesh/base";
import { expect } from "chai";
import fc from "fast-check";
import { textOf } from "./text-cache.ts";

describe("text cache", () => {
  it("a text is what decoding its bytes gives, whatever was decoded before", () => {
    const text = fc.oneof(fc.constantFrom("", "process.pid", "\u{feff}bom", "ü", "a\0b", "x".repeat(48), "x".repeat(49)), fc.string({ unit: "binary", maxLength: 60 }));
    const bytes = fc.oneof(text.map((written) => Uint8Array.from(Buffer.from(written))), fc.uint8Array({ maxLength: 8 }));
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 30 }), (all) => {
        const joined = Uint8Array.from(all.flatMap((one) => [...one]));
        for (const turn of ["missed", "cached"]) {
          let at = 0;
          for (const one of all) {
            expect(textOf(joined, at, at + one.length), turn).equal(decodeUtf8(one));
            at += one.length;
          }
        }
      }),
    );
  });

  it("texts that share a slot take turns in it", () => {
    const numbers = Array.from({ length: 5000 }, (_, i) => String(i));
    for (const number of [...numbers, ...numbers.reverse()]) expect(textOf(Buffer.from(number), 0, number.length)).equal(number);
  });
});
