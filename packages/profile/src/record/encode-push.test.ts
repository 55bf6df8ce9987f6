import { basename, join } from "node:path";
import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { Function as PprofFunction, Label as PprofLabel, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { CodedError } from "@pyromesh/base";
import type { PushInput } from "./encode-push.ts";
import { encodePush } from "./encode-push.ts";
import type { Label } from "../labels/labels.ts";
import { labelValue } from "../labels/labels.ts";
import type { SampleType } from "../labels/profile-type.ts";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import { decodeRecord } from "./record-decode.ts";
import type { EncodedRecord } from "../model/record-view.ts";
import { corpusPath, corpusPprof, corpusPprofFiles, expectedSums, recordSums, stackOf, stringOf } from "../testing/pprof-oracle.ts";
import { pprofFields } from "../testing/pprof-fields.ts";

const NOW_MS = 1_700_000_000_000;
const NOW_NS = BigInt(NOW_MS) * 1_000_000n;
const SERIES: Label[] = [
  { name: "service_name", value: "shop" },
  { name: "__name__", value: "process_cpu" },
  { name: "pod", value: "a" },
];
const SERIES_NAMES = new Set(["service_name", "__name__", "pod"]);
/** The corpus is old. */
const ANY_TIME = { rejectOlderThanMs: 0, rejectNewerThanMs: 0 };

function input(pprof: Uint8Array, changes: Partial<PushInput> = {}): PushInput {
  return {
    tenant: "t1",
    labels: SERIES,
    pprof,
    fallbackTimeNs: NOW_NS,
    nonce: new Uint8Array(16).fill(9),
    nowMs: NOW_MS,
    limits: DEFAULT_PROFILE_LIMITS,
    window: DEFAULT_ACCEPTANCE_WINDOW,
    ...changes,
  };
}

function push(pprof: Uint8Array, changes: Partial<PushInput> = {}): EncodedRecord[] {
  return encodePush(input(pprof, changes));
}

function refused(pprof: Uint8Array, changes: Partial<PushInput> = {}): string {
  try {
    push(pprof, changes);
  } catch (thrown) {
    expect(thrown, String(thrown)).instanceOf(CodedError);
    const error = thrown as CodedError; // just checked
    expect(error.kind).equal("invalid_argument");
    expect(error.message.length).greaterThan(20);
    return String(error.details["reason"]);
  }
  return "accepted";
}

interface SampleSpec {
  readonly stack: readonly string[];
  readonly values: readonly (number | bigint)[];
  readonly labels?: readonly Label[];
}

function profileOf(samples: readonly SampleSpec[], types: readonly string[] = ["samples:count"], timeNs: bigint = NOW_NS): Uint8Array {
  const writer = new PprofWriter({
    sampleTypes: types.map((type) => ({ type: type.split(":")[0]!, unit: type.split(":")[1]! })),
    periodType: { type: "cpu", unit: "nanoseconds" },
    period: 10_000_000,
    timeNs,
    durationNs: 10_000_000_000n,
  });
  for (const { stack, values, labels } of samples) writer.sample([...stack].reverse().map((name) => writer.frame(name)), values, labels);
  return writer.finish();
}

const ONE = profileOf([{ stack: ["main", "work"], values: [3] }]);
const identities = (records: readonly EncodedRecord[]): string[] => records.map(({ identity }) => Buffer.from(identity).toString("hex"));

describe("encodePush: real profiles", () => {
  it("every corpus profile keeps its sums per label set, type and stacktrace, as pprof-format tells them", function () {
    const corpus = corpusPath();
    if (corpus === undefined) return this.skip();
    let count = 0;
    for (const path of corpusPprofFiles(corpus)) {
      const file = basename(path);
      const pprof = corpusPprof(path);
      if (file === "invalid_utf8.pb.gz") {
        expect(refused(pprof, { window: ANY_TIME }), file).equal("malformed_profile");
        continue;
      }
      if (file.startsWith("dotnet-pprof-3")) {
        expect(refused(pprof, { window: ANY_TIME }), file).equal("malformed_profile");
        continue;
      }
      // As sent: what is made of Go's is told in fix-go-truncated.test.ts.
      const records = push(pprof, { window: ANY_TIME, limits: { ...DEFAULT_PROFILE_LIMITS, repairsGoStacktraces: false } });
      const expected = expectedSums(pprof, SERIES_NAMES);
      expect(expected.size, file).greaterThan(0);
      const found = recordSums(records, SERIES_NAMES);
      for (const [key, sum] of expected) expect(found.get(key), `${file} ${key}`).equal(sum);
      expect(found.size, file).equal(expected.size);
      count++;
    }
    expect(count).greaterThan(18);
  });

  it("/ingest names the profile types of the corpus as Pyroscope does", function () {
    const corpus = corpusPath();
    if (corpus === undefined) return this.skip();
    const cases: readonly (readonly [string, string, readonly string[]])[] = [
      ["profile_java", "", ["process_cpu:cpu:nanoseconds:cpu:nanoseconds"]],
      ["cpu.pb.gz", "", ["process_cpu:cpu:nanoseconds:cpu:nanoseconds", "process_cpu:samples:count:cpu:nanoseconds"]],
      ["cpu-js.pb.gz", "nodespy", ["wall:sample:count:wall:microseconds", "wall:wall:microseconds:wall:microseconds"]],
      ["heap-js.pprof", "nodespy", ["memory:objects:count:space:bytes", "memory:space:bytes:space:bytes"]],
      ["nodejs-heap.pb.gz", "nodespy", ["memory:inuse_objects:count:inuse_space:bytes", "memory:inuse_space:bytes:inuse_space:bytes"]],
      ["req_2.pprof", "gospy", ["goroutines:goroutine:count:goroutine:count"]],
      ["req_4.pprof", "gospy", ["mutex:contentions:count:contentions:count", "mutex:delay:nanoseconds:contentions:count"]],
      ["pyspy-1.pb.gz", "scripting", ["process_cpu:samples:count::milliseconds"]],
      ["dotnet-pprof-3.pb.gz", "dotnetspy", ["process_cpu:cpu:nanoseconds::nanoseconds"]],
    ];
    for (const [file, spyName, expected] of cases) {
      const path = join(corpus, "pprof", file);
      const configPath = path.replace(/\.(pb\.gz|pprof)$/, ".st.json");
      const config = configPath !== path && existsSync(configPath) ? (JSON.parse(readFileSync(configPath, "utf8")) as Record<string, { "display-name"?: string }>) : undefined;
      const sampleTypes =
        config === undefined
          ? undefined
          : Object.fromEntries(Object.entries(config).map(([type, shown]) => [type, shown["display-name"] === undefined ? {} : { displayName: shown["display-name"] }]));
      const records = push(corpusPprof(path), { window: ANY_TIME, labels: [{ name: "service_name", value: "x" }], ingest: { spyName, sampleTypes } });
      const types = new Set<string>();
      for (const record of records) {
        const view = decodeRecord(record.bytes, "r");
        for (const { type, unit } of view.sampleTypes) {
          types.add(`${labelValue(view.labels, "__name__")}:${type}:${unit}:${view.periodType.type}:${view.periodType.unit}`);
        }
      }
      expect([...types].sort(), file).deep.equal([...expected].sort());
    }
  });

  it("a profile of 1970 by /ingest takes the caller's time, and is its own each time", function () {
    const corpus = corpusPath();
    if (corpus === undefined) return this.skip();
    const pprof = corpusPprof(join(corpus, "pprof", "invalid_utf8.pb.gz"));
    expect(refused(pprof, { ingest: { spyName: "", sampleTypes: undefined } })).equal("malformed_profile");
    const old = profileOf([{ stack: ["main"], values: [1] }], ["samples:count"], 15_000_000_000n);
    const ingest = { spyName: "", sampleTypes: undefined };
    expect(decodeRecord(push(old, { ingest })[0]!.bytes, "r").timeNs).equal(NOW_NS);
    expect(identities(push(old, { ingest }))).not.deep.equal(identities(push(old, { ingest, nonce: new Uint8Array(16) })));
    expect(refused(old)).equal("not_in_ingestion_window");
  });
});

// --- any profile ------------------------------------------------------------------------------------------------------

interface AnyProfile {
  readonly samples: readonly { readonly stack: readonly number[]; readonly values: readonly bigint[]; readonly labels: readonly (readonly [string, string])[] }[];
  /** Turns location and function numbers into ids. */
  readonly ids: "dense" | "sparse" | "huge" | "reversed";
}

const anyValue = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt(0n, 1000n) },
  { weight: 2, arbitrary: fc.bigInt(0n, (1n << 54n) + 5n) },
  { weight: 1, arbitrary: fc.bigInt(-(1n << 63n), (1n << 62n) - 1n) },
);
const anyLabel = fc.tuple(
  fc.constantFrom("env", "tier", "pod", "span_id", "profile_id", "trace_id"),
  fc.constantFrom("x", "y", "0123456789abcdef", "0123456789ABCDEF0123456789abcdef", "not hex", "ünï"),
);
const anyProfile: fc.Arbitrary<AnyProfile> = fc.record({
  samples: fc.array(
    fc.record({
      stack: fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 12 }),
      values: fc.array(anyValue, { minLength: 2, maxLength: 2 }),
      labels: fc.uniqueArray(anyLabel, { maxLength: 3, selector: ([name]) => (name === "profile_id" ? "span_id" : name) }),
    }),
    { minLength: 1, maxLength: 40 },
  ),
  ids: fc.constantFrom("dense", "sparse", "huge", "reversed"),
});

