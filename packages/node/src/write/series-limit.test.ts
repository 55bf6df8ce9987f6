import { expect } from "chai";
import { isAdmitted, seriesCountMax, seriesLimited } from "./series-limit.ts";

describe("series limit", () => {
  it("is the lower of local and global, and 0 lifts either", () => {
    const of = (localSeriesMax: number, globalSeriesMax: number): number | undefined => seriesCountMax({ localSeriesMax, globalSeriesMax });
    expect([of(0, 0), of(5, 0), of(0, 7), of(5, 7), of(7, 5)]).to.deep.equal([undefined, 5, 7, 5, 5]);
  });

  it("admits up to the limit, known series always, anything without one", () => {
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
});
