/** Input that no profiler should send and some do: each oddity of the wire format and of the tables, compared with pprof-format or with a rule of Pyroscope. */
import { expect } from "chai";
import fc from "fast-check";
import { Function as PprofFunction, Label as PprofLabel, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { CodedError } from "@pyromesh/base";
import type { PushInput } from "../record/encode-push.ts";
import { encodePush } from "../record/encode-push.ts";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { decodeRecord } from "../record/record-decode.ts";
import type { EncodedRecord, RecordView } from "../model/record-view.ts";
import type { Sums } from "../testing/pprof-oracle.ts";
import { expectedSums, recordSums, stackOf, stringOf } from "../testing/pprof-oracle.ts";
import { pprofFields } from "../testing/pprof-fields.ts";

const NOW_MS = 1_700_000_000_000;
const NOW_NS = BigInt(NOW_MS) * 1_000_000n;
const SERIES_NAMES = new Set(["service_name", "__name__"]);
const INT64_MAX = (1n << 63n) - 1n;

function push(pprof: Uint8Array, changes: Partial<PushInput> = {}): EncodedRecord[] {
  return encodePush({
    tenant: "t1",
    labels: [
      { name: "service_name", value: "shop" },
      { name: "__name__", value: "process_cpu" },
    ],
    pprof,
    fallbackTimeNs: NOW_NS,
    nonce: new Uint8Array(16).fill(9),
    nowMs: NOW_MS,
    limits: DEFAULT_PROFILE_LIMITS,
    window: DEFAULT_ACCEPTANCE_WINDOW,
    ...changes,
  });
}

/** What is stored, or the reason of the refusal; anything else that is thrown is a bug. */
function outcome(pprof: Uint8Array, changes: Partial<PushInput> = {}): { readonly records: EncodedRecord[] } | { readonly reason: string } {
  try {
    return { records: push(pprof, changes) };
  } catch (thrown) {
    if (!(thrown instanceof CodedError)) throw thrown;
    expect([thrown.kind, thrown.message.length > 20]).deep.equal(["invalid_argument", true]);
    return { reason: String(thrown.details["reason"]) };
  }
}

function reasonOf(pprof: Uint8Array, changes: Partial<PushInput> = {}): string {
  const result = outcome(pprof, changes);
  return "reason" in result ? result.reason : "accepted";
}

const viewOf = (pprof: Uint8Array, changes: Partial<PushInput> = {}): RecordView => decodeRecord(push(pprof, changes)[0]!.bytes, "r");
const identitiesOf = (records: readonly EncodedRecord[]): string[] => records.map(({ identity }) => Buffer.from(identity).toString("hex"));
const saturated = (sums: Sums): Sums => new Map([...sums].map(([key, sum]) => [key, sum > INT64_MAX ? INT64_MAX : sum]));

// --- any profile ------------------------------------------------------------------------------------------------------

interface AnyProfile {
  readonly samples: readonly { readonly stack: readonly number[]; readonly values: readonly bigint[]; readonly labels: readonly (readonly [string, string])[] }[];
  readonly isMapped: boolean;
}

const anyProfile: fc.Arbitrary<AnyProfile> = fc.record({
  samples: fc.array(
    fc.record({
      stack: fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 10 }),
      values: fc.tuple(
        fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, INT64_MAX)),
        fc.oneof({ weight: 9, arbitrary: fc.bigInt(0n, 1n << 40n) }, { weight: 1, arbitrary: fc.bigInt(-(1n << 63n), -1n) }),
      ),
      labels: fc.uniqueArray(fc.tuple(fc.constantFrom("env", "tier", "span_id"), fc.constantFrom("x", "ünï", "0123456789abcdef")), {
        maxLength: 3,
        selector: ([name]) => name,
      }),
    }),
    { minLength: 1, maxLength: 12 },
  ),
  isMapped: fc.boolean(),
});

