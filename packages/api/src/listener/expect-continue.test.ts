/** Clients that send the headers first and wait to be told to send the body: curl from a megabyte on, the HTTP client of Java. */
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { unavailable } from "@pyromesh/base";
import { expect } from "chai";
import type { Handler } from "../ports/http.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";

const WAITING = "host: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
const measure: Handler = async (request) => ({ status: 200, headers: { "content-type": "text/plain" }, body: String((await request.body(1000)).length) });
const refuse: Handler = () => Promise.reject(unavailable("OVERLOADED", "try again"));

describe("Expect: 100-continue", () => {
  let api: OpenApi;
  let socket: Socket;
  let received = "";
  let onReceived = (): void => {};
  const open = async (push: Handler): Promise<void> => {
    api = await openApi({ push });
    received = "";
    socket = connect(api.server.port, "127.0.0.1");
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      onReceived();
    });
    socket.on("error", () => {});
  };
  const until = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      onReceived = () => {
        if (pattern.test(received)) resolve();
      };
      onReceived();
    });
  afterEach(async () => {
    socket.destroy();
    await api.server.stop();
  });

  it("the client is told to send its body when that is read, and its connection goes on", async () => {
    await open(measure);
    socket.write(`POST /ingest HTTP/1.1\r\n${WAITING}`);
    await until(/^HTTP\/1.1 100 Continue\r\n\r\n$/);
    socket.write("hello");
    await until(/100 Continue\r\n\r\nHTTP\/1.1 200 [^]*\r\n\r\n5$/);
    received = "";
    socket.write("GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n");
    await until(/^HTTP\/1.1 200 [^]*ok\n$/);
  });

  for (const [what, target, status] of [["that its handler refuses", "/ingest", 503], ["without a route", "/nope", 404]] as const) {
    it(`a request ${what} is answered without its body, and the connection ends: what comes next on it could be the body or a request`, async () => {
      await open(refuse);
      socket.write(`POST ${target} HTTP/1.1\r\n${WAITING}`);
      await until(/\r\n\r\n./);
      expect(received).to.match(new RegExp(`^HTTP/1.1 ${status} `)).and.match(/\r\nconnection: close\r\n/i);
    });
  }

  it("over HTTP/2 too", async () => {
    await open(measure);
    const session = connectHttp2(api.url);
    const ask = (path: string): Promise<readonly unknown[]> =>
      new Promise((resolve) => {
        const seen: unknown[] = [];
        const stream = session.request({ ":method": "POST", ":path": path, expect: "100-continue" });
        stream.on("continue", () => {
          seen.push("continue");
          stream.end("hello");
        });
        stream.on("response", (headers) => seen.push(headers[":status"]));
        stream.on("close", () => resolve(seen));
        stream.resume();
      });
    expect(await ask("/ingest")).to.deep.equal(["continue", 200]);
    expect(await ask("/nope")).to.deep.equal([404]);
    session.destroy();
  });
});
