import { connect } from "node:net";
import { request as httpRequest } from "node:http";
import { deflateSync, gunzipSync, gzipSync } from "node:zlib";
import { Metrics, silentLogger } from "@pyromesh/base";
import { unavailable } from "@pyromesh/base";
import { expect } from "chai";
import { applyClientTimeout } from "../bodies/connect.ts";
import type { ApiReply, ApiRequest, Handler } from "../ports/http.ts";
import { route } from "../ports/route.ts";
import { HttpListener } from "./http-listener.ts";
import { zstdFrame } from "../testing/zstd-frames.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi, OpenApiInit } from "../testing/open-api.ts";
import { WatchedHandler } from "../testing/watched-handler.ts";

/** How long the server reads on after a reply to a body that is not complete. */
const LINGER_MS = 1000;
const RANGE = { start: "1795418940000", end: "1795419300000" };

interface Held {
  readonly handler: Handler;
  /** Resolves with the next request. */
  arrived(): Promise<ApiRequest>;
  release(): void;
}

/** A handler that replies when the test says so. */
function held(): Held {
  let release!: () => void;
  let arrive!: (request: ApiRequest) => void;
  const arrived = new Promise<ApiRequest>((resolve) => (arrive = resolve));
  const released = new Promise<void>((resolve) => (release = resolve));
  const handler: Handler = async (request): Promise<ApiReply> => {
    arrive(request);
    await released;
    return { status: 200, headers: { "content-type": "text/plain" }, body: "done" };
  };
  return { handler, arrived: () => arrived, release };
}

/** Replies with the length of its body and of the buffer that the body is in. */
const measure: Handler = async (request) => {
  const body = await request.body(100_000);
  return { status: 200, headers: { "content-type": "text/plain" }, body: `${body.length} ${body.buffer.byteLength}` };
};

function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    let received = "";
    socket.on("data", (chunk) => (received += chunk.toString("latin1")));
    socket.on("close", () => resolve(received));
    socket.on("error", reject);
  });
}

