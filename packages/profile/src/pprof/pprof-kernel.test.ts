import { expect } from "chai";
import { Function as PprofFunction, Label as PprofLabel, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { CodedError } from "@pyromesh/base";
import type { PushInput } from "../record/encode-push.ts";
import { encodePush } from "../record/encode-push.ts";
import { RESULT } from "../gen/kernel-layout.ts";
import { KernelMemory, nodeCountMax } from "./kernel-memory.ts";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { PprofKernel } from "./pprof-kernel.ts";
import type { RecordUse } from "../record/record-encode.ts";
import { expectedSums, recordSums } from "../testing/pprof-oracle.ts";

const NOW_MS = 1_700_000_000_000;
const SERIES_NAMES = new Set(["service_name", "__name__"]);
const INPUT_BYTES = 1 << 14;
const ANYTHING = { sampleCountMax: 2 ** 30 - 1, nodeCountMax: nodeCountMax(INPUT_BYTES), depthMax: 2 ** 30 - 1, labelCountMax: 2 ** 30 - 1 };

/** `unit` over and over, a whole number of times, at most `bytes` long. */
const repeated = (unit: readonly number[], bytes: number): Uint8Array => Uint8Array.from({ length: Math.floor(bytes / unit.length) * unit.length }, (_, i) => unit[i % unit.length]!);

/** A message in a field of the profile (its tag), with a length of two bytes. */
function message(tag: number, content: Uint8Array): Uint8Array {
  expect(content.length).within(128, INPUT_BYTES - 4);
  return Uint8Array.of(tag, (content.length & 127) | 128, content.length >> 7, ...content);
}

function push(pprof: Uint8Array, changes: Partial<PushInput> = {}, use?: RecordUse): ReturnType<typeof encodePush> {
  const input: PushInput = {
    tenant: "t1",
    labels: [
      { name: "service_name", value: "shop" },
      { name: "__name__", value: "process_cpu" },
    ],
    pprof,
    fallbackTimeNs: BigInt(NOW_MS) * 1_000_000n,
    nonce: new Uint8Array(16).fill(9),
    nowMs: NOW_MS,
    limits: { ...DEFAULT_PROFILE_LIMITS, profileSizeBytesMax: 0, sampleCountMax: 0 },
    window: DEFAULT_ACCEPTANCE_WINDOW,
    ...changes,
  };
  return encodePush(input, use);
}

function refusalOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof CodedError) return `${thrown.code}: ${thrown.message}`;
    throw thrown;
  }
  return "accepted";
}

/** `nameOf`: of each function; a function is a location is a sample. */
function profileOf(count: number, nameOf: (index: number) => string, filename = "main.py"): Uint8Array {
  const strings = new StringTable();
  const s = (text: string): number => strings.dedup(text);
  const all = Array.from({ length: count }, (_, i) => i + 1);
  return new Profile({
    sampleType: [new ValueType({ type: s("cpu"), unit: s("nanoseconds") })],
    sample: all.map((id) => new Sample({ locationId: [id], value: [id] })),
    location: all.map((id) => new Location({ id, line: [new Line({ functionId: id, line: id })] })),
    function: all.map((id) => new PprofFunction({ id, name: s(nameOf(id)), systemName: s(nameOf(id)), filename: s(filename) })),
    stringTable: strings,
    timeNanos: BigInt(NOW_MS) * 1_000_000n,
  }).encode();
}

