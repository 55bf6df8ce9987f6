import { expect } from "chai";
import type { FramePalette } from "./frame-color.ts";
import { DARK_PALETTE, fillOf, LIGHT_PALETTE, packageOf } from "./frame-color.ts";

describe("frame colour", () => {
  for (const [name, palette] of [["light", LIGHT_PALETTE], ["dark", DARK_PALETTE]] as const) {
    it(`${name}: text has a contrast of 4.5 or more on every fill, dimmed ones too`, () => {
      for (const { fill, text } of pairsOf(palette)) expect(contrast(text, fill), `${text} on ${fill}`).to.be.at.least(4.5);
    });

    it(`${name}: no two fills are the same`, () => {
      expect(new Set(palette.fills).size).to.equal(palette.fills.length);
    });
  }

  it("functions of one package share a fill", () => {
    expect(fillOf(LIGHT_PALETTE, "net/http.(*conn).serve")).to.equal(fillOf(LIGHT_PALETTE, "net/http.HandlerFunc.ServeHTTP"));
  });

  it("the root and what was cut off are neutral", () => {
    expect(fillOf(DARK_PALETTE, "total")).to.equal(DARK_PALETTE.neutralFill);
    expect(fillOf(DARK_PALETTE, "other")).to.equal(DARK_PALETTE.neutralFill);
  });

  const packages: [string, string][] = [
    ["runtime.(*mheap).alloc", "runtime"],
    ["github.com/acme/shop/cart.(*Cart).Add", "github.com/acme/shop/cart"],
    ["java.util.HashMap.get", "java.util"],
    ["java/util/concurrent/ThreadPoolExecutor.runWorker", "java/util/concurrent"],
    ["./node_modules/express/lib/router/index.js:next:176", "express"],
    ["./node_modules/@grpc/grpc-js/build/src/call.js:emit:9", "@grpc/grpc-js"],
    ["node:events:emit:470", "node"],
    ["net/http.serverHandler.ServeHTTP", "net/http"],
    ["runtime.gcBgMarkWorker.func2", "runtime"],
    ["runtime.markroot.func1", "runtime"],
    ["Module._compile", "Module"],
    ["tokio::runtime::task::poll", "tokio"],
    ["<alloc::vec::Vec<T> as core::iter::Extend>::extend", "alloc"],
    ["shop/cart.py add", "shop/cart.py"],
    ["processTicksAndRejections", "processTicksAndRejections"],
    ["", ""],
  ];
  for (const [name, expected] of packages) it(`the package of ${JSON.stringify(name)} is ${JSON.stringify(expected)}`, () => expect(packageOf(name)).to.equal(expected));
});

function pairsOf(palette: FramePalette): { fill: string; text: string }[] {
  const loud = [...palette.fills, palette.neutralFill].flatMap((fill) => [fill, halfway(fill, palette.background)]);
  return [...loud.map((fill) => ({ fill, text: palette.text })), { fill: palette.quietFill, text: palette.quietText }, { fill: halfway(palette.quietFill, palette.background), text: palette.quietText }];
}

function channels(hex: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

function halfway(left: string, right: string): string {
  const other = channels(right);
  return `#${channels(left).map((channel, index) => Math.round((channel + other[index]!) / 2).toString(16).padStart(2, "0")).join("")}`;
}

function contrast(left: string, right: string): number {
  const [low = 0, high = 0] = [luminance(left), luminance(right)].sort((one, other) => one - other);
  return (high + 0.05) / (low + 0.05);
}

function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = channels(hex).map((channel) => (channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
