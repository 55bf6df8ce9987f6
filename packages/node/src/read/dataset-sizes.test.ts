import { TAG } from "@pyromesh/block";
import type { DatasetEntry, SegmentFooter } from "@pyromesh/block";
import { expect } from "chai";
import { addSizes, NO_BYTES, sizesOf } from "./dataset-sizes.ts";

describe("dataset sizes", () => {
  const dataset = (...sections: readonly (readonly [tag: number, storedLength: number])[]): DatasetEntry =>
    ({ sections: sections.map(([tag, storedLength]) => ({ tag, storedLength })) }) as unknown as DatasetEntry; // what is counted
  const footer = { footerBytes: 1000 } as SegmentFooter;

  it("every section counts once, as index, symbols or profiles; the footer is index, whichever datasets are wanted", () => {
    expect(sizesOf(footer, [])).deep.equal({ indexBytes: 1000, profileBytes: 0, symbolBytes: 0 });
    const all = dataset(...Object.values(TAG).map((tag, index) => [tag, 2 ** index] as const));
    const { indexBytes, profileBytes, symbolBytes } = sizesOf(footer, [all]);
    expect(indexBytes + profileBytes + symbolBytes).equal(1000 + 2 ** Object.values(TAG).length - 1);
    expect(sizesOf(footer, [dataset([TAG.rows, 1]), dataset([TAG.strings, 20], [TAG.tree, 300])])).deep.equal({ indexBytes: 1001, profileBytes: 0, symbolBytes: 320 });
  });

  it("a column of values that a later format adds counts as profiles", () => {
    expect(sizesOf(footer, [dataset([9999, 7])])).include({ profileBytes: 7 });
  });

  it("sizes add up by kind", () => {
    const sizes = sizesOf(footer, [dataset([TAG.strings, 20])]);
    expect(addSizes(NO_BYTES, sizes)).deep.equal(sizes);
    expect(addSizes(sizes, sizes)).deep.equal({ indexBytes: 2000, profileBytes: 0, symbolBytes: 40 });
  });
});
