import { expect } from "chai";
import { withLabels } from "./labels.ts";

describe("labels", () => {
  // A label named as a property that every object has was taken for a change, and dropped.
  it("changes leave a label named as a built-in property of objects", () => {
    const labels = [{ name: "constructor", value: "c" }, { name: "toString", value: "t" }, { name: "x", value: "1" }];
    expect(withLabels(labels, { x: "2", y: undefined })).deep.equal([{ name: "constructor", value: "c" }, { name: "toString", value: "t" }, { name: "x", value: "2" }]);
  });
});