const idOf = (kind: AnyProfile["ids"], number: number): bigint => {
  if (kind === "dense") return BigInt(number + 1);
  if (kind === "sparse") return BigInt((number + 1) * 1_000_003);
  if (kind === "reversed") return BigInt(100 - number);
  return (1n << 63n) + BigInt(number * 7);
};

/** Through pprof-format. */
function encodeAny(any: AnyProfile): Uint8Array {
  const strings = new StringTable();
  const s = (text: string): number => strings.dedup(text);
  const used = [...new Set(any.samples.flatMap(({ stack }) => stack))];
  // pprof-format writes negative numbers right, from bigints.
  return new Profile({
    sampleType: [new ValueType({ type: s("cpu"), unit: s("nanoseconds") }), new ValueType({ type: s("samples"), unit: s("count") })],
    sample: any.samples.map(
      ({ stack, values, labels }) =>
        new Sample({
          locationId: stack.map((number) => idOf(any.ids, number)),
          value: [...values],
          label: labels.map(([name, value]) => new PprofLabel({ key: s(name), str: s(value) })),
        }),
    ),
    mapping: [new Mapping({ id: 1, filename: s("bin") })],
    location: used.map(
      (number) =>
        new Location({
          id: idOf(any.ids, number),
          mappingId: 1,
          address: 4096 + number,
          line: [new Line({ functionId: idOf(any.ids, number), line: number * 50 }), new Line({ functionId: idOf(any.ids, used[0]!), line: 1 })],
        }),
    ),
    function: used.map((number) => new PprofFunction({ id: idOf(any.ids, number), name: s(`f${number}`), systemName: s(`f${number}`), filename: s(`d/${number % 5}.go`), startLine: number })),
    stringTable: strings,
    timeNanos: NOW_NS,
    durationNanos: 5n,
    periodType: new ValueType({ type: s("cpu"), unit: s("nanoseconds") }),
    period: 10,
  }).encode();
}

