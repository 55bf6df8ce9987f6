/**
 * What the recordings do not cover: selection by span and by profile id, statistics of stored profiles and queries, isolation of tenants,
 * and Go's own pprof as a client. The profiles are small and made here, so that a reader can compute every expected value.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { corpusFile, hasCorpus } from "./corpus.mjs";
import { drawnFunctions, flameGraphNodes, heatmapCounts, labelSet } from "./meaning.mjs";
import { RunningNode } from "./node.mjs";
import { cpuProfile, decodePprof, total } from "./pprof-oracle.mjs";

const TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const TIME_MS = 1795419000000;
const RANGE = { start: String(TIME_MS - 60_000), end: String(TIME_MS + 300_000) };
const SPAN_A = "00000000000000aa";
const SPAN_B = "b0b0b0b0b0b0b0b0";
const ID_1 = "11111111-1111-4111-8111-111111111111";
const ID_2 = "22222222-2222-4222-8222-222222222222";

const asked = (service, more = {}) => ({ profileTypeID: TYPE, labelSelector: `{service_name="${service}"}`, ...RANGE, ...more });
const series = (service, pprof, more = {}) => ({ labels: { __name__: "process_cpu", service_name: service, ...more.labels }, pprof, id: more.id });

async function pushed(node, all, headers) {
  const { status, text } = await node.push(all, headers);
  expect(status, text).to.equal(200);
}

/** Runs the tests twice: with the data in the head, then in segments. */
function inHeadAndSegments(getNode, tests) {
  describe("in the head", () => tests());
  describe("in segments", () => {
    before(() => getNode().flush());
    tests();
  });
}

