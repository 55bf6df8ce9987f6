/** What queries answer against what Pyroscope 2.2.1 answered for the same pushes (the corpus; skipped where it is missing). */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import { Profile } from "pprof-format";
import { dotGraph } from "../graph/dot.ts";
import { flameGraphDiff } from "../graph/flame-graph-diff.ts";
import { flameGraph } from "../graph/flame-graph.ts";
import type { Label } from "../labels/labels.ts";
import { sortLabels } from "../labels/labels.ts";
import { goPgoLocations, LocationTreeMerger, stringAt, truncateLocations } from "../graph/location-tree.ts";
import { matchesLabels, parseQuery, parseSelector } from "../selector/matcher.ts";
import { NameTreeBuilder } from "../graph/name-tree.ts";
import { encodePprof } from "../graph/pprof-encode.ts";
import { parseProfileType, printProfileType, profileTypeOf } from "../labels/profile-type.ts";
import type { ProfileType } from "../labels/profile-type.ts";
import { StacktraceInterner } from "../dataset/stacktrace-interner.ts";
import type { LocationTree, NameTree } from "../model/stacktrace-tree.ts";
import { SumColumn, sumOf, totalsOf, sumAt } from "../model/sums.ts";
import { topTable } from "../graph/top-table.ts";
import { decodeTree, encodeTree } from "../graph/tree-bytes.ts";

// ------------------------------------------------------------------------------------------------- pprof, by pprof-format

interface Pushed {
  readonly labels: readonly Label[];
  readonly profile: Profile;
}

const whole = (value: number | bigint): bigint => BigInt.asIntN(64, BigInt(value));

function textOf(profile: Profile, index: number | bigint): string {
  return profile.stringTable.strings[Number(index)]!;
}

function typesOf({ labels, profile }: Pushed): ProfileType[] {
  const period = { type: textOf(profile, profile.periodType?.type ?? 0), unit: textOf(profile, profile.periodType?.unit ?? 0) };
  return profile.sampleType.map((type) => profileTypeOf(labels, { type: textOf(profile, type.type), unit: textOf(profile, type.unit) }, period));
}

/** Function names from the root, with the value of a column, of every sample that has one. */
function stacktracesOf(profile: Profile, column: number): { names: string[]; value: bigint }[] {
  const locations = new Map(profile.location.map((location) => [whole(location.id), location]));
  const functions = new Map(profile.function.map((fn) => [whole(fn.id), fn]));
  return profile.sample
    .map((sample) => ({
      value: whole(sample.value[column]!),
      names: [...sample.locationId].reverse().flatMap((id) => {
        const lines = [...locations.get(whole(id))!.line].reverse();
        return lines.map((line) => textOf(profile, functions.get(whole(line.functionId))!.name));
      }),
    }))
    .filter(({ value }) => value > 0n);
}

/** The tree of the stacktraces that begin with `callSite`. */
function nameTreeOf(profiles: readonly [Profile, number][], callSite: readonly string[] = []): NameTree {
  const builder = new NameTreeBuilder();
  for (const [profile, column] of profiles) {
    // One builder a profile, so that merging is exercised too.
    const one = new NameTreeBuilder();
    for (const { names, value } of stacktracesOf(profile, column)) {
      if (callSite.every((name, index) => names[index] === name)) one.addStacktrace(names, value < 2n ** 53n ? Number(value) : value);
    }
    builder.add(one.result());
  }
  return builder.result();
}

