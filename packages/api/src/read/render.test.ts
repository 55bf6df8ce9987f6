import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import { seriesLabels } from "@pyromesh/profile";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";

const TYPE = "memory:inuse_space:bytes:space:bytes";
const FROM_MS = 1_795_418_940_000;

function url(type = TYPE, more = ""): string {
  return `/pyroscope/render?query=${encodeURIComponent(`${type}{service_name="checkout"}`)}&from=${FROM_MS}&until=${FROM_MS + 60_000}${more}`;
}

describe("render", () => {
  let api: OpenApi;
  beforeEach(async () => {
    api = await openApi();
  });
  afterEach(() => api.server.stop());

  it("JSON: keys in their order, values beyond 2^53 exact", async () => {
    api.source.graph = { names: ["total", "a\"b"], levels: [[0, 2n ** 60n, 0, 0], [0, 2n ** 60n, 7, 1]], total: 2n ** 60n, maxSelf: 7 };
    api.source.timeSeries = [{ labels: [], points: [{ timestampMs: FROM_MS + 15_000, value: 7, exemplars: [] }] }];
    const response = await api.get(url());
    expect(response.headers.get("content-type")).to.equal("application/json");
    expect(response.headers.get("x-pyromesh-records")).to.equal("7");
    expect(await response.text()).to.equal(
      `{"version":1,"flamebearer":{"names":["total","a\\"b"],"levels":[[0,1152921504606846976,0,0],[0,1152921504606846976,7,1]],` +
        `"numTicks":1152921504606846976,"maxSelf":7},` +
        `"metadata":{"format":"single","spyName":"","sampleRate":100,"units":"bytes","name":"inuse_space"},` +
        `"timeline":{"startTime":1795418940,"samples":[0,7,0,0],"durationDelta":15,"watermarks":null},"groups":null,"heatmap":null}`,
    );
    expect(api.source.renderQueries[0]).to.deep.include({ stepMs: 15_000, groupBy: [], aggregation: "sum", startMs: FROM_MS });
  });

  it("JSON: where nothing matches the total is 0", async () => {
    const body = (await (await api.get(url())).json()) as { flamebearer: unknown };
    expect(body.flamebearer).to.deep.equal({ names: ["total"], levels: [[0, 0, 0, 0]], numTicks: 0, maxSelf: 0 });
  });

  it("the regular expressions of both queries of a diff count together", async () => {
    const side = (name: string, pod: string): string => `${name}Query=${encodeURIComponent(`${TYPE}{pod=~"${pod}"}`)}&${name}From=${FROM_MS}&${name}Until=${FROM_MS + 60_000}`;
    const ask = (pod: string): Promise<Response> => api.get(`/pyroscope/render-diff?${side("left", pod)}&${side("right", pod)}`);
    expect((await ask("x{900}")).status).to.equal(200);
    const refused = await ask("x{1000}{2}y");
    expect(refused.status).to.equal(400);
    const together = await ask("x{1000}y{100}");
    expect(together.status).to.equal(400);
    expect(((await together.json()) as { message: string }).message).to.contain('"rightQuery"').and.to.contain('pod=~"x{1000}y{100}"');
  });

  it("units follow the sample type", async () => {
    const table: readonly [string, string, number][] = [
      ["process_cpu:cpu:nanoseconds:cpu:nanoseconds", "samples", 1_000_000_000],
      ["process_cpu:samples:count:cpu:nanoseconds", "objects", 100],
      ["memory:inuse_objects:count:space:bytes", "objects", 100],
      ["goroutines:goroutine:count:goroutine:count", "objects", 100],
      ["mutex:delay:nanoseconds:mutex:count", "nanoseconds", 100],
      ["process_cpu:samples:count::milliseconds", "objects", 100],
    ];
    for (const [type, units, sampleRate] of table) {
      const { metadata } = (await (await api.get(url(type))).json()) as { metadata: object };
      expect(metadata, type).to.deep.include({ units, sampleRate });
    }
  });

  it("groups: one timeline for each value of the first label; the source is asked for all labels", async () => {
    api.source.timeSeries = ["a", "b"].map((pod, index) => ({
      labels: [{ name: "pod", value: pod }],
      points: [{ timestampMs: FROM_MS + 15_000 * index, value: index + 1, exemplars: [] }],
    }));
    const body = (await (await api.get(url(TYPE, "&groupBy=pod&groupBy=zone&aggregation=avg"))).json()) as {
      groups: Record<string, { samples: number[] }>;
      timeline: { samples: number[] };
    };
    expect(Object.entries(body.groups).map(([pod, { samples }]) => [pod, samples])).to.deep.equal([["a", [1, 0, 0, 0]], ["b", [0, 2, 0, 0]]]);
    expect(body.timeline.samples).to.deep.equal([0, 0, 0, 0]);
    expect(api.source.renderQueries[0]).to.deep.include({ groupBy: ["pod", "zone"], aggregation: "average" });
  });

  it("maxNodes wins over max-nodes; a word, or 0, is the default", async () => {
    for (const more of ["&maxNodes=5&max-nodes=9", "&max-nodes=9", "&maxNodes=many&max-nodes=9", "&maxNodes=0"]) await api.get(url(TYPE, more));
    expect(api.source.mergeQueries.map((query) => query.maxNodes)).to.deep.equal([5, 9, 9, 8192]);
  });

  it("dot: text, drawn at 100 nodes unless asked otherwise", async () => {
    api.source.drawing = "digraph {}";
    const response = await api.get(url(TYPE, "&format=dot"));
    expect(response.headers.get("content-type")).to.equal("text/plain; charset=utf-8");
    expect(await response.text()).to.equal("digraph {}");
    await api.get(url(TYPE, "&format=dot&max-nodes=8"));
    expect(api.source.mergeQueries.map((query) => query.maxNodes)).to.deep.equal([100, 8]);
  });

  it("pprof: a gzip file, not a content encoding, so that `go tool pprof URL` reads it", async () => {
    api.source.pprofBytes = Uint8Array.from({ length: 5000 }, (_, index) => index % 7);
    const response = await api.get(url(TYPE, "&format=pprof"), { "accept-encoding": "gzip" });
    expect(response.headers.get("content-encoding")).to.equal(null);
    expect(response.headers.get("content-type")).to.equal("application/octet-stream");
    expect(gunzipSync(await response.arrayBuffer()).equals(Buffer.from(api.source.pprofBytes))).to.equal(true);
    expect(api.source.pprofQueries[0]!.maxNodes).to.equal(0);
  });

  it("times: words for now, seconds and milliseconds", async () => {
    await api.get(`/pyroscope/render?query=${encodeURIComponent(`${TYPE}{}`)}&from=now-1h&until=now`);
    await api.get(`/pyroscope/render?query=${encodeURIComponent(`${TYPE}{}`)}&from=1795418940&until=1795419300000`);
    const [relative, absolute] = api.source.mergeQueries;
    expect(relative!.endMs - relative!.startMs).to.equal(3_600_000);
    expect([absolute!.startMs, absolute!.endMs]).to.deep.equal([1795418940000, 1795419300000]);
  });

  it("diff: both sides, seven numbers a bar, ticks at the end", async () => {
    api.source.graphDiff = { names: ["total"], levels: [[0, 1, 0, 0, 2, 0, 0]], total: 3, maxSelf: 0, leftTicks: 1, rightTicks: 0 };
    const side = (name: string, pod: string): string => `${name}Query=${encodeURIComponent(`${TYPE}{pod="${pod}"}`)}&${name}From=1795418940&${name}Until=1795419300`;
    const response = await api.get(`/pyroscope/render-diff?${side("left", "a")}&${side("right", "b")}&max-nodes=16`);
    expect(await response.text()).to.equal(
      `{"version":1,"flamebearer":{"names":["total"],"levels":[[0,1,0,0,2,0,0]],"numTicks":3,"maxSelf":0},` +
        `"metadata":{"format":"double","spyName":"","sampleRate":100,"units":"bytes","name":"inuse_space"},` +
        `"timeline":null,"groups":null,"heatmap":null,"leftTicks":1}`,
    );
    const [{ left, right, maxNodes }] = api.source.diffs as [(typeof api.source.diffs)[0]];
    expect([left.selector[0]!.value, right.selector[0]!.value, maxNodes]).to.deep.equal(["a", "b", 16]);
  });

  it("the receipt of a render is the flame graph's, and what either part lacks is named", async () => {
    api.source.missing = ["store 4f"];
    const { headers } = await api.get(url(), { "x-pyromesh-partial": "allow" });
    expect(headers.get("x-pyromesh-missing")).to.equal("store 4f");
    expect(api.source.renderQueries[0]!.allowPartial).to.equal(true);
  });

  describe("label-values", () => {
    beforeEach(() => {
      const type = { name: "memory", sampleType: "inuse_space", sampleUnit: "bytes", periodType: "space", periodUnit: "bytes" };
      api.source.labelSets = ["b", "a"].map((pod) => seriesLabels([{ name: "__name__", value: "memory" }, { name: "pod", value: pod }], type));
    });

    it("__name__ gives profile types, another label its values", async () => {
      expect(await (await api.get("/pyroscope/label-values?label=__name__")).json()).to.deep.equal([TYPE]);
      expect(await (await api.get("/pyroscope/label-values?label=pod")).json()).to.deep.equal(["a", "b"]);
      expect(await (await api.get("/pyroscope/label-values?label=nope")).json()).to.deep.equal([]);
    });

    it("without a range it is the last hour; a range and a query apply", async () => {
      await api.get("/pyroscope/label-values?label=pod");
      const query = encodeURIComponent(`${TYPE}{pod="a"}`);
      const response = await api.get(`/pyroscope/label-values?label=pod&query=${query}&from=1795418940000&until=1795419300000`);
      expect(await response.json()).to.deep.equal(["a"]);
      const [open, ranged] = api.source.seriesQueries;
      expect(open!.endMs - open!.startMs).to.equal(3_600_000);
      expect([ranged!.startMs, ranged!.endMs]).to.deep.equal([1795418940000, 1795419300000]);
    });

    it("a limit keeps the first entries in order and says that it cut off the rest; a wrong limit is refused", async () => {
      const response = await api.get("/pyroscope/label-values?label=pod&limit=1");
      expect([await response.json(), response.headers.get("x-pyromesh-truncated")]).to.deep.equal([["a"], "1 of 2"]);
      expect((await api.get("/pyroscope/label-values?label=pod&limit=0")).headers.get("x-pyromesh-truncated")).to.equal(null);
      for (const limit of ["many", "-1"]) expect((await api.get(`/pyroscope/label-values?label=pod&limit=${limit}`)).status).to.equal(400);
    });

    it("no label is 400", async () => {
      expect((await api.get("/pyroscope/label-values")).status).to.equal(400);
    });
  });
});