function build({ samples, isMapped }: AnyProfile): Profile {
  const strings = new StringTable();
  const s = (text: string): number => strings.dedup(text);
  const used = [...new Set(samples.flatMap(({ stack }) => stack))];
  return new Profile({
    sampleType: [new ValueType({ type: s("cpu"), unit: s("nanoseconds") }), new ValueType({ type: s("samples"), unit: s("count") })],
    sample: samples.map(
      ({ stack, values, labels }) =>
        new Sample({ locationId: stack.map((number) => number + 1), value: [...values], label: labels.map(([name, value]) => new PprofLabel({ key: s(name), str: s(value) })) }),
    ),
    mapping: [new Mapping({ id: 1, filename: s("a.so"), buildId: s("ab"), hasFunctions: isMapped }), new Mapping({ id: 2, filename: s("b.so"), memoryStart: 4096 })],
    location: used.map(
      (number) =>
        new Location({
          id: number + 1,
          mappingId: number % 3,
          address: 1_000_000 + number,
          line: Array.from({ length: number % 4 === 0 ? 2 : 1 }, (_, i) => new Line({ functionId: used[(used.indexOf(number) + i) % used.length]! + 1, line: number * 40 })),
        }),
    ),
    function: used.map((number) => new PprofFunction({ id: number + 1, name: s(`f${number}`), systemName: s(`f${number}`), filename: s(`d${number % 5}.c`), startLine: number })),
    stringTable: strings,
    timeNanos: NOW_NS,
    durationNanos: 5n,
    periodType: new ValueType({ type: s("cpu"), unit: s("nanoseconds") }),
    period: 10,
  });
}

/** Undefined where pprof-format is no judge: it gives up, or reads fields that it would not write so (wire types that do not fit). */
function expectedOf(pprof: Uint8Array): Sums | undefined {
  try {
    return Buffer.from(Profile.decode(pprof).encode()).equals(pprof) ? expectedSums(pprof) : undefined;
  } catch {
    return undefined;
  }
}

describe("odd input: bytes", () => {
  it("cut inside a field is refused; cut between two is what pprof-format reads there, or refused", () => {
    let equalCount = 0;
    fc.assert(
      fc.property(anyProfile, (any) => {
        const pprof = build(any).encode();
        const ends = new Set(pprofFields(pprof).map(({ to }) => to));
        for (let length = 1; length < pprof.length; length++) {
          const cut = pprof.subarray(0, length);
          const result = outcome(cut);
          if (!ends.has(length)) expect(result, `cut at ${length}`).deep.equal({ reason: "malformed_profile" });
          else if ("records" in result) {
            expect(saturated(recordSums(result.records, SERIES_NAMES)), `cut at ${length}`).deep.equal(saturated(expectedSums(cut)));
            equalCount++;
          }
        }
      }),
      { numRuns: 12 },
    );
    expect(equalCount).greaterThan(12);
  });

  it("with a byte changed is refused, or read as pprof-format reads it", () => {
    let acceptedCount = 0;
    fc.assert(
      fc.property(anyProfile, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 2 }), (any, changes) => {
        const pprof = build(any).encode();
        for (const [at, byte] of changes) pprof[at % pprof.length] = byte;
        const result = outcome(pprof, { window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 } });
        const expected = "records" in result ? expectedOf(pprof) : undefined;
        if (!("records" in result) || expected === undefined) return;
        acceptedCount++;
        // Samples of one stacktrace that differ in their span stay apart in a record, so its sums may go beyond int64 too.
        expect(saturated(recordSums(result.records, SERIES_NAMES))).deep.equal(saturated(expected));
      }),
      { numRuns: 1000 },
    );
    expect(acceptedCount).greaterThan(60);
  });
});

// --- the same profile, written otherwise ------------------------------------------------------------------------------

