import { Cardinality, LabelListing, NameTreeBuilder } from "@pyromesh/profile";
import { expect } from "chai";
import type { ScanPartial } from "./compute.ts";
import { finishQuery } from "./finish-query.ts";
import { packPartial, unpackPartial } from "./packed-partial.ts";

const listing = { listing: { kind: "values", name: "pod" }, bounds: { entryCountMax: 0, bytesMax: 0 } } as const;

function partialOf(stackCount: number): ScanPartial {
  const names = new NameTreeBuilder();
  for (let i = 0; i < stackCount; i++) names.addStacktrace(["main", `f${i}`], i % 2 === 0 ? i : 2n ** 60n);
  const pods = new LabelListing(listing.listing, listing.bounds);
  pods.addLabels([{ name: "pod", value: "a" }]);
  const labels = [{ name: "pod", value: "a" }];
  return {
    recordCount: 3,
    identitySum: "0".repeat(31) + "1",
    names: names.result(),
    locations: undefined,
    durations: undefined,
    period: 7n,
    points: [{ labels, points: new Map([[1, { sum: 1, count: 1, exemplar: undefined }]]), profiles: { keys: new Uint8Array(24), timesMs: [5], values: [7], labels: [0], labelSets: [labels] } }],
    heatmap: [],
    listing: pods.partial(),
    cardinality: { segments: new Cardinality().partial(), head: new Cardinality().partial() },
  };
}

describe("packed partial", () => {
  it("a large one travels as bytes in shared memory, and comes out as it went in", () => {
    const partial = partialOf(5000);
    const packed = packPartial(partial);
    expect(packed.packed!.buffer).to.be.instanceOf(SharedArrayBuffer);
    expect([packed.names, packed.points, packed.recordCount, packed.identitySum, packed.period]).to.deep.equal([undefined, [], 3, partial.identitySum, 7n]);
    const travelled = unpackPartial(structuredClone(packed));
    expect(travelled.points).to.deep.equal(partial.points);
    const spec = { kind: "flame-graph", maxNodes: 100, form: "json" } as const;
    expect(finishQuery(spec, [travelled, travelled])).to.deep.equal(finishQuery(spec, [partial, partial]));
    expect(finishQuery({ kind: "listing", ...listing, limit: 0, form: "json" }, [travelled])).to.deep.equal(finishQuery({ kind: "listing", ...listing, limit: 0, form: "json" }, [partial]));
  });

  it("a small one travels as it is", () => {
    const partial = partialOf(2);
    expect(packPartial(partial)).to.equal(partial);
    expect(unpackPartial(partial)).to.equal(partial);
  });
});
