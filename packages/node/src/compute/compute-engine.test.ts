import { readFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { CodedError, seededRandom } from "@pyromesh/base";
import type { BodyFormat, EncodedRecord } from "@pyromesh/profile";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS, decodeRecord, profileOfAppName, windowStartOf } from "@pyromesh/profile";
import { readFormat } from "@pyromesh/profile/files";
import { expect } from "chai";
import type { BuiltDataset, EncodeTask } from "./compute.ts";
import { ComputeEngine } from "./compute-engine.ts";
import { OTLP_JSON, otlpJson } from "../testing/otlp-json.ts";
import type { ExportedProfile } from "../testing/otlp-json.ts";
import { packPush, unpackPush } from "./worker-protocol.ts";

const NOW_MS = 1_700_000_000_000;
const FOLDED = { mode: "groups", profile: profileOfAppName("cpu", 100) } as const;
const SETTINGS = { ...DEFAULT_PROFILE_LIMITS, ...DEFAULT_ACCEPTANCE_WINDOW };

function task(text: string | Uint8Array, changes: Partial<EncodeTask> = {}): EncodeTask {
  return {
    tenant: "t1",
    labels: [
      { name: "service_name", value: "shop" },
      { name: "__name__", value: "process_cpu" },
    ],
    pprof: new Uint8Array(Buffer.from(text)),
    format: { kind: "folded", form: FOLDED },
    fallbackTimeNs: BigInt(NOW_MS) * 1_000_000n,
    idempotencyKey: "k",
    nowMs: NOW_MS,
    settings: SETTINGS,
    generation: 1,
    ...changes,
  };
}

/** What a body of one profile is read as. */
function pprofOf(format: BodyFormat, bytes: Uint8Array): Uint8Array {
  const [profile] = readFormat(format, bytes, { labels: [], limits: SETTINGS, fallbackTimeNs: 1n }).profiles;
  return profile!.pprof;
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (thrown) {
    if (thrown instanceof CodedError) return thrown.code;
    throw thrown;
  }
  return "none";
}

describe("compute engine: text", () => {
  const engine = new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
  const encode = (given: EncodeTask): readonly EncodedRecord[] => engine.encode(given, (lengthBytes) => new Uint8Array(lengthBytes)).records;

  it("becomes records where profiles are decoded", () => {
    const view = decodeRecord(encode(task("main;work 3\nmain;work 4\n"))[0]!.bytes, "r");
    expect([view.sampleCount, view.values[0]![0], view.sampleTypes[0]!.type]).deep.equal([1, 70_000_000, "cpu"]);
    expect(encode(task("\n\n"))).deep.equal([]);
  });

  it("travels to a worker with how it is read, and may lie in shared memory", () => {
    const own = task("main;work 3\n");
    const shared = new Uint8Array(new SharedArrayBuffer(own.pprof.length));
    shared.set(own.pprof);
    const arrived = unpackPush(structuredClone(packPush(own, 0, 1)), () => shared, () => SETTINGS);
    expect(arrived.format).deep.equal(own.format);
    expect(encode(arrived)[0]!.identity).deep.equal(encode(own)[0]!.identity);
  });

  it("is read out of gzip, refused as text, and held to the size of a profile once converted", () => {
    expect(codeOf(() => encode(task("main three\n")))).equal("PROFILE_MALFORMED");
    expect(encode(task(gzipSync("main;work 3\n")))[0]!.identity).deep.equal(encode(task("main;work 3\n"))[0]!.identity);
    const settings = { ...SETTINGS, profileSizeBytesMax: 40 };
    expect(codeOf(() => encode(task("main;work 3\n", { settings })))).equal("PROFILE_TOO_LARGE");
  });
});

