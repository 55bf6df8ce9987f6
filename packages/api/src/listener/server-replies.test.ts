/** Large replies and clients that do not read them, on real sockets, with a clock that only the test moves. */
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { expect } from "chai";
import type { Handler } from "../ports/http.ts";
import { DEFAULT_SERVER_LIMITS } from "./server.ts";
import type { ManualClock } from "@pyromesh/base/testing";
import { inPlaceCompression } from "../testing/in-place-compression.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi, OpenApiInit } from "../testing/open-api.ts";
import { WatchedHandler } from "../testing/watched-handler.ts";

const MB = 2 ** 20;
/** More than the kernel takes while nobody reads. */
const UNREAD_BYTES = 24 * MB;
const { replyPace, replyWaitMs } = DEFAULT_SERVER_LIMITS;

describe("server: replies", () => {
  let api: OpenApi;
  let clock: ManualClock;
  let replying: WatchedHandler;
  let builtCount: number;
  const clients: Socket[] = [];
  /** Replies with `?size=` bytes, after reserving `?reserved=` bytes. */
  const handler: Handler = async (request) => {
    const reservedBytes = Number(request.query.get("reserved") ?? 0);
    if (reservedBytes > 0) await request.reserveReply(reservedBytes);
    builtCount++;
    return { status: 200, headers: { "content-type": request.query.get("type") ?? "application/octet-stream" }, body: patternOf(Number(request.query.get("size"))) };
  };
  const open = async (init: OpenApiInit = {}): Promise<void> => {
    replying = new WatchedHandler(handler);
    builtCount = 0;
    api = await openApi({ push: replying.handler, ...init });
    clock = api.clock;
  };
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await api.server.stop();
  });

  const ask = (parameters: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> => fetch(`${api.url}/ingest?${parameters}`, { method: "POST", headers });
  /** Sends a request and reads nothing of the reply. */
  const askUnread = (parameters: string): Socket => {
    const client = connect(api.server.port, "127.0.0.1").pause();
    client.on("error", () => undefined);
    client.write(`POST /ingest?${parameters} HTTP/1.1\r\nhost: x\r\n\r\n`);
    clients.push(client);
    return client;
  };
  const metric = async (name: string): Promise<number> => Number(new RegExp(`^${name} (.*)$`, "m").exec(await api.metrics.text())?.[1]);
  const heldBytes = (): Promise<number> => metric("pyromesh_reply_bytes");
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  /** What replies hold once the handler has ended for so many requests: their replies are handed to the kernel by then. */
  const heldAfterReplies = async (count: number): Promise<number> => {
    await replying.ended.reach(count);
    await turn();
    return heldBytes();
  };
  /** What replies hold once so many requests have ended. */
  const heldAfterEnds = async (count: number): Promise<number> => {
    await api.ended.reach(count);
    return heldBytes();
  };

  it("a reply of any size is complete, compressed where the client accepts it, and frees its memory", async () => {
    await open();
    for (const size of [65_536, 65_537, 131_072, 1_000_000, 5 * MB + 1]) {
      const plain = await ask(`size=${size}`);
      expect(Number(plain.headers.get("content-length"))).to.equal(size);
      expect(Buffer.compare(Buffer.from(await plain.arrayBuffer()), patternOf(size)), String(size)).to.equal(0);
      const text = await ask(`size=${size}&type=text/plain`, { "accept-encoding": "gzip" });
      expect(text.headers.get("content-encoding")).to.equal("gzip");
      expect(Buffer.compare(Buffer.from(await text.arrayBuffer()), patternOf(size)), `${size}, compressed`).to.equal(0);
    }
    expect(await heldAfterEnds(10)).to.equal(0);
  });

  it("a reply without memory for compression is sent uncompressed", async () => {
    await open({ limits: { replyBytesInFlightMax: 8 * MB } });
    const reply = await ask(`size=${5 * MB}&type=text/plain`, { "accept-encoding": "gzip" });
    expect([reply.headers.get("content-encoding"), (await reply.arrayBuffer()).byteLength]).to.deep.equal([null, 5 * MB]);
    expect(await heldAfterEnds(1)).to.equal(0);
  });

  it("replies to pipelined requests are complete and in order", async () => {
    await open();
    const client = connect(api.server.port, "127.0.0.1");
    clients.push(client);
    const chunks: Buffer[] = [];
    const closed = new Promise((resolve) => client.on("data", (chunk) => chunks.push(chunk)).on("close", resolve));
    const sizes = [5 * MB, 70_000, 100, 3 * MB];
    client.write(sizes.map((size, index) => `POST /ingest?size=${size} HTTP/1.1\r\nhost: x\r\n${index === 3 ? "connection: close\r\n" : ""}\r\n`).join(""));
    await closed;
    let rest = Buffer.concat(chunks);
    for (const size of sizes) {
      const bodyAt = rest.indexOf("\r\n\r\n") + 4;
      expect(rest.subarray(0, 15).toString()).to.equal("HTTP/1.1 200 OK");
      expect(Buffer.compare(rest.subarray(bodyAt, bodyAt + size), patternOf(size)), String(size)).to.equal(0);
      rest = rest.subarray(bodyAt + size);
    }
    expect(rest.length).to.equal(0);
    expect(await heldAfterEnds(4)).to.equal(0);
  });

  it("HEAD of a large reply has only its headers", async () => {
    await open({ pages: { get: () => ({ body: patternOf(200_000), contentType: "application/octet-stream", etag: '"1"' }) } });
    const reply = await fetch(`${api.url}/favicon.ico`, { method: "HEAD" });
    expect([reply.status, reply.headers.get("content-length"), await reply.text()]).to.deep.equal([200, "200000", ""]);
    expect(await heldAfterEnds(1)).to.equal(0);
  });

  it("a client that does not read is cut off after the slow window, and its memory is free", async () => {
    await open();
    askUnread(`size=${UNREAD_BYTES}`);
    expect(await heldAfterReplies(1)).to.equal(UNREAD_BYTES);
    clock.advance(replyPace.slowWindowMs - 1000);
    expect([await metric("pyromesh_replies_cut_total"), await heldBytes()]).to.deep.equal([0, UNREAD_BYTES]);
    clock.advance(2000);
    expect(await heldAfterEnds(1)).to.equal(0);
    expect(await metric("pyromesh_replies_cut_total")).to.equal(1);
  });

  it("a client that goes away in the middle frees its memory at once", async () => {
    await open();
    const client = askUnread(`size=${UNREAD_BYTES}`);
    expect(await heldAfterReplies(1)).to.equal(UNREAD_BYTES);
    client.destroy();
    expect(await heldAfterEnds(1)).to.equal(0);
  });

  it("an idle connection is never cut off", async () => {
    await open();
    const client = connect(api.server.port, "127.0.0.1");
    clients.push(client);
    for (let n = 1; n <= 2; n++) {
      client.write("GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n");
      expect(String(await once(client, "data"))).to.match(/ok\n$/);
      clock.advance(3_600_000);
    }
  });

  it("a reply that is built and finds no memory is refused, with the time when there will be some", async () => {
    await open({ limits: { replyBytesInFlightMax: 32 * MB } });
    askUnread(`size=${UNREAD_BYTES}`);
    expect(await heldAfterReplies(1)).to.equal(UNREAD_BYTES);
    clock.advance(4000);
    const refused = await ask(`size=${4 * MB}`);
    // Ten seconds after the reader's last progress, or one tick later, when the server noticed it.
    expect(refused.headers.get("retry-after")).to.be.oneOf(["6", "7"]);
    expect([refused.status, await refused.text()]).to.deep.equal([503, `{"code":"unavailable","message":"this node has no memory left for this reply until others are read: ask for less, or try again in ${refused.headers.get("retry-after")} s"}`]);
    expect((await ask("size=500000")).status, "a smaller one has room").to.equal(200);
  });

  it("a reply with a reservation is not built before it has memory; clients that do not read are cut off sooner meanwhile", async () => {
    await open({ limits: { replyBytesInFlightMax: 32 * MB } });
    askUnread(`size=${UNREAD_BYTES}`);
    expect(await heldAfterReplies(1)).to.equal(UNREAD_BYTES);
    const waiting = ask(`size=${3 * MB}&reserved=${4 * MB}`);
    await replying.begun.reach(2);
    clock.advance(replyPace.wantedWindowMs - 1000);
    expect(builtCount).to.equal(1);
    clock.advance(2000);
    const reply = await waiting;
    expect([reply.status, (await reply.arrayBuffer()).byteLength, builtCount]).to.deep.equal([200, 3 * MB, 2]);
    expect(await heldAfterEnds(2)).to.equal(0);
  });

  it("where no memory gets free in time the request is refused without any work", async () => {
    await open({ limits: { replyBytesInFlightMax: 32 * MB, replyPace: { ...replyPace, wantedWindowMs: 60_000, slowWindowMs: 60_000 } } });
    askUnread(`size=${UNREAD_BYTES}`);
    expect(await heldAfterReplies(1)).to.equal(UNREAD_BYTES);
    const waiting = ask(`size=1&reserved=${4 * MB}`);
    await replying.begun.reach(2);
    clock.advance(replyWaitMs);
    const refused = await waiting;
    expect([refused.status, builtCount]).to.deep.equal([503, 1]);
    expect(refused.headers.get("retry-after")).to.be.oneOf(["45", "46"]);
    expect(await heldAfterReplies(1)).to.equal(UNREAD_BYTES);
  });

  it("sixty clients that do not read hold no more than the bound, and a small request is answered meanwhile", async () => {
    await open({ limits: { replyBytesInFlightMax: 32 * MB } });
    for (let n = 0; n < 60; n++) askUnread(`size=${6 * MB}`);
    expect(await heldAfterReplies(60)).to.be.at.most(24 * MB);
    expect((await ask("size=1000")).status).to.equal(200);
  });

  it("a compressed reply that is not read holds its compressed size", async () => {
    await open({ compression: inPlaceCompression(queueMicrotask) });
    const client = connect(api.server.port, "127.0.0.1").pause();
    clients.push(client);
    // The large reply before it keeps the kernel's buffer full, so that even a small one waits.
    client.write(`POST /ingest?size=${UNREAD_BYTES} HTTP/1.1\r\nhost: x\r\n\r\nPOST /ingest?size=${4 * MB}&type=text/plain HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n`);
    expect(await heldAfterReplies(2)).to.be.within(UNREAD_BYTES + 1, UNREAD_BYTES + MB);
  });

  it("a stop lets clients read to the end, and cuts off those that do not read, before its time limit", async () => {
    await open({ limits: { stopTimeoutMs: 3_600_000 } });
    askUnread(`size=${UNREAD_BYTES}`);
    const reader = connect(api.server.port, "127.0.0.1").pause();
    clients.push(reader);
    reader.write(`POST /ingest?size=${UNREAD_BYTES} HTTP/1.1\r\nhost: x\r\n\r\n`); // it keeps its connection open
    expect(await heldAfterReplies(2)).to.equal(2 * UNREAD_BYTES);
    const stopped = api.server.stop();
    const received = new Promise<number>((resolve) => {
      let bytes = 0;
      reader.on("data", (chunk) => (bytes += chunk.length)).on("close", () => resolve(bytes));
    });
    reader.resume();
    expect(await received).to.be.greaterThan(UNREAD_BYTES);
    expect(await metric("pyromesh_replies_cut_total")).to.equal(0);
    clock.advance(replyPace.stopWindowMs + 1000);
    await stopped;
    expect(await metric("pyromesh_replies_cut_total")).to.equal(1);
  });

  it("a stop refuses requests that wait for memory", async () => {
    await open({ limits: { replyBytesInFlightMax: 32 * MB } });
    askUnread(`size=${UNREAD_BYTES}`);
    expect(await heldAfterReplies(1)).to.equal(UNREAD_BYTES);
    const waiting = ask(`size=1&reserved=${4 * MB}`);
    await replying.begun.reach(2);
    const stopped = api.server.stop();
    expect([(await waiting).status, builtCount]).to.deep.equal([503, 1]);
    clock.advance(replyPace.stopWindowMs + 1000);
    await stopped;
  });
});

const patterns = new Map<number, Buffer>();

/** Bytes that depend on their position and can be compressed. */
function patternOf(size: number): Buffer {
  let bytes = patterns.get(size);
  if (bytes !== undefined) return bytes;
  patterns.set(size, (bytes = Buffer.alloc(size)));
  for (let at = 0; at + 4 <= size; at += 256) bytes.writeUInt32LE(at, at);
  return bytes;
}
