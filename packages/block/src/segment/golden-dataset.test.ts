import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseTenantId } from "@pyromesh/base";
import { Dataset, SymbolInterner } from "@pyromesh/profile";
import type { RecordView } from "@pyromesh/profile";
import { recordView } from "@pyromesh/profile/testing";
import { expect } from "chai";
import { encodeDataset, SegmentDataset, TAG } from "./dataset-codec.ts";
import { contents, flames } from "../testing/dataset-contents.ts";
import { CODEC } from "./format.ts";
import type { SegmentMeta } from "./format.ts";
import { bytesSource, openSection, openSections, readDataset, verifySegment } from "./segment-reader.ts";
import { buildSegment, encodeSection } from "./segment-writer.ts";

const GOLDEN = fileURLToPath(new URL("../../testdata/v1/dataset.seg", import.meta.url));
const FORMAT = fileURLToPath(new URL("../../FORMAT.md", import.meta.url));
const signal = new AbortController().signal;
const START_MS = Date.UTC(2026, 2, 2, 14);
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const META: SegmentMeta = {
  tenant: parseTenantId("anonymous"),
  windowStartMs: START_MS,
  windowMs: 3_600_000,
  level: 0,
  storeId: STORE,
  ordinal: 8,
  minTimeMs: START_MS + 1000,
  maxTimeMs: START_MS + 31_000,
  recordCount: 5,
  sources: [{ storeId: STORE, firstOrdinal: 8, lastOrdinal: 8 }],
};

const at = (ms: number): bigint => BigInt(START_MS + ms) * 1_000_000n;
const CPU_TYPES = [
  { type: "samples", unit: "count" },
  { type: "cpu", unit: "nanoseconds" },
];

/** What a decoder gives and `recordView` has no words for: a mapping, an inlined frame, an address, odd lines, traces. */
function withRealFrames(record: RecordView): RecordView {
  const { symbols } = record;
  if (!(symbols instanceof SymbolInterner)) throw new Error("recordView interns its symbols");
  const string = (text: string): number => symbols.string(Buffer.from(text), 0, text.length);
  symbols.functionFilename.fill(string("main.go"), 1, 4);
  const mapping = {
    mappingCount: 2,
    mappingStart: BigUint64Array.of(0n, 0x5555_5555_4000n),
    mappingLimit: BigUint64Array.of(0n, 0x5555_5560_0000n),
    mappingFileOffset: BigUint64Array.of(0n, 0x1000n),
    mappingFilename: Uint32Array.of(0, string("/bin/checkout")),
    mappingBuildId: Uint32Array.of(0, string("8f1c")),
    mappingFlags: Uint8Array.of(0, 0b1111),
  };
  // Locations 1, 2, 3 had a line each: now 2 has those of 2 and 3 (3's function called 2's, which was inlined), and 3 none.
  symbols.lineStart.set([0, 0, 1, 3, 3]);
  symbols.lineNumber.set([-1, 42, 2 ** 33]);
  symbols.functionStartLine.set([0, -3, 40, 7]);
  symbols.locationMapping.set([0, 1, 1, 1]);
  symbols.locationAddressLow.set([0, 0x5555_4010, 0x5555_5000, 0x5556_0000]);
  symbols.locationAddressHigh.set([0, 0x5555, 0x5555, 0xffff_ffff]);
  symbols.locationFlags.set([0, 0, 1, 0]);
  const traces = new Uint8Array(32);
  for (let i = 16; i < 32; i++) traces[i] = i * 7;
  return {
    ...record,
    symbols: Object.assign(Object.create(symbols) as typeof symbols, mapping), // a view: everything else is the interner's
    sampleTrace: Uint32Array.from(record.sampleNode, (_, i) => (i === 0 ? 1 : 0)),
    traces,
  };
}

function goldenDataset(): Dataset {
  const dataset = new Dataset("checkout");
  const cpu = { __name__: "process_cpu", service_name: "checkout" };
  const memory = { __name__: "memory", service_name: "checkout", pod: "checkout-1" };
  dataset.insert(
    withRealFrames(
      recordView({
        labels: { ...cpu, pod: "checkout-0" },
        timeNs: at(1000),
        types: CPU_TYPES,
        profileId: Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i),
        samples: [
          { stack: ["main.main", "main.inner", "main.outer"], values: [3, 30_000_000], span: "00000000000000a1" },
          { stack: ["main.main", "main.inner"], values: [1, 10_000_000] },
        ],
      }),
    ),
  );
  // The same stacktrace under two spans, and a time between the series' others.
  dataset.insert(
    recordView({
      labels: { ...cpu, pod: "checkout-0" },
      timeNs: at(31_000),
      types: CPU_TYPES,
      samples: [
        { stack: ["main.main", "runtime.mallocgc"], values: [2, 20_000_000], span: "00000000000000a1" },
        { stack: ["main.main", "runtime.mallocgc"], values: [5, 50_000_000], span: "ffeeddccbbaa9988" },
      ],
    }),
  );
  dataset.insert(recordView({ labels: { ...cpu, pod: "checkout-0" }, timeNs: at(16_000) + 1n, types: CPU_TYPES, samples: [{ stack: ["main.main"], values: [1, 10_000_000] }] }));
  // Another column set, with what only int64 holds and a sum beyond it.
  const space = [{ type: "inuse_space", unit: "bytes" }];
  const bytes = { type: "space", unit: "bytes" };
  dataset.insert(recordView({ labels: memory, timeNs: at(2000), types: space, period: bytes, samples: [{ stack: ["main.main", "runtime.mallocgc"], values: [524_288] }, { stack: ["main.main"], values: [0] }] }));
  dataset.insert(recordView({ labels: memory, timeNs: at(17_000), types: space, period: bytes, samples: [{ stack: ["main.main", "runtime.mallocgc"], values: [2n ** 63n - 1n] }, { stack: ["main.main"], values: [2n ** 53n + 1n] }] }));
  return dataset;
}

