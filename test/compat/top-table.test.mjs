/**
 * What only this server has, or answers better, on a real node: a top table without truncation, functions with the name `other` or
 * without a name, and profiles of the process itself.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import { Profile } from "pprof-format";
import { flameGraphNodes } from "./meaning.mjs";
import { RunningNode } from "./node.mjs";
import { cpuProfile } from "./pprof-oracle.mjs";

const BINARY = fileURLToPath(new URL("../../packages/node/bin/pyromesh.js", import.meta.url));
const TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const TIME_MS = 1795419000000;
const RANGE = { start: String(TIME_MS - 60_000), end: String(TIME_MS + 60_000) };
const asked = (service, more = {}) => ({ profileTypeID: TYPE, labelSelector: `{service_name="${service}"}`, ...RANGE, ...more });

const WIDE = [
  ...Array.from({ length: 3000 }, (_, index) => ({ stack: ["main", `h${index}`, "json.Marshal"], value: 1 })),
  ...Array.from({ length: 100 }, (_, index) => ({ stack: ["main", `p${index}`], value: 5 })),
];
const ODD = [
  { stack: ["main", "other", "child"], value: 9 },
  { stack: ["main", "", "leaf"], value: 4 },
  ...Array.from({ length: 20 }, (_, index) => ({ stack: ["main", `small${index}`], value: 1 })),
];

describe("a real node: top tables and its own profiles", function () {
  this.timeout(60_000);
  let node;

  before(async () => {
    node = await RunningNode.start();
    // In halves, so that a stacktrace occurs in several records, which are later in the head and in a segment.
    await push("wide", WIDE.slice(0, 1500), "a");
    await node.flush();
    await push("wide", WIDE.slice(1500), "b");
    await push("odd", ODD, "a");
  });
  after(() => node?.close());

  const push = async (service, samples, pod) => {
    const pprof = cpuProfile(samples, { timeMs: TIME_MS });
    const { status, text } = await node.push([{ labels: { __name__: "process_cpu", service_name: service, pod }, pprof }]);
    expect(status, text).to.equal(200);
  };
  const topTable = async (request) => {
    const { status, text } = await node.post("/pyromesh.query.v1.QueryService/SelectTopTable", JSON.stringify(request), { "content-type": "application/json" });
    expect(status, text).to.equal(200);
    const { functions = [], total, functionCount } = JSON.parse(text);
    return { rows: functions.map(({ name = "", self = "0", total = "0" }) => `${name} ${self} ${total}`), total, functionCount };
  };

  it("a function below many that are cut has its whole self, over the head and a segment", async () => {
    expect(await topTable(asked("wide", { limit: 2 }))).to.deep.equal({ rows: ["json.Marshal 3000 3000", "p0 5 5"], total: "3500", functionCount: "3102" });
    expect((await topTable(asked("wide", { limit: 1, sort: "TOP_TABLE_SORT_TOTAL" }))).rows).to.deep.equal(["main 0 3500"]);
    expect(await topTable(asked("wide", { nameContains: "H29", limit: 1 }))).to.deep.equal({ rows: ["h29 0 1"], total: "3500", functionCount: "111" });
    const site = { stackTraceSelector: { callSite: [{ name: "main" }, { name: "h7" }] } };
    expect(await topTable(asked("wide", site))).to.deep.equal({ rows: ["json.Marshal 1 1", "h7 0 1"], total: "1", functionCount: "2" });
    expect(await topTable(asked("nothing"))).to.deep.equal({ rows: [], total: undefined, functionCount: undefined });
  });

  it("the command line's first line is that function, however few nodes a flame graph may have", async () => {
    const args = [BINARY, "query", "--url", node.url, "--query", `${TYPE}{service_name="wide"}`, "--max-nodes", "64", "--from", String(TIME_MS / 1000 - 60), "--until", String(TIME_MS / 1000 + 60)];
    const { out } = await run(process.execPath, args);
    expect(out.split("\n")[1]).to.match(/^3\.00 µs\s+85\.7\s+3\.00 µs\s+85\.7\s+json\.Marshal$/);
    expect(out).to.match(/3\.50 µs in all, 3072 more names/);
  });

  it("other keeps its child, an unnamed function its place, and only what was cut goes beside them", async () => {
    const whole = (await node.call("SelectMergeStacktraces", asked("odd"))).flamegraph;
    expect(flameGraphNodes(whole).nodes).to.include({ "main;other": "9 0", "main;other;child": "9 9", "main;": "4 0", "main;;leaf": "4 4" });
    expect(whole.names[0]).to.equal("total");
    const cut = (await node.call("SelectMergeStacktraces", asked("odd", { maxNodes: 5 }))).flamegraph;
    expect([...cut.names].sort()).to.deep.equal(["", "child", "leaf", "main", "other", "total"]);
    const others = cut.levels[2].values.map(Number).filter((_, at) => at % 4 !== 0);
    // Each is total, self, name: the function without a name, `other` with its child, and the rest that was cut off.
    expect(others).to.deep.equal([4, 0, cut.names.indexOf(""), 9, 0, cut.names.indexOf("other"), 20, 20, cut.names.indexOf("other")]);
    const rendered = await (await fetch(`${node.url}/pyroscope/render?query=${encodeURIComponent(`${TYPE}{service_name="odd"}`)}&from=${RANGE.start}&until=${RANGE.end}`)).json();
    expect(rendered.flamebearer.names).to.deep.equal(whole.names);
    expect((await topTable(asked("odd", { limit: 3 }))).rows).to.deep.equal(["child 9 9", "leaf 4 4", "small0 1 1"]);
  });

  it("a function's name keeps a leading U+FEFF, in graphs, tables and pprofs", async () => {
    await push("marked", [{ stack: ["main", "\ufeffread"], value: 7 }], "a");
    expect((await node.call("SelectMergeStacktraces", asked("marked"))).flamegraph.names).to.deep.equal(["total", "main", "\ufeffread"]);
    expect((await topTable(asked("marked"))).rows).to.deep.equal(["\ufeffread 7 7", "main 0 7"]);
    expect((await node.call("SelectMergeProfile", asked("marked"))).stringTable).to.include("\ufeffread");
    const site = { stackTraceSelector: { callSite: [{ name: "main" }, { name: "\ufeffread" }] } };
    expect((await topTable(asked("marked", site))).rows).to.deep.equal(["\ufeffread 7 7"]);
  });

  it("the process's own profiles are read by pprof: CPU time by Go's own, and one at a time", async function () {
    const profile = Profile.decode(gunzipSync(Buffer.from(await (await fetch(`${node.url}/debug/pprof/wall?seconds=1`)).arrayBuffer())));
    expect(Number(profile.durationNanos) / 1e9).to.be.within(0.9, 30);
    const [one, another] = await Promise.all(["heap", "wall"].map((kind) => fetch(`${node.url}/debug/pprof/${kind}?seconds=1`)));
    expect([one.status, another.status].sort()).to.deep.equal([200, 503]);
    if (spawnSync("go", ["version"]).status !== 0) this.skip();
    const folder = mkdtempSync(path.join(tmpdir(), "pyromesh-go-"));
    try {
      const { code, out } = await run("go", ["tool", "pprof", "-top", `${node.url}/debug/pprof/profile?seconds=1`], { PPROF_TMPDIR: folder });
      expect(code, out).to.equal(0);
      expect(out).to.match(/Type: cpu/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** Not spawnSync: this process must go on reading the node's log, or the node blocks. */
function run(command, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env: { ...process.env, ...env } });
    let out = "";
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (out += chunk));
    child.on("close", (code) => resolve({ code, out }));
  });
}