describe("compute engine: a large body in shared memory", () => {
  const MIB = 2 ** 20;
  const corpus = process.env["PYROMESH_CORPUS"];
  const manyStacks = Array.from({ length: 15_000 }, (_, i) => `main;work-${i % 5000};käse-${i % 777}-${"x".repeat(60)};leaf 1\n`).join("");
  const exported = otlpJson(...Array.from({ length: 6000 }, (_, i) => ({ service: `s${i % 40}-${"x".repeat(50)}`, sampleServices: [`own-${i % 30}`, `own-${i % 7}`] })));
  const bodies: { readonly name: string; readonly pprof: Uint8Array; readonly format: EncodeTask["format"] }[] = [
    { name: "folded", pprof: Buffer.from(manyStacks), format: { kind: "folded", form: FOLDED } },
    { name: "pprof", pprof: pprofOf({ kind: "folded", form: FOLDED }, Buffer.from(Array.from({ length: 15_000 }, (_, i) => `main;work-${i}-${"x".repeat(60)};leaf-${i % 99} 1\n`).join(""))), format: undefined },
    { name: "otlp", pprof: exported, format: OTLP_JSON },
    { name: "broken", pprof: Buffer.concat([exported, Buffer.from("]")]), format: OTLP_JSON },
  ];
  if (corpus !== undefined) {
    const recording = gunzipSync(readFileSync(`${corpus}/jfr/dump1.jfr.gz`));
    bodies.push({ name: "jfr", pprof: Buffer.concat(Array<Buffer>(4).fill(recording)), format: { kind: "jfr", form: { sampleRate: 100, hasTime: true, durationMs: 10_000, labels: undefined } } });
    const speedscope = readFileSync(`${corpus}/speedscope/two-sampled.speedscope.json`);
    bodies.push({ name: "speedscope", pprof: Buffer.concat([speedscope, Buffer.alloc(MIB, " ")]), format: { kind: "speedscope", form: { app: "shop.cpu", sampleRate: 100, appLabel: undefined } } });
  }

  /** What comes of the body: its records, then, when the memory that it came in holds another one's bytes, the sections of its rows. */
  function outcome(given: EncodeTask, leave: () => void): unknown {
    const engine = new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
    try {
      const { records, rows, refused } = engine.encode(given, (lengthBytes) => new Uint8Array(lengthBytes));
      leave();
      const told = records.map(({ bytes, service, timeMs }) => ({ bytes: Buffer.from(bytes).toString("base64"), service, timeMs }));
      engine.insertRows(1, rows);
      let built: readonly BuiltDataset[] | undefined;
      while (built === undefined) built = engine.build(1, "t1", windowStartOf(records[0]!.timeMs));
      return { told, refused: refused?.length, sections: built.map(({ service, sections }) => [service, sections.map(({ raw }) => Buffer.from(raw).toString("base64"))]) };
    } catch (thrown) {
      if (!(thrown instanceof CodedError)) throw thrown;
      return { code: thrown.code, message: thrown.message };
    }
  }

  for (const { name, pprof, format } of bodies) {
    it(`is read as in memory of its own, and nothing of it is used afterwards: ${name}`, () => {
      expect(pprof.length).to.be.at.least(MIB);
      const shared = new Uint8Array(new SharedArrayBuffer(pprof.length));
      const ofShared = (): unknown => {
        shared.set(pprof);
        return outcome(task("", { pprof: shared, format }), () => shared.fill(0xee));
      };
      const own = outcome(task("", { pprof: new Uint8Array(pprof), format }), () => {});
      expect(ofShared()).to.deep.equal(own);
      expect(ofShared(), "a second time, with what the first has left in caches").to.deep.equal(own);
    });
  }
});

