/**
 * The /metrics page of a real node after pushes and queries of several tenants: it follows Prometheus' naming rules, docs/operation.md
 * lists it, and its sums agree.
 */
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { expect } from "chai";
import { call, freshDataDir, startNode } from "../harness/node-process.mjs";
import { pushNumbered } from "../harness/numbered-push.mjs";
import { lintMetrics, parseMetrics } from "./prometheus-lint.mjs";

describe("operation: metrics", function () {
  this.timeout(60_000);
  let data;
  let node;
  let text;
  let families;

  before(async () => {
    data = freshDataDir();
    const file = path.join(data.dir, "pyromesh.yaml");
    await writeFile(file, "multitenancy: true\nlimits:\n  max_global_series_per_tenant: 4\n");
    node = await startNode({ dataDir: data.dir, flags: ["--config", file] });
    const nowMs = Date.now();
    const as = (tenant) => ({ headers: { "x-scope-orgid": tenant } });
    for (const [tenant, count] of [["team-a", 3], ["team-b", 6]]) {
      for (let n = 0; n < count; n++) await pushNumbered(node, n, nowMs, as(tenant));
    }
    await pushNumbered(node, 0, nowMs, as("team-a")); // pushed before
    await pushNumbered(node, 0, nowMs - 86_400_000, as("team-a")); // too old
    await pushNumbered(node, 0, nowMs, as("not/allowed"));
    await fetch(`${node.url}/ingest?name=app.cpu`, { method: "POST", body: "main;a 1\n", headers: { "x-scope-orgid": "team-c" } });
    await fetch(`${node.url}/flush`, { method: "POST" });
    const range = [nowMs - 3_600_000, nowMs + 3_600_000].map(String);
    for (const tenant of ["team-a", "team-b", "team-a|team-c"]) {
      const reply = await call(node, "querier.v1.QuerierService/LabelNames", { start: range[0], end: range[1] }, { "x-scope-orgid": tenant });
      expect(reply.status).to.equal(200);
    }
    await fetch(`${node.url}/nope`);
    text = await (await fetch(`${node.url}/metrics`)).text();
    families = parseMetrics(text);
  });
  after(async () => {
    await node?.kill();
    data.remove();
  });

  const valueOf = (name, labels = {}) => {
    const found = families.get(name)?.samples.filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels.get(label) === value)) ?? [];
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  };

  it("`promtool check metrics` would find nothing", () => {
    expect(lintMetrics(text)).to.deep.equal([]);
  });

  it("docs/operation.md lists each metric with its type and labels, and no other", async () => {
    const { ofEvery } = await listedMetrics();
    expect(ofEvery.sort()).to.deep.equal(shownMetrics(families, ofEvery));
  });

  it("and those that a member of a cluster has besides", async () => {
    const { ofEvery, ofMembers } = await listedMetrics();
    const member = freshDataDir();
    const { port } = await freePort();
    const file = path.join(member.dir, "pyromesh.yaml");
    await writeFile(file, "limits: {}\n");
    const peer = await startNode({ dataDir: member.dir, flags: ["--config", file, "--cluster-name", "metrics", "--cluster-addr", `127.0.0.1:${port}`] });
    try {
      const all = [...ofEvery, ...ofMembers];
      const found = parseMetrics(await (await fetch(`${peer.url}/metrics`)).text());
      expect(lintMetrics(await (await fetch(`${peer.url}/metrics`)).text())).to.deep.equal([]);
      expect([...found.keys()].sort(), "the names").to.deep.equal(all.map((line) => line.split(" ")[0]).sort());
      const labelled = shownMetrics(found, all);
      expect(labelled.filter((line) => line.startsWith("pyromesh_m") || line.startsWith("pyromesh_peer") || line.startsWith("pyromesh_digest"))).to.deep.equal(
        all.filter((line) => line.startsWith("pyromesh_m") || line.startsWith("pyromesh_peer") || line.startsWith("pyromesh_digest")).sort(),
      );
    } finally {
      await peer.kill();
      member.remove();
    }
  });

  it("received = accepted + discarded, by tenant, in profiles and in bytes", () => {
    for (const [tenant, received, accepted] of [["team-a", 5, 4], ["team-b", 6, 4], ["team-c", 1, 1]]) {
      expect(valueOf("pyromesh_received_profiles_total", { tenant }), tenant).to.equal(received);
      expect(valueOf("pyromesh_accepted_profiles_total", { tenant }), tenant).to.equal(accepted);
      expect(valueOf("pyromesh_discarded_samples_total", { tenant }) ?? 0, tenant).to.equal(received - accepted);
      expect(valueOf("pyromesh_received_bytes_total", { tenant }), tenant).to.equal(valueOf("pyromesh_accepted_bytes_total", { tenant }) + (valueOf("pyromesh_discarded_bytes_total", { tenant }) ?? 0));
    }
    expect(valueOf("pyromesh_received_profiles_total"), "a tenant id that is not allowed has no line").to.equal(12);
    expect(valueOf("pyromesh_accepted_bytes_total", { tenant: "team-c" })).to.equal("main;a 1\n".length);
  });

  it("the process, its disk and its workers are reported in base units", async () => {
    expect(valueOf("process_cpu_seconds_total")).to.be.within(0.05, 100);
    expect(Math.abs(valueOf("process_start_time_seconds") - Date.now() / 1000)).to.be.lessThan(60);
    expect(valueOf("process_resident_memory_bytes")).to.be.within(2 ** 24, 2 ** 32);
    expect(valueOf("nodejs_heap_size_used_bytes")).to.be.within(2 ** 20, 2 ** 32);
    expect(valueOf("pyromesh_data_dir_free_bytes")).to.be.within(1, valueOf("pyromesh_data_dir_size_bytes"));
    expect(valueOf("pyromesh_worker_busy_seconds_total", { worker: "0" })).to.be.greaterThan(0);
    if (process.platform === "linux") expect(valueOf("process_open_fds")).to.be.within(10, valueOf("process_max_fds"));
  });
});