function locationTreeOf(profile: Profile, column: number): LocationTree {
  const strings = profile.stringTable.strings.map((text) => Buffer.from(text));
  const offsets = [0];
  for (const bytes of strings) offsets.push(offsets.at(-1)! + bytes.length);
  const index = (items: readonly { id: number | bigint }[]): Map<bigint, number> => new Map(items.map((item, at) => [whole(item.id), at + 1]));
  const mappings = index(profile.mapping);
  const functions = index(profile.function);
  const locations = index(profile.location);
  const lines = profile.location.flatMap((location) => location.line);
  const lineStart = [0, 0];
  for (const location of profile.location) lineStart.push(lineStart.at(-1)! + location.line.length);
  const numbers = <T>(items: readonly T[], read: (item: T) => number | bigint): number[] => [0, ...items.map((item) => Number(read(item)))];
  const bigints = <T>(items: readonly T[], read: (item: T) => number | bigint): BigUint64Array =>
    BigUint64Array.from([0n, ...items.map((item) => BigInt.asUintN(64, BigInt(read(item))))]);
  const tree = new StacktraceInterner();
  const self = new SumColumn(1);
  for (const sample of profile.sample) {
    const value = whole(sample.value[column]!);
    if (value <= 0n) continue;
    let node = 0;
    for (const id of [...sample.locationId].reverse()) node = tree.child(node, locations.get(whole(id))!);
    self.grow(tree.nodeCount);
    self.raise(value);
    self.addBig(node, value);
  }
  return {
    tree,
    self: self.view(),
    symbols: {
      stringCount: strings.length,
      stringBytes: Buffer.concat(strings),
      stringOffset: Uint32Array.from(offsets),
      mappingCount: profile.mapping.length + 1,
      mappingStart: bigints(profile.mapping, (mapping) => mapping.memoryStart),
      mappingLimit: bigints(profile.mapping, (mapping) => mapping.memoryLimit),
      mappingFileOffset: bigints(profile.mapping, (mapping) => mapping.fileOffset),
      mappingFilename: Uint32Array.from(numbers(profile.mapping, (mapping) => mapping.filename)),
      mappingBuildId: Uint32Array.from(numbers(profile.mapping, (mapping) => mapping.buildId)),
      mappingFlags: Uint8Array.from(
        numbers(profile.mapping, (mapping) => +mapping.hasFunctions | (+mapping.hasFilenames << 1) | (+mapping.hasLineNumbers << 2) | (+mapping.hasInlineFrames << 3)),
      ),
      functionCount: profile.function.length + 1,
      functionName: Uint32Array.from(numbers(profile.function, (fn) => fn.name)),
      functionSystemName: Uint32Array.from(numbers(profile.function, (fn) => fn.systemName)),
      functionFilename: Uint32Array.from(numbers(profile.function, (fn) => fn.filename)),
      functionStartLine: Float64Array.from(numbers(profile.function, (fn) => fn.startLine)),
      locationCount: profile.location.length + 1,
      locationMapping: Uint32Array.from([0, ...profile.location.map((location) => mappings.get(whole(location.mappingId)) ?? 0)]),
      locationAddressLow: Uint32Array.from(numbers(profile.location, (location) => BigInt(location.address) & 0xffff_ffffn)),
      locationAddressHigh: Uint32Array.from(numbers(profile.location, (location) => (BigInt(location.address) >> 32n) & 0xffff_ffffn)),
      locationFlags: Uint8Array.from(numbers(profile.location, (location) => +location.isFolded)),
      lineStart: Uint32Array.from(lineStart),
      lineCount: lines.length,
      lineFunction: Uint32Array.from(lines.map((line) => functions.get(whole(line.functionId))!)),
      lineNumber: Float64Array.from(lines.map((line) => Number(whole(line.line)))),
    },
  };
}

function collapsed(profile: Profile, column = 0): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  for (const { names, value } of stacktracesOf(profile, column)) sums.set(names.join(";"), (sums.get(names.join(";")) ?? 0n) + value);
  return sums;
}

// -------------------------------------------------------------------------------------------------------- the recorded