describe("the kernel", () => {
  it("has room for whatever fills an input: columns never end before what they hold", () => {
    const kernel = new PprofKernel(INPUT_BYTES);
    const { columns, results } = kernel.memory;
    const most = INPUT_BYTES - 4;
    const inputs: readonly (readonly [what: string, bytes: Uint8Array, counts: readonly (readonly [keyof typeof RESULT, keyof typeof columns])[]])[] = [
      ["strings of nothing", repeated([0x32, 0], INPUT_BYTES), [["stringCount", "stringStart"], ["stringCount", "stringEnd"]]],
      ["functions of nothing", repeated([0x2a, 0], INPUT_BYTES), [["functionCount", "functionId"], ["functionCount", "functionStartLine"], ["functionCount", "recordFunctionName"]]],
      ["locations of nothing", repeated([0x22, 0], INPUT_BYTES), [["locationCount", "locationId"], ["locationCount", "lineStart"], ["locationCount", "recordLineStart"]]],
      ["lines of nothing", message(0x22, repeated([0x22, 0], most)), [["lineCount", "lineFunction"], ["lineCount", "lineNumber"], ["lineCount", "recordLineNumber"]]],
      ["the smallest samples", repeated([0x12, 2, 0x10, 1], INPUT_BYTES), [["sampleCount", "sampleNode"], ["sampleCount", "sampleLabelStart"], ["sampleCount", "list"], ["sampleCount", "recordSampleNode"]]],
      ["the smallest labels", message(0x12, Uint8Array.of(0x10, 1, ...repeated([0x1a, 2, 0x10, 1], most - 2))), [["labelCount", "labelKey"], ["labelCount", "labelText"]]],
      ["values", message(0x12, Uint8Array.of(0x12, ((most - 3) & 127) | 128, (most - 3) >> 7, ...repeated([1], most - 3))), [["valueCount", "values"], ["valueCount", "sums"], ["valueCount", "recordValues"]]],
    ];
    for (const [what, bytes, counts] of inputs) {
      expect(bytes.length, what).within(INPUT_BYTES - 256, INPUT_BYTES);
      kernel.decode(bytes, ANYTHING, 7);
      for (const [count, column] of counts) expect(columns[column].length, `${what}: ${column}`).greaterThan(results[RESULT[count]]! + 1).and.greaterThan(1000);
    }
    const ids = Uint8Array.from({ length: most - 5 }, (_, i) => 1 + (i % 127));
    const chain = Uint8Array.of(0x0a, (ids.length & 127) | 128, ids.length >> 7, ...ids, 0x10, 1);
    kernel.decode(message(0x12, chain), ANYTHING, 7);
    expect(kernel.nodeCount).equal(ids.length + 1);
    for (const column of ["nodeParent", "nodeLocation", "nodeChild", "nodeNew", "nodes", "path", "recordNodeParent"] as const) expect(columns[column].length).greaterThan(kernel.nodeCount);
    expect(columns.slots.length).greaterThan(kernel.nodeCount * 2);
  });

  it("takes a push many times larger than most, and the next small one all the same", () => {
    const large = profileOf(20_000, (id) => `function number ${id} of a very large program`);
    expect(large.length).greaterThan(1 << 20);
    for (const pprof of [large, profileOf(3, (id) => `f${id}`), large]) {
      expect(recordSums(push(pprof), SERIES_NAMES)).deep.equal(expectedSums(pprof));
    }
  });

  it("has a memory for the longest push that is decoded at all", () => {
    expect(new KernelMemory(16 << 20).columns.out.length).greaterThan(16 << 20);
  });

  it("writes the same record of a push that needs addresses beyond 2^31: those came back as negative numbers, and the push failed", () => {
    const pprof = profileOf(5, (id) => `f${id}`);
    // A field nobody knows, of so many zeros.
    const padded = new Uint8Array(12 << 20);
    const padding = padded.length - pprof.length - 5;
    padded.set(pprof);
    padded.set([0x7a, (padding & 127) | 128, ((padding >> 7) & 127) | 128, ((padding >> 14) & 127) | 128, padding >> 21], pprof.length);
    expect(new KernelMemory(padded.length).columns.out.byteOffset).greaterThan(2 ** 31);
    expect(push(padded)[0]!.bytes).deep.equal(push(pprof)[0]!.bytes);
  });

  it("refuses what it cannot hold, by its own limit where the operator lifted Pyroscope's", () => {
    expect(refusalOf(() => push(new Uint8Array((16 << 20) + 1)))).match(/^PROFILE_TOO_LARGE: the profile is 16777217 bytes uncompressed and at most \d+ can be decoded/);
    expect(refusalOf(() => push(repeated([0x1a, 0], 70_000 * 2)))).match(/^PROFILE_MALFORMED: the profile has more than \d+ mappings/);
    expect(refusalOf(() => push(repeated([0x0a, 0], 5000 * 2)))).match(/^PROFILE_MALFORMED: the profile has more than \d+ sample types/);
  });

  it("refuses a file name that would be put in front of thousands of functions, instead of growing with their product", () => {
    const ingest = { spyName: "pyspy", sampleTypes: {}, aggregationType: "", units: "" } as unknown as NonNullable<PushInput["ingest"]>;
    const pprof = profileOf(5_000, (id) => `f${id}`, `${"long/".repeat(10_000)}main.py`);
    expect(refusalOf(() => push(pprof, { ingest }))).match(/^PROFILE_TOO_LARGE: the profile's names become several times as long/);
    expect(recordSums(push(profileOf(50, (id) => `f${id}`, "lib/main.py"), { ingest }), SERIES_NAMES).size).equal(50);
  });

  it("refuses long names of sample types: four thousand that named one string became gigabytes of text", () => {
    const name = "n".repeat(1000);
    const pprofOf = (typeCount: number, text: string): Uint8Array => {
      const strings = new StringTable();
      const type = strings.dedup(text);
      return new Profile({
        sampleType: Array.from({ length: typeCount }, (_, i) => new ValueType({ type, unit: strings.dedup(`u${i}`) })), // each once
        sample: [new Sample({ value: Array.from({ length: typeCount }, () => 1) })],
        stringTable: strings,
      }).encode();
    };
    expect(refusalOf(() => push(pprofOf(4000, "n".repeat(300_000))))).match(/^PROFILE_MALFORMED: a type or unit has a name of 300000 bytes and at most \d+ are taken/);
    expect(refusalOf(() => push(pprofOf(4000, name)))).match(/^LABEL_VALUE_TOO_LONG: the labels and sample types of the series take \d+ bytes/);
    expect(refusalOf(() => push(pprofOf(100, name)))).equal("accepted");
  });

  it("lets names grow by what the push itself allows, whatever larger one came before", () => {
    const ingest = { spyName: "pyspy", sampleTypes: {}, aggregationType: "", units: "" } as unknown as NonNullable<PushInput["ingest"]>;
    const growing = profileOf(300, (id) => `f${id}`, `${"long/".repeat(2_000)}main.py`); // to 3 MB
    expect(refusalOf(() => push(growing, { ingest }))).match(/^PROFILE_TOO_LARGE: the profile's names become several times as long/);
    push(profileOf(40_000, (id) => `function number ${id} of a very large program`));
    expect(refusalOf(() => push(growing, { ingest }))).match(/^PROFILE_TOO_LARGE: the profile's names become several times as long/);
  });

  it("refuses a sample's labels before it encodes or reads those of others, of which thousands may name one long string", () => {
    const strings = new StringTable();
    const id = strings.dedup("id");
    const labelled = (text: string): Sample => new Sample({ value: [1], label: [new PprofLabel({ key: id, str: strings.dedup(text) })] });
    const sample = [labelled("short"), labelled("x".repeat(3000))];
    const pprof = new Profile({ sampleType: [new ValueType({ type: strings.dedup("cpu"), unit: 0 })], sample, stringTable: strings }).encode();
    let recordCount = 0;
    const use = { room: (lengthBytes: number): Uint8Array => new Uint8Array(lengthBytes), onRecord: (): void => void recordCount++ };
    expect(refusalOf(() => push(pprof, {}, use))).match(/^LABEL_VALUE_TOO_LONG/);
    expect(recordCount).equal(0);
  });

  it("names labels that leave no room in front of a record's columns", () => {
    const labels = [{ name: "__name__", value: "cpu" }, ...Array.from({ length: 100 }, (_, i) => ({ name: `l${i}`, value: "x".repeat(4000) }))];
    const limits = { ...DEFAULT_PROFILE_LIMITS, labelCountMax: 0, labelValueLengthBytesMax: 0 };
    expect(refusalOf(() => push(profileOf(1, () => "f"), { labels, limits }))).match(/^LABEL_VALUE_TOO_LONG: the labels and sample types of the series take \d+ bytes and fewer than \d+ are kept/);
  });
});
