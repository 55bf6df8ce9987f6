import { expect } from "chai";
import fc from "fast-check";
import { formatMoment, inputValueOf, momentOfInput } from "./local-time.ts";
import { alignSpan, DEFAULT_RANGE, parseRange, printRange, RANGE_PRESETS, resolveRange, stepMsOf } from "./time-range.ts";

const NOW_MS = 1_795_419_300_000;

describe("time range", () => {
  it("the last quarter of an hour ends now", () => {
    expect(resolveRange(DEFAULT_RANGE, NOW_MS)).to.deep.equal({ startMs: NOW_MS - 900_000, endMs: NOW_MS });
  });

  it("every preset is printed and read back", () => {
    for (const { spanMs } of RANGE_PRESETS) {
      const { from, until } = printRange({ kind: "last", spanMs });
      expect(parseRange(from, until)).to.deep.equal({ kind: "last", spanMs });
    }
  });

  it("two moments may be written in milliseconds or in seconds", () => {
    const range = { kind: "between", startMs: 1_795_418_940_000, endMs: 1_795_419_300_000 };
    expect(parseRange("1795418940000", "1795419300000")).to.deep.equal(range);
    expect(parseRange("1795418940", "1795419300")).to.deep.equal(range);
  });

  it("what says no range is none", () => {
    for (const [from, until] of [[null, null], ["yesterday", "now"], ["now-0m", "now"], ["now-5x", "now"], ["1795419300000", "1795418940000"], ["1795418940000", null], ["now-5m", "1795419300000"]] as const) {
      expect(parseRange(from, until), `${from} ${until}`).to.equal(undefined);
    }
  });

  it("a strip has at most 240 steps and none shorter than 15 s", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 * 86_400_000 }), (lengthMs) => {
        const stepMs = stepMsOf({ startMs: NOW_MS - lengthMs, endMs: NOW_MS });
        expect(stepMs).to.be.at.least(15_000);
        expect(lengthMs / stepMs).to.be.at.most(240);
      }),
    );
    expect(stepMsOf(resolveRange(DEFAULT_RANGE, NOW_MS))).to.equal(15_000);
  });

  it("an aligned span holds the span and ends on steps", () => {
    expect(alignSpan({ startMs: 16_000, endMs: 31_000 }, 15_000)).to.deep.equal({ startMs: 15_000, endMs: 45_000 });
  });

  it("an input's value is read back to the second, whatever the time zone", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_700_000_000, max: 1_900_000_000 }), (timeS) => {
        const value = inputValueOf(timeS * 1000);
        // When clocks are set back, an hour occurs twice and a text means two moments. The text must still stay the same.
        expect(inputValueOf(momentOfInput(value)!)).to.equal(value);
      }),
    );
    expect(momentOfInput("")).to.equal(undefined);
  });

  it("a moment is told as closely as its span needs, with its year where the span has several", () => {
    const timeMs = new Date(2026, 1, 22, 11, 4, 30).getTime();
    const tell = (days: number): string => formatMoment(timeMs, { startMs: 0, endMs: days * 86_400_000 });
    expect([tell(1), tell(30), tell(3000)]).to.deep.equal(["11:04:30", "02-22 11:04", "2026-02-22"]);
  });
});
