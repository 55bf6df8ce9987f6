/** What the real node logs about refused requests: one line per tenant and reason, without any text of the client. */
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { freshDataDir, startNode } from "../harness/node-process.mjs";
import { numberedProfile } from "../harness/numbered-push.mjs";

/** The text that the tests send wherever a client can write something. */
const SECRET = "Pa55word";

describe("operation: refusals in the log", function () {
  this.timeout(60_000);
  let data;
  let node;

  before(async () => {
    data = freshDataDir();
    node = await startNode({ dataDir: data.dir, flags: ["--multitenancy", "true", "--limits.max-label-names-per-series", "3"] });
  });
  after(async () => {
    await node?.kill();
    data.remove();
  });

  const send = async (path, { tenant = "team-a", body, headers = {}, method = body === undefined ? "GET" : "POST" } = {}) => {
    const reply = await fetch(`${node.url}${path}`, { method, headers: { "x-scope-orgid": tenant, ...headers }, body });
    await reply.arrayBuffer();
    return reply.status;
  };
  const JSON_TYPE = { "content-type": "application/json" };
  const raw = (timeMs = Date.now()) => Buffer.from(numberedProfile(1, timeMs)).toString("base64");
  const push = (series, more = {}) => send("/push.v1.PusherService/Push", { body: JSON.stringify({ series }), headers: JSON_TYPE, ...more });
  const query = (method, message) => send(`/querier.v1.QuerierService/${method}`, { body: JSON.stringify(message), headers: JSON_TYPE });
  const label = (name, value) => ({ name, value });
  const NAME = label("__name__", "process_cpu");
  const refusalLines = () => node.log.filter((line) => line.includes("requests were refused")).map((line) => JSON.parse(line));

  it("two hundred equal refusals are two lines: the first at once, the others counted when the node stops", async () => {
    const tooMany = [{ labels: [NAME, label("service_name", "x"), label("a", "1"), label("b", "2"), label("c", SECRET)], samples: [{ rawProfile: raw() }] }];
    for (let round = 0; round < 4; round++) await Promise.all(Array.from({ length: 50 }, async () => expect(await push(tooMany, { tenant: "team-b" })).to.equal(400)));
    const lines = refusalLines().filter(({ tenant }) => tenant === "team-b");
    expect(lines.map(({ level, reason, count, status, route }) => ({ level, reason, count, status, route }))).to.deep.equal([
      { level: "warn", reason: "max_label_names_per_series", count: 1, status: 400, route: "/push.v1.PusherService/Push" },
    ]);
    expect(lines[0].example).to.match(/\w+ \w+/);
  });

  it("the log has no text of a client but its tenant, wherever the client sent it", async () => {
    const text = `main;${SECRET}`;
    const folded = (suffix, body, headers) => send(`/ingest?name=app.cpu${suffix}`, { body, headers });
    const one = (labels, sample = { rawProfile: raw() }) => push([{ labels, samples: [sample] }]);
    const range = { start: "0", end: String(Date.now()) };
    const sent = [
      () => one([NAME, label(SECRET, "x"), label(SECRET, "y")]),
      () => one([NAME, label(`${SECRET}-"'\n`, "x")]),
      () => one([NAME, label("service_name", `${SECRET}\u0000`)]),
      () => one([NAME, label("a", SECRET.repeat(1000))]),
      () => one([NAME, label(SECRET.repeat(1000), "a")]),
      () => one([NAME, label("service_name", SECRET)], { rawProfile: Buffer.from(SECRET).toString("base64") }),
      () => one([NAME, label("service_name", SECRET)], { rawProfile: SECRET.repeat(3) + "!" }),
      () => one([NAME, label("service_name", SECRET)], { rawProfile: raw(), ID: SECRET }),
      () => one([NAME, label("service_name", SECRET)], { rawProfile: raw(1_000) }),
      () => send("/push.v1.PusherService/Push", { body: `{"series": x"${SECRET}"${SECRET}`, headers: JSON_TYPE }),
      () => send("/push.v1.PusherService/Push", { body: `"${SECRET}"`, headers: JSON_TYPE }),
      () => send("/push.v1.PusherService/Push", { body: SECRET, headers: { "content-type": "application/proto" } }),
      () => send("/push.v1.PusherService/Push", { body: SECRET, headers: { "content-type": `application/${SECRET}` } }),
      () => send("/push.v1.PusherService/Push", { body: SECRET, headers: { ...JSON_TYPE, "content-encoding": SECRET } }),
      () => send("/push.v1.PusherService/Push", { body: SECRET, headers: { ...JSON_TYPE, "content-encoding": "gzip" } }),
      () => send("/push.v1.PusherService/Push", { body: gzipSync(SECRET).subarray(0, 20), headers: { ...JSON_TYPE, "content-encoding": "gzip" } }),
      () => send("/push.v1.PusherService/Push", { body: "{}", headers: { ...JSON_TYPE, "connect-timeout-ms": SECRET } }),
      () => folded("", `${text} ${SECRET}`),
      () => folded("", `${text} 99999999999999999999`),
      () => folded("", text),
      () => folded(`&from=${SECRET}`, `${text} 1`),
      () => folded(`&format=${SECRET}`, `${text} 1`),
      () => folded(`&sampleRate=${SECRET}`, `${text} 1`),
      () => folded("", `${text} 1`, { "idempotency-key": SECRET.repeat(100) }),
      () => folded("", SECRET, { "content-type": `multipart/form-data; boundary=${SECRET}` }),
      () => folded("", `--b\r\ncontent-disposition: form-data; name="sample_type_config"\r\n\r\n{"${SECRET}": ${SECRET}\r\n--b--\r\n`, { "content-type": "multipart/form-data; boundary=b" }),
      () => folded("&format=pprof", SECRET),
      () => send(`/ingest?name=app%7B${SECRET}%7D`, { body: `${text} 1` }),
      () => send(`/ingest?name=app%7Ba%22${SECRET}%3D1%7D`, { body: `${text} 1` }),
      () => send(`/ingest?name=app.${SECRET}`, { body: `${text} 1` }),
      () => query("SelectMergeStacktraces", { profileTypeID: SECRET, labelSelector: "{}", ...range }),
      () => query("SelectMergeStacktraces", { profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: SECRET, ...range }),
      () => query("SelectMergeStacktraces", { profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: `{a=~"[${SECRET}"}`, ...range }),
      () => query("SelectMergeStacktraces", { profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: `{a=~"(?P<${SECRET}"}`, ...range }),
      () => query("SelectMergeStacktraces", { profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: `{a="\\${SECRET}"}`, ...range }),
      () => query("LabelValues", { name: `${SECRET}"`, ...range, matchers: [SECRET] }),
      () => query("LabelNames", { start: SECRET, end: SECRET }),
      () => send("/querier.v1.QuerierService/LabelNames", { body: `{"start": "${SECRET}`, headers: JSON_TYPE }),
      () => send("/querier.v1.QuerierService/LabelNames", { body: `{"${SECRET}": 1}`, headers: JSON_TYPE }),
      () => send(`/pyroscope/render?query=${SECRET}&from=now-1h`),
      () => send(`/pyroscope/render?query=${encodeURIComponent(`process_cpu:cpu:nanoseconds:cpu:nanoseconds{${SECRET}}`)}&from=${SECRET}`),
      () => send(`/pyroscope/render?query=process_cpu:cpu:nanoseconds:cpu:nanoseconds%7B%7D&from=now-1h&until=now&format=${SECRET}`),
      () => send(`/${SECRET}`),
      () => send("/ready", { tenant: SECRET, method: SECRET.toUpperCase() }),
      () => send("/ingest?name=app", { tenant: `${SECRET}/..`, body: `${text} 1` }),
      () => send("/ingest?name=app", { tenant: "", body: `${text} 1` }),
    ];
    const statuses = [];
    for (const request of sent) statuses.push(await request());
    const refusedCount = statuses.filter((status) => status >= 400).length;
    expect(statuses.filter((status) => status === 500), "no bug of ours").to.deep.equal([]);
    expect(refusedCount).to.be.greaterThan(sent.length - 6);
    await node.stop();
    expect(node.log.filter((line) => line.toLowerCase().includes(SECRET.toLowerCase()))).to.deep.equal([]);
    const lines = refusalLines();
    const counted = lines.filter(({ tenant }) => tenant !== "team-b").reduce((sum, { count }) => sum + count, 0);
    expect(counted, "each is counted once").to.equal(refusedCount);
    for (const { tenant, reason } of lines) {
      expect(["team-a", "team-b", ""]).to.include(tenant);
      expect(reason).to.match(/^[a-z0-9_]+$/);
    }
    const ofB = lines.filter(({ tenant }) => tenant === "team-b").map(({ count }) => count);
    expect(ofB).to.deep.equal([1, 199]);
  });
});
