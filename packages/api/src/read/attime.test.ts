import { expect } from "chai";
import { parseAttime, parseAttimeStrict } from "./attime.ts";

const NOW_MS = 1_700_000_000_000;

describe("attime", () => {
  const read: readonly [string, number][] = [
    ["1700000001", 1_700_000_001_000],
    ["1700000001234", 1_700_000_001_234],
    ["1795928435.467", 1_795_928_435_467],
    ["1795928435.5", 1_795_928_435_500],
    ["1795928435.4679999", 1_795_928_435_467],
    ["1700000001234.75", 1_700_000_001_234],
    ["20240229.5", 20_240_229_500],
    ["0.25", 250],
    ["1700000001234567", 1_700_000_001_234],
    ["1700000001234567890", 1_700_000_001_234],
    ["20240229", Date.UTC(2024, 1, 29)],
    ["20230229", 20_230_229_000], // no such day, so seconds
    ["0", 0],
    ["now", NOW_MS],
    ["now-1h", NOW_MS - 3_600_000],
    ["now - 15 min", NOW_MS - 900_000],
    ["now-2m", NOW_MS - 120_000],
    ["now-2M", NOW_MS - 60 * 86_400_000],
    ["now-1mon", NOW_MS - 30 * 86_400_000],
    ["now-3d", NOW_MS - 3 * 86_400_000],
    ["now-1w", NOW_MS - 7 * 86_400_000],
    ["now-1y", NOW_MS - 365 * 86_400_000],
    ["now-5mn", NOW_MS - 300_000],
    ["now-2Mon", NOW_MS - 60 * 86_400_000],
    ["now-90seconds", NOW_MS - 90_000],
    ["now+1h", NOW_MS + 3_600_000],
    ["now-1h30m", NOW_MS - 5_400_000],
    ["noon-1h", NOW_MS - 3_600_000],
    ["-1h", NOW_MS - 3_600_000],
  ];
  for (const [text, expected] of read) {
    it(`reads ${JSON.stringify(text)}`, () => {
      expect(parseAttime(text, NOW_MS)).to.equal(expected);
      expect(parseAttimeStrict(text, NOW_MS)).to.equal(expected);
    });
  }

  for (const text of ["", "yesterday", "now-1", "now-1parsec", "12:30", "now-", "--", "1.", ".5", "1.2.3", "1.5e9", "-1.5", "99999999999999999999", "now-999999999999999999999y"]) {
    it(`takes ${JSON.stringify(text)} for now, and the strict parser refuses it`, () => {
      expect(parseAttime(text, NOW_MS)).to.equal(NOW_MS);
      expect(parseAttimeStrict(text, NOW_MS)).to.equal(undefined);
    });
  }
});
