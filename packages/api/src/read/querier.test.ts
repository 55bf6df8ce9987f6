import { expect } from "chai";
import { unavailable } from "@pyromesh/base";
import { seriesLabels, sortLabels } from "@pyromesh/profile";
import type { Labels } from "@pyromesh/profile";
import { decodeBinary, encodeBinary } from "../proto/binary.ts";
import { PPROF } from "../proto/pprof-v1.ts";
import * as q from "../proto/querier-v1.ts";
import * as t from "../proto/types-v1.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";

const TYPE = "memory:inuse_space:bytes:space:bytes";
const RANGE = { start: "1795418940000", end: "1795419300000" };
const MERGE = { profileTypeID: TYPE, labelSelector: "{}", ...RANGE };

function memorySeries(labels: Readonly<Record<string, string>>, sampleType = "inuse_space"): Labels {
  const own = sortLabels([{ name: "__name__", value: "memory" }, ...Object.entries(labels).map(([name, value]) => ({ name, value }))]);
  return seriesLabels(own, { name: "memory", sampleType, sampleUnit: "bytes", periodType: "space", periodUnit: "bytes" });
}

const TWO_PODS: readonly Labels[] = [
  memorySeries({ service_name: "checkout", pod: "b", region: "eu" }),
  memorySeries({ service_name: "checkout", pod: "a" }),
  memorySeries({ service_name: "search", pod: "a", "k8s.pod": "x" }),
  memorySeries({ service_name: "search", pod: "a" }, "alloc_space"),
];

