import { expect } from "chai";
import fc from "fast-check";
import { Cardinality } from "./cardinality.ts";
import { Dataset } from "../dataset/dataset.ts";
import { IdentitySet } from "./identity-set.ts";
import { makeMatcher } from "../selector/matcher.ts";
import { recordView } from "../testing/record-view.ts";

const ALL = { startNs: 0n, endNs: 10n ** 18n };
const MS = 1_000_000n;

interface Row {
  /** Even ones have an id, and may be several rows; odd ones are one row each. */
  readonly profile: number;
  readonly route: string;
  /** In which datasets it lies. */
  readonly places: readonly number[];
}

const rows = fc.array(
  fc.record({ profile: fc.nat(9), route: fc.constantFrom("a", "b", "c"), places: fc.uniqueArray(fc.nat(2), { minLength: 1 }) }),
  { maxLength: 20 },
);

function datasetsOf(all: readonly Row[]): Dataset[] {
  const datasets = [0, 1, 2].map(() => new Dataset("api"));
  all.forEach(({ profile, route, places }, index) => {
    const record = recordView({
      labels: { __name__: "process_cpu", service_name: "api", route },
      timeNs: BigInt(profile) * MS,
      ...(profile % 2 === 0 ? { profileId: new Uint8Array(16).fill(profile + 1) } : {}),
      samples: [{ stack: ["main"], values: [1] }, { stack: ["main", "work"], values: [2] }],
      salt: String(index),
    });
    for (const place of places) datasets[place]!.insert(record);
  });
  return datasets;
}

describe("cardinality", () => {
  it("a record counts once wherever copies of it lie, and a profile once however many records it is", () => {
    fc.assert(
      fc.property(rows, (all) => {
        const seen = new IdentitySet();
        const whole = new Cardinality();
        for (const dataset of datasetsOf(all)) {
          const part = new Cardinality();
          part.scan(dataset, ALL, [], seen);
          whole.add(structuredClone(part.partial()));
        }
        const several = new Set(all.map(({ profile }) => profile).filter((profile) => profile % 2 === 0));
        expect(whole.counts()).to.deep.equal({
          seriesCount: new Set(all.map(({ route }) => route)).size,
          profileCount: several.size + all.filter(({ profile }) => profile % 2 === 1).length,
          sampleCount: all.length * 2,
        });
      }),
    );
  });

  it("only what is in range and matches a selector counts, a series once for each of its types that match", () => {
    const dataset = new Dataset("api");
    const types = [
      { type: "alloc_space", unit: "bytes" },
      { type: "alloc_objects", unit: "count" },
    ];
    for (const [timeNs, pod] of [[1n, "a"], [2n, "b"], [3n, "a"]] as const) {
      dataset.insert(recordView({ labels: { __name__: "memory", service_name: "api", pod }, timeNs: timeNs * MS, types, samples: [{ stack: ["main"], values: [1, 1] }] }));
    }
    const countsOf = (startMs: bigint, endMs: bigint, ...matchers: [string, string][]): unknown => {
      const cardinality = new Cardinality();
      cardinality.scan(dataset, { startNs: startMs * MS, endNs: endMs * MS }, matchers.map(([name, value]) => [makeMatcher(name, "=", value)]), new IdentitySet());
      return cardinality.counts();
    };
    expect(countsOf(1n, 3n)).to.deep.equal({ seriesCount: 4, profileCount: 3, sampleCount: 3 });
    expect(countsOf(1n, 2n)).to.deep.equal({ seriesCount: 4, profileCount: 2, sampleCount: 2 });
    expect(countsOf(1n, 3n, ["pod", "a"])).to.deep.equal({ seriesCount: 2, profileCount: 2, sampleCount: 2 });
    expect(countsOf(1n, 3n, ["__type__", "alloc_space"])).to.deep.equal({ seriesCount: 2, profileCount: 3, sampleCount: 3 });
    expect(countsOf(1n, 3n, ["pod", "a"], ["pod", "b"])).to.deep.equal({ seriesCount: 4, profileCount: 3, sampleCount: 3 });
    expect(countsOf(1n, 3n, ["pod", "c"])).to.deep.equal({ seriesCount: 0, profileCount: 0, sampleCount: 0 });
  });
});
