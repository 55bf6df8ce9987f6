/**
 * The real program as a user starts it: `pyromesh serve` in a process of its own, on a free port, with a data folder that outlives a
 * restart. Every process that is started here is stopped here.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const BINARY = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../packages/node/bin/pyromesh.js");

/** The recorded profiles are old, and are pushed as fast as possible. */
const LIMITS_LIFTED = ["--limits.reject-older-than", "0", "--limits.reject-newer-than", "0", "--limits.ingestion-rate-mb", "0"];

const START_MS_MAX = 15_000;
const STOP_MS_MAX = 15_000;
const POLL_MS = 50;
/** How much of the node's log the report of a failed start shows. */
const LOG_CHARS_MAX = 4000;

export class RunningNode {
  #dataDir = mkdtempSync(path.join(tmpdir(), "pyromesh-compat-"));
  #flags;
  #child;
  #log = "";
  url = "";

  constructor(flags) {
    this.#flags = flags;
  }

  static async start(flags = []) {
    const node = new RunningNode(flags);
    await node.launch();
    return node;
  }

  async launch() {
    const port = await freePort();
    this.url = `http://127.0.0.1:${port}`;
    const args = [BINARY, "serve", "--data-dir", this.#dataDir, "--http-addr", `127.0.0.1:${port}`, ...LIMITS_LIFTED, "--log-level", "warn", ...this.#flags];
    // A node refuses settings that it does not know, and variables of the tests (PYROMESH_CORPUS, ...) would count as such.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PYROMESH_")));
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], env });
    const keep = (chunk) => (this.#log = (this.#log + chunk).slice(-LOG_CHARS_MAX));
    this.#child.stdout.on("data", keep);
    this.#child.stderr.on("data", keep);
    await this.#ready();
  }

  async #ready() {
    const deadline = Date.now() + START_MS_MAX;
    for (;;) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error(`the node ended before it was ready:\n${this.#log}`);
      const status = await fetch(`${this.url}/ready`).then(
        async (response) => (await response.arrayBuffer(), response.status),
        () => 0,
      );
      if (status === 200) return;
      if (Date.now() > deadline) throw new Error(`the node was not ready within ${START_MS_MAX} ms (last status ${status}):\n${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Resolves with how the process ended. A node that does not stop is killed, which is a failure. */
  async end(signal) {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return { code: child.exitCode, signal: child.signalCode };
    const ended = new Promise((resolve) => child.once("exit", (code, by) => resolve({ code, signal: by })));
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    const how = await ended;
    clearTimeout(timer);
    return how;
  }

  /** Afterwards everything accepted so far is in segments. */
  async flush() {
    const response = await fetch(`${this.url}/flush`, { method: "POST" });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`POST /flush answered ${response.status}: ${text}`);
    return text;
  }

  async restart(signal = "SIGTERM") {
    const how = await this.end(signal);
    await this.launch();
    return how;
  }

  async close() {
    await this.end("SIGTERM");
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  /** Makes a Connect call in JSON. Throws unless the status is 200. */
  async call(method, message, headers = {}) {
    const response = await this.post(`/querier.v1.QuerierService/${method}`, JSON.stringify(message), { "content-type": "application/json", ...headers });
    if (response.status !== 200) throw new Error(`${method} answered ${response.status}: ${response.text}`);
    return JSON.parse(response.text);
  }

  async post(url, body, headers = {}) {
    const response = await fetch(this.url + url, { method: "POST", headers, body });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
  }

  /** Pushes each profile as a series of its own. `labels` are in addition to `__name__` and `service_name`. */
  async push(series, headers = {}) {
    const message = {
      series: series.map(({ labels, pprof, id }) => ({
        labels: Object.entries(labels).map(([name, value]) => ({ name, value })),
        samples: [{ rawProfile: Buffer.from(pprof).toString("base64"), ...(id === undefined ? {} : { ID: id }) }],
      })),
    };
    return this.post("/push.v1.PusherService/Push", JSON.stringify(message), { "content-type": "application/json", ...headers });
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
