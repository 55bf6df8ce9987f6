/** Requests over kept-alive connections, on node:http alone, so that the client costs little beside the server. */
import http from "node:http";
import https from "node:https";

interface HttpReply {
  readonly status: number;
  readonly body: Buffer;
}

/** A server that does not answer within this time counts as failed. */
const TIMEOUT_MS = 60_000;

export class HttpClient {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent: http.Agent | https.Agent;
  readonly #request: typeof http.request;

  constructor(options: { readonly url: string; readonly headers: Readonly<Record<string, string>>; readonly socketCountMax: number }) {
    this.#url = new URL(options.url);
    this.#headers = options.headers;
    const isTls = this.#url.protocol === "https:";
    const agentOptions = { keepAlive: true, maxSockets: options.socketCountMax, scheduling: "lifo" } as const;
    this.#agent = isTls ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
    this.#request = isTls ? https.request : http.request;
  }

  /** Rejects where there is no complete answer. */
  post(path: string, contentType: string, body: Uint8Array): Promise<HttpReply> {
    return new Promise((resolve, reject) => {
      const request = this.#request(
        {
          agent: this.#agent,
          hostname: this.#url.hostname.replace(/^\[(.*)\]$/, "$1"),
          port: this.#url.port,
          path: this.#url.pathname.replace(/\/$/, "") + path,
          method: "POST",
          headers: { ...this.#headers, "content-type": contentType, "content-length": body.length },
          timeout: TIMEOUT_MS,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
        },
      );
      request.on("timeout", () => request.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)));
      request.on("error", reject);
      request.end(body);
    });
  }

  /** A Connect call in JSON. Throws for any status but 200. */
  async call(method: string, message: unknown): Promise<unknown> {
    const reply = await this.post(`/${method}`, "application/json", Buffer.from(JSON.stringify(message)));
    if (reply.status !== 200) throw new Error(`${method} answered ${reply.status}: ${reply.body.toString().slice(0, 300)}`);
    return JSON.parse(reply.body.toString());
  }

  /** Closes idle connections, so that none is stale after a pause. */
  close(): void {
    this.#agent.destroy();
  }
}
