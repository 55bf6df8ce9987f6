import { expect } from "chai";
import type { Compute, ScanPartial, ScanSpec } from "../compute/compute.ts";
import { Gathered } from "./gathered.ts";

const MIB = 2 ** 20;
const signal = new AbortController().signal;

describe("gathered partials", () => {
  let merges: (readonly string[])[];
  let mergedBytes: number;
  let gathered: Gathered;

  /** Named by its sum. Packed, as it comes from a worker: so it counts its bytes and nothing else. */
  const part = (name: string, bytes = 0): ScanPartial =>
    ({ recordCount: 1, identitySum: name, names: undefined, locations: undefined, durations: undefined, period: 0n, points: [], heatmap: [], listing: undefined, cardinality: undefined, packed: new Uint8Array(bytes) }) satisfies ScanPartial;

  beforeEach(() => {
    merges = [];
    mergedBytes = 0;
    const compute = {
      merge: async (_spec: ScanSpec, partials: readonly ScanPartial[]): Promise<ScanPartial> => {
        merges.push(partials.map(({ identitySum }) => identitySum));
        return part(partials.map(({ identitySum }) => identitySum).join("+"), mergedBytes);
      },
    } as unknown as Compute; // a merge is all that is asked
    gathered = new Gathered({ kind: "names" } as unknown as ScanSpec, { compute, signal });
  });

  const names = (): string[] => gathered.partials.map(({ identitySum }) => identitySum);

  it("few and small ones stay as they are: a merge costs a message to a worker", async () => {
    for (let i = 0; i < 64; i++) await gathered.add([part(`${i}`)]);
    expect(merges).deep.equal([]);
    expect(names()).deep.equal(Array.from({ length: 64 }, (_, i) => `${i}`));
  });

  it("more than 64 are merged into one, in the order in which they came, and so again", async () => {
    for (let i = 0; i < 65; i++) await gathered.add([part(`${i}`)]);
    expect(merges.map((merged) => merged.length)).deep.equal([65]);
    expect(merges[0]!.slice(0, 3)).deep.equal(["0", "1", "2"]);
    for (let i = 65; i < 129; i++) await gathered.add([part(`${i}`)]);
    expect(merges.map((merged) => merged.length)).deep.equal([65, 65]);
    expect(names()).deep.equal([Array.from({ length: 129 }, (_, i) => `${i}`).join("+")]);
  });

  it("large ones are merged past 16 MiB", async () => {
    await gathered.add([part("a", 10 * MIB)]);
    await gathered.add([part("b", 6 * MIB)]);
    expect(merges).deep.equal([]);
    await gathered.add([part("c", 1)]);
    expect(merges).deep.equal([["a", "b", "c"]]);
  });

  it("beside a large merged one they gather until they weigh as much: each byte is merged a few times at most", async () => {
    mergedBytes = 40 * MIB;
    await gathered.add([part("a", 9 * MIB), part("b", 9 * MIB)]);
    expect(merges).length(1);
    for (let i = 0; i < 4; i++) await gathered.add([part(`${i}`, 10 * MIB)]);
    expect(merges, "40 MiB are not more than the merged one has").length(1);
    await gathered.add([part("last", 1)]);
    expect(merges[1]).deep.equal(["a+b", "0", "1", "2", "3", "last"]);
  });

  it("one alone is never merged, however large", async () => {
    await gathered.add([part("a", 40 * MIB)]);
    expect(merges).deep.equal([]);
    expect(names()).deep.equal(["a"]);
  });
});
