import { expect } from "chai";
import { fitName, shortName, shownName, SPOKEN_LENGTH_MAX, spokenName } from "./box-text.ts";

describe("box text", () => {
  it("a name that fits is written whole", () => expect(fitName("runtime.mallocgc", 16)).to.equal("runtime.mallocgc"));
  it("a path is dropped before anything is cut", () => expect(fitName("github.com/acme/shop/cart.(*Cart).Add", 20)).to.equal("cart.(*Cart).Add"));
  it("what still does not fit ends in an ellipsis", () => expect(fitName("github.com/acme/shop/cart.(*Cart).Add", 8)).to.equal("cart.(*…"));
  it("fewer than three characters say nothing", () => expect(fitName("main", 2)).to.equal(""));
  it("a very long name is told by its two ends", () => {
    expect(spokenName("main")).to.equal("main");
    const told = spokenName(`std::${"x".repeat(5000)}::run()`);
    expect(told).to.match(/^std::x+…x+::run\(\)$/).and.have.length(SPOKEN_LENGTH_MAX);
  });
  it("a function without a name is told as one", () => {
    expect([shownName(""), spokenName(""), fitName("", 20), fitName("", 5), fitName("", 2)]).to.deep.equal(["[unnamed]", "[unnamed]", "[unnamed]", "[unn…", ""]);
  });
  it("slashes in arguments are no path", () => expect(shortName("java/util/Map.get(java/lang/Object)")).to.equal("Map.get(java/lang/Object)"));
});
