import { expect } from "chai";
import { QuerierClient, QuerierError } from "./client.ts";

const SPAN = { startMs: 1_795_418_940_000, endMs: 1_795_419_300_000 };
const SELECTION = { profileType: "memory:inuse_space:bytes:space:bytes", selector: '{service_name="checkout"}', span: SPAN };

describe("querier client", () => {
  it("a flame graph is asked for as Pyroscope is asked, and its texts become numbers", async () => {
    const { client, requests } = clientAnswering(200, { flamegraph: { names: ["total", "a"], levels: [{ values: ["0", "4", "0", "0"] }, { values: ["0", "4", "4", "1"] }], total: "4", maxSelf: "4" } }, { tenant: "team-a" });
    const graph = await client.flameGraph(SELECTION, 100, signal());
    expect(graph.missing).to.equal("");
    expect(graph.value).to.deep.equal({ names: ["total", "a"], levels: [[0, 4, 0, 0], [0, 4, 4, 1]] });
    expect(requests[0]!.url).to.equal("http://127.0.0.1:4040/pyro/querier.v1.QuerierService/SelectMergeStacktraces");
    expect(JSON.parse(requests[0]!.body)).to.deep.equal({ profileTypeID: SELECTION.profileType, labelSelector: SELECTION.selector, start: SPAN.startMs, end: SPAN.endMs, maxNodes: 100 });
    expect(requests[0]!.headers).to.include({ "content-type": "application/json", "x-scope-orgid": "team-a" });
    expect(requests[0]!.credentials).to.equal("same-origin");
  });

  it("a top table is asked of the node's own service, below a call site where there is one", async () => {
    const { client, requests } = clientAnswering(200, { functions: [{ name: "f", self: "3", total: "4" }, { total: "4" }], total: "4", functionCount: "7" });
    const table = await client.topFunctions(SELECTION, ["main", ""], "total", 2, signal());
    expect(table.value).to.deep.equal({ rows: [{ name: "f", self: 3, total: 4 }, { name: "", self: 0, total: 4 }], functionCount: 7 });
    expect(requests[0]!.url).to.equal("http://127.0.0.1:4040/pyro/pyromesh.query.v1.QueryService/SelectTopTable");
    expect(JSON.parse(requests[0]!.body)).to.deep.include({ limit: 2, sort: "TOP_TABLE_SORT_TOTAL", stackTraceSelector: { callSite: [{ name: "main" }, { name: "" }] } });
    await client.topFunctions(SELECTION, [], "self", 2, signal());
    expect(JSON.parse(requests[1]!.body)).to.include({ sort: "TOP_TABLE_SORT_SELF" }).and.not.have.property("stackTraceSelector");
    expect((await clientAnswering(200, {}).client.topFunctions(SELECTION, [], "self", 2, signal())).value).to.deep.equal({ rows: [], functionCount: 0 });
  });

  it("without a tenant no header is sent", async () => {
    const { client, requests } = clientAnswering(200, {});
    await client.flameGraph(SELECTION, 0, signal());
    expect(requests[0]!.headers).not.to.have.property("x-scope-orgid");
    expect(JSON.parse(requests[0]!.body)).not.to.have.property("maxNodes");
  });

  it("what Connect leaves out is empty", async () => {
    const { client } = clientAnswering(200, {});
    expect((await client.flameGraph(SELECTION, 0, signal())).value).to.deep.equal({ names: [], levels: [] });
    expect((await client.services(SPAN, signal())).value).to.deep.equal([]);
    expect((await client.points(SELECTION, 15_000, [], signal())).value).to.deep.equal([]);
    expect(await client.stats(signal())).to.deep.equal({ hasData: false, oldestMs: 0, newestMs: 0 });
  });

  it("series become pairs of service and type", async () => {
    const { client, requests } = clientAnswering(200, { labelsSet: [{ labels: [{ name: "__profile_type__", value: "t" }, { name: "service_name", value: "s" }] }] });
    expect((await client.services(SPAN, signal())).value).to.deep.equal([{ service: "s", profileType: "t" }]);
    expect(JSON.parse(requests[0]!.body)).to.deep.include({ labelNames: ["service_name", "__profile_type__"] });
  });

  it("a flame graph has the receipt of its answer, where the headers come through", async () => {
    const headers = { "x-pyromesh-records": "12", "x-pyromesh-identity-sum": "0a", "x-pyromesh-objects": "3", "x-pyromesh-stores": "2", "x-pyromesh-nodes": "node-1; b%3A7946" };
    expect((await clientAnswering(200, {}, { headers }).client.flameGraph(SELECTION, 0, signal())).receipt).to.deep.equal({ recordCount: 12, objectCount: 3, storeCount: 2, nodes: ["node-1", "b:7946"], identitySum: "0a" });
    expect((await clientAnswering(200, {}).client.flameGraph(SELECTION, 0, signal())).receipt).to.equal(undefined);
  });

  it("a list that was cut says how far it goes", async () => {
    const { client } = clientAnswering(200, {}, { headers: { "x-pyromesh-truncated": "100 of more" } });
    expect((await client.services(SPAN, signal())).truncated).to.equal("100 of more");
    expect((await clientAnswering(200, {}).client.services(SPAN, signal())).truncated).to.equal("");
  });

  it("points carry their labels, and the step is sent in seconds", async () => {
    const { client, requests } = clientAnswering(200, { series: [{ labels: [{ name: "pod", value: "a" }], points: [{ value: 1.5, timestamp: "1795419000000" }, { timestamp: "1795419015000" }] }] });
    const [series] = (await client.points(SELECTION, 15_000, ["pod"], signal())).value;
    expect(series!.labels.get("pod")).to.equal("a");
    expect(series!.points).to.deep.equal([{ timestampMs: 1_795_419_000_000, value: 1.5 }, { timestampMs: 1_795_419_015_000, value: 0 }]);
    expect(JSON.parse(requests[0]!.body)).to.deep.include({ step: 15, groupBy: ["pod"] });
  });

  it("a refusal keeps the server's code and sentence", async () => {
    const { client } = clientAnswering(400, { code: "invalid_argument", message: "the label selector ends inside its braces" });
    expect(await refusalOf(client)).to.deep.include({ code: "invalid_argument", message: "the label selector ends inside its braces" });
  });

  it("a refusal without a sentence names the status", async () => {
    const { client } = clientAnswering(502, "<html>");
    expect((await refusalOf(client)).message).to.include("502");
  });

  it("a partial answer is asked for only where it is allowed, and says what it lacks", async () => {
    const whole = clientAnswering(200, {});
    await whole.client.flameGraph(SELECTION, 0, signal());
    expect(whole.requests[0]!.headers).not.to.have.property("x-pyromesh-partial");
    const { client, requests } = clientAnswering(200, {}, { allowsPartial: true, headers: { "X-Pyromesh-Missing": "quarantine 7: lost" } });
    expect((await client.flameGraph(SELECTION, 0, signal())).missing).to.equal("quarantine 7: lost");
    expect((await client.points(SELECTION, 15_000, [], signal())).missing).to.equal("quarantine 7: lost");
    expect((await client.services(SPAN, signal())).missing).to.equal("quarantine 7: lost");
    for (const { headers } of requests) expect(headers).to.include({ "x-pyromesh-partial": "allow" });
  });

  it("a refusal says whether part of the answer could be had", async () => {
    const body = { code: "unavailable", message: "an object is unreadable" };
    expect((await refusalOf(clientAnswering(503, body).client)).canBePartial).to.equal(false);
    expect((await refusalOf(clientAnswering(503, body, { headers: { "X-Pyromesh-Partial": "possible" } }).client)).canBePartial).to.equal(true);
  });

  // fetch throws at such a header, which looked like a node that does not answer.
  it("a tenant that no header can carry is refused as one, and not sent", async () => {
    const { client, requests } = clientAnswering(200, {}, { tenant: "日本" });
    const error: unknown = await client.stats(new AbortController().signal).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(QuerierError).with.property("code", "invalid_argument");
    expect(requests).to.have.length(0);
  });

  it("401 says that a tenant is missing, whatever its body", async () => {
    const { client } = clientAnswering(401, { code: "unknown", message: "no org id" });
    expect((await refusalOf(client)).code).to.equal("unauthenticated");
  });

  it("an answer that is no JSON object is called unreadable", async () => {
    const { client } = clientAnswering(200, "<html>");
    expect((await refusalOf(client)).code).to.equal("unreadable");
  });

  it("a node that is gone is named", async () => {
    const client = new QuerierClient({ baseUrl: "http://127.0.0.1:4040/", tenant: "", allowsPartial: false }, { fetch: () => Promise.reject(new TypeError("fetch failed")) });
    const refusal = await refusalOf(client);
    expect(refusal.code).to.equal("unreachable");
    expect(refusal.message).to.include("127.0.0.1:4040");
  });

  it("an aborted question is no refusal", async () => {
    const reason = new Error("gone");
    const client = new QuerierClient({ baseUrl: "http://127.0.0.1:4040/", tenant: "", allowsPartial: false }, { fetch: () => Promise.reject(reason) });
    const error = await client.stats(AbortSignal.abort(reason)).catch((caught: unknown) => caught);
    expect(error).to.equal(reason);
  });
});

interface SeenRequest {
  readonly url: string;
  readonly body: string;
  readonly headers: Record<string, string>;
  readonly credentials: string | undefined;
}

interface Answering {
  readonly tenant?: string;
  readonly allowsPartial?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

function clientAnswering(status: number, body: object | string, { tenant = "", allowsPartial = false, headers = {} }: Answering = {}): { client: QuerierClient; requests: SeenRequest[] } {
  const requests: SeenRequest[] = [];
  const fakeFetch = ((url: string, init: RequestInit) => {
    requests.push({ url, body: String(init.body), headers: Object.fromEntries(new Headers(init.headers).entries()), credentials: init.credentials });
    return Promise.resolve(new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers }));
  }) as typeof fetch; // the client calls it in this one way
  return { client: new QuerierClient({ baseUrl: "http://127.0.0.1:4040/pyro/", tenant, allowsPartial }, { fetch: fakeFetch }), requests };
}

async function refusalOf(client: QuerierClient): Promise<QuerierError> {
  const error = await client.flameGraph(SELECTION, 0, signal()).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).to.be.instanceOf(QuerierError);
  return error as QuerierError; // checked by the line above
}

function signal(): AbortSignal {
  return new AbortController().signal;
}
