/**
 * A worker thread of the real process runs out of heap during each kind of call. The node goes on, every acknowledged push is in the
 * answers and segments and counted once, and a query that does it repeatedly is refused.
 */
import { expect } from "chai";
import { call, freshDataDir, startNode } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const HOUR_MS = 3_600_000;
const FLAGS = ["--flush-interval", "1h", "--workers", "2"];
/** The flag bounds every heap, those of workers too: a thread fills 150 MB in a moment, and the default of this machine never. */
const SMALL_HEAPS = { NODE_OPTIONS: "--max-old-space-size=150" };

async function expectExactly(node, acked, nowMs) {
  const { counted, recordCount } = await countedPushes(node, nowMs - HOUR_MS, nowMs + HOUR_MS);
  expect([...counted].sort(([a], [b]) => a - b)).to.deep.equal([...acked].sort((a, b) => a - b).map((n) => [n, n + 1]));
  expect(recordCount).to.equal(acked.size);
}

async function restartCount(node) {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return [...text.matchAll(/^pyromesh_worker_restarts_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Pushes until the push is accepted, as an agent does. */
async function pushUntilTaken(node, n, nowMs) {
  for (let time = 0; time < 20; time++) {
    const status = await pushNumbered(node, n, nowMs);
    if (status === 200) return;
    expect(status, `push ${n}`).to.equal(503);
  }
  throw new Error(`push ${n} was never taken`);
}

describe("durability: a worker thread that runs out of heap", function () {
  this.timeout(180_000);
  let data;
  let node;

  beforeEach(() => {
    data = freshDataDir();
  });
  afterEach(async () => {
    await node?.kill();
    data.remove();
  });

  for (const at of ["push", "rows", "scan", "finish", "build"]) {
    it(`the first thread of each worker, at ${at}: nothing lost, nothing doubled, in memory and in the segment`, async () => {
      const nowMs = Date.now();
      // A query is refused after the second death that it caused, so each worker dies once here.
      node = await startNode({ dataDir: data.dir, flags: FLAGS, env: { ...SMALL_HEAPS, PYROMESH_CRASH_WORKER_AT: `${at}::1` } });
      const acked = new Set();
      for (let n = 0; n < 30; n++) {
        await pushUntilTaken(node, n, nowMs);
        acked.add(n);
      }
      if (at === "scan" || at === "finish") {
        const query = () => countedPushes(node, nowMs - HOUR_MS, nowMs + 2 * HOUR_MS).then(() => "answered", (error) => error.message);
        expect(await query()).to.match(/ 503: .*a worker thread died/);
      }
      await expectExactly(node, acked, nowMs);
      for (;;) {
        const { status } = await fetch(`${node.url}/flush`, { method: "POST" });
        if (status === 200) break;
        expect(status).to.equal(503);
      }
      await expectExactly(node, acked, nowMs);
      expect(await restartCount(node)).to.be.above(0);
      await node.stop();
      node = await startNode({ dataDir: data.dir, flags: FLAGS });
      await expectExactly(node, acked, nowMs);
    });
  }

  it("a query that kills workers is refused the third time, for a stated time, while all pushes are accepted and counted", async () => {
    const nowMs = Date.now();
    node = await startNode({ dataDir: data.dir, flags: FLAGS, env: { ...SMALL_HEAPS, PYROMESH_CRASH_WORKER_AT: "scan:too-much" } });
    const acked = new Set();
    const refused = [];
    let isOver = false;
    let next = 0;
    const pushers = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const n = next++;
        const status = await pushNumbered(node, n, nowMs);
        if (status === 200) acked.add(n);
        else refused.push([n, status]);
      }
    });
    const ask = () =>
      call(node, "querier.v1.QuerierService/SelectMergeStacktraces", {
        profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
        labelSelector: '{pod!="too-much"}',
        start: String(nowMs - HOUR_MS),
        end: String(nowMs + HOUR_MS),
      });
    while (acked.size < 50) await pushNumbered(node, 0, nowMs);
    const statuses = [];
    for (let time = 0; time < 4; time++) {
      const { status, body } = await ask();
      statuses.push(status);
      if (status === 400) expect(body.message).to.match(/^this query ended two worker threads, so it is refused for another \d+ s: ask for less/);
    }
    expect(statuses[0]).to.equal(503);
    expect(statuses.at(-1)).to.equal(400);
    isOver = true;
    await Promise.all(pushers);
    // The thread worked on nothing but the scan when it died, so no push was refused.
    expect(refused).to.deep.equal([]);
    await expectExactly(node, acked, nowMs);
    expect(node.log.filter((line) => line.includes("a worker thread died: ")).length).to.be.within(2, 4);
    expect((await fetch(`${node.url}/flush`, { method: "POST" })).status).to.equal(200);
    await expectExactly(node, acked, nowMs);
  });
});
