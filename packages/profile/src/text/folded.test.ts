import { expect } from "chai";
import { CodedError } from "@pyromesh/base";
import { profileOfAppName, splitAppName } from "./folded.ts";

describe("what folded text is a profile of", () => {
  it("the application's suffix names the type, and an unknown one is refused", () => {
    expect(splitAppName("shop.cart.cpu")).deep.equal({ service: "shop.cart", suffix: "cpu" });
    expect(splitAppName("shop")).deep.equal({ service: "shop", suffix: undefined });
    const told = ["inuse_objects", "goroutines", "lock_duration", "mutex_count", "live", "exceptions", "bytes", "alloc_in_new_tlab_bytes"].map((suffix) => {
      const { name, sampleType } = profileOfAppName(suffix, 100);
      return `${name}:${sampleType.type}:${sampleType.unit}`;
    });
    expect(told).deep.equal([
      "memory:inuse_objects:count",
      "goroutine:goroutines:count",
      "block:delay:nanoseconds",
      "mutex:contentions:count",
      "memory:live:count",
      "exceptions:samples:count",
      "memory:samples:bytes",
      "memory:alloc_in_new_tlab_bytes:bytes",
    ]);
    for (const app of ["shop.service", "shop."]) {
      expect(() => profileOfAppName(splitAppName(app).suffix, 100), app).throw(CodedError).with.property("code", "APP_SUFFIX_UNKNOWN");
    }
  });
});