/** The tables in another order, everything renumbered, with entries nobody refers to in between. Samples stay in order: that is content. */
function retabled(pprof: Uint8Array, random: () => number): Uint8Array {
  const profile = Profile.decode(pprof);
  const shuffle = <T>(items: readonly T[]): T[] => items.map((item) => ({ item, at: random() })).sort((a, b) => a.at - b.at).map(({ item }) => item);
  const texts = profile.stringTable.strings;
  const shuffledTexts = ["", ...shuffle([...texts.slice(1), "nobody", "refers", "to this"])];
  const s = (index: number | bigint): number => shuffledTexts.indexOf(texts[Number(index)]!);
  const numbers = new Map<string, bigint>();
  const id = (kind: string, old: number | bigint): bigint => {
    const key = `${kind}${old}`;
    let number = numbers.get(key);
    if (number === undefined) numbers.set(key, (number = BigInt(numbers.size + 1) * BigInt(1 + (random() % 1000)) * 1_000n + BigInt(numbers.size)));
    return number;
  };
  const typeOf = (type: ValueType): ValueType => new ValueType({ type: s(type.type), unit: s(type.unit) });
  const strings = new StringTable();
  for (const text of shuffledTexts) strings.dedup(text);
  return new Profile({
    ...profile,
    sampleType: profile.sampleType.map(typeOf),
    periodType: typeOf(profile.periodType!),
    sample: profile.sample.map(
      ({ locationId, value, label }) =>
        new Sample({
          locationId: locationId.map((location) => id("l", location)),
          value,
          label: shuffle(label.map(({ key, str }) => new PprofLabel({ key: s(key), str: s(str) }))),
        }),
    ),
    mapping: shuffle([
      ...profile.mapping.map((mapping) => new Mapping({ ...mapping, id: id("m", mapping.id), filename: s(mapping.filename), buildId: s(mapping.buildId) })),
      new Mapping({ id: id("m", -1), filename: 1 }),
    ]),
    location: shuffle([
      ...profile.location.map(
        (location) =>
          new Location({
            ...location,
            id: id("l", location.id),
            mappingId: Number(location.mappingId) === 0 ? 0 : id("m", location.mappingId),
            line: location.line.map(({ functionId, line }) => new Line({ functionId: id("f", functionId), line })),
          }),
      ),
      new Location({ id: id("l", -1), line: [new Line({ functionId: id("f", -1) })] }),
    ]),
    function: shuffle([
      ...profile.function.map((called) => new PprofFunction({ ...called, id: id("f", called.id), name: s(called.name), systemName: s(called.systemName), filename: s(called.filename) })),
      new PprofFunction({ id: id("f", -1), name: 2 }),
    ]),
    stringTable: strings,
  }).encode();
}

const varintOf = (value: bigint, padding = 0): number[] => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  for (let i = 0; i < padding && bytes.length < 10; i++) {
    bytes[bytes.length - 1]! |= 128;
    bytes.push(0);
  }
  return bytes;
};
const messageOf = (tag: number, body: readonly number[]): number[] => [tag, ...varintOf(BigInt(body.length)), ...body];

/** The samples written anew: ids and values one by one or in short runs, labels before or between them, numbers longer than need be. */
function rewiredSamples(pprof: Uint8Array, random: () => number): Uint8Array {
  const profile = Profile.decode(pprof);
  const repeated = (field: number, numbers: readonly (number | bigint)[]): number[][] => {
    const parts: number[][] = [];
    for (let i = 0; i < numbers.length; ) {
      const run = numbers.slice(i, i + 1 + (random() % 3));
      const one = (number: number | bigint): number[] => varintOf(BigInt(number), random() % 4);
      if (random() % 2 === 0) parts.push(messageOf(field * 8 + 2, run.flatMap(one)));
      else for (const number of run) parts.push([field * 8, ...one(number)]);
      i += run.length;
    }
    return parts;
  };
  let next = 0;
  const out: Uint8Array[] = [];
  for (const { tag, from, to } of pprofFields(pprof)) {
    if (tag !== 0x12) {
      out.push(pprof.subarray(from, to));
      continue;
    }
    const sample = profile.sample[next++]!;
    const queues = [
      repeated(1, sample.locationId),
      repeated(2, sample.value),
      sample.label.map(({ key, str }) => messageOf(0x1a, [0x10, ...varintOf(BigInt(str), random() % 3), 0x08, ...varintOf(BigInt(key))])),
    ];
    const body: number[] = [];
    while (queues.some((queue) => queue.length > 0)) body.push(...(queues[random() % 3]!.shift() ?? []));
    out.push(Uint8Array.from(messageOf(0x12, body)));
  }
  return Buffer.concat(out);
}