describe("compute engine: a body of several profiles of which some are refused", () => {
  const room = (lengthBytes: number): Uint8Array => new Uint8Array(lengthBytes);
  const open = (): ComputeEngine => new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
  const exported = (...profiles: readonly ExportedProfile[]): EncodeTask => task(otlpJson(...profiles), { labels: [], format: OTLP_JSON });

  it("the others are encoded, each refusal says which it is of, and the refused leave no row", () => {
    const engine = open();
    const { records, rows, refused } = engine.encode(exported({ service: "kept" }, { service: "dangling", stack: 9 }, { service: "early", timeMs: 1 }, { service: "also-kept" }), room);
    expect(records.map(({ service }) => service)).deep.equal(["kept", "also-kept"]);
    expect(refused!.map(({ code, message }) => `${code} ${message.replace(/:.*/s, "")}`)).deep.equal(["PROFILE_MALFORMED resource_profiles[1].scope_profiles[0].profiles[0]", "PROFILE_OUTSIDE_WINDOW resource_profiles[2].scope_profiles[0].profiles[0]"]);
    engine.insertRows(1, rows);
    expect(engine.datasetCount).equal(2);
  });

  it("a profile of several services counts once, whether some of its series are refused or all of them", () => {
    const [long, longer] = ["x".repeat(3000), "y".repeat(3000)];
    const { records, refused } = open().encode(exported({ service: "a", sampleServices: [long, "kept", longer] }, { service: "b", timeMs: 1, sampleServices: ["c", "d"] }), room);
    expect(records.map(({ service }) => service)).deep.equal(["kept"]);
    expect(refused!.map(({ message }) => message.replace(/:.*/s, ""))).deep.equal(["resource_profiles[0].scope_profiles[0].profiles[0]", "resource_profiles[1].scope_profiles[0].profiles[0]"]);
    expect(() => open().encode(exported({ service: "b", timeMs: 1, sampleServices: ["c", "d"] }), room)).throw(CodedError, /^resource_profiles\[0\]/);
  });

  it("whose profiles are all refused is refused, by the reader or by what they are, with the sentences of twenty", () => {
    const engine = open();
    const thrown = (...profiles: readonly ExportedProfile[]): CodedError => {
      try {
        engine.encode(exported(...profiles), room);
      } catch (error) {
        return error as CodedError;
      }
      throw new Error("it was taken");
    };
    expect(thrown({ service: "a", stack: 9 }).message).match(/^resource_profiles\[0\].*it refers to stack 9/);
    expect(thrown({ service: "a", timeMs: 1 }).code).equal("PROFILE_OUTSIDE_WINDOW");
    expect(thrown({ service: "a", stack: 9 }, { service: "b", timeMs: 1 }).message).match(/^all 2 profiles were refused: resource_profiles\[0\].*; resource_profiles\[1\]/);
    expect(thrown(...Array.from({ length: 23 }, (_, i) => ({ service: `s${i}`, stack: 9 }))).message).match(/^all 23 profiles.*resource_profiles\[19\].*; and 3 more$/);
    expect(engine.datasetCount).equal(0);
  });
});

describe("compute engine: a body of many profiles is encoded in steps", () => {
  const STEP_BYTES_MAX = 256 * 1024 + 4096;
  const many = (): EncodeTask => task(otlpJson(...Array.from({ length: 800 }, (_, i) => ({ service: `s${i}`, ...(i % 500 === 7 && { stack: 9 }) }))), { labels: [], format: OTLP_JSON });
  const open = (): ComputeEngine => new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
  const identities = (records: readonly EncodedRecord[]): string[] => records.map(({ identity }) => Buffer.from(identity).toString("hex"));

  it("each step writes no more than its bound, and with other pushes in between the records are those of one step", () => {
    const whole = open().encode(many(), (lengthBytes) => new Uint8Array(lengthBytes));
    const engine = open();
    const stepBytes: number[] = [];
    let bytes = 0;
    const steps = engine.encodeBody(many(), OTLP_JSON, (lengthBytes) => {
      bytes += lengthBytes;
      return new Uint8Array(lengthBytes);
    });
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) {
      stepBytes.push(bytes);
      bytes = 0;
      const between = engine.encode(task(`main;between-${stepBytes.length} 1\n`), (lengthBytes) => new Uint8Array(lengthBytes));
      engine.insertRows(1, between.rows);
    }
    expect(stepBytes.length).greaterThan(2);
    expect(Math.max(...stepBytes)).lessThan(STEP_BYTES_MAX);
    expect(identities(step.value.records)).deep.equal(identities(whole.records));
    expect(step.value.refused?.map(({ message }) => message)).deep.equal(whole.refused?.map(({ message }) => message));
    engine.insertRows(1, step.value.rows);
    expect(engine.datasetCount).equal(798 + 1);
  });

  it("a generation that ends between two steps takes none of the rows that come later, and those from before are dropped with it", () => {
    const engine = open();
    const steps = engine.encodeBody(many(), OTLP_JSON, (lengthBytes) => new Uint8Array(lengthBytes));
    steps.next();
    engine.drop(1);
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    const firstLate = step.value.rows.indexOf(0);
    expect(firstLate).greaterThan(0);
    expect(step.value.rows.slice(firstLate).every((row) => row === 0)).equal(true);
    engine.releaseRows(step.value.rows);
    expect(engine.datasetCount).equal(0);
  });

  it("a body that is given up half way leaves no row", () => {
    const engine = open();
    const steps = engine.encodeBody(many(), OTLP_JSON, (lengthBytes) => new Uint8Array(lengthBytes));
    steps.next();
    expect(engine.datasetCount).greaterThan(100);
    steps.return({ records: [], rows: [] });
    expect(engine.datasetCount).equal(0);
  });
});

