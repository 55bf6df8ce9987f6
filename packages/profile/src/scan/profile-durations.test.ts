import { expect } from "chai";
import fc from "fast-check";
import { Dataset } from "../dataset/dataset.ts";
import { IdentitySet } from "./identity-set.ts";
import { ProfileDurations } from "./profile-durations.ts";
import { mergeNodes } from "./scan-tree.ts";
import { ALL_ROWS } from "../testing/all-rows.ts";
import { recordView } from "../testing/record-view.ts";


interface Row {
  /** Even ones have an id, and may be several rows; odd ones are one row each. */
  readonly profile: number;
  /** Which dataset and which partial it lies in. */
  readonly place: number;
}

const rows = fc.array(fc.record({ profile: fc.nat(9), place: fc.nat(3) }), { maxLength: 24 });
const durationNsOf = (profile: number): bigint => BigInt(profile) * 1_000_000_000n;

function durationsOf(all: readonly Row[], order: readonly number[]): bigint {
  const datasets = [0, 1, 2, 3].map(() => new Dataset("api"));
  all.forEach(({ profile, place }, index) => {
    datasets[place]!.insert({
      ...recordView({ labels: { __name__: "process_cpu", service_name: "api" }, timeNs: 1_000_000n * BigInt(profile), samples: [{ stack: ["main"], values: [1] }], salt: String(index) }),
      durationNs: durationNsOf(profile),
      profileId: profile % 2 === 0 ? new Uint8Array(16).fill(profile) : undefined,
    });
  });
  const whole = new ProfileDurations();
  for (const place of order) {
    const part = new ProfileDurations();
    mergeNodes(datasets[place]!, ALL_ROWS, new IdentitySet(), part);
    // As between threads: nothing of the worker's own memory arrives.
    whole.addAll(structuredClone(part.partial()));
  }
  return whole.totalNs();
}

describe("profile durations", () => {
  it("each profile's counts once, wherever its rows lie and in whatever order they are added", () => {
    fc.assert(
      fc.property(rows, fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), (all, order) => {
        const several = new Set(all.map(({ profile }) => profile).filter((profile) => profile % 2 === 0));
        const alone = all.map(({ profile }) => profile).filter((profile) => profile % 2 === 1);
        const expected = [...several, ...alone].reduce((sum, profile) => sum + durationNsOf(profile), 0n);
        expect(durationsOf(all, order)).to.equal(expected);
      }),
    );
  });

  it("one id at two times is two profiles; two durations of one profile count as the longer", () => {
    const durations = new ProfileDurations();
    const dataset = new Dataset("api");
    const add = (timeNs: bigint, durationNs: bigint, salt: string): void =>
      dataset.insert({
        ...recordView({ labels: { __name__: "process_cpu" }, timeNs, samples: [{ stack: ["main"], values: [1] }], salt }),
        durationNs,
        profileId: new Uint8Array(16).fill(7),
      });
    add(1_000_000n, 10n, "a");
    add(1_000_000n, 30n, "b");
    add(1_000_000n, 20n, "c");
    add(2_000_000n, 2n ** 62n, "d");
    for (let row = 0; row < dataset.rowCount; row++) durations.addRow(dataset, row);
    expect(durations.totalNs()).to.equal(30n + 2n ** 62n);
  });
});
