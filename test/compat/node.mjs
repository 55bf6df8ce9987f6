/**
 * The real program as a user starts it, over a data folder that outlives a restart, and what tests ask of it. Every process that is
 * started here is stopped here.
 */
import { freshDataDir, startNode } from "../harness/node-process.mjs";

/** The recorded profiles are old. */
const LIMITS_LIFTED = ["--limits.reject-older-than", "0", "--limits.reject-newer-than", "0"];

export class RunningNode {
  #data = freshDataDir();
  #flags;
  #process;

  constructor(flags) {
    this.#flags = flags;
  }

  static async start(flags = []) {
    const node = new RunningNode(flags);
    await node.#launch();
    return node;
  }

  get url() {
    return this.#process.url;
  }

  async #launch() {
    this.#process = await startNode({ dataDir: this.#data.dir, flags: [...LIMITS_LIFTED, ...this.#flags] });
  }

  /** Afterwards everything accepted so far is in segments. */
  async flush() {
    const response = await fetch(`${this.url}/flush`, { method: "POST" });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`POST /flush answered ${response.status}: ${text}`);
    return text;
  }

  /** Resolves with how the process ended. */
  async restart(signal = "SIGTERM") {
    const how = await (signal === "SIGKILL" ? this.#process.kill() : this.#process.stop());
    await this.#launch();
    return how;
  }

  async close() {
    await this.#process?.stop();
    this.#data.remove();
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