describe("the rules of `promtool check metrics`", () => {
  const lint = (type, name, { help = "Help.", sample = `${name} 1` } = {}) => lintMetrics(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${sample}\n`);

  it("say what is wrong with a name, a unit, a label, a type and a missing help", () => {
    expect(lint("gauge", "lag_seconds", { sample: 'lag_seconds{quantile="0.5"} 1' })).to.deep.equal(['lag_seconds: non-summary metrics should not have "quantile" label']);
    expect(lint("gauge", "x_bytes", { sample: 'x_bytes{le="1"} 1' })).to.deep.equal(['x_bytes: non-histogram metrics should not have "le" label']);
    expect(lint("counter", "things")).to.deep.equal(['things: counter metrics should have "_total" suffix']);
    expect(lint("gauge", "things_total")).to.deep.equal(['things_total: non-counter metrics should not have "_total" suffix']);
    expect(lint("gauge", "thing_count")).to.deep.equal(['thing_count: non-histogram and non-summary metrics should not have "_count" suffix']);
    expect(lint("gauge", "wait_milliseconds")).to.deep.equal(['wait_milliseconds: use base unit "seconds" instead of "milliseconds"']);
    expect(lint("gauge", "wait_ms")).to.deep.equal(["wait_ms: metric names should not contain abbreviated units"]);
    expect(lint("gauge", "a_gauge")).to.deep.equal(['a_gauge: metric name should not include type "gauge"']);
    expect(lint("gauge", "aThing")).to.deep.equal(["aThing: metric names should be written in 'snake_case' not 'camelCase'"]);
    expect(lint("gauge", "a:thing")).to.deep.equal(["a:thing: metric names should not contain ':'"]);
    expect(lint("gauge", "x", { sample: 'x{aLabel="1"} 1' })).to.deep.equal(["x: label names should be written in 'snake_case' not 'camelCase'"]);
    expect(lintMetrics("# TYPE x gauge\nx 1\n")).to.deep.equal(["x: no help text"]);
    expect(lint("gauge", "x", { sample: 'x{a="1"} 1\nx{a="1"} 2' })).to.deep.equal(["x: the same labels twice: x a=1"]);
    expect(lint("histogram", "y_seconds", { sample: 'y_seconds_bucket{le="+Inf"} 1\ny_seconds_sum 1\ny_seconds_count 1' })).to.deep.equal([]);
    expect(lint("summary", "y_seconds", { sample: 'y_seconds{quantile="0.5"} 1\ny_seconds_sum 1\ny_seconds_count 1' })).to.deep.equal([]);
  });

  it("a text that is not in the format is no metrics", () => {
    for (const wrong of ["x 1", "x{a=1} 1\n", "x one\n", "# TYPE x gauge\nx 1\n# TYPE y gauge\ny 1\n# TYPE x gauge\nx 2\n", 'x{a="1",a="2"} 1\n']) {
      expect(() => parseMetrics(wrong), wrong).to.throw();
    }
  });
});

/** The metrics of docs/operation.md, each as "name {labels} type": of every node, and those that only members of a cluster have. */
async function listedMetrics() {
  const page = await readFile(new URL("../../docs/operation.md", import.meta.url), "utf8");
  const rowsOf = (part) =>
    part.split("\n").flatMap((line) => {
      const found = /^\| `([a-z_]+)(?:\{([a-z_, ]*)\})?` \| (counter|gauge|histogram|summary) \|/.exec(line);
      return found === null ? [] : [`${found[1]} {${found[2] ?? ""}} ${found[3]}`];
    });
  const at = page.indexOf("A member of a cluster has these besides");
  return { ofEvery: rowsOf(page.slice(0, at)), ofMembers: rowsOf(page.slice(at)) };
}

/** The metrics of a page in the same form. A metric without samples shows no labels: it has those of the list. */
function shownMetrics(families, listed) {
  const labelsOf = ({ samples }) => [...new Set(samples.flatMap(({ labels }) => [...labels.keys()]))].filter((label) => label !== "le" && label !== "quantile").sort().join(", ");
  return [...families.values()]
    .map((family) => {
      const told = listed.find((line) => line.startsWith(`${family.name} {`));
      return family.samples.length === 0 && told !== undefined ? told.replace(/\S+$/, family.type) : `${family.name} {${labelsOf(family)}} ${family.type}`;
    })
    .sort();
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return { port };
}