describe("odd input: the same written otherwise", () => {
  const randomOf = (stream: Iterable<number>): (() => number) => {
    const numbers = stream[Symbol.iterator]();
    return () => Number(numbers.next().value);
  };

  it("tables in any order, under any numbers, with more in them than is used: the same identity", () => {
    fc.assert(
      fc.property(anyProfile, fc.infiniteStream(fc.nat(1_000_000)), (any, stream) => {
        const pprof = build(any).encode();
        expect(identitiesOf(push(retabled(pprof, randomOf(stream))))).deep.equal(identitiesOf(push(pprof)));
      }),
      { numRuns: 150 },
    );
  });

  it("samples packed or not, in runs, their parts mixed, numbers padded: the same identity", () => {
    fc.assert(
      fc.property(anyProfile, fc.infiniteStream(fc.nat(1_000_000)), (any, stream) => {
        const pprof = build(any).encode();
        expect(identitiesOf(push(rewiredSamples(pprof, randomOf(stream))))).deep.equal(identitiesOf(push(pprof)));
      }),
      { numRuns: 150 },
    );
  });
});

// --- the tables -------------------------------------------------------------------------------------------------------

const STRINGS = ["", "cpu", "nanoseconds", "main", "main.c", "a.so", "key", "value", "a-b"];
const STRING_COUNT = STRINGS.length;

/** One sample, one of everything. */
function one(): Profile {
  const strings = new StringTable();
  for (const text of STRINGS) strings.dedup(text);
  return new Profile({
    sampleType: [new ValueType({ type: 1, unit: 2 })],
    sample: [new Sample({ locationId: [1], value: [7], label: [new PprofLabel({ key: 6, str: 7 })] })],
    mapping: [new Mapping({ id: 1, filename: 5 })],
    location: [new Location({ id: 1, mappingId: 1, address: 4096, line: [new Line({ functionId: 1, line: 3 })] })],
    function: [new PprofFunction({ id: 1, name: 3, systemName: 3, filename: 4 })],
    stringTable: strings,
    timeNanos: NOW_NS,
    periodType: new ValueType({ type: 1, unit: 2 }),
    period: 1,
  });
}

function changed(change: (profile: Profile) => void): Uint8Array {
  const profile = one();
  change(profile);
  return profile.encode();
}

function withStrings(pprof: Uint8Array, texts: readonly string[]): Uint8Array {
  const others = pprofFields(pprof).flatMap(({ tag, from, to }) => (tag === 0x32 ? [] : [pprof.subarray(from, to)]));
  return Buffer.concat([...others, ...texts.map((text) => Uint8Array.from(messageOf(0x32, [...Buffer.from(text)])))]);
}

