import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { Profile } from "pprof-format";
import { encodePush } from "./encode-push.ts";
import type { Label } from "../labels/labels.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { PprofWriter } from "../pprof/pprof-write.ts";
import { decodeRecord } from "./record-decode.ts";
import type { RecordView } from "../model/record-view.ts";
import { corpusPath, corpusPprof, corpusPprofFiles, expectedSums, recordSums, stackOf } from "../testing/pprof-oracle.ts";

const SERIES: Label[] = [
  { name: "service_name", value: "shop" },
  { name: "__name__", value: "x" },
];
const SERIES_NAMES = new Set(["service_name", "__name__", "pyroscope_spy"]);
const NOW_MS = 1_700_000_000_000;

function records(pprof: Uint8Array, spyName = "gospy", repairsGoStacktraces = true): ReturnType<typeof encodePush> {
  return encodePush({
    tenant: "t1",
    labels: spyName === "" ? SERIES : [...SERIES, { name: "pyroscope_spy", value: spyName }],
    pprof,
    fallbackTimeNs: BigInt(NOW_MS) * 1_000_000n,
    nonce: new Uint8Array(16),
    nowMs: NOW_MS,
    limits: { ...DEFAULT_PROFILE_LIMITS, stacktraceDepthMax: 0, repairsGoStacktraces },
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  });
}

interface Spec {
  /** From the root. */
  readonly stack: readonly string[];
  readonly value: number;
}

function goProfile(samples: readonly Spec[], { type = "cpu", filename = "" } = {}): Uint8Array {
  const writer = new PprofWriter({ sampleTypes: [{ type, unit: "count" }], periodType: { type: "", unit: "" }, period: 0, timeNs: BigInt(NOW_MS) * 1_000_000n, durationNs: 0n });
  for (const { stack, value } of samples) writer.sample([...stack].reverse().map((name) => writer.frame(name, filename)), [value]);
  return writer.finish();
}

/** `a b c -> value` of what is kept. */
function kept(pprof: Uint8Array, spyName = "gospy"): Map<string, number> {
  const view: RecordView = decodeRecord(records(pprof, spyName)[0]!.bytes, "r");
  return new Map(Array.from({ length: view.sampleCount }, (_, i) => [stackOf(view, view.sampleNode[i]!).map((frame) => frame.split(" ")[0]).join(" "), Number(view.values[0]![i])]));
}

const spine = (length: number): string[] => Array.from({ length }, (_, i) => `f${i}`);
const sent = (samples: readonly Spec[]): Map<string, number> => new Map(samples.map(({ stack, value }) => [stack.join(" "), value]));
/** A sample's stack as the runtime keeps it. */
const cut = (stack: readonly string[], depth = 64): string[] => stack.slice(-depth);

