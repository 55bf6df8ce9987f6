import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { Profile } from "pprof-format";
import { FrameTable } from "../jfr/frame-table.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import type { ProfileLimits } from "../labels/limits.ts";
import { JfrPools } from "../testing/jfr-pools.ts";
import { profileSums } from "../testing/jfr-sums.ts";
import { AGENT_TYPES, Bytes, writeChunk } from "../testing/jfr-writer.ts";
import type { ChunkSpec, EncodedText, TypeSpecs, Value } from "../testing/jfr-writer.ts";
import { corpusPath } from "../testing/pprof-oracle.ts";
import type { FormatProfile } from "./format.ts";
import { readFormat } from "./formats.ts";
import type { JfrForm } from "./jfr.ts";
import { readJfr } from "./jfr.ts";

const FORM: JfrForm = { sampleRate: 100, hasTime: true };
const FROM_NS = 1_700_000_123_456_000_000n;
const REQUEST_LABELS = [{ name: "service_name", value: "shop" }];

function read(bytes: Uint8Array, form: Partial<JfrForm> = {}, limits: Partial<ProfileLimits> = {}): FormatProfile[] {
  return [...readJfr(bytes, { ...FORM, ...form }, { labels: REQUEST_LABELS, limits: { ...DEFAULT_PROFILE_LIMITS, ...limits }, fallbackTimeNs: FROM_NS }).profiles];
}

function sums(bytes: Uint8Array, form: Partial<JfrForm> = {}): Record<string, bigint> {
  return Object.fromEntries(profileSums(read(bytes, form)));
}

function refusalOf(bytes: Uint8Array, form: Partial<JfrForm> = {}, limits: Partial<ProfileLimits> = {}): string {
  try {
    read(bytes, form, limits);
  } catch (thrown) {
    if (thrown instanceof CodedError) return `${thrown.code}: ${thrown.message}`;
    throw thrown;
  }
  throw new Error("nothing was refused");
}

/** A chunk of one CPU sample of `Main.run;Main.work`, with what a test changes. */
function chunk(changes: (pools: JfrPools) => Partial<ChunkSpec> = () => ({}), pools: JfrPools = new JfrPools()): Uint8Array {
  const stack = pools.stack([
    { name: "Main.work", line: 12 },
    { name: "Main.run", line: 3 },
  ]);
  const state = pools.state("STATE_RUNNABLE");
  return writeChunk({ types: AGENT_TYPES, pools: pools.pools, events: [["jdk.ExecutionSample", { stackTrace: stack, state }]], ...changes(pools) });
}

const CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

function withField(type: string, at: number, field: TypeSpecs[string][number]): TypeSpecs {
  const fields = [...AGENT_TYPES[type]!];
  fields.splice(at, 0, field);
  return { ...AGENT_TYPES, [type]: fields };
}