describe("querier", () => {
  let api: OpenApi;
  beforeEach(async () => {
    api = await openApi();
    api.source.labelSets = TWO_PODS;
  });
  afterEach(() => api.server.stop());

  const answer = async (method: string, message: unknown, headers?: Readonly<Record<string, string>>): Promise<unknown> => {
    const response = await api.rpc(method, message, headers);
    const body = await response.json();
    expect(response.status, JSON.stringify(body)).to.equal(200);
    return body;
  };

  describe("labels", () => {
    it("ProfileTypes: each type once, sorted by id, in its parts", async () => {
      expect(await answer("ProfileTypes", RANGE)).to.deep.equal({
        profileTypes: ["alloc_space", "inuse_space"].map((sampleType) => ({
          ID: `memory:${sampleType}:bytes:space:bytes`,
          name: "memory",
          sampleType,
          sampleUnit: "bytes",
          periodType: "space",
          periodUnit: "bytes",
        })),
      });
    });

    it("ProfileTypes: without a range it is the last hour, and a range in 1970 is answered", async () => {
      await answer("ProfileTypes", {});
      const [query] = api.source.seriesQueries;
      expect(query!.endMs - query!.startMs).to.equal(3_600_000);
      api.source.labelSets = [];
      expect(await answer("ProfileTypes", { start: 1000, end: 4000 })).to.deep.equal({});
    });

    it("LabelNames: names outside the legacy alphabet only for clients that declare them", async () => {
      const plain = (await answer("LabelNames", RANGE)) as { names: string[] };
      expect(plain.names).to.include.members(["__name__", "__profile_type__", "pod", "region", "service_name"]);
      expect(plain.names).to.not.include("k8s.pod");
      expect(plain.names).to.deep.equal([...plain.names].sort());
      const all = (await answer("LabelNames", RANGE, { accept: "*/*;allow-utf8-labelnames=true" })) as { names: string[] };
      expect(all.names).to.include("k8s.pod");
    });

    it("LabelNames: a header that cannot be parsed counts as no", async () => {
      const names = ((await answer("LabelNames", RANGE, { accept: ";;=allow-utf8-labelnames" })) as { names: string[] }).names;
      expect(names).to.not.include("k8s.pod");
    });

    it("LabelValues: sorted, only of matching series, empty for an unknown name", async () => {
      expect(await answer("LabelValues", { ...RANGE, name: "pod" })).to.deep.equal({ names: ["a", "b"] });
      expect(await answer("LabelValues", { ...RANGE, name: "pod", matchers: ['{service_name="search"}'] })).to.deep.equal({ names: ["a"] });
      expect(await answer("LabelValues", { ...RANGE, name: "nope" })).to.deep.equal({});
    });

    // One match was enough, as in Pyroscope 1. Pyroscope 2 combines them, and so do we.
    it("matchers: all of them must match, and an empty one is everything", async () => {
      expect(await answer("LabelValues", { ...RANGE, name: "pod", matchers: ['{pod=~"a|b"}', '{service_name="search"}'] })).to.deep.equal({ names: ["a"] });
      expect(await answer("LabelValues", { ...RANGE, name: "pod", matchers: ['{pod="b"}', '{pod="nope"}'] })).to.deep.equal({});
      expect(await answer("LabelValues", { ...RANGE, name: "pod", matchers: [""] })).to.deep.equal({ names: ["a", "b"] });
    });

    // 50,000 expressions in one request held the event loop for a second.
    it("matchers: their regular expressions count together, and so do those of both sides of a diff", async () => {
      expect((await api.rpc("LabelNames", { ...RANGE, matchers: Array<string>(60).fill('{pod=~"a.*b"}') })).status).to.equal(200);
      const listing = await api.rpc("LabelNames", { ...RANGE, matchers: Array<string>(200).fill('{pod=~"a.*b"}') });
      expect(listing.status).to.equal(400);
      expect(((await listing.json()) as { message: string }).message).to.contain('pod=~"a.*b" is too large');
      const side = (selector: string): object => ({ ...RANGE, profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: selector });
      expect((await api.rpc("Diff", { left: side('{pod=~"x{900}"}'), right: side('{pod=~"x{900}"}') })).status).to.equal(200);
      expect((await api.rpc("Diff", { left: side('{pod=~"x{1000}y{100}"}'), right: side('{pod=~"x{1000}y{100}"}') })).status).to.equal(400);
    });

    it("matchers: together they have the limit of one selector", async () => {
      const response = await api.rpc("LabelNames", { ...RANGE, matchers: Array<string>(6000).fill('{pod=~"a.*b"}') });
      expect([response.status, ((await response.json()) as { message: string }).message]).to.deep.equal([
        400,
        "matchers have 78000 characters together, more than 65536: match with fewer, or with a regular expression",
      ]);
    });

    it("Series: cut to the names asked for, each label set once, sorted", async () => {
      expect(await answer("Series", { ...RANGE, labelNames: ["service_name", "pod"] })).to.deep.equal({
        labelsSet: [
          { labels: [{ name: "pod", value: "a" }, { name: "service_name", value: "checkout" }] },
          { labels: [{ name: "pod", value: "a" }, { name: "service_name", value: "search" }] },
          { labels: [{ name: "pod", value: "b" }, { name: "service_name", value: "checkout" }] },
        ],
      });
    });

    it("Series: all labels where none are named, the type's own too", async () => {
      const { labelsSet } = (await answer("Series", RANGE)) as { labelsSet: { labels: { name: string }[] }[] };
      expect(labelsSet).to.have.length(4);
      expect(labelsSet[0]!.labels.map((label) => label.name)).to.include.members(["__profile_type__", "__service_name__", "__type__", "__unit__"]);
    });

    it("Series: names outside the legacy alphabet only for clients that declare them, or ask for them", async () => {
      const names = async (more: object, headers: Record<string, string> = {}): Promise<Set<string>> => {
        const { labelsSet } = (await answer("Series", { ...RANGE, ...more }, headers)) as { labelsSet: { labels: { name: string }[] }[] };
        return new Set(labelsSet.flatMap(({ labels }) => labels.map(({ name }) => name)));
      };
      expect(await names({})).to.not.include("k8s.pod");
      expect(await names({}, { accept: "*/*;allow-utf8-labelnames=true" })).to.include("k8s.pod");
      expect([...(await names({ labelNames: ["k8s.pod"] }))]).to.deep.equal(["k8s.pod"]);
    });

    it("a limit keeps the first entries in order, in JSON and in binary, and the answer says that it was cut off", async () => {
      const cut = async (method: string, message: object): Promise<readonly [unknown, string | null]> => {
        const response = await api.rpc(method, { ...RANGE, limit: 1, ...message });
        return [await response.json(), response.headers.get("x-pyromesh-truncated")];
      };
      expect(await cut("LabelValues", { name: "pod" })).to.deep.equal([{ names: ["a"] }, "1 of 2"]);
      expect(await cut("LabelNames", {})).to.deep.equal([{ names: ["__name__"] }, "1 of 10"]);
      expect(await cut("Series", { labelNames: ["pod"] })).to.deep.equal([{ labelsSet: [{ labels: [{ name: "pod", value: "a" }] }] }, "1 of 2"]);
      const [types, header] = await cut("ProfileTypes", {});
      expect([(types as q.ProfileTypesResponse).profileTypes.map(({ ID }) => ID), header]).to.deep.equal([["memory:alloc_space:bytes:space:bytes"], "1 of 2"]);
      expect((await cut("LabelValues", { name: "pod", limit: 2 }))[1]).to.equal(null);

      const request = encodeBinary(t.LABEL_VALUES_REQUEST, { name: "pod", matchers: [], start: Number(RANGE.start), end: Number(RANGE.end), limit: 1 });
      const response = await fetch(`${api.url}/querier.v1.QuerierService/LabelValues`, { method: "POST", headers: { "content-type": "application/proto" }, body: Buffer.from(request) });
      expect(response.headers.get("x-pyromesh-truncated")).to.equal("1 of 2");
      expect(decodeBinary(t.LABEL_VALUES_RESPONSE, new Uint8Array(await response.arrayBuffer()))).to.deep.equal({ names: ["a"] });
    });

    it("a negative limit, or more names than a series can have, is refused", async () => {
      for (const [method, message] of [["LabelNames", { limit: -1 }], ["Series", { labelNames: Array<string>(1001).fill("pod") }]] as const) {
        expect((await api.rpc(method, { ...RANGE, ...message })).status).to.equal(400);
      }
    });
  });

  describe("profiles", () => {
    const graph = { names: ["total", "a"], levels: [[0, 5, 0, 0], [0, 5, 2n ** 60n, 1]], total: 5, maxSelf: 2n ** 60n };

    it("SelectMergeStacktraces: a flame graph, int64 as strings", async () => {
      api.source.graph = graph;
      expect(await answer("SelectMergeStacktraces", MERGE)).to.deep.equal({
        flamegraph: {
          names: ["total", "a"],
          levels: [{ values: ["0", "5", "0", "0"] }, { values: ["0", "5", "1152921504606846976", "1"] }],
          total: "5",
          maxSelf: "1152921504606846976",
        },
      });
      const [query] = api.source.mergeQueries;
      expect(query).to.deep.include({ startMs: 1795418940000, endMs: 1795419300000, maxNodes: 8192, allowPartial: false, callSite: [], selector: [] });
      expect(query!.profileType.sampleType).to.equal("inuse_space");
    });

    it("SelectMergeStacktraces: binary as Grafana speaks it", async () => {
      api.source.graph = graph;
      const request = encodeBinary(q.SELECT_MERGE_STACKTRACES_REQUEST, {
        ...decodeBinary(q.SELECT_MERGE_STACKTRACES_REQUEST, new Uint8Array(0)),
        profileTypeID: TYPE,
        labelSelector: '{service_name="x"}',
        start: 1,
        end: 2,
        maxNodes: 16,
      });
      const response = await fetch(`${api.url}/querier.v1.QuerierService/SelectMergeStacktraces`, {
        method: "POST",
        headers: { "content-type": "application/proto" },
        body: new Uint8Array(request),
      });
      expect(response.headers.get("content-type")).to.equal("application/proto");
      const message = decodeBinary(q.SELECT_MERGE_STACKTRACES_RESPONSE, new Uint8Array(await response.arrayBuffer()));
      expect(message.flamegraph).to.deep.equal({ ...graph, levels: graph.levels.map((values) => ({ values })) });
      expect(api.source.mergeQueries[0]).to.deep.include({ maxNodes: 16 });
      expect(api.source.mergeQueries[0]!.selector[0]).to.include({ name: "service_name", operator: "=", value: "x" });
    });

    it("SelectMergeStacktraces: tree, dot and pprof", async () => {
      api.source.tree = Uint8Array.of(0, 0, 1);
      api.source.drawing = "digraph {}";
      api.source.pprofBytes = encodeBinary(PPROF, { stringTable: ["", "x"] });
      expect(await answer("SelectMergeStacktraces", { ...MERGE, format: "PROFILE_FORMAT_TREE" })).to.deep.equal({ tree: "AAAB" });
      expect(await answer("SelectMergeStacktraces", { ...MERGE, format: 3 })).to.deep.equal({ dot: "digraph {}" });
      expect(api.source.mergeQueries.at(-1)).to.deep.include({ maxNodes: 100 });
      expect(await answer("SelectMergeStacktraces", { ...MERGE, format: "PROFILE_FORMAT_PPROF" })).to.deep.equal({ pprof: { profile: { stringTable: ["", "x"] } } });
      expect(api.source.pprofQueries.at(-1)).to.deep.include({ maxNodes: 0, goPgo: undefined });
    });

    it("call sites, profile ids and spans reach the source as bytes and names", async () => {
      await answer("SelectMergeStacktraces", {
        ...MERGE,
        stackTraceSelector: { callSite: [{ name: "main" }, { name: "work" }] },
        profileIdSelector: ["7c9e6679-7425-40de-944b-e07fc1f90ae7"],
        spanSelector: ["00000000000000AB"],
      });
      const [query] = api.source.mergeQueries;
      expect(query).to.deep.include({ callSite: ["main", "work"], spanIds: ["00000000000000ab"], traceIds: [] });
      expect(Buffer.from(query!.profileIds[0]!).toString("hex")).to.equal("7c9e6679742540de944be07fc1f90ae7");
    });

    it("SelectMergeProfile: the pprof's own bytes in binary, its fields in JSON, go_pgo and all nodes", async () => {
      const bytes = encodeBinary(PPROF, { sampleType: [{ type: 1, unit: 2 }], sample: [{ locationId: [1], value: [-3] }], stringTable: ["", "cpu", "ns"] });
      api.source.pprofBytes = bytes;
      const response = await fetch(`${api.url}/querier.v1.QuerierService/SelectMergeProfile`, {
        method: "POST",
        headers: { "content-type": "application/proto" },
        body: new Uint8Array(
          encodeBinary(q.SELECT_MERGE_PROFILE_REQUEST, {
            ...decodeBinary(q.SELECT_MERGE_PROFILE_REQUEST, new Uint8Array(0)),
            profileTypeID: TYPE,
            labelSelector: "{}",
            start: 1,
            end: 2,
            stackTraceSelector: { callSite: [{ name: "lost" }], goPgo: { keepLocations: 0, aggregateCallees: true } },
          }),
        ),
      });
      expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).to.equal(true);
      expect(api.source.pprofQueries[0]).to.deep.include({ maxNodes: 0, callSite: [], goPgo: { keepLocations: 0, aggregateCallees: true } });
      expect(await answer("SelectMergeProfile", MERGE)).to.deep.equal({
        sampleType: [{ type: "1", unit: "2" }],
        sample: [{ locationId: ["1"], value: ["-3"] }],
        stringTable: ["", "cpu", "ns"],
      });
    });

    it("SelectMergeSpanProfile: the spans reach the source", async () => {
      await answer("SelectMergeSpanProfile", { ...MERGE, spanSelector: ["0000000000000001"] });
      expect(api.source.mergeQueries[0]).to.deep.include({ spanIds: ["0000000000000001"] });
      api.source.tree = Uint8Array.of(1);
      expect(await answer("SelectMergeSpanProfile", { ...MERGE, format: 2 })).to.deep.equal({ tree: "AQ==" });
    });

    it("Diff: both sides, the greater number of nodes", async () => {
      api.source.graphDiff = { names: ["total"], levels: [[0, 1, 0, 0, 2, 0, 0]], total: 3, maxSelf: 0, leftTicks: 1, rightTicks: 2 };
      const body = await answer("Diff", { left: { ...MERGE, maxNodes: 5, labelSelector: '{pod="a"}' }, right: { ...MERGE, maxNodes: 9 } });
      expect(body).to.deep.equal({
        flamegraph: { names: ["total"], levels: [{ values: ["0", "1", "0", "0", "2", "0", "0"] }], total: "3", leftTicks: "1", rightTicks: "2" },
      });
      expect(api.source.diffs[0]!.maxNodes).to.equal(9);
      expect(api.source.diffs[0]!.left.selector[0]).to.include({ name: "pod", value: "a" });
    });

    const refused: readonly [string, object, number, string][] = [
      ["a profile id that is no UUID", { profileIdSelector: ["x"] }, 400, "UUID"],
      ["a span id of the wrong length", { spanSelector: ["1"] }, 400, "16 hex"],
      ["a trace id that is no hex", { traceIdSelector: ["g".repeat(32)] }, 400, "32 hex"],
      ["spans and traces together", { spanSelector: ["0".repeat(16)], traceIdSelector: ["0".repeat(32)] }, 400, "one of them"],
      ["more profile ids than are ever meant", { profileIdSelector: Array<string>(10_001).fill("x") }, 400, "10000"],
      ["a call site of more functions than any stacktrace has", { stackTraceSelector: { callSite: Array(10_001).fill({ name: "f" }) } }, 400, "10000"],
      ["too many nodes", { maxNodes: 1_048_577 }, 400, "max_flamegraph_nodes_max"],
      ["fewer than no nodes", { maxNodes: -1 }, 400, "positive"],
      ["an unknown format", { format: 9 }, 400, "format"],
      ["go_pgo on a flame graph", { stackTraceSelector: { goPgo: {} } }, 400, "pprof"],
      ["an asynchronous query", { async: { type: "ASYNC_QUERY_TYPE_FORCE" } }, 501, "async"],
      ["the poll of an asynchronous query", { async: { requestId: "r" } }, 501, "async"],
    ];
    for (const [what, more, status, reason] of refused) {
      it(`refuses ${what}`, async () => {
        const response = await api.rpc("SelectMergeStacktraces", { ...MERGE, ...more });
        expect(response.status).to.equal(status);
        expect(((await response.json()) as { message: string }).message).to.contain(reason);
        expect(api.source.mergeQueries).to.have.length(0);
      });
    }

    it("an async field that is not set to FORCE is accepted", async () => {
      await answer("SelectMergeStacktraces", { ...MERGE, async: { type: "ASYNC_QUERY_TYPE_DISABLED" } });
    });
  });

  describe("over time", () => {
    it("SelectSeries: points and exemplars", async () => {
      api.source.timeSeries = [
        {
          labels: [{ name: "pod", value: "a" }],
          points: [
            {
              timestampMs: 1795419000000,
              value: 8730000000,
              exemplars: [{ timestampMs: 1795419000001, profileId: "p", spanId: "", traceId: "", value: 3, labels: [{ name: "x", value: "y" }] }],
            },
          ],
        },
      ];
      const message = { ...MERGE, step: 15, groupBy: ["pod"], limit: "2", aggregation: "TIME_SERIES_AGGREGATION_TYPE_AVERAGE", exemplarType: "EXEMPLAR_TYPE_SPAN" };
      expect(await answer("SelectSeries", message)).to.deep.equal({
        series: [
          {
            labels: [{ name: "pod", value: "a" }],
            points: [
              {
                value: 8730000000,
                timestamp: "1795419000000",
                exemplars: [{ timestamp: "1795419000001", profileId: "p", value: "3", labels: [{ name: "x", value: "y" }] }],
              },
            ],
          },
        ],
      });
      expect(api.source.pointsQueries[0]).to.deep.include({ stepMs: 15_000, groupBy: ["pod"], limit: 2, aggregation: "average", exemplars: "span" });
    });

    // Each label is looked up in each series: 100,000 labels kept a worker busy for a second over fifteen series.
    it("more labels to group by than a series can have are refused", async () => {
      const groupBy = Array.from({ length: 101 }, (_, index) => `l${index}`);
      for (const method of ["SelectSeries", "SelectHeatmap"]) {
        const response = await api.rpc(method, { ...MERGE, step: 15, groupBy });
        expect([response.status, ((await response.json()) as { message: string }).message]).to.deep.equal([400, "group_by has 101 entries: send at most 100"]);
      }
      await answer("SelectSeries", { ...MERGE, step: 15, groupBy: groupBy.slice(1) });
    });

    it("SelectHeatmap: slots, and what it refuses", async () => {
      api.source.heatmapSeries = [{ labels: [], slots: [{ timestampMs: 5, yMin: [1, 2], counts: [0, 3], exemplars: [] }] }];
      const message = { ...MERGE, step: 15, queryType: "HEATMAP_QUERY_TYPE_SPAN" };
      expect(await answer("SelectHeatmap", message)).to.deep.equal({ series: [{ slots: [{ timestamp: "5", yMin: [1, 2], counts: [0, 3] }] }] });
      expect(api.source.heatmapQueries[0]).to.deep.include({ of: "span", stepMs: 15_000, exemplars: "none" });
      for (const bad of [{ step: 0 }, { limit: -1 }, { end: RANGE.start }]) expect((await api.rpc("SelectHeatmap", { ...message, ...bad })).status, JSON.stringify(bad)).to.equal(400);
    });
  });

  describe("about the store", () => {
    it("GetProfileStats: nothing, then its ages", async () => {
      expect(await answer("GetProfileStats", {})).to.deep.equal({});
      api.source.age = { oldestMs: 5, newestMs: 9 };
      expect(await answer("GetProfileStats", {})).to.deep.equal({ dataIngested: true, oldestProfileTime: "5", newestProfileTime: "9" });
    });

    it("AnalyzeQuery: the type becomes a matcher", async () => {
      api.source.analysis = { scopes: [], totalBytesInRange: 10, totalSeries: 2 };
      expect(await answer("AnalyzeQuery", { ...RANGE, query: `${TYPE}{pod="a"}` })).to.deep.equal({
        queryImpact: { totalBytesInTimeRange: "10", totalQueriedSeries: "2" },
      });
      const [selector] = api.source.seriesQueries[0]!.selectors;
      expect(selector!.map(({ name, value }) => [name, value])).to.deep.equal([["__profile_type__", TYPE], ["pod", "a"]]);
    });
  });

  describe("receipt", () => {
    it("every answer says what was counted", async () => {
      for (const [method, message] of Object.entries({ SelectMergeStacktraces: MERGE, SelectSeries: { ...MERGE, step: 1 }, LabelNames: RANGE, ProfileTypes: {} })) {
        const { headers } = await api.rpc(method, message);
        const receipt = ["records", "identity-sum", "objects", "stores"].map((name) => headers.get(`x-pyromesh-${name}`));
        expect(receipt, method).to.deep.equal(["7", "00112233445566778899aabbccddeeff", "2", "3"]);
        expect(headers.get("x-pyromesh-missing")).to.equal(null);
        expect(headers.get("x-pyromesh-saturated")).to.equal(null);
      }
    });

    it("a partial answer needs permission, and names what is missing", async () => {
      api.source.missing = ["store 4f; gone", "object a/b\nc"];
      api.source.isSaturated = true;
      const { headers } = await api.rpc("SelectMergeStacktraces", MERGE, { "X-Pyromesh-Partial": "allow" });
      expect(api.source.mergeQueries[0]!.allowPartial).to.equal(true);
      expect(headers.get("x-pyromesh-missing")).to.equal("store 4f, gone; object a/b?c");
      expect(headers.get("x-pyromesh-saturated")).to.equal("true");
      await api.rpc("LabelNames", RANGE);
      expect(api.source.seriesQueries[0]!.allowPartial).to.equal(false);
    });

    it("query_allow_partial: every query of the tenant may be partial, and its render too", async () => {
      await api.server.stop();
      api = await openApi({ queryLimits: { isPartialAllowed: true } });
      await api.rpc("SelectMergeStacktraces", MERGE);
      await api.rpc("LabelNames", RANGE);
      await api.get(`/pyroscope/render?from=${RANGE.start}&until=${RANGE.end}&query=${encodeURIComponent(`${TYPE}{}`)}`);
      expect([...api.source.mergeQueries, ...api.source.seriesQueries].map(({ allowPartial }) => allowPartial)).to.deep.equal([true, true, true]);
    });

    it("a query that cannot be complete is 503 with the reason", async () => {
      api.source.failure = unavailable("QUERY_INCOMPLETE", "store 4f did not answer");
      const response = await api.rpc("LabelNames", RANGE);
      expect(response.status).to.equal(503);
      expect(response.headers.get("retry-after")).to.equal("1");
      expect(await response.json()).to.deep.equal({ code: "unavailable", message: "store 4f did not answer" });
    });
  });

  it("max_flamegraph_nodes_on_select_merge_profile: the default applies to every pprof", async () => {
    await api.server.stop();
    api = await openApi({ queryLimits: { isMergeProfileBounded: true, flameGraphNodesDefault: 12, flameGraphNodesMax: 20 } });
    await answer("SelectMergeProfile", MERGE);
    await answer("SelectMergeStacktraces", { ...MERGE, format: "PROFILE_FORMAT_PPROF", maxNodes: 20 });
    await api.get(`/pyroscope/render?format=pprof&from=${RANGE.start}&until=${RANGE.end}&query=${encodeURIComponent(`${TYPE}{}`)}`);
    expect(api.source.pprofQueries.map(({ maxNodes }) => maxNodes)).to.deep.equal([12, 20, 12]);
    expect((await api.rpc("SelectMergeProfile", { ...MERGE, maxNodes: 21 })).status).to.equal(400);
  });

  it("lookback: an older range gets an empty answer, not a refusal", async () => {
    await api.server.stop();
    api = await openApi({ queryLimits: { queryLookbackMs: 1000 } });
    await answer("ProfileTypes", { start: 1000, end: 4000 });
    expect(api.source.seriesQueries[0]).to.deep.include({ startMs: 0, endMs: 0 });
  });
});
