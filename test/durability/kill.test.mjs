/**
 * An acknowledged push is kept and counted once: the real process is killed (SIGKILL) at each named step of the flush and under load,
 * started again, and queried. The page cache survives a kill, so this proves recovery but not syncing, which the tests of packages/head
 * prove.
 */
import { expect } from "chai";
import { freshDataDir, startNode } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered, pushText } from "../harness/numbered-push.mjs";

const CRASH_POINTS = [
  "flush-before-cut",
  "flush-after-cut",
  "flush-after-build",
  "flush-after-local-file",
  "flush-after-seal",
  "flush-after-upload",
  "flush-after-verify",
  "flush-after-unseal",
  "flush-after-local-delete",
];
const HOUR_MS = 3_600_000;

async function expectExactly(node, acked, sent, nowMs) {
  const { counted, recordCount } = await countedPushes(node, nowMs - HOUR_MS, nowMs + HOUR_MS);
  for (const n of acked) expect(counted.get(n), `push ${n} was acked`).to.equal(n + 1);
  for (const [n, value] of counted) {
    expect(sent.has(n), `push ${n} was sent`).to.equal(true);
    expect(value, `push ${n} is counted once`).to.equal(n + 1);
  }
  expect(recordCount).to.equal(counted.size);
  return counted.size;
}

describe("durability: kill -9", function () {
  this.timeout(120_000);
  let data;
  let node;

  beforeEach(() => {
    data = freshDataDir();
  });
  afterEach(async () => {
    await node?.kill();
    data.remove();
  });

  for (const point of CRASH_POINTS) {
    it(`nothing lost, nothing doubled: ${point}`, async () => {
      const nowMs = Date.now();
      const flags = ["--flush-interval", "1h"];
      node = await startNode({ dataDir: data.dir, flags, env: { PYROMESH_CRASH_AT: point } });
      const acked = new Set();
      // Two windows, so that the step is between two segments of one cut.
      for (let n = 0; n < 40; n++) if ((await pushNumbered(node, n, nowMs - (n % 2) * (HOUR_MS - 60_000))) === 200) acked.add(n);
      expect(acked.size).to.equal(40);
      await fetch(`${node.url}/flush`, { method: "POST" }).catch(() => undefined);
      expect((await node.exited).signal).to.equal("SIGKILL");

      node = await startNode({ dataDir: data.dir, flags });
      await expectExactly(node, acked, acked, nowMs);
      expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
      await expectExactly(node, acked, acked, nowMs);
      await node.stop();
      node = await startNode({ dataDir: data.dir, flags });
      expect(await expectExactly(node, acked, acked, nowMs)).to.equal(40);
    });
  }

  it("every answered push is there once, one without an answer at most once (8 in flight, killed while it flushes)", async () => {
    const nowMs = Date.now();
    const acked = new Set();
    const sent = new Set();
    let next = 0;
    for (let round = 0; round < 3; round++) {
      node = await startNode({ dataDir: data.dir, flags: ["--flush-interval", "1s"] });
      const killAfter = acked.size + 150 + round * 70;
      const workers = Array.from({ length: 8 }, async () => {
        for (;;) {
          const n = next++;
          sent.add(n);
          const status = await pushNumbered(node, n, nowMs);
          if (status === undefined) return;
          if (status === 200) acked.add(n);
          if (acked.size === killAfter) void node.kill();
        }
      });
      await Promise.all(workers);
      await node.exited;
    }
    node = await startNode({ dataDir: data.dir, flags: ["--flush-interval", "1h"] });
    await expectExactly(node, acked, sent, nowMs);
    expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
    await expectExactly(node, acked, sent, nowMs);
  });

  it("the same push again is counted once: in the head, after its flush, and across both", async () => {
    const nowMs = Date.now();
    node = await startNode({ dataDir: data.dir, flags: ["--flush-interval", "1h"] });
    const all = new Set([0, 1, 2]);
    for (let round = 0; round < 3; round++) {
      for (const n of all) expect(await pushNumbered(node, n, nowMs)).to.equal(200);
      await expectExactly(node, all, all, nowMs);
      await fetch(`${node.url}/flush`, { method: "POST" });
      await expectExactly(node, all, all, nowMs);
    }
  });

  it("a push without a clock is counted once by its id or key, before and after a kill, and flushed in between", async () => {
    const nowMs = Date.now();
    const flags = ["--flush-interval", "1h"];
    const all = new Set([0, 1, 2]);
    const pushAll = async () => {
      const statuses = [
        await pushNumbered(node, 0, 0, { sample: { ID: "7d9f8a52-1b5a-4a7e-9d5c-0d5b6f0f4b11" } }),
        await pushNumbered(node, 1, 0, { headers: { "idempotency-key": "one" } }),
        await pushText(node, 2, { "idempotency-key": "two" }),
      ];
      expect(statuses).to.deep.equal([200, 200, 200]);
      await expectExactly(node, all, all, nowMs);
    };
    node = await startNode({ dataDir: data.dir, flags });
    for (let round = 0; round < 2; round++) await pushAll();
    await node.kill();
    node = await startNode({ dataDir: data.dir, flags });
    for (let round = 0; round < 2; round++) {
      await pushAll();
      expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
      await expectExactly(node, all, all, nowMs);
    }
    expect(await pushNumbered(node, 1, 0, { headers: { "idempotency-key": "another" } })).to.equal(200);
    const { counted } = await countedPushes(node, nowMs - HOUR_MS, nowMs + HOUR_MS);
    expect(counted.get(1), "by another key it is another").to.equal(4);
  });

  it("SIGTERM ends with 0 and keeps what is unflushed", async () => {
    const nowMs = Date.now();
    node = await startNode({ dataDir: data.dir, flags: ["--flush-interval", "1h"] });
    const all = new Set([0, 1, 2, 3]);
    for (const n of all) await pushNumbered(node, n, nowMs);
    expect(await node.stop()).to.deep.equal({ code: 0, signal: null });
    node = await startNode({ dataDir: data.dir, flags: ["--flush-interval", "1h"] });
    expect(await expectExactly(node, all, all, nowMs)).to.equal(4);
  });

  it("SIGTERM ends with 0 as soon as the node listens, also where it is about to profile itself", async () => {
    node = await startNode({ dataDir: data.dir, flags: ["--self-profile"] });
    expect(await node.stop()).to.deep.equal({ code: 0, signal: null });
    expect(node.log.filter((line) => line.includes('"level":"error"'))).to.deep.equal([]);
  });

  it("a second process on the same data dir refuses and says who holds it", async () => {
    node = await startNode({ dataDir: data.dir });
    const second = await startNode({ dataDir: data.dir }).then(
      () => "started",
      (error) => error.message,
    );
    expect(second).to.contain(String(node.pid)).and.to.match(/HEAD_LOCKED|holds|in use/);
  });
});