describe("jfr: what a recording is read as", () => {
  it("each event counts for the profile types of Pyroscope", () => {
    const bytes = chunk((pools) => {
      const stackTrace = pools.stack([{ name: "a/B.f" }]);
      const state = pools.state("STATE_RUNNABLE");
      const events: (readonly [string, Value])[] = [
        ["jdk.ExecutionSample", { stackTrace, state }],
        ["jdk.ExecutionSample", { stackTrace, state }],
        ["jdk.ExecutionSample", { stackTrace, state: pools.state("STATE_SLEEPING") }],
        ["profiler.WallClockSample", { stackTrace, state, samples: 4 }],
        ["jdk.ObjectAllocationInNewTLAB", { stackTrace, allocationSize: 16, tlabSize: 1000 }],
        ["jdk.ObjectAllocationInNewTLAB", { stackTrace, allocationSize: 16, tlabSize: 500 }],
        ["jdk.ObjectAllocationOutsideTLAB", { stackTrace, allocationSize: 70 }],
        ["jdk.ObjectAllocationSample", { stackTrace, weight: 80 }],
        ["jdk.JavaMonitorEnter", { stackTrace, duration: 90 }],
        ["jdk.ThreadPark", { stackTrace, duration: 95 }],
        ["profiler.LiveObject", { stackTrace, allocationSize: 96 }],
        ["profiler.Malloc", { stackTrace, size: 99 }],
      ];
      return { events };
    });
    expect(sums(bytes)).to.deep.equal({
      [`${CPU} {} a/B.f`]: 20_000_000n,
      "wall:wall:nanoseconds:wall:nanoseconds {} a/B.f": 40_000_000n,
      "memory:alloc_in_new_tlab_objects:count:space:bytes {} a/B.f": 2n,
      "memory:alloc_in_new_tlab_bytes:bytes:space:bytes {} a/B.f": 1500n,
      "memory:alloc_outside_tlab_objects:count:space:bytes {} a/B.f": 1n,
      "memory:alloc_outside_tlab_bytes:bytes:space:bytes {} a/B.f": 70n,
      "memory:alloc_sample_objects:count:space:bytes {} a/B.f": 1n,
      "memory:alloc_sample_bytes:bytes:space:bytes {} a/B.f": 80n,
      "mutex:contentions:count:mutex:count {} a/B.f": 1n,
      "mutex:delay:nanoseconds:mutex:count {} a/B.f": 90n,
      "block:contentions:count:block:count {} a/B.f": 1n,
      "block:delay:nanoseconds:block:count {} a/B.f": 95n,
      "memory:live:count:objects:count {} a/B.f": 1n,
      "memory:malloc_objects:count:: {} a/B.f": 1n,
      "memory:malloc_bytes:bytes:: {} a/B.f": 99n,
    });
  });

  it("with the agent's event wall, samples count as wall, and those of running threads as cpu too", () => {
    const bytes = chunk((pools) => {
      const stackTrace = pools.stack([{ name: "a/B.f" }]);
      const [running, sleeping] = [pools.state("STATE_RUNNABLE"), pools.state("STATE_SLEEPING")];
      return {
        events: [
          ["jdk.ActiveSetting", { name: "event", value: "wall" }],
          ["jdk.ExecutionSample", { stackTrace, state: running }],
          ["jdk.ExecutionSample", { stackTrace, state: sleeping }],
          ["profiler.WallClockSample", { stackTrace, state: running, samples: 3 }],
          ["profiler.WallClockSample", { stackTrace, state: sleeping, samples: 5 }],
        ],
      };
    });
    expect(sums(bytes)).to.deep.equal({ [`${CPU} {} a/B.f`]: 40_000_000n, "wall:wall:nanoseconds:wall:nanoseconds {} a/B.f": 100_000_000n });
    expect(read(bytes)[0]!.labels).to.deep.include({ name: "jfr_event", value: "wall" });
  });

  it("waits are nanoseconds, whatever the clock of each chunk ticks", () => {
    const waits = (ticksPerS: bigint, duration: number): Uint8Array =>
      chunk((pools) => {
        const stackTrace = pools.stack([{ name: "a/B.f" }]);
        return { ticksPerS, events: [["jdk.JavaMonitorEnter", { stackTrace, duration }], ["jdk.ThreadPark", { stackTrace, duration: duration * 2 }]] };
      });
    // The frequency of the processor's counter, as the agent writes it on most machines; nanoseconds; and a slow clock.
    const bytes = Buffer.concat([waits(2_799_998_858n, 2_799_998_858), waits(1_000_000_000n, 7), waits(1000n, 3)]);
    const delays = Object.entries(sums(bytes)).filter(([key]) => key.includes("delay"));
    expect(Object.fromEntries(delays)).to.deep.equal({ "mutex:delay:nanoseconds:mutex:count {} a/B.f": 1_003_000_007n, "block:delay:nanoseconds:block:count {} a/B.f": 2_006_000_014n });
    expect(refusalOf(waits(0n, 1))).to.contain("its clock ticks 0 times a second");
  });

  it("a wait that began in the chunk before has its stacktrace there, as the JDK writes it", () => {
    const own = new JfrPools((number) => 1000 + number);
    const first = chunk();
    const wait = (startTime: number, stackTrace: number): Uint8Array =>
      chunk((pools) => ({ startTicks: 500n, events: [["jdk.JavaMonitorEnter", { startTime, stackTrace, duration: 30 }], ["jdk.JavaMonitorEnter", { startTime: 500, stackTrace: pools.stack([{ name: "A.f" }]), duration: 4 }]] }), own);
    const delays = (bytes: Uint8Array): unknown => Object.entries(sums(bytes)).filter(([key]) => key.includes("delay")).map(([key, value]) => [key.slice(key.indexOf("} ") + 2), value]);
    expect(delays(Buffer.concat([first, wait(499, 1)]))).to.deep.equal([["Main.run;Main.work", 30n], ["A.f", 4n]]);
    // The chunk before is not in the recording, or does not have it, or another one lies between: the wait is left out.
    expect(delays(wait(499, 1))).to.deep.equal([["A.f", 4n]]);
    expect(delays(Buffer.concat([first, wait(499, 77)]))).to.deep.equal([["A.f", 4n]]);
    expect(delays(Buffer.concat([first, wait(500, 1001), wait(499, 1)]))).to.deep.equal([["Main.run;Main.work", 30n], ["A.f", 8n]]);
    // What began in the chunk must have it there.
    expect(refusalOf(Buffer.concat([first, wait(500, 1)]))).to.contain("jdk.types.StackTrace 1, which is in no checkpoint");
  });

  it("a function has a location for each of its lines, few or many, in whatever order they come", () => {
    const lines = [...Array.from({ length: 40 }, (_, i) => (i * 7919) % 65_521), 5, 7919, 2 ** 31 - 1];
    const bytes = chunk((pools) => ({ events: [lines, [...lines].reverse()].map((order) => ["profiler.LiveObject", { stackTrace: pools.stack([...order.map((line) => ({ name: "A.f", line })), { name: "B.few", line: 3 }, { name: "B.few", line: 4 }]) }]) }));
    const { location, stringTable, function: functions } = Profile.decode(read(bytes)[0]!.pprof);
    const linesOf = (name: string): number[] => location.filter(({ line }) => stringTable.strings[Number(functions[Number(line[0]!.functionId) - 1]!.name)] === name).map(({ line }) => Number(line[0]!.line));
    expect(linesOf("A.f")).to.have.members([...new Set(lines)]);
    expect(linesOf("B.few")).to.have.members([3, 4]);
  });

  it("several chunks add up, each with ids of its own", () => {
    const second = new JfrPools((number) => 900 - number);
    const both = Buffer.concat([chunk(), chunk(() => ({}), second)]);
    expect(sums(both)).to.deep.equal({ [`${CPU} {} Main.run;Main.work`]: 20_000_000n });
  });

  it("contexts become labels, spans an id and a name, and what the labels part does not have is left out", () => {
    const bytes = chunk((pools) => {
      const event = (fields: Record<string, Value>): readonly [string, Value] => ["jdk.ExecutionSample", { stackTrace: pools.stack([{ name: "A.f" }]), state: pools.state("STATE_RUNNABLE"), ...fields }];
      return { events: [event({}), event({ contextId: 5 }), event({ contextId: 5 }), event({ contextId: 7 }), event({ spanId: 0xfedc_ba98_7654_3210n, spanName: 4 })] };
    });
    const snapshot = new Bytes();
    const entry = (field: number, key: number, value: Uint8Array): void => {
      const body = new Bytes().byte(0x08).long(key).byte(0x12).long(value.length).raw(value);
      snapshot.byte(field * 8 + 2).long(body.length).raw(body.finish());
    };
    for (const [index, text] of ["thread_name", "pool-1", "", "GET /"].entries()) entry(2, index + 1, Buffer.from(text));
    const pair = (name: number, value: number): Uint8Array => new Bytes().byte(0x0a).long(4).byte(0x08).long(name).byte(0x10).long(value).finish();
    entry(1, 5, Buffer.concat([pair(1, 2), pair(1, 3)]));
    const expected = { [`${CPU} {} A.f`]: 20_000_000n, [`${CPU} {thread_name=pool-1} A.f`]: 20_000_000n, [`${CPU} {profile_id=fedcba9876543210,span_name=GET /} A.f`]: 10_000_000n };
    expect(sums(bytes, { labels: Buffer.from(snapshot.finish()).toString("latin1") })).to.deep.equal(expected);
    expect(sums(bytes, { labels: gzipSync(snapshot.finish()).toString("latin1") })).to.deep.equal(expected);
    expect(refusalOf(bytes, { labels: "\x0a\x7f" })).to.match(/^PROFILE_MALFORMED: the field labels is no LabelsSnapshot/);
    expect(refusalOf(bytes, { labels: "\x1f\x8b\x08" })).to.match(/^PROFILE_MALFORMED: the field labels is a gzip stream that is torn/);
  });

  it("a context whose labels are many is read once, however many spans are within it, and so is a text that many labels name", () => {
    const spanCount = 2000;
    const bytes = chunk((pools) => {
      const stackTrace = pools.stack([{ name: "A.f" }]);
      return { events: Array.from({ length: spanCount }, (_, i) => ["jdk.ExecutionSample", { stackTrace, state: pools.state("STATE_RUNNABLE"), contextId: 1, spanId: i + 1 }] as const) };
    });
    const entry = (field: number, key: number, value: Uint8Array): Uint8Array => {
      const body = new Bytes().byte(0x08).long(key).byte(0x12).long(value.length).raw(value).finish();
      return new Bytes().byte(field * 8 + 2).long(body.length).raw(body).finish();
    };
    // Labels whose value is empty are left out. Read anew for each span, with the long name again for each label, these would take hours.
    const pair = new Bytes().byte(0x0a).long(4).byte(0x08).long(1).byte(0x10).long(2).finish();
    const labels = Buffer.concat([entry(2, 1, Buffer.from("ü".repeat(200_000))), entry(2, 2, Buffer.alloc(0)), entry(1, 1, Buffer.concat(Array.from({ length: 10_000 }, () => pair)))]).toString("latin1");
    expect(Object.keys(sums(bytes, { labels }))).to.have.length(spanCount);
  }).timeout(10_000);

  it("names that a JVM makes anew in each run are folded", () => {
    const names: readonly (readonly [string, string])[] = [
      ["a/App$$Lambda$4/1283928880", "a/App$$Lambda_"],
      ["a/App$$Lambda$669.0x0000000800fd7318", "a/App$$Lambda_"],
      ["Fib$$Lambda.0x00007ffa600c4da0", "Fib$$Lambda_"],
      ["jdk/internal/reflect/GeneratedMethodAccessor31", "jdk/internal/reflect/GeneratedMethodAccessor_"],
      ["a/Baz$$EnhancerBySpringCGLIB$$1f2e", "a/Baz$$EnhancerBySpringCGLIB$$_"],
      ["./tmp/libzstd-jni-1.5.1-16931311898282279136.so (deleted)", "libzstd-jni-_.so"],
      ["/tmp/libamazonCorrettoCryptoProvider109b39cf33c563eb.so", "libamazonCorrettoCryptoProvider_.so"],
      ["amazonCorrettoCryptoProviderNativeLibraries.7382c2f79097f415/libcrypto.so", "libamazonCorrettoCryptoProvider_.so"],
      ["libasyncProfiler-linux-musl-x64-17b9a1d8156277a98ccc871afa9a8f69215f92.so", "libasyncProfiler-_.so"],
      ["java/util/concurrent/Executors$RunnableAdapter", "java/util/concurrent/Executors$RunnableAdapter"],
    ];
    for (const [from, to] of names) {
      const bytes = chunk((pools) => {
        const type = pools.add("java.lang.Class", from, () => ({ name: pools.symbol(from) }));
        const method = pools.add("jdk.types.Method", from, () => ({ type, name: pools.symbol("run") }));
        const stackTrace = pools.add("jdk.types.StackTrace", from, () => ({ frames: [{ method }] }));
        return { events: [["jdk.ExecutionSample", { stackTrace, state: pools.state("STATE_RUNNABLE") }]] };
      });
      expect(Object.keys(sums(bytes))).to.deep.equal([`${CPU} {} ${to}.run`]);
    }
  });

  it("strings are read in each encoding, the pool's by their ids", () => {
    const texts: readonly (readonly [EncodedText, string])[] = [
      [{ encoding: 0 }, ""],
      [{ encoding: 1 }, ""],
      [{ encoding: 2, id: 77 }, "Pööled"],
      [{ encoding: 3, text: "Ünï\u{1f525}" }, "Ünï\u{1f525}"],
      [{ encoding: 4, text: "Cä\u{1f525}" }, "Cä\u{1f525}"],
      [{ encoding: 5, text: "Lätin" }, "Lätin"],
    ];
    for (const [encoded, text] of texts) {
      const bytes = chunk((pools) => {
        pools.pools.get("java.lang.String")!.set(77, { encoding: 4, text: "Pööled" });
        const name = pools.add("jdk.types.Symbol", "encoded", () => ({ string: encoded }));
        const type = pools.add("java.lang.Class", "encoded", () => ({ name }));
        const method = pools.add("jdk.types.Method", "encoded", () => ({ type, name: pools.symbol("f") }));
        const stackTrace = pools.add("jdk.types.StackTrace", "encoded", () => ({ frames: [{ method }] }));
        return { events: [["jdk.ExecutionSample", { stackTrace, state: pools.state("STATE_RUNNABLE") }]] };
      });
      expect(Object.keys(sums(bytes))).to.deep.equal([`${CPU} {} ${text}.f`]);
    }
  });

  it("fields and types that are not known, sparse ids, and constants in several checkpoints are read over", () => {
    const sparse = new JfrPools((number) => number * 65_536 * 65_536 + 3);
    const types: TypeSpecs = {
      "x.Inner": [{ name: "d", type: "double" }, { name: "s", type: "java.lang.String" }, { name: "list", type: "int", isArray: true }],
      ...withField("jdk.ExecutionSample", 0, { name: "inner", type: "x.Inner", isArray: true }),
    };
    const withFrames: TypeSpecs = { ...types, "jdk.types.StackFrame": [{ name: "inner", type: "x.Inner" }, ...AGENT_TYPES["jdk.types.StackFrame"]!, { name: "f", type: "float" }] };
    const bytes = chunk((pools) => {
      const stackTrace = pools.stack([{ name: "A.f" }, { name: "A.main" }]);
      return { types: withFrames, checkpointCount: 3, events: [["jdk.ExecutionSample", { inner: [{ s: "x", list: [1, 2] }, {}], stackTrace, state: pools.state("STATE_RUNNABLE") }]] };
    }, sparse);
    expect(sums(bytes)).to.deep.equal({ [`${CPU} {} A.main;A.f`]: 10_000_000n });
  });

  it("an event without a stacktrace (id 0) is left out, and a recording without samples gives no profile", () => {
    expect(read(chunk(() => ({ events: [["jdk.ExecutionSample", { stackTrace: 0, state: 0 }]] })))).to.deep.equal([]);
    expect(read(chunk(() => ({ events: [] })))).to.deep.equal([]);
  });

  it("the profile has the request's labels and time, and what the time lacks in precision from the recording's own", () => {
    const tailOf = (timeNs: bigint): Buffer => Buffer.from(new Bytes().byte(0x48).long(timeNs).byte(0x50).long(15_000_000_000).byte(0x60).long(10_000_000).finish());
    const bytes = chunk(() => ({ startNs: 1_690_000_000_120_789_000n }));
    for (const [fromNs, timeNs] of [[1_700_000_123_000_000_000n, 1_700_000_123_120_789_000n], [FROM_NS, FROM_NS + 789_000n]] as const) {
      const [profile] = readJfr(bytes, { ...FORM, durationMs: 15_000 }, { labels: REQUEST_LABELS, limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: fromNs }).profiles;
      // Fields 9, 10 and 12 of a pprof: time_nanos, duration_nanos, period.
      expect(Buffer.from(profile!.pprof).subarray(-tailOf(timeNs).length).equals(tailOf(timeNs))).to.equal(true);
    }
    const [profile] = read(bytes);
    expect(profile!.labels).to.deep.equal([...REQUEST_LABELS, { name: "__name__", value: "process_cpu" }]);
  });
});