/** Self and total by path; paths of one name merge. */
function pathsOf(levels: readonly (readonly unknown[])[], names: readonly string[], chunk: number, at: number): Map<string, { self: bigint; total: bigint }> {
  const paths = new Map<string, { self: bigint; total: bigint }>();
  let parents: { x: bigint; end: bigint; path: string }[] = [];
  for (const [depth, level] of levels.entries()) {
    const bars: typeof parents = [];
    let end = 0n;
    for (let i = 0; i < level.length; i += chunk) {
      const x = end + BigInt(level[i + at] as string);
      const total = BigInt(level[i + at + 1] as string);
      end = x + total;
      const name = names[Number(level[i + chunk - 1])]!;
      const parent = parents.find((bar) => bar.x <= x && end <= bar.end && (total > 0n || x < bar.end || bar.x === bar.end));
      if (depth > 0) expect(parent, `bar ${name} lies under no bar`).to.not.equal(undefined);
      const path = depth === 0 ? name : `${parent!.path};${name}`;
      const known = paths.get(path) ?? { self: 0n, total: 0n };
      paths.set(path, { self: known.self + BigInt(level[i + at + 2] as string), total: known.total + total });
      bars.push({ x, end, path });
    }
    parents = bars;
  }
  return paths;
}

interface Exchange {
  readonly request: { readonly path: string; readonly bodyBase64?: string; readonly json?: Readonly<Record<string, unknown>> };
  readonly response: { readonly body?: unknown };
}

interface MergeRequest {
  readonly profileTypeID: string;
  readonly labelSelector: string;
  readonly start: string;
  readonly end: string;
  readonly maxNodes?: string;
  readonly stackTraceSelector?: { readonly callSite: readonly { readonly name: string }[] };
}

const root = join(dirname(fileURLToPath(import.meta.url)), "../../../..");
const recorded = join(process.env["PYROMESH_CORPUS"] ?? join(root, "../shared/corpus"), "recorded");

function exchange(number: number): Exchange {
  const name = readdirSync(recorded).find((file) => file.startsWith(String(number).padStart(2, "0")))!;
  return JSON.parse(readFileSync(join(recorded, name), "utf8")) as Exchange; // our own recordings
}

