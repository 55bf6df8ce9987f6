import { ByteWriter, CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { Profile } from "pprof-format";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import type { ProfileLimits } from "../labels/limits.ts";
import type { ExportModel, ModelProfile } from "../testing/otlp-export.ts";
import { OTLP_VERSIONS, otlpExport } from "../testing/otlp-export.ts";
import { DICTIONARY_ENTRIES_MAX, readTables, stringAt } from "./export-tables.ts";
import type { OtlpForm } from "./otlp.ts";
import { readExport } from "./otlp.ts";

const TIME_NS = 1_700_000_000_000_000_000n;
const TRACE = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const SPAN = Uint8Array.from({ length: 8 }, (_, i) => 0xa0 + i);

/** Of 1.7 the same tables: an entry 0 that nothing refers to. */
const TABLES = {
  mappings: [{ filename: "" }, { filename: "shop", start: 4096, attributes: [1] }, { filename: "libc.so" }],
  functions: [{ name: "" }, { name: "main", filename: "main.go" }, { name: "work" }, { name: "inlined" }],
  locations: [{}, { mapping: 1, address: 10, lines: [[1, 7]] }, { mapping: 1, address: 20, lines: [[3, 1], [2, 2]] }, { mapping: 1, address: 300 }, { mapping: 2, address: 400 }],
  stacks: [[], [2, 1], [3, 1], [4]],
  links: [{ trace: new Uint8Array(0), span: new Uint8Array(0) }, { trace: TRACE, span: SPAN }, { trace: new Uint8Array(16), span: new Uint8Array(8) }],
  attributes: [
    { key: "", value: "" },
    { key: "process.executable.build_id.gnu", value: "abc123" },
    { key: "thread.name", value: "worker" },
    { key: "service.name", value: "cart" },
    { key: "cpu.logical_number", value: 3 },
    { key: "is.kernel", value: true },
  ],
} as const satisfies Partial<ExportModel>;

const CPU = { type: ["samples", "count"], periodType: ["cpu", "nanoseconds"], period: 50, timeNs: TIME_NS, durationNs: 5_000 } as const;

function profileOf(samples: ModelProfile["samples"]): ModelProfile {
  return { ...CPU, samples };
}

interface ReadSample {
  readonly stack: string;
  readonly values: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
}

interface Read {
  readonly labels: Readonly<Record<string, string>>;
  readonly types: string;
  readonly timeNs: bigint;
  readonly durationNs: bigint;
  readonly samples: readonly ReadSample[];
}

/** What an export holds, decoded by a library that is not ours. */
function read(bytes: Uint8Array, { form = { encoding: "protobuf" }, limits = DEFAULT_PROFILE_LIMITS }: { form?: OtlpForm; limits?: ProfileLimits } = {}): { profiles: Read[]; refused: string[] } {
  const { profiles, refused } = readExport(bytes, form, limits);
  return { profiles: [...profiles].map(({ pprof, labels }) => readPprof(pprof, Object.fromEntries(labels.map(({ name, value }) => [name, value])))), refused: refused.map(({ message }) => message) };
}

function readPprof(pprof: Uint8Array, labels: Record<string, string>): Read {
  const decoded = Profile.decode(pprof);
  const text = (index: number | bigint): string => decoded.stringTable.strings[Number(index)]!;
  const byId = <T extends { id: number | bigint }>(list: readonly T[], id: number | bigint): T | undefined => list.find((item) => Number(item.id) === Number(id));
  const frame = (id: number | bigint): string => {
    const location = byId(decoded.location, id)!;
    const mapping = byId(decoded.mapping, location.mappingId);
    const lines = location.line.map(({ functionId, line }) => `${text(byId(decoded.function, functionId)!.name)}:${Number(line)}`);
    const where = mapping === undefined ? "?" : `${text(mapping.filename)}(${text(mapping.buildId)})${mapping.hasFunctions ? "+" : ""}`;
    return lines.length === 0 ? `${where}@${Number(location.address)}` : `${lines.join("<")} ${where}`;
  };
  const type = decoded.sampleType.map((one) => `${text(one.type)}:${text(one.unit)}`).join(",");
  const period = decoded.periodType === undefined ? "" : `${text(decoded.periodType.type)}:${text(decoded.periodType.unit)}`;
  return {
    labels,
    types: `${type} ${period}`,
    timeNs: BigInt(decoded.timeNanos),
    durationNs: BigInt(decoded.durationNanos),
    samples: decoded.sample.map((sample) => ({
      stack: sample.locationId.map(frame).join(";"),
      values: sample.value.map(Number),
      labels: Object.fromEntries(sample.label.map(({ key, str }) => [text(key), text(str)])),
    })),
  };
}

/** A field of bytes. */
function nested(field: number, content: Uint8Array): Uint8Array {
  return new ByteWriter().uvarint(field * 8 + 2).prefixed(content).finish();
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A number that V8 hashes to the lower 30 of these bits: the steps of its hash of small integers, backwards. May be negative. */
function numberOfHash(hash: number): number {
  const unshifted = (mixed: number, shift: number): number => {
    let x = mixed;
    for (let known = shift; known < 32; known += shift) x = mixed ^ (x >>> shift);
    return x;
  };
  let x = unshifted(hash, 16);
  x = Math.imul(x, inverse(2057));
  x = unshifted(x, 4);
  x = Math.imul(x, inverse(5)); // x + (x << 2)
  x = unshifted(x, 12);
  return Math.imul(x + 1, inverse(2 ** 15 - 1)); // ~x + (x << 15)
}

/** Of an odd number, modulo 2^32. */
function inverse(odd: number): number {
  let found = odd;
  for (let i = 0; i < 5; i++) found = Math.imul(found, 2 - Math.imul(odd, found));
  return found;
}

function sentence(work: () => unknown): string {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof CodedError && thrown.code === "PROFILE_MALFORMED") return thrown.message;
    throw thrown;
  }
  return "nothing was refused";
}

