/** The real node is stopped, twice, while it accepts pushes, answers queries, seals and uploads. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { call, freshDataDir, startNode } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const HOUR_MS = 3_600_000;
const FLAGS = ["--flush-interval", "200ms"];

describe("operation: a stop under load", function () {
  this.timeout(60_000);
  let data;
  let node;

  before(() => {
    data = freshDataDir();
  });
  after(async () => {
    await node?.kill();
    data.remove();
  });

  it("with a second signal: it exits with 0, logs no error and few lines of refusals, and keeps every acknowledged push", async () => {
    node = await startNode({ dataDir: data.dir, flags: FLAGS });
    const nowMs = Date.now();
    const acked = new Set();
    const sent = new Set();
    let isOver = false;
    let onManyAcked;
    const manyAcked = new Promise((resolve) => (onManyAcked = resolve));
    const repeat = async (work) => {
      while (!isOver && !node.hasExited()) await work().catch(() => sleep(5)); // the node ended during the request
    };
    const push = async () => {
      const n = sent.size;
      sent.add(n);
      if ((await pushNumbered(node, n, nowMs)) === 200) acked.add(n);
      if (acked.size >= 60) onManyAcked();
    };
    const query = () => call(node, "querier.v1.QuerierService/LabelNames", { start: String(nowMs - HOUR_MS), end: String(nowMs + HOUR_MS) });
    const flush = async () => (await fetch(`${node.url}/flush`, { method: "POST" })).arrayBuffer();
    const load = [push, push, push, push, push, push, query, query, flush].map(repeat);
    await manyAcked;
    const firstOfStop = node.log.length;
    process.kill(node.pid, "SIGTERM");
    await node.logged(/"msg":"stopping"/);
    process.kill(node.pid, "SIGTERM");
    expect(await node.exited).to.deep.equal({ code: 0, signal: null });
    isOver = true;
    await Promise.all(load);
    expect(node.log.filter((line) => line.includes('"level":"error"'))).to.deep.equal([]);
    expect(node.log.slice(firstOfStop).filter((line) => line.includes('"level":"warn"') && !line.includes("requests were refused"))).to.deep.equal([]);
    expect(node.log.filter((line) => line.includes("requests were refused")).length).to.be.lessThan(10);

    node = await startNode({ dataDir: data.dir, flags: FLAGS });
    const { counted } = await countedPushes(node, nowMs - HOUR_MS, nowMs + HOUR_MS);
    expect([...acked].filter((n) => counted.get(n) !== n + 1), "answered and gone").to.deep.equal([]);
    await node.stop();
  });
});
