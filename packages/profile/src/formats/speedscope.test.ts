import { readFileSync } from "node:fs";
import path from "node:path";
import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { stacksOf } from "../testing/format-stacks.ts";
import type { FormatStacks } from "../testing/format-stacks.ts";
import { corpusPath } from "../testing/pprof-oracle.ts";

const $schema = "https://www.speedscope.app/file-format-schema.json";
const FRAMES = [{ name: "a" }, { name: "b", file: "b.ts", line: 7 }, { name: "c", file: null, col: 3 }, { name: "d" }];
const SAMPLED = { type: "sampled", name: "one", unit: "seconds", startValue: 0, endValue: 14, samples: [[0, 1, 2], [0, 1, 2], [0, 1, 3], [0, 1, 2], [0, 1]], weights: [1, 1, 4, 3, 5] };
const EVENTED = {
  type: "evented",
  name: "two",
  unit: "milliseconds",
  startValue: 10,
  endValue: 20,
  events: [
    { type: "O", frame: 0, at: 11 },
    { type: "O", frame: 1, at: 11.5 },
    { type: "C", frame: 1, at: 14 },
    { type: "O", frame: 1, at: 14 },
    { type: "C", frame: 1, at: 15 },
    { type: "C", frame: 0, at: 16.25 },
    { type: "O", frame: 2, at: 18 },
    { type: "C", frame: 2, at: 18.000001 },
  ],
};

interface Asked {
  readonly app?: string;
  readonly sampleRate?: number;
  readonly appLabel?: string | undefined;
  readonly frames?: readonly object[];
}

function read(profiles: readonly object[], { frames = FRAMES, ...asked }: Asked = {}): FormatStacks[] {
  return readFile({ $schema, shared: { frames }, profiles }, asked);
}

function readFile(file: unknown, { app = "shop", sampleRate = 100, appLabel = "service_name" }: Asked = {}, limits = {}): FormatStacks[] {
  const labels = [{ name: "service_name", value: "shop" }, { name: "env", value: "x" }];
  return stacksOf(typeof file === "string" ? file : JSON.stringify(file), { kind: "speedscope", form: { app, sampleRate, appLabel } }, { labels, limits });
}

function refusalOf(work: () => unknown): string {
  try {
    work();
    return "none";
  } catch (thrown) {
    return thrown instanceof CodedError ? `${thrown.code}: ${thrown.message}` : String(thrown);
  }
}

const CPU = "cpu:nanoseconds:cpu:nanoseconds";
const WALL = "wall:nanoseconds:cpu:nanoseconds";

