/**
 * A rolling upgrade of real processes, from a build that reads no records above version 1 to this one, and back. The earlier build is this one with a smaller announcement
 * (PYROMESH_TEST_FORMATS): it writes version 1, refuses version 2 from other members, and refuses a data directory that may hold it.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { freePorts } from "../harness/free-ports.mjs";
import { freshDataDir, spawnNode, untilReady } from "../harness/node-process.mjs";
import { answerToNumbered, countedPushes, pushNumbered } from "../harness/numbered-push.mjs";

const DEADLINE_MS = 60_000;
const EARLIER = { PYROMESH_TEST_FORMATS: "record=1,head=3" };
const PUSH_PAUSE_MS = 20;
/** Of each node's log, with what failed. */
const LOG_LINES = 12;

describe("a rolling upgrade", function () {
  this.timeout(300_000);
  let data;
  let ports;
  /** By number; undefined while it is restarted. */
  let nodes;
  let load;
  /** What an operator does now, for what is told of a failure. */
  let step;

  beforeEach(async () => {
    data = freshDataDir();
    ports = await freePorts(4);
    nodes = [];
    step = "start";
  });
  afterEach(async () => {
    load?.stop();
    await Promise.all(nodes.map((node) => node?.kill()));
    data.remove();
  });

  const dirOf = (index) => path.join(data.dir, `data-${index}`);
  const spawn = (index, env, { dataDir = dirOf(index) } = {}) =>
    spawnNode({
      dataDir,
      env,
      flags: Object.entries({
        "node-name": `node-${index}`,
        "cluster-name": "test",
        "cluster-addr": `127.0.0.1:${ports + index}`,
        bucket: `file://${path.join(data.dir, "bucket")}`,
        join: [0, 1, 2].map((other) => `127.0.0.1:${ports + other}`).join(","),
        "flush-interval": "3s",
      }).flatMap(([name, value]) => [`--${name}`, value]),
    });

  async function start(index, env) {
    const node = await spawn(index, env);
    await untilReady(node);
    nodes[index] = node;
  }

  /** As an operator does: once the others say that one may be stopped, and with no request to it sent or under way. */
  async function restart(index, env) {
    step = `after the last restart, before that of node-${index}`;
    await until(async () => (await fetch(`${nodes[(index + 1) % 3].url}/api/v1/cluster/health`)).status === 200, "no node may be stopped", () => nodes[(index + 1) % 3]);
    const node = nodes[index];
    nodes[index] = undefined;
    await load.settled();
    step = `node-${index} stops (${env === EARLIER ? "earlier" : "newer"} build next)`;
    await node.stop();
    step = `node-${index} starts as the ${env === EARLIER ? "earlier" : "newer"} build`;
    await start(index, env);
  }

  /** What failed, and all that is needed to find out why. */
  const failureText = (what, node) => {
    const at = `${new Date().toISOString()} ${what} at node-${nodes.indexOf(node)}; ${step}`;
    const logs = nodes.flatMap((each, index) => (each === undefined ? [] : each.log.slice(-LOG_LINES).map((line) => `  node-${index} ${line}`)));
    return [at, ...logs].join("\n");
  };

  const wordsOf = (answer) => (answer === undefined ? "no answer" : `${answer.status} ${JSON.stringify(answer.body)}`);

  /** `node()`: whose log tells why not. */
  async function until(holds, otherwise, node = () => nodes[0]) {
    const deadlineMs = performance.now() + DEADLINE_MS;
    while (!(await holds())) {
      if (performance.now() > deadlineMs) throw new Error(`${otherwise} after ${DEADLINE_MS} ms:\n${node().log.slice(-30).join("\n")}`);
      await sleep(100);
    }
  }

  const status = async (node) => (await fetch(`${node.url}/members?format=json`)).json();
  const recordFormat = async (index) => (await status(nodes[index])).formats.find(({ format }) => format === "record");

  const count = (node) => countedPushes(node, Date.now() - 3_600_000, Date.now() + 60_000);

  /** Pushes and queries, one after the other, each to one of the nodes that are there; what fails is told at the end. */
  function startLoad() {
    const failures = [];
    const sentAgain = [];
    /** The push and the query under way. */
    let pushing;
    let asking;
    let pushed = 0;
    let asked = 0;
    let isOver = false;
    const next = (number) => {
      const there = nodes.filter((node) => node !== undefined);
      return there[number % there.length];
    };
    /**
     * In the moment in which one of the two others has declared the stopped node dead and the other has not, a push may be refused (STORE_LOST): 503, and a client sends it again. It
     * has the time that it had, so it is the same record.
     */
    const pushTwice = async (number) => {
      const timeMs = Date.now();
      const target = next(number);
      const answer = await answerToNumbered(target, number, timeMs);
      if (answer?.status === 200) return;
      sentAgain.push(failureText(`push ${number}: ${wordsOf(answer)}`, target));
      const other = next(number + 1);
      const second = await answerToNumbered(other, number, timeMs);
      if (second?.status !== 200) failures.push(failureText(`push ${number}, sent again: ${wordsOf(second)}`, other));
    };
    const push = async () => {
      while (!isOver) {
        const number = pushed++;
        await (pushing = pushTwice(number));
        await sleep(PUSH_PAUSE_MS);
      }
    };
    const query = async () => {
      while (!isOver) {
        const target = next(asked++);
        await (asking = count(target).catch((error) => failures.push(failureText(error.message, target))));
        await sleep(5 * PUSH_PAUSE_MS);
      }
    };
    const running = Promise.all([push(), query()]);
    return {
      stop: () => (isOver = true),
      /** What was sent before has been answered. */
      settled: () => Promise.all([pushing, asking]),
      async end() {
        isOver = true;
        await running;
        return { failures, sentAgain, pushed, asked };
      },
    };
  }

  /** How many records of each version the log of the head's store holds. It is not compressed. */
  function recordsInLog(index) {
    const db = path.join(dirOf(index), "head/db");
    const bytes = Buffer.concat(readdirSync(db).filter((name) => name.endsWith(".log")).map((name) => readFileSync(path.join(db, name))));
    return [1, 2].map((version) => bytes.toString("latin1").split(`PMRC${String.fromCharCode(version)}`).length - 1);
  }

  /** Every file, with its bytes and the time of its change. */
  const everything = (dir) =>
    readdirSync(dir, { recursive: true, withFileTypes: true }).map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      return [file, statSync(file).mtimeMs, entry.isFile() ? readFileSync(file, "hex") : ""];
    });

  it("of three nodes under load: every query is answered, every push is taken at the first try, none is lost or doubled; back before the last, not after it", async () => {
    await Promise.all([0, 1, 2].map((index) => start(index, EARLIER)));
    await until(async () => (await status(nodes[0])).members.filter(({ state }) => state === "active").length === 3, "it does not see three");
    load = startLoad();

    // One is upgraded, and taken back: it has written nothing that the earlier build does not read.
    await restart(0, {});
    expect(await recordFormat(0)).to.deep.equal({ format: "record", version: 1, newest: 2, heldBackBy: ["node-1", "node-2"] });
    await restart(0, EARLIER);
    await restart(0, {});
    await restart(1, {});
    expect(await recordFormat(1)).to.deep.include({ version: 1, heldBackBy: ["node-2"] });
    for (const index of [0, 1]) {
      expect(readFileSync(path.join(dirOf(index), "head/format"), "utf8")).to.equal("pyromesh head format 3\nrecord 1\n");
      expect(recordsInLog(index)[1], "records of version 2").to.equal(0);
    }

    // With the last one the gate opens.
    await restart(2, {});
    await until(async () => (await Promise.all([0, 1, 2].map(recordFormat))).every(({ version }) => version === 2), "the newer version is not written");
    for (const index of [0, 1, 2]) {
      expect(readFileSync(path.join(dirOf(index), "head/format"), "utf8")).to.equal("pyromesh head format 4\n");
      await until(() => recordsInLog(index)[1] > 0, "no record of version 2 came");
    }
    await nodes[0].logged(/every member reads a newer version of a format/);

    // A downgrade is refused now, and changes nothing. The node goes on as the newer build.
    const node = nodes[2];
    nodes[2] = undefined;
    await load.settled();
    step = "node-2 stops, starts as the earlier build and is refused";
    await node.stop();
    const before = everything(dirOf(2));
    const refusal = await spawn(2, EARLIER).then(() => "it started", (error) => error.message);
    expect(refusal).to.include("HEAD_FORMAT_NEWER").and.match(/head format 4, this version reads up to 3: run the newer version on it; nothing was changed/);
    expect(everything(dirOf(2))).to.deep.equal(before);
    step = "node-2 starts as the newer build";
    await start(2, {});

    const { asked, failures, pushed, sentAgain } = await load.end();
    expect(failures, failures.slice(0, 5).join("\n")).to.have.length(0);
    const expected = Array.from({ length: pushed }, (_, number) => [number, number + 1]);
    for (const each of nodes) {
      const { counted, recordCount } = await count(each);
      expect([recordCount, [...counted].sort(([a], [b]) => a - b)]).to.deep.equal([pushed, expected]);
    }
    expect((await fetch(`${nodes[0].url}/flush`, { method: "POST" })).status).to.equal(200);
    expect((await count(nodes[1])).recordCount).to.equal(pushed);
    expect(sentAgain, sentAgain.slice(0, 5).join("\n")).to.have.length(0);
    console.log(`      ${pushed} pushes and ${asked} queries`);
  });

  it("an earlier build that comes after it is refused with a sentence on both sides, with any disk, and disturbs nobody", async () => {
    await Promise.all([0, 1, 2].map((index) => start(index, {})));
    await until(async () => (await recordFormat(0)).version === 2, "the newer version is not written");
    const stranger = await spawn(3, EARLIER);
    nodes[3] = stranger;
    const words = /reads record up to version 1, and version 2 is written by the other members, or may be at any time: it needs a newer build/;
    await stranger.logged(new RegExp(`refused this one: it ${words.source}`));
    await Promise.any([0, 1, 2].map((index) => nodes[index].logged(new RegExp(`was refused: it ${words.source}`))));
    expect(await (await fetch(`${stranger.url}/ready`)).text()).to.match(/^not ready: joining the cluster .*it reads record up to version 1/);
    for (const node of nodes.slice(0, 3)) expect((await status(node)).members.filter(({ state }) => state === "active")).to.have.length(3);
    expect(await pushNumbered(nodes[0], 1, Date.now())).to.equal(200);
  });
});
