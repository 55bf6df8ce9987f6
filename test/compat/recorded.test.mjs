/**
 * What Pyroscope answered, asked of a Pyromesh that was sent the same: seven pushes, then every query while the data is in
 * the head, after a kill, out of segments, and after an orderly restart; at last every request that is refused.
 * Answers are compared by meaning (meaning.mjs). Where we differ on purpose, the table below says so, and COMPAT.md says why.
 */
import { expect } from "chai";
import { hasCorpus, recordedExchanges } from "./corpus.mjs";
import * as meaning from "./meaning.mjs";
import { RunningNode } from "./node.mjs";

const PUSHES = [1, 7];
const QUERIES = [8, 51];
const REFUSALS = [52, 86];

const between = ([from, to]) => (exchange) => exchange.number >= from && exchange.number <= to;

/** By number of the exchange: what we answer where Pyroscope is wrong or unhelpful. */
const OURS = new Map([
  [75, { status: 400, code: "invalid_argument" }],
  [76, { status: 400, code: "invalid_argument" }],
  [77, { status: 400, code: "invalid_argument" }],
  [78, { status: 400, code: "invalid_argument" }],
  [81, { status: 400, code: "invalid_argument" }],
  [82, { status: 400, code: "invalid_argument" }],
]);

const names = (body) => (body.names ?? []).toSorted();
const flameGraph = (body) => meaning.flameGraphNodes(body.flamegraph);

/** How the answer of a path is compared. */
const MEANING_OF = {
  ProfileTypes: meaning.profileTypes,
  LabelNames: names,
  LabelValues: names,
  Series: meaning.labelSets,
  SelectMergeStacktraces: (body) => (body.tree === undefined ? flameGraph(body) : meaning.treeNodes(Buffer.from(body.tree, "base64"))),
  SelectMergeSpanProfile: flameGraph,
  SelectMergeProfile: meaning.pprofMeaning,
  SelectSeries: meaning.points,
  SelectHeatmap: meaning.heatmapCounts,
  Diff: (body) => meaning.flameGraphDiffNodes(body.flamegraph),
  // Pyroscope's recorded answers are empty and prove nothing. beyond-recordings.test.mjs tests ours.
  GetProfileStats: () => "answered",
  AnalyzeQuery: () => "answered",
  render: (body) => (typeof body === "string" ? meaning.dotMeaning(body) : body.code === undefined ? meaning.renderMeaning(body) : body.code),
  "render-diff": meaning.renderMeaning,
  "label-values": (body) => body,
};

function meaningOf(exchange, body) {
  return MEANING_OF[exchange.request.path.replace(/\?.*/, "").split("/").at(-1)](body);
}

/** The recorded request. Times relative to the day of the recording are replaced. */
function replayed({ request, response }) {
  if (!request.path.includes("from=now-1h&until=now")) return request;
  const { startTime, samples, durationDelta } = response.body.timeline;
  return { ...request, path: request.path.replace("from=now-1h&until=now", `from=${startTime}&until=${startTime + samples.length * durationDelta}`) };
}

function expectedOf(exchange) {
  const { name, response } = exchange;
  if (name === "label-values-http") return { status: 200, meaning: ["batch", "checkout", "ledger", "lines", "search", "shell", "web"] };
  const expected = { status: response.status, meaning: meaningOf(exchange, response.body) };
  // Cut to 64 nodes: the two servers keep different ones.
  if (name === "profile-heap") delete expected.meaning.stacks;
  // Pyroscope's answer has sums here; these are the means.
  if (name === "series-points-average") for (const point of Object.values(expected.meaning[""])) point.value = 1602645059;
  return expected;
}

async function send(node, { method, path, headers, json, bodyBase64 }) {
  const body = json === undefined ? Buffer.from(bodyBase64 ?? "", "base64") : JSON.stringify(json);
  const response = await fetch(node.url + path, { method, headers, ...(method === "GET" ? {} : { body }) });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
  return { status: response.status, headers: response.headers, body: isJson && text !== "" ? JSON.parse(text) : text };
}

describe("recorded exchanges", function () {
  this.timeout(60_000);
  const exchanges = recordedExchanges();
  let node;

  before(async function () {
    if (!hasCorpus("recorded")) return;
    node = await RunningNode.start();
    for (const exchange of exchanges.filter(between(PUSHES))) {
      const { status, body } = await send(node, exchange.request);
      expect(status, `${exchange.name}: ${JSON.stringify(body)}`).to.equal(200);
    }
  });
  after(() => node?.close());

  const phase = (title, prepare) => {
    describe(title, () => {
      before(async () => {
        if (node !== undefined) await prepare();
      });
      for (const exchange of exchanges.filter(between(QUERIES))) {
        it(`${exchange.number} ${exchange.name}`, async () => {
          const { status, body } = await send(node, replayed(exchange));
          const expected = expectedOf(exchange);
          expect(status, JSON.stringify(body).slice(0, 500)).to.equal(expected.status);
          const found = meaningOf(exchange, body);
          if (exchange.name === "profile-heap") delete found.stacks;
          expect(found).to.deep.equal(expected.meaning);
        });
      }
    });
  };

  it("are there", function () {
    if (!hasCorpus("recorded")) this.skip();
    expect(exchanges.length).to.be.at.least(86);
  });

  phase("with everything in the head", async () => {});
  phase("with the head replayed after a kill", async () => {
    expect(await node.restart("SIGKILL")).to.deep.equal({ code: null, signal: "SIGKILL" });
  });
  phase("with everything in segments", () => node.flush());
  phase("with everything in segments, after a restart", async () => {
    expect(await node.restart("SIGTERM")).to.deep.equal({ code: 0, signal: null });
  });

  describe("refusals", () => {
    for (const exchange of exchanges.filter(between(REFUSALS))) {
      const expected = OURS.get(exchange.number) ?? { status: exchange.response.status, code: exchange.response.body?.code };
      it(`${exchange.number} ${exchange.name}: ${expected.status}`, async () => {
        const { status, headers, body } = await send(node, exchange.request);
        expect(status, JSON.stringify(body).slice(0, 500)).to.equal(expected.status);
        if (status < 400) return;
        if (expected.code !== undefined) expect(body.code).to.equal(expected.code);
        if (expected.code !== undefined) expect(body.message).to.match(/\w/);
        if (status === 405) expect(headers.get("allow")).to.equal("POST");
        if (exchange.name === "err-ingest-unknown-format") for (const format of ["pprof", "folded", "lines"]) expect(body.message).to.include(format);
      });
    }
  });
});