describe("format speedscope", () => {
  it("sampled: the weights of equal stacks add up; one profile is what the application's name says", () => {
    const stacks = { "a;b;c": 5_000_000_000n, "a;b;d": 4_000_000_000n, "a;b": 5_000_000_000n };
    expect(read([SAMPLED])).deep.equal([{ labels: { __name__: "process_cpu", env: "x", profile_name: "one", service_name: "shop" }, type: `${CPU}:10000000`, stacks }]);
    expect(read([SAMPLED], { app: "shop.wall" })[0]!.type).equal(`${WALL}:10000000`);
    expect(read([SAMPLED], { app: "my.shop.mutex_duration" })[0]).deep.include({ labels: { __name__: "mutex", env: "x", profile_name: "one", service_name: "my.shop" }, type: "delay:nanoseconds:0" });
  });

  it("evented: a stack gets the time for which it was open as it is, to the nanosecond, and idle time nobody", () => {
    // a alone: 11 to 11.5 and 15 to 16.25. a;b: 11.5 to 14 and 14 to 15. c: one nanosecond.
    expect(read([EVENTED])[0]).deep.include({ type: `${CPU}:10000`, stacks: { a: 1_750_000n, "a;b": 3_500_000n, c: 1n } });
  });

  it("units: each in nanoseconds, whatever the sample rate; of none the sample rate tells; bytes stay bytes", () => {
    const one = (unit: string, asked: Asked = {}): [string, bigint] => {
      const [profile] = read([{ ...SAMPLED, unit, samples: [[0]], weights: [3] }], asked);
      return [`${profile!.labels["__name__"]} ${profile!.type}`, profile!.stacks["a"]!];
    };
    expect(one("nanoseconds", { sampleRate: 7 })).deep.equal([`process_cpu ${CPU}:1`, 3n]);
    expect(one("microseconds")).deep.equal([`process_cpu ${CPU}:10`, 3_000n]);
    expect(one("milliseconds", { sampleRate: 0 })).deep.equal([`process_cpu ${CPU}:10000`, 3_000_000n]);
    expect(one("none")).deep.equal([`process_cpu ${CPU}:10000000`, 30_000_000n]);
    expect(one("none", { sampleRate: 1000 })).deep.equal([`process_cpu ${CPU}:1000000`, 3_000_000n]);
    expect(one("none", { sampleRate: 0 })).deep.equal(["process_cpu samples:count:0", 3n]);
    expect(one("none", { app: "shop.alloc_objects" })).deep.equal(["memory alloc_objects:count:0", 3n]);
    expect(one("bytes")).deep.equal(["memory samples:bytes:0", 3n]);
    expect(one("bytes", { app: "shop.inuse_space" })).deep.equal(["memory inuse_space:bytes:0", 3n]);
  });

  it("a unit that is unknown, or that does not fit the application's name, is refused", () => {
    expect(refusalOf(() => read([{ ...SAMPLED, unit: "fortnights" }]))).match(/^PROFILE_MALFORMED: profile "one" has the unit "fortnights"/);
    expect(refusalOf(() => read([{ ...SAMPLED, unit: "bytes" }], { app: "shop.goroutines" }))).match(/^PROFILE_MALFORMED: profile "one" is in bytes/);
    expect(refusalOf(() => read([SAMPLED], { app: "shop.alloc_space" }))).match(/^PROFILE_MALFORMED: profile "one" is in seconds/);
    expect(refusalOf(() => read([SAMPLED], { app: "my.shop" }))).match(/^APP_SUFFIX_UNKNOWN/);
  });

  it("several: the unit is appended to the application's name, and each is named", () => {
    const [one, two, three] = read([SAMPLED, { ...SAMPLED, name: "two" }, { ...SAMPLED, name: "three", unit: "bytes" }], { app: "my.shop" });
    expect(one).deep.include({ labels: { __name__: "wall", env: "x", profile_name: "one", service_name: "my.shop" }, type: `${WALL}:10000000` });
    expect(two!.labels).deep.include({ __name__: "wall", profile_name: "two" });
    expect(three).deep.include({ labels: { __name__: "memory", env: "x", profile_name: "three", service_name: "my.shop" }, type: "samples:bytes:0", stacks: { "a;b;c": 5n, "a;b;d": 4n, "a;b": 5n } });
    // A unit that says nothing names no profile: the application's name does.
    expect(read([{ ...SAMPLED, unit: "none" }, { ...SAMPLED, unit: "none", name: "two" }], { app: "shop.wall" }).map(({ labels }) => labels["__name__"])).deep.equal(["wall", "wall"]);
  });

  it("the client's own labels stay: the application's name goes where there is room for it", () => {
    expect(read([SAMPLED, EVENTED], { app: "my.shop", appLabel: "app_name" })[0]!.labels).deep.include({ app_name: "my.shop", service_name: "shop" });
    expect(read([SAMPLED, EVENTED], { app: "my.shop", appLabel: undefined })[0]!.labels).not.have.property("app_name");
  });

  it("profiles of one name, type, unit and start are one; those that only start elsewhere are several, added up where their labels are equal", () => {
    expect(read([SAMPLED, SAMPLED])).deep.equal([{ labels: { __name__: "process_cpu", env: "x", profile_name: "one", service_name: "shop" }, type: `${CPU}:10000000`, stacks: { "a;b;c": 10_000_000_000n, "a;b;d": 8_000_000_000n, "a;b": 10_000_000_000n } }]);
    const elsewhere = read([SAMPLED, { ...SAMPLED, startValue: 5 }]);
    expect(elsewhere).length(1);
    expect(elsewhere[0]).deep.include({ type: `${WALL}:10000000`, stacks: { "a;b;c": 10_000_000_000n, "a;b;d": 8_000_000_000n, "a;b": 10_000_000_000n } });
  });

  it("keys may be in any order, and what is not known is skipped", () => {
    const { type, name, unit, ...rest } = EVENTED;
    const file = { profiles: [{ ...rest, other: [{ x: [1, { y: null }] }], unit, name, type }], exporter: "me", shared: { more: {}, frames: FRAMES }, $schema };
    expect(readFile(file)).deep.equal(read([EVENTED]));
    expect(readFile(`\ufeff ${JSON.stringify(file)}\n`)).deep.equal(read([EVENTED]));
    expect(readFile({ $schema, shared: { frames: [] }, profiles: [] })).deep.equal([]);
  });

  it("events that are out of order, open and do not close, or close what is not open are refused", () => {
    const O = (frame: number, at: number): object => ({ type: "O", frame, at });
    const C = (frame: number, at: number): object => ({ type: "C", frame, at });
    for (const events of [[O(0, 11)], [O(0, 11), C(1, 12)], [C(0, 11)], [O(0, 11), O(1, 12), C(0, 13), C(1, 14)], [O(0, 12), C(0, 11)], [O(0, 9), C(0, 11)], [O(4, 11), C(4, 12)], [O(-1, 11), C(-1, 12)], [O(0.5, 11), C(0.5, 12)], [{ type: "X", frame: 0, at: 11 }], [{ type: "O", at: 11 }], [{ type: "O", frame: 0 }]]) {
      expect(refusalOf(() => read([{ ...EVENTED, events }])), JSON.stringify(events)).match(/^PROFILE_MALFORMED/);
    }
    expect(read([{ ...EVENTED, events: [] }])[0]!.stacks).deep.equal({});
  });

  it("samples with an unknown frame, a negative weight, or another number of weights are refused", () => {
    for (const change of [{ samples: [[4]], weights: [1] }, { samples: [[-1]], weights: [1] }, { samples: [[1.5]], weights: [1] }, { weights: [1] }, { weights: undefined }, { samples: undefined }, { weights: [1, 1, 4, 3, -5] }, { samples: [0], weights: [1] }, { type: "evented" }, { type: "other" }, { unit: undefined }]) {
      expect(refusalOf(() => read([{ ...SAMPLED, ...change }])), JSON.stringify(change)).match(/^PROFILE_MALFORMED/);
    }
    expect(read([{ ...SAMPLED, samples: [[], [0], [1]], weights: [2, 0, 0.4e-9] }])[0]!.stacks).deep.equal({ "": 2_000_000_000n });
  });

  it("a weight beyond 64 bits as a value, or beyond the range of numbers, is refused", () => {
    expect(read([{ ...SAMPLED, unit: "bytes", samples: [[0]], weights: [2 ** 62] }])[0]!.stacks).deep.equal({ a: 2n ** 62n });
    expect(refusalOf(() => read([{ ...SAMPLED, samples: [[0]], weights: [1e10] }]))).match(/^PROFILE_MALFORMED: .*64 bits/);
    expect(refusalOf(() => readFile(JSON.stringify({ $schema, shared: { frames: FRAMES }, profiles: [SAMPLED] }).replace("[1,1,4,3,5]", "[1,1,4,3,1e999]")))).match(/^PROFILE_MALFORMED: .*range of numbers/);
  });

  it("another schema, a file without its lists or with one twice, and what is no JSON are refused", () => {
    const whole = JSON.stringify({ $schema, shared: { frames: FRAMES }, profiles: [SAMPLED] });
    for (const file of [{}, { $schema: "x", shared: { frames: FRAMES }, profiles: [SAMPLED] }, { $schema, profiles: [SAMPLED] }, { $schema, shared: {}, profiles: [SAMPLED] }, { $schema, shared: { frames: FRAMES } }, { $schema, shared: { frames: [{}] }, profiles: [] }]) {
      expect(refusalOf(() => readFile(file)), JSON.stringify(file)).match(/^PROFILE_MALFORMED/);
    }
    for (const text of ["", "[]", "main;a 1", whole.slice(0, -1), `${whole}{}`, whole.replace("[1,1", "[01,1"), whole.replace('"profiles"', '"profiles":[],"profiles"'), whole.replace('"weights"', '"weights":[],"weights"')]) {
      expect(refusalOf(() => readFile(text)), text).match(/^PROFILE_MALFORMED/);
    }
    for (let length = 0; length < whole.length; length += 3) expect(refusalOf(() => readFile(whole.slice(0, length)))).match(/^PROFILE_MALFORMED/);
  });

  it("depth, profiles and samples are bounded; a stack that is too deep keeps its root side", () => {
    const file = { $schema, shared: { frames: FRAMES }, profiles: [SAMPLED] };
    expect(refusalOf(() => readFile(`${"[".repeat(100_000)}`))).match(/^PROFILE_MALFORMED|^JSON_TOO_DEEP/);
    expect(refusalOf(() => readFile(JSON.stringify(file).replace('"one"', `"one","x":${"[".repeat(40)}${"]".repeat(40)}`)))).match(/^JSON_TOO_DEEP/);
    expect(refusalOf(() => read(Array.from({ length: 1025 }, (_, i) => ({ ...SAMPLED, name: String(i) }))))).match(/^PROFILE_TOO_LARGE/);
    const frames = ["a", "b", "c"].map((letter) => ({ name: letter.repeat(900_000) }));
    const profiles = Array.from({ length: 60 }, (_, i) => ({ ...SAMPLED, name: String(i), samples: [[0, 1, 2]], weights: [1] }));
    expect(refusalOf(() => readFile({ $schema, shared: { frames }, profiles }))).match(/^PROFILE_TOO_LARGE: the profiles of the file, .* more than 134217728 bytes/);
    expect(refusalOf(() => readFile(file, {}, { sampleCountMax: 2 }))).match(/^PROFILE_SAMPLES_LIMIT/);
    expect(readFile(file, {}, { stacktraceDepthMax: 1 })[0]!.stacks).deep.equal({ a: 14_000_000_000n });
  });

  describe("corpus", () => {
    const corpus = corpusPath();
    const folder = corpus === undefined ? "" : path.join(corpus, "speedscope");

    it("simple: hundredths of a sample, as there", function () {
      if (corpus === undefined) return this.skip();
      const [profile, ...more] = readFile(readFileSync(path.join(folder, "simple.speedscope.json"), "utf8"));
      expect(more).deep.equal([]);
      // Pyroscope's own expectation is 500, 500 and 400 hundredths; at 100 Hz a sample is 10 ms.
      expect(profile).deep.equal({ labels: { __name__: "process_cpu", env: "x", profile_name: "simple.txt", service_name: "shop" }, type: `${CPU}:10000000`, stacks: { "a;b;c": 50_000_000n, "a;b;d": 40_000_000n, "a;b": 50_000_000n } });
    });

    it("two-sampled: two series of wall time", function () {
      if (corpus === undefined) return this.skip();
      const profiles = readFile(readFileSync(path.join(folder, "two-sampled.speedscope.json"), "utf8"));
      const stacks = { "a;b;c": 5_000_000_000n, "a;b;d": 4_000_000_000n, "a;b": 5_000_000_000n };
      expect(profiles).deep.equal(["one", "two"].map((name) => ({ labels: { __name__: "wall", env: "x", profile_name: name, service_name: "shop" }, type: `${WALL}:10000000`, stacks })));
    });
  });
});