describe("jfr: what is refused", () => {
  const whole = chunk();

  it("bytes that are no recording, another version, and integers that are not compressed", () => {
    expect(refusalOf(Buffer.from("main;work 3\n"))).to.match(/^PROFILE_MALFORMED: the body is no JFR recording/);
    const changed = (at: number, value: number): Uint8Array => {
      const bytes = Uint8Array.from(whole);
      bytes[at] = value;
      return bytes;
    };
    expect(refusalOf(changed(0, 0))).to.contain("is no JFR recording");
    expect(refusalOf(changed(5, 1))).to.contain("has version 1.0");
    expect(refusalOf(changed(67, 0))).to.contain("integers that are not compressed");
  });

  it("bytes of another format, with the name of that format", () => {
    const context = { labels: REQUEST_LABELS, limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: FROM_NS };
    expect(() => [...readFormat({ kind: "jfr", form: FORM }, Buffer.from("main;work 3\n"), context).profiles]).to.throw(CodedError, /^these bytes begin as folded stacks, .*format=folded.*: the body is no JFR recording/);
  });

  it("a recording that is cut short anywhere, also in its last chunk", () => {
    for (let length = 1; length < whole.length; length++) {
      expect(refusalOf(whole.subarray(0, length)), `${length} bytes`).to.match(/^PROFILE_MALFORMED/);
      if (length % 100 === 1) expect(refusalOf(Buffer.concat([whole, whole.subarray(0, length)])), `${length} bytes of the second chunk`).to.match(/^PROFILE_MALFORMED/);
    }
  });

  it("ids that lead nowhere, of whatever kind", () => {
    const withStack = (frames: readonly Value[], change: (pools: JfrPools) => void = () => {}): string =>
      refusalOf(
        chunk((pools) => {
          change(pools);
          const stackTrace = pools.add("jdk.types.StackTrace", "odd", () => ({ frames }));
          return { events: [["jdk.ExecutionSample", { stackTrace, state: pools.state("STATE_RUNNABLE") }]] };
        }),
      );
    expect(refusalOf(chunk(() => ({ events: [["jdk.ExecutionSample", { stackTrace: 99, state: 1 }]] })))).to.contain("jdk.types.StackTrace 99, which is in no checkpoint");
    expect(refusalOf(chunk(() => ({ events: [["jdk.ExecutionSample", { stackTrace: 1, state: 98 }]] })))).to.contain("jdk.types.ThreadState 98");
    expect(withStack([{ method: 97 }])).to.contain("jdk.types.Method 97");
    expect(withStack([{ method: 55 }], (pools) => pools.pools.get("jdk.types.Method")!.set(55, { type: 96, name: 1 }))).to.contain("java.lang.Class 96");
    expect(withStack([{ method: 55 }], (pools) => pools.pools.get("jdk.types.Method")!.set(55, { type: 1, name: 95 }))).to.contain("jdk.types.Symbol 95");
    expect(withStack([{ method: 55 }], (pools) => {
      pools.pools.get("jdk.types.Method")!.set(55, { type: 1, name: 56 });
      pools.pools.get("jdk.types.Symbol")!.set(56, { string: { encoding: 2, id: 94 } });
    })).to.contain("java.lang.String 94");
  });

  it("cycles: of strings in the pool, of checkpoints, and of types", () => {
    const cyclic = chunk((pools) => {
      pools.pools.get("java.lang.String")!.set(1, { encoding: 2, id: 2 }).set(2, { encoding: 2, id: 1 });
      return { events: [["jdk.ActiveSetting", { name: { encoding: 2, id: 1 }, value: "wall" }]] };
    });
    expect(refusalOf(cyclic)).to.contain("leads to itself");
    const types: TypeSpecs = { ...withField("jdk.types.Symbol", 1, { name: "more", type: "x.Self" }), "x.Self": [{ name: "self", type: "x.Self", isArray: true }] };
    expect(refusalOf(chunk(() => ({ types })))).to.contain("holds itself");
    for (const firstOffset of [1, -1, -68, -100_000]) expect(refusalOf(chunk(() => ({ firstOffset }))), String(firstOffset)).to.match(/^PROFILE_MALFORMED/);
  });

  it("arrays of nothing, deep types, and counts beyond the bytes that are left", () => {
    const nothing: TypeSpecs = { ...withField("jdk.types.Symbol", 1, { name: "none", type: "x.Nothing", isArray: true }), "x.Nothing": [] };
    expect(refusalOf(chunk(() => ({ types: nothing })))).to.contain("an array of a type without fields");
    const wide: Record<string, TypeSpecs[string]> = { ...withField("jdk.types.Symbol", 1, { name: "more", type: "x.T0" }) };
    for (let i = 0; i < 6; i++) wide[`x.T${i}`] = Array.from({ length: 8 }, (_, field) => ({ name: `f${field}`, type: i === 5 ? "java.lang.String" : `x.T${i + 1}` }));
    expect(refusalOf(chunk(() => ({ types: wide })))).to.contain("more than 4096 fields");
    const long = chunk((pools) => {
      pools.pools.get("jdk.types.Symbol")!.set(60, { string: { encoding: 4, text: "x".repeat(100) } });
      return {};
    });
    const at = Buffer.from(long).indexOf(Buffer.concat([Buffer.from([4, 100]), Buffer.alloc(20, "x")]));
    const bytes = Buffer.concat([long.subarray(0, at + 1), Buffer.from([0x7f]), long.subarray(at + 2)]);
    expect(refusalOf(bytes)).to.match(/PROFILE_MALFORMED/);
  });

  it("types that hold others over and over: what they come to is bounded, also where all fields are alike", () => {
    const types: Record<string, TypeSpecs[string]> = { ...withField("jdk.ExecutionSample", 0, { name: "more", type: "x.T0" }) };
    for (let i = 0; i < 5; i++) types[`x.T${i}`] = Array.from({ length: 500 }, () => ({ name: "f", type: i === 4 ? "int" : `x.T${i + 1}` }));
    expect(refusalOf(chunk(() => ({ types, events: [] })))).to.contain("more than 4096 fields");
    const many: Record<string, TypeSpecs[string]> = { ...AGENT_TYPES, "x.Wide": Array.from({ length: 1000 }, (_, i) => ({ name: "f", type: i % 2 === 0 ? "int" : "byte" })) };
    for (let i = 0; i < 100; i++) many[`x.T${i}`] = [{ name: "f", type: "x.Wide" }];
    const ofMany = chunk((pools) => {
      for (let i = 0; i < 100; i++) pools.pools.set(`x.T${i}`, new Map());
      return { types: many };
    });
    expect(refusalOf(ofMany)).to.contain("more than 65536 fields together");
  });

  it("a text in the pool that is named over and over: by settings, and by the names of functions", () => {
    const text = "ü".repeat(200_000);
    const settings = chunk((pools) => {
      pools.pools.get("java.lang.String")!.set(1, { encoding: 3, text });
      return { events: Array.from({ length: 1000 }, () => ["jdk.ActiveSetting", { name: { encoding: 2, id: 1 }, value: "wall" }] as const) };
    });
    expect(refusalOf(settings)).to.contain("more than 33554432 characters");
    const names = chunk((pools) => {
      const type = pools.add("java.lang.Class", "long", () => ({ name: pools.symbol(text) }));
      const frames = Array.from({ length: 1000 }, (_, i) => ({ method: pools.add("jdk.types.Method", `long.f${i}`, () => ({ type, name: pools.symbol(`f${i}`) })) }));
      const stackTrace = pools.add("jdk.types.StackTrace", "long", () => ({ frames }));
      return { events: [["jdk.ExecutionSample", { stackTrace, state: pools.state("STATE_RUNNABLE") }]] };
    });
    expect(refusalOf(names)).to.contain("more than 33554432 characters");
  });

  it("more samples than the limit, and stacks that grow beyond the limit on a profile's size", () => {
    const many = chunk((pools) => ({
      events: Array.from({ length: 50 }, (_, i) => ["jdk.ExecutionSample", { stackTrace: pools.stack([{ name: `A.f${i}` }]), state: pools.state("STATE_RUNNABLE") }] as const),
    }));
    expect(refusalOf(many, {}, { sampleCountMax: 49 })).to.match(/^PROFILE_SAMPLES_LIMIT/);
    expect(read(many, {}, { sampleCountMax: 50 })).to.have.length(1);
    // A stack stands once in a recording, and in a pprof once for each context.
    const repeated = chunk((pools) => {
      const stackTrace = pools.stack(Array.from({ length: 500 }, (_, i) => ({ name: "A.f", line: i })));
      return { events: Array.from({ length: 1000 }, (_, i) => ["jdk.ExecutionSample", { stackTrace, state: pools.state("STATE_RUNNABLE"), contextId: i }] as const) };
    });
    expect(refusalOf(repeated, {}, { profileSizeBytesMax: 100_000 })).to.match(/^PROFILE_TOO_LARGE: the samples of the JFR recording take more than 100000 bytes/);
  });

  it("a stacktrace of more frames, and stacktraces of more lines of code, than memory is made for", () => {
    const frames = (count: number): string =>
      refusalOf(chunk((pools) => ({ events: [["profiler.LiveObject", { stackTrace: pools.stack(Array.from({ length: count }, () => ({ name: "A.f" }))) }]] })), {}, { profileSizeBytesMax: 100 });
    expect(frames(65_536)).to.contain("take more than 100 bytes as a pprof");
    expect(frames(65_537)).to.contain("a stacktrace of 65537 frames, and 65536 are read");
    const table = new FrameTable();
    const called = table.functionNamed("A.f");
    for (let line = 0; line < 2 ** 20; line++) table.location(called, line);
    expect(table.location(called, 77)).to.equal(77);
    expect(() => table.location(called, 2 ** 20)).to.throw(CodedError, "more than 1048576 lines of code");
  }).timeout(10_000);

  it("values that are no size or time", () => {
    const bytes = chunk((pools) => ({ events: [["jdk.ThreadPark", { stackTrace: pools.stack([{ name: "A.f" }]), duration: -1 }]] }));
    expect(refusalOf(bytes)).to.contain("add up to more than 2^53");
  });
});