describe("encodePush: any profile", () => {
  it("keeps the sums that pprof-format tells, whatever ids, labels and 64-bit values", () => {
    fc.assert(
      fc.property(anyProfile, (any) => {
        const pprof = encodeAny(any);
        const names = new Set(SERIES_NAMES);
        const expected = expectedSums(pprof, names);
        const found = recordSums(push(pprof), names);
        const max = (1n << 63n) - 1n;
        for (const [key, sum] of expected) expect(found.get(key), key).equal(sum > max ? max : sum);
        expect(found.size).equal(expected.size);
      }),
      { numRuns: 300 },
    );
  });

  it("numbering of ids does not change identities", () => {
    fc.assert(
      fc.property(anyProfile, (any) => {
        const dense = identities(push(encodeAny({ ...any, ids: "dense" })));
        for (const ids of ["sparse", "huge", "reversed"] as const) expect(identities(push(encodeAny({ ...any, ids })))).deep.equal(dense);
      }),
      { numRuns: 100 },
    );
  });

  it("order of fields, unknown fields and unused symbols do not change identities", () => {
    fc.assert(
      fc.property(anyProfile, fc.infiniteStream(fc.nat(1000)), (any, stream) => {
        const pprof = encodeAny(any);
        const expected = identities(push(pprof));
        const order = stream[Symbol.iterator]();
        expect(identities(push(shuffled(pprof, () => Number(order.next().value))))).deep.equal(expected);
      }),
      { numRuns: 100 },
    );
  });

  it("broken bytes are refused or read, never anything else", () => {
    fc.assert(
      fc.property(anyProfile, fc.nat(), fc.nat(255), (any, at, byte) => {
        const pprof = encodeAny(any);
        refused(pprof.subarray(0, at % pprof.length));
        const changed = pprof.slice();
        changed[at % pprof.length] = byte;
        refused(changed);
      }),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => void refused(noise)), { numRuns: 500 });
  });

  it("a profile cut at any byte is refused or read as what stands before the cut", () => {
    const pprof = encodeAny({ ids: "sparse", samples: [{ stack: [1, 2, 3], values: [5n, 1n << 60n], labels: [["env", "x"]] }, { stack: [2], values: [1n, 1n], labels: [] }] });
    let refusedCount = 0;
    for (let length = 0; length < pprof.length; length++) if (refused(pprof.subarray(0, length)) !== "accepted") refusedCount++;
    expect(refusedCount).greaterThan(pprof.length * 0.8);
  });
});

/** The top-level fields in another order: kinds may mix, but within samples and strings order is content. */
function shuffled(pprof: Uint8Array, random: () => number): Uint8Array {
  const queues = new Map<number, Uint8Array[]>();
  for (const { tag, from, to } of pprofFields(pprof)) queues.set(tag, [...(queues.get(tag) ?? []), pprof.subarray(from, to)]);
  const locations = queues.get(0x22);
  locations?.reverse();
  queues.get(0x2a)?.reverse();
  const out: Uint8Array[] = [];
  // Unknown: field 99 of each wire type; a function nobody calls; a comment.
  const extras = [[0x98, 0x06, 0x05], [0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8], [0x9a, 0x06, 2, 9, 9], [0x9d, 0x06, 1, 2, 3, 4], [0x2a, 6, 0x08, 0xff, 0xff, 0x7f, 0x10, 1], [0x68, 1], [0x6a, 2, 1, 1]];
  while (queues.size > 0) {
    const tags = [...queues.keys()];
    const tag = tags[random() % tags.length]!;
    const queue = queues.get(tag)!;
    out.push(queue.shift()!);
    if (queue.length === 0) queues.delete(tag);
    if (random() % 5 === 0) out.push(Uint8Array.from(extras[random() % extras.length]!));
  }
  return Buffer.concat(out);
}

// --- rules ------------------------------------------------------------------------------------------------------------

