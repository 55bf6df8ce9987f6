/** How nodes become one cluster, and who is kept out: real processes, by the settings that an operator writes. */
import { once } from "node:events";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { freePorts } from "../harness/free-ports.mjs";
import { freshDataDir, spawnNode, untilReady } from "../harness/node-process.mjs";
import { countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const DEADLINE_MS = 30_000;
/** A store tells the others once a second how far it has got, and nothing outside the nodes shows that it has. */
const TOLD_MS = 2_000;

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

  /** Resolves when `node` sees exactly these: it logs each change of a member's state. */
  async function untilSees(node, wanted) {
    let seen = [];
    const sees = async () => JSON.stringify((seen = await states(node))) === JSON.stringify(wanted);
    await node.until(sees, () => `it sees ${seen.join(", ")} instead of ${wanted.join(", ")}`, DEADLINE_MS);
  }

  /** A push that is refused fails the test, with what the members say of it. */
  async function push(node, number) {
    const status = await pushNumbered(node, number, Date.now());
    if (status === 200) return;
    const health = await (await fetch(`${node.url}/api/v1/cluster/health`)).text();
    throw new Error(`the push was answered ${status}: ${health}\n${node.log.slice(-15).join("\n")}`);
  }

  /** Resolves when /ready is 503 and says this. */
  async function untilNotReady(node, words) {
    const deadlineMs = performance.now() + DEADLINE_MS;
    for (;;) {
      const reply = await fetch(`${node.url}/ready`);
      const text = await reply.text();
      if (reply.status === 503 && words.test(text)) return;
      if (performance.now() > deadlineMs) throw new Error(`/ready is ${reply.status}, ${text}:\n${node.log.slice(-30).join("\n")}`);
      await sleep(100);
    }
  }

  const counted = async (node) => (await countedPushes(node, Date.now() - 3_600_000, Date.now() + 3_600_000)).recordCount;
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
      // One with a bucket of its own founded a cluster there.
      const reason = settings.bucket === undefined ? /^not ready: joining the cluster .*; the last that was tried: .*secret/ : /^not ready: writes: it is the only member of its cluster, and a record must be kept by 2; those that it is to join are in another one: .*bucket/;
      await untilNotReady(stranger, reason);
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
    await stranger.logged(/no member to join was reached yet/); // after six attempts at each of them
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

  it("a data directory that was put back to an earlier state becomes another store, which is said, and nothing is lost", async () => {
    const common = { "flush-interval": "1h" };
    const nodes = await Promise.all([0, 1, 2].map((index) => start(index, common)));
    for (const node of nodes) await untilReady(node);
    for (let number = 0; number < 6; number++) await push(nodes[number % 3], number);
    await nodes[2].stop();
    cpSync(path.join(data.dir, "data-2"), path.join(data.dir, "snapshot"), { recursive: true });
    nodes[2] = await start(2, common);
    await untilReady(nodes[2]);
    for (let number = 6; number < 12; number++) await push(nodes[number % 3], number);
    const before = (await members(nodes[0])).find(({ name }) => name === "node-2").storeId;
    await sleep(TOLD_MS);
    await nodes[2].kill();
    rmSync(path.join(data.dir, "data-2"), { recursive: true });
    cpSync(path.join(data.dir, "snapshot"), path.join(data.dir, "data-2"), { recursive: true });
    const rolledBack = await start(2, common);
    await rolledBack.logged(/this store lacks what it acknowledged before, and takes a new id/);
    expect((await rolledBack.exited).code, "its supervisor starts it again").to.not.equal(0);
    nodes[2] = await start(2, common);
    await untilReady(nodes[2]);
    await untilSees(nodes[0], THREE);
    expect((await members(nodes[0])).find(({ name }) => name === "node-2").storeId).to.not.equal(before);
    expect(await counted(nodes[0])).to.equal(12);
    expect((await fetch(`${nodes[0].url}/flush`, { method: "POST" })).status).to.equal(200);
    for (const node of nodes) expect(await counted(node)).to.equal(12);
  });

  for (const { what, settings } of [
    { what: "under the same name", settings: {} },
    { what: "under another name", settings: { "node-name": undefined } },
  ]) {
    it(`a copy of a data directory that runs beside the original, ${what}, is refused with a sentence, and the cluster goes on`, async () => {
      const nodes = await Promise.all([0, 1, 2].map((index) => start(index)));
      for (const node of nodes) await untilReady(node);
      for (let number = 0; number < 6; number++) await push(nodes[number % 3], number);
      await nodes[2].stop();
      cpSync(path.join(data.dir, "data-2"), path.join(data.dir, "copy"), { recursive: true });
      if (settings["node-name"] === undefined && "node-name" in settings) rmSync(path.join(data.dir, "copy/cluster/key"));
      nodes[2] = await start(2);
      await untilReady(nodes[2]);
      for (let number = 6; number < 12; number++) await push(nodes[number % 3], number);
      await sleep(TOLD_MS);
      const copy = await start(2, { dir: "copy", "cluster-addr": `127.0.0.1:${ports + 4}`, ...settings });
      await copy.logged(/copy of this data directory|copies of one data directory|takes a new id|same store|has this store|refused/);
      for (let number = 12; number < 18; number++) await push(nodes[number % 2], number);
      expect(await counted(nodes[0])).to.equal(18);
      expect(await pushNumbered(copy, 99, Date.now()).catch(() => 503), "the copy takes nothing").to.not.equal(200);
    });
  }

  it("one data directory in two processes: the second ends with a sentence", async () => {
    const first = await start(0, { join: undefined });
    await untilReady(first).catch(() => undefined);
    const second = await start(0, { join: undefined, "cluster-addr": `127.0.0.1:${ports + 4}` });
    expect((await second.exited).code).to.equal(1);
    expect(second.log.at(-1)).to.match(/another process|in use|HEAD_LOCKED/i);
  });

  it("two nodes that know nobody and start on one empty bucket at the same moment: one founds the cluster, and the other says that it knows nobody", async () => {
    const nodes = await Promise.all([0, 1].map((index) => start(index, { join: undefined })));
    const founder = await Promise.any(nodes.map(async (node) => (await node.logged(/"msg":"ready"/)) && node));
    const other = nodes.find((node) => node !== founder);
    await untilNotReady(other, /^not ready: joining the cluster .*no other node is named to be joined/);
    expect((await fetch(`${founder.url}/ready`)).status).to.equal(200);
  });

  it("a name without an address is said, and the node joins by the others", async () => {
    const first = await start(0);
    await untilReady(first);
    const lost = await start(1, { join: "dns+nowhere.invalid:7946" });
    await untilNotReady(lost, /joining the cluster .*nowhere\.invalid:7946 has no address/);
    await lost.stop();
    const second = await start(1, { join: `dns+nowhere.invalid:7946,127.0.0.1:${ports}` });
    await untilReady(second);
    await untilSees(first, ["node-0 active", "node-1 active"]);
  });

  it("a member that is started again and told to join only itself finds the others by what it remembers", async () => {
    const nodes = await Promise.all([0, 1, 2].map((index) => start(index)));
    for (const node of nodes) await untilReady(node);
    for (let number = 0; number < 6; number++) await push(nodes[number % 3], number);
    await nodes[0].stop();
    const back = await start(0, { join: `127.0.0.1:${ports}` });
    await untilReady(back);
    await untilSees(back, THREE);
    await push(back, 6);
    expect(await counted(back)).to.equal(7);
  });

  it("all stop, and start again with other addresses, each told of the new ones", async () => {
    let nodes = await Promise.all([0, 1, 2].map((index) => start(index)));
    for (const node of nodes) await untilReady(node);
    for (let number = 0; number < 6; number++) await push(nodes[number % 3], number);
    await Promise.all(nodes.map((node) => node.stop()));
    const moved = await freePorts(3);
    const join = [0, 1, 2].map((other) => `127.0.0.1:${moved + other}`).join(",");
    nodes = await Promise.all([0, 1, 2].map((index) => start(index, { join, "cluster-addr": `127.0.0.1:${moved + index}` })));
    for (const node of nodes) await untilReady(node);
    for (const node of nodes) await untilSees(node, THREE);
    await push(nodes[1], 6);
    for (const node of nodes) expect(await counted(node)).to.equal(7);
  });

  it("a node with the name of one cluster and the secret of another is let into neither", async () => {
    const first = await start(0, { join: undefined });
    const other = await start(1, { join: undefined, "cluster-name": "other", "cluster-secret-file": path.join(data.dir, "other-secret"), bucket: `file://${path.join(data.dir, "other-bucket")}` });
    for (const node of [first, other]) await untilReady(node);
    const swapped = await start(2, { "cluster-secret-file": path.join(data.dir, "other-secret"), join: `127.0.0.1:${ports},127.0.0.1:${ports + 1}` });
    await untilNotReady(swapped, /the last that was tried: .*(secret|cluster)/);
    expect(await states(first)).to.deep.equal(["node-0 active"]);
    expect(await states(other)).to.deep.equal(["node-1 active"]);
  });
});
