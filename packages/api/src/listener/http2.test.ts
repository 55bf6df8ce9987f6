import { connect as connectHttp2, constants } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { deflateSync, gzipSync } from "node:zlib";
import { expect } from "chai";
import type { ApiReply, ApiRequest, Handler } from "../ports/http.ts";
import { CONTINUATION, DATA, END_HEADERS, END_STREAM, frame, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE } from "../testing/http2-frames.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi, OpenApiInit } from "../testing/open-api.ts";
import { zstdFrame } from "../testing/zstd-frames.ts";
import { WatchedHandler } from "../testing/watched-handler.ts";

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Of the stream; 0: it ended by itself. */
  readonly rstCode: number;
}

function replyOf(stream: ClientHttp2Stream): Promise<Reply> {
  return new Promise((resolve) => {
    let headers: IncomingHttpHeaders = {};
    let body = "";
    stream.on("response", (received) => (headers = received));
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    stream.on("error", () => {});
    stream.on("close", () => resolve({ status: Number(headers[":status"] ?? 0), headers, body, rstCode: stream.rstCode ?? 0 }));
  });
}

/** POST / http, :path /ingest, :authority x: literals without an index. */
const POST_INGEST = Buffer.concat([Buffer.from([0x83, 0x86, 0x04, 7]), Buffer.from("/ingest"), Buffer.from([0x01, 1]), Buffer.from("x")]);
const GET_HEALTHY = Buffer.concat([Buffer.from([0x82, 0x86, 0x04, 10]), Buffer.from("/-/healthy"), Buffer.from([0x01, 1]), Buffer.from("x")]);