/** Without a codec, whose output may change with Node's zlib: so that the page can show what is in the sections. */
function build(): Uint8Array {
  const dataset = goldenDataset();
  const sections = encodeDataset(dataset).map(({ tag, raw }) => encodeSection(tag, raw, CODEC.none));
  return buildSegment(META, [{ service: "checkout", recordCount: dataset.rowCount, minTimeMs: META.minTimeMs, maxTimeMs: META.maxTimeMs, sections }]);
}

describe("segment dataset, version 1 on disk", () => {
  let golden: Buffer;

  before(async () => {
    if (process.env["PYROMESH_WRITE_GOLDEN"] === "1") await writeFile(GOLDEN, build()); // once, for a new version, under a new name
    golden = await readFile(GOLDEN);
  });

  async function open(): Promise<SegmentDataset> {
    const footer = await verifySegment(bytesSource(golden), "golden", signal);
    const { bytes, entry } = (await readDataset(bytesSource(golden), footer, "checkout", signal))!;
    return new SegmentDataset("checkout", (tag) => openSection(bytes, entry, tag, "golden"), "golden");
  }

  it("the golden file is written byte for byte", () => {
    expect(Buffer.from(build()).toString("hex")).to.equal(golden.toString("hex"));
  });

  it("the golden file is read: every row, column, span, trace and id, by location and by name", async () => {
    const view = await open();
    expect(contents(view)).to.deep.equal(contents(goldenDataset()));
    const rows = [...contents(view).values()];
    expect(rows.map(({ timeNs }) => timeNs)).to.deep.equal([at(1000), at(16_000) + 1n, at(31_000), at(2000), at(17_000)].map(String));
    expect(rows[4]!.columns).to.deep.equal([{ total: String(2n ** 63n - 1n), samples: ["main.main 9007199254740993 0000000000000000 00000000000000000000000000000000", "main.main;runtime.mallocgc 9223372036854775807 0000000000000000 00000000000000000000000000000000"] }]);
    expect(flames(view.byName)).to.deep.equal({
      ";main.main": "10000000",
      ";main.main;main.outer;main.inner": "10000000",
      ";main.main;main.outer;main.inner;checkout!0xffffffff55560000": "30000000",
      ";main.main;runtime.mallocgc": "70000000",
    });
  });

  it("the golden file is read: mappings, addresses, lines below zero and beyond 32 bits", async () => {
    const { symbols } = await open();
    expect(symbols.mappingStart[1]).to.equal(0x5555_5555_4000n);
    expect(symbols.mappingFlags[1]).to.equal(0b1111);
    expect([...symbols.lineNumber.subarray(0, 3)]).to.deep.equal([-1, 42, 2 ** 33]);
    expect(symbols.functionStartLine[1]).to.equal(-3);
    expect([symbols.locationAddressHigh[3], symbols.locationAddressLow[3]]).to.deep.equal([0xffff_ffff, 0x5556_0000]);
    expect(symbols.locationFlags[2]).to.equal(1);
  });

  it("FORMAT.md walks through every section of the golden file", async () => {
    const page = await readFile(FORMAT, "utf8");
    const footer = await verifySegment(bytesSource(golden), "golden", signal);
    const entry = footer.datasets[0]!;
    const raw = openSections(golden.subarray(entry.offset, entry.offset + entry.length), entry, entry.sections.map(({ tag }) => tag), "golden");
    const shown = new Map([...page.matchAll(/^\*\*(\d+) `\w+`\*\*[^\n]*\n\n```\n([^]*?)^```$/gm)].map((match) => [Number(match[1]), bytesOf(match[2]!)]));
    for (const [tag, bytes] of raw) expect(shown.get(tag), `section ${tag}`).to.equal(Buffer.from(bytes).toString("hex"));
    expect([...shown.keys()].sort((a, b) => a - b)).to.deep.equal([...raw.keys()].sort((a, b) => a - b));
    expect(raw.has(TAG.columns + 4)).to.equal(true);
  });
});

/** The hex digits that lines begin with, up to two blanks. */
function bytesOf(dump: string): string {
  return dump.split("\n").map((line) => /^(?:[0-9a-f]{2} ?)+/.exec(line)?.[0].replaceAll(" ", "") ?? "").join("");
}
