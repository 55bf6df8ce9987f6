/** Limits of a real node: series are counted, session ids are folded, and a changed file applies without a restart. */
import { renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { call, freshDataDir, startNode } from "../harness/node-process.mjs";
import { numberedProfile } from "../harness/numbered-push.mjs";

const HOUR_MS = 3_600_000;

describe("limits of a real node", function () {
  this.timeout(60_000);
  let data;
  let node;
  let file;
  const nowMs = Date.now();
  let pushCount = 0;

  const configure = (text) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  const start = async (text, env = {}) => {
    data = freshDataDir();
    file = path.join(data.dir, "pyromesh.yaml");
    configure(text);
    node = await startNode({ dataDir: data.dir, flags: ["--config", file], env: { PYROMESH_CONFIG_RELOAD_INTERVAL: "50ms", ...env } });
  };
  afterEach(async () => {
    await node?.kill();
    data?.remove();
    node = undefined;
  });

  /** A new profile for the series of `pod`. */
  const push = (pod, labels = {}) => {
    const all = { __name__: "process_cpu", service_name: "shop", pod, ...labels };
    const rawProfile = Buffer.from(numberedProfile(pushCount++, nowMs)).toString("base64");
    return call(node, "push.v1.PusherService/Push", { series: [{ labels: Object.entries(all).map(([name, value]) => ({ name, value })), samples: [{ rawProfile }] }] });
  };
  const page = async (route) => (await fetch(`${node.url}${route}`)).text();
  const metric = async (line) => {
    const found = (await page("/metrics")).split("\n").find((each) => each.startsWith(`${line} `));
    return found === undefined ? undefined : Number(found.slice(line.length + 1));
  };
  /** Resolves when `probe` returns `wanted`. The node checks its file every 50 ms. */
  const until = async (wanted, probe) => {
    let last;
    for (const endMs = Date.now() + 20_000; Date.now() < endMs; ) {
      last = await probe();
      if (last === wanted) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`waited for ${wanted} and last saw ${last}`);
  };

  it("a new series above the limit is 429 series_limit, active ones go on, and a raised limit applies live", async () => {
    await start("overrides:\n  anonymous:\n    max_global_series_per_tenant: 2\n");
    expect((await push("a")).status).to.equal(200);
    expect((await push("b")).status).to.equal(200);
    const refused = await push("c");
    expect([refused.status, refused.body.code]).to.deep.equal([429, "resource_exhausted"]);
    expect(refused.body.message).to.match(/2 active series of at most 2 \(limit max_global_series_per_tenant\)/);
    expect(refused.headers.get("retry-after")).to.equal("60");
    expect((await push("a")).status).to.equal(200);
    expect(await metric('pyromesh_discarded_samples_total{reason="series_limit",tenant="anonymous"}')).to.equal(1);
    expect(await metric('pyromesh_head_series{tenant="anonymous"}')).to.equal(2);
    expect(await metric("pyromesh_head_series_created_total")).to.equal(2);

    const ingest = await fetch(`${node.url}/ingest?name=shop%7Bpod%3Dz%7D&from=${Math.floor(nowMs / 1000)}&format=folded`, { method: "POST", body: "a;b 1\n" });
    expect([ingest.status, (await ingest.json()).code]).to.deep.equal([429, "resource_exhausted"]);

    configure("overrides:\n  anonymous:\n    max_global_series_per_tenant: 3\n");
    await until(200, async () => (await push("c")).status);
    expect(await page("/runtime_config?mode=diff")).to.equal("overrides:\n  anonymous:\n    max_global_series_per_tenant: 3\n");
    expect((await push("d")).status).to.equal(429);
  });

  it("series in the head count again after a kill", async () => {
    await start("limits:\n  max_local_series_per_tenant: 2\n");
    await push("a");
    await push("b");
    await node.kill();
    node = await startNode({ dataDir: data.dir, flags: ["--config", file] });
    expect(await metric('pyromesh_head_series{tenant="anonymous"}')).to.equal(2);
    expect((await push("c")).status).to.equal(429);
    expect((await push("b")).status).to.equal(200);
  });

  it("a broken file changes nothing, is logged once, and shows in a metric until it is repaired", async () => {
    await start("limits:\n  max_label_names_per_series: 4\noverrides:\n  anonymous:\n    max_global_series_per_tenant: 7\n");
    const isGood = () => metric("pyromesh_runtime_config_last_reload_successful");
    expect(await isGood()).to.equal(1);
    configure("overrides:\n  anonymous:\n    max_global_serie_per_tenant: 1\n");
    await node.logged(/is not taken over/);
    expect(await isGood()).to.equal(0);
    expect(await page("/runtime_config?mode=diff")).to.equal("overrides:\n  anonymous:\n    max_global_series_per_tenant: 7\n");
    configure("limits:\n  max_label_names_per_series: 5\n");
    await node.logged(/the configuration file is good again/);
    expect(await isGood()).to.equal(1);
    expect(await page("/runtime_config")).to.equal("overrides: {}\n");
    expect(await page("/config")).to.match(/max_label_names_per_series: 5\n/);
    expect(JSON.parse(await page("/api/v1/tenant_limits")).max_label_names_per_series).to.equal(5);
    expect(node.log.filter((line) => line.includes("is not taken over"))).to.have.lengthOf(1);
    expect(node.log.filter((line) => line.includes("did you mean max_global_series_per_tenant"))).to.have.lengthOf(1);
  });

  it("session ids are folded to the limit per series, and dropped where it is 0", async () => {
    await start("limits:\n  max_sessions_per_series: 3\n");
    for (let i = 0; i < 9; i++) {
      const sessionId = Buffer.alloc(8);
      sessionId.writeBigUInt64LE(BigInt(i) * 1_000_003n);
      expect((await push("a", { __session_id__: sessionId.toString("hex") })).status).to.equal(200);
    }
    const sessions = async () => (await call(node, "querier.v1.QuerierService/LabelValues", { name: "__session_id__", start: nowMs - HOUR_MS, end: nowMs + HOUR_MS })).body.names;
    expect(await sessions()).to.deep.equal(["0000000000000000", "0100000000000000", "0200000000000000"]);
    expect(await metric('pyromesh_head_series{tenant="anonymous"}')).to.equal(3);
    configure("limits:\n  max_sessions_per_series: 0\n");
    await until(0, async () => JSON.parse(await page("/api/v1/tenant_limits")).max_sessions_per_series);
    await push("dropped", { __session_id__: "ff00000000000000" });
    expect(await sessions()).to.have.lengthOf(3);
    expect(await metric('pyromesh_head_series{tenant="anonymous"}')).to.equal(4);
  });

  it("the bucket's requests are on the metrics page", async () => {
    await start("flush_interval: 1h\n");
    // The first put of a fresh node is the bucket's identity.
    expect(await metric('pyromesh_bucket_requests_total{operation="put",outcome="ok"}')).to.equal(1);
    const identityBytes = await metric('pyromesh_bucket_written_bytes_total{operation="put"}');
    await push("a");
    expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
    expect(await metric('pyromesh_bucket_requests_total{operation="put",outcome="ok"}')).to.equal(2);
    expect(await metric('pyromesh_bucket_request_duration_seconds_count{operation="put"}')).to.equal(2);
    expect(await metric('pyromesh_bucket_requests_total{operation="list",outcome="ok"}')).to.be.greaterThan(0);
    const written = (await metric('pyromesh_bucket_written_bytes_total{operation="put"}')) - identityBytes;
    expect(written).to.be.greaterThan(100);
    expect(await metric("pyromesh_flushed_bytes_total")).to.equal(written);
    expect(await metric('pyromesh_bucket_read_bytes_total{operation="get_range"}'), "read back").to.be.greaterThan(0);
  });
});
