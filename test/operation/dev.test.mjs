/** `pyromesh dev`: three processes are one cluster, as a user sees it. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { freePorts } from "../harness/free-ports.mjs";
import { freshDataDir } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const BIN = fileURLToPath(new URL("../../packages/node/bin/pyromesh.js", import.meta.url));

describe("pyromesh dev", function () {
  this.timeout(120_000);
  let data;
  let dev;
  let httpPort;

  before(async () => {
    data = freshDataDir();
    httpPort = await freePorts(3);
    const clusterPort = await freePorts(3);
    dev = start(["dev", "--nodes", "3", "--dir", data.dir, "--http-port", String(httpPort), "--cluster-port", String(clusterPort), "--", "--limits.ingestion-rate-mb", "0", "--self-profile", "false"]);
    await dev.until((text) => text.includes("3 nodes are ready"));
  });
  after(async () => {
    dev?.child.kill("SIGTERM");
    await dev?.exited;
    data?.remove();
  });

  const url = (index) => `http://127.0.0.1:${httpPort + index}`;

  it("every node knows all three as active, and their shares are the whole ring", async () => {
    for (const index of [0, 1, 2]) {
      const { cluster, self, members, replication, acks } = await json(`${url(index)}/members?format=json`);
      expect([cluster, self, replication, acks]).to.deep.equal(["dev", `node-${index + 1}`, 3, 2]);
      expect(members.map(({ name, state }) => `${name} ${state}`)).to.deep.equal(["node-1 active", "node-2 active", "node-3 active"]);
      expect(members.reduce((sum, { share }) => sum + share, 0)).to.be.closeTo(1, 1e-9);
    }
  });

  it("what was pushed to one is in the answer of every other, with the same receipt", async () => {
    for (let number = 0; number < 30; number++) await push(url(number % 3), number);
    const receipts = await Promise.all([0, 1, 2].map((index) => receipt(url(index))));
    expect(receipts[0].records).to.equal(30);
    for (const other of receipts) expect([other.records, other.sum]).to.deep.equal([receipts[0].records, receipts[0].sum]);
  });

  it("the next node may be stopped; status is a table of three", async () => {
    const health = await run(["cluster", "health", "--url", url(1)]);
    expect([health.code, health.out]).to.deep.equal([0, "the next node may be stopped\n"]);
    const { out } = await run(["cluster", "status", "--url", url(0)]);
    expect(out).to.match(/^cluster dev, as node-1 \(\*\) sees it: 3 of 3 members active\n/);
  });

  it("one that is killed is missed, and neither pushes nor queries are", async () => {
    process.kill(Number(/node-3 \| started: .*process (\d+)/.exec(dev.text())[1]), "SIGKILL");
    await dev.until((text) => text.includes("node-3 | ended: SIGKILL"));
    for (let number = 30; number < 40; number++) await push(url(number % 2), number);
    for (const index of [0, 1]) expect((await receipt(url(index))).records).to.equal(40);
    await dev.until((text) => /^node-1 \| .* a member has another state .*member=node-3 state=dead/m.test(text));
    const { members } = await json(`${url(0)}/members?format=json`);
    expect(members.find(({ name }) => name === "node-3").state).to.equal("dead");
    const health = await run(["cluster", "health", "--url", url(0)]);
    expect([health.code, health.out.includes("node-3")]).to.deep.equal([1, true]);
  });

  it("Ctrl-C ends the others, cleanly", async () => {
    dev.child.kill("SIGINT");
    expect(await dev.exited).to.equal(0);
    expect(dev.text()).to.include("node-1 | ended: exit code 0").and.include("node-2 | ended: exit code 0");
  });
});

async function push(url, number) {
  const status = await pushNumbered({ url }, number, Date.now());
  if (status === 200) return;
  const { members } = await json(`${url}/api/v1/cluster/health`);
  throw new Error(`push ${number} to ${url} was answered ${status}: ${JSON.stringify(members, null, 2)}`);
}

async function receipt(url) {
  const now = Date.now();
  const { recordCount, identitySum } = await countedPushes({ url }, now - 3_600_000, now + 3_600_000);
  return { records: recordCount, sum: identitySum };
}

async function json(url) {
  return await (await fetch(url)).json();
}

function start(args) {
  const child = spawn(process.execPath, [BIN, ...args], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, UV_THREADPOOL_SIZE: "16" } });
  let text = "";
  const watchers = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      for (const watcher of watchers) watcher();
    });
  }
  const exited = new Promise((resolve) => child.once("close", (code) => resolve(code)));
  const until = (isThere) =>
    new Promise((resolve, reject) => {
      const look = () => {
        if (!isThere(text)) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      void exited.then((code) => reject(new Error(`ended with ${code}:\n${text}`)));
      look();
    });
  return { child, exited, until, text: () => text };
}

async function run(args) {
  const ran = start(args);
  const code = await ran.exited;
  return { code, out: ran.text() };
}
