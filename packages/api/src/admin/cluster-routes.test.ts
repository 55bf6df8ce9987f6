import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";
import { fakeMember } from "../testing/fake-cluster-admin.ts";

describe("cluster routes", () => {
  let api: OpenApi;
  beforeEach(async () => {
    api = await openApi();
  });
  afterEach(() => api.server.stop());

  const post = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> => fetch(`${api.url}${path}`, { method: "POST", headers });

  it("/members: a page, and JSON where Accept or format asks for it", async () => {
    const page = await api.get("/members", { accept: "text/html,application/xhtml+xml,*/*;q=0.8" });
    expect(page.headers.get("content-type")).to.equal("text/html; charset=utf-8");
    const html = await page.text();
    for (const text of ["node-2", "active, suspect", "zone", ">12<", ">34,567<", ">5 B<", "NOT_ENOUGH_ACKS: 1 of 2 answered", "node-3 is dead: start it again"]) expect(html).to.include(text);
    for (const reply of [await api.get("/members", { accept: "application/json" }), await api.get("/members?format=json")]) {
      expect(reply.headers.get("content-type")).to.equal("application/json");
      const answer = (await reply.json()) as { cluster: string; self: string; members: { name: string; state: string; share: number }[]; lostStores: unknown[] };
      expect([answer.cluster, answer.self, answer.members.length, answer.lostStores.length]).to.deep.equal(["prod", "node-1", 3, 1]);
      expect(answer.members[2]).to.deep.include({ name: "node-3", state: "dead", share: 0, storeId: "store of node-3", httpAddress: "node-3:4040" });
    }
  });

  it("/members?format=http_sd is what Prometheus reads", async () => {
    const targets = (await (await api.get("/members?format=http_sd")).json()) as { targets: string[]; labels: Record<string, string> }[];
    expect(targets.map(({ targets: [address] }) => address)).to.deep.equal(["node-1:4040", "node-2:4040", "node-3:4040"]);
    for (const { labels } of targets) {
      for (const [name, value] of Object.entries(labels)) {
        expect(name).to.match(/^__meta_pyromesh_[a-z]+$/);
        expect(value).to.be.a("string");
      }
    }
    expect(targets[2]!.labels).to.include({ __meta_pyromesh_member: "node-3", __meta_pyromesh_state: "dead", __meta_pyromesh_zone: "c" });
  });

  it("/ring draws owners and zones, and names them in JSON", async () => {
    const html = await (await api.get("/ring")).text();
    expect(html.match(/<path /g)!.length).to.equal(4); // two owners, two zones of owners
    expect(html).to.include("node-1: 50.0 % of the ring").and.include("zone a");
    const answer = (await (await api.get("/ring?format=json")).json()) as { slices: string[]; members: { name: string; share: number }[] };
    expect([answer.slices.length, answer.slices[0], answer.slices.at(-1)]).to.deep.equal([720, "node-1", "node-2"]);
    expect(answer.members[0]).to.deep.equal({ name: "node-1", state: "active", isSuspect: false, zone: "a", tokens: 128, share: 0.5 });
  });

  it("/memberlist has the table as gossip has it, those who left, and the lost stores", async () => {
    const html = await (await api.get("/memberlist")).text();
    for (const text of ["00112233445566778899aabbccddeeff", "boot of node-2", "Left and forgotten", "node-0", "it counts as one that does not answer"]) expect(html).to.include(text);
    expect(((await (await api.get("/memberlist?format=json")).json()) as { gone: unknown[] }).gone.length).to.equal(1);
  });

  it("health is 200 when the next node may be stopped, else 503 with the reasons", async () => {
    const refused = await api.get("/api/v1/cluster/health");
    expect([refused.status, ((await refused.json()) as { reasons: string[] }).reasons.length]).to.deep.equal([503, 1]);
    api.cluster.shownHealth = { mayStop: true, reasons: [], notes: [], members: [] };
    expect([(await api.get("/api/v1/cluster/health")).status, await (await api.get("/members")).text()]).to.satisfy(([status, html]: [number, string]) => status === 200 && html.includes("The next node may be stopped."));
  });

  it("forget, leave and drain are an operator's: done on this machine, refused to pages and proxies", async () => {
    expect(await (await post("/api/v1/cluster/forget?name=node-3")).json()).to.deep.equal({ forgotten: "node-3" });
    expect((await post("/api/v1/cluster/forget?name=node-3&force=true")).status).to.equal(200);
    expect([(await post("/api/v1/cluster/leave")).status, (await post("/api/v1/cluster/drain")).status, (await post("/api/v1/cluster/resume")).status]).to.deep.equal([202, 202, 200]);
    expect(api.cluster.asked).to.deep.equal(["forget node-3", "forget node-3 by force", "leave", "drain", "resume"]);
    for (const what of ["forget?name=a", "leave", "drain", "resume"]) {
      expect((await post(`/api/v1/cluster/${what}`, { "x-forwarded-for": "10.0.0.9" })).status, what).to.equal(403);
      expect((await post(`/api/v1/cluster/${what}`, { origin: "https://evil.example" })).status, what).to.equal(403);
      expect((await api.get(`/api/v1/cluster/${what}`)).status, what).to.equal(405);
    }
    expect(api.cluster.asked.length).to.equal(5);
  });

  it("what the cluster refuses is said with its reason", async () => {
    api.cluster.refusal = new CodedError({ code: "MEMBER_ALIVE", kind: "failed_precondition", message: "node-2 is alive: stop it first" });
    const reply = await post("/api/v1/cluster/forget?name=node-2");
    expect([reply.status, await reply.json()]).to.deep.equal([400, { code: "failed_precondition", message: "node-2 is alive: stop it first" }]);
    expect((await post("/api/v1/cluster/forget")).status).to.equal(400);
    expect((await post("/api/v1/cluster/forget?name=a&force=yes")).status).to.equal(400);
    expect((await api.get("/members?format=xml")).status).to.equal(400);
  });

  it("a name from another machine is text in a page, never HTML; and the page may run nothing", async () => {
    const evil = `<script>alert(1)</script>"'&`;
    api.cluster.shown = { ...api.cluster.shown, clusterName: evil, members: [fakeMember(evil, { zone: evil, httpAddress: evil, build: evil, clusterAddress: evil, storeId: evil, bootId: evil }), fakeMember("b", { zone: "b" })] };
    for (const path of ["/members", "/ring", "/memberlist"]) {
      const reply = await api.get(path);
      const html = await reply.text();
      expect(html).to.include("&#60;script&#62;");
      expect(html).to.not.include("<script");
      expect(html).to.not.include(evil);
      expect(reply.headers.get("content-security-policy")).to.match(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]+='; /);
    }
  });

  it("a node alone answers for itself", async () => {
    api.cluster.shown = { ...api.cluster.shown, clusterName: undefined, members: [fakeMember("solo", { isSelf: true, share: 1 })], gone: [], lostStores: [] };
    expect(await (await api.get("/ring")).text()).to.include("is alone: it has no cluster").and.include("1 member<");
    expect(((await (await api.get("/members?format=json")).json()) as { cluster: unknown }).cluster).to.equal(null);
  });
});
