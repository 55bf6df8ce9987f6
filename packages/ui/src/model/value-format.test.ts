import { expect } from "chai";
import fc from "fast-check";
import { formatShare, formatValue } from "./value-format.ts";

describe("value format", () => {
  const values: [number, string, string][] = [
    [0, "nanoseconds", "0 ns"],
    [950, "nanoseconds", "950 ns"],
    [1_234_567, "nanoseconds", "1.23 ms"],
    [999_960_000, "nanoseconds", "1.00 s"],
    [59_990_000_000, "nanoseconds", "1.00 min"],
    [5_400e9, "nanoseconds", "1.50 h"],
    [250, "milliseconds", "250 ms"],
    [1023, "bytes", "1023 B"],
    [1536, "bytes", "1.50 KiB"],
    [1_602_645_059, "bytes", "1.49 GiB"],
    [999, "count", "999"],
    [12_345, "count", "12.3 k"],
    [7, "goroutines", "7 goroutines"],
    [-2048, "bytes", "-2 KiB"],
  ];
  for (const [value, unit, text] of values) it(`${value} ${unit} is ${text}`, () => expect(formatValue(value, unit)).to.equal(text));

  it("a number never has more than four digits", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), fc.constantFrom("bytes", "count"), (value, unit) => {
        expect(formatValue(value, unit)).to.match(/^\d{1,4}(\.\d{1,2})?( [A-Za-z]+)?$/);
      }),
    );
  });

  it("shares keep their small ends", () => {
    expect(formatShare(1, 3)).to.equal("33.3 %");
    expect(formatShare(1, 30)).to.equal("3.33 %");
    expect(formatShare(1, 1e6)).to.equal("<0.01 %");
    expect(formatShare(3, 3)).to.equal("100 %");
    expect(formatShare(9996, 10_000)).to.equal("100 %");
    expect(formatShare(9994, 10_000)).to.equal("99.9 %");
    expect(formatShare(0, 3)).to.equal("0 %");
    expect(formatShare(1, 0)).to.equal("0 %");
  });
});
