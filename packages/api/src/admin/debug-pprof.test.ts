import { expect } from "chai";
import type { DebugProfiler } from "../ports/ports.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";

describe("/debug/pprof/", () => {
  const asked: unknown[] = [];
  const profiler: DebugProfiler = {
    profile(kind, seconds) {
      asked.push([kind, seconds]);
      return Promise.resolve(Uint8Array.of(1, 2, 3));
    },
  };
  let api: OpenApi;
  before(async () => {
    api = await openApi({ profiler });
  });
  after(() => api.server.stop());
  beforeEach(() => asked.splice(0));

  it("each profile is a file over the requested seconds, or the default", async () => {
    for (const [path, expected] of [["profile?seconds=5", ["cpu", 5]], ["profile", ["cpu", 30]], ["wall?seconds=60", ["wall", 60]], ["heap?seconds=1", ["heap", 1]], ["heap", ["heap", 10]]]) {
      const response = await api.get(`/debug/pprof/${String(path)}`);
      expect([response.status, [...new Uint8Array(await response.arrayBuffer())]], String(path)).to.deep.equal([200, [1, 2, 3]]);
      expect(response.headers.get("content-type")).to.equal("application/octet-stream");
      expect(asked.pop()).to.deep.equal(expected);
    }
  });

  it("seconds out of bounds are refused, and no profile is taken", async () => {
    for (const seconds of ["0", "61", "-1", "1.5", "x", "99999999999"]) {
      const response = await api.get(`/debug/pprof/profile?seconds=${seconds}`);
      expect(response.status, seconds).to.equal(400);
      expect(await response.text()).to.include("from 1 to 60");
    }
    expect(asked).to.deep.equal([]);
  });

  it("the index lists all profiles, and an unknown one is 404 with that list", async () => {
    const index = await api.get("/debug/pprof/");
    expect(index.headers.get("content-type")).to.match(/^text\/html/);
    expect(await index.text()).to.include("profile?seconds=30").and.include("wall?seconds=30").and.include("heap?seconds=10");
    expect((await api.get("/debug/pprof")).headers.get("location")).to.equal("/debug/pprof/");
    const unknown = await api.get("/debug/pprof/goroutine");
    expect([unknown.status, await unknown.text()]).to.satisfy(([status, text]: [number, string]) => status === 404 && text.includes("/debug/pprof/heap"));
  });

  it("is for operators only", async () => {
    for (const path of ["", "profile", "wall", "heap", "x"]) {
      expect((await api.get(`/debug/pprof/${path}`, { "x-forwarded-for": "10.1.1.1" })).status, path).to.equal(403);
    }
    expect(asked).to.deep.equal([]);
  });

  it("without a profiler it is 404", async () => {
    const bare = await openApi();
    expect((await bare.get("/debug/pprof/profile")).status).to.equal(404);
    await bare.server.stop();
  });
});
