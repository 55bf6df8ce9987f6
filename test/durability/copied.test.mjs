/**
 * A data dir is copied, and both copies run on one bucket: both stores have the same id and give the same ordinals to different segments.
 * Neither may overwrite a segment of the other, stop uploading, or lose or double a record.
 */
import { cpSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { freshDataDir, startNode } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const HOUR_MS = 3_600_000;

describe("durability: a copied data dir", function () {
  this.timeout(120_000);
  let root;
  let nodes;
  let nowMs;

  beforeEach(() => {
    root = freshDataDir();
    nodes = [];
    nowMs = Date.now();
  });
  afterEach(async () => {
    for (const node of nodes) await node.kill();
    root.remove();
  });

  const dirOf = (name) => path.join(root.dir, name);
  const start = async (name, env = {}) => {
    const node = await startNode({ dataDir: dirOf(name), flags: ["--bucket", `file://${dirOf("bucket")}`, "--flush-interval", "1h"], env });
    nodes.push(node);
    return node;
  };
  const flush = async (node) => (await fetch(`${node.url}/flush`, { method: "POST" })).status;
  const backlog = async (node) => Number(/^pyromesh_flush_backlog_segments (\d+)/m.exec(await (await fetch(`${node.url}/metrics`)).text())[1]);
  /** All pushes have one time, so that segments of both stores get the same name. */
  const push = async (node, ...numbers) => {
    for (const n of numbers) expect(await pushNumbered(node, n, nowMs)).to.equal(200);
  };
  const expectAll = async (node, numbers) => {
    const { counted, recordCount } = await countedPushes(node, nowMs - HOUR_MS, nowMs + HOUR_MS);
    expect([...counted].sort(([a], [b]) => a - b)).to.deep.equal(numbers.map((n) => [n, n + 1]));
    expect(recordCount).to.equal(numbers.length);
  };
  /** Checks what a node without local data reads from the bucket. */
  const expectInBucket = async (numbers) => {
    rmSync(dirOf("reader"), { recursive: true, force: true });
    const reader = await startNode({ dataDir: dirOf("reader"), flags: ["--bucket", `file://${dirOf("bucket")}`] });
    nodes.push(reader);
    await expectAll(reader, numbers);
    await reader.kill();
  };

  /** Two nodes on one bucket, each with a copy of a data dir that had pushes 0 and 1 in the bucket and 2 in the head. */
  async function copied() {
    const first = await start("first");
    await push(first, 0, 1);
    expect(await flush(first)).to.equal(200);
    await push(first, 2);
    await first.stop();
    cpSync(dirOf("first"), dirOf("second"), { recursive: true });
  }

  it("both upload all they took, nothing is lost or counted twice, also over restarts", async () => {
    await copied();
    const first = await start("first");
    const second = await start("second");
    await push(first, 10, 11);
    await push(second, 20, 21);
    expect([await flush(first), await flush(second)]).to.deep.equal([200, 200]);
    await push(first, 12);
    await push(second, 22);
    expect([await flush(first), await flush(second)]).to.deep.equal([200, 200]);
    await expectAll(second, [0, 1, 2, 10, 11, 20, 21, 22]); // it has found the segment that had its name; it finds 12 with its next LIST
    await expectInBucket([0, 1, 2, 10, 11, 12, 20, 21, 22]);
    for (const node of [first, second]) await node.stop();
    for (const [name, number] of [["first", 13], ["second", 23]]) {
      const node = await start(name);
      await expectAll(node, [0, 1, 2, 10, 11, 12, ...(name === "second" ? [13] : []), 20, 21, 22]);
      expect(await backlog(node)).to.equal(0);
      await push(node, number);
      expect(await flush(node)).to.equal(200);
      await node.stop();
    }
    await expectInBucket([0, 1, 2, 10, 11, 12, 13, 20, 21, 22, 23]);
  });

  it("one that starts when the bucket already lists the other's segments goes on under a new id before it uploads any", async () => {
    await copied();
    const first = await start("first");
    await push(first, 10);
    expect(await flush(first)).to.equal(200);
    const second = await start("second");
    expect(second.log.join("\n")).to.include("and this store gave only those below 1");
    await push(second, 20);
    expect(await flush(second)).to.equal(200);
    await expectInBucket([0, 1, 2, 10, 20]);
  });

  for (const point of ["flush-after-rename-file", "flush-after-rename"]) {
    it(`a kill -9 in the middle of renaming loses and doubles nothing: ${point}`, async () => {
      await copied();
      const first = await start("first");
      const doomed = await start("second", { PYROMESH_CRASH_AT: point }); // it must start before the other one uploads: after a LIST that shows the segment it would not have to rename its own
      await push(first, 10);
      expect(await flush(first)).to.equal(200);
      await push(doomed, 20);
      await fetch(`${doomed.url}/flush`, { method: "POST" }).catch(() => undefined);
      expect((await doomed.exited).signal).to.equal("SIGKILL");
      const second = await start("second");
      while ((await backlog(second)) > 0) await sleep(50);
      await push(second, 21);
      expect(await flush(second)).to.equal(200);
      await expectInBucket([0, 1, 2, 10, 20, 21]);
    });
  }
});
