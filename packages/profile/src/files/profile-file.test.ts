import { gunzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { flameGraph } from "../graph/flame-graph.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import { corpusPath } from "../testing/pprof-oracle.ts";
import { checkOddFile, oddFile } from "../testing/odd-file.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import { readProfileFile } from "./profile-file.ts";
import type { FileProfile } from "./profile-file.ts";

const CONTEXT = { limits: DEFAULT_PROFILE_LIMITS, nonce: new Uint8Array(16) };

function read(content: Uint8Array | string, name = ""): readonly FileProfile[] {
  return readProfileFile(new Uint8Array(Buffer.from(content)), name, CONTEXT, UNINTERRUPTED);
}

function graphOf(profile: FileProfile): ReturnType<typeof flameGraph>["graph"] {
  return flameGraph(profile.tree(UNINTERRUPTED), 0).graph;
}

function codeOf(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (thrown) {
    return (thrown as { code?: string }).code ?? thrown;
  }
}

function messageOf(run: () => unknown): string {
  try {
    run();
    return "";
  } catch (thrown) {
    return (thrown as Error).message;
  }
}

const TYPES = { periodType: { type: "cpu", unit: "nanoseconds" }, period: 10n, timeNs: 5n, durationNs: 0n };

function pprofOf(labels: readonly string[] = [""]): Uint8Array {
  const writer = new PprofWriter({ ...TYPES, period: 10, sampleTypes: [{ type: "samples", unit: "count" }, { type: "cpu", unit: "nanoseconds" }] });
  for (const [index] of labels.entries()) writer.sample([writer.frame("work"), writer.frame("main")], [1, 10 + index]);
  return writer.finish();
}

const FLAMEBEARER = {
  version: 1,
  flamebearer: { names: ["total", "a", "c", "d", "b", "e"], levels: [[0, 4, 0, 0], [0, 4, 0, 1], [0, 1, 0, 4, 0, 3, 2, 2], [0, 1, 1, 5, 2, 1, 1, 3]], numTicks: 4, maxSelf: 2 },
  metadata: { format: "single", spyName: "gospy", sampleRate: 100, units: "objects", name: "inuse_objects" },
  timeline: { startTime: 1, samples: [1, 2], durationDelta: 15, watermarks: null },
};

describe("a file of profiles", () => {
  it("is a pprof, and each of its types has a graph of its own", () => {
    const [samples, cpu] = read(pprofOf(["a", "b"]));
    expect([samples!.name, samples!.metadata]).to.deep.equal(["samples", { name: "samples", spyName: "", sampleRate: 100, units: "objects" }]);
    expect([cpu!.name, cpu!.metadata]).to.deep.equal(["cpu", { name: "cpu", spyName: "", sampleRate: 1e9, units: "samples" }]);
    expect(graphOf(samples!).total).to.equal(2);
    expect(graphOf(cpu!)).to.deep.equal({ names: ["total", "main", "work"], levels: [[0, 21, 0, 0], [0, 21, 0, 1], [0, 21, 21, 2]], total: 21, maxSelf: 21 });
  });

  it("is told apart by its content, whatever its name says", () => {
    expect(read(pprofOf(), "a.json").map(({ name }) => name)).to.deep.equal(["samples", "cpu"]);
    expect(read("main;work 3\n", "a.xyz").map(({ name }) => name)).to.deep.equal(["samples"]);
    expect(read(JSON.stringify(FLAMEBEARER), "a.pb").map(({ name }) => name)).to.deep.equal(["inuse_objects"]);
    expect(graphOf(read("{main};work 3\n", "a")[0]!).names, "a frame as PHP names its first").to.deep.equal(["total", "{main}", "work"]);
  });

  it("is text that its name says to be something else: the error is about that", () => {
    expect(messageOf(() => read("main;work 3\n", "a.json"))).to.contain("not JSON");
    expect(messageOf(() => read("main;work 3\n", "a.pprof.gz"))).to.match(/pprof|profile/);
    expect(codeOf(() => read("no count here", "a"))).to.equal("PROFILE_MALFORMED");
  });

  it("is folded text: samples are counted", () => {
    const [only] = read("main;work 3\nmain 2\n");
    expect(only!.metadata).to.deep.equal({ name: "samples", spyName: "", sampleRate: 100, units: "objects" });
    expect(graphOf(only!)).to.deep.equal({ names: ["total", "main", "work"], levels: [[0, 5, 0, 0], [0, 5, 2, 1], [2, 3, 3, 2]], total: 5, maxSelf: 3 });
  });

  it("is speedscope's: time is time on the wall, and profiles of several threads are added up", () => {
    const profile = (name: string, unit: string): object => ({ type: "sampled", name, unit, startValue: 0, endValue: 4, samples: [[0], [0, 1]], weights: [1, 3] });
    const file = (...profiles: object[]): string => JSON.stringify({ $schema: "https://www.speedscope.app/file-format-schema.json", shared: { frames: [{ name: "main" }, { name: "work" }] }, profiles });
    const [wall] = read(file(profile("t1", "milliseconds"), profile("t2", "milliseconds")));
    expect([wall!.name, graphOf(wall!).total]).to.deep.equal(["wall", 8_000_000]);
    expect(read(file(profile("t1", "none"))).map((one) => [one.name, graphOf(one).total])).to.deep.equal([["samples", 4]]);
    expect(read(file(profile("t", "bytes"), { ...profile("n".repeat(3000), "milliseconds") })).map(({ name }) => name), "a long name is no label here").to.deep.equal(["samples", "wall"]);
  });

  it("types that differ in their profile alone are told apart", () => {
    const profile = (unit: string): object => ({ type: "sampled", name: "t", unit, startValue: 0, endValue: 4, samples: [[0]], weights: [1] });
    const file = { $schema: "https://www.speedscope.app/file-format-schema.json", shared: { frames: [{ name: "main" }] }, profiles: [profile("bytes"), profile("none")] };
    expect(read(JSON.stringify(file)).map(({ name }) => name)).to.deep.equal(["memory:samples", "wall:samples"]);
  });

  it("labels of samples split nothing, however many there are", () => {
    const writer = new PprofWriter({ ...TYPES, period: 10, sampleTypes: [{ type: "cpu", unit: "nanoseconds" }] });
    for (let i = 0; i < 2000; i++) writer.sample([writer.frame("main")], [1], [{ name: "request", value: `r${i}` }]);
    expect(graphOf(read(writer.finish())[0]!).total).to.equal(2000);
  });

  it("is a flame graph that was saved: it keeps its bars and what is said of them", () => {
    const [only] = read(JSON.stringify(FLAMEBEARER));
    expect(only!.metadata).to.deep.equal({ name: "inuse_objects", spyName: "gospy", sampleRate: 100, units: "objects" });
    const { names, levels, total, maxSelf } = graphOf(only!);
    expect({ names, levels, numTicks: total, maxSelf }).to.deep.equal(FLAMEBEARER.flamebearer);
  });

  it("of a flame graph that was cut, what was left out of it is kept as other", () => {
    const cut = { ...FLAMEBEARER, flamebearer: { ...FLAMEBEARER.flamebearer, levels: [[0, 4, 0, 0], [0, 4, 0, 1], [1, 3, 2, 2]] } };
    const { names, total } = graphOf(read(JSON.stringify(cut))[0]!);
    expect([total, names.includes("other")]).to.deep.equal([4, true]);
  });

  it("a flame graph deeper than the limit keeps its root side, and its values", () => {
    const deep = { ...FLAMEBEARER, flamebearer: { names: ["total", "a"], levels: Array.from({ length: 3000 }, (_, depth) => [0, 3000, depth === 2999 ? 3000 : 0, depth === 0 ? 0 : 1]), numTicks: 3000, maxSelf: 3000 } };
    const { levels, maxSelf } = graphOf(read(JSON.stringify(deep))[0]!);
    expect([levels.length, maxSelf]).to.deep.equal([DEFAULT_PROFILE_LIMITS.stacktraceDepthMax + 1, 3000]);
  });

  it("an empty flame graph is empty", () => {
    const empty = { ...FLAMEBEARER, flamebearer: { names: null, levels: [], numTicks: 0, maxSelf: 0 } };
    expect(graphOf(read(JSON.stringify(empty))[0]!).total).to.equal(0);
  });

  it("a flame graph whose numbers cannot be is refused", () => {
    const withLevels = (levels: unknown): string => JSON.stringify({ ...FLAMEBEARER, flamebearer: { ...FLAMEBEARER.flamebearer, levels } });
    const wrong: unknown[] = [
      [[0, 4, 0]],
      [[0, 4, 0, 99]],
      [[0, 4, 0, -1]],
      [[0, 4, 5, 0]],
      [[0, 4, 0, 0], [0, 5, 5, 1]],
      [[0, 4, 0, 0], [-1, 1, 1, 1]],
      [[0, 4, 0, 0], [4, 1, 1, 1]],
      [[0, 4, 3, 0], [0, 4, 4, 1]],
      [[0, 1e300, 0, 0]],
      [[0, 1.5, 0, 0]],
      [["a", 1, 0, 0]],
      [[0, 4, 0, 0, 0, 4, 0, 0], [3, 2, 2, 1]],
    ];
    for (const levels of wrong) expect(codeOf(() => read(withLevels(levels))), JSON.stringify(levels)).to.equal("PROFILE_MALFORMED");
    for (const change of [{ metadata: { format: "double" } }, { version: 2 }, { flamebearer: {} }, { flamebearer: 3 }]) {
      expect(codeOf(() => read(JSON.stringify({ ...FLAMEBEARER, ...change }))), JSON.stringify(change)).to.equal("PROFILE_MALFORMED");
    }
    expect(codeOf(() => read(`{"x":${"[".repeat(50)}`))).to.equal("JSON_TOO_DEEP");
  });

  it("cut at any byte it is refused or read, and never anything else", () => {
    for (const bytes of [pprofOf(), Buffer.from(JSON.stringify(FLAMEBEARER)), Buffer.from("main;work 12\nmain 3\n")]) {
      for (let length = 0; length < bytes.length; length++) {
        const code = codeOf(() => read(bytes.subarray(0, length)));
        expect(code === undefined || typeof code === "string", `${length}: ${String(code)}`).to.equal(true);
      }
    }
  });

  it("that is odd is refused with a sentence or drawn, and a whole flame graph comes out as it went in (npm run fuzz tries more)", () => {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= 400; seed++) {
      try {
        const outcome = checkOddFile(oddFile(seed));
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      } catch (cause) {
        throw new Error(`npm run fuzz -- --of file --seed ${seed} --count 1`, { cause });
      }
    }
    expect(outcomes.get("accepted"), JSON.stringify([...outcomes])).greaterThan(100);
    expect(outcomes.get("PROFILE_MALFORMED"), JSON.stringify([...outcomes])).greaterThan(80);
  });

  it("of no format that is read it is refused with what it was taken for", () => {
    expect(messageOf(() => read(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0])))).to.match(/^the file is no text and no JFR recording, and cannot be read as pprof: /);
  });

  it("without a sample it is refused, and so is an empty one", () => {
    expect(messageOf(() => read(""))).to.contain("no samples");
    expect(messageOf(() => read(new PprofWriter({ ...TYPES, period: 10, sampleTypes: [{ type: "cpu", unit: "nanoseconds" }] }).finish()))).to.contain("no samples");
  });

  it("is .NET's, as its client writes it: types with a dash, and functions without ids", function () {
    const corpus = corpusPath();
    if (corpus === undefined) this.skip();
    const profiles = read(readFileSync(`${corpus}/pprof/dotnet-pprof-3.pb.gz`), "dotnet.pb.gz");
    expect(profiles.map((one) => [one.name, graphOf(one).total])).to.deep.equal([["cpu", 5_653_000_000]]);
    expect(graphOf(profiles[0]!).names[1]).to.equal("System.Threading!PortableThreadPool.WorkerThread.WorkerThreadStart");
    const writer = new PprofWriter({ ...TYPES, period: 10, sampleTypes: [{ type: "alloc-size", unit: "bytes" }] });
    writer.sample([writer.frame("main")], [3]);
    expect(read(writer.finish()).map(({ name }) => name)).to.deep.equal(["alloc_size"]);
  });

  it("is a recording of JFR", function () {
    const corpus = corpusPath();
    if (corpus === undefined) this.skip();
    const limits = { ...DEFAULT_PROFILE_LIMITS, profileSizeBytesMax: 0 };
    const bytes = gunzipSync(readFileSync(`${corpus}/jfr/cortex-dev-01__kafka-0__cpu_lock_alloc__0.jfr.gz`));
    const names = readProfileFile(bytes, "", { ...CONTEXT, limits }, UNINTERRUPTED).map(({ name }) => name);
    expect(names).to.deep.equal(["alloc_in_new_tlab_objects", "alloc_in_new_tlab_bytes", "cpu"]);
  });
});