describe("encodePush: labels", () => {
  const labelled = (...pairs: string[]): Label[] => pairs.map((pair) => ({ name: pair.split("=")[0]!, value: pair.split("=")[1]! }));
  const N = "__name__=memory";
  const S = "service_name=x";

  it("a missing service_name becomes unknown_service", () => {
    const [record] = push(ONE, { labels: labelled(N) });
    expect(record!.service).equal("unknown_service");
    expect(labelValue(decodeRecord(record!.bytes, "r").labels, "service_name")).equal("unknown_service");
  });

  it("a label sent twice with one value is one, the series the same, and it counts once towards the limit", () => {
    const once = push(ONE, { labels: labelled(N, S, "a=1", "b=2") });
    const doubled = [N, S, "a=1", "b=2", "a=1", "b=2", N, S, "a=1"];
    const twice = push(ONE, { labels: labelled(...doubled), limits: { ...DEFAULT_PROFILE_LIMITS, labelCountMax: 4 } });
    expect(identities(twice)).deep.equal(identities(once));
    expect(decodeRecord(twice[0]!.bytes, "r").labels.map(({ name, value }) => `${name}=${value}`)).deep.equal([N, "a=1", "b=2", S]);
    expect(refused(ONE, { labels: labelled(N, "a=1", "a=1") })).equal("accepted");
  });

  it("of a sample's label given twice the first counts, as in Pyroscope, whatever the second says", () => {
    for (const second of ["1", "2"]) {
      const pprof = profileOf([{ stack: ["main"], values: [3], labels: [{ name: "a", value: "1" }, { name: "a", value: second }] }]);
      expect(push(pprof).map(({ bytes }) => labelValue(decodeRecord(bytes, "r").labels, "a"))).deep.equal(["1"]);
    }
  });

  it("refuses what Pyroscope refuses, and takes any other UTF-8 name", () => {
    expect(refused(ONE, { labels: labelled(S) })).equal("invalid_labels");
    expect(refused(ONE, { labels: [] })).equal("invalid_labels");
    expect(refused(ONE, { labels: labelled(N, S, "a b=c") })).equal("accepted");
    expect(refused(ONE, { labels: labelled(N, S, "a.b=c") })).equal("accepted");
    for (const doubled of [["a=1", "a=2"], ["a=1", "a=2", "a=1"], ["a=1", "b=1", "a="], ["__name__=other"], ["service_name=y"]]) {
      expect(refused(ONE, { labels: labelled(N, S, ...doubled) }), doubled.join()).equal("duplicate_label_names");
    }
    expect(refused(ONE, { labels: labelled(N, S, ...Array.from({ length: 29 }, (_, i) => `l${i}=v`)) })).equal("max_label_names_per_series");
    expect(refused(ONE, { labels: labelled(N, S, ...Array.from({ length: 28 }, (_, i) => `l${i}=v`)) })).equal("accepted");
    expect(refused(ONE, { labels: labelled(N, S, `${"n".repeat(1025)}=v`) })).equal("label_name_too_long");
    expect(refused(ONE, { labels: labelled(N, S, `a=${"ü".repeat(1025)}`) })).equal("label_value_too_long");
    expect(refused(ONE, { labels: labelled(N, S, `a=${"ü".repeat(1024)}`) })).equal("accepted");
    expect(refused(ONE, { labels: labelled(N, "service_name=") })).equal("missing_labels");
    expect(refused(ONE, { labels: labelled(N, S, "=c") })).equal("invalid_labels");
  });

  // The values of the second were stored, and no query answered with them.
  it("a sample type given twice is refused; the same type in two units is two", () => {
    const two = [{ stack: ["main"], values: [1, 2] }];
    expect(refused(profileOf(two, ["cpu:nanoseconds", "cpu:nanoseconds"]))).equal("malformed_profile");
    expect(refused(profileOf(two, ["cpu:nanoseconds", "cpu:count"]))).equal("accepted");
  });

  it("bytes of another format are refused with the name of that format", () => {
    const told = (bytes: Uint8Array): string => {
      try {
        push(bytes);
        return "accepted";
      } catch (error) {
        return (error as CodedError).message;
      }
    };
    expect(told(Buffer.from("FLR\0\0\u0002\0\0"))).contain("format=jfr");
    expect(told(Buffer.from('{"exporter":"x","$schema":"https://www.speedscope.app/file-format-schema.json"}'))).contain("format=speedscope");
    expect(told(Buffer.from("main;work 12\nmain 3\n"))).contain("format=folded");
    for (const other of ["noise noise noise", "{}", "<html>404</html>"]) expect(told(Buffer.from(other))).not.contain("format=");
    expect(told(ONE.subarray(0, -3)), "its own").not.contain("format=");
  });

  // They were stored, and listed as a profile type of eight parts that every query refused.
  it("a colon in a profile's name, type or unit is refused: no query could name the profile type", () => {
    expect(refused(ONE, { labels: labelled("__name__=a:b", S) })).equal("invalid_labels");
    const typed = (sampleType: SampleType, periodType: SampleType): Uint8Array => {
      const writer = new PprofWriter({ sampleTypes: [sampleType], periodType, period: 1, timeNs: NOW_NS, durationNs: 1n });
      writer.sample([writer.frame("main")], [3]);
      return writer.finish();
    };
    const cpu = { type: "cpu", unit: "nanoseconds" };
    expect(refused(typed(cpu, cpu))).equal("accepted");
    for (const odd of [{ type: "c:pu", unit: "nanoseconds" }, { type: "cpu", unit: ":" }]) {
      expect(refused(typed(odd, cpu)), JSON.stringify(odd)).equal("malformed_profile");
      expect(refused(typed(cpu, odd)), JSON.stringify(odd)).equal("malformed_profile");
    }
  });

  it("__delta__ and the store's own labels are dropped; the order sent does not matter", () => {
    const [record] = push(ONE, { labels: labelled("z=1", S, "__delta__=false", N, "__profile_type__=q") });
    expect(decodeRecord(record!.bytes, "r").labels).deep.equal(labelled(N, S, "z=1"));
    expect(identities([record!])).deep.equal(identities(push(ONE, { labels: labelled(N, "z=1", S) })));
  });

  it("a session id is kept on the series, where it was folded before, and never on samples", () => {
    const pprof = profileOf([{ stack: ["a"], values: [1], labels: [{ name: "__session_id__", value: "7" }] }]);
    const labels = push(pprof, { labels: labelled(N, S) }).map(({ bytes }) => decodeRecord(bytes, "r").labels);
    expect(labels).deep.equal([labelled(N, S)]);
    const [record] = push(ONE, { labels: labelled(S, N, "__session_id__=0100000000000000") });
    expect(decodeRecord(record!.bytes, "r").labels).deep.equal(labelled(N, "__session_id__=0100000000000000", S));
  });

  it("godeltaprof_X is kept as X and says so", () => {
    const [record] = push(ONE, { labels: labelled("__name__=godeltaprof_memory", S) });
    expect(decodeRecord(record!.bytes, "r").labels).deep.equal(labelled(N, "__name_replaced__=godeltaprof_memory", S));
  });

  it("the cpu column of a wall profile is a process_cpu record, without the samples it has no value for", () => {
    const pprof = profileOf([{ stack: ["a"], values: [1, 5] }, { stack: ["b"], values: [1, 0] }], ["wall:nanoseconds", "cpu:nanoseconds"]);
    const records = push(pprof, { labels: labelled("__name__=wall", S) });
    const views = records.map(({ bytes }) => decodeRecord(bytes, "r"));
    expect(views.map(({ labels, sampleTypes, sampleCount }) => [labelValue(labels, "__name__"), sampleTypes[0]!.type, sampleCount])).deep.equal([
      ["wall", "wall", 2],
      ["process_cpu", "cpu", 1],
    ]);
  });

  it("sample labels split, series labels win, and groups that end alike are one", () => {
    const pprof = profileOf([
      { stack: ["a"], values: [1], labels: labelled("env=x", "pod=other") },
      { stack: ["a"], values: [2], labels: labelled("env=y") },
      { stack: ["a"], values: [4], labels: labelled("pod=b", "env=x") },
      { stack: ["a"], values: [8], labels: labelled("__delta__=x") },
    ]);
    const sums = recordSums(push(pprof), SERIES_NAMES);
    expect([...sums].map(([key, sum]) => `${key} ${sum}`)).deep.equal([`{env="x"} samples:count a :0 5`, `{env="y"} samples:count a :0 2`, `{} samples:count a :0 8`]);
    expect(push(pprof).length).equal(3);
  });

  it("sample labels count as labels", () => {
    const many = Array.from({ length: 28 }, (_, i) => `k${i}=v`);
    expect(refused(profileOf([{ stack: ["a"], values: [1], labels: labelled(...many) }]))).equal("max_label_names_per_series");
  });

  it("span and trace ids stay with their samples; malformed ones are dropped", () => {
    const pprof = profileOf([
      { stack: ["a"], values: [1], labels: labelled("span_id=00000000000000ff", "trace_id=000102030405060708090a0b0c0d0e0f") },
      { stack: ["a"], values: [2], labels: labelled("profile_id=00000000000000FF", "trace_id=000102030405060708090A0B0C0D0E0F") },
      { stack: ["a"], values: [4], labels: labelled("span_id=xyz") },
      { stack: ["a"], values: [8], labels: labelled("span_id=0000000000000000") },
      { stack: ["b"], values: [1], labels: labelled("span_id=0100000000000000") },
    ]);
    const records = push(pprof);
    expect(records.length).equal(1);
    const view = decodeRecord(records[0]!.bytes, "r");
    expect([...view.values[0]!.subarray(0, view.sampleCount)]).deep.equal([3, 12, 1]);
    expect([...view.sampleSpan!.subarray(0, 3)]).deep.equal([1, 0, 2]);
    expect([...view.spans]).deep.equal([...new Array<number>(8).fill(0), 0, 0, 0, 0, 0, 0, 0, 255, 1, 0, 0, 0, 0, 0, 0, 0]);
    expect([...view.sampleTrace!.subarray(0, 3)]).deep.equal([1, 0, 0]);
    expect([...view.traces.subarray(16)]).deep.equal(Array.from({ length: 16 }, (_, i) => i));
  });
});

