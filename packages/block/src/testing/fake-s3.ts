/**
 * An S3 server in memory for tests: as much of it as the client asks for, and a hook that answers in its place. Not a stand-in for
 * a real one (`radosgw.ts`): it checks no signature.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeS3Request {
  readonly method: string;
  /** Of the object, without the bucket; "" where the bucket itself is asked. */
  readonly key: string;
  readonly query: URLSearchParams;
}

/** True: it has answered, or never will. */
export type FakeS3Hook = (request: FakeS3Request, response: ServerResponse) => boolean;

export class FakeS3 {
  /** By key, in any order. */
  readonly objects: Map<string, Uint8Array> = new Map();
  readonly requests: FakeS3Request[] = [];
  hook: FakeS3Hook = () => false;
  readonly #server: Server;
  #sorted: string[] | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<FakeS3> {
    const server = createServer();
    const fake = new FakeS3(server);
    server.on("request", (request, response) => void fake.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Of `--bucket`. */
  url(bucket = "fake"): string {
    return `s3://${bucket}?endpoint=${encodeURIComponent(this.endpoint)}&region=us-east-1&path-style=true`;
  }

  put(key: string, bytes: Uint8Array): void {
    if (!this.objects.has(key)) this.#sorted = undefined;
    this.objects.set(key, bytes);
  }

  delete(key: string): void {
    if (this.objects.delete(key)) this.#sorted = undefined;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const url = new URL(incoming.url ?? "/", "http://fake");
    const [, , ...segments] = url.pathname.split("/");
    const request = { method: incoming.method ?? "", key: segments.map(decodeURIComponent).join("/"), query: url.searchParams };
    this.requests.push(request);
    if (this.hook(request, response)) return;
    const { key, method, query } = request;
    if (key === "") return this.#list(query, response);
    const found = this.objects.get(key);
    if (method === "PUT") {
      if (found !== undefined && incoming.headers["if-none-match"] === "*") return refuse(response, 412, "PreconditionFailed");
      this.put(key, Buffer.concat(chunks));
      response.writeHead(200).end();
    } else if (method === "DELETE") {
      this.delete(key);
      response.writeHead(204).end();
    } else if (found === undefined) {
      if (method === "HEAD") response.writeHead(404).end();
      else refuse(response, 404, "NoSuchKey");
    } else {
      sendObject(incoming, response, found);
    }
  }

  #list(query: URLSearchParams, response: ServerResponse): void {
    this.#sorted ??= [...this.objects.keys()].sort();
    const prefix = query.get("prefix") ?? "";
    const after = query.get("start-after") ?? "";
    const lengthMax = Math.min(1000, Number(query.get("max-keys") ?? 1000));
    const keys: string[] = [];
    for (let at = firstAfter(this.#sorted, after < prefix ? prefix : after, after < prefix); at < this.#sorted.length && keys.length <= lengthMax; at++) {
      if (!this.#sorted[at]!.startsWith(prefix)) break;
      keys.push(this.#sorted[at]!);
    }
    const page = keys.slice(0, lengthMax).map((key) => ({ key, sizeBytes: this.objects.get(key)!.length }));
    sendPage(response, page, { isTruncated: keys.length > lengthMax });
  }
}

/** A LIST's answer. */
export function sendPage(response: ServerResponse, page: readonly { readonly key: string; readonly sizeBytes: number }[], options: { readonly isTruncated?: boolean; readonly token?: string } = {}): void {
  const contents = page.map(
    ({ key, sizeBytes }) =>
      `<Contents><Key>${key}</Key><LastModified>2026-03-02T14:00:00.000Z</LastModified><ETag>&quot;9a0364b9e99bb480dd25e1f0284c8555&quot;</ETag><Size>${sizeBytes}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  );
  const truncated = options.isTruncated === undefined ? "" : `<IsTruncated>${options.isTruncated}</IsTruncated>`;
  const token = options.token === undefined ? "" : `<NextContinuationToken>${options.token}</NextContinuationToken>`;
  response
    .writeHead(200, { "content-type": "application/xml" })
    .end(`<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${truncated}${token}<KeyCount>${page.length}</KeyCount>${contents.join("")}</ListBucketResult>`);
}

export function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "content-type": "application/xml" }).end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`);
}

function sendObject(incoming: IncomingMessage, response: ServerResponse, bytes: Uint8Array): void {
  const range = /^bytes=(\d+)-(\d+)$/.exec(incoming.headers.range ?? "");
  const headers = { "last-modified": "Mon, 02 Mar 2026 14:00:00 GMT" };
  if (range === null) {
    response.writeHead(200, { ...headers, "content-length": bytes.length }).end(incoming.method === "HEAD" ? undefined : bytes);
    return;
  }
  const part = bytes.subarray(Number(range[1]), Number(range[2]) + 1);
  if (part.length === 0) return refuse(response, 416, "InvalidRange");
  response.writeHead(206, { ...headers, "content-length": part.length, "content-range": `bytes ${range[1]}-${Number(range[1]) + part.length - 1}/${bytes.length}` }).end(part);
}

/** Where in `sorted` the first key after `key` stands; at it, with `isIncluded`. */
function firstAfter(sorted: readonly string[], key: string, isIncluded: boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const isBefore = isIncluded ? sorted[middle]! < key : sorted[middle]! <= key;
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return low;
}
