import { CodedError, seededRandom } from "@pyromesh/base";
import { buildSegment, bytesSource, encodeSection, readFooter } from "@pyromesh/block";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS, profileOfAppName, windowStartOf } from "@pyromesh/profile";
import { expect } from "chai";
import { ComputeEngine } from "./compute-engine.ts";
import type { SegmentPart } from "./compute.ts";
import { OpenDatasets } from "./open-datasets.ts";
import { codecOf } from "./section-codec.ts";

const NOW_MS = 1_700_000_000_000;
const KIB = 1024;

/** The dataset of a small segment, as a query is handed it: a view of the whole object. */
async function partOf(object: string, text = "main;work 3\n"): Promise<SegmentPart> {
  const engine = new ComputeEngine({ openBytesMax: 0 }, { random: seededRandom(1), isMine: () => true });
  const { records } = engine.encode(
    {
      tenant: "t1",
      labels: [{ name: "service_name", value: "shop" }, { name: "__name__", value: "process_cpu" }],
      pprof: new Uint8Array(Buffer.from(text)),
      format: { kind: "folded", form: { mode: "groups", profile: profileOfAppName("cpu", 100) } },
      fallbackTimeNs: BigInt(NOW_MS) * 1_000_000n,
      nowMs: NOW_MS,
      settings: { ...DEFAULT_PROFILE_LIMITS, ...DEFAULT_ACCEPTANCE_WINDOW },
      generation: 1,
    } as Parameters<ComputeEngine["encode"]>[0],
    (lengthBytes) => new Uint8Array(lengthBytes),
  );
  engine.insert(1, records);
  const windowStartMs = windowStartOf(NOW_MS);
  let built = engine.build(1, "t1", windowStartMs);
  while (built === undefined) built = engine.build(1, "t1", windowStartMs);
  const datasets = built.map((dataset) => ({ ...dataset, sections: dataset.sections.map((section) => encodeSection(section.tag, section.raw, ...codecOf(section))) }));
  const times = { minTimeMs: NOW_MS, maxTimeMs: NOW_MS, recordCount: 1 };
  const bytes = buildSegment({ ...times, tenant: "t1" as never, windowStartMs, windowMs: 3_600_000, level: 0, storeId: "00".repeat(16), ordinal: 0, sources: [] }, datasets);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  const [entry] = (await readFooter(bytesSource(bytes), object, new AbortController().signal)).datasets;
  return { tenant: "t1", windowStartMs, service: "shop", object, bytes: shared.subarray(entry!.offset, entry!.offset + entry!.length), entry: entry! };
}

describe("open datasets", () => {
  it("count what they take in memory: hundreds of datasets of 1 kB do not fit into as many kB", async () => {
    const open = new OpenDatasets(1024 * KIB);
    const part = await partOf("o");
    for (let i = 0; i < 500; i++) open.use({ ...part, object: `o${i}` }, (dataset) => expect(dataset.rowCount).to.equal(1));
    expect(part.bytes.length).to.be.below(KIB);
    expect(open.datasetCount).to.be.within(50, 100);
    expect(open.sizeBytes).to.be.at.most(1024 * KIB);
  });

  it("are opened once, and count more when more of their sections are open", async () => {
    const open = new OpenDatasets(1024 * KIB);
    const part = await partOf("o", Array.from({ length: 1000 }, (_, i) => `main;work-${i} 1\n`).join(""));
    let first: unknown;
    open.use(part, (dataset) => (first = dataset));
    const before = open.sizeBytes;
    open.use(part, (dataset) => {
      expect(dataset).to.equal(first);
      expect(dataset.symbols.stringCount).to.be.above(1000);
    });
    expect(open.sizeBytes).to.be.above(before + 4 * KIB);
  });

  it("one that is larger than the whole cache is read, and not kept", async () => {
    const open = new OpenDatasets(KIB);
    open.use(await partOf("o"), (dataset) => expect(dataset.rowCount).to.equal(1));
    expect(open.datasetCount).to.equal(0);
  });

  it("damage names object and service, and is not kept; once repaired, the object is opened again", async () => {
    const open = new OpenDatasets(1024 * KIB);
    const part = await partOf("o");
    const damaged = { ...part, bytes: part.bytes.slice() };
    damaged.bytes[part.entry.sections.slice(0, 4).reduce((sum, { storedLength }) => sum + storedLength, 0)]! ^= 1;
    const refusal = ((): unknown => {
      try {
        open.use(damaged, (dataset) => void dataset.tree);
      } catch (error) {
        return error;
      }
    })();
    expect(refusal).to.be.instanceOf(CodedError);
    expect(refusal).to.include({ code: "CORRUPTION", kind: "data_loss" });
    expect((refusal as CodedError).details).to.include({ object: "o", service: "shop" });
    expect(open.datasetCount).to.equal(0);
    open.use(part, (dataset) => expect(dataset.tree.nodeCount).to.be.above(1));
    expect(open.datasetCount).to.equal(1);
  });
});
