import { basename } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { Profile } from "pprof-format";
import { encodePush } from "./encode-push.ts";
import type { Label } from "./labels.ts";
import { DEFAULT_PROFILE_LIMITS } from "./limits.ts";
import { PprofWriter } from "./pprof-write.ts";
import { decodeRecord } from "./record-decode.ts";
import type { RecordView } from "./record-view.ts";
import { corpusPath, corpusPprof, corpusPprofFiles, expectedSums, recordSums, stackOf } from "./testing/pprof-oracle.ts";

const SERIES: Label[] = [
  { name: "service_name", value: "shop" },
  { name: "__name__", value: "x" },
];
const SERIES_NAMES = new Set(["service_name", "__name__", "pyroscope_spy"]);
const NOW_MS = 1_700_000_000_000;

function records(pprof: Uint8Array, spyName = "gospy"): ReturnType<typeof encodePush> {
  return encodePush({
    tenant: "t1",
    labels: spyName === "" ? SERIES : [...SERIES, { name: "pyroscope_spy", value: spyName }],
    pprof,
    fallbackTimeNs: BigInt(NOW_MS) * 1_000_000n,
    nonce: new Uint8Array(16),
    nowMs: NOW_MS,
    limits: { ...DEFAULT_PROFILE_LIMITS, stacktraceDepthMax: 0 },
    window: { rejectOlderThanMs: 0, rejectNewerThanMs: 0 },
  });
}

interface Spec {
  /** From the root. */
  readonly stack: readonly string[];
  readonly value: number;
}

function goProfile(samples: readonly Spec[], { type = "cpu" } = {}): Uint8Array {
  const writer = new PprofWriter({ sampleTypes: [{ type, unit: "count" }], periodType: { type: "", unit: "" }, period: 0, timeNs: BigInt(NOW_MS) * 1_000_000n, durationNs: 0n });
  for (const { stack, value } of samples) writer.sample([...stack].reverse().map((name) => writer.frame(name)), [value]);
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

  it("a mended stacktrace and one that came whole are one sample", () => {
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

  it("allocations are mended from 28 locations on, and not where one is deeper than 32: that Go cuts at 128", () => {
    const full = spine(40);
    const mendable = [
      { stack: full.slice(0, 32), value: 1 },
      { stack: full.slice(4, 34), value: 2 },
    ];
    const pprof = (more: readonly Spec[]): Map<string, number> => kept(goProfile([...mendable, ...more], { type: "inuse_space" }));
    expect([...pprof([]).keys()]).deep.equal([full.slice(0, 32).join(" "), full.slice(0, 34).join(" ")]);
    const deep = [{ stack: spine(33).map((name) => `d${name}`), value: 1 }];
    expect(pprof(deep)).deep.equal(sent([...mendable, ...deep]));
    const shallow = [
      { stack: full.slice(0, 27), value: 1 },
      { stack: full.slice(4, 28), value: 2 },
    ];
    expect(kept(goProfile(shallow, { type: "inuse_space" }))).deep.equal(sent(shallow));
  });

  it("profiles that do not say they are the Go SDK's, other types, and depths that no cut made stay as they came", () => {
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
    const samples = Array.from({ length: 58 }, (_, i) => ({ stack: full.slice(8 * i, 8 * i + 64), value: i + 1 }));
    const stacks = [...kept(goProfile(samples)).keys()];
    expect(stacks[56]).equal(full.slice(0, 8 * 56 + 64).join(" "));
    expect(stacks[57]).equal(samples[57]!.stack.join(" "));
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

  it("where mending would make more nodes than the push has bytes, all stays as it came instead of being refused", () => {
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
    let mendedCount = 0;
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
        if ([...found.keys()].some((stack) => stack.split(" ").length > (isAllocation ? 32 : 64))) mendedCount++;
      }),
      { numRuns: 200 },
    );
    expect(mendedCount).greaterThan(20);
  });

  it("the numbers of locations decide nothing", () => {
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

  it("real profiles: fewer roots, the same totals", function () {
    const corpus = corpusPath();
    if (corpus === undefined) return this.skip();
    const counts: Record<string, readonly number[]> = {};
    for (const path of corpusPprofFiles(corpus)) {
      if (!basename(path).includes("go_truncated")) continue;
      const pprof = corpusPprof(path);
      const [asSent, mended] = ["", "gospy"].map((spyName) => recordSums(records(pprof, spyName), SERIES_NAMES));
      const total = (sums: ReadonlyMap<string, bigint>): bigint => [...sums.values()].reduce((sum, value) => sum + value, 0n);
      expect(total(mended!)).equal(total(asSent!));
      const roots = (sums: ReadonlyMap<string, bigint>): number => new Set([...sums.keys()].map((key) => key.split(";", 1)[0])).size;
      counts[basename(path)] = [roots(asSent!), roots(mended!)];
    }
    expect(Object.keys(counts).length).equal(2);
    for (const [file, [before, after]] of Object.entries(counts)) expect(after, `${file}: ${before} roots before`).lessThan(before!);
  });
});