describe("encodePush: time and identity", () => {
  it("refuses what lies outside the acceptance window", () => {
    const at = (offsetMs: number): string => refused(profileOf([{ stack: ["a"], values: [1] }], ["samples:count"], BigInt(NOW_MS + offsetMs) * 1_000_000n));
    expect(at(-3_600_001)).equal("not_in_ingestion_window");
    expect(at(-3_600_000)).equal("accepted");
    expect(at(600_000)).equal("accepted");
    expect(at(600_001)).equal("not_in_ingestion_window");
  });

  it("the same push twice has the same identity; another tenant, label, time or profile id another", () => {
    const base = identities(push(ONE));
    expect(identities(push(ONE, { nonce: new Uint8Array(16).fill(1), idempotencyKey: "k", nowMs: NOW_MS + 5 }))).deep.equal(base);
    expect(identities(push(ONE, { tenant: "t2" }))).not.deep.equal(base);
    expect(identities(push(ONE, { labels: [...SERIES, { name: "x", value: "" }] }))).not.deep.equal(base);
    expect(identities(push(ONE, { profileId: new Uint8Array(16).fill(1) }))).not.deep.equal(base);
    expect(identities(push(profileOf([{ stack: ["main", "work"], values: [3] }], ["samples:count"], NOW_NS + 1n)))).not.deep.equal(base);
  });

  it("a push without a clock is its own, unless an idempotency key or a profile id says which it is", () => {
    const clockless = profileOf([{ stack: ["a"], values: [1] }], ["samples:count"], 0n);
    const nonces = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
    const of = (changes: Partial<PushInput>): string[] => nonces.flatMap((nonce) => identities(push(clockless, { ...changes, nonce })));
    const [a, b] = of({});
    expect(a).not.equal(b);
    const [c, d] = of({ idempotencyKey: "k" });
    expect(c).equal(d);
    const [e, f] = of({ profileId: new Uint8Array(16).fill(3) });
    expect(e).equal(f);
    expect(new Set([a, b, c, e]).size).equal(4);
    expect(decodeRecord(push(clockless)[0]!.bytes, "r").timeNs).equal(NOW_NS);
  });

  it("records of one profile share an id, the client's or one of their own, which another profile has not", () => {
    const samples = (leaf: number): SampleSpec[] => [
      { stack: ["main"], values: [leaf], labels: [{ name: "handler", value: "a" }] },
      { stack: ["main"], values: [2], labels: [{ name: "handler", value: "b" }] },
    ];
    const ids = (leaf: number, changes: Partial<PushInput> = {}): (string | undefined)[] =>
      push(profileOf(samples(leaf)), changes).map(({ bytes }) => {
        const { profileId } = decodeRecord(bytes, "a test record");
        return profileId === undefined ? undefined : Buffer.from(profileId).toString("hex");
      });
    const [first, second] = ids(1);
    expect(first).a("string");
    expect(second).equal(first);
    expect(ids(1)).deep.equal([first, first]);
    expect(ids(3)).not.include(first);
    expect(ids(1, { labels: [...SERIES, { name: "zone", value: "x" }] })).not.include(first);
    expect(ids(1, { profileId: new Uint8Array(16).fill(0xab) })).deep.equal(["ab".repeat(16), "ab".repeat(16)]);
    expect(push(ONE).map(({ bytes }) => decodeRecord(bytes, "a test record").profileId)).deep.equal([undefined]);
  });

  it("an identity outlives its record's bytes", () => {
    const [record] = push(ONE);
    expect(record!.identity.buffer).not.equal(record!.bytes.buffer);
    expect(record!.bytes.byteLength).equal(record!.bytes.buffer.byteLength);
  });
});