describe("query results", () => {
  const pushed: Pushed[] = [];

  before(function () {
    if (!existsSync(recorded)) this.skip();
    for (const number of [1, 2, 3, 4]) {
      const body = JSON.parse(Buffer.from(exchange(number).request.bodyBase64!, "base64").toString()) as {
        series: { labels: Label[]; samples: { rawProfile: string }[] }[];
      }; // our own recordings
      for (const { labels, samples } of body.series) {
        for (const { rawProfile } of samples) {
          const bytes = Buffer.from(rawProfile, "base64");
          pushed.push({ labels: sortLabels(labels), profile: Profile.decode(bytes[0] === 0x1f ? gunzipSync(bytes) : bytes) });
        }
      }
    }
  });

  function selected(request: Pick<MergeRequest, "profileTypeID" | "labelSelector" | "start" | "end">): [Profile, number][] {
    const matchers = parseSelector(request.labelSelector);
    return pushed.flatMap((item): [Profile, number][] => {
      const timeMs = Number(whole(item.profile.timeNanos) / 1_000_000n);
      if (!matchesLabels(matchers, item.labels) || timeMs < Number(request.start) || timeMs > Number(request.end)) return [];
      const column = typesOf(item).findIndex((type) => printProfileType(type) === request.profileTypeID);
      return column === -1 ? [] : [[item.profile, column]];
    });
  }

  for (const number of [19, 20, 21, 22, 23, 24, 25, 26, 27]) {
    it(`a flame graph says what Pyroscope said (${number})`, () => {
      const { request, response } = exchange(number);
      const asked = request.json as unknown as MergeRequest;
      const expected = (response.body as { flamegraph: { names: string[]; levels: { values: string[] }[]; total?: string; maxSelf?: string } }).flamegraph;
      const tree = nameTreeOf(selected(asked), (asked.stackTraceSelector?.callSite ?? []).map(({ name }) => name));
      const { graph, isSaturated } = flameGraph(tree, Number(asked.maxNodes ?? 8192));
      expect(isSaturated).to.equal(false);
      expect(String(graph.total)).to.equal(expected.total ?? "0");
      expect(String(graph.maxSelf)).to.equal(expected.maxSelf ?? "0");
      const expectedLevels = expected.levels.map(({ values }) => values);
      expect(pathsOf(graph.levels, graph.names, 4, 0)).to.deep.equal(pathsOf(expectedLevels, expected.names, 4, 0));
      // Stronger than what is promised, and true: the very same numbers in the very same order.
      expect(graph.names).to.deep.equal(expected.names);
      expect(graph.levels.map((level) => level.map(String))).to.deep.equal(expectedLevels);
    });
  }

  it("tree bytes say what Pyroscope said (28), and read back", () => {
    const { request, response } = exchange(28);
    const asked = request.json as unknown as MergeRequest;
    const { bytes } = encodeTree(nameTreeOf(selected(asked)), Number(asked.maxNodes));
    expect(Buffer.from(bytes).toString("base64")).to.equal((response.body as { tree: string }).tree);
    const back = decodeTree(bytes);
    expect(sumOf(back.self, back.nodeCount)).to.equal(4807935177);
  });

  it("diffs say what Pyroscope said (37, 50)", () => {
    const connect = exchange(37);
    const asked = connect.request.json as unknown as { left: MergeRequest; right: MergeRequest };
    const { graph } = flameGraphDiff(nameTreeOf(selected(asked.left)), nameTreeOf(selected(asked.right)), Number(asked.left.maxNodes));
    const expected = (
      connect.response.body as { flamegraph: { names: string[]; levels: { values: string[] }[]; total: string; maxSelf: string; leftTicks: string; rightTicks: string } }
    ).flamegraph;
    const { names, levels, ...totals } = graph;
    expect({ names, levels: levels.map((level) => ({ values: level.map(String) })), ...mapValues(totals, String) }).to.deep.equal(expected);

    const url = new URL(exchange(50).request.path, "http://localhost");
    const side = (name: string): NameTree => {
      const query = parseQuery(url.searchParams.get(`${name}Query`)!);
      const start = Number(url.searchParams.get(`${name}From`));
      const end = Number(url.searchParams.get(`${name}Until`));
      return nameTreeOf(
        pushed.flatMap((item): [Profile, number][] => {
          const timeMs = Number(whole(item.profile.timeNanos) / 1_000_000n);
          const column = typesOf(item).findIndex((type) => printProfileType(type) === query.typeId);
          return column !== -1 && timeMs >= start && timeMs <= end && matchesLabels(query.matchers, item.labels) ? [[item.profile, column]] : [];
        }),
      );
    };
    const rendered = exchange(50).response.body as { flamebearer: { names: string[]; levels: number[][]; numTicks: number; maxSelf: number }; leftTicks: number; rightTicks: number };
    const again = flameGraphDiff(side("left"), side("right"), Number(url.searchParams.get("max-nodes"))).graph;
    expect(again).to.deep.equal({
      names: rendered.flamebearer.names,
      levels: rendered.flamebearer.levels,
      total: rendered.flamebearer.numTicks,
      maxSelf: rendered.flamebearer.maxSelf,
      leftTicks: rendered.leftTicks,
      rightTicks: rendered.rightTicks,
    });
  });

  function mergedLocations(request: MergeRequest): LocationTree {
    const merger = new LocationTreeMerger();
    for (const [profile, column] of selected(request)) merger.add(locationTreeOf(profile, column));
    return merger.result();
  }

  function encode(tree: LocationTree, type: string): Uint8Array {
    const { sampleType, sampleUnit, periodType, periodUnit } = parseProfileType(type);
    return encodePprof({
      tree,
      sampleType: { type: sampleType, unit: sampleUnit },
      periodType: { type: periodType, unit: periodUnit },
      period: 524288n,
      timeNs: 1795419300000000000n,
      durationNs: 15_000_000_000n,
    });
  }

  it("a merged pprof holds the stacktraces Pyroscope's held (30)", () => {
    const { request, response } = exchange(30);
    const asked = request.json as unknown as MergeRequest;
    const expected = collapsedJson(response.body as JsonProfile);
    const profile = Profile.decode(encode(mergedLocations(asked), asked.profileTypeID));
    expect(collapsed(profile)).to.deep.equal(expected.stacktraces);
    expect(framesOf(profile)).to.deep.equal(expected.frames);
    expect(typesOf({ labels: [{ name: "__name__", value: "process_cpu" }], profile }).map(printProfileType)).to.deep.equal([asked.profileTypeID]);
    expect(whole(profile.timeNanos)).to.equal(1795419300000000000n);
    expect(whole(profile.durationNanos)).to.equal(15_000_000_000n);
    expect(whole(profile.period)).to.equal(524288n);
    expect(textOf(profile, profile.defaultSampleType)).to.equal("cpu");
  });

  it("a truncated pprof keeps the total and only true prefixes (29)", () => {
    const { request, response } = exchange(29);
    const asked = request.json as unknown as MergeRequest;
    const expected = collapsedJson(response.body as JsonProfile);
    const full = mergedLocations(asked);
    const profile = Profile.decode(encode(truncateLocations(full, Number(asked.maxNodes)), asked.profileTypeID));
    const total = (stacktraces: Map<string, bigint>): bigint => [...stacktraces.values()].reduce((sum, value) => sum + value, 0n);
    const ours = collapsed(profile);
    expect(total(ours)).to.equal(total(expected.stacktraces));
    const fullStacktraces = [...collapsed(Profile.decode(encode(full, asked.profileTypeID))).keys()];
    for (const path of ours.keys()) {
      const prefix = path.replace(/(^|;)other$/, "");
      expect(fullStacktraces.some((known) => known === prefix || known.startsWith(`${prefix};`) || prefix === ""), path).to.equal(true);
    }
    // 64 nodes asked for; ties at the threshold and one "other" per node are the only ones more.
    expect(profile.location.length).to.be.lessThan(130);
    expect([...ours.keys()].some((path) => path.endsWith(";other"))).to.equal(true);
  });

  it("go-pgo keeps the leaves' side and the total", () => {
    const asked = exchange(30).request.json as unknown as MergeRequest;
    const full = mergedLocations(asked);
    const cut = goPgoLocations(full, { keepLocations: 2, aggregateCallees: true });
    expect(sumOf(cut.self, cut.tree.nodeCount)).to.equal(17460000000);
    const profile = Profile.decode(encode(cut, asked.profileTypeID));
    const leaves = new Map<string, bigint>();
    for (const { names, value } of stacktracesOf(Profile.decode(encode(full, asked.profileTypeID)), 0)) leaves.set(names.at(-1)!, (leaves.get(names.at(-1)!) ?? 0n) + value);
    const cutLeaves = new Map<string, bigint>();
    for (const { names, value } of stacktracesOf(profile, 0)) cutLeaves.set(names.at(-1)!, (cutLeaves.get(names.at(-1)!) ?? 0n) + value);
    expect(cutLeaves).to.deep.equal(leaves);
    for (const sample of profile.sample) {
      expect(sample.locationId.length).to.be.at.most(2);
      const leaf = profile.location[Number(sample.locationId[0]) - 1]!;
      expect([Number(leaf.line[0]!.line), Number(leaf.address)]).to.deep.equal([0, 0]);
    }
  });

  it("Go's own pprof reads what is encoded", function () {
    const directory = mkdtempSync(join(tmpdir(), "pyromesh-pprof-"));
    try {
      execFileSync("go", ["version"], { stdio: "ignore" });
    } catch {
      this.skip();
    }
    this.timeout(60_000);
    try {
      const asked = exchange(30).request.json as unknown as MergeRequest;
      const file = join(directory, "cpu.pb");
      writeFileSync(file, encode(mergedLocations(asked), asked.profileTypeID));
      const raw = execFileSync("go", ["tool", "pprof", "-raw", file], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
      const values = [...raw.matchAll(/^ +(\d+): /gm)].map((match) => Number(match[1])).filter((value) => value >= 20000000);
      expect(raw).to.contain("cpu/nanoseconds");
      expect(values.reduce((sum, value) => sum + value, 0)).to.equal(17460000000);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("a call graph has the facts, nodes and edges Pyroscope's has (43)", () => {
    const asked = { profileTypeID: "memory:inuse_space:bytes:space:bytes", labelSelector: '{service_name="checkout"}', start: "1795418940000", end: "1795419300000" };
    const tree = mergedLocations(asked);
    const input = { tree, sampleType: { type: "inuse_space", unit: "bytes" }, timeNs: 1795419300000000000n, durationNs: 0n };
    const text = dotGraph(input, 8);
    expect(text).to.contain("Type: inuse_space\\lTime: Nov 23, 2026 at 7:35am (UTC)\\l");
    expect(text).to.contain("of 4807935177B total\\lShowing top 8 nodes out of ");
    const { nodes, edges } = parseDot(text);
    expect(nodes.size).to.equal(8);
    expect(edges.length).to.be.greaterThan(3);
    for (const { from, to } of edges) expect([nodes.has(from), nodes.has(to)]).to.deep.equal([true, true]);
    expect(edges.some(({ attributes }) => attributes.get("style") === "dotted")).to.equal(true);

    // The same nodes' own figures, wherever both graphs chose to show one.
    const theirs = parseDot(exchange(43).response.body as string);
    const all = parseDot(dotGraph(input, 100_000));
    expect(all.edges.some(({ attributes }) => attributes.has("style"))).to.equal(false);
    const values = (label: string): string[] => (label.match(/\d+B|^0 of/g) ?? []).filter((part) => part.endsWith("B"));
    const byTooltip = new Map([...all.nodes.values()].map((attributes) => [attributes.get("tooltip")!, attributes.get("label")!]));
    for (const attributes of theirs.nodes.values()) {
      const ours = byTooltip.get(attributes.get("tooltip")!);
      expect(ours, attributes.get("tooltip")!).to.not.equal(undefined);
      expect(values(ours!)).to.deep.equal(values(attributes.get("label")!));
    }
  });

  it("a call graph of nothing is empty", () => {
    const tree = new LocationTreeMerger().result();
    expect(dotGraph({ tree, sampleType: { type: "cpu", unit: "nanoseconds" }, timeNs: 0n, durationNs: 0n }, 0)).to.equal("");
  });

  it("a top table adds up selfs exactly and counts recursion once", () => {
    const tree = nameTreeOf(selected({ profileTypeID: "memory:inuse_space:bytes:space:bytes", labelSelector: '{service_name="checkout"}', start: "0", end: "9999999999999" }));
    const { rows, total, rowCount } = topTable(tree);
    expect(rowCount).to.equal(rows.length);
    expect(rows.reduce((sum, row) => sum + Number(row.self), 0)).to.equal(Number(total));
    const expected = new Map<string, bigint>();
    for (const [profile, column] of selected({ profileTypeID: "memory:inuse_space:bytes:space:bytes", labelSelector: '{service_name="checkout"}', start: "0", end: "9999999999999" })) {
      for (const { names, value } of stacktracesOf(profile, column)) for (const name of new Set(names)) expected.set(name, (expected.get(name) ?? 0n) + value);
    }
    expect(new Map(rows.map((row) => [row.name, BigInt(row.total)]))).to.deep.equal(expected);
    expect(topTable(tree, { limit: 3 }).rows).to.deep.equal(rows.slice(0, 3));
    expect(sumAt(totalsOf(tree.nodeParent, tree.nodeCount, tree.self), 0)).to.equal(Number(total));
  });

  it("merging a location tree with itself doubles it and adds no symbol", () => {
    const asked = exchange(30).request.json as unknown as MergeRequest;
    const [[profile, column]] = selected(asked) as [[Profile, number]];
    const merger = new LocationTreeMerger();
    merger.add(locationTreeOf(profile, column));
    const before = { ...counts(merger.result()) };
    merger.add(locationTreeOf(profile, column));
    const after = merger.result();
    expect(counts(after)).to.deep.equal(before);
    const doubled = new Map([...collapsed(profile, column)].map(([path, value]) => [path, value * 2n]));
    expect(collapsed(Profile.decode(encode(after, asked.profileTypeID)))).to.deep.equal(doubled);
    expect(stringAt(after.symbols, 0)).to.equal("");
  });
});

function counts({ tree, symbols }: LocationTree): Record<string, number> {
  const { stringCount, functionCount, locationCount, mappingCount, lineCount } = symbols;
  return { nodeCount: tree.nodeCount, stringCount, functionCount, locationCount, mappingCount, lineCount };
}

function mapValues<T>(record: Readonly<Record<string, T>>, map: (value: T) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

// ------------------------------------------------------------------------------------------------ pprof as Connect JSON

interface JsonProfile {
  readonly stringTable: readonly string[];
  readonly sample: readonly { readonly locationId: readonly string[]; readonly value: readonly string[] }[];
  readonly location: readonly { readonly id: string; readonly line?: readonly { readonly functionId: string; readonly line?: string }[] }[];
  readonly function: readonly { readonly id: string; readonly name: string; readonly filename?: string }[];
}

/** Every frame as `name file:line`, once. */
function framesOf(profile: Profile): Set<string> {
  const frames = new Set<string>();
  for (const location of profile.location) {
    for (const line of location.line) {
      const fn = profile.function[Number(line.functionId) - 1]!;
      frames.add(`${textOf(profile, fn.name)} ${textOf(profile, fn.filename)}:${line.line}`);
    }
  }
  return frames;
}

function collapsedJson(profile: JsonProfile): { stacktraces: Map<string, bigint>; frames: Set<string> } {
  const functions = new Map(profile.function.map((fn) => [fn.id, fn]));
  const text = (index: string | undefined): string => profile.stringTable[Number(index ?? 0)]!;
  const frames = new Set<string>();
  const names = new Map(
    profile.location.map((location) => {
      const lines = [...(location.line ?? [])].reverse();
      for (const line of lines) {
        const fn = functions.get(line.functionId)!;
        frames.add(`${text(fn.name)} ${text(fn.filename)}:${line.line ?? 0}`);
      }
      return [location.id, lines.map((line) => text(functions.get(line.functionId)!.name))];
    }),
  );
  const stacktraces = new Map<string, bigint>();
  for (const sample of profile.sample) {
    const path = [...sample.locationId]
      .reverse()
      .flatMap((id) => names.get(id)!)
      .join(";");
    stacktraces.set(path, (stacktraces.get(path) ?? 0n) + BigInt(sample.value[0]!));
  }
  return { stacktraces, frames };
}

// --------------------------------------------------------------------------------------------------------- Graphviz text

type Attributes = Map<string, string>;

/** The part of the language that call graphs use; throws on anything else. */
function parseDot(text: string): { nodes: Map<string, Attributes>; edges: { from: string; to: string; attributes: Attributes }[] } {
  const tokens = [...text.matchAll(/\s+|"((?:[^"\\]|\\[^])*)"|->|[{}[\]=]|[A-Za-z0-9_]+|(.)/g)].flatMap((match) => {
    if (match[2] !== undefined) throw new Error(`unexpected ${match[2]} at ${match.index}`);
    return match[0].trim() === "" ? [] : [match[1] ?? match[0]];
  });
  let at = 0;
  const expectToken = (token: string): void => {
    if (tokens[at] !== token) throw new Error(`expected ${token}, found ${tokens[at]} (token ${at})`);
    at++;
  };
  const readAttributes = (): Attributes => {
    const attributes: Attributes = new Map();
    expectToken("[");
    while (tokens[at] !== "]") {
      const name = tokens[at++]!;
      expectToken("=");
      attributes.set(name, tokens[at++]!);
    }
    at++;
    return attributes;
  };
  const nodes = new Map<string, Attributes>();
  const edges: { from: string; to: string; attributes: Attributes }[] = [];
  expectToken("digraph");
  at++;
  expectToken("{");
  while (tokens[at] !== "}") {
    const first = tokens[at++]!;
    if (first === "subgraph") {
      at++;
      expectToken("{");
      at++;
      readAttributes();
      expectToken("}");
    } else if (first === "node") {
      readAttributes();
    } else if (tokens[at] === "->") {
      const to = tokens[at + 1]!;
      at += 2;
      edges.push({ from: first, to, attributes: readAttributes() });
    } else {
      nodes.set(first, readAttributes());
    }
  }
  at++;
  if (at !== tokens.length) throw new Error("text after the graph");
  return { nodes, edges };
}
