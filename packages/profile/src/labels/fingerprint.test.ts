import { createHash } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import { encodePush } from "../record/encode-push.ts";
import { decodeRecord } from "../record/record-decode.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import { canonicalBytes, fingerprintOf } from "./fingerprint.ts";
import type { Label } from "./labels.ts";
import { DEFAULT_PROFILE_LIMITS } from "./limits.ts";
import type { SampleType } from "./profile-type.ts";

const SHOP: readonly Label[] = [
  { name: "__name__", value: "process_cpu" },
  { name: "pod", value: "a-1" },
  { name: "service_name", value: "shop" },
  { name: "zone", value: "größe" },
];

const piece = fc.constantFrom("", "a", "b", "ab", "1", "1:a", "\u0001a", "ü", "\u{1f525}", "service_name", "x".repeat(130));
const name = fc.oneof(piece.filter((text) => text !== ""), fc.constantFrom("service_name", "__name__", "pod"));
const labelSet = fc.uniqueArray(fc.record({ name, value: piece }), { selector: (label) => label.name, maxLength: 6 });

/** A label set by itself, however its labels are ordered. A service of "" is none. */
function asText(labels: readonly Label[]): string {
  return JSON.stringify(labels.filter((label) => label.name !== "service_name" || label.value !== "").map((label) => [label.name, label.value]).sort((a, b) => (a[0]! < b[0]! ? -1 : 1)));
}

function recordsOf(labels: readonly Label[], sampleTypes: readonly SampleType[], periodType: SampleType): bigint[] {
  const writer = new PprofWriter({ sampleTypes, periodType, period: 1, timeNs: 1n, durationNs: 1n });
  writer.sample([writer.frame("work")], sampleTypes.map(() => 1));
  const records = encodePush({
    tenant: "t",
    labels,
    pprof: writer.finish(),
    fallbackTimeNs: 1n,
    nonce: new Uint8Array(16),
    nowMs: 0,
    limits: DEFAULT_PROFILE_LIMITS,
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  });
  for (const { bytes, fingerprint } of records) expect(fingerprintOf(decodeRecord(bytes, "r").labels)).equal(fingerprint);
  return records.map(({ fingerprint }) => fingerprint);
}

describe("fingerprint", () => {
  it("two label sets have equal canonical bytes exactly if they are equal", () => {
    fc.assert(
      fc.property(labelSet, labelSet, (a, b) => {
        const areEqual = Buffer.compare(canonicalBytes(a), canonicalBytes(b)) === 0;
        expect(areEqual).equal(asText(a) === asText(b));
        expect(fingerprintOf(a) === fingerprintOf(b)).equal(areEqual);
      }),
      { numRuns: 2000 },
    );
  });

  it("the order in which labels come changes nothing", () => {
    fc.assert(
      fc.property(labelSet.chain((labels) => fc.tuple(fc.constant(labels), fc.shuffledSubarray(labels, { minLength: labels.length }))), ([labels, shuffled]) => {
        expect(fingerprintOf(shuffled)).equal(fingerprintOf(labels));
      }),
    );
  });

  it("neither sample types nor the period's type change it: all of one record share it", () => {
    const cpu = { type: "cpu", unit: "nanoseconds" };
    const samples = { type: "samples", unit: "count" };
    const variants = [recordsOf(SHOP, [cpu], cpu), recordsOf(SHOP, [samples], samples), recordsOf(SHOP, [samples, cpu], { type: "", unit: "" }), recordsOf([...SHOP].reverse(), [cpu], cpu)];
    expect(variants).deep.equal(variants.map(() => [fingerprintOf(SHOP)]));
    const withTypes = [...SHOP, { name: "__profile_type__", value: "process_cpu:cpu:nanoseconds:cpu:nanoseconds" }, { name: "__unit__", value: "bytes" }];
    expect(recordsOf(withTypes, [cpu], cpu), "labels that the store makes itself").deep.equal([fingerprintOf(SHOP)]);
    expect(recordsOf([...SHOP.slice(1), { name: "__name__", value: "memory" }], [cpu], cpu), "the name is a label").not.deep.equal([fingerprintOf(SHOP)]);
  });

  it("is what the definition says, for ever", () => {
    const text = (value: string): string => `${String.fromCharCode(Buffer.byteLength(value))}${value}`;
    const canonical = Buffer.from(`${text("shop")}\u0003${["__name__", "process_cpu", "pod", "a-1", "zone", "größe"].map(text).join("")}`);
    expect(Buffer.from(canonicalBytes(SHOP)).toString("hex")).equal(canonical.toString("hex"));
    expect(fingerprintOf(SHOP)).equal(createHash("sha256").update(canonical).digest().readBigUInt64LE(0));
    const golden: readonly (readonly [readonly Label[], string])[] = [
      [SHOP, "1b270d0eba5069b1"],
      [[], "c685f224d296a296"],
      [[{ name: "service_name", value: "unknown_service" }], "d1192aa7a7ef4ce8"],
    ];
    for (const [labels, expected] of golden) expect(fingerprintOf(labels).toString(16).padStart(16, "0")).equal(expected);
  });
});