describe("compute engine: gzip", () => {
  const engine = new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
  const given = task(Array.from({ length: 2000 }, (_, i) => `main;work-${i} 1\n`).join(""));
  const pprof = pprofOf(given.format!, given.pprof);
  const encode = (bytes: Uint8Array): EncodedRecord => engine.encode({ ...given, pprof: bytes, format: undefined }, (lengthBytes) => new Uint8Array(lengthBytes)).records[0]!;

  it("inflates no more than can be decoded, whether the limit on profiles is higher or lifted", () => {
    const bomb = gzipSync(new Uint8Array(16 * 2 ** 20 + 1));
    for (const profileSizeBytesMax of [0, 2 ** 30]) {
      const settings = { ...SETTINGS, profileSizeBytesMax };
      const refused = (): unknown => engine.encode({ ...given, settings, pprof: bomb, format: undefined }, (lengthBytes) => new Uint8Array(lengthBytes));
      expect(refused).to.throw(CodedError, "the profile is larger than 16777216 bytes once decompressed, more than can be decoded");
    }
  });

  it("inflates to the same whatever its trailer made us expect: one member, or several of which the last is the shortest or the longest", () => {
    const { identity } = encode(pprof);
    for (const at of [0, 10, pprof.length >> 1, pprof.length - 1]) {
      const members = Buffer.concat([gzipSync(pprof.subarray(0, at)), gzipSync(pprof.subarray(at))]);
      expect(encode(members).identity).deep.equal(identity);
    }
    expect(encode(gzipSync(pprof)).identity).deep.equal(identity);
  });

  it("a trailer that lies is a broken stream", () => {
    for (const claim of [0, 1, 0xffff_ffff]) {
      const lying = gzipSync(pprof);
      lying.writeUInt32LE(claim, lying.length - 4);
      expect(codeOf(() => encode(lying))).equal("PROFILE_GZIP_BROKEN");
    }
  });
});

/** All of it, and in how many steps. */
function build(engine: ComputeEngine, generation = 1): { readonly built: readonly BuiltDataset[]; readonly stepCount: number } {
  for (let stepCount = 1; ; stepCount++) {
    const built = engine.build(generation, "t1", windowStartOf(NOW_MS));
    if (built !== undefined) return { built, stepCount };
  }
}

