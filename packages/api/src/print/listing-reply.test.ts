import { decodeUtf8 } from "@pyromesh/base";
import { LabelListing } from "@pyromesh/profile";
import type { Labels, Listing } from "@pyromesh/profile";
import { expect } from "chai";
import fc from "fast-check";
import { printListing } from "./listing-reply.ts";
import { encodeBinary } from "../proto/binary.ts";
import { encodeJson } from "../proto/json-encode.ts";
import type { MessageSchema } from "../proto/schema.ts";
import * as q from "../proto/querier-v1.ts";
import * as t from "../proto/types-v1.ts";

const text = fc.string({ unit: "binary", minLength: 1, maxLength: 5 });
const labelSets: fc.Arbitrary<Labels[]> = fc.array(fc.dictionary(fc.constantFrom("pod", "zone", "é"), text).map((set) => Object.entries(set).map(([name, value]) => ({ name, value }))));
const LISTINGS: readonly Listing[] = [
  { kind: "names", alphabet: "utf8" },
  { kind: "values", name: "pod" },
  { kind: "series", names: [], alphabet: "utf8" },
];

describe("listing reply", () => {
  for (const listing of LISTINGS) {
    it(`${listing.kind}: the bytes that the codecs write, in JSON and in binary`, () => {
      fc.assert(
        fc.property(labelSets, fc.nat(4), (all, limit) => {
          const collector = new LabelListing(listing, { entryCountMax: 0, bytesMax: 0 });
          for (const labels of all) collector.addLabels(labels);
          const listed = collector.result(limit);
          const { items, sets } = listed;
          const [schema, message]: [MessageSchema<object>, object] =
            sets === undefined
              ? [t.LABEL_VALUES_RESPONSE, { names: items.map(({ value }) => value) }]
              : [q.SERIES_RESPONSE, { labelsSet: sets.map((set) => ({ labels: Array.from(set, (id) => items[id]!) })) }];
          expect(decodeUtf8(printListing(listing, listed, "json"))).to.equal(decodeUtf8(encodeJson(schema, message)));
          expect(Buffer.from(printListing(listing, listed, "proto"))).to.deep.equal(Buffer.from(encodeBinary(schema, message)));
          if (sets === undefined) expect(JSON.parse(decodeUtf8(printListing(listing, listed, "array")))).to.deep.equal(items.map(({ value }) => value));
        }),
      );
    });
  }

  // One such type, which older builds took, made every ProfileTypes 400, and with it Grafana's health check.
  it("types: one with a colon in a part is left out, and the others are listed", () => {
    const listing: Listing = { kind: "types" };
    const collector = new LabelListing(listing, { entryCountMax: 0, bytesMax: 0 });
    for (const value of ["a:b:a:b:c:d::", "memory:space:bytes:space:bytes", "off_cpu:off_cpu:nanoseconds::"]) collector.addLabels([{ name: "__profile_type__", value }]);
    const { profileTypes } = JSON.parse(decodeUtf8(printListing(listing, collector.result(10), "json"))) as { profileTypes: { ID: string }[] };
    expect(profileTypes.map(({ ID }) => ID)).to.deep.equal(["memory:space:bytes:space:bytes", "off_cpu:off_cpu:nanoseconds::"]);
  });
});
