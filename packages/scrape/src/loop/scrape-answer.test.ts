/** A real client against a server that does what servers should not do. Nothing waits for time: what is slow ends by its signal. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { expect } from "chai";
import { messageOf } from "@pyromesh/base";
import { scrapeConfigs } from "../config/read-scrape-configs.ts";
import { nodeHttp } from "../http/node-http.ts";
import { scrapeAnswer } from "./scrape-answer.ts";

const SECRET = "s3cr3t-t0k3n";
const LIMIT = 100_000;
const [JOB] = scrapeConfigs([{ job_name: "app", authorization: { credentials: SECRET }, body_size_limit: `${LIMIT}B`, static_configs: [{ targets: ["a:1"] }] }]);

/** Sends as long as somebody reads. */
function endless(response: ServerResponse): void {
  const chunk = Buffer.alloc(65_536, 0x20);
  const send = (): void => {
    while (!response.destroyed && response.write(chunk));
    if (!response.destroyed) response.once("drain", send);
  };
  send();
}

type Behaviour = readonly [name: string, answer: (response: ServerResponse, request: IncomingMessage) => void, error: RegExp];

const BEHAVIOURS: readonly Behaviour[] = [
  ["answers without an end", (response) => endless(response.writeHead(200)), /longer than 100000 bytes \(body_size_limit of job app\)/],
  ["refuses without an end", (response) => endless(response.writeHead(500)), /^the program answered with status 500$/],
  ["packs its answer, unasked, without an end", (response) => endless(response.writeHead(200, { "content-encoding": "gzip" })), /content encoding "gzip", which was not asked for/],
  ["redirects to itself", (response, request) => void response.writeHead(302, { location: request.url! }).end(), /redirects more than 5 times/],
  ["redirects to who knows whom", (response) => void response.writeHead(302, { location: "http://127.0.0.2:1/" }).end(), /redirects to another scheme, host or port/],
  ["redirects to a file", (response) => void response.writeHead(302, { location: "file:///etc/passwd" }).end(), /redirects to another scheme, host or port/],
  ["answers with nothing", (response) => void response.end(), /answered with nothing/],
  ["has no content", (response) => void response.writeHead(204).end(), /status 204/],
  ["says what is wrong, with control characters", (response) => void response.writeHead(503).end("no\u001b[31m\n<b>profile</b>\u0000 now"), /^the program answered with status 503: no \[31m <b>profile<\/b> now$/],
  ["hangs up in its answer", (response) => void response.writeHead(200, { "content-length": 1_000 }).write("x", () => response.destroy()), /the connection ended before the answer did/],
  ["hangs up at once", (response) => void response.destroy(), /socket hang up/],
  ["speaks another protocol", (response) => void response.socket!.end("SSH-2.0-OpenSSH_9.6\r\n"), /Parse Error/],
  ["sends headers without an end", (response) => void response.socket!.end(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(200_000)}`), /Header overflow/],
];

/** Those that say nothing more at some point: the signal ends them. */
const SLOW: readonly (readonly [name: string, answer: (response: ServerResponse) => void])[] = [
  ["never answers", () => {}],
  ["stops after its headers", (response) => response.writeHead(200).flushHeaders()],
  ["stops in its answer", (response) => void response.writeHead(200).write("x")],
  ["stops in what it refuses with", (response) => void response.writeHead(500).write("x")],
];

describe("scrape answer, of a program that", () => {
  const sockets = new Set<Socket>();
  let answer: (response: ServerResponse, request: IncomingMessage) => void;
  const server = createServer((request, response) => answer(response, request)).on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  });
  let takenBytes = 0;

  before(async () => void (await once(server.listen(0, "127.0.0.1"), "listening")));
  after(() => server.closeAllConnections());
  afterEach(async () => {
    await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve))));
    expect(takenBytes).equal(0);
  });

  function ask(signal: AbortSignal): Promise<Uint8Array> {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debug/pprof/heap`;
    const target = { key: "", job: JOB!, url, labels: [], discovered: [], intervalMs: 15_000, timeoutMs: 10_000, profile: { name: "memory", path: "", delta: false, isCumulative: true } };
    const memory = { take: (sizeBytes: number) => ((takenBytes += sizeBytes), true), give: (sizeBytes: number) => void (takenBytes -= sizeBytes), keep: () => true };
    return scrapeAnswer(target, signal, { fetch: nodeHttp({ readFile: () => Promise.reject(new Error("no file")) }), memory });
  }

  for (const [name, behaves, error] of BEHAVIOURS) {
    it(`${name}: says so, without a secret, and leaves no connection behind`, async () => {
      answer = behaves;
      const thrown: unknown = await ask(new AbortController().signal).then(() => undefined, (reason: unknown) => reason);
      expect(messageOf(thrown)).match(error).not.include(SECRET);
    });
  }

  for (const [name, behaves] of SLOW) {
    it(`${name}: ends with its signal, and leaves no connection behind`, async () => {
      const ended = new AbortController();
      answer = (response) => {
        behaves(response);
        setImmediate(() => ended.abort(new Error("too late")));
      };
      expect(await ask(ended.signal).then(() => undefined, (reason: unknown) => reason)).instanceOf(Error);
    });
  }
});
