/** Requests to the Kubernetes API: one answer, or a stream of lines. Whoever asks says when to give up, by the signal. */
import { decodeUtf8, messageOf } from "@pyromesh/base";
import type { HttpSettings, KubernetesConfig } from "../../config/scrape-config.ts";
import type { HttpFetch, HttpReply } from "../../http/http-get.ts";
import { readBody } from "../../http/read-body.ts";
import { field, list, text } from "./objects.ts";

/** Where the API server is, and how this node proves who it is. */
export interface ApiServer {
  readonly url: string;
  readonly http: HttpSettings;
}

/** What Kubernetes lays into each container. The token is renewed there, so it is read for each request. */
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
export const OWN_NAMESPACE_FILE: string = `${SERVICE_ACCOUNT}/namespace`;

export function apiServerOf({ apiServer, http }: KubernetesConfig): ApiServer {
  if (apiServer !== undefined) return { url: apiServer.replace(/\/+$/, ""), http };
  return {
    url: "https://kubernetes.default.svc",
    http: {
      authorization: { kind: "header", type: "Bearer", credentials: { kind: "file", file: `${SERVICE_ACCOUNT}/token` } },
      tls: { caFile: `${SERVICE_ACCOUNT}/ca.crt`, certFile: undefined, keyFile: undefined, serverName: undefined, isInsecure: false },
      isRedirectFollowed: false,
    },
  };
}

/** The server answered with another status than 200, and may have said how long to wait: it does with 429, where it has too many requests. */
export class RefusedError extends Error {
  readonly retryAfterMs: number;

  constructor(message: string, waitMs: number) {
    super(message);
    this.retryAfterMs = waitMs;
  }
}

/** A server that asks for longer is asked again all the same. */
const RETRY_AFTER_MS_MAX = 300_000;

/** The version that a list or watch was to go on from is not known to the server: it has forgotten it, or has not come to it. List anew. */
export class GoneError extends Error {}

/** A page of a list: 100 objects of some 10 kB, and of 1.5 MB at most. */
const PAGE_BYTES_MAX = 160 * 2 ** 20;
/** Of one event. The server's own bound of an object is 1.5 MB; JSON may be larger than what it counts. */
const LINE_BYTES_MAX = 8 * 2 ** 20;

export class ApiClient {
  readonly #server: ApiServer;
  readonly #fetch: HttpFetch;

  constructor(server: ApiServer, fetch: HttpFetch) {
    this.#server = server;
    this.#fetch = fetch;
  }

  /** Throws `GoneError` for a version that the server does not know. */
  async get(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<unknown> {
    const reply = await this.#ask(path, query, signal);
    return JSON.parse(decodeUtf8(await readBody(reply, PAGE_BYTES_MAX)));
  }

  /** Resolves once the server has answered: to the lines of the answer, each a JSON value, as they come. Throws as `get` does. */
  async lines(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<AsyncIterable<unknown>> {
    return valuesOf((await this.#ask(path, query, signal)).body);
  }

  async #ask(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpReply> {
    const url = `${this.#server.url}${path}?${new URLSearchParams(query).toString()}`;
    const reply = await this.#fetch({ url, headers: { accept: "application/json" }, settings: this.#server.http, signal });
    if (reply.status === 200) return reply;
    const status = await statusOf(reply);
    const reason = text(status, "message").slice(0, 300);
    if (reply.status === 410 || list(field(status, "details"), "causes").some((cause) => text(cause, "reason") === "ResourceVersionTooLarge")) throw new GoneError(reason);
    throw new RefusedError(`the API server answered ${reply.status} to ${path}${reason === "" ? "" : `: ${reason}`}`, retryAfterMs(reply));
  }
}

/** 0 where the server says nothing. It writes seconds. */
function retryAfterMs({ headers }: HttpReply): number {
  const seconds = Number(headers["retry-after"] ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, RETRY_AFTER_MS_MAX) : 0;
}

/** The server's Status object. */
async function statusOf(reply: HttpReply): Promise<unknown> {
  try {
    return JSON.parse(decodeUtf8(await readBody(reply, 64 * 1024)));
  } catch {
    return undefined; // an answer that is none of the API server's: its number says enough
  }
}

async function* valuesOf(body: AsyncIterable<Uint8Array>): AsyncIterable<unknown> {
  for await (const line of linesOf(body)) yield JSON.parse(decodeUtf8(line));
}

async function* chunksOf(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } catch (thrown) {
    throw new Error(`the connection of a watch was lost: ${messageOf(thrown)}`, { cause: thrown });
  }
}

/** Empty lines are left out; text behind the last line break is the beginning of a line that never came. */
async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunksOf(body)) {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      const line = Buffer.concat([...parts, chunk.subarray(from, end)]);
      [parts, sizeBytes, from] = [[], 0, end + 1];
      if (line.length > 0) yield line;
    }
    if (from < chunk.length) parts.push(chunk.subarray(from));
    sizeBytes += chunk.length - from;
    if (sizeBytes > LINE_BYTES_MAX) throw new Error(`an event has more than ${LINE_BYTES_MAX} bytes`);
  }
}
