import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { expect } from "chai";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";

describe("admin", () => {
  let api: OpenApi;
  afterEach(() => api.server.stop());

  /** Sends headers that fetch does not let a program set. */
  const send = (method: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<number> =>
    new Promise((resolve, reject) => {
      const request = httpRequest(`${api.url}${path}`, { method, headers: { ...headers } }, (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode!));
      });
      request.on("error", reject);
      request.end();
    });

  it("/ready says what the node waits for; /-/healthy only that it is alive", async () => {
    api = await openApi();
    expect([(await api.get("/ready")).status, await (await api.get("/ready")).text()]).to.deep.equal([200, "ready\n"]);
    api.admin.waitsFor = "replaying 3 of 9 batches";
    const waiting = await api.get("/ready");
    expect([waiting.status, await waiting.text()]).to.deep.equal([503, "not ready: replaying 3 of 9 batches\n"]);
    expect((await api.get("/-/healthy")).status).to.equal(200);
  });

  it("many who ask for the metrics at once share one text, which is no older than their questions", async () => {
    api = await openApi();
    const socket = connect(api.server.port, "127.0.0.1");
    const replies = new Promise<string>((resolve) => {
      let received = "";
      socket.on("data", (chunk) => (received += chunk.toString()));
      socket.on("close", () => resolve(received));
    });
    const get = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n";
    socket.write(`${`${get}\r\n`.repeat(29)}${get}connection: close\r\n\r\n`);
    expect((await replies).match(/HTTP\/1.1 200 /g)).to.have.length(30);
    expect(api.admin.metricsTextCount).to.equal(1);
    await (await api.get("/metrics")).text();
    expect(api.admin.metricsTextCount).to.equal(2);
  });

  it("settings, build, limits and metrics are readable", async () => {
    api = await openApi();
    for (const [path, mode] of [["/config", "full"], ["/api/v1/status/config", "full"], ["/api/v1/status/config/diff", "diff"], ["/api/v1/status/config/default", "default"]]) {
      const response = await api.get(path!);
      expect([response.headers.get("content-type"), await response.text()]).to.deep.equal(["text/plain; charset=utf-8", `http-addr: 127.0.0.1:4040 # ${mode}\n`]);
    }
    expect(await (await api.get("/api/v1/status/buildinfo")).json()).to.deep.equal({
      status: "success",
      data: { version: "0.1.0", revision: "abc", branch: "", buildUser: "", buildDate: "2026-01-01", goVersion: "", nodeVersion: "v20" },
    });
    expect(await (await api.get("/api/v1/tenant_limits")).json()).to.deep.equal({ ingestion_rate_mb: 4 });
    for (const [query, mode] of [["", "full"], ["?mode=diff", "diff"], ["?mode=other", "full"]]) {
      expect(await (await api.get(`/runtime_config${query}`)).text()).to.equal(`overrides: {} # ${mode}\n`);
    }
    expect((await api.get("/metrics")).headers.get("content-type")).to.match(/^text\/plain; version=0.0.4/);
  });

  it("POST /flush answers what it did", async () => {
    api = await openApi();
    const response = await fetch(`${api.url}/flush`, { method: "POST" });
    expect([response.status, await response.json()]).to.deep.equal([200, { segmentCount: 2, bytes: 1234 }]);
    expect((await api.get("/flush")).status).to.equal(405);
    expect(api.admin.flushCount).to.equal(1);
  });

  it("quarantine is listed and acknowledged", async () => {
    api = await openApi();
    const entry = { id: "7", reason: "checksum", startMs: 1, endMs: 2, foundAtMs: 3 };
    api.admin.entries = [entry];
    expect(await (await api.get("/admin/quarantine")).json()).to.deep.equal({ entries: [entry] });
    expect(await (await fetch(`${api.url}/admin/quarantine`, { method: "POST" })).json()).to.deep.equal({ acknowledged: 1 });
    expect(await (await api.get("/admin/quarantine")).json()).to.deep.equal({ entries: [] });
  });

  it("operator routes are refused to pages of other origins and to clients of a proxy", async () => {
    api = await openApi();
    for (const headers of [{ origin: "https://evil.example" }, { "sec-fetch-site": "cross-site" }, { "x-forwarded-for": "10.1.1.1" }]) {
      for (const [method, path] of [["POST", "/flush"], ["POST", "/admin/quarantine"], ["GET", "/admin/quarantine"]] as const) {
        expect(await send(method, path, headers), `${method} ${path}`).to.equal(403);
      }
      expect(await send("GET", "/config", headers)).to.equal(200);
    }
    expect(api.admin.flushCount).to.equal(0);
  });

  it("the operator's own listener accepts everyone", async () => {
    api = await openApi({ operators: "anyone" });
    expect(await send("POST", "/flush", { "x-forwarded-for": "10.1.1.1" })).to.equal(200);
  });
});

describe("pages", () => {
  let api: OpenApi;
  before(async () => {
    const pages = new Map([
      ["/", { body: "<html></html>", contentType: "text/html; charset=utf-8", etag: '"page"' }],
      ["/assets/app.js", { body: "run()", contentType: "text/javascript", etag: '"app"' }],
    ]);
    api = await openApi({ pages: { get: (path) => pages.get(path) } });
  });
  after(() => api.server.stop());

  it("the page is served under every path it draws, with a policy that runs only our own scripts", async () => {
    for (const path of ["/", "/explore", "/comparison", "/comparison-diff?query=x"]) {
      const response = await api.get(path);
      expect([response.status, await response.text()], path).to.deep.equal([200, "<html></html>"]);
      const policy = response.headers.get("content-security-policy")!;
      expect(policy).to.contain("default-src 'none'").and.to.contain("script-src 'self'").and.to.contain("frame-ancestors 'none'");
      expect(policy).to.not.contain("unsafe");
      expect(response.headers.get("x-content-type-options")).to.equal("nosniff");
      expect(response.headers.get("cache-control")).to.equal("no-cache");
    }
  });

  it("assets are cached forever, a missing one is 404, and an unchanged one is 304", async () => {
    const asset = await api.get("/assets/app.js");
    expect([asset.status, await asset.text()]).to.deep.equal([200, "run()"]);
    expect(asset.headers.get("cache-control")).to.contain("immutable");
    expect((await api.get("/assets/other.js")).status).to.equal(404);
    const again = await api.get("/assets/app.js", { "if-none-match": 'W/"app"' });
    expect([again.status, await again.text()]).to.deep.equal([304, ""]);
  });

  it("/ui redirects to the page; without pages it is 404", async () => {
    const moved = await api.get("/ui");
    expect([moved.status, moved.headers.get("location")]).to.deep.equal([302, "/"]);
    const bare = await openApi();
    expect((await bare.get("/")).status).to.equal(404);
    await bare.server.stop();
  });
});
