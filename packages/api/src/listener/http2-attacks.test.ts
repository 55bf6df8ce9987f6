/** What a hostile client of HTTP/2 does beside floods of frames (http2.test.ts): it holds what it was given, and gives nothing back. */
import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { expect } from "chai";
import type { Handler } from "../ports/http.ts";
import { CONTINUATION, frame, HEADERS, PREFACE, SETTINGS } from "../testing/http2-frames.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi, OpenApiInit } from "../testing/open-api.ts";
import { WatchedHandler } from "../testing/watched-handler.ts";

const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const WATCH = "/grpc.health.v1.Health/Watch";
const EMPTY_MESSAGE = Buffer.from([0, 0, 0, 0, 0]);
/** The question which services there are. */
const LIST_SERVICES = Buffer.from([0, 0, 0, 0, 3, 0x3a, 1, 0x2a]);

describe("HTTP/2 under attack", () => {
  let api: OpenApi;
  const sessions: ClientHttp2Session[] = [];
  const sockets: Socket[] = [];
  const open = async (init: OpenApiInit = {}): Promise<OpenApi> => (api = await openApi(init));
  /** `windowBytes`: what the server may send on each stream before it is told to go on. */
  const client = (windowBytes = 65_535): ClientHttp2Session => {
    const session = connectHttp2(api.url, { settings: { initialWindowSize: windowBytes } });
    session.on("error", () => {});
    sessions.push(session);
    return session;
  };
  const request = (session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Uint8Array): ClientHttp2Stream => {
    const stream = session.request({ ":method": body === undefined ? "GET" : "POST", ...headers });
    stream.on("error", () => {});
    if (body !== undefined) stream.write(body);
    return stream;
  };
  const closeOf = (stream: ClientHttp2Stream): Promise<number> => new Promise((resolve) => stream.once("close", () => resolve(stream.rstCode ?? 0)));
  const statusOf = (stream: ClientHttp2Stream): Promise<number> =>
    new Promise((resolve) => {
      stream.once("response", (headers) => resolve(Number(headers[":status"])));
      stream.once("close", () => resolve(0));
      stream.resume();
    });
  /** A connection whose client answers nothing, and does not close its side when the server does. */
  const silent = async (...bytes: readonly Buffer[]): Promise<Socket> => {
    const socket = connect({ port: api.server.port, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => {});
    sockets.push(socket);
    const first = new Promise((resolve) => socket.once("data", resolve));
    socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), ...bytes]));
    await first;
    return socket;
  };
  /** Whether there is room for another connection, where one is the most that may be open. */
  const hasRoom = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect(api.server.port, "127.0.0.1");
      let received = "";
      socket.on("data", (chunk: Buffer) => (received += chunk.toString())).on("error", () => {});
      socket.on("close", () => resolve(received.startsWith("HTTP/1.1 200 ")));
      socket.write("GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    });
  const secondsPass = async (count: number): Promise<void> => {
    for (let second = 0; second < count; second++) {
      api.clock.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  afterEach(async () => {
    for (const session of sessions.splice(0)) session.destroy();
    for (const socket of sockets.splice(0)) socket.destroy();
    await api.server.stop();
  });

  describe("a connection", () => {
    it("without requests is given back though its client neither answers nor closes its side", async () => {
      await open({ limits: { keepAliveTimeoutMs: 5000, connectionCountMax: 1 } });
      await silent();
      await secondsPass(4);
      expect(await hasRoom()).to.equal(false);
      await secondsPass(12);
      expect(await hasRoom()).to.equal(true);
    });

    it("with an open call is given back when its client does not answer any more", async () => {
      await open({ limits: { connectionCountMax: 1 } });
      const fields = Buffer.concat([Buffer.from([0x83, 0x86, 0x04, WATCH.length]), Buffer.from(WATCH), Buffer.from([0x01, 1]), Buffer.from("x"), Buffer.from([0x0f, 0x10, 16]), Buffer.from("application/grpc")]);
      await silent(frame(HEADERS, 4, 1, fields), frame(0, 1, 1, EMPTY_MESSAGE));
      await secondsPass(179);
      expect(await hasRoom()).to.equal(false);
      await secondsPass(3);
      expect(await hasRoom()).to.equal(true);
    });

    it("with an open call stays while its client answers", async () => {
      await open();
      const stream = request(client(), { ":path": WATCH, "content-type": "application/grpc" }, EMPTY_MESSAGE);
      await new Promise((resolve) => stream.once("data", resolve));
      for (let minute = 0; minute < 5; minute++) {
        await secondsPass(61);
        await new Promise((resolve) => sessions[0]!.ping(resolve as () => void)); // by now it has answered
      }
      expect(stream.closed).to.equal(false);
    });

    it("that broke the protocol is given back: Node.js stops reading from it, and does not notice that it was closed", async () => {
      await open({ limits: { keepAliveTimeoutMs: 5000, connectionCountMax: 1 } });
      const field = Buffer.concat([Buffer.from([0, 1, 0x61, 127, 0x81, 0x7c]), Buffer.alloc(16_000, "v")]);
      const socket = await silent(frame(HEADERS, 0, 1, Buffer.from([0x82, 0x86, 0x84])), ...Array.from({ length: 4 }, () => frame(CONTINUATION, 0, 1, field)), frame(SETTINGS, 1, 0));
      socket.destroy();
      await secondsPass(16);
      expect(await hasRoom()).to.equal(true);
    });

    it("is refused beyond half of all connections, and HTTP/1.1 is served", async () => {
      await open({ limits: { connectionCountMax: 2 } });
      expect(await statusOf(request(client(), { ":path": "/-/healthy" }))).to.equal(200);
      expect(await statusOf(request(client(), { ":path": "/-/healthy" }))).to.equal(0);
      expect(await hasRoom()).to.equal(true);
    });
  });

  describe("a call with streams whose client does not read", () => {
    it("gives its place back", async () => {
      await open();
      const streams = Array.from({ length: 4 }, () => client(0)).flatMap((session) => Array.from({ length: 64 }, () => request(session, { ":path": REFLECTION, "content-type": "application/grpc" }, LIST_SERVICES)));
      await Promise.all(streams.map((stream) => new Promise((resolve) => stream.once("response", resolve))));
      const call = (): Promise<unknown> =>
        new Promise((resolve) => {
          const stream = request(client(), { ":path": REFLECTION, "content-type": "application/grpc" }, LIST_SERVICES);
          stream.once("response", (headers) => headers["grpc-status"] !== undefined && resolve(headers["grpc-status"]));
          stream.once("data", () => resolve("answered"));
        });
      expect(await call()).to.equal(String(8)); // RESOURCE_EXHAUSTED
      const closed = streams.map(closeOf);
      api.clock.advance(30_000);
      expect(new Set(await Promise.all(closed))).to.deep.equal(new Set([constants.NGHTTP2_CANCEL]));
      expect(await call()).to.equal("answered");
    });

    it("does not delay a stop", async () => {
      await open({ limits: { stopTimeoutMs: 1_000_000 } });
      const stream = request(client(0), { ":path": WATCH, "content-type": "application/grpc" }, EMPTY_MESSAGE);
      await new Promise((resolve) => stream.once("response", resolve));
      await api.server.stop();
    });
  });

  describe("a call with streams whose client sends many messages", () => {
    // Thirteen thousand empty ones were let wait in each of 256 calls.
    it("ends where those that wait are many, however small they are", async () => {
      await open();
      const stream = request(client(), { ":path": WATCH, "content-type": "application/grpc" }, Buffer.concat(Array.from({ length: 300 }, () => EMPTY_MESSAGE)));
      const { "grpc-status": status, "grpc-message": message } = await new Promise<IncomingHttpHeaders>((resolve) => stream.once("trailers", resolve).resume());
      expect([status, message]).to.deep.equal(["3", "more than 65792 bytes of messages wait here, where each counts 256 bytes more than it has: send less at once"]);
    });

    it("ends where one is larger than a message may be, as soon as it is", async () => {
      await open();
      const stream = request(client(), { ":path": WATCH, "content-type": "application/grpc" }, Buffer.concat([Buffer.from([0, 0, 1, 17, 112]), Buffer.alloc(65_537)])); // of 70,000 bytes
      const { "grpc-status": status, "grpc-message": message } = await new Promise<IncomingHttpHeaders>((resolve) => stream.once("trailers", resolve).resume());
      expect([status, message]).to.deep.equal(["3", "a message has more than 65536 bytes: send less at once"]);
    });

    it("goes on where each is received", async () => {
      await open();
      const stream = client().request({ ":method": "POST", ":path": REFLECTION, "content-type": "application/grpc" }, { endStream: false });
      for (let count = 0; count < 300; count++) {
        const answered = new Promise((resolve) => stream.once("data", resolve));
        stream.write(LIST_SERVICES);
        await answered;
      }
      expect(stream.closed).to.equal(false);
    });
  });

  describe("replies that nobody reads", () => {
    it("take a bounded part of memory, however short they are", async () => {
      await open({ limits: { replyBytesInFlightMax: 16 * 2 ** 14 } });
      const session = client(0);
      const streams = Array.from({ length: 30 }, () => request(session, { ":path": "/-/healthy" }));
      const closed = streams.map(closeOf);
      expect(await Promise.all(closed.slice(20))).to.deep.equal(Array.from({ length: 10 }, () => constants.NGHTTP2_CANCEL));
      expect(await api.metrics.text()).to.match(new RegExp(`pyromesh_reply_bytes ${20 * 2 ** 14}`));
      for (const stream of streams) stream.close();
      await Promise.all(closed);
      await api.ended.reach(30);
      expect(await api.metrics.text()).to.match(/pyromesh_reply_bytes 0/);
    });

    it("hold nothing of the bodies of their requests: what still comes is thrown away", async () => {
      await open();
      for (const path of ["/nope", "/-/healthy"]) {
        const stream = client(0).request({ ":method": path === "/nope" ? "POST" : "GET", ":path": path }, { endStream: false });
        stream.on("error", () => {});
        for (let at = 0; at < 1_000_000; at += 10_000) await new Promise((resolve) => stream.write(Buffer.alloc(10_000), resolve)); // a window is 128 KiB
        stream.close();
      }
    });
  });

  it("a connection that sends nothing is closed after its 408, though its client keeps its side open: it would count for good", async () => {
    await open({ limits: { connectionCountMax: 1, headersTimeoutMs: 1000 } });
    const socket = connect({ port: api.server.port, host: "127.0.0.1", allowHalfOpen: true });
    sockets.push(socket);
    await once(socket, "connect");
    expect(await hasRoom()).to.equal(false);
    const ended = once(socket.resume(), "end");
    api.clock.advance(1000);
    await ended;
    expect(await hasRoom()).to.equal(true);
  });

  describe("slow bodies on all places", () => {
    const read: Handler = async (request) => ({ status: 200, headers: { "content-type": "text/plain" }, body: String((await request.body(1_000_000)).length) });
    const push = (session: ClientHttp2Session, body: Uint8Array): ClientHttp2Stream => request(session, { ":path": "/ingest" }, body);

    it("give their places to others after some seconds; a body that comes at a fair pace does not", async () => {
      const watched = new WatchedHandler(read);
      await open({ push: watched.handler, limits: { concurrentRequestsMax: 4 } });
      const session = client();
      const slow = Array.from({ length: 3 }, () => push(session, Buffer.from("x")));
      const fair = push(session, Buffer.alloc(60_000));
      await watched.begun.reach(4);
      expect((await fetch(`${api.url}/ingest`, { method: "POST", body: "hello" })).status).to.equal(503);
      api.clock.advance(5000);
      const ended = slow.map(statusOf);
      expect((await fetch(`${api.url}/ingest`, { method: "POST", body: "hello" })).status).to.equal(503);
      expect(await Promise.all(ended)).to.deep.equal([408, 408, 408]);
      expect((await fetch(`${api.url}/ingest`, { method: "POST", body: "hello" })).status).to.equal(200);
      const status = statusOf(fair);
      fair.end();
      expect(await status).to.equal(200);
    });

    it("a push over a line of 64 kbit/s keeps its place where bodies that stand still held enough of them, and gives it away where they did not", async () => {
      await open({ push: read, limits: { concurrentRequestsMax: 4 } });
      /** Resolves when the server has received all of it. */
      const part = async (sizeBytes: number): Promise<ClientHttp2Stream> => {
        const session = client();
        const stream = push(session, Buffer.alloc(sizeBytes));
        await once(stream, "ready");
        await new Promise((resolve) => session.ping(resolve as () => void));
        return stream;
      };
      const still = await part(1);
      const thin = [await part(30_000), await part(30_000), await part(30_000)];
      expect((await fetch(`${api.url}/ingest`, { method: "POST", body: "hello" })).status).to.equal(503);
      api.clock.advance(5000);
      const ended = statusOf(still);
      expect((await fetch(`${api.url}/ingest`, { method: "POST", body: "hello" })).status).to.equal(503);
      expect(await ended).to.equal(408);
      const whole = statusOf(thin[0]!);
      thin[0]!.end();
      expect(await whole).to.equal(200);
      const others = [await part(30_000), await part(30_000)];
      api.clock.advance(5000);
      const cut = [...thin.slice(1), ...others].map(statusOf);
      expect((await fetch(`${api.url}/ingest`, { method: "POST", body: "hello" })).status).to.equal(503);
      expect(await Promise.all(cut)).to.deep.equal([408, 408, 408, 408]);
    });

    it("are let be while there is a place", async () => {
      const watched = new WatchedHandler(read);
      await open({ push: watched.handler, limits: { concurrentRequestsMax: 2 } });
      const slow = push(client(), Buffer.from("x"));
      await watched.begun.reach(1);
      api.clock.advance(50_000);
      expect((await fetch(`${api.url}/ingest`, { method: "POST", body: "hello" })).status).to.equal(200);
      const status = statusOf(slow);
      slow.end();
      expect(await status).to.equal(200);
    });
  });
});
