/**
 * A cluster of real processes for the chaos run: each member with a data dir, an HTTP port and a cluster port behind a link proxy, all on one
 * bucket. Members are killed, wiped, stopped and started again under the same name.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "../harness/free-ports.mjs";
import { spawnNode } from "../harness/node-process.mjs";
import { Links, openLinkProxy } from "./link-proxy.mjs";

const READY_TIMEOUT_MS = 60_000;

/**
 * `bucket`: the setting; "": a folder that the members share. `env`: credentials. `onEvent({ atMs, name, what, isFault })`: a member was killed, starts, is ready, ... (`isFault`: it is taken away);
 * `onLog(name, line)`: a line of its log. Resolves when every member is ready.
 */
export async function openCluster({ nodeCount, bucket, env = {}, flushInterval = "2s", bucketSpeed = 10, flags = [], onEvent = () => {}, onLog = () => {} }) {
  const dir = mkdtempSync(path.join(tmpdir(), "pyromesh-chaos-"));
  const links = new Links();
  const names = Array.from({ length: nodeCount }, (_, index) => `node-${index + 1}`);
  const secretFile = path.join(dir, "secret");
  writeFileSync(secretFile, "the secret of the chaos run\n");
  const members = new Map();
  const pidsOf = () => [...members.values()].filter(({ process }) => process !== undefined).map(({ name, process }) => [name, process.pid]);
  // Two for each member, which it takes again at each start: below the ports that the system gives to connections, or one of these would have taken it meanwhile.
  const firstPort = await freePorts(2 * nodeCount);
  for (const [index, name] of names.entries()) {
    const [clusterPort, httpPort] = [firstPort + 2 * index, firstPort + 2 * index + 1];
    const proxy = await openLinkProxy({ member: name, targetPort: clusterPort, links, pidsOf });
    members.set(name, { name, clusterPort, httpPort, proxy, dataDir: path.join(dir, name), process: undefined, url: `http://127.0.0.1:${httpPort}`, takenAwayMs: -Infinity, isPaused: false, pausing: new AbortController() });
  }
  const byUrl = new Map([...members.values()].map((member) => [member.url, member]));
  const note = (name, what, { isFault = false } = {}) => onEvent({ atMs: performance.now(), name, what, isFault });
  const start = async (name) => {
    const member = members.get(name);
    mkdirSync(member.dataDir, { recursive: true });
    const joins = [...members.values()].filter((other) => other !== member).flatMap(({ proxy }) => ["--join", `127.0.0.1:${proxy.port}`]);
    note(name, "starts");
    member.process = await spawnNode({
      dataDir: member.dataDir,
      onLine: (line) => onLog(name, line),
      bucketSpeed,
      env,
      flags: [
        ...["--http-addr", `127.0.0.1:${member.httpPort}`, "--node-name", name, "--cluster-name", "chaos", "--cluster-secret-file", secretFile],
        ...["--cluster-addr", `127.0.0.1:${member.clusterPort}`, "--cluster-advertise", `127.0.0.1:${member.proxy.port}`],
        ...["--bucket", bucket === "" ? `file://${path.join(dir, "bucket")}` : bucket, "--flush-interval", flushInterval, ...joins, ...flags],
      ],
    });
  };
  const cluster = {
    dir,
    links,
    names,
    member: (name) => members.get(name),
    isUp: (name) => members.get(name).process !== undefined && !members.get(name).process.hasExited(),
    /** The member at this URL was killed or paused at some time since `sinceMs`: no request under way to it was one to a live node. */
    wasTakenAway: (url, sinceMs) => byUrl.get(url).isPaused || byUrl.get(url).takenAwayMs >= sinceMs,
    /** Aborted when the member at this URL is paused: nobody waits ten seconds for a process that is stopped, and then asks no other one meanwhile. */
    pausing: (url) => byUrl.get(url).pausing.signal,
    start,
    /** kill -9. `wipe`: the data dir goes too. */
    async kill(name, { wipe = false } = {}) {
      const member = members.get(name);
      note(name, wipe ? "is killed, and its data dir goes" : "is killed", { isFault: true });
      member.takenAwayMs = performance.now();
      await member.process?.kill();
      member.process = undefined;
      if (wipe && existsSync(member.dataDir)) rmSync(member.dataDir, { recursive: true, force: true });
    },
    async stop(name) {
      const member = members.get(name);
      note(name, "is stopped", { isFault: true });
      const how = await member.process?.stop();
      member.process = undefined;
      return how;
    },
    pause(name) {
      note(name, "is paused", { isFault: true });
      members.get(name).isPaused = true;
      process.kill(members.get(name).process.pid, "SIGSTOP");
      members.get(name).pausing.abort(new Error("it is paused"));
    },
    resume(name) {
      note(name, "is resumed");
      process.kill(members.get(name).process.pid, "SIGCONT");
      Object.assign(members.get(name), { isPaused: false, takenAwayMs: performance.now(), pausing: new AbortController() });
    },
    /** Resolves when all members see it as active. One that wakes from a pause says that it is ready before it knows that it was declared dead; it is live when the others say so. */
    async isBack(name, timeoutMs = READY_TIMEOUT_MS) {
      const deadlineMs = performance.now() + timeoutMs;
      for (;;) {
        const seen = await Promise.all([...members.values()].map((member) => stateAt(member, name)));
        if (seen.every((state) => state === "active")) return note(name, "is back");
        if (performance.now() > deadlineMs) throw new Error(`${name} is not back after ${timeoutMs} ms: the members say ${seen.join(", ")}`);
        await sleep(50);
      }
    },
    /** Resolves when each of these members says that it is ready. Rejects with what the late ones say. */
    async ready(which = names, timeoutMs = READY_TIMEOUT_MS) {
      const deadlineMs = performance.now() + timeoutMs;
      for (;;) {
        const states = await Promise.all(which.map((name) => readiness(members.get(name))));
        if (states.every(({ isReady }) => isReady)) return which.forEach((name) => note(name, "is ready"));
        if (performance.now() > deadlineMs) throw new Error(`not ready after ${timeoutMs} ms: ${states.map(({ words }, at) => `${which[at]}: ${words}`).join("; ")}`);
        await sleep(50);
      }
    },
    /** Resolves when every member says that the next one may be stopped: nothing is lost, nobody is dead. */
    async settled(timeoutMs = READY_TIMEOUT_MS) {
      const deadlineMs = performance.now() + timeoutMs;
      for (;;) {
        const states = await Promise.all(names.map((name) => health(members.get(name))));
        if (states.every(({ mayStop }) => mayStop === true)) return;
        if (performance.now() > deadlineMs) throw new Error(`not settled after ${timeoutMs} ms: ${states.map(({ reasons = [] }, at) => `${names[at]} says: ${reasons.join("; ")}`).join(" | ")}`);
        await sleep(200);
      }
    },
    async close() {
      for (const { process } of members.values()) if (process !== undefined && !process.hasExited()) await process.kill();
      for (const { proxy } of members.values()) await proxy.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  try {
    await Promise.all(names.map(start));
    await cluster.ready();
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}

async function readiness({ process, url }) {
  if (process === undefined || process.hasExited()) return { isReady: false, words: "it is not running" };
  try {
    const reply = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(2_000) });
    return { isReady: reply.status === 200, words: (await reply.text()).trim() };
  } catch (error) {
    return { isReady: false, words: String(error) };
  }
}

/** How a member sees another one, in a word. */
async function stateAt({ url }, name) {
  try {
    const reply = await fetch(`${url}/members?format=json`, { signal: AbortSignal.timeout(2_000) });
    return (await reply.json()).members.find((member) => member.name === name)?.state;
  } catch (error) {
    return String(error);
  }
}

async function health({ url }) {
  try {
    const reply = await fetch(`${url}/api/v1/cluster/health`, { signal: AbortSignal.timeout(2_000) });
    return await reply.json();
  } catch (error) {
    return { mayStop: false, reasons: [String(error)] };
  }
}