describe("OTLP profiles", () => {
  describe("in every version that is taken", () => {
    const model: ExportModel = {
      ...TABLES,
      resources: [
        {
          attributes: { "service.name": "shop", "k8s.pod": "a", shards: 4, zones: ["eu"], many: ["a", "b"], "is.spot": true },
          scopeAttributes: { "k8s.pod": "hidden", library: "ebpf" },
          profiles: [
            profileOf([
              { stack: 1, values: [2], attributes: [2, 4, 5], link: 1, timestamps: [TIME_NS] },
              { stack: 2, values: [3], attributes: [2, 3] },
              { stack: 3, values: [5], attributes: [2] },
            ]),
          ],
        },
      ],
    };

    for (const version of OTLP_VERSIONS) {
      it(`${version}: samples, labels, links and addresses are the same`, () => {
        const { profiles, refused } = read(otlpExport(model, version));
        const labels = { __delta__: "false", __otel__: "true", __name__: "process_cpu", service_name: "shop", "service.name": "shop", "k8s.pod": "a", shards: "4", zones: "eu", library: "ebpf" };
        const head = { types: "cpu:nanoseconds cpu:nanoseconds", timeNs: TIME_NS, durationNs: 5_000n };
        expect(refused).deep.equal([]);
        expect(profiles).deep.equal([
          {
            ...head,
            labels,
            samples: [
              { stack: "inlined:1<work:2 shop(abc123)+;main:7 shop(abc123)+", values: [100], labels: { "thread.name": "worker", "cpu.logical_number": "3", span_id: "a0a1a2a3a4a5a6a7", trace_id: "0102030405060708090a0b0c0d0e0f10" } },
              { stack: "libc.so()@400", values: [250], labels: { "thread.name": "worker" } },
            ],
          },
          { ...head, labels: { ...labels, service_name: "cart" }, samples: [{ stack: "shop(abc123)@300;main:7 shop(abc123)+", values: [150], labels: { "thread.name": "worker" } }] },
        ]);
      });
    }
  });

  describe("lists that are not packed, as async-profiler writes them", () => {
    const UNPACKED = ["values", "attributes"] as const;
    const whole: Readonly<Record<string, ModelProfile["samples"]>> = {
      "a value alone": [{ stack: 1, values: [420_000_000] }],
      "a value that is 0": [{ stack: 1, values: [0] }, { stack: 2, values: [1] }],
      "a value beyond 2^53, and a negative one": [{ stack: 1, values: [2n ** 62n] }, { stack: 1, values: [-5n] }],
      "a value and attributes": [{ stack: 1, values: [420_000_000], attributes: [2, 4] }],
      "several values": [{ stack: 1, values: [900, 901] }],
    };
    for (const [name, samples] of Object.entries(whole)) {
      for (const version of OTLP_VERSIONS) {
        it(`${name}, ${version}: is the same as packed`, () => {
          const model: ExportModel = { ...TABLES, links: [{ trace: new Uint8Array(16), span: new Uint8Array(8) }], resources: [{ profiles: [{ ...CPU, type: ["itimer", "ns"], periodType: ["itimer", "ns"], samples }] }] };
          const { profiles, refused } = read(otlpExport(model, version, UNPACKED));
          expect(refused).deep.equal([]);
          expect(profiles).deep.equal(read(otlpExport(model, "1.10")).profiles);
          expect(profiles[0]!.samples).length(samples.length);
        });
      }
    }

    it("1.7 with attributes alone that are not packed is the same", () => {
      const model: ExportModel = { ...TABLES, resources: [{ profiles: [profileOf([{ stack: 1, values: [7], attributes: [2, 4] }])] }] };
      expect(read(otlpExport(model, "1.7", ["attributes"]))).deep.equal(read(otlpExport(model, "1.7")));
    });

    it("a sample of 1.7 without values is refused, and not read as one of 1.8 with a value", () => {
      const empty = profileOf([{ stack: 1 }]);
      const { profiles, refused } = read(otlpExport({ ...TABLES, attributes: [], mappings: TABLES.mappings.map(({ filename }) => ({ filename })), resources: [{ profiles: [empty, profileOf([{ stack: 2, values: [6] }])] }] }, "1.7"));
      expect(refused).deep.equal(["resource_profiles[0].scope_profiles[0].profiles[0]: a sample has neither values nor timestamps: send one of them"]);
      expect(profiles.map(({ samples }) => samples.map(({ values }) => values))).deep.equal([[[300]]]); // 6 times the period
    });

    it("a link that is in the table and a value that may be an attribute are refused", () => {
      const model: ExportModel = { ...TABLES, resources: [{ profiles: [profileOf([{ stack: 1, values: [1], attributes: [2] }])] }] };
      expect(sentence(() => read(otlpExport(model, "1.10", UNPACKED)))).contain("does not tell which version");
    });
  });

  describe("lists in several pieces, as protobuf allows", () => {
    const mappings = [{ filename: "" }, { filename: "shop", attributes: [4, 2, 1] }, { filename: "libc.so" }];
    const shapes: Readonly<Record<string, ModelProfile["samples"]>> = {
      "values and attributes": [{ stack: 1, values: [7, 8, 9], attributes: [2, 4] }, { stack: 2, values: [1], attributes: [4, 3], link: 1 }],
      "values and timestamps": [{ stack: 1, values: [900, 901], timestamps: [TIME_NS, TIME_NS] }],
      "attributes and timestamps": [{ stack: 2, attributes: [2, 4], timestamps: [TIME_NS, TIME_NS, TIME_NS] }],
    };
    for (const [name, samples] of Object.entries(shapes)) {
      for (const version of OTLP_VERSIONS) {
        it(`${name}, ${version}: are the same as in one`, () => {
          const model: ExportModel = { ...TABLES, mappings, resources: [{ profiles: [profileOf(samples)] }] };
          const whole = read(otlpExport(model, version));
          expect(whole.refused).deep.equal([]);
          expect(read(otlpExport(model, version, [], true))).deep.equal(whole);
        });
      }
    }

    it("a stack and a mapping's attributes, partly packed", () => {
      const text = (value: string): Uint8Array => nested(5, Buffer.from(value));
      const attribute = (key: number, value: string): Uint8Array => nested(6, concat(Uint8Array.of(0x08, key), nested(2, nested(1, Buffer.from(value)))));
      const dictionary = concat(
        ...["", "events", "count", "main", "work", "shop", "process.executable.build_id.go", "process.executable.build_id.gnu"].map(text),
        ...[[], [0x08, 3], [0x08, 4]].map((fields) => nested(3, Uint8Array.from(fields))),
        ...[[], [0x08, 1, 0x1a, 2, 0x08, 1], [0x08, 1, 0x1a, 2, 0x08, 2]].map((fields) => nested(2, Uint8Array.from(fields))),
        ...[[], [0x20, 5, 0x28, 2, 0x2a, 1, 1]].map((fields) => nested(1, Uint8Array.from(fields))),
        ...[[], [0x08, 2, 0x0a, 1, 1, 0x08, 2]].map((fields) => nested(7, Uint8Array.from(fields))),
        nested(6, Uint8Array.of()),
        attribute(6, "of go"),
        attribute(7, "of gnu"),
      );
      const profile = concat(nested(1, Uint8Array.of(0x08, 1, 0x10, 2)), nested(2, Uint8Array.of(0x08, 1, 0x22, 1, 5)), Uint8Array.of(0x19, 0, 0, 0, 0, 0, 0, 0, 1));
      const { profiles, refused } = read(concat(nested(1, nested(2, nested(2, profile))), nested(2, dictionary)));
      expect([refused, profiles[0]?.samples]).deep.equal([[], [{ stack: "work:0 shop(of gnu)+;main:0 shop(of gnu)+;work:0 shop(of gnu)+", values: [5], labels: {} }]]);
    });
  });

  describe("the version is told by structure", () => {
    const shapes: Readonly<Record<string, ModelProfile["samples"]>> = {
      "values alone": [{ stack: 1, values: [7, 7, 7] }],
      "values and attributes": [{ stack: 1, values: [7], attributes: [2] }],
      "values and timestamps": [{ stack: 1, values: [900, 901], timestamps: [TIME_NS, TIME_NS] }],
      "attributes and timestamps, of which there are not as many": [{ stack: 1, attributes: [2, 4], timestamps: [TIME_NS] }],
      "timestamps alone": [{ stack: 1, timestamps: [TIME_NS, TIME_NS] }],
    };
    for (const [name, samples] of Object.entries(shapes)) {
      it(`${name}: every version is read alike`, () => {
        const values = OTLP_VERSIONS.map((version) => read(otlpExport({ ...TABLES, resources: [{ profiles: [{ ...CPU, periodType: undefined as never, type: ["other", "count"], samples }] }] }, version)).profiles.map((one) => one.samples.map((sample) => [sample.values, sample.labels])));
        for (const of of values) expect(of).deep.equal(values[0]);
      });
    }

    it("one attribute and one timestamp a sample: 1.10 where the numbers explain the table of attributes", () => {
      const samples = [{ stack: 1, attributes: [2], timestamps: [TIME_NS] }, { stack: 2, attributes: [3], timestamps: [TIME_NS] }];
      const attributes = TABLES.attributes.slice(0, 4);
      const { profiles } = read(otlpExport({ ...TABLES, attributes, resources: [{ profiles: [profileOf(samples)] }] }, "1.10"));
      expect(profiles.map((one) => [one.labels["service_name"], one.samples.map(({ values }) => values)])).deep.equal([["unknown_service", [[50]]], ["cart", [[50]]]]);
    });

    it("attributes of profiles are explained by these: samples of 1.9 are not read as 1.10 because of them", () => {
      const attributes = TABLES.attributes.slice(0, 3);
      const profile = { type: ["events", "count"], timeNs: TIME_NS, attributes: [1, 2], samples: [{ stack: 3, values: [2], timestamps: [TIME_NS] }, { stack: 3, values: [1], timestamps: [TIME_NS] }] } as const;
      const mappings = TABLES.mappings.map(({ filename }) => ({ filename }));
      expect(sentence(() => read(otlpExport({ ...TABLES, mappings, attributes, resources: [{ profiles: [profile] }] }, "1.9")))).contain("does not tell which version");
      const newer = { ...profile, attributes: [1], samples: [{ stack: 3, attributes: [2], timestamps: [TIME_NS] }] };
      expect(read(otlpExport({ ...TABLES, mappings, attributes, resources: [{ profiles: [newer] }] }, "1.10")).profiles[0]!.samples[0]!.labels).deep.equal({ "thread.name": "worker" });
    });

    it("what may be values as well as attributes is refused", () => {
      const bytes = otlpExport({ ...TABLES, resources: [{ profiles: [{ ...profileOf([{ stack: 1, values: [1], timestamps: [TIME_NS] }]) }] }] }, "1.9");
      expect(sentence(() => read(bytes))).contain("field 2 of its samples may be values (1.8, 1.9) or attributes (1.10)");
    });

    it("what mixes versions is refused", () => {
      const [older, newer] = (["1.8", "1.10"] as const).map((version) => otlpExport({ ...TABLES, resources: [{ profiles: [profileOf([{ stack: 1, values: [1], attributes: [2], link: 1 }])] }] }, version));
      const dictionary = newer!.lastIndexOf(0x12, newer!.length); // only the first message is needed: the resources
      expect(dictionary).above(0);
      const first = older!.subarray(0, 2 + older![1]!);
      expect(first.length).below(0x80);
      expect(sentence(() => read(new Uint8Array(Buffer.concat([first, newer!]))))).match(/mixes fields of several versions|refused/);
    });

    it("what is older than 1.7 is refused, with a sentence that says so", () => {
      // 1.6: tables in the request, field 2 being a list of mappings.
      expect(sentence(() => read(Uint8Array.of(0x0a, 0, 0x12, 2, 0x08, 1, 0x32, 0)))).contain("1.6");
      // 1.5: tables in each profile.
      expect(sentence(() => read(Uint8Array.of(0x0a, 0)))).contain("1.6 or older");
    });

    it("a field that no version has is refused", () => {
      const sample = Uint8Array.of(0x12, 4, 0x08, 1, 0x78, 1); // field 15
      const profile = Uint8Array.of(0x12, sample.length, ...sample);
      const resource = Uint8Array.of(0x12, profile.length, ...profile);
      expect(sentence(() => read(Uint8Array.of(0x0a, resource.length, ...resource, 0x12, 0)))).contain("a sample has a field 15");
    });
  });

  describe("types", () => {
    const typed = (profile: Partial<ModelProfile>): readonly [string, string, readonly number[]] => {
      const { profiles } = read(otlpExport({ ...TABLES, resources: [{ profiles: [{ ...CPU, samples: [{ stack: 1, values: [2, 3] }], ...profile } as ModelProfile] }] }, "1.10"));
      return [profiles[0]!.labels["__name__"]!, profiles[0]!.types, profiles[0]!.samples[0]!.values];
    };

    it("samples of a CPU period are nanoseconds; a sample's values add up", () => {
      expect(typed({})).deep.equal(["process_cpu", "cpu:nanoseconds cpu:nanoseconds", [250]]);
    });
    it("off_cpu without a period is off_cpu", () => {
      expect(typed({ type: ["off_cpu", "nanoseconds"], periodType: ["", ""], period: 0 })).deep.equal(["off_cpu", "off_cpu:nanoseconds ", [5]]);
    });
    it("any other is named by its period type, or process_cpu", () => {
      expect(typed({ type: ["alloc_space", "bytes"], periodType: ["memory", "bytes"], period: 512 })).deep.equal(["memory", "alloc_space:bytes memory:bytes", [5]]);
      expect(typed({ type: ["alloc_space", "bytes"], periodType: ["", ""], period: 0 })[0]).equal("process_cpu");
    });
    it("a profile without a duration takes ten seconds", () => {
      const { profiles } = read(otlpExport({ ...TABLES, resources: [{ profiles: [{ ...CPU, durationNs: 0, samples: [{ stack: 1, values: [1] }] }] }] }, "1.10"));
      expect(profiles[0]!.durationNs).equal(10_000_000_000n);
    });
    it("a sum beyond 64 bits refuses the profile", () => {
      const samples = [{ stack: 1, values: [2n ** 63n - 1n, 1n] }];
      const { refused } = read(otlpExport({ ...TABLES, resources: [{ profiles: [{ ...profileOf(samples), type: ["x", "y"] }] }] }, "1.10"));
      expect(refused).deep.equal(["resource_profiles[0].scope_profiles[0].profiles[0]: the values of a sample make 9223372036854775808 together, which is beyond 64 bits: send smaller ones"]);
    });
  });

  describe("services", () => {
    const serviceOf = (attributes: Record<string, string>): string =>
      read(otlpExport({ ...TABLES, resources: [{ attributes, profiles: [profileOf([{ stack: 1, values: [1] }])] }] }, "1.10")).profiles[0]!.labels["service_name"]!;

    it("a resource without a service is unknown, with the name of its executable", () => {
      expect(serviceOf({})).equal("unknown_service");
      expect(serviceOf({ "process.executable.name": "nginx" })).equal("unknown_service:nginx");
      expect(serviceOf({ "process.executable.name": "nginx", "service.name": "web" })).equal("web");
    });
    it("attributes cannot set what the server makes", () => {
      const { profiles } = read(otlpExport({ ...TABLES, resources: [{ attributes: { __name__: "x", service_name: "y", __profile_type__: "z" }, profiles: [profileOf([{ stack: 1, values: [1] }])] }] }, "1.10"));
      expect(profiles[0]!.labels).deep.equal({ __delta__: "false", __otel__: "true", __name__: "process_cpu", service_name: "unknown_service" });
    });
  });

  it("an entry that several profiles need is the same in each, with addresses of up to 64 bits", () => {
    const addresses = [1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 0xffff_ffff_8123_4567n, 2n ** 64n - 1n];
    const tables = { ...TABLES, locations: [{}, ...addresses.map((address) => ({ mapping: 2, address }))], stacks: [[], addresses.map((_, i) => i + 1)] };
    const profile = profileOf([{ stack: 1, values: [1] }]);
    const { profiles } = readExport(otlpExport({ ...tables, resources: [{ profiles: [profile, profile] }] }, "1.10"), { encoding: "protobuf" }, DEFAULT_PROFILE_LIMITS);
    for (const { pprof } of profiles) expect(Profile.decode(pprof).location.map(({ address }) => BigInt.asUintN(64, BigInt(address)))).deep.equal(addresses);
  });

  it("a location that refuses a profile leaves the lines of the others alone", () => {
    const locations = [{}, { mapping: 1, lines: [[1, 7], [99, 1]] as const }, { mapping: 1, lines: [[2, 8]] as const }];
    const profiles = [1, 2, 1, 2].map((stack) => profileOf([{ stack, values: [1] }]));
    const result = read(otlpExport({ ...TABLES, locations, stacks: [[], [1], [2]], resources: [{ profiles }] }, "1.10"));
    expect([result.refused.length, result.profiles.map(({ samples }) => samples[0]!.stack)]).deep.equal([2, ["work:8 shop(abc123)+", "work:8 shop(abc123)+"]]);
  });

  describe("a profile that cannot be read", () => {
    const mixed = (bad: ModelProfile, limits?: ProfileLimits): ReturnType<typeof read> =>
      read(otlpExport({ ...TABLES, resources: [{ profiles: [profileOf([{ stack: 1, values: [1], attributes: [2] }]), bad, profileOf([{ stack: 2, values: [2] }])] }] }, "1.10"), limits === undefined ? {} : { limits });

    const cases: Readonly<Record<string, readonly [ModelProfile, string]>> = {
      "neither values nor timestamps": [profileOf([{ stack: 1, link: 1 }]), "a sample has neither values nor timestamps: send one of them"],
      "a stack that is not there": [profileOf([{ stack: 9, values: [1] }]), "it refers to stack 9, and the dictionary has 4: send the whole dictionary"],
      "an attribute that is not there": [profileOf([{ stack: 1, values: [1], attributes: [77] }]), "it refers to attribute 77, and the dictionary has 6: send the whole dictionary"],
      "a negative link": [profileOf([{ stack: 1, values: [1], link: -1 }]), "it refers to link 18446744073709552000, and the dictionary has 3: send the whole dictionary"],
    };
    for (const [name, [bad, expected]] of Object.entries(cases)) {
      it(`leaves the others: ${name}`, () => {
        const { profiles, refused } = mixed(bad);
        expect(profiles.map((one) => one.samples[0]!.values)).deep.equal([[50], [100]]);
        expect(refused).deep.equal([`resource_profiles[0].scope_profiles[0].profiles[1]: ${expected}`]);
      });
    }

    it("leaves the others where it breaks a limit", () => {
      const { refused } = mixed(profileOf(Array.from({ length: 4 }, () => ({ stack: 1, values: [1] }))), { ...DEFAULT_PROFILE_LIMITS, sampleCountMax: 3 });
      expect(refused).deep.equal(["resource_profiles[0].scope_profiles[0].profiles[1]: the profile has more than 3 samples: profile for a shorter time, or raise limits.max_profile_stacktrace_samples"]);
    });
  });

  it("of an export whose profiles all refer to one long stack is refused before it becomes larger than memory", () => {
    const stacks = [[], Array.from({ length: 500_000 }, () => 1)];
    const profile = profileOf([{ stack: 1, values: [1], attributes: [2] }]);
    const bytes = otlpExport({ ...TABLES, stacks, resources: [{ profiles: Array.from({ length: 200 }, () => profile) }] }, "1.10");
    expect(() => read(bytes)).throw(CodedError, /take more than \d+ bytes as pprof/);
  });

  it("a profile that is refused before anything of it was written does not count what another one took", () => {
    const stacks = [[], Array.from({ length: 500_000 }, () => 1)];
    const large = profileOf(Array.from({ length: 6 }, () => ({ stack: 1, values: [1], attributes: [2] })));
    const withoutTypes = nested(1, nested(2, Buffer.alloc(2 * 10, Uint8Array.of(0x12, 0))));
    const { profiles, refused } = readExport(concat(otlpExport({ ...TABLES, stacks, resources: [{ profiles: [large] }] }, "1.10"), withoutTypes), { encoding: "protobuf" }, DEFAULT_PROFILE_LIMITS);
    expect([[...profiles].length, refused.length, refused[9]?.message]).deep.equal([1, 10, "resource_profiles[1].scope_profiles[0].profiles[9]: it has no sample_type: say what its values are"]);
  });

  it("1.7: the list of a profile's locations is read once, however many services its samples name", () => {
    const serviceCount = 8000;
    const attributes = [{ key: "", value: "" }, ...Array.from({ length: serviceCount }, (_, i) => ({ key: "service.name", value: `s${i}` }))];
    const long = Array.from({ length: 10_000 }, () => 1);
    const model: ExportModel = { ...TABLES, mappings: [{ filename: "" }, { filename: "a" }, { filename: "b" }], attributes, stacks: [[], [2, 1], ...Array.from({ length: 200 }, () => long)], resources: [{ profiles: [profileOf(Array.from({ length: serviceCount }, (_, i) => ({ stack: 1, values: [1], attributes: [i + 1] })))] }] };
    const { profiles } = readExport(otlpExport(model, "1.7"), { encoding: "protobuf" }, DEFAULT_PROFILE_LIMITS);
    expect([...profiles].length).equal(serviceCount); // 16,000,000,000 numbers if it were read for each
  });

  describe("an export that is small and costs much is refused", () => {
    it("of profiles that are all empty, whose refusals would fill the memory", () => {
      const profiles = nested(1, nested(2, Buffer.alloc(2 * 20_000, Uint8Array.of(0x12, 0))));
      expect(() => read(concat(profiles, nested(2, Uint8Array.of(0x2a, 0))))).throw(CodedError, /more than 16384 profiles/);
    });

    it("of profiles that each read a long stack and are refused for its last location", () => {
      const stacks = [[], [...Array.from({ length: 500_000 }, () => 1), 99]];
      const profile = profileOf([{ stack: 1, values: [1], attributes: [2] }]);
      const bytes = otlpExport({ ...TABLES, stacks, resources: [{ profiles: Array.from({ length: 200 }, () => profile) }] }, "1.10");
      expect(() => read(bytes)).throw(CodedError, /need more than \d+ bytes of its dictionary/);
    });

    it("of profiles whose mapping has a million attributes", () => {
      const mappings = [{ filename: "" }, { filename: "shop", attributes: Array.from({ length: 1_000_000 }, () => 1) }, { filename: "libc.so" }];
      const profile = profileOf([{ stack: 1, values: [1], attributes: [2] }]);
      const bytes = otlpExport({ ...TABLES, mappings, resources: [{ profiles: Array.from({ length: 200 }, () => profile) }] }, "1.10");
      expect(() => read(bytes)).throw(CodedError, /need more than \d+ bytes of its dictionary/);
    });

    it("of profiles whose resource has 100,000 attributes", () => {
      const attributes = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`a${i}`, i]));
      const profile = profileOf([{ stack: 1, values: [1], attributes: [2] }]);
      const bytes = otlpExport({ ...TABLES, resources: [{ attributes, profiles: Array.from({ length: 200 }, () => profile) }] }, "1.10");
      expect(() => read(bytes)).throw(CodedError, /take more than \d+ bytes as pprof/);
    });

    it("a profile of more than 4096 sample types is refused by itself", () => {
      const type = nested(1, Uint8Array.of());
      const profile = concat(...Array.from({ length: 4097 }, () => type), nested(2, Uint8Array.of(0x08, 0, 0x22, 1, 7)), Uint8Array.of(0x19, 0, 0, 0, 0, 0, 0, 0, 1));
      const { refused } = read(concat(nested(1, nested(2, nested(2, profile))), nested(2, Uint8Array.of(0x2a, 0, 0x3a, 0))));
      expect(refused).deep.equal(["resource_profiles[0].scope_profiles[0].profiles[0]: it has more than 4096 sample types: send fewer"]);
    });

    it("of more dictionary entries than memory is made for", () => {
      const dictionaryOf = (entryCount: number): Uint8Array => concat(nested(1, Uint8Array.of()), nested(2, new Uint8Array(2 * entryCount).map((_, i) => (i % 2 === 0 ? 0x2a : 0))));
      expect(readTables(dictionaryOf(DICTIONARY_ENTRIES_MAX)).strings.count).equal(DICTIONARY_ENTRIES_MAX);
      expect(() => readTables(dictionaryOf(DICTIONARY_ENTRIES_MAX + 1))).throw(CodedError, /dictionary of the export has more than 2097152 entries/);
    });

    it("of a location with more lines than memory is made for", () => {
      const lines = Buffer.alloc(4 * (DICTIONARY_ENTRIES_MAX + 1), Uint8Array.of(0x1a, 2, 0x08, 1));
      const dictionary = concat(nested(2, Uint8Array.of()), nested(2, lines), nested(3, Uint8Array.of()), nested(3, Uint8Array.of()), nested(5, Uint8Array.of()), nested(7, Uint8Array.of()), nested(7, Uint8Array.of(0x0a, 1, 1)));
      const profile = concat(nested(1, Uint8Array.of()), nested(2, Uint8Array.of(0x08, 1, 0x22, 1, 7)), Uint8Array.of(0x19, 0, 0, 0, 0, 0, 0, 0, 1));
      const { refused } = read(concat(nested(1, nested(2, nested(2, profile))), nested(2, dictionary)));
      expect(refused).deep.equal(["resource_profiles[0].scope_profiles[0].profiles[0]: the dictionary of the export has more than 2097152 lines: send fewer profiles at once"]);
    });

    it("of attributes whose indexes all collide in V8's hash tables, of which 65,000 would take ten seconds", () => {
      const attributes = Array.from({ length: 2 ** 17 }, (_, i) => numberOfHash(i << 15)).filter((number) => number >= 0);
      const bytes = otlpExport({ ...TABLES, mappings: [{ filename: "" }, { filename: "shop", attributes }], resources: [{ profiles: [profileOf([{ stack: 1, values: [1], timestamps: [TIME_NS] }])] }] }, "1.9");
      expect(sentence(() => read(bytes))).contain("does not tell which version");
    }).timeout(5_000);

    it("of a list with more numbers than memory is made for, however small they are", () => {
      const dictionary = concat(nested(5, Uint8Array.of()), nested(7, Uint8Array.of()), nested(7, Uint8Array.of(0x0a, 1, 1)));
      for (const field of [2, 4]) {
        const sample = concat(Uint8Array.of(0x08, 1), nested(field, Buffer.alloc(2 ** 22 + 1, 1)), field === 2 ? Uint8Array.of(0x22, 1, 7) : Uint8Array.of());
        const profile = concat(nested(1, Uint8Array.of()), nested(2, sample), Uint8Array.of(0x19, 0, 0, 0, 0, 0, 0, 0, 1));
        const { refused } = read(concat(nested(1, nested(2, nested(2, profile))), nested(2, dictionary)));
        expect(refused).deep.equal(["resource_profiles[0].scope_profiles[0].profiles[0]: a list of the export has more than 4194304 numbers: profile for a shorter time"]);
      }
    });

    it("of such a list that is not packed", () => {
      const numbers = (field: number, number: number): Uint8Array => new Uint8Array(Buffer.alloc(2 * (2 ** 22 + 1), Uint8Array.of(field * 8, number)));
      const ofTime = (sample: Uint8Array): Uint8Array => concat(nested(2, sample), Uint8Array.of(0x19, 0, 0, 0, 0, 0, 0, 0, 1));
      const long: Readonly<Record<string, { readonly fields: Uint8Array; readonly stack?: Uint8Array }>> = {
        "a sample's attributes": { fields: ofTime(concat(Uint8Array.of(0x08, 1), numbers(2, 1), Uint8Array.of(0x20, 7))) },
        "a sample's values": { fields: ofTime(concat(Uint8Array.of(0x08, 1), numbers(4, 7))) },
        "a stack": { fields: ofTime(Uint8Array.of(0x08, 1, 0x22, 1, 7)), stack: numbers(1, 1) },
        "the locations of a profile of 1.7": { fields: concat(nested(2, Uint8Array.of(0x10, 1, 0x1a, 1, 7)), numbers(3, 1)) },
      };
      for (const [name, { fields, stack = Uint8Array.of() }] of Object.entries(long)) {
        const dictionary = concat(...[5, 6, 6, 7].map((field) => nested(field, Uint8Array.of())), nested(7, stack));
        const { refused } = read(concat(nested(1, nested(2, nested(2, concat(nested(1, Uint8Array.of()), fields)))), nested(2, dictionary)));
        expect(refused, name).deep.equal(["resource_profiles[0].scope_profiles[0].profiles[0]: a list of the export has more than 4194304 numbers: profile for a shorter time"]);
      }
    }).timeout(10_000);

    it("a long string is decoded once, also where as many short ones as are kept were before it", () => {
      const [short, long] = [nested(5, Uint8Array.of(0x61)), nested(5, new Uint8Array(300).fill(0x61))];
      const tables = readTables(concat(nested(1, Uint8Array.of()), nested(2, concat(...Array.from({ length: 5000 }, () => short), long))));
      for (let i = 0; i <= 5000; i++) stringAt(tables, i);
      expect([tables.texts.size, tables.texts.has(4999), tables.texts.has(5000)]).deep.equal([4097, false, true]);
    });
  });

  describe("damage", () => {
    it("a field 0, which protobuf does not have, is no dictionary", () => {
      expect(() => readTables(concat(nested(1, Uint8Array.of()), nested(0, Uint8Array.of())))).throw(CodedError, /^the request has a field 0 of wire type 2/);
    });

    it("timestamps that are not whole refuse the profile, instead of counting a part of one", () => {
      const bytes = Buffer.from(otlpExport({ ...TABLES, resources: [{ profiles: [profileOf([{ stack: 1, attributes: [2, 4], timestamps: [TIME_NS] }])] }] }, "1.10"));
      // The list of one timestamp becomes one of two bytes, and a list of four: fields of a sample, whose length stays.
      const at = bytes.indexOf(Buffer.from([0x2a, 8]));
      bytes.set([0x2a, 2, 0, 0, 0x2a, 4], at);
      expect(read(bytes).refused).deep.equal(["resource_profiles[0].scope_profiles[0].profiles[0]: the timestamps of a sample have 2 bytes, and each has 8: send the whole export"]);
    });

    const whole = otlpExport({ ...TABLES, resources: [{ attributes: { "service.name": "shop" }, profiles: [profileOf([{ stack: 1, values: [2], attributes: [2], link: 1 }])] }] }, "1.10");

    it("torn at any byte it is refused, or what is left is a whole message", () => {
      for (let length = 0; length < whole.length; length++) expect(sentence(() => read(whole.subarray(0, length))), String(length)).not.equal("nothing was refused");
    });
  });
});

