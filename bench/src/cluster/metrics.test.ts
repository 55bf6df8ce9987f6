import { expect } from "chai";
import { bucketQuantile, Metrics } from "./metrics.ts";

describe("bench cluster", () => {
  it("metrics: sums the lines of one name that have all the labels, and takes no longer name for it", () => {
    const metrics = new Metrics('# TYPE a counter\na{of="x",way="sent"} 2\na{of="y",way="sent"} 3\na{of="y",way="received"} 5\na_total 7\nb 11\n');
    expect([metrics.sum("a"), metrics.sum("a", { way: "sent" }), metrics.sum("a", { of: "y", way: "sent" }), metrics.sum("b"), metrics.sum("c")]).to.deep.equal([10, 5, 3, 11, 0]);
  });

  it("metrics: the quantile of a histogram is that of what came between two moments, over all nodes", () => {
    const at = (...counts: readonly number[]): Metrics => new Metrics(["0.1", "1", "+Inf"].map((le, index) => `h_bucket{code="200",le="${le}"} ${counts[index]}\nh_bucket{code="503",le="${le}"} 1000`).join("\n"));
    const before = [at(5, 5, 5), at(0, 0, 0)];
    const after = [at(95, 105, 105), at(0, 95, 95)];
    expect([0.4, 0.5, 1].map((share) => bucketQuantile(before, after, "h", { code: "200" }, share))).to.deep.equal([0.1, 1, 1]);
    expect([bucketQuantile(before, before, "h", { code: "200" }, 0.5)]).to.deep.equal([NaN]);
  });
});