describe("compute engine: pre-interned rows that are dropped", () => {
  const room = (lengthBytes: number): Uint8Array => new Uint8Array(lengthBytes);
  const named = (service: string, text = "main;work 3\n"): EncodeTask => task(text, { labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: service }] });

  it("leave no dataset behind, whatever services refused pushes name; one with rows stays", () => {
    const engine = new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
    const kept = engine.encode(named("kept"), room);
    const waiting = engine.encode(named("waiting"), room);
    for (let i = 0; i < 100; i++) engine.releaseRows(engine.encode(named(`refused-${i}`), room).rows);
    expect(engine.datasetCount).equal(2);
    engine.insertRows(1, kept.rows);
    engine.releaseRows(engine.encode(named("kept"), room).rows);
    engine.releaseRows(waiting.rows);
    expect(engine.datasetCount).equal(1);
    engine.insertRows(1, engine.encode(named("waiting"), room).rows);
    expect(engine.datasetCount).equal(2);
  });

  it("do not reach the segment, by no name and in no other byte; refused or still on their way", () => {
    for (const fate of ["refused", "on its way"]) {
      const engine = new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
      const clean = new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
      const refused = engine.encode(named("shop", "main;refused 3\nsecret;work 1\n"), room);
      if (fate === "refused") engine.releaseRows(refused.rows);
      for (const text of ["main;work 3\n", "main;work 4\nmain;wait 1\n"]) {
        engine.insertRows(1, engine.encode(named("shop", text), room).rows);
        clean.insertRows(1, clean.encode(named("shop", text), room).rows);
      }
      const { built } = build(engine);
      expect(Buffer.concat(built.flatMap(({ sections }) => sections.map(({ raw }) => raw))).toString("latin1"), fate).includes("work").not.match(/refused|secret/);
      expect(built, fate).deep.equal(build(clean).built);
      expect(built[0]!.recordCount, fate).equal(2);
    }
  });

  it("cost a build nothing where what they name was in a record before", () => {
    const engine = new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
    const many = Array.from({ length: 3000 }, (_, i) => `main;work-${i} 1\n`).join("");
    const stepsWith = (generation: number, others: readonly string[]): number => {
      const rowsOf = (text: string): readonly number[] => engine.encode({ ...named("shop", text), generation }, room).rows;
      engine.insertRows(generation, rowsOf(many));
      for (const text of others) engine.releaseRows(rowsOf(text));
      for (const text of others) rowsOf(text);
      return build(engine, generation).stepCount;
    };
    const stepCount = stepsWith(1, []);
    expect(stepsWith(2, ["main;work-0 9\n", "main 8\n"])).equal(stepCount);
    expect(stepsWith(3, ["main;new 9\n"]), "pruning takes steps").above(stepCount);
  });

  it("of one service are bounded: past the bound none is pre-interned until the generation turns, and records are still taken", () => {
    const engine = new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(1), isMine: () => true });
    engine.insertRows(1, engine.encode(named("shop"), room).rows);
    const large = named("shop", `main;${"x".repeat(1 << 20)} 1\n`);
    const settings = { ...SETTINGS, symbolLengthBytesMax: 0 };
    let preInternedCount = 0;
    for (let i = 0; i < 12; i++) {
      const { rows } = engine.encode({ ...large, settings }, room);
      if (rows[0] !== 0) preInternedCount++;
      engine.releaseRows(rows);
    }
    expect(preInternedCount).within(7, 9);
    const { records, rows } = engine.encode(named("shop"), room);
    expect(rows).deep.equal([0]);
    engine.insert(1, records);
    expect(engine.encode({ ...named("shop"), generation: 2 }, room).rows[0]).above(0);
  });
});

describe("compute engine: records that lie in no generation", () => {
  it("count in the scan that brings them, once beside the same record in memory, and in no later one", () => {
    const engine = new ComputeEngine({ openBytesMax: 2 ** 20 }, { random: seededRandom(2), isMine: () => false });
    const [record, other] = ["main;work 3\n", "main;rest 4\n"].map((text) => engine.encode(task(text, { idempotencyKey: text }), (lengthBytes) => new Uint8Array(lengthBytes)).records[0]!);
    engine.insert(1, [record!]);
    const windowStartMs = windowStartOf(record!.timeMs);
    const scan = { spec: { kind: "cardinality", startNs: 0n, endNs: 2n ** 62n, selectors: [] }, tenants: ["t1"], firstWindowMs: windowStartMs, lastWindowMs: windowStartMs, parts: [] } as const;
    expect(engine.scan({ ...scan, generations: [], records: [other!] }).recordCount).equal(1);
    expect(engine.scan({ ...scan, generations: [1], records: [record!, other!] }).recordCount).equal(2);
    expect(engine.scan({ ...scan, generations: [1], records: [record!, other!], only: other!.identity }).identitySum).equal(engine.scan({ ...scan, generations: [], records: [other!] }).identitySum);
    expect(engine.scan({ ...scan, generations: [1] }).recordCount).equal(1);
  });
});
