/**
 * Calls the HTTP API, as any other client does. An error is one sentence that names the URL. A call waits at most `timeoutMs`; one that the
 * server cannot take now (429, 503) is tried again after each of `RETRY_DELAYS_MS`.
 */
import { CodedError, messageOf } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";

export interface ClientOptions {
  /** `http://host:port`, perhaps with a path prefix and `user:password@`. */
  readonly url: string;
  readonly tenant: string | undefined;
  readonly timeoutMs: number;
  /** True: a query that cannot be answered completely is answered with what there is. */
  readonly allowsPartial?: boolean;
}

export interface ClientModules {
  readonly clock: Clock;
  readonly fetch: typeof globalThis.fetch;
  /** Called with what an answer lacks, in the server's words. */
  readonly onMissing?: (what: string) => void;
  /** Called where a listing was cut, with how: `100 of 2000`, or `100 of more`. */
  readonly onTruncated?: (how: string) => void;
}

/** The pauses between tries; the refusal of the try after the last one stands. Pushes may be repeated, since the same profile counts once. */
const RETRY_DELAYS_MS: readonly number[] = [250, 1000, 4000];

/** Asks for all labels. Without it a server leaves out names that Prometheus' old alphabet does not allow, such as `k8s.pod`. */
const EVERY_LABEL_NAME = "*/*;allow-utf8-labelnames=true";

export class Client {
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #fetch: typeof globalThis.fetch;
  readonly #onMissing: (what: string) => void;
  readonly #onTruncated: (how: string) => void;

  constructor(options: ClientOptions, modules: ClientModules) {
    const url = URL.parse(options.url);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw usage(`--url ${JSON.stringify(options.url)} is not an address: write it as http://127.0.0.1:4040`);
    }
    const headers: Record<string, string> = {};
    if (options.tenant !== undefined) headers["x-scope-orgid"] = options.tenant;
    if (options.allowsPartial === true) headers["x-pyromesh-partial"] = "allow";
    if (url.username !== "") {
      headers["authorization"] = `Basic ${Buffer.from(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`).toString("base64")}`;
    }
    url.username = "";
    url.password = "";
    this.#base = url.href.replace(/\/+$/, "");
    this.#headers = headers;
    this.#timeoutMs = options.timeoutMs;
    this.#clock = modules.clock;
    this.#fetch = modules.fetch;
    this.#onMissing = modules.onMissing ?? ((): void => {});
    this.#onTruncated = modules.onTruncated ?? ((): void => {});
  }

  /** `method` is `querier.v1.QuerierService/Series`. */
  async json(method: string, request: object): Promise<unknown> {
    return this.#parse(method, await this.#post(method, "application/json", JSON.stringify(request)));
  }

  #parse(path: string, bytes: Uint8Array): unknown {
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch (thrown) {
      throw new CodedError({ code: "REPLY_INVALID", kind: "internal", message: `${this.#base}/${path} answered something that is not JSON: is this a Pyromesh?`, cause: thrown });
    }
  }

  proto(method: string, request: Uint8Array): Promise<Uint8Array> {
    return this.#post(method, "application/proto", request);
  }

  /** Asks once for JSON at this path. Another status than 200 is an error, unless `isAnswer` takes it. */
  async get(path: string, { isAnswer = (): boolean => false }: { isAnswer?(status: number, json: unknown): boolean } = {}): Promise<{ readonly status: number; readonly json: unknown }> {
    const { status, bytes } = await this.#once("GET", path.slice(1), { accept: "application/json" });
    if (status !== 200 && status !== 503) throw refusal(status, bytes);
    const json = this.#parse(path.slice(1), bytes);
    if (status !== 200 && !isAnswer(status, json)) throw refusal(status, bytes);
    return { status, json };
  }

  /** Sends an operator's word, once. Resolves when the node has taken it. */
  async command(path: string): Promise<void> {
    const { status, bytes } = await this.#once("POST", path.slice(1), {});
    if (status !== 200 && status !== 202) throw refusal(status, bytes);
  }

  async #post(method: string, contentType: string, body: string | Uint8Array): Promise<Uint8Array> {
    for (const delayMs of RETRY_DELAYS_MS) {
      const { status, bytes } = await this.#postOnce(method, contentType, body);
      if (status === 200) return bytes;
      if (status !== 429 && status !== 503) throw refusal(status, bytes);
      await this.#clock.sleep(delayMs);
    }
    const { status, bytes } = await this.#postOnce(method, contentType, body);
    if (status !== 200) throw refusal(status, bytes);
    return bytes;
  }

  #postOnce(method: string, contentType: string, body: string | Uint8Array): Promise<Reply> {
    return this.#once("POST", method, { accept: EVERY_LABEL_NAME, "content-type": contentType, "connect-protocol-version": "1" }, body);
  }

  async #once(verb: string, path: string, ownHeaders: Readonly<Record<string, string>>, body?: string | Uint8Array): Promise<Reply> {
    const url = `${this.#base}/${path}`;
    const aborted = new AbortController();
    const timer = this.#clock.after(this.#timeoutMs, () => aborted.abort(new Error(`no answer within ${this.#timeoutMs / 1000} s`)));
    try {
      const headers = { ...this.#headers, ...ownHeaders };
      const reply = await this.#fetch(url, { method: verb, headers, signal: aborted.signal, ...(body === undefined ? {} : { body }) });
      const bytes = new Uint8Array(await reply.arrayBuffer());
      const missing = reply.headers.get("x-pyromesh-missing");
      if (missing !== null) this.#onMissing(missing);
      const truncated = reply.headers.get("x-pyromesh-truncated");
      if (truncated !== null) this.#onTruncated(truncated);
      return { status: reply.status, bytes };
    } catch (thrown) {
      const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
      throw new CodedError({ code: "UNREACHABLE", kind: "unavailable", message: `${url} cannot be reached: ${reasonOf(cause)}. Is the node running there? Name another with --url`, details: { isTimeout: aborted.signal.aborted }, cause: thrown });
    } finally {
      timer.cancel();
    }
  }
}

interface Reply {
  readonly status: number;
  readonly bytes: Uint8Array;
}

/** An error of the caller: exit code 2. */
export function usage(message: string): CodedError {
  return new CodedError({ code: "USAGE", kind: "invalid_argument", message });
}

/** The server's own message, where the reply is Connect's JSON, else its text. */
function refusal(status: number, bytes: Uint8Array): CodedError {
  const text = new TextDecoder().decode(bytes);
  let message = text.slice(0, 500).trim();
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && "message" in parsed && typeof parsed.message === "string") message = parsed.message;
  } catch {
    // Not Connect's JSON: the text itself is the message.
  }
  return new CodedError({ code: "REFUSED", kind: "failed_precondition", message: `the server refused (${status}): ${message === "" ? "without a reason" : message}`, details: { status } });
}

function reasonOf(cause: unknown): string {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
  if (code === "ECONNREFUSED") return "nothing listens there";
  if (code === "ENOTFOUND") return "there is no host of that name";
  return messageOf(cause) || code;
}
