import { expect } from "chai";
import { Metrics } from "./metrics.ts";

describe("bench cluster", () => {
  it("metrics: sums the lines of one name that have all the labels, and takes no longer name for it", () => {
    const metrics = new Metrics('# TYPE a counter\na{of="x",way="sent"} 2\na{of="y",way="sent"} 3\na{of="y",way="received"} 5\na_total 7\nb 11\n');
    expect([metrics.sum("a"), metrics.sum("a", { way: "sent" }), metrics.sum("a", { of: "y", way: "sent" }), metrics.sum("b"), metrics.sum("c")]).to.deep.equal([10, 5, 3, 11, 0]);
  });
});
