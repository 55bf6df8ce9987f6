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
 * often as usual.
 */
export async function spawnNode({ dataDir, flags = [], env = {}, bucketSpeed = 1, openFilesMax }) {
  const serving = [process.execPath, BIN, "serve", "--data-dir", dataDir, "--http-addr", "127.0.0.1:0", "--limits.ingestion-rate-mb", "0", ...flags];
  const [command, ...args] = openFilesMax === undefined ? serving : ["sh", "-c", `ulimit -n ${openFilesMax} && exec "$0" "$@"`, ...serving];
  const child = spawn(command, args, {
    env: { ...process.env, PYROMESH_TEST_BUCKET_SPEED: String(bucketSpeed), ...env },
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
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not listening after ${READY_TIMEOUT_MS} ms:\n${log.join("\n")}`)), READY_TIMEOUT_MS);
    createInterface({ input: child.stderr }).on("line", (line) => {
      log.push(line);
      if (log.length > 500) log.shift();
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
  return {
    url,
    pid: child.pid,
    log,
    exited,
    hasExited: () => hasExited,
    async kill() {
      child.kill("SIGKILL");
      return exited;
    },
    async stop() {
      child.kill("SIGTERM");
      return exited;
    },
  };
}

/** A Connect call in JSON. */
export async function call(node, method, message, headers = {}) {
  const reply = await fetch(`${node.url}/${method}`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(message) });
  return { status: reply.status, headers: reply.headers, body: await reply.json() };
}
