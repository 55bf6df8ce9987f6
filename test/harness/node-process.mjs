/** A real `pyromesh serve` for tests, with its own data dir and port. It can be killed and started again. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../packages/node/bin/pyromesh.js", import.meta.url));
const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;

export function freshDataDir() {
  const dir = mkdtempSync(path.join(tmpdir(), "pyromesh-test-"));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/**
 * Resolves when /ready answers 200. `flags` are added to the command line and `env` to the environment; `openFilesMax` is the limit of
 * `ulimit -n`.
 */
export async function startNode(options) {
  const node = await spawnNode(options);
  try {
    await untilReady(node);
  } catch (error) {
    await node.kill();
    throw error;
  }
  return node;
}

/** Rejects where the node ends before it is ready, or takes too long. */
export async function untilReady(node) {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const { status, text } = await fetch(`${node.url}/ready`).then(async (reply) => ({ status: reply.status, text: await reply.text() })).catch(() => ({ status: undefined, text: "no answer" }));
    if (status === 200) return;
    if (node.hasExited()) {
      const { code, signal } = await node.exited;
      throw new Error(`the node ended (${code ?? signal}) before it was ready:\n${node.log.join("\n")}`);
    }
    if (performance.now() > deadlineMs) throw new Error(`not ready after ${READY_TIMEOUT_MS} ms (${text}):\n${node.log.join("\n")}`);
    await sleep(10);
  }
}

/**
 * Resolves when the node listens, which may be long before it is ready. `bucketSpeed`: LISTs and upload retries run so many times as
 * often as usual. `onLine` is called with each line of its log.
 */
export async function spawnNode({ dataDir, flags = [], env = {}, bucketSpeed = 1, openFilesMax, onLine = () => {} }) {
  const serving = [process.execPath, BIN, "serve", "--data-dir", dataDir, "--http-addr", "127.0.0.1:0", "--limits.ingestion-rate-mb", "0", ...flags];
  const [command, ...args] = openFilesMax === undefined ? serving : ["sh", "-c", `ulimit -n ${openFilesMax} && exec "$0" "$@"`, ...serving];
  const child = spawn(command, args, {
    env: { ...ownEnv(), PYROMESH_TEST_BUCKET_SPEED: String(bucketSpeed), ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let hasExited = false;
  const exited = new Promise((resolve) =>
    child.once("close", (code, signal) => {
      hasExited = true;
      resolve({ code, signal });
    }),
  );
  const log = [];
  const watchers = new Set();
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not listening after ${READY_TIMEOUT_MS} ms:\n${log.join("\n")}`)), READY_TIMEOUT_MS);
    createInterface({ input: child.stderr }).on("line", (line) => {
      onLine(line);
      log.push(line);
      if (log.length > 500) log.shift();
      for (const onLine of watchers) onLine(line);
      const found = /"url":"(http:[^"]+)".*"msg":"listening"/.exec(line);
      if (found === null) return;
      clearTimeout(timer);
      resolve(found[1]);
    });
    void exited.then(({ code, signal }) => {
      clearTimeout(timer);
      reject(new Error(`the node ended (${code ?? signal}) before it listened:\n${log.join("\n")}`));
    });
  });
  /** Resolves with how the process ended. A node that does not stop is killed, which shows in the signal. */
  const end = async (signal) => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    const how = await exited;
    clearTimeout(timer);
    return how;
  };
  return {
    url,
    pid: child.pid,
    log,
    /** Resolves with the first line that matches `words`, of the log so far or to come. Rejects where the node ends before. */
    logged(words) {
      const known = log.find((line) => words.test(line));
      if (known !== undefined) return Promise.resolve(known);
      return new Promise((resolve, reject) => {
        const onLine = (line) => {
          if (words.test(line) && watchers.delete(onLine)) resolve(line);
        };
        watchers.add(onLine);
        void exited.then(() => reject(new Error(`the node ended before it logged ${words}:\n${log.join("\n")}`)));
      });
    },
    /**
     * Resolves once `holds` is true: it is asked at once, and again after each line of the log. Rejects after `timeoutMs`, or where the node ends before, with what `otherwise` says
     * and the last lines.
     */
    async until(holds, otherwise, timeoutMs = READY_TIMEOUT_MS) {
      let wake;
      let isLate = false;
      const onLine = () => wake();
      const timer = setTimeout(() => wake((isLate = true)), timeoutMs);
      watchers.add(onLine);
      void exited.then(() => wake());
      try {
        for (;;) {
          const nextLine = new Promise((resolve) => (wake = resolve)); // made before `holds` is asked: a line that comes meanwhile counts
          if (!hasExited && (await holds())) return;
          if (hasExited || isLate) throw new Error(`${otherwise()}:\n${log.slice(-30).join("\n")}`);
          await nextLine;
        }
      } finally {
        clearTimeout(timer);
        watchers.delete(onLine);
      }
    },
    exited,
    hasExited: () => hasExited,
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
  };
}

/** Without variables of the tests (PYROMESH_CORPUS, ...), which a node would take for settings and refuse. */
function ownEnv() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PYROMESH_")));
}

/** A Connect call in JSON. */
export async function call(node, method, message, headers = {}) {
  const reply = await fetch(`${node.url}/${method}`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(message) });
  return { status: reply.status, headers: reply.headers, body: await reply.json() };
}