describe("jfr: the corpus", () => {
  const corpus = corpusPath();
  const folder = corpus === undefined ? "" : path.join(corpus, "jfr");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const open = (name: string): Uint8Array => {
    const bytes = readFileSync(path.join(folder, name));
    return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
  };

  before(function () {
    if (names.length === 0) this.skip();
  });

  for (const name of names.filter((file) => file.endsWith(".jfr.gz"))) {
    it(`${name} has the totals and stacks of each golden, and no other profile`, () => {
      const labelsName = name.replace(".jfr.gz", ".labels.pb.gz");
      const labels = names.includes(labelsName) ? Buffer.from(open(labelsName)).toString("latin1") : undefined;
      const found = profileSums(read(open(name), { labels }));
      const types = new Set([...found.keys()].map((key) => key.slice(0, key.indexOf(" "))));
      const goldens = names.filter((file) => file.startsWith(`${name}.`));
      const goldenTypes = new Set<string>();
      // A golden of all label sets, or of those with one value of a label: which one is in its name only as a hash.
      const ofLabels = [...new Set([...found.keys()].map((key) => key.slice(key.indexOf("{"), key.indexOf("}") + 1)))];
      for (const golden of goldens) {
        const type = golden.slice(name.length + 1).split(".")[0]!;
        const profileType = [...types].find((one) => one.replaceAll(":", "_") === type);
        expect(profileType, golden).not.equal(undefined);
        goldenTypes.add(profileType!);
        const expected = stacksOf(profileSums([{ pprof: open(golden), labels: [] }]), () => true);
        const candidates = [undefined, ...ofLabels].map((set) => stacksOf(found, (foundType, foundSet) => foundType === profileType && (set === undefined || set === foundSet)));
        expect(candidates.some((one) => JSON.stringify(one) === JSON.stringify(expected)), golden).equal(true);
      }
      expect([...types].sort()).to.deep.equal([...goldenTypes].sort());
    });
  }
});

/** Stack -> sum over all label sets that are kept, sorted. */
function stacksOf(found: ReadonlyMap<string, bigint>, isKept: (type: string, labels: string) => boolean): (readonly [string, string])[] {
  const totals = new Map<string, bigint>();
  for (const [key, value] of found) {
    const [from, to] = [key.indexOf("{"), key.indexOf("}")];
    if (!isKept(key.slice(0, from - 1), key.slice(from, to + 1))) continue;
    const stack = key.slice(to + 2);
    totals.set(stack, (totals.get(stack) ?? 0n) + value);
  }
  return [...totals].map(([stack, value]) => [stack, String(value)] as const).sort(([a], [b]) => (a < b ? -1 : 1));
}
