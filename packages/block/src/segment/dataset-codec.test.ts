import { CorruptionError, seededRandom } from "@pyromesh/base";
import { Dataset, pruneInSteps } from "@pyromesh/profile";
import type { RecordView } from "@pyromesh/profile";
import { recordView } from "@pyromesh/profile/testing";
import { expect } from "chai";
import { COLUMN_SETS_MAX } from "./column-sets.ts";
import { encodeDataset, SegmentDataset, TAG } from "./dataset-codec.ts";
import { contents, flames } from "../testing/dataset-contents.ts";

/** A dataset with what the format has a case for: two series, two columns, spans, ids, wide values, common divisors. */
function sampleDataset(): Dataset {
  const dataset = new Dataset("api");
  const types = [
    { type: "samples", unit: "count" },
    { type: "cpu", unit: "nanoseconds" },
  ];
  for (let i = 0; i < 12; i++) {
    dataset.insert(
      recordView({
        labels: { __name__: "process_cpu", service_name: "api", pod: `p${i % 2}` },
        timeNs: BigInt(1_700_000_000_000_000_000) + BigInt((i * 7919) % 12) * 1_000_000_000n,
        types,
        ...(i % 3 === 0 ? { profileId: new Uint8Array(16).fill(i) } : {}),
        samples: [
          { stack: ["main", "work", `leaf-${i % 4}`], values: [i + 1, (i + 1) * 10_000_000], ...(i % 2 === 0 ? { span: `00000000000000a${i % 10}` } : {}) },
          { stack: ["main"], values: [i === 5 ? 2n ** 61n + 1n : 3, 0] },
        ],
      }),
    );
  }
  return dataset;
}

function open(sections: ReadonlyMap<number, Uint8Array>): SegmentDataset {
  return new SegmentDataset("api", (tag) => sections.get(tag), "test object");
}

function sectionsOf(dataset: Dataset): Map<number, Uint8Array> {
  return new Map(encodeDataset(dataset).map(({ tag, raw }) => [tag, raw.slice()]));
}

/** `main` calls `b` inlined in `a`, which calls an address; and `main` calls itself. */
function oddFrames(index: number): RecordView {
  const record = recordView({
    labels: { __name__: "process_cpu", service_name: "api" },
    timeNs: 1_700_000_000_000_000_000n + BigInt(index),
    samples: [
      { stack: ["main", "b", "a"], values: [5 + index] },
      { stack: ["main", "main", "main"], values: [3] },
      { stack: ["main", "b"], values: [2] },
    ],
  });
  const { symbols } = record;
  // Locations 1, 2, 3 had a line each: now 2 has those of 2 and 3, and 3 none.
  symbols.lineStart.set([0, 0, 1, 3, 3]);
  symbols.locationAddressLow[3] = 0xbeef;
  return record;
}

