/**
 * The real node and a bucket that lost something: a segment, the folder, or all of it. A query that cannot be complete is refused and
 * says what to do. Nothing is created or forgotten silently.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, rmdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { openBucket, OBJECT_PREFIX } from "../../packages/block/dist/index.js";
import { RADOSGW_MISSING, startRadosgw } from "../../packages/block/dist/testing/index.js";
import { silentLogger, systemClock, systemRandom } from "../../packages/base/dist/index.js";
import { call, freshDataDir, spawnNode, startNode } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const BIN = fileURLToPath(new URL("../../packages/node/bin/pyromesh.js", import.meta.url));
const TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/** LIST runs every 3 s with it. */
const BUCKET_SPEED = 20;
const never = new AbortController().signal;

/** Every read of a range that a user can make, by name. */
const READS = {
  LabelNames: {},
  LabelValues: { name: "service_name" },
  Series: { matchers: [], labelNames: [] },
  ProfileTypes: {},
  SelectMergeStacktraces: { profileTypeID: TYPE, labelSelector: "{}" },
  SelectSeries: { profileTypeID: TYPE, labelSelector: "{}", step: 15, groupBy: [] },
  GetProfileStats: {},
};

describe("bucket: missing data", function () {
  this.timeout(180_000);
  let data;
  let nodes;
  /** In the middle of a past hour, so that all pushes are in one window. */
  let timeMs;
  let folder;
  const flags = () => ["--bucket", `file://${folder}`, "--flush-interval", "1h", "--limits.reject-older-than", "0"];

  beforeEach(() => {
    data = freshDataDir();
    nodes = [];
    timeMs = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 1_800_000;
    folder = path.join(data.dir, "bucket");
  });
  afterEach(async () => {
    for (const node of nodes) await node.kill();
    data.remove();
  });

  const dirOf = (name) => path.join(data.dir, name);
  const start = async (name = "one", more = []) => {
    const node = await startNode({ dataDir: dirOf(name), flags: [...flags(), ...more], bucketSpeed: BUCKET_SPEED });
    nodes.push(node);
    return node;
  };
  /** Pushes and flushes each of these numbers, which makes one segment each. */
  const pushAndFlush = async (node, ...numbers) => {
    for (const n of numbers) {
      expect(await pushNumbered(node, n, timeMs)).to.equal(200);
      expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
    }
  };
  const filesUnder = (dir) => (existsSync(dir) ? readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name)) : []);
  const segmentFile = (ordinal) => filesUnder(folder).find((file) => file.endsWith(`-${String(ordinal).padStart(10, "0")}.seg`));
  const read = (node, name, headers = {}) => call(node, `querier.v1.QuerierService/${name}`, { start: String(timeMs - 60_000), end: String(timeMs + 60_000), ...READS[name] }, headers);
  const counted = async (node) => [...(await countedPushes(node, timeMs - 60_000, timeMs + 60_000)).counted.keys()].sort((a, b) => a - b);
  const expectRefused = async (node, words) => {
    for (const name of Object.keys(READS)) {
      const reply = await read(node, name);
      expect(reply.status, name).to.equal(503);
      expect(reply.body.message, name).to.match(words);
    }
  };
  const run = (...args) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: "utf8" });
    return { status, stdout, stderr };
  };
  const untilAnswered = async (node, expected) => {
    for (const endMs = Date.now() + 20_000; ; ) {
      const keys = await counted(node).catch(() => undefined);
      if (keys !== undefined) return expect(keys).to.deep.equal(expected);
      expect(Date.now(), "it heals within seconds").to.be.lessThan(endMs);
      await sleep(100);
    }
  };
  const untilRefused = async (node, words) => {
    for (;;) {
      const { status, body } = await read(node, "Series");
      if (status === 503 && words.test(body.message)) return;
      await sleep(100);
    }
  };
  /** Returns the message of a start that is refused. */
  const refusedStart = async (name, more = []) => {
    const node = await spawnNode({ dataDir: dirOf(name), flags: [...flags(), ...more], bucketSpeed: BUCKET_SPEED }).catch((error) => ({ failed: String(error) }));
    if (node.failed !== undefined) return node.failed;
    nodes.push(node);
    expect(await node.exited).to.deep.equal({ code: 1, signal: null });
    return node.log.join("\n");
  };

  for (const [place, ordinal] of [["head", 0], ["middle", 1], ["tail", 2]]) {
    it(`a segment deleted at the ${place} while the node was down: every read is refused, a partial one names it, and forgetting answers without it`, async () => {
      const first = await start();
      await pushAndFlush(first, 0, 1, 2);
      await first.stop();
      rmSync(segmentFile(ordinal));
      let node = await start();
      await expectRefused(node, new RegExp(`segments that are missing from the bucket \\(window \\d{8}T\\d{2}, store [0-9a-f]{32}: ${ordinal} missing\\).*pyromesh bucket forget`));
      const partial = await read(node, "SelectMergeStacktraces", { "x-pyromesh-partial": "allow" });
      expect(partial.status).to.equal(200);
      expect([...partial.headers.values()].join()).to.include(`: ${ordinal} missing`);
      expect(await (await fetch(`${node.url}/metrics`)).text()).to.include("pyromesh_missing_segments 1");
      const other = await call(node, "querier.v1.QuerierService/LabelNames", { start: String(timeMs - 90_000_000), end: String(timeMs - 80_000_000) });
      expect(other.status, "another window is answered").to.equal(200);

      const [, window, store] = /window (\S+), store ([0-9a-f]{32})/.exec((await read(node, "Series")).body.message);
      const forgotten = run("bucket", "forget", "anonymous", window, store, String(ordinal), "--bucket", `file://${folder}`);
      expect(forgotten.stderr + forgotten.stdout).to.include("forgotten: ");
      await node.stop();
      node = await start();
      expect(await counted(node)).to.deep.equal([0, 1, 2].filter((n) => n !== ordinal));
      expect((await read(node, "GetProfileStats")).status).to.equal(200);
    });
  }

  it("a segment deleted while the node runs: the query that misses it lists, and is refused", async () => {
    const node = await start();
    await pushAndFlush(node, 0, 1, 2);
    rmSync(segmentFile(1));
    const reply = await read(node, "SelectMergeStacktraces");
    expect([reply.status, reply.body.code]).to.deep.equal([503, "unavailable"]);
    expect(reply.body.message).to.include(": 1 missing");
  });

  it("a fresh node on a bucket with a hole refuses as well, and answers after bucket forget; bucket status says how", async () => {
    const first = await start();
    await pushAndFlush(first, 0, 1, 2);
    await first.stop();
    rmSync(segmentFile(0));
    let fresh = await start("fresh");
    await expectRefused(fresh, /: 0 missing/);
    await fresh.stop();
    const status = run("bucket", "status", "--bucket", `file://${folder}`);
    expect(status.status).to.equal(0);
    const line = /pyromesh bucket (forget .*)$/m.exec(status.stdout);
    expect(line, status.stdout).to.not.equal(null);
    const wrong = run("bucket", ...line[1].split(" ").slice(0, -1), "7", "--bucket", `file://${folder}`);
    expect([wrong.status, wrong.stderr], "a typing error makes nothing missing").to.satisfy(([code, text]) => code === 1 && text.includes("SEGMENT_UNKNOWN"));
    const there = run("bucket", ...line[1].split(" ").slice(0, -1), "1-2", "--bucket", `file://${folder}`);
    expect(there.stderr).to.include("SEGMENT_IS_THERE");
    expect(run("bucket", ...line[1].split(" "), "--bucket", `file://${folder}`).status).to.equal(0);
    expect(run("bucket", "status", "--bucket", `file://${folder}`).stdout).to.include("nothing is missing");
    fresh = await start("fresh");
    expect(await counted(fresh)).to.deep.equal([1, 2]);
  });

  it("the folder moved away while the node was down: ready, pushes taken, queries refused, no folder made; back, all is counted", async () => {
    const first = await start();
    await pushAndFlush(first, 0, 1);
    await first.stop();
    renameSync(folder, dirOf("away"));
    const node = await start();
    expect(await pushNumbered(node, 2, timeMs)).to.equal(200);
    await expectRefused(node, /folder of .* is not there/);
    expect(existsSync(folder)).to.equal(false);
    renameSync(dirOf("away"), folder);
    await untilAnswered(node, [0, 1, 2]);
    await pushAndFlush(node, 3);
    expect(await counted(node)).to.deep.equal([0, 1, 2, 3]);
  });

  it("an empty folder in its place, as of a disk that is not mounted: the start is refused, and nothing is written there", async () => {
    const first = await start();
    await pushAndFlush(first, 0);
    await first.stop();
    renameSync(folder, dirOf("away"));
    mkdirSync(folder);
    const words = await refusedStart("one");
    expect(words).to.include("BUCKET_IDENTITY_GONE").and.include("--bucket file://").and.include("--bucket-init");
    expect(readdirSync(folder)).to.deep.equal([]);
  });

  it("the folder unmounted while the node runs: uploads stop, queries are refused, nothing is forgotten or written; it heals by itself", async () => {
    const node = await start();
    await pushAndFlush(node, 0, 1);
    renameSync(folder, dirOf("away"));
    mkdirSync(folder);
    await untilRefused(node, /no identity|not there/);
    expect(await pushNumbered(node, 2, timeMs)).to.equal(200);
    const flushing = fetch(`${node.url}/flush`, { method: "POST" });
    await expectRefused(node, /no identity|not there/);
    await node.logged(/a segment could not be uploaded/);
    expect(readdirSync(folder)).to.deep.equal([]);
    rmdirSync(folder);
    renameSync(dirOf("away"), folder);
    expect((await flushing).status).to.equal(200);
    await untilAnswered(node, [0, 1, 2]);
  });

  it("a bucket swapped for another node's: the start is refused; a running node neither uploads there nor answers", async () => {
    const first = await start();
    await pushAndFlush(first, 0);
    const own = folder;
    folder = dirOf("other");
    const second = await start("two");
    await pushAndFlush(second, 5);
    await second.stop();
    renameSync(own, dirOf("away"));
    renameSync(folder, own);
    folder = own;
    await untilRefused(first, /this data directory wrote to bucket/);
    expect(await pushNumbered(first, 1, timeMs)).to.equal(200);
    const flushing = fetch(`${first.url}/flush`, { method: "POST" }).catch(() => undefined); // the node is killed meanwhile
    await first.logged(/a segment could not be uploaded/);
    expect(filesUnder(folder).filter((file) => file.endsWith(".seg"))).to.have.lengthOf(1);
    await first.kill();
    await flushing;
    expect(await refusedStart("one")).to.include("BUCKET_IS_ANOTHER");
  });

  it("objects and no identity: a fresh data directory is refused, and --bucket-init takes it", async () => {
    const first = await start();
    await pushAndFlush(first, 0, 1);
    await first.stop();
    rmSync(path.join(folder, "pyromesh-bucket.json"));
    expect(await refusedStart("fresh")).to.include("BUCKET_NOT_EMPTY");
    const node = await start("fresh", ["--bucket-init"]);
    expect(await counted(node)).to.deep.equal([0, 1]);
  });

  it("the bucket of the build before, without its folder: no push is lost, and a fresh node on its bucket answers the same", async () => {
    cpSync(fileURLToPath(new URL("../golden/a09efd0", import.meta.url)), data.dir, { recursive: true });
    const [startMs, endMs] = [Date.UTC(2026, 0, 2, 3), Date.UTC(2026, 0, 2, 5)];
    const all = Array.from({ length: 40 }, (_, n) => n);
    const count = async (node) => [...(await countedPushes(node, startMs, endMs)).counted.keys()].sort((a, b) => a - b);
    renameSync(folder, dirOf("away"));
    mkdirSync(folder);
    expect(await refusedStart("data")).to.include("BUCKET_LACKS_SEGMENTS");
    rmdirSync(folder);
    renameSync(dirOf("away"), folder);
    const node = await start("data");
    expect(await count(node)).to.deep.equal(all);
    expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
    const fresh = await start("fresh");
    expect(await count(fresh)).to.deep.equal(all);
  });

  it("on a real S3 server: a segment deleted is missed by a fresh node, and forgotten", async function () {
    const rados = await startRadosgw();
    if (rados === undefined) {
      console.log(`  ${RADOSGW_MISSING}`);
      return this.skip();
    }
    const before = { ...process.env };
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: rados.accessKey, AWS_SECRET_ACCESS_KEY: rados.secretKey });
    try {
      const url = `s3://${await rados.makeBucket()}/here?endpoint=${encodeURIComponent(rados.endpoint)}&region=us-east-1&path-style=true`;
      const on = async (name) => {
        const node = await startNode({ dataDir: dirOf(name), flags: ["--bucket", url, "--flush-interval", "1h", "--limits.reject-older-than", "0"], bucketSpeed: BUCKET_SPEED });
        nodes.push(node);
        return node;
      };
      const first = await on("one");
      await pushAndFlush(first, 0, 1, 2);
      const bucket = await openBucket(url, { dataDir: "", clock: systemClock, random: systemRandom, logger: silentLogger });
      const keys = [];
      for await (const page of bucket.list(OBJECT_PREFIX, {}, never)) keys.push(...page.map(({ key }) => key));
      await bucket.delete(keys.find((key) => key.endsWith("0000000001.seg")), never);
      await bucket.close();
      const fresh = await on("fresh");
      await expectRefused(fresh, /: 1 missing/);
      await fresh.stop();
      const line = /pyromesh bucket (forget .*)$/m.exec(run("bucket", "status", "--bucket", url).stdout);
      expect(run("bucket", ...line[1].split(" "), "--bucket", url).status).to.equal(0);
      expect(await counted(await on("fresh"))).to.deep.equal([0, 2]);
    } finally {
      process.env = before;
      await rados.stop();
    }
  });
});
