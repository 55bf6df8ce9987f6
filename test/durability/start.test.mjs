/**
 * The real node during its start: it is alive at once, it is not ready before it can answer, and it ends where the start fails or is
 * stopped.
 */
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { call, freshDataDir, spawnNode, startNode, untilReady } from "../harness/node-process.mjs";
import { countedPushes, numberedProfile, pushNumbered } from "../harness/numbered-push.mjs";

const HOUR_MS = 3_600_000;
const FLAGS = ["--flush-interval", "1h", "--flush-size", "1GB"];
const RECORDS_A_PUSH = 200;

describe("durability: the start", function () {
  this.timeout(120_000);
  let data;
  let node;
  let nowMs;

  beforeEach(() => {
    data = freshDataDir();
    nowMs = Date.now();
  });
  afterEach(async () => {
    await node?.kill();
    data.remove();
  });

  /** Leaves `count` records in the head, from `push-0` to `push-<count - 1>`. */
  async function fill(count) {
    node = await startNode({ dataDir: data.dir, flags: FLAGS });
    for (let first = 0; first < count; first += RECORDS_A_PUSH) {
      const series = Array.from({ length: RECORDS_A_PUSH }, (_, index) => ({
        labels: [
          { name: "__name__", value: "process_cpu" },
          { name: "service_name", value: `service-${index % 3}` },
        ],
        samples: [{ rawProfile: Buffer.from(numberedProfile(first + index, nowMs)).toString("base64") }],
      }));
      expect((await call(node, "push.v1.PusherService/Push", { series })).status).to.equal(200);
    }
    expect(await node.stop()).to.deep.equal({ code: 0, signal: null });
  }

  const get = async (path) => {
    const reply = await fetch(`${node.url}${path}`);
    return { status: reply.status, text: await reply.text() };
  };
  const query = (at) => call(at, "querier.v1.QuerierService/LabelNames", { start: String(nowMs - HOUR_MS), end: String(nowMs + HOUR_MS) });

  it("while it replays it is alive, says how far it has come and refuses with 503 what it cannot answer; then all of it is there", async () => {
    await fill(8_000);
    node = await spawnNode({ dataDir: data.dir, flags: FLAGS });
    const words = new Set();
    const alive = [];
    let isSeen = false;
    for (;;) {
      const sentMs = performance.now();
      expect(await get("/-/healthy")).to.deep.equal({ status: 200, text: "ok\n" });
      alive.push(performance.now() - sentMs);
      const ready = await get("/ready");
      if (ready.status === 200) break;
      expect(ready.status).to.equal(503);
      words.add(ready.text.replace(/\d+(\.\d+)?/g, "N"));
      if (isSeen || !ready.text.includes("replaying")) continue;
      isSeen = true;
      const [queried, flushed] = await Promise.all([
        query(node),
        fetch(`${node.url}/flush`, { method: "POST" }).then(async (reply) => ({ status: reply.status, headers: reply.headers, body: await reply.json() })),
      ]);
      for (const reply of [queried, flushed]) {
        expect(reply.status).to.equal(503);
        expect(reply.body.message).to.match(/this node is starting \(replaying the head: \d+ of 8000 records/);
        expect(Number(reply.headers.get("retry-after"))).to.be.within(1, 60);
      }
      expect(await pushNumbered(node, 8_000, nowMs)).to.equal(503);
      expect((await get("/metrics")).text).to.include("pyromesh_build_info");
    }
    expect(isSeen, "the replay was seen").to.equal(true);
    expect([...words]).to.include("not ready: replaying the head: N of N records, N of N MB\n");
    // Generous, as other processes share these cores: it was ten times this while the replay held the thread for a thousand records or a
    // whole table.
    expect(Math.max(...alive)).to.be.lessThan(1000);
    const { counted, recordCount } = await countedPushes(node, nowMs - HOUR_MS, nowMs + HOUR_MS);
    expect([counted.size, recordCount]).to.deep.equal([8_000, 8_000]);
  });

  it("SIGTERM during the replay, twice, ends it with 0 at once, and nothing is lost", async () => {
    await fill(8_000);
    node = await spawnNode({ dataDir: data.dir, flags: FLAGS });
    const sentMs = performance.now();
    process.kill(node.pid, "SIGTERM");
    process.kill(node.pid, "SIGTERM");
    expect(await node.exited).to.deep.equal({ code: 0, signal: null });
    expect(performance.now() - sentMs).to.be.lessThan(5000);
    expect(node.log.filter((line) => line.includes('"level":"error"'))).to.deep.equal([]);
    node = await startNode({ dataDir: data.dir, flags: FLAGS });
    expect((await countedPushes(node, nowMs - HOUR_MS, nowMs + HOUR_MS)).recordCount).to.equal(8_000);
  });

  it("a start that fails ends with 1 and its sentence, although HTTP listens", async () => {
    node = await startNode({ dataDir: data.dir, flags: FLAGS });
    const second = await spawnNode({ dataDir: data.dir, flags: FLAGS });
    expect(await second.exited).to.deep.equal({ code: 1, signal: null });
    expect(second.log.join("\n")).to.match(new RegExp(`pyromesh: the data directory .* is held by process ${node.pid} on .*HEAD_LOCKED`));
  });

  describe("with a bucket that takes connections and never answers", () => {
    let server;
    let flags;
    const env = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" };

    beforeEach(async () => {
      const sockets = new Set();
      server = createServer((socket) => sockets.add(socket.on("error", () => {})));
      server.stop = () => sockets.forEach((socket) => socket.destroy()) ?? new Promise((resolve) => server.close(resolve));
      await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
      flags = [...FLAGS, "--bucket", `s3://profiles?endpoint=http://127.0.0.1:${server.address().port}&path-style=true&region=eu-1`];
    });
    afterEach(async () => {
      await node?.kill();
      await server.stop();
    });

    it("it is ready after 2 s where it has data of its own, and takes pushes; a query says what may be missing", async () => {
      await fill(200);
      node = await spawnNode({ dataDir: data.dir, flags, env });
      const listeningMs = performance.now();
      await untilReady(node);
      // 2 s of waiting for the bucket, and the start itself on shared cores. It was 41 s before the wait was bounded.
      expect(performance.now() - listeningMs).to.be.lessThan(6000);
      expect(await pushNumbered(node, 200, nowMs)).to.equal(200);
      const refused = await query(node);
      expect(refused.status).to.equal(503);
      expect(refused.body.message).to.include("did not answer within 2 s");
      expect(await node.stop()).to.deep.equal({ code: 0, signal: null });
    });

    it("with a fresh data dir it waits, says so in /ready, and SIGTERM ends it", async () => {
      node = await spawnNode({ dataDir: data.dir, flags, env });
      let ready;
      do {
        await sleep(10);
        ready = await get("/ready");
      } while (!ready.text.includes("bucket: "));
      expect(ready).to.deep.equal({ status: 503, text: "not ready: waiting for the bucket: it was asked for what it holds and has not answered yet\n" });
      expect((await get("/-/healthy")).status).to.equal(200);
      expect(await node.stop()).to.deep.equal({ code: 0, signal: null });
    });
  });
});
