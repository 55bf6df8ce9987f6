import { expect } from "chai";
import { fitName, shortName } from "./box-text.ts";

describe("box text", () => {
  it("a name that fits is written whole", () => expect(fitName("runtime.mallocgc", 16)).to.equal("runtime.mallocgc"));
  it("a path is dropped before anything is cut", () => expect(fitName("github.com/acme/shop/cart.(*Cart).Add", 20)).to.equal("cart.(*Cart).Add"));
  it("what still does not fit ends in an ellipsis", () => expect(fitName("github.com/acme/shop/cart.(*Cart).Add", 8)).to.equal("cart.(*…"));
  it("fewer than three characters say nothing", () => expect(fitName("main", 2)).to.equal(""));
  it("slashes in arguments are no path", () => expect(shortName("java/util/Map.get(java/lang/Object)")).to.equal("Map.get(java/lang/Object)"));
});
