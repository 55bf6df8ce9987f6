import { expect } from "chai";
import type { ScrapedTarget, ScrapedTargets } from "../ports/scraping.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";
import { scrapeRoutes } from "./scrape-routes.ts";

const TARGET: ScrapedTarget = {
  jobName: "app",
  url: "http://10.0.0.1:6060/debug/pprof/allocs",
  labels: [{ name: "job", value: "app" }, { name: "service_name", value: "<b>shop</b>" }],
  discovered: [{ name: "__address__", value: "10.0.0.1:6060" }],
  profileName: "memory",
  intervalMs: 15_000,
  timeoutMs: 10_000,
  member: { name: "node-1", httpAddress: "node-1:4040", isSelf: true },
  health: "down",
  lastError: "the program answered with status 404",
  lastScrapeMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  lastDurationMs: 250,
  nextScrapeMs: Date.UTC(2026, 0, 2, 3, 4, 20),
};

describe("scrape routes", () => {
  let api: OpenApi;
  let shown: ScrapedTargets;
  beforeEach(async () => {
    shown = {
      active: [TARGET, { ...TARGET, url: "http://10.0.0.2:6060/debug/pprof/allocs", member: { name: "node-2", httpAddress: "node-2:4040", isSelf: false }, health: "unknown", lastError: "", lastScrapeMs: undefined, lastDurationMs: 0, nextScrapeMs: undefined }],
      dropped: [{ jobName: "app", discovered: [{ name: "__address__", value: "10.0.0.3:6060" }], reason: "relabel_configs[0] dropped it" }],
      droppedCounts: { app: 2_500 },
      faults: [],
    };
    api = await openApi({ more: scrapeRoutes({ targets: () => shown }) });
  });
  afterEach(() => api.server.stop());

  it("/api/v1/targets has Prometheus' keys, who scrapes a target, and when next", async () => {
    const { status, data } = (await (await api.get("/api/v1/targets")).json()) as { status: string; data: { activeTargets: object[]; droppedTargets: object[]; droppedTargetCounts: object } };
    expect(status).equal("success");
    expect(data.activeTargets[0]).deep.equal({
      discoveredLabels: { __address__: "10.0.0.1:6060" },
      labels: { job: "app", service_name: "<b>shop</b>" },
      scrapePool: "app",
      scrapeUrl: "http://10.0.0.1:6060/debug/pprof/allocs",
      globalUrl: "http://10.0.0.1:6060/debug/pprof/allocs",
      lastError: "the program answered with status 404",
      lastScrape: "2026-01-02T03:04:05.000Z",
      lastScrapeDuration: 0.25,
      health: "down",
      scrapeInterval: "15s",
      scrapeTimeout: "10s",
      nextScrape: "2026-01-02T03:04:20.000Z",
      member: "node-1",
      memberHttpAddress: "node-1:4040",
      profile: "memory",
    });
    expect(data.activeTargets[1]).include({ member: "node-2", health: "unknown", lastScrape: "0001-01-01T00:00:00Z", nextScrape: null });
    expect([data.droppedTargets, data.droppedTargetCounts]).deep.equal([[{ discoveredLabels: { __address__: "10.0.0.3:6060" }, scrapePool: "app", reason: "relabel_configs[0] dropped it" }], { app: 2_500 }]);
  });

  it("state asks for one kind of targets", async () => {
    const count = async (state: string): Promise<number[]> => {
      const { data } = (await (await api.get(`/api/v1/targets?state=${state}`)).json()) as { data: { activeTargets: unknown[]; droppedTargets: unknown[] } };
      return [data.activeTargets.length, data.droppedTargets.length];
    };
    expect([await count("active"), await count("dropped"), await count("any")]).deep.equal([[2, 0], [0, 1], [2, 1]]);
    expect((await api.get("/api/v1/targets?state=up")).status).equal(400);
  });

  it("/targets begins with what is down: of thousands of targets the others are not in the table", async () => {
    const up = Array.from({ length: 1_500 }, (_, index): ScrapedTarget => ({ ...TARGET, url: `http://up-${index}/`, health: "up", lastError: "" }));
    shown = { active: [...up, { ...TARGET, url: "http://gone/" }, { ...TARGET, url: "http://nobody/", member: undefined, health: "unknown", lastError: "" }], dropped: [], droppedCounts: {}, faults: [] };
    const html = await (await api.get("/targets")).text();
    const urls = [...html.matchAll(/<code>http:\/\/([^/]+)/g)].map(([, host]) => host);
    expect([urls.length, ...urls.slice(0, 3)]).deep.equal([1_000, "gone", "nobody", "up-0"]);
  });

  it("sources that discovery cannot read are shown with the reason, as text", async () => {
    shown = { active: [], dropped: [], droppedCounts: {}, faults: [{ jobName: "app", mechanism: "kubernetes", source: "/api/v1/pods", reason: "403: <pods> is forbidden", sinceMs: Date.UTC(2026, 0, 2, 3, 4, 5) }] };
    const { data } = (await (await api.get("/api/v1/targets")).json()) as { data: { discoveryFailures: object[] } };
    expect(data.discoveryFailures).deep.equal([{ scrapePool: "app", mechanism: "kubernetes", source: "/api/v1/pods", error: "403: <pods> is forbidden", since: "2026-01-02T03:04:05.000Z" }]);
    const html = await (await api.get("/targets")).text();
    for (const text of ["Discovery fails: 1", "<code>/api/v1/pods</code>", "403: &#60;pods&#62; is forbidden", "2026-01-02 03:04:05"]) expect(html).include(text);
  });

  it("/targets is a page: states, errors, who scrapes what, what was dropped and why; and no label can be markup", async () => {
    const html = await (await api.get("/targets")).text();
    for (const text of ["this node scrapes 1 of them, and 0 of these are up", "status 404", "http://node-2:4040/targets", "relabel_configs[0] dropped it", "Dropped: 2500", "0.25s"]) expect(html).include(text);
    expect(html).not.include("<b>shop");
    shown = { active: [], dropped: [], droppedCounts: {}, faults: [] };
    expect(await (await api.get("/targets")).text()).include("Nothing is scraped");
  });
});
