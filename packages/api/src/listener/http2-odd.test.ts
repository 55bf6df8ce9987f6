/** Requests that break HTTP/2, or look like another version of HTTP than they are: what becomes of each, and that the listener serves others. */
import { constants } from "node:http2";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { expect } from "chai";
import { DATA, END_HEADERS, END_STREAM, frame, GOAWAY, HEADERS, literalFields, PREFACE, RST_STREAM, SETTINGS } from "../testing/http2-frames.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";
import { WatchedHandler } from "../testing/watched-handler.ts";

const POST: readonly (readonly [string, string])[] = [[":method", "POST"], [":scheme", "http"], [":path", "/ingest"], [":authority", "x"]];
const GET: readonly (readonly [string, string])[] = [[":method", "GET"], [":scheme", "http"], [":path", "/-/healthy"], [":authority", "x"]];

describe("odd requests", () => {
  let api: OpenApi;
  let push: WatchedHandler;
  let bodies: (string | undefined)[];
  const sockets: Socket[] = [];
  beforeEach(async () => {
    bodies = [];
    push = new WatchedHandler(async (request) => {
      const body = await request.body(1000).catch(() => undefined);
      bodies.push(body === undefined ? undefined : Buffer.from(body).toString());
      return { status: 200, headers: {}, body: "" };
    });
    api = await openApi({ push: push.handler });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    expect((await api.get("/-/healthy")).status, "others are served").to.equal(200);
    let isStopped = false;
    const stopped = api.server.stop().then(() => (isStopped = true));
    // Node.js reads no more of a connection that broke the protocol, and does not notice that it is closed: its reply is cut off.
    for (let ms = 0; ms < 5000 && !isStopped; ms += 500) {
      api.clock.advance(500);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await stopped;
  });

  /** What comes first on stream 1 with a meaning: `200`, `reset CODE`, or `closed` for the whole connection. */
  const outcomeOf = (...frames: readonly Buffer[]): Promise<string> => {
    const { port } = api.server;
    return new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1");
      sockets.push(socket);
      let received = Buffer.alloc(0);
      socket.on("error", () => {}).on("close", () => resolve("closed"));
      socket.on("data", (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        while (received.length >= 9 && received.length >= 9 + received.readUIntBE(0, 3)) {
          const [type, end] = [received.readUInt8(3), 9 + received.readUIntBE(0, 3)];
          if (type === GOAWAY && received.readUInt32BE(13) !== constants.NGHTTP2_NO_ERROR) resolve("closed");
          if (type === RST_STREAM) resolve(`reset ${received.readUInt32BE(9)}`);
          // An indexed status of HPACK's static table: 200 is 8, 404 is 13; others are literals.
          if (type === HEADERS) resolve(received[9] === 0x88 ? "200" : received[9] === 0x8d ? "404" : "another");
          received = received.subarray(end);
        }
      });
      socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), ...frames]));
    });
  };
  const PROTOCOL_ERROR = `reset ${constants.NGHTTP2_PROTOCOL_ERROR}`;

  describe("over HTTP/2", () => {
    const get = (more: readonly (readonly [string, string])[], from = GET): Buffer => frame(HEADERS, END_STREAM | END_HEADERS, 1, literalFields([...from, ...more]));
    const without = (name: string): typeof GET => GET.filter(([other]) => other !== name);

    it("a well formed one is answered, also with host in place of :authority, and with te: trailers", async () => {
      expect(await outcomeOf(get([]))).to.equal("200");
      expect(await outcomeOf(get([["host", "x"]], without(":authority")))).to.equal("200");
      expect(await outcomeOf(get([["te", "trailers"]]))).to.equal("200");
    });

    for (const [name, more, from] of [
      ["an upper-case name", [["X-Upper", "a"]], GET],
      ["a header of the connection", [["connection", "close"]], GET],
      ["te: gzip", [["te", "gzip"]], GET],
      ["a pseudo header behind others", [["a", "b"], [":path", "/"]], without(":path")],
      ["a pseudo header that is not known", [[":version", "2"]], GET],
      ["the same pseudo header twice", [[":path", "/"]], GET],
      ["no path", [], without(":path")],
      ["neither :authority nor host", [], without(":authority")],
      ["two lengths", [["content-length", "1"], ["content-length", "2"]], POST],
    ] as const) {
      it(`one with ${name} is reset`, async () => {
        expect(await outcomeOf(get(more, from))).to.equal(PROTOCOL_ERROR);
        expect(push.begun.count).to.equal(0);
      });
    }

    it("CONNECT is for nothing that is here", async () => {
      expect(await outcomeOf(frame(HEADERS, END_HEADERS, 1, literalFields([[":method", "CONNECT"], [":authority", "x"]])))).to.equal("404");
    });

    it("a body that is longer or shorter than its length is reset, and never taken for whole", async () => {
      const begin = frame(HEADERS, END_HEADERS, 1, literalFields([...POST, ["content-length", "3"]]));
      expect(await outcomeOf(begin, frame(DATA, END_STREAM, 1, Buffer.from("abcd")))).to.equal(PROTOCOL_ERROR);
      expect(await outcomeOf(begin, frame(DATA, END_STREAM, 1, Buffer.from("ab")))).to.equal(PROTOCOL_ERROR);
      expect(bodies.filter((body) => body !== undefined)).to.deep.equal([]);
    });

    it("data behind the end of its stream closes the connection or the stream; the request counts once", async () => {
      const outcome = await outcomeOf(frame(HEADERS, END_HEADERS, 1, literalFields(POST)), frame(DATA, END_STREAM, 1, Buffer.from("abc")), frame(DATA, END_STREAM, 1, Buffer.from("def")));
      expect(outcome).to.not.equal("200");
      expect(bodies.filter((body) => body !== undefined && body !== "abc")).to.deep.equal([]);
    });

    it("trailers of a request end it, and say nothing", async () => {
      expect(await outcomeOf(frame(HEADERS, END_HEADERS, 1, literalFields(POST)), frame(DATA, 0, 1, Buffer.from("abc")), frame(HEADERS, END_HEADERS | END_STREAM, 1, literalFields([["x-checksum", "1"]])))).to.equal("200");
      expect(bodies).to.deep.equal(["abc"]);
    });

    it("a stream of an even number, and a frame that is too large, close the connection", async () => {
      expect(await outcomeOf(frame(HEADERS, END_STREAM | END_HEADERS, 2, literalFields(GET)))).to.equal("closed");
      expect(await outcomeOf(frame(HEADERS, END_HEADERS, 1, literalFields(POST)), frame(DATA, 0, 1, Buffer.alloc(20_000)))).to.equal("closed");
    });
  });

  describe("over HTTP/1.1", () => {
    const textOf = (pieces: readonly string[]): Promise<string> =>
      new Promise((resolve) => {
        let received = "";
        const one = connect({ port: api.server.port, host: "127.0.0.1", noDelay: true });
        one.on("data", (chunk: Buffer) => (received += chunk.toString("latin1"))).on("error", () => {}).on("close", () => resolve(received));
        void (async () => {
          for (const piece of pieces) await new Promise((done) => one.write(piece, () => setImmediate(done)));
        })();
      });
    const statuses = (text: string): readonly string[] => text.match(/HTTP\/1\.1 \d+/g) ?? [];

    it("an upgrade to h2c is not heeded", async () => {
      const text = await textOf(["GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"]);
      expect(statuses(text)).to.deep.equal(["HTTP/1.1 200"]);
    });

    it("a preface behind a request and its reply is 400", async () => {
      let received = "";
      const one = connect(api.server.port, "127.0.0.1");
      one.on("data", (chunk: Buffer) => {
        if (received === "") one.write(PREFACE);
        received += chunk.toString("latin1");
      });
      const closed = new Promise((resolve) => one.on("close", resolve));
      one.write("GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n");
      await closed;
      expect(statuses(received)).to.deep.equal(["HTTP/1.1 200", "HTTP/1.1 400"]);
    });

    it("two requests at once are both answered, wherever the first bytes are torn", async () => {
      const both = "POST /ingest HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabcGET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
      for (const at of [1, 2, 3, 4, 5, 60]) expect(statuses(await textOf([both.slice(0, at), both.slice(at)])), String(at)).to.deep.equal(["HTTP/1.1 200", "HTTP/1.1 200"]);
    });

    it("a method that begins as the preface is 400; what breaks off behind it is closed", async () => {
      expect(statuses(await textOf(["PRIX /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n"]))).to.deep.equal(["HTTP/1.1 400"]);
      expect(statuses(await textOf(["PRI /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n"]))).to.deep.equal([]);
    });
  });
});
