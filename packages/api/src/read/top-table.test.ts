import { topTable, NameTreeBuilder } from "@pyromesh/profile";
import { expect } from "chai";
import { decodeBinary, encodeBinary } from "../proto/binary.ts";
import { SELECT_TOP_TABLE_REQUEST, SELECT_TOP_TABLE_RESPONSE } from "../proto/pyromesh-query-v1.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";

const METHOD = "pyromesh.query.v1.QueryService/SelectTopTable";
const ASKED = { profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: '{pod="a"}', start: "1795418940000", end: "1795419300000" };

describe("SelectTopTable", () => {
  let api: OpenApi;
  beforeEach(async () => {
    api = await openApi({ queryLimits: { flameGraphNodesMax: 50 } });
    const tree = new NameTreeBuilder();
    tree.addStacktrace(["main", ""], 2n ** 60n);
    tree.addStacktrace(["main"], 1);
    api.source.table = topTable(tree.result(), { limit: 1 });
  });
  afterEach(() => api.server.stop());

  it("asks the source for what the request says, and sends the printed answer with its receipt", async () => {
    const more = { limit: 7, sort: "TOP_TABLE_SORT_TOTAL", nameContains: "json", stackTraceSelector: { callSite: [{ name: "main" }, {}] } };
    const response = await api.rpc(METHOD, { ...ASKED, ...more });
    // Connect's JSON omits the empty name of the function without a name.
    expect(await response.json()).to.deep.equal({ functions: [{ self: "1152921504606846976", total: "1152921504606846976" }], total: "1152921504606846977", functionCount: "2" });
    expect(response.headers.get("x-pyromesh-records")).to.equal("7");
    const [query] = api.source.topTableQueries;
    expect(query).to.deep.include({ startMs: 1795418940000, limit: 7, sort: "total", nameContains: "json", callSite: ["main", ""], form: "json", allowPartial: false });
    expect(query!.selector[0]).to.include({ name: "pod", value: "a" });
  });

  it("speaks protobuf too", async () => {
    const request = { ...ASKED, start: 1, end: 2, limit: 0, sort: 0, stackTraceSelector: undefined, profileIdSelector: [], nameContains: "", traceIdSelector: [], spanSelector: [] };
    const body = new Uint8Array(encodeBinary(SELECT_TOP_TABLE_REQUEST, request));
    const response = await fetch(`${api.url}/${METHOD}`, { method: "POST", headers: { "content-type": "application/proto" }, body });
    expect(decodeBinary(SELECT_TOP_TABLE_RESPONSE, new Uint8Array(await response.arrayBuffer()))).to.deep.equal({
      functions: [{ name: "", self: 2n ** 60n, total: 2n ** 60n }],
      total: 2n ** 60n + 1n,
      functionCount: 2,
    });
    expect(api.source.topTableQueries[0]).to.deep.include({ sort: "self", form: "proto" });
  });

  it("rows are bounded like the nodes of a flame graph: without a limit, or with a higher one, they are as many", async () => {
    for (const limit of [undefined, 0, 50, 51, "1000000"]) await api.rpc(METHOD, { ...ASKED, limit });
    expect(api.source.topTableQueries.map(({ limit }) => limit)).to.deep.equal([50, 50, 50, 50, 50]);
    await api.rpc(METHOD, { ...ASKED, limit: 49 });
    expect(api.source.topTableQueries.at(-1)!.limit).to.equal(49);
  });

  it("headers say what it lacks, and that a value was clamped to int64", async () => {
    api.source.missing = ["store 4f"];
    api.source.isSaturated = true;
    const { headers } = await api.rpc(METHOD, ASKED, { "x-pyromesh-partial": "allow" });
    expect([headers.get("x-pyromesh-missing"), headers.get("x-pyromesh-saturated")]).to.deep.equal(["store 4f", "true"]);
    expect(api.source.topTableQueries[0]!.allowPartial).to.equal(true);
  });
});