describe("beyond the recordings", function () {
  this.timeout(60_000);
  let node;

  before(async () => {
    node = await RunningNode.start();
    const spans = cpuProfile(
      [
        { stack: ["main", "serve"], value: 10, labels: { span_id: SPAN_A } },
        { stack: ["main", "serve", "parse"], value: 5, labels: { span_id: SPAN_A } },
        { stack: ["main", "serve"], value: 100, labels: { profile_id: SPAN_B } },
        { stack: ["main", "idle"], value: 1000 },
      ],
      { timeMs: TIME_MS },
    );
    await pushed(node, [series("spans", spans)]);
    const labelled = ["a", "b"].map((route, index) => ({ stack: ["main", "serve"], value: 7 + index, labels: { route } }));
    await pushed(node, [series("labelled", cpuProfile(labelled, { timeMs: TIME_MS }))]);
    const one = (value, timeMs) => cpuProfile([{ stack: ["main", "work"], value }], { timeMs });
    await pushed(node, [series("ids", one(3, TIME_MS), { id: ID_1 }), series("ids", one(4, TIME_MS + 10_000), { id: ID_2 })]);
    if (hasCorpus("pprof")) await pushed(node, [series("exemplars", corpusFile("pprof", "cpu-exemplars.pb.gz"))]);
  });
  after(() => node?.close());

  inHeadAndSegments(
    () => node,
    () => {
      it("a span's profile is that of the samples which carry its id, under either label", async () => {
        const ofSpans = async (...spanSelector) => flameGraphNodes((await node.call("SelectMergeSpanProfile", asked("spans", { spanSelector }))).flamegraph);
        expect(await ofSpans(SPAN_A)).to.deep.equal({ total: 15, nodes: { main: "15 0", "main;serve": "15 10", "main;serve;parse": "5 5" } });
        expect(await ofSpans(SPAN_B)).to.deep.equal({ total: 100, nodes: { main: "100 0", "main;serve": "100 100" } });
        expect((await ofSpans(SPAN_A, SPAN_B)).total).to.equal(115);
        expect(await ofSpans("0123456789abcdef")).to.deep.equal({ total: 0, nodes: {} });
        expect((await ofSpans()).total).to.equal(1115);
      });

      it("span ids select in SelectMergeStacktraces too, and never became labels", async () => {
        const { flamegraph } = await node.call("SelectMergeStacktraces", asked("spans", { spanSelector: [SPAN_A] }));
        expect(flameGraphNodes(flamegraph).total).to.equal(15);
        const { names } = await node.call("LabelNames", { matchers: ['{service_name="spans"}'], ...RANGE });
        expect(names).to.not.include.members(["span_id"]);
        expect(names).to.not.include.members(["profile_id"]);
      });

      it("a span id that is none is refused", async () => {
        for (const spanSelector of [["1"], ["zzzzzzzzzzzzzzzz"], [`${SPAN_A}00`]]) {
          const { status, text } = await node.post("/querier.v1.QuerierService/SelectMergeSpanProfile", JSON.stringify(asked("spans", { spanSelector })), { "content-type": "application/json" });
          expect(status, text).to.equal(400);
          expect(JSON.parse(text).code).to.equal("invalid_argument");
        }
      });

      it("span exemplars name the heaviest span; the span heatmap counts spans", async () => {
        const points = await node.call("SelectSeries", asked("spans", { step: 15, exemplarType: "EXEMPLAR_TYPE_SPAN" }));
        const [point] = points.series[0].points;
        expect([Number(point.value), point.exemplars.map(({ spanId, value }) => [spanId, Number(value)])]).to.deep.equal([1115, [[SPAN_B, 100]]]);
        const heatmap = await node.call("SelectHeatmap", asked("spans", { step: 15, queryType: "HEATMAP_QUERY_TYPE_SPAN" }));
        expect(heatmapCounts(heatmap)).to.deep.equal({ "": { [TIME_MS]: 2 } });
      });

      it("each span of a real profile holds what pprof-format says it holds", async function () {
        if (!hasCorpus("pprof")) this.skip();
        const file = decodePprof(corpusFile("pprof", "cpu-exemplars.pb.gz"));
        const column = file.sampleTypes.findIndex(({ type }) => type === "cpu");
        const spans = [...new Set(file.samples.map(({ labels }) => labels.get("profile_id")))].filter((id) => id !== undefined);
        expect(spans.length).to.be.greaterThan(20);
        const range = { start: "1654798900000", end: "1654799000000" };
        const totalOf = async (spanSelector) => flameGraphNodes((await node.call("SelectMergeSpanProfile", { ...asked("exemplars"), ...range, spanSelector })).flamegraph).total;
        for (const span of spans.slice(0, 20)) expect(await totalOf([span]), span).to.equal(total(file, column, ({ labels }) => labels.get("profile_id") === span));
        expect(await totalOf(spans)).to.equal(total(file, column, ({ labels }) => labels.has("profile_id")));
      });

      it("a profile id selects the one profile that was pushed with it", async () => {
        const totalOf = async (...profileIdSelector) => flameGraphNodes((await node.call("SelectMergeStacktraces", asked("ids", { profileIdSelector }))).flamegraph).total;
        expect([await totalOf(ID_1), await totalOf(ID_2), await totalOf(ID_1, ID_2), await totalOf()]).to.deep.equal([3, 4, 7, 7]);
        expect(await totalOf("33333333-3333-4333-8333-333333333333")).to.equal(0);
        const pprof = await node.call("SelectMergeProfile", asked("ids", { profileIdSelector: [ID_2] }));
        expect(pprof.sample.map(({ value }) => value)).to.deep.equal([["4"]]);
        const { status } = await node.post("/querier.v1.QuerierService/SelectMergeStacktraces", JSON.stringify(asked("ids", { profileIdSelector: ["no-uuid"] })), { "content-type": "application/json" });
        expect(status).to.equal(400);
      });

      it("an exemplar's id selects the profile it stands for, whether the client named it or not", async () => {
        for (const service of ["ids", "spans", "labelled"]) {
          const { series: found } = await node.call("SelectSeries", asked(service, { step: 15, exemplarType: "EXEMPLAR_TYPE_INDIVIDUAL" }));
          const exemplars = found.flatMap(({ points }) => points.flatMap((point) => point.exemplars));
          expect(exemplars.length).to.be.greaterThan(0);
          for (const { profileId, value, labels } of exemplars) {
            const { flamegraph } = await node.call("SelectMergeStacktraces", asked(service, { profileIdSelector: [profileId] }));
            expect(flameGraphNodes(flamegraph).total).to.equal(Number(value));
            expect(labelSet(labels)).to.include(`service_name="${service}"`);
          }
        }
      });

      it("a profile whose samples' labels make several series counts, takes its time and is an exemplar, once", async () => {
        expect(Number((await node.call("SelectMergeProfile", asked("labelled"))).durationNanos)).to.equal(10_000_000_000);
        expect((await node.call("Series", { matchers: ['{service_name="labelled"}'], ...RANGE })).labelsSet.length).to.equal(2);
        const heatmap = await node.call("SelectHeatmap", asked("labelled", { step: 15, queryType: "HEATMAP_QUERY_TYPE_INDIVIDUAL" }));
        expect(heatmapCounts(heatmap)).to.deep.equal({ "": { [TIME_MS]: 1 } });
        const exemplarsBy = async (...groupBy) => {
          const { series: found } = await node.call("SelectSeries", asked("labelled", { step: 15, groupBy, exemplarType: "EXEMPLAR_TYPE_INDIVIDUAL" }));
          return found.flatMap(({ points }) => points.flatMap((point) => point.exemplars));
        };
        const [whole, ...rest] = await exemplarsBy();
        expect([Number(whole.value), rest]).to.deep.equal([15, []]);
        expect(labelSet(whole.labels)).to.not.include("route=");
        expect((await exemplarsBy("route")).map(({ value }) => Number(value))).to.deep.equal([8, 7]); // the series with the greatest total first
      });

      it("GetProfileStats tells the oldest and the newest profile", async () => {
        const { dataIngested, oldestProfileTime, newestProfileTime } = await node.call("GetProfileStats", {});
        expect(dataIngested).to.equal(true);
        expect(Number(oldestProfileTime)).to.equal(hasCorpus("pprof") ? 1654798932062 : TIME_MS);
        expect(Number(newestProfileTime)).to.equal(TIME_MS + 10_000);
      });

      it("AnalyzeQuery counts the series, profiles and samples of a query", async () => {
        const { queryScopes } = await node.call("AnalyzeQuery", { ...RANGE, query: `${TYPE}{service_name="spans"}` });
        const countsOf = (field) => queryScopes.map((scope) => Number(scope[field] ?? 0)).sort();
        expect([countsOf("seriesCount"), countsOf("profileCount"), countsOf("sampleCount")]).to.deep.equal([[0, 1], [0, 1], [0, 4]]);
        const labelled = await node.call("AnalyzeQuery", { ...RANGE, query: `${TYPE}{service_name="labelled"}` });
        expect(labelled.queryScopes.map(({ seriesCount, profileCount }) => [Number(seriesCount ?? 0), Number(profileCount ?? 0)]).sort()).to.deep.equal([[0, 0], [2, 1]]);
        const seriesCount = async (query) => Number((await node.call("AnalyzeQuery", { ...RANGE, query })).queryImpact?.totalQueriedSeries ?? 0);
        expect(await seriesCount(`${TYPE}{service_name="ids"}`)).to.equal(1);
        expect(await seriesCount(`${TYPE}{service_name=~"ids|spans"}`)).to.equal(2);
        expect(await seriesCount(`memory:inuse_space:bytes:space:bytes{service_name="ids"}`)).to.equal(0);
      });
    },
  );

  // A suite of its own, since these tests flush: mocha runs the tests of a suite before its nested suites.
  describe("then", () => {
    it("AnalyzeQuery counts the objects in range and their bytes, and none beside it", async () => {
      await node.flush();
      const query = `${TYPE}{service_name="ids"}`;
      const { queryScopes, queryImpact } = await node.call("AnalyzeQuery", { ...RANGE, query });
      expect(Number(queryImpact.totalBytesInTimeRange)).to.be.greaterThan(100);
      expect(queryScopes.map(({ componentType, blockCount }) => [componentType, Number(blockCount ?? 0)])).to.deep.equal([["head", 0], ["segments", 1]]);
      const [, { indexBytes, profileBytes, symbolBytes }] = queryScopes;
      for (const bytes of [indexBytes, profileBytes, symbolBytes]) expect(Number(bytes)).to.be.greaterThan(0);
      expect(Number(indexBytes) + Number(profileBytes) + Number(symbolBytes)).to.equal(Number(queryImpact.totalBytesInTimeRange));
      const beside = await node.call("AnalyzeQuery", { start: "1000", end: "2000", query });
      expect(Number(beside.queryImpact?.totalBytesInTimeRange ?? 0)).to.equal(0);
    });

    it("a profile of which a segment, the head and another service each hold a part is one: its mean, its exemplar, its cell", async () => {
      const part = (service, route, value) =>
        series(service, cpuProfile([{ stack: ["main"], value, labels: { route } }], { timeMs: TIME_MS + 20_000 }), { id: "44444444-4444-4444-8444-444444444444" });
      await pushed(node, [part("parts", "a", 1)]);
      await node.flush();
      await pushed(node, [part("parts", "b", 2), part("parts-too", "c", 3)]);
      await pushed(node, [series("parts", cpuProfile([{ stack: ["main"], value: 10 }], { timeMs: TIME_MS + 21_000 }))]);
      const all = { ...asked("parts", { step: 60 }), labelSelector: '{service_name=~"parts.*"}' };
      const { series: found } = await node.call("SelectSeries", { ...all, aggregation: "TIME_SERIES_AGGREGATION_TYPE_AVERAGE", exemplarType: "EXEMPLAR_TYPE_INDIVIDUAL" });
      expect(found.map(({ points }) => points.map(({ value, exemplars }) => [value, exemplars.length]))).to.deep.equal([[[8, 1]]]);
      const { flamegraph } = await node.call("SelectMergeStacktraces", { ...all, profileIdSelector: ["44444444-4444-4444-8444-444444444444"] });
      expect(flameGraphNodes(flamegraph).total).to.equal(6);
      const heatmap = await node.call("SelectHeatmap", { ...all, queryType: "HEATMAP_QUERY_TYPE_INDIVIDUAL" });
      expect(Object.values(heatmapCounts(heatmap)[""])).to.deep.equal([2]);
    });

    it("Go's own pprof reads the render API", async function () {
      if (spawnSync("go", ["version"]).status !== 0) this.skip();
      const folder = mkdtempSync(path.join(tmpdir(), "pyromesh-go-"));
      try {
        const url = `${node.url}/pyroscope/render?query=${encodeURIComponent(`${TYPE}{service_name="spans"}`)}&from=${RANGE.start}&until=${RANGE.end}&format=pprof`;
        // Not spawnSync: this process must go on reading the node's log, or the node blocks.
        const { code, out } = await run("go", ["tool", "pprof", "-top", url], { ...process.env, PPROF_TMPDIR: folder });
        expect(code, out).to.equal(0);
        expect(out).to.match(/Type: cpu/);
        expect(out).to.match(/1000ns 89\.69% 89\.69%\s+1000ns 89\.69%\s+idle/);
        expect(out).to.match(/1115ns\s+100%\s+main/);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });

    it("Go's own pprof draws the same call graph from our pprof as we do", async function () {
      if (spawnSync("go", ["version"]).status !== 0) this.skip();
      const query = `query=${encodeURIComponent(`${TYPE}{service_name="spans"}`)}&from=${RANGE.start}&until=${RANGE.end}`;
      const folder = mkdtempSync(path.join(tmpdir(), "pyromesh-go-"));
      try {
        const ours = await (await fetch(`${node.url}/pyroscope/render?${query}&format=dot`)).text();
        const { code, out } = await run("go", ["tool", "pprof", "-dot", `${node.url}/pyroscope/render?${query}&format=pprof`], { ...process.env, PPROF_TMPDIR: folder });
        expect(code, out).to.equal(0);
        expect(drawnFunctions(ours)).to.deep.equal(["idle", "main", "parse", "serve"]);
        expect(drawnFunctions(out)).to.deep.equal(drawnFunctions(ours));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  });
});

describe("limits on queries", function () {
  this.timeout(60_000);
  let node;

  before(async () => {
    node = await RunningNode.start(["--limits.max-flamegraph-nodes-on-select-merge-profile", "--limits.max-flamegraph-nodes-default", "3", "--limits.max-flamegraph-nodes-max", "5", "--limits.max-query-bytes", "100"]);
    const stacks = Array.from({ length: 8 }, (_, index) => ({ stack: ["main", `leaf${index}`], value: 100 - index }));
    await pushed(node, [series("wide", cpuProfile(stacks, { timeMs: TIME_MS }))]);
  });
  after(() => node?.close());

  it("a pprof is cut to the nodes a flame graph may have, and keeps its total", async () => {
    const functionsOf = async (maxNodes) => {
      const { bytes, status } = await node.post("/querier.v1.QuerierService/SelectMergeProfile", JSON.stringify(asked("wide", { maxNodes })), { "content-type": "application/json" });
      expect(status).to.equal(200);
      const { function: functions, stringTable, sample } = JSON.parse(bytes.toString());
      expect(sample.reduce((sum, { value }) => sum + Number(value[0]), 0)).to.equal(772);
      return functions.map(({ name }) => stringTable[Number(name)]).sort();
    };
    expect(await functionsOf(undefined)).to.deep.equal(["leaf0", "leaf1", "main", "other"]);
    expect(await functionsOf(5)).to.deep.equal(["leaf0", "leaf1", "leaf2", "leaf3", "main", "other"]);
    const { status, text } = await node.post("/querier.v1.QuerierService/SelectMergeProfile", JSON.stringify(asked("wide", { maxNodes: 6 })), { "content-type": "application/json" });
    expect([status, JSON.parse(text).code]).to.deep.equal([400, "invalid_argument"]);
  });

  it("a query that would read more than max_query_bytes is 400 and names the limit", async () => {
    await node.flush();
    const { status, text } = await node.post("/querier.v1.QuerierService/SelectMergeStacktraces", JSON.stringify(asked("wide")), { "content-type": "application/json" });
    expect([status, JSON.parse(text).code]).to.deep.equal([400, "invalid_argument"]);
    expect(JSON.parse(text).message).to.include("max_query_bytes");
    expect((await (await fetch(`${node.url}/api/v1/tenant_limits`)).text())).to.include("max_query_bytes");
  });
});

describe("tenants", function () {
  this.timeout(60_000);
  let node;
  const as = (tenant) => ({ "x-scope-orgid": tenant });
  const profileOf = (leaf, value) => cpuProfile([{ stack: ["main", leaf], value }], { timeMs: TIME_MS });

  before(async () => {
    node = await RunningNode.start(["--multitenancy"]);
    await pushed(node, [series("shop", profileOf("left", 1))], as("a"));
    await pushed(node, [series("shop", profileOf("right", 20))], as("b"));
    await pushed(node, [series("only-b", profileOf("right", 300))], as("b"));
  });
  after(() => node?.close());

  inHeadAndSegments(
    () => node,
    () => {
      const graph = async (tenant) => flameGraphNodes((await node.call("SelectMergeStacktraces", asked("shop"), as(tenant))).flamegraph);

      it("each sees its own, and none the other's", async () => {
        expect(await graph("a")).to.deep.equal({ total: 1, nodes: { main: "1 0", "main;left": "1 1" } });
        expect(await graph("b")).to.deep.equal({ total: 20, nodes: { main: "20 0", "main;right": "20 20" } });
        expect(await graph("c")).to.deep.equal({ total: 0, nodes: {} });
        const services = async (tenant) => (await node.call("LabelValues", { name: "service_name", ...RANGE }, as(tenant))).names ?? [];
        expect([await services("a"), await services("b"), await services("c")]).to.deep.equal([["shop"], ["only-b", "shop"], []]);
      });

      it("a read may name several, each once however often it is named", async () => {
        const both = { total: 21, nodes: { main: "21 0", "main;left": "1 1", "main;right": "20 20" } };
        expect(await graph("a|b")).to.deep.equal(both);
        expect(await graph("b|a|b")).to.deep.equal(both);
        expect((await node.call("LabelValues", { name: "service_name", ...RANGE }, as("a|b"))).names).to.deep.equal(["only-b", "shop"]);
      });

      it("GetProfileStats is asked of exactly one", async () => {
        const { status, text } = await node.post("/querier.v1.QuerierService/GetProfileStats", "{}", { "content-type": "application/json", ...as("a|b") });
        expect([status, JSON.parse(text).code]).to.deep.equal([400, "invalid_argument"]);
        expect((await node.call("GetProfileStats", {}, as("a"))).dataIngested).to.equal(true);
        expect((await node.call("GetProfileStats", {}, as("c"))).dataIngested ?? false).to.equal(false);
      });
    },
  );

  it("a request without a tenant is refused with 401, wherever it goes", async () => {
    const json = { "content-type": "application/json" };
    const answers = [
      await node.push([series("shop", profileOf("left", 1))]),
      await node.post("/ingest?name=shop&format=folded", "main;left 1\n"),
      await node.post("/querier.v1.QuerierService/SelectMergeStacktraces", JSON.stringify(asked("shop")), json),
      await node.post("/querier.v1.QuerierService/ProfileTypes", JSON.stringify(RANGE), json),
    ];
    for (const { status, text } of answers) expect([status, JSON.parse(text).code]).to.deep.equal([401, "unauthenticated"]);
    const render = await fetch(`${node.url}/pyroscope/render?query=${encodeURIComponent(`${TYPE}{}`)}&from=${RANGE.start}&until=${RANGE.end}`);
    expect([render.status, (await render.json()).code]).to.deep.equal([401, "unauthenticated"]);
  });

  it("a write for several tenants is refused, and stored for none", async () => {
    const { status } = await node.push([series("shared", profileOf("left", 1))], as("a|b"));
    expect(status).to.equal(400);
    const { names } = await node.call("LabelValues", { name: "service_name", ...RANGE }, as("a|b"));
    expect(names).to.not.include("shared");
  });
});

function run(command, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (out += chunk));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, out }));
  });
}