describe("dataset codec", () => {
  it("gives the same flame graphs by name as by location: inlined frames, addresses, recursion, call sites, spans", () => {
    const dataset = new Dataset("api");
    for (let i = 0; i < 3; i++) dataset.insert(oddFrames(i));
    const view = open(sectionsOf(dataset));
    expect(flames(dataset)).to.deep.equal({ ";main;a;b;beef": "18", ";main;main;main": "9", ";main;a;b": "6" });
    expect(flames(view.byName)).to.deep.equal(flames(dataset));
    expect(flames(view.byName, { callSite: ["main", "a"] })).to.deep.equal({ ";main;a;b;beef": "18", ";main;a;b": "6" });

    const spanned = sampleDataset();
    const named = open(sectionsOf(spanned)).byName;
    for (const over of [{}, { callSite: ["main", "work"] }, { spanIds: ["00000000000000a2"] }]) {
      expect(flames(named, over), JSON.stringify(over)).to.deep.equal(flames(spanned, over)).and.not.empty;
    }
  });

  it("an address is named by its mapping, in a flame graph of a segment as in one of the head", () => {
    const record = oddFrames(0);
    record.symbols.locationMapping[3] = 1;
    const file = Buffer.from("/lib/library.so");
    Object.assign(record.symbols, { mappingCount: 2, mappingFilename: Uint32Array.of(0, record.symbols.stringCount) });
    const { stringBytes, stringOffset, stringCount } = record.symbols;
    const end = stringOffset[stringCount]!;
    Object.assign(record.symbols, {
      stringCount: stringCount + 1,
      stringBytes: Buffer.concat([stringBytes.subarray(0, end), file]),
      stringOffset: Uint32Array.from([...stringOffset.subarray(0, stringCount + 1), end + file.length]),
    });
    const dataset = new Dataset("api");
    dataset.insert(record);
    expect(flames(dataset)).to.deep.include({ ";main;a;b;library.so!0xbeef": "5" });
    expect(flames(open(sectionsOf(dataset)).byName)).to.deep.equal(flames(dataset));
  });

  it("draws a flame graph without locations: only names, strings, samples and one column are opened", () => {
    const sections = sectionsOf(sampleDataset());
    for (const tag of [TAG.mappings, TAG.functions, TAG.locations, TAG.tree, TAG.stacks, TAG.columns + 1]) sections.delete(tag);
    expect(flames(open(sections).byName)).to.deep.equal(flames(sampleDataset()));
  });

  it("reads back every row, sample, span and id that was inserted", () => {
    const dataset = sampleDataset();
    expect(contents(open(sectionsOf(dataset)))).to.deep.equal(contents(dataset));
  });

  it("reads back more kinds of profiles than there are column sets, each with columns of its own", () => {
    const dataset = new Dataset("api");
    for (let i = 0; i < COLUMN_SETS_MAX + 6; i++) {
      const types = Array.from({ length: 1 + (i % 3) }, (_, column) => ({ type: `t${column}`, unit: "count" }));
      const values = types.map((_, column) => i * 10 + column + 1);
      dataset.insert(recordView({ labels: { __name__: `kind_${i}`, service_name: "api" }, timeNs: BigInt(i), types, samples: [{ stack: ["main", `leaf-${i % 5}`], values }] }));
    }
    const view = open(sectionsOf(dataset));
    expect(contents(view)).to.deep.equal(contents(dataset));
    expect(contents(view)).to.have.lengthOf(COLUMN_SETS_MAX + 6);
  });

  it("gives the same bytes for the same rows", () => {
    expect(sectionsOf(sampleDataset())).to.deep.equal(sectionsOf(sampleDataset()));
  });

  it("gives the same bytes where rows were prepared and never added, once it is pruned", () => {
    const labels = { __name__: "process_cpu", service_name: "api" };
    const refused = recordView({ labels, timeNs: 1n, samples: [{ stack: ["refused-root", "main", "work"], values: [1], span: "00000000000000ff" }] });
    const kept = [0, 1, 2].map(oddFrames);
    const clean = new Dataset("api");
    const dataset = new Dataset("api");
    dataset.prepare(refused);
    for (const record of kept) {
      clean.insert(record);
      dataset.add(dataset.prepare(record));
    }
    expect(Buffer.from(sectionsOf(dataset).get(TAG.strings)!).includes("refused-root")).equal(true);
    const steps = pruneInSteps(dataset);
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    expect(sectionsOf(step.value)).to.deep.equal(sectionsOf(clean));
  });

  it("reads a time series without stacks: totals need no sample section", () => {
    const sections = sectionsOf(sampleDataset());
    for (const tag of [TAG.strings, TAG.locations, TAG.tree, TAG.stacks, TAG.columns, TAG.columns + 1, TAG.columns + 2]) sections.delete(tag);
    const view = open(sections);
    expect(view.total(0, 1)).to.be.a("number");
  });

  it("refuses every section cut short at every byte", () => {
    const sections = sectionsOf(sampleDataset());
    const readAll = (view: SegmentDataset): void => void [contents(view), contents(view.byName)];
    for (const [tag, raw] of sections) {
      for (let length = 0; length < raw.length; length++) {
        const torn = new Map(sections).set(tag, raw.subarray(0, length));
        expect(() => readAll(open(torn)), `tag ${tag} at ${length}`).to.throw(CorruptionError);
      }
    }
  });

  it("meets noise with CorruptionError or with rows, never with anything else", () => {
    const sections = sectionsOf(sampleDataset());
    const random = seededRandom(11);
    for (let round = 0; round < 1500; round++) {
      const tags = [...sections.keys()];
      const tag = tags[Math.floor(random.float() * tags.length)]!;
      const raw = sections.get(tag)!.slice();
      for (let i = 0; i < 3; i++) raw[Math.floor(random.float() * raw.length)] = Math.floor(random.float() * 256);
      try {
        const view = open(new Map(sections).set(tag, raw));
        contents(view);
        contents(view.byName);
      } catch (error) {
        expect(error, `round ${round}, tag ${tag}`).to.be.instanceOf(CorruptionError);
      }
    }
  });
});
