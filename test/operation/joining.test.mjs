/** How nodes become one cluster, and who is kept out: real processes, by the settings that an operator writes. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { freePorts } from "../harness/free-ports.mjs";
import { freshDataDir, spawnNode, untilReady } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const DEADLINE_MS = 30_000;

describe("joining a cluster", function () {
  this.timeout(120_000);
  let data;
  let ports;
  let running;

  beforeEach(async () => {
    data = freshDataDir();
    ports = await freePorts(5);
    running = [];
    writeFileSync(path.join(data.dir, "secret"), "0123456789abcdef\n");
    writeFileSync(path.join(data.dir, "other-secret"), "fedcba9876543210\n");
  });
  afterEach(async () => {
    await Promise.all(running.map((node) => node.kill()));
    data.remove();
  });

  /** Starts node `index`; each of `settings` replaces one of the common ones. */
  async function start(index, settings = {}) {
    const common = {
      "node-name": `node-${index}`,
      "cluster-name": "test",
      "cluster-addr": `127.0.0.1:${ports + index}`,
      "cluster-secret-file": path.join(data.dir, "secret"),
      bucket: `file://${path.join(data.dir, "bucket")}`,
      join: [0, 1, 2].map((other) => `127.0.0.1:${ports + other}`).join(","),
    };
    const given = Object.entries({ ...common, ...settings }).filter(([, value]) => value !== undefined);
    const node = await spawnNode({ dataDir: path.join(data.dir, settings.dir ?? `data-${index}`), flags: given.filter(([name]) => name !== "dir").flatMap(([name, value]) => [`--${name}`, value]) });
    running.push(node);
    return node;
  }

  const members = async (node) => (await (await fetch(`${node.url}/members?format=json`)).json()).members ?? [];
  const states = async (node) => (await members(node)).map(({ name, state }) => `${name} ${state}`);

  /** Resolves when `node` sees exactly these. */
  async function untilSees(node, wanted) {
    const deadlineMs = performance.now() + DEADLINE_MS;
    for (;;) {
      const seen = await states(node);
      if (JSON.stringify(seen) === JSON.stringify(wanted)) return;
      if (performance.now() > deadlineMs) throw new Error(`it sees ${seen.join(", ")} instead of ${wanted.join(", ")}:\n${node.log.slice(-30).join("\n")}`);
      await sleep(100);
    }
  }

  /** A push that is refused fails the test, with what the members say of it. */
  async function push(node, number) {
    const status = await pushNumbered(node, number, Date.now());
    if (status === 200) return;
    const health = await (await fetch(`${node.url}/api/v1/cluster/health`)).text();
    throw new Error(`the push was answered ${status}: ${health}\n${node.log.slice(-15).join("\n")}`);
  }

  const THREE = ["node-0 active", "node-1 active", "node-2 active"];

  it("three that start at the same moment, each naming all, are one cluster within seconds", async () => {
    const startedMs = performance.now();
    const nodes = await Promise.all([0, 1, 2].map((index) => start(index)));
    await Promise.all(nodes.map(untilReady));
    for (const node of nodes) await untilSees(node, THREE);
    console.log(`      ready after ${Math.round(performance.now() - startedMs)} ms, starts of the processes included`);
  });

  it("by a file with one address, one after another, in any order", async () => {
    const file = path.join(data.dir, "members");
    writeFileSync(file, `# the first\n127.0.0.1:${ports + 1}\n`);
    const late = await start(2, { join: `file:${file}` });
    const first = await start(1, { join: `file:${file}` });
    const last = await start(0, { join: `file:${file}` });
    for (const node of [late, first, last]) await untilSees(node, THREE);
  });

  it("a node that comes back with its data and another address is the same member", async () => {
    const nodes = await Promise.all([0, 1, 2].map((index) => start(index)));
    await Promise.all(nodes.map(untilReady));
    for (const node of nodes) await untilSees(node, THREE);
    for (let number = 0; number < 12; number++) await push(nodes[number % 3], number);
    const before = (await members(nodes[0])).find(({ name }) => name === "node-2");
    await nodes[2].stop();
    const back = await start(2, { "cluster-addr": `127.0.0.1:${ports + 4}` });
    await untilReady(back);
    await untilSees(nodes[0], THREE);
    const after = (await members(nodes[0])).find(({ name }) => name === "node-2");
    expect([after.storeId, after.clusterAddress]).to.deep.equal([before.storeId, `127.0.0.1:${ports + 4}`]);
    expect((await countedPushes(back, Date.now() - 3_600_000, Date.now() + 3_600_000)).recordCount).to.equal(12);
  });

  for (const { what, settings, words } of [
    { what: "another secret", settings: { "cluster-secret-file": "other-secret" }, words: /secret/ },
    { what: "no secret", settings: { "cluster-secret-file": undefined }, words: /secret/ },
    { what: "another bucket", settings: { bucket: "other-bucket" }, words: /bucket/ },
  ]) {
    it(`a node with ${what} is refused with a sentence on both sides, and the cluster goes on`, async () => {
      const nodes = await Promise.all([0, 1].map((index) => start(index)));
      await Promise.all(nodes.map(untilReady));
      const own = Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, name === "bucket" ? `file://${path.join(data.dir, value)}` : value && path.join(data.dir, value)]));
      const stranger = await start(3, own);
      await stranger.logged(words);
      await nodes[0].logged(new RegExp(`refused.*${words.source}|${words.source}.*refused`));
      for (const node of nodes) expect(await states(node)).to.deep.equal(["node-0 active", "node-1 active"]);
      expect(await pushNumbered(stranger, 1, Date.now())).to.equal(503);
      // One with a bucket of its own founded that, and is ready to be joined there.
      if (settings.bucket === undefined) expect(await (await fetch(`${stranger.url}/ready`)).text()).to.match(/^not ready: joining the cluster .*; the last that was tried: .*secret/);
      await push(nodes[0], 1);
    });
  }

  it("a start that cannot be says which setting is wrong", async () => {
    const busy = createServer().listen(ports, "127.0.0.1");
    await once(busy, "listening");
    for (const [settings, words] of [
      [{}, /cannot listen for other members on .*: listen EADDRINUSE: [^\n]*; choose another with --cluster-addr \(CLUSTER_LISTEN_FAILED\)/],
      [{ "cluster-secret-file": path.join(data.dir, "missing") }, /--cluster-secret-file names .*missing, which cannot be read: it is not there/],
    ]) {
      const node = await start(0, settings);
      expect((await node.exited).code).to.equal(1);
      expect(node.log.at(-1)).to.match(words);
    }
    busy.close();
  });

  it("a node of another cluster's name never meets it", async () => {
    const nodes = await Promise.all([0, 1].map((index) => start(index)));
    await Promise.all(nodes.map(untilReady));
    const stranger = await start(3, { "cluster-name": "other", bucket: `file://${path.join(data.dir, "other-bucket")}` });
    await stranger.logged(/cluster|protocol|refused/);
    await sleep(1500);
    for (const node of nodes) expect(await states(node)).to.deep.equal(["node-0 active", "node-1 active"]);
  });

  it("an empty disk under an old name is the same member with a new store", async () => {
    const nodes = await Promise.all([0, 1, 2].map((index) => start(index)));
    for (const node of nodes) await untilSees(node, THREE);
    const before = (await members(nodes[0])).find(({ name }) => name === "node-2");
    await nodes[2].kill();
    const fresh = await start(2, { dir: "fresh" });
    await untilReady(fresh);
    await untilSees(nodes[0], THREE);
    expect((await members(nodes[0])).find(({ name }) => name === "node-2").storeId).to.not.equal(before.storeId);
  });
});
