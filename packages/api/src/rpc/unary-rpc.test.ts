import { once } from "node:events";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import { deflateRawSync, deflateSync, gunzipSync, gzipSync } from "node:zlib";
import { CodedError, invalidArgument } from "@pyromesh/base";
import { expect } from "chai";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";
import { zstdFrame } from "../testing/zstd-frames.ts";
import { WatchedHandler } from "../testing/watched-handler.ts";
import { route } from "../ports/route.ts";
import { messageHandler, unaryRpc } from "./unary-rpc.ts";

const PATH = "/test.v1.TestService/Echo";

/** Answers with what it got, or fails as the message says. */
const echo = messageHandler({ bodyBytesMax: 100_000 }, async (message, { codec }) => {
  const text = Buffer.from(message).toString();
  if (text.includes("refuse")) throw new CodedError({ code: "TOO_MUCH", kind: "resource_exhausted", message: "100% zu viel: größer", details: { retryAfterSeconds: 7 } });
  if (text.includes("break")) throw new TypeError("inner secret");
  return Buffer.from(`${codec}:${text}`);
});

function frame(message: Uint8Array | string, flags = 0): Buffer {
  const bytes = Buffer.from(message);
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** google.rpc.Status with a RetryInfo, as gRPC sends it: base64 without padding. */
function retryStatus(code: number, message: string, seconds: number): string {
  const field = (tag: number, content: Uint8Array): Buffer => Buffer.concat([Buffer.from([tag, content.length]), content]);
  const retryInfo = field(0x0a, Buffer.from([0x08, seconds]));
  const any = Buffer.concat([field(0x0a, Buffer.from("type.googleapis.com/google.rpc.RetryInfo")), field(0x12, retryInfo)]);
  return Buffer.concat([Buffer.from([0x08, code]), field(0x12, Buffer.from(message)), field(0x1a, any)]).toString("base64").replaceAll("=", "");
}

interface Frames {
  readonly message: Buffer | undefined;
  readonly isCompressed: boolean;
  readonly trailers: string;
}

function framesOf(body: Buffer): Frames {
  let message: Buffer | undefined;
  let isCompressed = false;
  let trailers = "";
  for (let at = 0; at < body.length; ) {
    const flags = body.readUInt8(at);
    const end = at + 5 + body.readUInt32BE(at + 1);
    const content = body.subarray(at + 5, end);
    if (flags === 128) trailers = content.toString();
    else [message, isCompressed] = [content, flags === 1];
    at = end;
  }
  return { message, isCompressed, trailers };
}

describe("a unary RPC", () => {
  let api: OpenApi;
  const open = async (): Promise<OpenApi> => (api = await openApi({ more: unaryRpc(PATH, echo, { isQuery: true }) }));
  const web = (body: Uint8Array | string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
    fetch(`${api.url}${PATH}`, { method: "POST", headers: { "content-type": "application/grpc-web+proto", ...headers }, body: Buffer.from(body) });
  const webFrames = async (body: Uint8Array, headers?: Readonly<Record<string, string>>): Promise<Frames> => framesOf(Buffer.from(await (await web(body, headers)).arrayBuffer()));
  afterEach(() => api.server.stop());

  describe("over gRPC-Web", () => {
    it("is answered with one message and the trailers, in the codec of the request", async () => {
      await open();
      for (const [type, codec] of [["application/grpc-web", "proto"], ["application/grpc-web+proto", "proto"], ["application/grpc-web+json", "json"]] as const) {
        const reply = await web(frame("hello"), { "content-type": type });
        const { message, trailers } = framesOf(Buffer.from(await reply.arrayBuffer()));
        expect([reply.status, reply.headers.get("content-type"), message?.toString(), trailers], type).to.deep.equal([200, type, `${codec}:hello`, "grpc-status: 0\r\n"]);
      }
    });

    it("an empty message is a message, and no message is none", async () => {
      await open();
      expect((await webFrames(frame(""))).message?.toString()).to.equal("proto:");
      expect((await webFrames(new Uint8Array(0))).trailers).to.match(/^grpc-status: 3\r\ngrpc-message: the call has no message/);
    });

    it("as text it is base64, also where its parts are padded by themselves", async () => {
      await open();
      const whole = frame("hello").toString("base64");
      const parts = frame("hello").subarray(0, 5).toString("base64") + frame("hello").subarray(5).toString("base64");
      expect(parts).to.match(/=[^=]/);
      for (const body of [whole, parts]) {
        const reply = await web(body, { "content-type": "application/grpc-web-text" });
        const bytes = Buffer.concat((await reply.text()).match(/[^=]+={0,2}/g)!.map((part) => Buffer.from(part, "base64")));
        expect([framesOf(bytes).message?.toString(), framesOf(bytes).trailers]).to.deep.equal(["proto:hello", "grpc-status: 0\r\n"]);
      }
      const long = Buffer.alloc(99_000, "x");
      const reply = await web(frame(long).toString("base64"), { "content-type": "application/grpc-web-text" });
      expect(Buffer.from((await reply.text()).slice(8), "base64").subarray(0, 99_006).toString()).to.equal(`proto:${long.toString()}`);
    });

    it("text that is not base64 is refused", async () => {
      await open();
      for (const body of ["abc", "a!cd"]) {
        const reply = await web(body, { "content-type": "application/grpc-web-text" });
        expect(framesOf(Buffer.from(await reply.text(), "base64")).trailers).to.contain("grpc-status: 3\r\n").and.contain("base64");
      }
    });

    it("a refusal has the code of its kind, the sentence in percent-encoding, and when to try again", async () => {
      await open();
      const reply = await web(frame("refuse"));
      const { message, trailers } = framesOf(Buffer.from(await reply.arrayBuffer()));
      const details = retryStatus(8, "100% zu viel: größer", 7);
      expect([reply.status, message, trailers]).to.deep.equal([200, undefined, `grpc-status: 8\r\ngrpc-message: 100%25 zu viel: gr%C3%B6%C3%9Fer\r\ngrpc-status-details-bin: ${details}\r\nretry-after: 7\r\n`]);
    });

    it("a bug of ours is internal, without its message, and is counted as 500", async () => {
      await open();
      expect((await webFrames(frame("break"))).trailers).to.match(/^grpc-status: 13\r\ngrpc-message: an error inside this node/);
      expect(await api.metrics.text()).to.match(new RegExp(`pyromesh_request_duration_seconds_count\\{.*route="${PATH}".*status_code="500"\\} 1`));
    });

    it("a method that does not exist is unimplemented", async () => {
      await open();
      const reply = await fetch(`${api.url}/test.v1.TestService/Nope`, { method: "POST", headers: { "content-type": "application/grpc-web" }, body: frame("x") });
      expect(framesOf(Buffer.from(await reply.arrayBuffer())).trailers).to.equal("grpc-status: 12\r\ngrpc-message: this node has no such method: check the names of service and method, and the port\r\n");
    });

    it("a compressed message is decompressed, within the bound of the handler", async () => {
      await open();
      const encoding = { "grpc-encoding": "gzip" };
      expect((await webFrames(frame(gzipSync("hello"), 1), encoding)).message?.toString()).to.equal("proto:hello");
      expect((await webFrames(frame("plain"), encoding)).message?.toString()).to.equal("proto:plain");
      expect((await webFrames(frame(gzipSync(Buffer.alloc(200_000)), 1), encoding)).trailers).to.match(/grpc-status: 3\r\ngrpc-message: the body decompresses to more than 100000 bytes/);
      expect((await webFrames(frame(gzipSync("hello"), 1))).trailers).to.match(/grpc-status: 3\r\n.*grpc-encoding names no compression/);
    });

    it("zstd and deflate are taken as gzip is, within the same bound; what is torn is refused", async () => {
      await open();
      for (const [encoding, hello, bomb] of [
        ["zstd", zstdFrame([Buffer.from("hello")]), zstdFrame(Array.from({ length: 2 }, () => ({ byte: 0, count: 100_000 })))],
        ["deflate", deflateSync("hello"), deflateSync(Buffer.alloc(200_000))],
        ["deflate", deflateRawSync("hello"), deflateRawSync(Buffer.alloc(200_000))],
      ] as const) {
        const headers = { "grpc-encoding": encoding };
        expect((await webFrames(frame(hello, 1), headers)).message?.toString(), encoding).to.equal("proto:hello");
        expect((await webFrames(frame("plain"), headers)).message?.toString(), encoding).to.equal("proto:plain");
        expect((await webFrames(frame(bomb, 1), headers)).trailers, encoding).to.match(/grpc-status: 3\r\ngrpc-message: the body decompresses to more than 100000 bytes/);
        expect((await webFrames(frame(hello.subarray(0, -3), 1), headers)).trailers, encoding).to.match(new RegExp(`grpc-status: 3\r\ngrpc-message: the body is not a complete ${encoding} stream`));
      }
    });

    it("an unknown compression is unimplemented, and the reply names those that are known", async () => {
      await open();
      const reply = await web(frame("x", 1), { "grpc-encoding": "snappy" });
      expect(reply.headers.get("grpc-accept-encoding")).to.equal("gzip, zstd, deflate, identity");
      expect(framesOf(Buffer.from(await reply.arrayBuffer())).trailers).to.equal('grpc-status: 12\r\ngrpc-message: grpc-encoding "snappy" is not supported: send one of gzip, zstd, deflate, identity\r\n');
    });

    it("a long reply is compressed for a client that takes gzip", async () => {
      await open();
      for (const length of [2000, 90_000]) {
        const message = "x".repeat(length);
        const reply = await web(frame(message), { "grpc-accept-encoding": "identity,gzip" });
        expect(reply.headers.get("grpc-encoding")).to.equal("gzip");
        const { message: compressed, isCompressed, trailers } = framesOf(Buffer.from(await reply.arrayBuffer()));
        expect([isCompressed, gunzipSync(compressed!).toString(), trailers]).to.deep.equal([true, `proto:${message}`, "grpc-status: 0\r\n"]);
      }
    });

    it("a torn frame, a second message and unknown flags are refused", async () => {
      await open();
      const bodies = [frame("hello").subarray(0, 3), frame("hello").subarray(0, 8), Buffer.concat([frame("a"), frame("b")]), frame("x", 2), frame("x", 128)];
      for (const body of bodies) expect((await webFrames(body)).trailers).to.match(/^grpc-status: 3\r\n/);
    });

    it("a message above the bound of the handler is refused", async () => {
      await open();
      expect((await webFrames(frame(Buffer.alloc(100_000)))).trailers).to.equal("grpc-status: 0\r\n");
      expect((await webFrames(frame(Buffer.alloc(100_001)))).trailers).to.match(/grpc-status: 3\r\ngrpc-message: the body is larger/);
    });

    it("grpc-timeout ends the work", async () => {
      const watched = new WatchedHandler((request) => new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason as Error))));
      api = await openApi({ more: unaryRpc(PATH, watched.handler) });
      const reply = webFrames(frame(""), { "grpc-timeout": "50m" });
      await watched.begun.reach(1);
      api.clock.advance(50);
      await watched.ended.reach(1);
      expect((await reply).trailers).to.equal("grpc-status: 4\r\ngrpc-message: the request took longer than its grpc-timeout of 50m\r\n");
      expect((await webFrames(frame(""), { "grpc-timeout": "soon" })).trailers).to.match(/^grpc-status: 3\r\ngrpc-message: grpc-timeout is "soon"/);
    });
  });

  // What Go's Connect sends with the option for gRPC to an address without TLS: profilecli --protocol=grpc is one.
  describe("over gRPC and HTTP/1.1", () => {
    const call = async (body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<{ readonly reply: IncomingMessage; readonly body: Buffer }> => {
      const sent = request(`${api.url}${PATH}`, { method: "POST", headers: { "content-type": "application/grpc+proto", te: "trailers", ...headers } });
      sent.end(body);
      const [reply] = (await once(sent, "response")) as [IncomingMessage];
      return { reply, body: Buffer.concat(await reply.toArray()) };
    };

    it("is a message in chunks, and the status in trailers", async () => {
      await open();
      for (const te of ["trailers", "gzip;q=0.5, Trailers"]) {
        const { reply, body } = await call(frame("hello"), { te });
        expect([reply.statusCode, reply.headers.trailer, reply.headers["content-length"], framesOf(body).message?.toString(), reply.trailers]).to.deep.equal([200, "grpc-status", undefined, "proto:hello", { "grpc-status": "0" }]);
      }
    });

    it("a large message and a compressed one have their trailers too", async () => {
      await open();
      const message = "x".repeat(90_000);
      const plain = await call(frame(message));
      expect([framesOf(plain.body).message?.length, plain.reply.trailers["grpc-status"]]).to.deep.equal([90_006, "0"]);
      const { reply, body } = await call(frame(message), { "grpc-accept-encoding": "gzip" });
      expect([reply.headers["grpc-encoding"], gunzipSync(framesOf(body).message!).length, reply.trailers["grpc-status"]]).to.deep.equal(["gzip", 90_006, "0"]);
    });

    it("a refusal has its status among the headers", async () => {
      await open();
      const { reply, body } = await call(frame("refuse"));
      expect([reply.statusCode, reply.headers["grpc-status"], reply.headers["grpc-message"], body.length]).to.deep.equal([200, "8", "100%25 zu viel: gr%C3%B6%C3%9Fer", 0]);
      // The OpenTelemetry collector drops an export that is RESOURCE_EXHAUSTED without it.
      expect([reply.headers["grpc-status-details-bin"], reply.headers["retry-after"]]).to.deep.equal([retryStatus(8, "100% zu viel: größer", 7), "7"]);
      expect((await call(frame("break"))).reply.headers).not.to.have.property("grpc-status-details-bin");
    });

    it("the next request of the connection is answered", async () => {
      await open();
      const socket = connect(Number(new URL(api.url).port), "127.0.0.1");
      const head = `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 10\r\n`;
      socket.write(Buffer.concat([Buffer.from(`${head}\r\n`), frame("first"), Buffer.from(`${head}Connection: close\r\n\r\n`), frame("other")]));
      const text = Buffer.concat(await socket.toArray()).toString("latin1");
      expect([text.match(/HTTP\/1\.1 200 OK/g)?.length, text.match(/\r\n0\r\ngrpc-status: 0\r\n\r\n/g)?.length]).to.deep.equal([2, 2]);
      expect(text).to.match(/proto:first[^]*proto:other/);
    });

    it("is 505 with a sentence for who does not take trailers", async () => {
      await open();
      const { reply, body } = await call(frame("hello"), { te: "gzip" });
      expect([reply.statusCode, (JSON.parse(body.toString()) as { message: string }).message]).to.deep.equal([
        505,
        "gRPC needs trailers, and this request came over HTTP/1.1 without TE: trailers: send it over HTTP/2, which this port takes in clear, or as application/grpc-web+proto or application/proto",
      ]);
    });
  });

  it("in an unknown codec of gRPC is 415", async () => {
    await open();
    expect((await web(frame("hello"), { "content-type": "application/grpc-web+thrift" })).status).to.equal(415);
  });

  it("a route that is no RPC does not heed the content type", async () => {
    api = await openApi({ more: [route("POST", "/plain", async (request) => ({ status: 200, headers: {}, body: await request.body(10) }))] });
    const reply = await fetch(`${api.url}/plain`, { method: "POST", headers: { "content-type": "application/grpc-web" }, body: "hello" });
    expect(await reply.text()).to.equal("hello");
  });

  describe("over Connect", () => {
    it("a version of the protocol that is not known is 400", async () => {
      await open();
      const call = (version: string): Promise<Response> => fetch(`${api.url}${PATH}`, { method: "POST", headers: { "content-type": "application/json", "connect-protocol-version": version }, body: "{}" });
      expect((await call("1")).status).to.equal(200);
      const refused = await call("2");
      expect([refused.status, await refused.json()]).to.deep.equal([400, { code: "invalid_argument", message: 'Connect-Protocol-Version is "2": send 1' }]);
    });

    it("a query by GET has its message in the URL: plain, as base64, compressed", async () => {
      await open();
      const get = async (parameters: Readonly<Record<string, string>>): Promise<readonly [number, string]> => {
        const reply = await api.get(`${PATH}?${new URLSearchParams({ connect: "v1", ...parameters }).toString()}`);
        return [reply.status, await reply.text()];
      };
      expect(await get({ encoding: "json", message: '{"a":1}' })).to.deep.equal([200, 'json:{"a":1}']);
      expect(await get({ encoding: "proto", message: "" })).to.deep.equal([200, "proto:"]);
      expect(await get({ encoding: "proto", base64: "1", message: Buffer.from("??>>~").toString("base64url") })).to.deep.equal([200, "proto:??>>~"]);
      expect(await get({ encoding: "proto", base64: "1", message: "Pz8+Pn4=" })).to.deep.equal([200, "proto:??>>~"]);
      expect(await get({ encoding: "json", base64: "1", compression: "gzip", message: gzipSync("{}").toString("base64url") })).to.deep.equal([200, "json:{}"]);
      expect(await get({ encoding: "json", base64: "1", compression: "deflate", message: deflateSync("{}").toString("base64url") })).to.deep.equal([200, "json:{}"]);
      expect((await get({ encoding: "xml", message: "x" }))[0]).to.equal(415);
      for (const [parameters, status] of [
        [{ encoding: "json" }, 400],
        [{ encoding: "json", message: "{}", connect: "v2" }, 400],
        [{ encoding: "json", message: "%", base64: "1" }, 400],
        [{ encoding: "json", message: "{}", compression: "br" }, 501],
        [{ encoding: "json", message: "e30", base64: "1", compression: "gzip" }, 400],
      ] as const) {
        expect((await get(parameters))[0], JSON.stringify(parameters)).to.equal(status);
      }
    });

    it("a query by GET ends at the time limit of its client", async () => {
      const watched = new WatchedHandler((request) => new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason as Error))));
      api = await openApi({ more: unaryRpc(PATH, watched.handler, { isQuery: true }) });
      const get = (timeout: string): Promise<Response> => fetch(`${api.url}${PATH}?connect=v1&encoding=json&message=%7B%7D`, { headers: { "connect-timeout-ms": timeout } });
      const reply = get("50");
      await watched.begun.reach(1);
      api.clock.advance(50);
      await watched.ended.reach(1);
      expect((await reply).status).to.equal(504);
      expect((await get("soon")).status).to.equal(400);
    });

    it("what is no query cannot be called by GET", async () => {
      api = await openApi({ more: unaryRpc(PATH, () => Promise.reject(invalidArgument("NEVER", "not reached"))) });
      const reply = await api.get(`${PATH}?connect=v1&encoding=json&message=%7B%7D`);
      expect([reply.status, reply.headers.get("allow")]).to.deep.equal([405, "POST"]);
    });
  });
});