describe("OTLP profiles in JSON", () => {
  const dictionary = {
    mappingTable: [{}, { filenameStrindex: 3, attributeIndices: [1] }],
    locationTable: [{}, { mappingIndex: 1, address: "10", lines: [{ functionIndex: 1, line: "7" }] }],
    functionTable: [{}, { nameStrindex: 4 }],
    linkTable: [{}, { traceId: Buffer.from(TRACE).toString("hex").toUpperCase(), spanId: Buffer.from(SPAN).toString("base64") }],
    stringTable: ["", "samples", "count", "shop", "main", "cpu", "nanoseconds", "process.executable.build_id.gnu", "thread.name"],
    attributeTable: [{}, { keyStrindex: 7, value: { stringValue: "abc123" } }, { keyStrindex: 8, value: { stringValue: "worker" } }],
    stackTable: [{}, { locationIndices: [1] }],
  };
  const sample = { stackIndex: 1, values: ["3"], attributeIndices: [2], linkIndex: 1, timestampsUnixNano: [String(TIME_NS)] };
  const profile = { sampleType: { typeStrindex: 1, unitStrindex: 2 }, periodType: { typeStrindex: 5, unitStrindex: 6 }, period: "50", timeUnixNano: String(TIME_NS), durationNano: 5000, profileId: "00".repeat(16), samples: [sample] };
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }, { key: "shards", value: { intValue: "4" } }] };
  const exportOf = (changed: object = {}, dictionaryChanged: object = {}): Uint8Array =>
    new Uint8Array(Buffer.from(JSON.stringify({ resourceProfiles: [{ resource, scopeProfiles: [{ scope: {}, profiles: [{ ...profile, ...changed }] }] }], dictionary: { ...dictionary, ...dictionaryChanged } })));
  const json = { form: { encoding: "json" } } as const;
  const expected = read(
    otlpExport(
      {
        mappings: [{ filename: "" }, { filename: "shop", attributes: [1] }],
        functions: [{ name: "" }, { name: "main" }],
        locations: [{}, { mapping: 1, address: 10, lines: [[1, 7]] }],
        stacks: [[], [1]],
        links: [{ trace: new Uint8Array(0), span: new Uint8Array(0) }, { trace: TRACE, span: SPAN }],
        attributes: [{ key: "", value: "" }, { key: "process.executable.build_id.gnu", value: "abc123" }, { key: "thread.name", value: "worker" }],
        resources: [{ attributes: { "service.name": "shop", shards: 4 }, profiles: [profileOf([{ stack: 1, values: [3], attributes: [2], link: 1, timestamps: [TIME_NS] }])] }],
      },
      "1.10",
    ),
  );

  it("is the same as in protobuf: ids as hex and base64, numbers as strings and as numbers", () => {
    expect(read(exportOf(), json)).deep.equal(expected);
  });

  it("takes names as in the .proto, those of 1.8, and null for none", () => {
    const old = { samples: undefined, sample: [{ stack_index: 1, values: [3], attribute_indices: [2], link_index: 1, timestamps_unix_nano: [String(TIME_NS)] }], duration_nano: "5000", durationNano: null };
    const lines = { locationTable: [{}, { mapping_index: 1, address: 10, line: [{ functionIndex: 1, line: 7 }] }] };
    expect(read(exportOf(old, lines), json)).deep.equal(expected);
  });

  it("takes 1.7", () => {
    const of17 = {
      samples: undefined,
      timeUnixNano: undefined,
      durationNano: undefined,
      sampleType: [profile.sampleType],
      timeNanos: String(TIME_NS),
      durationNanos: "5000",
      locationIndices: [1],
      sample: [{ locationsStartIndex: 0, locationsLength: 1, value: ["3"], attributeIndices: [2], linkIndex: 1, timestampsUnixNano: [String(TIME_NS)] }],
    };
    const tables = { stackTable: undefined, attributeTable: [{}, { key: "process.executable.build_id.gnu", value: { stringValue: "abc123" } }, { key: "thread.name", value: { stringValue: "worker" } }], locationTable: [{}, { mappingIndex: 1, address: 10, line: [{ functionIndex: 1, line: 7 }] }] };
    expect(read(exportOf(of17, tables), json)).deep.equal(expected);
  });

  const refusals: Readonly<Record<string, readonly [Uint8Array, string]>> = {
    "a field of a sample that no version has": [exportOf({ samples: [{ ...sample, weights: [1] }] }), 'has a field "weights"'],
    "a number that JSON has rounded": [exportOf({ samples: [{ ...sample, values: [2 ** 60] }] }), "a number beyond 2^53"],
    "text for a number": [exportOf({ period: "many" }), "the request.resourceProfiles[0].scopeProfiles[0].profiles[0].period is not a whole number"],
    "an object for a list": [exportOf({ samples: {} }), "samples is not a list"],
    "no JSON": [new Uint8Array(Buffer.from("{")), "no JSON"],
    "a list for the request": [new Uint8Array(Buffer.from("[]")), "the request is not an object"],
  };
  for (const [name, [bytes, expectedSentence]] of Object.entries(refusals)) {
    it(`refuses ${name}`, () => expect(sentence(() => read(bytes, json))).contain(expectedSentence));
  }
});