describe("odd input: tables", () => {
  const REFUSED: readonly (readonly [string, (profile: Profile) => void])[] = [
    ["no sample type", (p) => (p.sampleType = [])],
    ["no sample type and no sample", (p) => ((p.sampleType = []), (p.sample = []))],
    ["a sample without values", (p) => (p.sample[0]!.value = [])],
    ["more values than sample types", (p) => (p.sample[0]!.value = [1, 2])],
    ["more sample types than values", (p) => p.sampleType.push(new ValueType({ type: 1, unit: 2 }))],
    ["a sample that refers to location 0", (p) => (p.sample[0]!.locationId = [1, 0])],
    ["location 0", (p) => p.location.push(new Location({ id: 0 }))],
    ["function 0", (p) => p.function.push(new PprofFunction({ id: 0, name: 3 }))],
    ["a line of function 0", (p) => p.location[0]!.line.push(new Line({ functionId: 0, line: 1 }))],
    ["a sample type with -", (p) => (p.sampleType[0]!.type = 8)],
    ["a sample type beyond the strings", (p) => (p.sampleType[0]!.type = STRING_COUNT)],
    ["a sample unit beyond the strings", (p) => (p.sampleType[0]!.unit = STRING_COUNT)],
    ["a sample type before the strings", (p) => (p.sampleType[0]!.type = -1n)],
    ["a sample label's key beyond the strings", (p) => (p.sample[0]!.label[0]!.key = STRING_COUNT)],
    ["a sample label's value beyond the strings", (p) => (p.sample[0]!.label[0]!.str = STRING_COUNT)],
    ["a function's name beyond the strings", (p) => (p.function[0]!.name = STRING_COUNT)],
    ["a function's system name beyond the strings", (p) => (p.function[0]!.systemName = STRING_COUNT)],
    ["a function's file name beyond the strings", (p) => (p.function[0]!.filename = STRING_COUNT)],
    ["a mapping's file name beyond the strings", (p) => (p.mapping[0]!.filename = STRING_COUNT)],
    ["a mapping's build id beyond the strings", (p) => (p.mapping[0]!.buildId = STRING_COUNT)],
    ["a function's name far beyond the strings", (p) => (p.function[0]!.name = 1n << 62n)],
  ];
  for (const [what, change] of REFUSED) {
    it(`${what}: malformed`, () => {
      expect(reasonOf(changed(change))).equal("malformed_profile");
      expect(reasonOf(one().encode())).equal("accepted");
    });
  }

  it("a string 0 that is not empty, and no strings at all: malformed", () => {
    expect(reasonOf(withStrings(one().encode(), STRINGS))).equal("accepted");
    expect(reasonOf(withStrings(one().encode(), ["x", ...STRINGS.slice(1)]))).equal("malformed_profile");
    expect(reasonOf(withStrings(one().encode(), [...STRINGS.slice(1), ""]))).equal("malformed_profile");
    expect(reasonOf(withStrings(one().encode(), []))).equal("malformed_profile");
  });

  it("text that is not UTF-8 is malformed, in whichever string, used or not", () => {
    for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc0, 0x80]]) {
      const pprof = Buffer.concat([one().encode(), Uint8Array.from([0x32, bytes.length, ...bytes])]);
      expect(reasonOf(pprof), String(bytes)).equal("malformed_profile");
    }
    // Two halves of one character are two strings that are not UTF-8.
    expect(reasonOf(Buffer.concat([one().encode(), Uint8Array.from([0x32, 1, 0xc3, 0x32, 1, 0xbc])]))).equal("malformed_profile");
    expect(reasonOf(Buffer.concat([one().encode(), Uint8Array.from([0x32, 2, 0xc3, 0xbc])]))).equal("accepted");
  });

  it("text that is not UTF-8 is named by what refers to it, with its bytes, wherever the string table stands", () => {
    const bad = [0x66, 0xff, 0x67];
    const messageWith = (change: (profile: Profile, bad: number) => void): string[] => {
      const profile = one();
      change(profile, STRINGS.length);
      const bytes = withStrings(profile.encode(), STRINGS);
      const string = Uint8Array.from([0x32, bad.length, ...bad]);
      // The strings in front are read before anything that refers to them.
      const strings = withStrings(new Profile({ stringTable: new StringTable() }).encode(), STRINGS);
      const rest = withStrings(profile.encode(), []);
      return [Buffer.concat([bytes, string]), Buffer.concat([strings, string, rest])].map((pprof) => {
        try {
          push(pprof);
          return "accepted";
        } catch (thrown) {
          return (thrown as CodedError).message;
        }
      });
    };
    const cases: readonly (readonly [string, (profile: Profile, bad: number) => void])[] = [
      ['the value of the sample label "key"', (p, at) => (p.sample[0]!.label = [new PprofLabel({ key: STRINGS.indexOf("key"), str: at })])],
      ["the key of a sample label", (p, at) => (p.sample[0]!.label = [new PprofLabel({ key: at, str: 1 })])],
      [`the name of a function in the file ""`, (p, at) => Object.assign(p.function[0]!, { name: at, systemName: 0, filename: 0 })],
      [`the file name of the function "${STRINGS[1]}"`, (p, at) => Object.assign(p.function[0]!, { name: 1, systemName: 1, filename: at })],
      [`the system name of the function "${STRINGS[1]}"`, (p, at) => Object.assign(p.function[0]!, { name: 1, systemName: at })],
      ["the file name of a mapping", (p, at) => (p.mapping = [new Mapping({ id: 1, filename: at })])],
      [`the build id of the mapping "${STRINGS[1]}"`, (p, at) => (p.mapping = [new Mapping({ id: 1, filename: 1, buildId: at })])],
      ["the name of a sample type", (p, at) => (p.sampleType[0]!.type = at)],
      [`string ${STRINGS.length} of the profile, to which nothing refers,`, () => {}],
    ];
    for (const [place, change] of cases) {
      for (const message of messageWith(change)) expect(message).equal(`${place} is not UTF-8, its bytes are 66ff67: encode the profile's strings as UTF-8`);
    }
    // Bounded, whatever the length, and the byte that is wrong is among those shown.
    const long = Uint8Array.from({ length: 5000 }, (_, i) => (i === 3000 ? 0xff : 0x61));
    const text = Buffer.concat([one().encode(), Uint8Array.from([0x32, 0x88, 0x27]), long]);
    expect(() => push(text)).throw(CodedError, `its bytes are ...${"61".repeat(32)}ff${"61".repeat(31)}...:`);
  });

  it("limits count what was sent: samples of zeros, and labels without text", () => {
    const zeros = changed((p) => (p.sample = Array.from({ length: 5 }, () => new Sample({ locationId: [1], value: [0] }))));
    expect(reasonOf(zeros, { limits: { ...DEFAULT_PROFILE_LIMITS, sampleCountMax: 4 } })).equal("samples_limit");
    const numeric = changed((p) => (p.sample[0]!.label = Array.from({ length: 5 }, () => new PprofLabel({ key: 6, num: 1 }))));
    expect(reasonOf(numeric, { limits: { ...DEFAULT_PROFILE_LIMITS, sampleLabelCountMax: 4 } })).equal("sample_labels_limit");
    expect(reasonOf(numeric)).equal("accepted");
  });

  it("a label of a number and no text splits nothing; a text beside a number counts", () => {
    expect(viewOf(changed((p) => (p.sample[0]!.label = [new PprofLabel({ key: 6, num: 5, numUnit: 2 })]))).labels.length).equal(2);
    const both = viewOf(changed((p) => (p.sample[0]!.label = [new PprofLabel({ key: 6, str: 7, num: 5 })])));
    expect(both.labels.find(({ name }) => name === "key")).deep.equal({ name: "key", value: "value" });
  });

  it("a time of 0, and one before 1970, is no time", () => {
    for (const timeNanos of [0n, -1n, -(1n << 63n)]) expect(viewOf(changed((p) => (p.timeNanos = timeNanos))).timeNs, String(timeNanos)).equal(NOW_NS);
    expect(reasonOf(changed((p) => (p.timeNanos = 1n)))).equal("not_in_ingestion_window");
    expect(reasonOf(changed((p) => (p.timeNanos = INT64_MAX)))).equal("not_in_ingestion_window");
  });

  it("one negative value drops the sample, whatever its others are; the ends of int64 are kept or dropped exactly", () => {
    const of = (...samples: (readonly bigint[])[]): string[] => {
      const pprof = changed((p) => {
        p.sampleType.push(new ValueType({ type: 3, unit: 2 }));
        p.sample = samples.map((value) => new Sample({ locationId: [1], value: [...value] }));
      });
      return push(pprof).flatMap(({ bytes }) => decodeRecord(bytes, "r").values.map((column) => BigInt(column[0]!).toString()));
    };
    expect(of([-1n, 5n])).deep.equal([]);
    expect(of([INT64_MAX, -(1n << 63n)])).deep.equal([]);
    expect(of([INT64_MAX, 1n], [-1n, 9n])).deep.equal([String(INT64_MAX), "1"]);
    expect(of([INT64_MAX, (1n << 53n) + 1n], [0n, 1n])).deep.equal([String(INT64_MAX), String((1n << 53n) + 2n)]);
  });

  it("a sample without a stacktrace counts at the root", () => {
    const view = viewOf(changed((p) => (p.sample[0]!.locationId = [])));
    expect([view.sampleCount, view.sampleNode[0], view.values[0]![0]]).deep.equal([1, 0, 7]);
  });

  it("a missing mapping is none; a missing function or location leaves its frame out, and its value stays", () => {
    const unmapped = viewOf(changed((p) => (p.location[0]!.mappingId = 9)));
    expect([stackOf(unmapped, unmapped.sampleNode[0]!), unmapped.symbols.mappingCount]).deep.equal([["main main.c:3"], 1]);
    for (const change of [(p: Profile): void => void (p.location[0]!.line[0]!.functionId = 9), (p: Profile): void => void (p.sample[0]!.locationId = [9])]) {
      const view = viewOf(changed(change));
      expect([stackOf(view, view.sampleNode[0]!), view.values[0]![0]]).deep.equal([[], 7]);
    }
  });

  it("a location without lines keeps its address, and one without either is a frame all the same", () => {
    const bare = viewOf(changed((p) => (p.location[0]!.line = [])));
    const location = bare.tree.nodeLocation[bare.sampleNode[0]!]!;
    expect([bare.symbols.locationAddressLow[location], bare.symbols.lineStart[location + 1]! - bare.symbols.lineStart[location]!]).deep.equal([4096, 0]);
    const empty = viewOf(changed((p) => (p.location[0] = new Location({ id: 1 }))));
    expect([empty.tree.nodeCount, empty.values[0]![0]]).deep.equal([2, 7]);
  });

  it("of an id given twice the last counts", () => {
    const twice = changed((p) => {
      p.location.push(new Location({ id: 1, mappingId: 1, address: 4096, line: [new Line({ functionId: 1, line: 99 })] }));
      p.function.push(new PprofFunction({ id: 1, name: 5, filename: 4 }));
    });
    const view = viewOf(twice);
    expect(stackOf(view, view.sampleNode[0]!)).deep.equal(["a.so main.c:99"]);
    expect(recordSums(push(twice), SERIES_NAMES)).deep.equal(expectedSums(twice));
  });

  it("a string may stand in the table twice", () => {
    const referring = changed((p) => {
      p.function[0]!.name = STRING_COUNT;
      p.sampleType[0]!.type = STRING_COUNT + 1;
    });
    const doubled = withStrings(referring, [...STRINGS, "main", "cpu"]);
    const view = viewOf(doubled);
    expect([stringOf(view, view.symbols.functionName[1]!), view.sampleTypes[0]!.type]).deep.equal(["main", "cpu"]);
    expect(recordSums(push(doubled), SERIES_NAMES)).deep.equal(recordSums(push(one().encode()), SERIES_NAMES));
  });

  it("of a field given twice the last counts", () => {
    // time_nanos, then again
    const time = varintOf(NOW_NS - 5n);
    expect(viewOf(Buffer.concat([one().encode(), Uint8Array.from([0x48, ...time])])).timeNs).equal(NOW_NS - 5n);
  });

  it("two sample types of one name are two columns", () => {
    const view = viewOf(
      changed((p) => {
        p.sampleType.push(new ValueType({ type: 1, unit: 3 }));
        p.sample[0]!.value = [7, 8];
      }),
    );
    expect([view.sampleTypes.map(({ unit }) => unit), view.values.map((column) => Number(column[0]))]).deep.equal([["nanoseconds", "main"], [7, 8]]);
  });

  it("a profile of samples alone, and one of tables alone", () => {
    expect(push(changed((p) => (p.sample = [])))).deep.equal([]);
    const alone = viewOf(changed((p) => ((p.location = []), (p.function = []), (p.mapping = []))));
    expect([alone.values[0]![0], alone.tree.nodeCount]).deep.equal([7, 1]);
  });

  it("groups of protobuf 1, fields of number 0 and wire types 6 and 7 are malformed", () => {
    for (const tail of [[0x0b], [0x9b, 0x06], [0x00, 0x00], [0x0e, 0x00], [0x9f, 0x06, 0x00]]) {
      expect(reasonOf(Buffer.concat([one().encode(), Uint8Array.from(tail)])), String(tail)).equal("malformed_profile");
    }
  });
});