describe("Go's truncated stacktraces", () => {
  it("get back the frames before their root from a neighbour that still has them", () => {
    const full = spine(70);
    const samples = [
      { stack: cut([...full.slice(0, 62), "x", "y"]), value: 1 },
      { stack: cut(full), value: 2 },
      { stack: ["main", "other"], value: 4 },
    ];
    expect(kept(goProfile(samples))).deep.equal(
      new Map([
        [[...full.slice(0, 62), "x", "y"].join(" "), 1],
        [full.join(" "), 2],
        ["main other", 4],
      ]),
    );
  });

  it("Pyroscope's own case: pieces of one stacktrace, some known only through others, end up with one root", () => {
    const full = spine(128);
    const samples = [
      { stack: full.slice(0, 24), value: 1 },
      { stack: full.slice(9, 58), value: 2 },
      { stack: full.slice(8, 57), value: 4 },
      { stack: full.slice(7, 56), value: 8 },
      { stack: [...full.slice(0, 22), "yy1"], value: 16 },
      { stack: spine(64).map((name) => `other-${name}`), value: 32 },
    ];
    const roots = new Map<string, number>();
    for (const [stack, value] of kept(goProfile(samples))) {
      const root = stack.split(" ").slice(0, 8).join(" ");
      roots.set(root, (roots.get(root) ?? 0) + value);
    }
    expect(roots.get(full.slice(0, 8).join(" "))).equal(31);
    expect(roots.size).equal(2);
  });

  it("a repaired stacktrace and one that came whole are one sample", () => {
    const full = spine(64);
    const samples = [
      { stack: full, value: 1 },
      { stack: [...full.slice(0, 40), "z"], value: 2 },
      { stack: full.slice(3), value: 4 },
    ];
    expect(kept(goProfile(samples))).deep.equal(
      new Map([
        [full.join(" "), 5],
        [[...full.slice(0, 40), "z"].join(" "), 2],
      ]),
    );
  });

  it("allocations are repaired from 28 locations on, and not where one is deeper than 32: that Go cuts at 128", () => {
    const full = spine(40);
    const repairable = [
      { stack: full.slice(0, 32), value: 1 },
      { stack: full.slice(4, 34), value: 2 },
    ];
    const pprof = (more: readonly Spec[]): Map<string, number> => kept(goProfile([...repairable, ...more], { type: "inuse_space" }));
    expect([...pprof([]).keys()]).deep.equal([full.slice(0, 32).join(" "), full.slice(0, 34).join(" ")]);
    const deep = [{ stack: spine(33).map((name) => `d${name}`), value: 1 }];
    expect(pprof(deep)).deep.equal(sent([...repairable, ...deep]));
    const shallow = [
      { stack: full.slice(0, 27), value: 1 },
      { stack: full.slice(4, 28), value: 2 },
    ];
    expect(kept(goProfile(shallow, { type: "inuse_space" }))).deep.equal(sent(shallow));
  });

  it("a scraped profile, whose client says nothing, is Go's by the first of its strings that tells a language", () => {
    const full = spine(70);
    const samples = [
      { stack: full.slice(0, 64), value: 1 },
      { stack: full.slice(6), value: 2 },
    ];
    const isRepaired = (spyName: string, filename: string, first = "f0"): boolean =>
      kept(goProfile(samples.map(({ stack, value }) => ({ stack: stack.map((name) => (name === "f0" ? first : name)), value })), { filename }), spyName).has([first, ...full.slice(1)].join(" "));
    for (const spyName of ["", "unknown", "scraper"]) {
      expect(isRepaired(spyName, "/src/main.go"), spyName).equal(true);
      expect(isRepaired(spyName, "/usr/local/go/src/runtime/asm_amd64.s"), spyName).equal(true);
      for (const filename of ["", "main.c", "main.py", "main.go.c", "go"]) expect(isRepaired(spyName, filename), `${spyName} ${filename}`).equal(false);
    }
    // The string table begins with what the samples name first: the leaf. Only f0 is named after the file.
    expect(isRepaired("", "lib.js", "main.go")).equal(false);
    for (const spyName of ["pyspy", "rbspy", "javaspy", "nodespy", "dotnetspy", "phpspy", "pyroscope-rs", "grafana-agent.java"]) expect(isRepaired(spyName, "/src/main.go"), spyName).equal(false);
    expect(isRepaired("gospy", "main.py")).equal(true);
  });

  it("the limit switches it off, for the Go SDK's too", () => {
    const full = spine(70);
    const samples = [
      { stack: full.slice(0, 64), value: 1 },
      { stack: full.slice(6), value: 2 },
    ];
    const pprof = goProfile(samples, { filename: "main.go" });
    for (const spyName of ["gospy", ""]) {
      expect(recordSums(records(pprof, spyName, false), SERIES_NAMES)).deep.equal(expectedSums(pprof));
      expect(recordSums(records(pprof, spyName), SERIES_NAMES)).not.deep.equal(expectedSums(pprof));
    }
  });

  it("generic functions that are one name after their type parameters are gone make neighbours meet", () => {
    const full = spine(70);
    const generic = (stack: readonly string[], shape: string): string[] => stack.map((name) => (Number(name.slice(1)) % 5 === 3 ? `${name}[go.shape.${shape}]` : name));
    const samples = [
      { stack: generic(full.slice(0, 64), "int"), value: 1 },
      { stack: generic(full.slice(6), "string"), value: 2 },
      { stack: full.slice(6, 69), value: 4 },
      { stack: spine(64).map((name) => `last-${name}`), value: 8 },
    ];
    const sums = recordSums(records(goProfile(samples)), SERIES_NAMES);
    expect([...sums].map(([key, sum]) => [key.split(";").length, key.split(" ")[2], sum])).deep.equal([
      [64, "f0", 1n],
      [70, "f0", 2n],
      [69, "f0", 4n],
      [64, "last-f0", 8n],
    ]);
  });

  it("profiles of no language, other types, and depths that no cut made stay as they came", () => {
    const full = spine(70);
    const samples = [
      { stack: full.slice(0, 64), value: 1 },
      { stack: full.slice(6), value: 2 },
    ];
    expect(kept(goProfile(samples)).has(full.join(" "))).equal(true);
    for (const spyName of ["", "unknown", "pyspy"]) expect(kept(goProfile(samples), spyName), spyName).deep.equal(sent(samples));
    expect(kept(goProfile(samples, { type: "contentions" }))).deep.equal(sent(samples));
    const shallow = samples.map(({ stack, value }) => ({ stack: stack.slice(0, 59), value }));
    expect(kept(goProfile(shallow))).deep.equal(sent(shallow));
  });

  it("16 frames must agree, and 24 must be there", () => {
    const deep = { stack: spine(64), value: 1 };
    const fifteen = { stack: [...deep.stack.slice(4, 19), ...spine(30).map((name) => `g${name}`)], value: 2 };
    const short = { stack: deep.stack.slice(4, 27), value: 4 };
    expect(kept(goProfile([deep, fifteen, short]))).deep.equal(sent([deep, fifteen, short]));
    const sixteen = { stack: [...deep.stack.slice(4, 20), ...spine(30).map((name) => `g${name}`)], value: 2 };
    expect([...kept(goProfile([deep, sixteen])).keys()][1]).equal([...deep.stack.slice(0, 4), ...sixteen.stack].join(" "));
  });

  it("neighbours are followed through 56 others; what is further away is taken for recursion and left", () => {
    const full = spine(8 * 57 + 64);
    const samples = Array.from({ length: 58 }, (_, i) => ({ stack: i === 0 ? full : full.slice(8 * i, 8 * i + 64 - (i % 2)), value: i + 1 }));
    const stacks = [...kept(goProfile(samples)).keys()];
    expect(stacks[56]).equal(full.slice(0, 8 * 56 + 64).join(" "));
    expect(stacks[57]).equal(samples[57]!.stack.join(" "));
  });

  it("as in Pyroscope: what is missing is the beginning of one stacktrace, or stays missing; and the last group in order stays", () => {
    const full = spine(128);
    // The third begins 32 frames below the first, by way of the second and fourth; the first has but 30.
    const chain = [0, 8, 16, 24, 32].map((from) => ({ stack: full.slice(from, from + 30), value: 1 + from }));
    const deep = { stack: spine(64).map((name) => `deep-${name}`), value: 1000 };
    const found = [...kept(goProfile([...chain, deep])).keys()];
    expect(found.map((stack) => stack.split(" ").length)).deep.equal([30, 38, 46, 54, 30, 64]);
    const [first, second] = chain;
    const beside = { stack: [...second!.stack.slice(0, 29), "beside"], value: 5 };
    // Two of one group make it matter which group is the last: the one with the greatest number next to GROUP_DEPTH, here of `zz`.
    const last = { stack: [...full.slice(4, 20), ...Array.from({ length: 44 }, (_, i) => `zz${i}`)], value: 7 };
    const stacks = [...kept(goProfile([first!, second!, beside, deep, last])).keys()];
    expect(stacks.map((stack) => stack.split(" ").length)).deep.equal([30, 38, 38, 64, 60]);
  });

  it("recursion that begins in itself ends", () => {
    const recursion = (...cycle: string[]): string[] => Array.from({ length: 64 }, (_, i) => cycle[i % cycle.length]!);
    const samples = [
      { stack: recursion("a"), value: 1 },
      { stack: recursion("b", "c"), value: 2 },
      { stack: recursion("c", "b"), value: 4 },
      { stack: recursion("d", "e", "f"), value: 8 },
    ];
    const stacks = kept(goProfile(samples));
    expect([...stacks.values()].reduce((sum, value) => sum + value)).equal(15);
  });

  it("where repairing would make more nodes than the push has bytes, all stays as it came instead of being refused", () => {
    let seed = 1;
    const frame = (): string => `f${(seed = (seed * 48_271) % 0x7fff_ffff) % 100}`;
    const full = Array.from({ length: 64 }, frame);
    const tails = Array.from({ length: 700 }, (_, i) => ({ stack: [...full.slice(7, 35), ...Array.from({ length: 400 }, frame)], value: i + 1 }));
    const samples = [{ stack: full, value: 1 }, ...tails];
    expect(kept(goProfile(samples))).deep.equal(sent(samples));
    const fewer = samples.slice(0, 100);
    expect([...kept(goProfile(fewer)).keys()][1]).equal([...full.slice(0, 7), ...fewer[1]!.stack].join(" "));
  });

  it("any program: as the plain way says, nothing lost, and what was sent is how each stacktrace ends", () => {
    const anyProgram = fc.record({
      // Few names make recursion.
      nameCount: fc.constantFrom(3, 6, 40, 1000),
      names: fc.array(fc.nat(1000), { minLength: 60, maxLength: 130 }),
      samples: fc.array(fc.record({ depth: fc.integer({ min: 20, max: 130 }), leaves: fc.array(fc.nat(3), { maxLength: 4 }), value: fc.integer({ min: 1, max: 9 }) }), { minLength: 1, maxLength: 40 }),
      isAllocation: fc.boolean(),
    });
    let repairedCount = 0;
    fc.assert(
      fc.property(anyProgram, ({ nameCount, names, samples, isAllocation }) => {
        const full = names.map((name, i) => `f${nameCount === 1000 ? i : name % nameCount}`);
        const specs = samples.map(({ depth, leaves, value }) => ({
          stack: cut([...full.slice(0, depth), ...leaves.map((leaf) => `leaf${leaf}`)], isAllocation ? 32 : 64),
          value,
        }));
        const pprof = goProfile(specs, { type: isAllocation ? "alloc_space" : "cpu" });
        expect(recordSums(records(pprof), SERIES_NAMES)).deep.equal(expectedSums(pprof, new Set(), true));
        const found = kept(pprof);
        const total = specs.reduce((sum, { value }) => sum + value, 0);
        expect([...found.values()].reduce((sum, value) => sum + value, 0)).equal(total);
        for (const { stack } of specs) expect([...found.keys()].some((whole) => ` ${whole}`.endsWith(` ${stack.join(" ")}`))).equal(true);
        if ([...found.keys()].some((stack) => stack.split(" ").length > (isAllocation ? 32 : 64))) repairedCount++;
      }),
      { numRuns: 200 },
    );
    expect(repairedCount).greaterThan(20);
  });

  it("the numbers of locations decide nothing where no two neighbours are equally good", () => {
    const full = spine(90);
    const samples = [60, 66, 70, 75, 80, 90].map((depth, i) => ({ stack: cut([...full.slice(0, depth), `leaf${i}`]), value: i + 1 }));
    const profile = Profile.decode(goProfile(samples));
    const renumbered = (id: number | bigint): bigint => (1n << 40n) - BigInt(id) * 7n;
    for (const location of profile.location) location.id = renumbered(location.id);
    for (const sample of profile.sample) sample.locationId = sample.locationId.map(renumbered);
    const identity = (pprof: Uint8Array): string => Buffer.from(records(pprof)[0]!.identity).toString("hex");
    expect(kept(profile.encode())).deep.equal(kept(goProfile(samples)));
    expect(identity(profile.encode())).equal(identity(goProfile(samples)));
  });

  it("real profiles, scraped: as the plain way says, fewer roots, the same totals", function () {
    const corpus = corpusPath();
    if (corpus === undefined) return this.skip();
    const counts: Record<string, readonly number[]> = {};
    for (const path of corpusPprofFiles(corpus)) {
      if (!basename(path).includes("go_truncated")) continue;
      const pprof = corpusPprof(path);
      const [asSent, repaired] = [false, true].map((repairs) => recordSums(records(pprof, "", repairs), SERIES_NAMES));
      const total = (sums: ReadonlyMap<string, bigint>): bigint => [...sums.values()].reduce((sum, value) => sum + value, 0n);
      expect(total(repaired!)).equal(total(asSent!));
      // Not with deep.equal, which looks for each key of a map among all of the other's.
      const expected = expectedSums(pprof, new Set(), true);
      expect([...expected].find(([key, sum]) => repaired!.get(key) !== sum), basename(path)).equal(undefined);
      expect(repaired!.size, basename(path)).equal(expected.size);
      const roots = (sums: ReadonlyMap<string, bigint>): number => new Set([...sums.keys()].map((key) => key.split(";", 1)[0])).size;
      counts[basename(path)] = [roots(asSent!), roots(repaired!)];
    }
    expect(Object.keys(counts).length).equal(2);
    for (const [file, [before, after]] of Object.entries(counts)) expect(after, `${file}: ${before} roots before`).lessThan(before!);
  });

  it("the heap profiles of the corpus give Pyroscope's stacktraces", function () {
    const corpus = corpusPath();
    if (corpus === undefined) return this.skip();
    // File and type; stacktraces by name and line, their roots, and a hash of them with their values: of what Pyroscope's own
    // FixGoProfile (pkg/pprof, at 3fe6a457) made of the files.
    const theirs: readonly (readonly [string, string, number, number, string])[] = [
      ["heap.pb.gz", "alloc_space", 561, 38, "f0c4ebfe06b3a72f"],
      ["heap_delta", "alloc_objects", 28, 13, "124c61fbaa00caa9"],
      ["heap_go_truncated_4.pb.gz", "inuse_space", 3763, 107, "31688ff9b9cc19aa"],
      ["parca-alloc_objects.pb.gz", "alloc_space", 3328, 41, "bdf8a839abb00b86"],
      ["series-3s/1644509278338696000.pb.gz", "alloc_space", 17, 6, "e70624dce07fd6ae"],
    ];
    for (const [file, type, stackCount, rootCount, digest] of theirs) {
      const sums = new Map<string, bigint>();
      for (const record of records(corpusPprof(join(corpus, "pprof", file)), "")) {
        const view = decodeRecord(record.bytes, file);
        const column = view.sampleTypes.findIndex((one) => one.type === type);
        if (column < 0) continue;
        for (let i = 0; i < view.sampleCount; i++) {
          const value = BigInt(view.values[column]![i]!);
          if (value === 0n) continue;
          // The oracle's frames are `name file:line`.
          const stack = stackOf(view, view.sampleNode[i]!).map((frame) => frame.replace(/ [^ ]*:(-?\d+)$/, ":$1")).join(";");
          sums.set(stack, (sums.get(stack) ?? 0n) + value);
        }
      }
      const roots = new Set([...sums.keys()].map((stack) => stack.split(";", 1)[0]));
      const text = [...sums].map(([stack, value]) => `${stack} ${value}`).sort().join("\n");
      expect([file, type, sums.size, roots.size, createHash("sha256").update(text).digest("hex").slice(0, 16)]).deep.equal([file, type, stackCount, rootCount, digest]);
    }
  });
});