describe("server", () => {
  let api: OpenApi;
  const open = async (init: OpenApiInit = {}): Promise<OpenApi> => (api = await openApi(init));
  afterEach(() => api.server.stop());

  describe("routes", () => {
    it("an unknown path is 404, a known one with another method 405 with the methods that it takes", async () => {
      await open();
      const missing = await api.get("/nope");
      expect([missing.status, await missing.text()]).to.deep.equal([404, "404 page not found\n"]);
      const wrong = await fetch(`${api.url}/ingest`, { method: "PUT" });
      expect([wrong.status, wrong.headers.get("allow")]).to.deep.equal([405, "POST"]);
    });

    it("a proxy may send the whole URL", async () => {
      await open();
      const get = (target: string): Promise<string> => exchange(api.server.port, `GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      expect(await get("http://localhost/-/healthy")).to.match(/^HTTP\/1.1 200 /);
      expect(await get("HTTP://LOCALHOST/-/healthy"), "in upper case").to.match(/^HTTP\/1.1 200 /);
      expect(await get("http://localhost"), "without a path").to.equal(await get("/"));
    });

    it("pipelined requests are answered in their order, even where a later one is ready first", async () => {
      const slow = held();
      await open({ push: slow.handler });
      const replies = exchange(
        api.server.port,
        "POST /ingest?name=x HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\naGET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\nGET /nope HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
      );
      await slow.arrived();
      await api.get("/-/healthy");
      slow.release();
      expect((await replies).match(/HTTP\/1\.1 \d+|done|ok$|404 page/gm)).to.deep.equal(["HTTP/1.1 200", "done", "HTTP/1.1 200", "ok", "HTTP/1.1 404", "404 page"]);
    });

    it("noise after a running request is not answered in its place: the client would take it for the answer to its push", async () => {
      const slow = held();
      await open({ push: slow.handler });
      const push = "POST /ingest?name=x HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na";
      expect(await exchange(api.server.port, `${push}noise\r\n\r\n`)).to.equal("");
      expect(await exchange(api.server.port, `${push}GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\nnoise\r\n\r\n`)).to.equal("");
      slow.release();
      const chunked = "POST /ingest?name=x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nno length\r\n";
      await api.server.stop();
      await open({ push: measure });
      expect(await exchange(api.server.port, chunked), "a body that cannot be read").to.match(/^HTTP\/1.1 400 /);
    });

    it("HEAD is a GET without its body", async () => {
      await open();
      const response = await fetch(`${api.url}/-/healthy`, { method: "HEAD" });
      expect([response.status, response.headers.get("content-length"), await response.text()]).to.deep.equal([200, "3", ""]);
    });

    it("the same path twice is a bug of ours", async () => {
      await open();
      const twice = route("GET", "/ready", measure);
      const error = await openApi({ more: [twice] }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(String(error)).to.contain("two routes");
    });
  });

  describe("tenants", () => {
    it("with multitenancy a request without a tenant is 401, and the handler never runs", async () => {
      await open({ isMultitenant: true });
      const response = await api.rpc("LabelNames", RANGE);
      expect(response.status).to.equal(401);
      expect(await response.json()).to.have.property("code", "unauthenticated");
      expect(api.source.seriesQueries).to.have.length(0);
      expect((await api.get("/ready")).status).to.equal(200);
    });

    it("a read of several tenants reaches the source with them sorted, a write of several is refused", async () => {
      await open({ isMultitenant: true });
      await api.rpc("LabelNames", RANGE, { "x-scope-orgid": "b|a|b" });
      expect(api.source.seriesQueries[0]!.tenants).to.deep.equal(["a", "b"]);
      const write = await fetch(`${api.url}/ingest?name=x`, { method: "POST", headers: { "x-scope-orgid": "a|b" } });
      expect(write.status).to.equal(400);
      expect((await api.rpc("GetProfileStats", {}, { "x-scope-orgid": "a|b" })).status).to.equal(400);
    });
  });

  describe("bodies", () => {
    const post = (body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>): Promise<Response> =>
      fetch(`${api.url}/ingest?name=x`, { method: "POST", body, duplex: "half" });

    it("a large body has a buffer of its own, with and without a Content-Length", async () => {
      await open({ push: measure });
      expect(await (await post(new Uint8Array(70_000))).text()).to.equal("70000 70000");
      const stream = new ReadableStream<Uint8Array>({
        start(controller): void {
          for (let i = 0; i < 7; i++) controller.enqueue(new Uint8Array(10_000));
          controller.close();
        },
      });
      expect(await (await post(stream)).text()).to.equal("70000 70000");
    });

    it("a request without a body has an empty one", async () => {
      await open({ push: measure });
      expect(await (await fetch(`${api.url}/ingest?name=x`, { method: "POST" })).text()).to.equal("0 0");
    });

    it("a body that is too large is 413, before it is sent and while it is sent", async () => {
      await open({ push: measure });
      expect((await post(new Uint8Array(100_001))).status).to.equal(413);
      const endless = new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(new Uint8Array(50_000)),
      });
      const status = await post(endless).then(
        (response) => response.status,
        () => 413, // the client noticed that the connection was closed before it read the reply
      );
      expect(status).to.equal(413);
    });

    /** Replies "first" when the test says so, and to all other requests at once. */
    const readThenHold = (first: ReturnType<typeof held>): Handler => async (request) => {
      await request.body(100_000);
      return request.query.get("name") === "first" ? first.handler(request) : { status: 200, headers: {}, body: "" };
    };
    const send = (name: string, sizeBytes = 900): Promise<Response> => fetch(`${api.url}/ingest?name=${name}`, { method: "POST", body: new Uint8Array(sizeBytes) });

    it("a body waits for memory until another one is done", async () => {
      const first = held();
      const push = new WatchedHandler(readThenHold(first));
      await open({ push: push.handler, limits: { bodyBytesInFlightMax: 1500 } });
      const running = send("first");
      await first.arrived();
      const waiting = send("second");
      await push.begun.reach(2);
      first.release();
      expect((await running).status).to.equal(200);
      expect((await waiting).status).to.equal(200);
    });

    it("a body that waits too long for memory is 503, is told to wait as long again, and holds nothing", async () => {
      const first = held();
      await open({ push: readThenHold(first), limits: { bodyBytesInFlightMax: 1500, memoryWaitTimeoutMs: 1200 } });
      const running = send("first");
      await first.arrived();
      const waiting = send("second");
      await api.clock.untilTimer(1200);
      api.clock.advance(1200);
      const refused = await waiting;
      expect([refused.status, refused.headers.get("retry-after")]).to.deep.equal([503, "2"]);
      first.release();
      expect((await running).status).to.equal(200);
      expect((await send("third", 1000)).status).to.equal(200);
    });

    it("so many bodies wait as their sockets may hold bytes that nobody reads; one more is 503 at once", async () => {
      const first = held();
      const push = new WatchedHandler(readThenHold(first));
      await open({ push: push.handler, limits: { bodyBytesInFlightMax: 1500 } });
      const running = [send("first")];
      await first.arrived();
      for (let n = 0; n < 64; n++) running.push(send("waiting"));
      await push.begun.reach(65);
      const refused = await send("one more");
      expect([refused.status, refused.headers.get("retry-after")]).to.deep.equal([503, "5"]);
      first.release();
      for (const each of running) expect((await each).status).to.equal(200);
    });

    it("a small body is accepted while stalled large ones hold the whole budget", async () => {
      const first = held();
      await open({ push: readThenHold(first), limits: { bodyBytesInFlightMax: 32_000, memoryWaitTimeoutMs: 1200 } });
      const running = send("first", 31_000);
      await first.arrived();
      for (let i = 0; i < 5; i++) expect((await send("small", 1_500)).status, "its room is free again").to.equal(200);
      const larger = send("larger", 2_001);
      await api.clock.untilTimer(1200);
      api.clock.advance(1200);
      expect((await larger).status, "more than a sixteenth").to.equal(503);
      first.release();
      expect((await running).status).to.equal(200);
      expect((await send("large", 31_000)).status).to.equal(200);
    });

    it("a small body waits for the budget and the reserve, and takes memory from the first one only", async () => {
      const [first, second] = [held(), held()];
      const handlers: Readonly<Record<string, Handler>> = { first: first.handler, second: second.handler };
      const push = new WatchedHandler(async (request) => {
        await request.body(100_000);
        return (handlers[request.query.get("name") ?? ""] ?? (() => Promise.resolve({ status: 200, headers: {}, body: "" })))(request);
      });
      await open({ push: push.handler, limits: { bodyBytesInFlightMax: 32_000 } });
      const running = [send("first", 31_000)];
      await first.arrived();
      running.push(send("second", 1_500)); // takes its memory from the reserve
      await second.arrived();
      const waiting = send("third", 1_500);
      await push.begun.reach(3);
      second.release();
      expect((await waiting).status).to.equal(200);
      first.release();
      for (const each of running) expect((await each).status).to.equal(200);
      expect((await send("large", 32_000)).status).to.equal(200);
    });

    it("a client that goes away while its body waits frees its place", async () => {
      const first = held();
      const push = new WatchedHandler(readThenHold(first));
      await open({ push: push.handler, limits: { bodyBytesInFlightMax: 1500 } });
      const running = send("first");
      await first.arrived();
      const leaving = connect(api.server.port, "127.0.0.1");
      leaving.write("POST /ingest?name=left HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\na");
      await push.begun.reach(2);
      leaving.destroy();
      await push.ended.reach(1);
      first.release();
      expect((await running).status).to.equal(200);
    });

    it("a body larger than the memory for all bodies is 413 and says why; smaller ones are accepted", async () => {
      await open({ push: measure, limits: { bodyBytesInFlightMax: 70_000 } });
      const refused = await send("x", 70_001);
      expect([refused.status, ((await refused.json()) as { message: string }).message]).to.deep.equal([
        413,
        "the body is larger than 70000 bytes, which is what this node's memory allows of one body: send less at once, or give the node more memory",
      ]);
      expect((await send("x", 70_000)).status).to.equal(200);
    });

    it("a body that is only announced takes no memory from others", async () => {
      await open({ push: measure, limits: { bodyBytesInFlightMax: 300_000 } });
      const client = connect(api.server.port, "127.0.0.1");
      await new Promise<void>((resolve) => client.write("POST /ingest?name=x HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\na", () => resolve()));
      const another = connect(api.server.port, "127.0.0.1");
      await new Promise<void>((resolve) => another.write("POST /ingest?name=x HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\na", () => resolve()));
      const body = Uint8Array.from({ length: 60_000 }, (_, i) => i);
      expect(await (await post(body)).text()).to.equal("60000 65536");
      client.destroy();
      another.destroy();
    });

    it("a large body arrives in pieces and is complete", async () => {
      let sum = 0;
      await open({
        push: async (request) => {
          const body = await request.body(1 << 20);
          sum = body.reduce((total, byte) => total + byte, 0);
          return { status: 200, headers: {}, body: String(body.length) };
        },
      });
      const body = Uint8Array.from({ length: 333_333 }, (_, i) => i * 7);
      expect(await (await post(body)).text()).to.equal("333333");
      expect(sum).to.equal(body.reduce((total, byte) => total + byte, 0));
    });

    it("a push that is refused before its body is read keeps its connection, where the body is small", async () => {
      await open({ push: () => Promise.reject(unavailable("OVERLOADED", "busy")) });
      const probe = "GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
      const pushOf = (sizeBytes: number): string => `POST /ingest?name=x HTTP/1.1\r\nhost: x\r\ncontent-length: ${sizeBytes}\r\n\r\n${"x".repeat(sizeBytes)}`;
      const small = await exchange(api.server.port, pushOf(65_536) + probe);
      expect(small.match(/HTTP\/1\.1 \d+|connection: close/gi)).to.deep.equal(["HTTP/1.1 503", "HTTP/1.1 200", "Connection: close"]);
      const last = await exchange(api.server.port, pushOf(65_536).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
      expect(last, "the last of its connection: the reply arrives whole").to.match(/^HTTP\/1.1 503 [^]*"message":"busy"\}$/);
    });

    it("a body that stops arriving is 408", async () => {
      await open({ push: measure, limits: { bodyTimeoutMs: 50 } });
      const reply = exchange(api.server.port, "POST /ingest?name=x HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc");
      await api.clock.untilTimer(50);
      api.clock.advance(50);
      await api.clock.untilTimer(LINGER_MS);
      api.clock.advance(LINGER_MS);
      expect(await reply).to.match(/^HTTP\/1.1 408 /);
      expect(await reply).to.contain("did not arrive");
    });

    it("a query's JSON may have 512 KiB, and its lists 65,536 items", async () => {
      await open();
      const binary = async (body: Uint8Array<ArrayBuffer>): Promise<string> => {
        const reply = await fetch(`${api.url}/querier.v1.QuerierService/Series`, { method: "POST", headers: { "content-type": "application/proto" }, body });
        return `${reply.status} ${await reply.text()}`;
      };
      expect((await api.rpc("Series", `{"a":"${"x".repeat(600_000)}"}`)).status).to.equal(413);
      expect((await api.rpc("Series", `{"a":[${"0,".repeat(70_000)}0]}`)).status).to.equal(400);
      const empty = [0x0a, 0]; // a matcher that is ""
      expect(await binary(new Uint8Array(Array.from({ length: 65_537 }, () => empty).flat()))).to.match(/^400 .*more than 65536 items/);
    });

    it("gzip, zstd and deflate are decompressed within bounds; another encoding is 501", async () => {
      await open();
      const rpc = (body: Uint8Array, encoding: string): Promise<Response> =>
        fetch(`${api.url}/querier.v1.QuerierService/LabelNames`, {
          method: "POST",
          headers: { "content-type": "application/json; charset=utf-8", "content-encoding": encoding },
          body: new Uint8Array(body),
        });
      expect((await rpc(gzipSync(JSON.stringify(RANGE)), "gzip")).status).to.equal(200);
      expect((await rpc(deflateSync(JSON.stringify(RANGE)), "deflate")).status).to.equal(200);
      expect((await rpc(zstdFrame([Buffer.from(JSON.stringify(RANGE))]), "zstd")).status).to.equal(200);
      expect((await rpc(gzipSync(JSON.stringify(RANGE)).subarray(0, 20), "gzip")).status).to.equal(400);
      expect((await rpc(gzipSync(new Uint8Array(2 * 1024 * 1024)), "gzip")).status).to.equal(413);
      expect((await rpc(gzipSync("[".repeat(500_000)), "gzip")).status, "small enough, and too deep").to.equal(400);
      const unknown = await rpc(new Uint8Array(4), "br");
      expect([unknown.status, ((await unknown.json()) as { code: string }).code]).to.deep.equal([501, "unimplemented"]);
    });
  });

  describe("replies", () => {
    it("large JSON is compressed for clients that accept it, small JSON is not", async () => {
      await open();
      const names = Array.from({ length: 500 }, (_, index) => `function_${index}`);
      api.source.graph = { names, levels: [[0, 1, 0, 0]], total: 1, maxSelf: 0 };
      const message = { profileTypeID: "a:b:c:d:e", labelSelector: "{}", ...RANGE };
      const raw = (accept: string): Promise<{ encoding: string | undefined; body: Buffer }> =>
        new Promise((resolve, reject) => {
          const request = httpRequest(
            `${api.url}/querier.v1.QuerierService/SelectMergeStacktraces`,
            { method: "POST", headers: { "content-type": "application/json", "accept-encoding": accept } },
            (response) => {
              const chunks: Buffer[] = [];
              response.on("data", (chunk: Buffer) => chunks.push(chunk));
              response.on("end", () => resolve({ encoding: response.headers["content-encoding"], body: Buffer.concat(chunks) }));
            },
          );
          request.on("error", reject);
          request.end(JSON.stringify(message));
        });
      const packed = await raw("gzip, br");
      expect(packed.encoding).to.equal("gzip");
      expect(JSON.parse(gunzipSync(packed.body).toString())).to.have.nested.property("flamegraph.names.length", 500);
      expect((await raw("gzip;q=0")).encoding).to.equal(undefined);
      expect((await raw("br")).encoding).to.equal(undefined);
      api.source.graph = { names: ["total"], levels: [[0, 0, 0, 0]], total: 0, maxSelf: 0 };
      expect((await raw("gzip")).encoding).to.equal(undefined);
    });

    it("a bug of ours is 500, and its message is not sent", async () => {
      await open();
      api.source.failure = new TypeError("inner detail");
      const response = await api.rpc("LabelNames", RANGE);
      expect(response.status).to.equal(500);
      expect(await response.text()).to.not.contain("inner detail");
    });

    it("a header that cannot be written fails its request, not the node", async () => {
      const broken: Handler = () => Promise.resolve({ status: 200, headers: { "x-a": "b\nc" }, body: "" });
      await open({ push: broken });
      await fetch(`${api.url}/ingest?name=x`, { method: "POST" }).then(
        () => expect.fail("a reply"),
        () => undefined,
      );
      expect((await api.get("/ready")).status).to.equal(200);
    });

    it("are counted by method, route and status, never by path", async () => {
      await open();
      await api.get("/nope/1");
      await api.get("/nope/2");
      await api.rpc("LabelNames", "{");
      const text = await (await api.get("/metrics")).text();
      expect(text).to.contain('pyromesh_request_duration_seconds_count{method="GET",route="unmatched",status_code="404"} 2');
      expect(text).to.contain('pyromesh_request_duration_seconds_count{method="POST",route="/querier.v1.QuerierService/LabelNames",status_code="400"} 1');
    });
  });

  describe("time", () => {
    it("Connect-Timeout-Ms ends a request whose source ignores its signal", async () => {
      await open();
      api.source.gate = new Promise(() => {});
      const asked = api.rpc("LabelNames", RANGE, { "connect-timeout-ms": "20" });
      await api.source.nextQuery();
      api.clock.advance(20);
      const response = await asked;
      expect([response.status, ((await response.json()) as { code: string }).code]).to.deep.equal([504, "deadline_exceeded"]);
      expect(api.source.signals[0]!.aborted).to.equal(true);
      expect((await api.rpc("LabelNames", RANGE, { "connect-timeout-ms": "soon" })).status).to.equal(400);
    });

    it("Connect-Timeout-Ms ends a push too, and its memory is held until its handler ends", async () => {
      const slow = held();
      await open({
        push: async (request) => {
          applyClientTimeout(request);
          return slow.handler(request);
        },
      });
      const push = (headers: Readonly<Record<string, string>>): Promise<Response> => fetch(`${api.url}/push.v1.PusherService/Push`, { method: "POST", headers, body: "x" });
      const asked = push({ "connect-timeout-ms": "20" });
      await slow.arrived();
      api.clock.advance(20);
      expect((await asked).status).to.equal(504);
      const inFlight = async (): Promise<string> => (await (await api.get("/metrics")).text()).match(/pyromesh_requests_in_flight (\d+)/)![1]!;
      expect(await inFlight()).to.equal("2"); // the push, and this request for the metrics
      slow.release();
      await slow.arrived();
      expect(await inFlight()).to.equal("1");
      expect((await push({ "connect-timeout-ms": "soon" })).status).to.equal(400);
    });

    it("the server's own time limit ends a request of every route", async () => {
      const slow = held();
      await open({ push: slow.handler, limits: { requestTimeoutMs: 20 } });
      const asked = fetch(`${api.url}/ingest?name=x`, { method: "POST" });
      await slow.arrived();
      api.clock.advance(20);
      expect((await asked).status).to.equal(504);
    });

    it("a client that goes away aborts its query", async () => {
      await open();
      const slow = held();
      api.source.gate = slow.handler({} as ApiRequest).then(() => undefined);
      const controller = new AbortController();
      const asked = fetch(`${api.url}/querier.v1.QuerierService/LabelNames`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(RANGE),
        signal: controller.signal,
      }).catch(() => undefined);
      const signal = await api.source.nextQuery();
      const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
      controller.abort();
      await Promise.all([asked, aborted]);
      expect((signal.reason as { code: string }).code).to.equal("CLIENT_GONE");
      slow.release();
    });

    it("a client that goes away aborts its pipelined requests too, and an incomplete body among them", async () => {
      const reasons: Promise<string>[] = [];
      const reasonOf = async (request: ApiRequest): Promise<string> => {
        if (request.headers["content-length"] !== undefined) await request.body(10).catch(() => undefined);
        if (!request.signal.aborted) await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
        return (request.signal.reason as { code: string }).code;
      };
      const push = new WatchedHandler(async (request) => {
        const reason = reasonOf(request);
        reasons.push(reason);
        await reason;
        return { status: 200, headers: {}, body: "" };
      });
      await open({ push: push.handler });
      const client = connect(api.server.port, "127.0.0.1");
      const head = "POST /ingest?name=x HTTP/1.1\r\nhost: x\r\n";
      client.write(`${head}\r\n${head}\r\n${head}content-length: 3\r\n\r\na`);
      await push.begun.reach(3);
      client.destroy();
      expect(await Promise.all(reasons)).to.deep.equal(["CLIENT_GONE", "CLIENT_GONE", "CLIENT_GONE"]);
      expect(await (await api.get("/metrics")).text()).to.match(/duration_seconds_count\{[^}]*route="\/ingest"[^}]*\} 3\n[^]*pyromesh_requests_in_flight 1\n/);
    });
  });

  describe("bounds", () => {
    it("at the limit of requests one more is 503 with Retry-After, and probes are still answered", async () => {
      const slow = held();
      await open({ push: slow.handler, limits: { concurrentRequestsMax: 1 } });
      const running = fetch(`${api.url}/ingest?name=x`, { method: "POST" });
      await slow.arrived();
      const refused = await api.rpc("LabelNames", RANGE);
      expect([refused.status, refused.headers.get("retry-after")]).to.deep.equal([503, "1"]);
      for (const probe of ["/ready", "/-/healthy", "/metrics"]) expect((await api.get(probe)).status, probe).to.equal(200);
      slow.release();
      expect((await running).status).to.equal(200);
      expect((await api.rpc("LabelNames", RANGE)).status).to.equal(200);
    });

    it("too many requests of one connection are 503, probes too; replies that are read make room", async () => {
      const slow = held();
      await open({ push: slow.handler });
      const healthy = "GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n";
      const client = connect(api.server.port, "127.0.0.1");
      let received = "";
      let onData = (): void => {};
      client.on("data", (chunk) => {
        received += chunk.toString("latin1");
        onData();
      });
      /** Resolves with the statuses of so many replies. */
      const statuses = (count: number): Promise<readonly string[]> =>
        new Promise((resolve) => {
          onData = () => {
            const found = received.match(/(?<=HTTP\/1\.1 )\d+/g) ?? [];
            if (found.length >= count) resolve(found);
          };
          onData();
        });
      client.write(`POST /ingest?name=x HTTP/1.1\r\nhost: x\r\n\r\n${healthy.repeat(66)}`);
      await slow.arrived();
      slow.release();
      expect((await statuses(67)).filter((status) => status === "503")).to.have.length(3);
      received = "";
      client.write(healthy);
      expect(await statuses(1)).to.deep.equal(["200"]);
      client.destroy();
    });

    it("a request that was answered by its time limit counts until its handler ends", async () => {
      const slow = held();
      const push = new WatchedHandler(slow.handler);
      await open({ push: push.handler, limits: { concurrentRequestsMax: 1, requestTimeoutMs: 20 } });
      const asked = fetch(`${api.url}/ingest?name=x`, { method: "POST" });
      await slow.arrived();
      api.clock.advance(20);
      expect((await asked).status).to.equal(504);
      expect((await api.rpc("LabelNames", RANGE)).status).to.equal(503);
      slow.release();
      await push.ended.reach(1);
      expect((await api.rpc("LabelNames", RANGE)).status).to.equal(200);
    });

    it("headers above their limit are 431, noise is 400", async () => {
      await open({ limits: { headerBytesMax: 2048 } });
      expect(await exchange(api.server.port, `GET /ready HTTP/1.1\r\nhost: x\r\nx-a: ${"a".repeat(4000)}\r\n\r\n`)).to.match(/^HTTP\/1.1 431 /);
      expect(await exchange(api.server.port, "\x00\x01\x02\r\n\r\n")).to.match(/^HTTP\/1.1 400 /);
      expect((await api.get("/ready")).status).to.equal(200);
    });
  });

  describe("stop", () => {
    it("running requests end, new ones are refused, and then nothing listens", async () => {
      const slow = held();
      await open({ push: slow.handler });
      const running = fetch(`${api.url}/ingest?name=x`, { method: "POST" });
      await slow.arrived();
      const { port } = api.server;
      const stopped = api.server.stop();
      await fetch(`http://127.0.0.1:${port}/ready`).then(
        () => expect.fail("taken"),
        () => undefined,
      );
      slow.release();
      const response = await running;
      expect([response.status, await response.text()]).to.deep.equal([200, "done"]);
      await stopped;
      await api.server.stop();
    });

    it("a connection without a request, or with half of one, is not waited for", async () => {
      await open({ limits: { stopTimeoutMs: 600_000 } });
      for (const text of ["", "GET /ready HTTP/1.1\r\nho"]) {
        const socket = connect(api.server.port, "127.0.0.1");
        socket.on("error", () => undefined);
        await new Promise<void>((resolve) => void socket.write(text === "" ? "\r\n" : text, () => resolve()));
      }
      // A request after them, so both connections have been accepted.
      expect((await fetch(`${api.url}/-/healthy`)).status).to.equal(200);
      await api.server.stop();
    });

    it("a request that never ends is cut off", async () => {
      const slow = held();
      await open({ push: slow.handler, limits: { stopTimeoutMs: 20 } });
      const running = fetch(`${api.url}/ingest?name=x`, { method: "POST" }).catch(() => "cut");
      await slow.arrived();
      const stopped = api.server.stop();
      api.clock.advance(20);
      await stopped;
      expect(await running).to.equal("cut");
    });

    it("an address in use is reported with the setting to change", async () => {
      await open();
      const error = await HttpListener.open(
        { host: "127.0.0.1", port: api.server.port, isMultitenant: false, operators: "loopback" },
        { clock: api.clock, logger: silentLogger, metrics: new Metrics(), routes: [] },
      ).catch((thrown: unknown) => thrown);
      expect(String(error)).to.contain("--http-addr");
    });
  });
});
