/**
 * Every format of /ingest that holds names and values, in every content encoding, from the request to the answer of a query. The same stacks are
 * sent each time, so that a reader can compute every expected value.
 */
import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { compress, init } from "@bokuweb/zstd-wasm";
import { expect } from "chai";
import { corpusFile, hasCorpus } from "./corpus.mjs";
import { flameGraphNodes } from "./meaning.mjs";
import { RunningNode } from "./node.mjs";

const FROM_S = 1795419000;
const RANGE = { start: String((FROM_S - 60) * 1000), end: String((FROM_S + 60) * 1000) };
const CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const WALL = "wall:wall:nanoseconds:cpu:nanoseconds";

const node3 = (name, value, childCount) => [name.length, ...Buffer.from(name), value, childCount];
/** main;work 3, main;idle 1: 30 and 10 ms at 100 Hz. */
const BODIES = {
  folded: Buffer.from("main;work 3\nmain;idle 1\n"),
  collapsed: Buffer.from("main;work 3\nmain;idle 1\n"),
  "no-such-format": Buffer.from("main;work 3\nmain;idle 1\n"),
  lines: Buffer.from("main;work\nmain;idle\nmain;work\nmain;work\n"),
  tree: Buffer.from([...node3("", 0, 1), ...node3("main", 0, 2), ...node3("work", 3, 0), ...node3("idle", 1, 0)]),
  trie: Buffer.from([...node3("main;", 0, 2), ...node3("work", 3, 0), ...node3("idle", 1, 0)]),
  speedscope: speedscopeOf({ type: "sampled", name: "", unit: "milliseconds", startValue: 0, endValue: 40, samples: [[0, 1], [0, 2]], weights: [30, 10] }),
};
const ENCODINGS = {
  none: [(body) => body, {}],
  "gzip without a header": [gzipSync, {}],
  gzip: [gzipSync, { "content-encoding": "gzip" }],
  "gzip twice": [(body) => gzipSync(gzipSync(body)), { "content-encoding": "gzip" }],
  deflate: [deflateSync, { "content-encoding": "deflate" }],
  "deflate, raw": [deflateRawSync, { "content-encoding": "deflate" }],
  zstd: [(body) => compress(body), { "content-encoding": "zstd" }],
};
const EXPECTED = { total: 40_000_000, nodes: { main: "40000000 0", "main;idle": "10000000 10000000", "main;work": "30000000 30000000" } };

function speedscopeOf(...profiles) {
  return Buffer.from(JSON.stringify({ $schema: "https://www.speedscope.app/file-format-schema.json", shared: { frames: ["main", "work", "idle"].map((name) => ({ name })) }, profiles }));
}

describe("formats of /ingest", function () {
  this.timeout(60_000);
  let node;

  before(async () => {
    await init();
    node = await RunningNode.start();
  });
  after(() => node?.close());

  const ingest = (name, query, body, headers = {}) => node.post(`/ingest?name=${encodeURIComponent(name)}&from=${FROM_S}&until=${FROM_S + 10}${query}`, body, headers);
  const graphOf = async (service, type, more = "") => flameGraphNodes((await node.call("SelectMergeStacktraces", { profileTypeID: type, labelSelector: `{service_name="${service}"${more}}`, ...RANGE })).flamegraph);

  for (const [format, body] of Object.entries(BODIES)) {
    it(`${format} is answered as what was sent, in every content encoding`, async () => {
      for (const [i, [encoding, [encode, headers]]] of Object.entries(ENCODINGS).entries()) {
        const service = `${format}-${i}`;
        const { status, text } = await ingest(service, `&format=${format}`, encode(body), headers);
        expect(status, `${encoding}: ${text}`).to.equal(200);
        expect(await graphOf(service, CPU), encoding).to.deep.equal(EXPECTED);
      }
    });
  }

  it("trie and tree are known by their content type", async () => {
    for (const format of ["trie", "tree"]) {
      expect((await ingest(`${format}-typed.wall`, "", BODIES[format], { "content-type": `binary/octet-stream+${format}` })).status).to.equal(200);
      expect(await graphOf(`${format}-typed`, WALL)).to.deep.equal(EXPECTED);
    }
  });

  it("several profiles of speedscope are each a series, all in memory and in segments, or none", async () => {
    const one = { type: "sampled", name: "one", unit: "milliseconds", startValue: 0, endValue: 40, samples: [[0, 1], [0, 2]], weights: [30, 10] };
    const evented = { type: "evented", name: "two", unit: "milliseconds", startValue: 0, endValue: 40, events: [{ type: "O", frame: 0, at: 0 }, { type: "O", frame: 1, at: 0 }, { type: "C", frame: 1, at: 30 }, { type: "O", frame: 2, at: 30 }, { type: "C", frame: 2, at: 40 }, { type: "C", frame: 0, at: 40 }] };
    const bytes = { ...one, name: "three", unit: "bytes" };
    expect((await ingest("several", "&format=speedscope", speedscopeOf(one, evented, bytes))).status).to.equal(200);
    expect((await ingest("none", "&format=speedscope", speedscopeOf(one, evented, { ...bytes, weights: [1] }))).status).to.equal(422);
    const check = async () => {
      for (const name of ["one", "two"]) expect(await graphOf("several", WALL, `,profile_name="${name}"`)).to.deep.equal(EXPECTED);
      expect(await graphOf("several", "memory:samples:bytes::")).to.deep.equal({ total: 40, nodes: { main: "40 0", "main;idle": "10 10", "main;work": "30 30" } });
      for (const type of [WALL, "memory:samples:bytes::"]) expect((await graphOf("none", type)).total).to.equal(0);
    };
    await check();
    await node.flush();
    await check();
  });

  it("the corpus' speedscope files", async function () {
    if (!hasCorpus("speedscope")) this.skip();
    expect((await ingest("simple", "&format=speedscope", corpusFile("speedscope", "simple.speedscope.json"))).status).to.equal(200);
    expect(await graphOf("simple", CPU, ',profile_name="simple.txt"')).to.deep.equal({ total: 140_000_000, nodes: { a: "140000000 0", "a;b": "140000000 50000000", "a;b;c": "50000000 50000000", "a;b;d": "40000000 40000000" } });
    expect((await ingest("two", "&format=speedscope", corpusFile("speedscope", "two-sampled.speedscope.json"))).status).to.equal(200);
    expect((await graphOf("two", WALL, ',profile_name="one"')).total).to.equal(14_000_000_000);
    expect((await graphOf("two", WALL)).total).to.equal(28_000_000_000);
  });

  it("a push and a query may be in zstd and deflate too", async () => {
    const message = Buffer.from(JSON.stringify({ matchers: ['{service_name="folded-0"}'], ...RANGE }));
    for (const [encoding, encode] of [["zstd", (body) => compress(body)], ["deflate", deflateSync]]) {
      const { status, text } = await node.post("/querier.v1.QuerierService/LabelNames", encode(message), { "content-type": "application/json", "content-encoding": encoding });
      expect(status, text).to.equal(200);
      expect(JSON.parse(text).names).to.include("service_name");
    }
    const unknown = await node.post("/querier.v1.QuerierService/LabelNames", message, { "content-type": "application/json", "content-encoding": "br" });
    expect([unknown.status, unknown.headers.get("accept-encoding")]).to.deep.equal([501, "gzip, zstd, deflate"]);
    const ofIngest = await ingest("br", "", BODIES.folded, { "content-encoding": "br" });
    expect([ofIngest.status, ofIngest.headers.get("accept-encoding")]).to.deep.equal([415, "gzip, zstd, deflate"]);
  });
});
