import { expect } from "chai";
import { hasRoom, isAdmitted, labelSetsLimited, seriesCountMax, seriesLimited } from "./series-limit.ts";

describe("series limit", () => {
  it("is the lower of local and global, and 0 lifts either", () => {
    const of = (localSeriesMax: number, globalSeriesMax: number): number | undefined => seriesCountMax({ localSeriesMax, globalSeriesMax });
    expect([of(0, 0), of(5, 0), of(0, 7), of(5, 7), of(7, 5)]).to.deep.equal([undefined, 5, 7, 5, 5]);
  });

  it("admits new series up to the limit, active series always, and any series without a limit", () => {
    expect(isAdmitted({ newCount: 1, activeCount: 4, countMax: 5 })).to.equal(true);
    expect(isAdmitted({ newCount: 1, activeCount: 5, countMax: 5 })).to.equal(false);
    expect(isAdmitted({ newCount: 2, activeCount: 4, countMax: 5 })).to.equal(false);
    expect(isAdmitted({ newCount: 0, activeCount: 9, countMax: 5 }), "the limit was lowered").to.equal(true);
    expect(isAdmitted({ newCount: 9, activeCount: 9, countMax: undefined })).to.equal(true);
  });

  it("the refusal is Pyroscope's kind and reason, and names the limit that bound", () => {
    const whole = seriesLimited({ limits: { localSeriesMax: 0, globalSeriesMax: 5 }, activeCount: 5, refusedCount: 1, recordCount: 1 });
    expect([whole.code, whole.kind, whole.details["reason"]]).to.deep.equal(["SERIES_LIMIT", "resource_exhausted", "series_limit"]);
    expect(whole.message).to.match(/^the profile would begin a new series: .* 5 active series of at most 5 \(limit max_global_series_per_tenant\)/);
    const part = seriesLimited({ limits: { localSeriesMax: 3, globalSeriesMax: 5 }, activeCount: 3, refusedCount: 1, recordCount: 4 });
    expect(part.message).to.match(/^1 of the 4 label sets .* \(the other 3 are\): .* of at most 3 \(limit max_local_series_per_tenant\)/);
  });

  it("new label sets are worked on where the limit has room for one series of each, beside those that other pushes announced", () => {
    const room = { newCount: 2, arrivingCount: 1, activeCount: 2, unattributedCount: 0, countMax: 5 };
    expect(hasRoom(room)).to.equal(true);
    expect(hasRoom({ ...room, newCount: 3 })).to.equal(false);
    expect(hasRoom({ ...room, arrivingCount: 2 })).to.equal(false);
    expect(hasRoom({ ...room, newCount: 3, unattributedCount: 1 }), "one of the active may be theirs").to.equal(true);
    expect(hasRoom({ ...room, newCount: 0, activeCount: 9 }), "nothing new").to.equal(true);
  });

  it("label sets that may all have series which are active find room, also past a limit that was lowered", () => {
    const room = { newCount: 2, arrivingCount: 1, activeCount: 9, unattributedCount: 3, countMax: 5 };
    expect(hasRoom(room)).to.equal(true);
    expect(hasRoom({ ...room, newCount: 3 }), "one of them is new for certain").to.equal(false);
  });

  it("a push with more label sets than may ever be active is refused for good; one that finds no room may be sent again", () => {
    const limits = { localSeriesMax: 0, globalSeriesMax: 5 };
    const never = labelSetsLimited({ limits, activeCount: 0, newCount: 6, labelSetCount: 6 });
    expect([never.code, never.kind, never.details["reason"]]).to.deep.equal(["PUSH_SERIES_ABOVE_LIMIT", "invalid_argument", "series_limit"]);
    expect(never.details).not.to.have.property("retryAfterSeconds");
    expect(never.message).to.match(/6 label sets, above the 5 .* \(limit max_global_series_per_tenant\): send fewer/);
    const later = labelSetsLimited({ limits, activeCount: 3, newCount: 3, labelSetCount: 4 });
    expect([later.code, later.kind, later.details["retryAfterSeconds"]]).to.deep.equal(["SERIES_LIMIT", "resource_exhausted", 60]);
    expect(later.message).to.match(/^the push would begin 3 new series or more: the tenant has 3 active series of at most 5/);
  });
});
