/** The server checks `Host` and `Origin` for every route, before anything else. */
import { connect } from "node:net";
import { expect } from "chai";
import type { ApiReply, Handler } from "../ports/http.ts";
import { DEFAULT_QUERY_LIMITS } from "../read/query-limits.ts";
import { apiRoutes } from "../routes.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi, OpenApiInit } from "../testing/open-api.ts";

const OK: ApiReply = { status: 200, headers: {}, body: "" };
const ok: Handler = () => Promise.resolve(OK);
const PAGES = { get: () => ({ body: "a page", contentType: "text/html", etag: '"1"' }) };

describe("server: sites", () => {
  let api: OpenApi;
  let pushedCount = 0;
  const push: Handler = () => {
    pushedCount++;
    return Promise.resolve(OK);
  };
  const open = async (init: OpenApiInit = {}): Promise<OpenApi> => (api = await openApi({ push, pages: PAGES, sites: { allowedHosts: [], corsOrigins: [] }, ...init }));
  beforeEach(() => (pushedCount = 0));
  afterEach(() => api.server.stop());

  /** Sends `text` on a new connection. Returns status, headers and body. */
  const exchange = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(api.server.port, "127.0.0.1", () => socket.end(text));
      let received = "";
      socket.on("data", (chunk) => (received += chunk.toString("latin1")));
      socket.on("close", () => resolve(received)).on("error", reject);
    });
  const statusOf = async (text: string): Promise<number> => Number(/^HTTP\/1.1 (\d+) /.exec(await exchange(text))?.[1]);
  const get = (host: string, target = "/ready"): Promise<number> => statusOf(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nconnection: close\r\n\r\n`);

  const { source, admin } = { source: {} as never, admin: {} as never };
  const everyRoute = [...apiRoutes({ limitsOf: () => DEFAULT_QUERY_LIMITS, queryBodyBytesMax: 1 }, { source, admin, clock: {} as never, push: ok, ingest: ok, otlpHttp: ok, otlpRpc: ok, pages: PAGES })];

  it("a foreign Host is refused on every route, under every method, and where there is no route", async () => {
    await open();
    expect(everyRoute.length).to.be.greaterThan(25);
    for (const path of [...new Set(everyRoute.map((route) => route.path.replace("*", "app.js"))), "/nope"]) {
      for (const method of ["GET", "POST", "OPTIONS"]) {
        const answer = await exchange(`${method} ${path} HTTP/1.1\r\nHost: evil.example:${api.server.port}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
        expect(answer, `${method} ${path}`).to.match(/^HTTP\/1.1 403 /);
        expect(answer).to.contain("--allowed-hosts").and.to.contain("permission_denied");
      }
    }
    expect(pushedCount).to.equal(0);
  });

  it("Host is parsed as the standard says", async () => {
    await open();
    const { port } = api.server;
    for (const host of [`localhost:${port}`, "localhost", "LOCALHOST", "localhost.", "app.localhost:1", "127.0.0.1", "127.3.2.1:80", `[::1]:${port}`, "[::ffff:127.0.0.1]", ""]) expect(await get(host), host).to.equal(200);
    for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0", "10.0.0.5", "user@localhost", "[::2]", "[::ffff:10.0.0.1]", "127.1"]) expect(await get(host), host).to.equal(403);
    expect(await statusOf("GET /ready HTTP/1.0\r\n\r\n"), "none, HTTP/1.0").to.equal(200);
    expect(await statusOf("GET /ready HTTP/1.1\r\nconnection: close\r\n\r\n"), "none, HTTP/1.1").to.equal(400);
    expect(await get("localhost\r\nHost: localhost"), "two").to.equal(400);
    expect(await get("localhost\r\nhost: evil.example"), "two").to.equal(400);
  });

  it("the host of a target that is a whole URL is checked too", async () => {
    await open();
    expect(await get("localhost", "http://127.0.0.1:4040/ready")).to.equal(200);
    for (const target of ["http://evil.example/ready", "http://localhost@evil.example/ready", "http://user@localhost/ready"]) expect(await get("localhost", target), target).to.equal(403);
    expect(await get("evil.example", "http://localhost/ready")).to.equal(403);
  });

  it("each request of a connection is checked", async () => {
    await open();
    const next = (host: string): string => `GET /ready HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    const answers = await exchange(`${next("localhost")}${next("localhost")}${next("evil.example")}${next("localhost")}`);
    expect(answers.match(/(?<=HTTP\/1\.1 )\d+/g)).to.deep.equal(["200", "200", "403", "200"]);
  });

  it("a write from a page of another site is refused on every route, and nothing of it is stored", async () => {
    await open({ operators: "anyone" });
    const foreign = [{ origin: "https://evil.example" }, { origin: "null" }, { origin: `http://localhost:${api.server.port + 1}` }, { "sec-fetch-site": "cross-site" }];
    for (const path of new Set(everyRoute.filter(({ method }) => method === "POST").map((route) => route.path))) {
      for (const headers of foreign) {
        const reply = await fetch(`${api.url}${path}?name=x`, { method: "POST", headers: { "content-type": "text/plain", ...headers } as Record<string, string>, body: path.endsWith("ingest") ? "a;b 1" : "" });
        expect(reply.status, `${path} ${JSON.stringify(headers)}`).to.equal(403);
        expect(await reply.text()).to.contain("--cors-origins");
        expect(reply.headers.get("access-control-allow-origin")).to.equal(null);
      }
    }
    expect([pushedCount, api.admin.flushCount]).to.deep.equal([0, 0]);
  });

  it("the node's own page, SDKs and command lines pass", async () => {
    await open();
    for (const headers of [{}, { origin: api.url }, { origin: api.url, "sec-fetch-site": "same-origin" }]) {
      expect((await fetch(`${api.url}/ingest?name=x`, { method: "POST", headers: headers as Record<string, string>, body: "a;b 1" })).status).to.equal(200);
      expect((await api.rpc("LabelNames", { start: "1", end: "2" }, headers as Record<string, string>)).status).to.equal(200);
    }
    expect((await api.get("/ready", { origin: "https://evil.example" })).headers.get("access-control-allow-origin"), "nor is a read, which the page cannot read").to.equal(null);
  });

  it("a page of a named origin may push and query after a preflight, and may read refusals too", async () => {
    await open({ sites: { allowedHosts: [], corsOrigins: ["https://grafana.example.org"] } });
    const origin = "https://grafana.example.org";
    const asked = { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
    const preflight = await fetch(`${api.url}/querier.v1.QuerierService/LabelNames`, { method: "OPTIONS", headers: asked });
    expect([preflight.status, preflight.headers.get("access-control-allow-origin"), preflight.headers.get("access-control-allow-headers")]).to.deep.equal([204, origin, "content-type"]);
    expect(preflight.headers.get("access-control-allow-credentials")).to.equal(null);
    for (const [message, status] of [[{ start: "1", end: "2" }, 200], ["{", 400]] as const) {
      const reply = await api.rpc("LabelNames", message, { origin });
      expect([reply.status, reply.headers.get("access-control-allow-origin"), reply.headers.get("vary")]).to.deep.equal([status, origin, "origin"]);
    }
    expect((await fetch(`${api.url}/ingest?name=x`, { method: "POST", headers: { origin }, body: "x" })).status).to.equal(200);
    const flush = await fetch(`${api.url}/flush`, { method: "OPTIONS", headers: asked });
    expect([flush.status, flush.headers.get("access-control-allow-origin")]).to.deep.equal([403, null]);
    expect((await fetch(`${api.url}/ingest`, { method: "OPTIONS", headers: { ...asked, origin: "https://evil.example" } })).status).to.equal(403);
    expect((await fetch(`${api.url}/ingest`, { method: "OPTIONS" })).status).to.equal(405);
  });

  it("nothing is upgraded to a WebSocket, to which no browser applies its rules", async () => {
    await open();
    const upgrade = (host: string): Promise<number> => statusOf(`GET /ready HTTP/1.1\r\nHost: ${host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: https://evil.example\r\n\r\n`);
    expect([await upgrade("localhost"), await upgrade("evil.example")]).to.deep.equal([200, 403]);
  });
});