describe("HTTP/2", () => {
  let api: OpenApi;
  let session: ClientHttp2Session | undefined;
  const open = async (init: OpenApiInit = {}): Promise<OpenApi> => (api = await openApi(init));
  const client = (): ClientHttp2Session => {
    session = connectHttp2(api.url);
    session.on("error", () => {});
    return session;
  };
  const send = (headers: OutgoingHttpHeaders, body?: Uint8Array | string): ClientHttp2Stream => {
    const stream = (session ?? client()).request({ ":method": body === undefined ? "GET" : "POST", ...headers });
    stream.on("error", () => {});
    stream.end(body);
    return stream;
  };
  /** A connection that has begun; frames are written by hand. */
  const raw = async (): Promise<{ readonly socket: Socket; readonly closed: Promise<Buffer> }> => {
    const socket = connect(api.server.port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => {});
    const closed = new Promise<Buffer>((resolve) => socket.on("close", () => resolve(Buffer.concat(chunks))));
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)]));
    return { socket, closed };
  };
  afterEach(async () => {
    session?.destroy();
    session = undefined;
    await api.server.stop();
  });

  describe("requests", () => {
    it("are answered on the port of HTTP/1.1, several at once on one connection", async () => {
      await open();
      const replies = await Promise.all([replyOf(send({ ":path": "/-/healthy" })), replyOf(send({ ":path": "/nope" })), replyOf(send({ ":path": "/ingest", ":method": "PUT" }))]);
      expect(replies.map(({ status, body }) => [status, body])).to.deep.equal([[200, "ok\n"], [404, "404 page not found\n"], [405, ""]]);
      expect((await api.get("/-/healthy")).status).to.equal(200);
    });

    it("a preface in pieces of one byte is a preface", async () => {
      await open();
      const socket = connect({ port: api.server.port, host: "127.0.0.1", noDelay: true });
      const first = new Promise<Buffer>((resolve) => socket.once("data", resolve));
      for (const byte of Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)])) await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
      expect((await first).readUInt8(3)).to.equal(SETTINGS);
      socket.destroy();
    });

    it("a body is read to its end, with a length and without", async () => {
      const handler: Handler = async (request) => ({ status: 200, headers: { "content-type": "text/plain" }, body: String((await request.body(10_000_000)).length) });
      await open({ push: handler });
      const body = Buffer.alloc(3_000_000, "x");
      expect((await replyOf(send({ ":path": "/ingest", "content-length": String(body.length) }, body))).body).to.equal("3000000");
      expect((await replyOf(send({ ":path": "/ingest" }, body))).body).to.equal("3000000");
      expect((await replyOf(send({ ":path": "/ingest" }, ""))).body).to.equal("0");
      expect((await replyOf(send({ ":path": "/ingest", expect: "100-continue" }, "abc"))).body).to.equal("3");
    });

    it("HEAD is a GET without its body", async () => {
      await open();
      const { status, headers, body } = await replyOf(send({ ":path": "/-/healthy", ":method": "HEAD" }));
      expect([status, headers["content-length"], body]).to.deep.equal([200, "3", ""]);
    });

    it("a long reply comes whole, and compressed for who takes it", async () => {
      const body = "x".repeat(3_000_000);
      await open({ push: () => Promise.resolve({ status: 200, headers: { "content-type": "text/plain" }, body }) });
      expect((await replyOf(send({ ":path": "/ingest" }, ""))).body).to.have.length(3_000_000);
      expect((await replyOf(send({ ":path": "/ingest", "accept-encoding": "gzip" }, ""))).headers["content-encoding"]).to.equal("gzip");
    });

    it(":authority is the Host", async () => {
      await open();
      expect((await replyOf(send({ ":path": "/-/healthy", ":authority": "evil.example" }))).status).to.equal(403);
      expect((await replyOf(send({ ":path": "/-/healthy", ":authority": "x" }))).status).to.equal(200);
      expect((await replyOf(send({ ":path": "/-/healthy", ":authority": "x", host: "evil.example" }))).status).to.equal(400);
    });

    it("the address of the client is known: an operator's route is for this machine", async () => {
      await open();
      expect((await replyOf(send({ ":path": "/flush" }, ""))).status).to.equal(200);
      expect((await replyOf(send({ ":path": "/flush", "x-forwarded-for": "10.0.0.1" }, ""))).status).to.equal(403);
    });
  });

  describe("a request that ends early", () => {
    const reading = (): WatchedHandler => new WatchedHandler(async (request: ApiRequest): Promise<ApiReply> => ({ status: 200, headers: {}, body: String((await request.body(1000)).length) }));

    it("a body that was reset is not taken for a complete one", async () => {
      let outcome: unknown;
      const watched = new WatchedHandler(async (request) => {
        outcome = await request.body(1000).catch((thrown: unknown) => thrown);
        return { status: 200, headers: {}, body: "" };
      });
      await open({ push: watched.handler });
      for (const [index, headers] of [{}, { "content-length": "10" }].entries()) {
        const stream = (session ?? client()).request({ ":method": "POST", ":path": "/ingest", ...headers });
        stream.on("error", () => {});
        await new Promise((resolve) => stream.write("abc", resolve));
        await watched.begun.reach(index + 1);
        stream.close(constants.NGHTTP2_CANCEL);
        await watched.ended.reach(index + 1);
        expect(outcome).to.have.property("code", "BODY_READ_FAILED");
      }
    });

    it("a client that cancels aborts its query", async () => {
      await open();
      api.source.gate = new Promise(() => {});
      const query = api.source.nextQuery();
      const stream = send({ ":path": "/querier.v1.QuerierService/LabelNames", "content-type": "application/json" }, '{"start":1700000000000,"end":1700000060000}');
      const signal = await query;
      const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
      stream.close(constants.NGHTTP2_CANCEL);
      await aborted;
      expect(signal.reason).to.have.property("code", "CLIENT_GONE");
    });

    it("a reply before the end of the body ends the stream, and the connection goes on", async () => {
      await open({ push: () => Promise.resolve({ status: 429, headers: {}, body: "no" }) });
      const stream = client().request({ ":method": "POST", ":path": "/ingest" });
      stream.write("begin");
      expect(await replyOf(stream)).to.include({ status: 429, body: "no", rstCode: constants.NGHTTP2_NO_ERROR });
      expect((await replyOf(send({ ":path": "/-/healthy" }))).status).to.equal(200);
    });

    it("trailers before the end of the requests end the stream, and the connection goes on", async () => {
      await open();
      const stream = client().request({ ":method": "POST", ":path": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "content-type": "application/grpc" });
      const trailers = new Promise<IncomingHttpHeaders>((resolve) => stream.once("trailers", resolve));
      stream.write(Buffer.from([2, 0, 0, 0, 0])); // flags that no message has; further ones may follow
      expect(await replyOf(stream)).to.include({ status: 200, rstCode: constants.NGHTTP2_NO_ERROR });
      expect((await trailers)["grpc-status"]).to.equal("3");
      expect((await replyOf(send({ ":path": "/-/healthy" }))).status).to.equal(200);
    });

    it("messages of a call with streams may be compressed, within a bound; an unknown encoding ends the call", async () => {
      await open();
      const ask = async (encoding: string, message: Uint8Array): Promise<string> => {
        const stream = client().request({ ":method": "POST", ":path": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "content-type": "application/grpc", "grpc-encoding": encoding });
        const trailers = new Promise<IncomingHttpHeaders>((resolve) => stream.once("trailers", resolve));
        const head = Buffer.from([1, 0, 0, 0, 0]);
        head.writeUInt32BE(message.length, 1);
        stream.end(Buffer.concat([head, message]));
        const { body } = await replyOf(stream);
        session!.destroy();
        return body.includes("querier.v1.QuerierService") ? "answered" : `${(await trailers)["grpc-status"] as string}: ${(await trailers)["grpc-message"] as string}`;
      };
      const list = Buffer.from([0x3a, 1, 0x2a]); // which services there are
      const zeros = Buffer.alloc(70_000);
      const encodings: readonly (readonly [string, Uint8Array, Uint8Array])[] = [
        ["gzip", gzipSync(list), gzipSync(zeros)],
        ["deflate", deflateSync(list), deflateSync(zeros)],
        ["zstd", zstdFrame([list]), zstdFrame([{ byte: 0, count: zeros.length }])],
      ];
      for (const [name, whole, bomb] of encodings) {
        expect(await ask(name, whole), name).to.equal("answered");
        expect(await ask(name, bomb), name).to.match(/^3: the body decompresses to more than 65536 bytes/);
        expect(await ask(name, Buffer.from("torn")), name).to.match(/^3: the body is not a complete /);
      }
      expect(await ask("snappy", list)).to.match(/^12: grpc-encoding "snappy" is not supported/);
      expect(await ask("identity", list)).to.match(/^3: a message is marked as compressed/);
    });

    it("a body that does not arrive in time is 408", async () => {
      const watched = reading();
      await open({ push: watched.handler, limits: { bodyTimeoutMs: 1000 } });
      const stream = client().request({ ":method": "POST", ":path": "/ingest" });
      stream.write("begin");
      await watched.begun.reach(1);
      api.clock.advance(1000);
      expect((await replyOf(stream)).status).to.equal(408);
    });
  });

  describe("bounds", () => {
    it("the limit of streams is told, and one more is refused by a reset", async () => {
      const watched = new WatchedHandler(() => new Promise(() => {}));
      await open({ push: watched.handler, limits: { stopTimeoutMs: 10 } });
      const { socket, closed } = await raw();
      const streams = Array.from({ length: 65 }, (_, index) => frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * index, POST_INGEST));
      socket.write(Buffer.concat(streams));
      await watched.begun.reach(64);
      const refused = new Promise<Buffer>((resolve) => socket.on("data", resolve));
      const text = await refused;
      socket.destroy();
      const received = Buffer.concat([await closed, text]);
      expect(received.includes(frame(RST_STREAM, 0, 129, Buffer.from([0, 0, 0, constants.NGHTTP2_REFUSED_STREAM])))).to.equal(true);
      expect(received.includes(Buffer.from([0, 3, 0, 0, 0, 64])), "MAX_CONCURRENT_STREAMS").to.equal(true);
      expect(watched.begun.count).to.equal(64);
    });

    it("headers beyond the limit are 431 with a sentence, and their connection goes on; beyond twice as much their stream is reset", async () => {
      await open({ limits: { headerBytesMax: 4096 } });
      await new Promise((resolve) => client().once("remoteSettings", resolve));
      const get = (headers: OutgoingHttpHeaders): Promise<Reply> => replyOf(send({ ":path": "/-/healthy", ...headers }));
      expect((await get({ "x-long": "a".repeat(3500) })).status).to.equal(200);
      const { status, body } = await get({ "x-long": "a".repeat(5000) });
      expect(status).to.equal(431);
      expect(JSON.parse(body)).to.have.property("code", "resource_exhausted");
      expect(body).to.match(/the headers have \d+ bytes, of which each field counts 32: send at most 4096/);
      const rpc = await replyOf(send({ ":path": "/version.v1.Version/Version", "content-type": "application/grpc", "x-long": "a".repeat(5000) }, ""));
      expect([rpc.status, rpc.headers["grpc-status"]]).to.deep.equal([200, "8"]);
      expect(rpc.headers["grpc-message"]).to.match(/send at most 4096/);
      const reset = await get({ "x-long": "a".repeat(9000) });
      expect([reset.status, reset.rstCode === 0]).to.deep.equal([0, false]);
    });

    it("more header fields than 128 are 431 with a sentence, and more than 256 reset their stream", async () => {
      await open();
      const get = (count: number): Promise<Reply> => replyOf(send({ ":path": "/-/healthy", ...Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, "a"])) }));
      expect((await get(120)).status).to.equal(200);
      const { status, body } = await get(125);
      expect([status, (JSON.parse(body) as { message: string }).message]).to.deep.equal([431, "the headers have 129 fields: send at most 128"]);
      expect((await get(260)).status).to.equal(0);
      expect((await get(0)).status).to.equal(200);
    });

    it("a connection that sends nothing is 408 after the time for headers; so is one that sends half a preface", async () => {
      await open({ limits: { headersTimeoutMs: 1000 } });
      for (const begin of ["", "PR"]) {
        const socket = connect(api.server.port, "127.0.0.1");
        let received = "";
        socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
        await new Promise((resolve) => socket.once("connect", resolve));
        if (begin !== "") await new Promise((resolve) => socket.write(begin, resolve));
        expect((await api.get("/-/healthy")).status).to.equal(200); // by now the server has seen the other connection
        const closed = new Promise((resolve) => socket.on("close", resolve));
        api.clock.advance(1000);
        await closed;
        expect(received).to.match(/^HTTP\/1\.1 408 /);
      }
    });

    it("a client that resets its connection after its 408 harms nobody: the error had no listener, and ended the node", async () => {
      await open({ limits: { headersTimeoutMs: 1000 } });
      const socket = connect(api.server.port, "127.0.0.1");
      socket.on("error", () => {});
      await new Promise((resolve) => socket.once("connect", resolve));
      expect((await api.get("/-/healthy")).status).to.equal(200); // by now the server has seen the other connection
      const refused = new Promise((resolve) => socket.once("data", resolve));
      api.clock.advance(1000);
      await refused;
      socket.resetAndDestroy();
      for (let times = 0; times < 3; times++) expect((await api.get("/-/healthy")).status).to.equal(200); // the server has seen the reset, which came first
    });

    it("nor does one that resets its connection after it was told to go away", async () => {
      await open({ limits: { keepAliveTimeoutMs: 5000 } });
      const { socket } = await raw();
      await new Promise((resolve) => socket.once("data", resolve));
      expect((await api.get("/-/healthy")).status).to.equal(200);
      const goneAway = new Promise((resolve) => socket.once("end", resolve));
      for (let second = 0; second < 8; second++) api.clock.advance(1000);
      await goneAway;
      socket.resetAndDestroy();
      for (let times = 0; times < 3; times++) expect((await api.get("/-/healthy")).status).to.equal(200);
    });

    it("a connection without requests is closed after the time for keep-alive, with a word to its client", async () => {
      await open({ limits: { keepAliveTimeoutMs: 5000 } });
      await replyOf(send({ ":path": "/-/healthy" }));
      const goneAway = new Promise((resolve) => session!.on("goaway", (code) => resolve(code)));
      const closed = new Promise((resolve) => session!.on("close", resolve));
      await api.ended.reach(1);
      for (let second = 0; second < 8; second++) api.clock.advance(1000);
      expect(await goneAway).to.equal(constants.NGHTTP2_NO_ERROR);
      await closed;
    });

    it("a connection that waits for a reply is not idle", async () => {
      const watched = new WatchedHandler(() => new Promise(() => {}));
      await open({ push: watched.handler, limits: { keepAliveTimeoutMs: 5000, stopTimeoutMs: 10 } });
      send({ ":path": "/ingest" }, "");
      await watched.begun.reach(1);
      for (let second = 0; second < 20; second++) api.clock.advance(1000);
      expect((await replyOf(send({ ":path": "/-/healthy" }))).status).to.equal(200);
    });

    const floods: readonly (readonly [name: string, unit: Buffer])[] = [
      ["settings", frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0]))],
      ["pings", frame(PING, 0, 0, Buffer.alloc(8))],
      ["window updates", frame(WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0, 1]))],
      ["priorities", frame(PRIORITY, 0, 7, Buffer.from([0, 0, 0, 0, 16]))],
      ["frames of an unknown type", frame(77, 0, 0, Buffer.alloc(100))],
    ];
    for (const [name, unit] of floods) {
      it(`a flood of ${name} closes the connection`, async () => {
        await open();
        const { socket, closed } = await raw();
        const many = Buffer.concat(Array.from({ length: 4000 }, () => unit));
        let isClosed = false;
        void closed.then(() => (isClosed = true));
        for (let sent = 0; !isClosed && sent < 200; sent++) {
          await new Promise((resolve) => socket.write(many, resolve));
          await api.get("/-/healthy"); // the server has had a turn
          api.clock.advance(1000);
        }
        await closed;
        expect((await api.get("/-/healthy")).status).to.equal(200);
      });
    }

    it("a client whose connection is closed for a flood is told to calm down", async () => {
      await open({ push: () => new Promise(() => {}) });
      const goneAway = new Promise((resolve) => client().on("goaway", resolve));
      for (let index = 0; index < 300 && !session!.destroyed; index++) {
        const stream = send({ ":path": "/ingest" }, "");
        const closed = new Promise((resolve) => stream.once("close", resolve));
        await new Promise((resolve) => setImmediate(resolve));
        stream.close(constants.NGHTTP2_CANCEL);
        await closed;
      }
      expect(await goneAway).to.equal(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });

    it("a flood of empty data closes the connection", async () => {
      const watched = new WatchedHandler(async (request) => ({ status: 200, headers: {}, body: await request.body(1000) }));
      await open({ push: watched.handler });
      const { socket, closed } = await raw();
      socket.write(frame(HEADERS, END_HEADERS, 1, POST_INGEST));
      await watched.begun.reach(1);
      for (let index = 0; index < 1000; index++) socket.write(frame(DATA, 0, 1));
      await closed;
      await watched.ended.reach(1);
    });

    it("a flood of continuations closes the connection", async () => {
      await open();
      const { socket, closed } = await raw();
      socket.write(frame(HEADERS, 0, 1, GET_HEALTHY));
      for (let index = 0; index < 1000; index++) socket.write(frame(CONTINUATION, 0, 1));
      await closed;
      expect((await api.get("/-/healthy")).status).to.equal(200);
    });

    for (const [name, isTogether] of [["in the bytes of their headers", true], ["once they run", false]] as const) {
      it(`rapid resets ${name} close the connection`, async () => {
        const watched = new WatchedHandler(() => new Promise(() => {}));
        await open({ push: watched.handler });
        const { socket, closed } = await raw();
        let isClosed = false;
        void closed.then(() => (isClosed = true));
        for (let index = 0; index < 2000 && !isClosed; index++) {
          const id = 1 + 2 * index;
          const parts = [frame(HEADERS, END_HEADERS | END_STREAM, id, POST_INGEST), frame(RST_STREAM, 0, id, Buffer.from([0, 0, 0, 8]))];
          if (isTogether) socket.write(Buffer.concat(parts));
          else for (const part of parts) await new Promise((resolve) => socket.write(part, () => setImmediate(resolve)));
        }
        await closed;
        expect(watched.begun.count).to.be.at.most(300);
      });
    }

    it("pushes of one byte a frame are no flood, and neither is a client that pings now and then", async () => {
      await open({ push: async (request) => ({ status: 200, headers: { "content-type": "text/plain" }, body: String((await request.body(100_000)).length) }) });
      const stream = client().request({ ":method": "POST", ":path": "/ingest" });
      for (let index = 0; index < 20_000; index++) stream.write("x");
      stream.end();
      expect((await replyOf(stream)).body).to.equal("20000");
      for (let second = 0; second < 5; second++) {
        await new Promise((resolve) => session!.ping(resolve as () => void));
        api.clock.advance(1000);
      }
      expect((await replyOf(send({ ":path": "/-/healthy" }))).status).to.equal(200);
    });

    // Each reply was counted, since Node.js hands the bytes of all streams to the kernel at the end of a turn: where unread ones took all memory, a push that was stored was reset.
    it("where unread replies take all memory those that are read are sent", async () => {
      await open({ push: () => Promise.resolve({ status: 200, headers: {}, body: "stored" }), limits: { replyBytesInFlightMax: 1 } });
      for (let n = 0; n < 3; n++) expect(await replyOf(send({ ":path": "/ingest" }, ""))).to.include({ status: 200, body: "stored" });
      expect(await api.metrics.text()).to.match(/pyromesh_reply_bytes 0/);
    });

    // The stream was closed with the reply, and a closed stream is not reset: the client waited for good, and Node.js could end with freed memory in its hands.
    for (const limits of [{}, { replyBytesInFlightMax: 1 }]) {
      it(`a short reply that cannot be sent is cut off, also where the request goes on, ${"replyBytesInFlightMax" in limits ? "at once without memory" : "after the time for readers"}`, async () => {
        await open({ push: () => Promise.resolve({ status: 200, headers: {}, body: "stored" }), limits });
        session = connectHttp2(api.url, { settings: { initialWindowSize: 0 } });
        const stream = session.request({ ":method": "POST", ":path": "/ingest" });
        stream.on("error", () => {});
        const reset = new Promise((resolve) => stream.on("close", () => resolve(stream.rstCode)));
        await new Promise((resolve) => stream.once("response", resolve));
        for (let second = 0; second < 80; second++) {
          await new Promise((resolve) => session!.ping(resolve as () => void));
          api.clock.advance(500);
        }
        expect(await reset).to.equal(constants.NGHTTP2_CANCEL);
        expect(await api.metrics.text()).to.match(/pyromesh_reply_bytes 0/);
      });
    }

    it("a client that does not read its reply is cut off, and its other requests go on", async () => {
      const body = "x".repeat(3_000_000);
      await open({ push: () => Promise.resolve({ status: 200, headers: { "content-type": "text/plain" }, body }) });
      const stream = client().request({ ":method": "POST", ":path": "/ingest", "accept-encoding": "identity" });
      stream.on("error", () => {});
      stream.end();
      const reset = new Promise((resolve) => stream.on("close", () => resolve(stream.rstCode)));
      await new Promise((resolve) => stream.once("response", resolve));
      stream.pause();
      for (let second = 0; second < 80; second++) {
        await replyOf(send({ ":path": "/-/healthy" }));
        api.clock.advance(500);
      }
      stream.resume();
      expect(await reset).to.equal(constants.NGHTTP2_CANCEL);
      expect(await api.metrics.text()).to.match(/pyromesh_replies_cut_total 1/).and.match(/pyromesh_reply_bytes 0/);
    });
  });

  describe("a stop", () => {
    it("tells clients to go away, lets running requests end, and closes idle connections", async () => {
      let release!: () => void;
      const released = new Promise<void>((resolve) => (release = resolve));
      const watched = new WatchedHandler(async () => {
        await released;
        return { status: 200, headers: {}, body: "done" };
      });
      await open({ push: watched.handler });
      const idle = connectHttp2(api.url);
      const idleClosed = new Promise((resolve) => idle.on("close", resolve));
      await new Promise((resolve) => idle.once("remoteSettings", resolve));
      const reply = replyOf(send({ ":path": "/ingest" }, ""));
      await watched.begun.reach(1);
      const goneAway = new Promise((resolve) => session!.once("goaway", resolve));
      const stopped = api.server.stop();
      await Promise.all([goneAway, idleClosed]);
      release();
      expect((await reply).body).to.equal("done");
      await stopped;
    });

    it("closes what does not end in time", async () => {
      const watched = new WatchedHandler(() => new Promise(() => {}));
      await open({ push: watched.handler, limits: { stopTimeoutMs: 1000 } });
      const reply = replyOf(send({ ":path": "/ingest" }, ""));
      await watched.begun.reach(1);
      const stopped = api.server.stop();
      api.clock.advance(1000);
      await stopped;
      expect((await reply).status).to.equal(0);
    });
  });
});