describe("encodePush: content", () => {
  it("drops samples with a negative value and those of zeros; nothing left is no error", () => {
    const records = push(profileOf([{ stack: ["a"], values: [-1, 5] }, { stack: ["b"], values: [0, 0] }, { stack: ["c"], values: [0, 2] }], ["x:count", "y:count"]));
    expect([...recordSums(records, SERIES_NAMES)].map(([key, sum]) => `${key} ${sum}`)).deep.equal(["{} y:count c :0 2"]);
    expect(push(profileOf([{ stack: ["a"], values: [0] }]))).deep.equal([]);
    expect(push(profileOf([]))).deep.equal([]);
  });

  it("adds up equal stacktraces exactly, past 2^53 and up to the end of int64", () => {
    const value = (values: readonly bigint[]): bigint => BigInt(decodeRecord(push(profileOf(values.map((v) => ({ stack: ["a"], values: [v] }))))[0]!.bytes, "r").values[0]![0]!);
    expect(value([(1n << 53n) - 1n, 2n])).equal((1n << 53n) + 1n);
    expect(value([(1n << 53n) + 1n])).equal((1n << 53n) + 1n);
    expect(value([(1n << 63n) - 1n, 5n])).equal((1n << 63n) - 1n);
    expect(value([5n, 7n])).equal(12n);
  });

  it("a stacktrace beyond the depth limit keeps its root side", () => {
    const limits = { ...DEFAULT_PROFILE_LIMITS, stacktraceDepthMax: 3 };
    const pprof = profileOf([{ stack: ["a", "b", "c", "d", "e"], values: [1] }, { stack: ["a", "b", "c", "x"], values: [2] }, { stack: ["a"], values: [4] }]);
    const view = decodeRecord(push(pprof, { limits })[0]!.bytes, "r");
    expect(view.sampleCount).equal(2);
    expect(stackOf(view, view.sampleNode[0]!).map((frame) => frame.split(" ")[0])).deep.equal(["a", "b", "c"]);
    expect([...view.values[0]!.subarray(0, 2)]).deep.equal([3, 4]);
  });

  it("a string beyond the limit keeps its end, in whole characters", () => {
    const limits = { ...DEFAULT_PROFILE_LIMITS, symbolLengthBytesMax: 16 };
    const view = decodeRecord(push(profileOf([{ stack: ["github.com/a/b.very.long.Name", `${"€".repeat(10)}`], values: [1] }]), { limits })[0]!.bytes, "r");
    expect(stackOf(view, view.sampleNode[0]!)).deep.equal(["b.very.long.Name :0", "€€€€€ :0"]);
  });

  it("Go's shapes of type parameters are one function", () => {
    const names = [
      "main.Map[go.shape.string].Get",
      "main.Map[go.shape.int,go.shape.[]uint8].Get",
      "main.plain",
      "main.A[go.shape.struct { B []go.shape.int }].Each[go.shape.[4]uint8].func1",
      "main.Open[go.shape.int",
      "main.List[int].Len",
    ];
    const view = decodeRecord(push(profileOf(names.map((name) => ({ stack: [name], values: [1] }))))[0]!.bytes, "r");
    const symbols = view.symbols;
    const kept = Array.from({ length: symbols.functionCount - 1 }, (_, i) => stringOf(view, symbols.functionName[i + 1]!));
    expect(kept).deep.equal(["main.Map.Get", "main.Map.Get", "main.plain", "main.A.Each.func1", "main.Open[go.shape.int", "main.List[int].Len"]);
    expect(symbols.functionName[1]).equal(symbols.functionName[2]);
  });

  it("pyspy and other scripting clients get the file before the function", () => {
    const writer = new PprofWriter({ sampleTypes: [{ type: "samples", unit: "count" }], periodType: { type: "", unit: "" }, period: 0, timeNs: NOW_NS, durationNs: 0n });
    writer.sample([writer.frame("func1", "qwe.py", 3), writer.frame("main", "qwe.py", 1), writer.frame("lib", "/usr/lib/x.py")], [10]);
    const pprof = writer.finish();
    const names = (spyName: string): string[] => {
      const view = decodeRecord(push(pprof, { labels: [], ingest: { spyName, sampleTypes: undefined } })[0]!.bytes, "r");
      return stackOf(view, view.sampleNode[0]!).map((frame) => frame.slice(0, frame.lastIndexOf(" ")));
    };
    expect(names("pyspy")).deep.equal(["lib", "qwe.py main", "qwe.py func1"]);
    expect(names("rbspy")).deep.equal(["/usr/lib/x.py lib", "qwe.py main", "qwe.py func1"]);
    expect(names("gospy")).deep.equal(["lib", "main", "func1"]);
  });

  it("addresses and ranges go where the mapping has functions, and stay elsewhere", () => {
    const strings = new StringTable();
    const s = (text: string): number => strings.dedup(text);
    const build = (hasFunctions: boolean): Uint8Array =>
      new Profile({
        sampleType: [new ValueType({ type: s("cpu"), unit: s("count") })],
        sample: [new Sample({ locationId: [1], value: [1] })],
        mapping: [new Mapping({ id: 1, memoryStart: 4096, memoryLimit: 8192, fileOffset: 1, filename: s("bin"), buildId: s("abc"), hasFunctions })],
        location: [new Location({ id: 1, mappingId: 1, address: (1n << 63n) + 5n, line: [] })],
        stringTable: strings,
        timeNanos: NOW_NS,
      }).encode();
    const kept = decodeRecord(push(build(false))[0]!.bytes, "r").symbols;
    expect([kept.mappingStart[1], kept.mappingLimit[1], kept.mappingFileOffset[1]]).deep.equal([4096n, 8192n, 1n]);
    expect([kept.locationAddressLow[1], kept.locationAddressHigh[1]]).deep.equal([5, 0x8000_0000]);
    const cleared = decodeRecord(push(build(true))[0]!.bytes, "r").symbols;
    expect([cleared.mappingStart[1], cleared.mappingLimit[1], cleared.mappingFileOffset[1]]).deep.equal([0n, 0n, 0n]);
    expect([cleared.locationAddressLow[1], cleared.locationAddressHigh[1], cleared.mappingFlags[1]]).deep.equal([0, 0, 1]);
  });

  it("refuses by the limits on samples, sample labels and size, and 0 lifts them", () => {
    const three = profileOf([1, 2, 3].map((v) => ({ stack: [`f${v}`], values: [v], labels: [{ name: "a", value: "b" }, { name: "c", value: "d" }] })));
    const limited = (changes: Partial<typeof DEFAULT_PROFILE_LIMITS>): string => refused(three, { limits: { ...DEFAULT_PROFILE_LIMITS, ...changes } });
    expect(limited({ sampleCountMax: 2 })).equal("samples_limit");
    expect(limited({ sampleCountMax: 3 })).equal("accepted");
    expect(limited({ sampleCountMax: 0 })).equal("accepted");
    expect(limited({ sampleLabelCountMax: 1 })).equal("sample_labels_limit");
    expect(limited({ sampleLabelCountMax: 2 })).equal("accepted");
    expect(limited({ profileSizeBytesMax: 10 })).equal("profile_size_limit");
    expect(limited({ profileSizeBytesMax: 0, stacktraceDepthMax: 0, symbolLengthBytesMax: 0 })).equal("accepted");
  });

  it("refuses what is malformed, and an empty body but on /ingest", () => {
    expect(refused(new Uint8Array(0))).equal("malformed_profile");
    expect(push(new Uint8Array(0), { ingest: { spyName: "", sampleTypes: undefined } })).deep.equal([]);
    expect(refused(Buffer.from("this is not a profile"))).equal("malformed_profile");
    expect(refused(Buffer.from("noise noise noise"))).equal("malformed_profile");
    expect(refused(profileOf([{ stack: ["a"], values: [1, 2] }]))).equal("malformed_profile");
    expect(refused(profileOf([{ stack: ["a"], values: [1] }, { stack: ["b"], values: [1, 2] }]))).equal("malformed_profile");
    expect(refused(profileOf([{ stack: ["a"], values: [1] }], ["alloc-size:bytes"]))).equal("malformed_profile");
    // sample type {1,2}, one sample of location 0, strings "", "a", "b"
    const strings = [0x32, 0, 0x32, 1, 0x61, 0x32, 1, 0x62];
    expect(refused(Uint8Array.from([0x0a, 4, 8, 1, 16, 2, 0x12, 6, 0x0a, 1, 0, 0x12, 1, 5, ...strings]))).equal("malformed_profile");
    expect(refused(Uint8Array.from([0x0a, 4, 8, 1, 16, 9, ...strings]))).equal("malformed_profile");
    expect(refused(Uint8Array.from([0x0a, 4, 8, 1, 16, 2, 0x2a, 4, 8, 1, 16, 3, ...strings]))).equal("malformed_profile");
    expect(refused(Uint8Array.from([0x0a, 4, 8, 0, 16, 0, 0x32, 1, 0x61]))).equal("malformed_profile");
    expect(refused(Uint8Array.from([0x0a, 4, 8, 1, 16, 2, ...strings, 0x32, 1, 0xff]))).equal("malformed_profile");
    expect(refused(Uint8Array.from([0x0a, 4, 8, 1, 16, 2, ...strings, 0x48, ...new Array<number>(10).fill(0xff), 1]))).equal("malformed_profile");
    expect(refused(Uint8Array.from([0x0a, 4, 8, 1, 16, 2, ...strings]))).equal("accepted");
  });

  it("values and location ids may come unpacked, and in several runs", () => {
    const tail = [0x22, 6, 8, 1, 0x22, 2, 8, 1, 0x22, 7, 8, 0x80 | 44, 2, 0x22, 2, 8, 1, 0x2a, 4, 8, 1, 16, 3, 0x32, 0, 0x32, 1, 0x61, 0x32, 1, 0x62, 0x32, 1, 0x63];
    const types = [0x0a, 4, 8, 1, 16, 2, 0x0a, 4, 8, 2, 16, 1];
    const packed = Uint8Array.from([...types, 0x12, 9, 0x0a, 3, 1, 0x80 | 44, 2, 0x12, 2, 5, 6, ...tail]);
    const loose = Uint8Array.from([...types, 0x12, 9, 8, 1, 16, 5, 8, 0x80 | 44, 2, 16, 6, ...tail]);
    const runs = Uint8Array.from([...types, 0x12, 13, 0x0a, 1, 1, 0x12, 1, 5, 0x0a, 2, 0x80 | 44, 2, 0x12, 1, 6, ...tail]);
    const clock = { nonce: new Uint8Array(16) };
    const expected = identities(push(packed, clock));
    expect(expected.length).equal(1);
    expect(identities(push(loose, clock))).deep.equal(expected);
    expect(identities(push(runs, clock))).deep.equal(expected);
  });

  it("a frame without a location and a line without a function are left out; totals stay", () => {
    const types = [0x0a, 4, 8, 1, 16, 2];
    const strings = [0x32, 0, 0x32, 1, 0x61, 0x32, 1, 0x62];
    const bytes = Uint8Array.from([...types, 0x12, 8, 0x0a, 3, 1, 7, 1, 0x12, 1, 5, 0x22, 10, 8, 1, 0x22, 2, 8, 1, 0x22, 2, 8, 9, 0x2a, 4, 8, 1, 16, 1, ...strings]);
    const view = decodeRecord(push(bytes)[0]!.bytes, "r");
    expect(stackOf(view, view.sampleNode[0]!)).deep.equal(["a :0", "a :0"]);
    expect(view.values[0]![0]).equal(5);
  });

  it("a sample ending in a frame without a location is the sample ending before it", () => {
    const types = [0x0a, 4, 8, 1, 16, 2];
    const strings = [0x32, 0, 0x32, 1, 0x61, 0x32, 1, 0x62];
    const samples = [0x12, 7, 0x0a, 2, 7, 1, 0x12, 1, 5, 0x12, 6, 0x0a, 1, 1, 0x12, 1, 6];
    const bytes = Uint8Array.from([...types, ...samples, 0x22, 6, 8, 1, 0x22, 2, 8, 1, 0x2a, 4, 8, 1, 16, 1, ...strings]);
    const view = decodeRecord(push(bytes)[0]!.bytes, "r");
    expect([view.sampleCount, view.values[0]![0]]).deep.equal([1, 11]);
  });

  it("a .NET client's functions without ids are told by their order, on /ingest only", () => {
    const types = [0x0a, 4, 8, 1, 16, 2];
    const strings = [0x32, 0, 0x32, 3, 0x61, 0x2d, 0x62, 0x32, 1, 0x62, 0x32, 1, 0x63];
    const locations = [0x22, 4, 8, 1, 0x22, 0, 0x22, 4, 8, 2, 0x22, 0];
    const bytes = Uint8Array.from([...types, 0x12, 7, 0x0a, 2, 2, 1, 0x12, 1, 5, ...locations, 0x2a, 2, 16, 2, 0x2a, 2, 16, 3, ...strings]);
    expect(refused(bytes)).equal("malformed_profile");
    const view = decodeRecord(push(bytes, { labels: [], ingest: { spyName: "dotnetspy", sampleTypes: undefined } })[0]!.bytes, "r");
    expect(stackOf(view, view.sampleNode[0]!)).deep.equal(["b :0", "c :0"]);
    expect(view.sampleTypes).deep.equal([{ type: "a_b", unit: "b" }]);
  });

  it("a .NET client's functions without ids have those of their locations, by which the lines know them, whatever they are", () => {
    const strings = [0x32, 0, 0x32, 3, 0x61, 0x2d, 0x62, 0x32, 1, 0x62, 0x32, 1, 0x63];
    const locations = [0x22, 6, 8, 9, 0x22, 2, 8, 9, 0x22, 6, 8, 5, 0x22, 2, 8, 5];
    const bytes = Uint8Array.from([0x0a, 4, 8, 1, 16, 2, 0x12, 7, 0x0a, 2, 5, 9, 0x12, 1, 5, ...locations, 0x2a, 2, 16, 2, 0x2a, 2, 16, 3, ...strings]);
    const view = decodeRecord(push(bytes, { labels: [], ingest: { spyName: "dotnetspy", sampleTypes: undefined } })[0]!.bytes, "r");
    expect(stackOf(view, view.sampleNode[0]!)).deep.equal(["b :0", "c :0"]);
  });

  it("labels that split a push into more bytes than a push may become are refused", () => {
    const name = "x".repeat(60_000);
    const samples = Array.from({ length: 1200 }, (_, i) => ({ stack: [name], values: [1], labels: [{ name: "id", value: `${i}` }] }));
    expect(refused(profileOf(samples))).equal("profile_size_limit");
    expect(refused(profileOf(samples.slice(0, 100)))).equal("accepted");
  });

  it("a push larger than the kept scratch is read and the next one too", () => {
    const limits = { ...DEFAULT_PROFILE_LIMITS, profileSizeBytesMax: 0 };
    const large = profileOf([{ stack: ["x".repeat(5_000_000)], values: [1] }]);
    expect(push(large, { limits }).length).equal(1);
    expect(identities(push(ONE))).deep.equal(identities(push(ONE)));
  });
});
