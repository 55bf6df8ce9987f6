/**
 * Profiles of many profilers, each sent to /ingest and to Push: SelectMergeProfile returns the stacktraces of the file, where
 * pprof-format reads both. The same for recorded requests of a real SDK.
 */
import { expect } from "chai";
import { corpusFile, corpusNames, hasCorpus } from "./corpus.mjs";
import { RunningNode } from "./node.mjs";
import { collapsed, decodePprof, repaired, protoMessage } from "./pprof-oracle.mjs";

const MEMORY = ["alloc_objects:count", "alloc_space:bytes", "inuse_objects:count", "inuse_space:bytes"].map((type) => `memory:${type}:space:bytes`);
const GO_CPU = ["process_cpu:samples:count:cpu:nanoseconds", "process_cpu:cpu:nanoseconds:cpu:nanoseconds"];

/**
 * Types in the order of the file. `isGo`: from Go, with stacktraces that its runtime truncated. `named`: the profile's name in Push,
 * where it is not the first part of the types.
 */
const FILES = [
  { file: "heap.pb.gz", types: MEMORY, isGo: true },
  { file: "heap_delta", types: MEMORY, isGo: true },
  { file: "parca-alloc_objects.pb.gz", types: MEMORY, isGo: true },
  { file: "cpu.pb.gz", types: GO_CPU },
  { file: "cpu-exemplars.pb.gz", types: GO_CPU },
  { file: "go.cpu.labels.pprof", types: GO_CPU },
  { file: "single_group_with_optional_span_id.pb.gz", types: GO_CPU },
  { file: "profile_java", types: ["process_cpu:cpu:nanoseconds:cpu:nanoseconds"] },
  { file: "profile_rust", types: ["process_cpu:cpu:nanoseconds:cpu:nanoseconds"] },
  { file: "profile_python", types: ["process_cpu:samples:count::milliseconds"] },
  { file: "pyspy-1.pb.gz", spyName: "scripting", types: ["process_cpu:samples:count::milliseconds"] },
  { file: "cpu-js.pb.gz", types: ["wall:sample:count:wall:microseconds", "wall:wall:microseconds:wall:microseconds"] },
  { file: "heap-js.pprof", types: ["memory:objects:count:space:bytes", "memory:space:bytes:space:bytes"] },
  { file: "nodejs-heap.pb.gz", types: ["memory:inuse_objects:count:inuse_space:bytes", "memory:inuse_space:bytes:inuse_space:bytes"] },
  { file: "req_2.pprof", config: "req_2.st.json", types: ["goroutines:goroutine:count:goroutine:count"] },
  { file: "req_4.pprof", config: "req_4.st.json", types: ["mutex:contentions:count:contentions:count", "mutex:delay:nanoseconds:contentions:count"] },
  { file: "dotnet-pprof-3.pb.gz", config: "dotnet-pprof-3.st.json", spyName: "dotnetspy", pushStatus: 400, types: ["process_cpu:cpu:nanoseconds::nanoseconds"] },
  { file: "invalid_utf8.pb.gz", ingestStatus: 422, pushStatus: 400, types: [] },
];

const ALL_TIME = { start: "1", end: "4000000000000" };

describe("pprof files", function () {
  this.timeout(60_000);
  let node;
  let serviceCount = 0;

  before(async function () {
    if (hasCorpus("pprof")) node = await RunningNode.start();
  });
  after(() => node?.close());
  beforeEach(function () {
    if (node === undefined) this.skip();
  });

  const typesOf = async (service) => {
    const { labelsSet = [] } = await node.call("Series", { matchers: [`{service_name="${service}"}`], labelNames: ["__profile_type__"], ...ALL_TIME });
    return labelsSet.map(({ labels }) => labels[0].value).sort();
  };

  const mergedPprof = async (type, service) => {
    const message = protoMessage([
      [1, type],
      [2, `{service_name="${service}"}`],
      [3, Number(ALL_TIME.start)],
      [4, Number(ALL_TIME.end)],
    ]);
    const { status, bytes, headers } = await node.post("/querier.v1.QuerierService/SelectMergeProfile", message, { "content-type": "application/proto" });
    expect(status).to.equal(200);
    expect(headers.get("content-type")).to.equal("application/proto");
    return decodePprof(bytes);
  };

  /** Compares every type that the node returns, from the head or from segments, with the column of the file. */
  const expectStored = async (service, types, bytes, { nameOf, isGo = false } = {}) => {
    expect(await typesOf(service)).to.include.members(types);
    const file = isGo ? repaired(decodePprof(bytes)) : decodePprof(bytes);
    for (const [column, type] of types.entries()) {
      const merged = await mergedPprof(type, service);
      expect(merged.sampleTypes.map(({ type: name, unit }) => `${name}:${unit}`)).to.deep.equal([type.split(":").slice(1, 3).join(":")]);
      expect(collapsed(merged, 0), type).to.deep.equal(collapsed(file, column, nameOf && ((called) => nameOf(file, called))));
    }
  };

  const ingest = (service, { file, config, spyName }, bytes) => {
    const query = `name=${service}&from=1795419000&until=1795419010${spyName === undefined ? "" : `&spyName=${spyName}`}`;
    const form = new FormData();
    form.append("profile", new Blob([bytes]), file);
    if (config !== undefined) form.append("sample_type_config", new Blob([corpusFile("pprof", config)]), "sample_type_config.json");
    return node.post(`/ingest?${query}`, form);
  };

  const scriptingName = (file, called) => `${file.text(called.filename)} ${file.text(called.name)}`;

  for (const one of FILES) {
    const { file, types, ingestStatus = 200, pushStatus = 200 } = one;
    it(`${file} by /ingest: ${ingestStatus}`, async () => {
      const service = `ingest-${++serviceCount}`;
      const bytes = corpusFile("pprof", file);
      const { status, text } = await ingest(service, one, bytes);
      expect(status, text).to.equal(ingestStatus);
      if (ingestStatus !== 200) return;
      await expectStored(service, types, bytes, { nameOf: one.spyName === "scripting" ? scriptingName : undefined, isGo: one.isGo });
    });

    it(`${file} by Push: ${pushStatus}`, async () => {
      const service = `push-${++serviceCount}`;
      const bytes = corpusFile("pprof", file);
      const name = types[0]?.split(":")[0] ?? "process_cpu";
      const { status, text } = await node.push([{ labels: { __name__: name, service_name: service }, pprof: bytes }]);
      expect(status, text).to.equal(pushStatus);
      if (pushStatus === 200) await expectStored(service, types, bytes, { isGo: one.isGo });
      else expect(await typesOf(service)).to.deep.equal([]);
    });
  }

  it("the three seconds of one process merge to the sum of the three files", async () => {
    const files = corpusNames("pprof", "series-3s").map((name) => corpusFile("pprof", "series-3s", name));
    for (const pprof of files) {
      const { status, text } = await node.push([{ labels: { __name__: "memory", service_name: "three" }, pprof }]);
      expect(status, text).to.equal(200);
    }
    const types = await typesOf("three");
    const decoded = files.map(decodePprof);
    for (const [column, { type }] of decoded[0].sampleTypes.entries()) {
      const expected = new Map();
      for (const file of decoded) for (const [stack, sum] of Object.entries(collapsed(file, column))) expected.set(stack, (expected.get(stack) ?? 0n) + BigInt(sum));
      const id = types.find((one) => one.split(":")[1] === type);
      if (expected.size === 0) continue;
      const sums = Object.fromEntries([...expected].map(([stack, sum]) => [stack, String(sum)]));
      expect(collapsed(await mergedPprof(id, "three"), 0), type).to.deep.equal(sums);
    }
  });

  it("Go's truncated stacktraces are repaired, of the SDK and scraped: fewer roots, the same total", async () => {
    for (const { file, name, own: ownLabels } of [
      { file: "cpu_go_truncated_1.pb.gz", name: "process_cpu", own: { pyroscope_spy: "gospy" } },
      { file: "heap_go_truncated_4.pb.gz", name: "memory", own: {} },
    ]) {
      const service = `push-${++serviceCount}`;
      const bytes = corpusFile("pprof", file);
      const { status, text } = await node.push([{ labels: { __name__: name, service_name: service, ...ownLabels }, pprof: bytes }]);
      expect(status, text).to.equal(200);
      const own = decodePprof(bytes);
      const whole = repaired(own);
      const types = await typesOf(service);
      expect(types.length).to.equal(own.sampleTypes.length);
      for (const [column, { type }] of own.sampleTypes.entries()) {
        const sum = (stacks) => Object.values(stacks).reduce((all, value) => all + BigInt(value), 0n);
        const rootCount = (stacks) => new Set(Object.keys(stacks).map((stack) => stack.split(";", 1)[0])).size;
        const merged = collapsed(await mergedPprof(types.find((id) => id.split(":")[1] === type), service), 0);
        const sent = collapsed(own, column);
        expect(merged, `${file} ${type}`).to.deep.equal(collapsed(whole, column));
        expect(sum(merged), `${file} ${type}`).to.equal(sum(sent));
        expect(rootCount(merged), `${file} ${type}`).to.be.lessThan(rootCount(sent));
      }
    }
  });

  it("a second profile, before which the first ends, is refused on /ingest: the client must send differences", async () => {
    const form = new FormData();
    for (const field of ["profile", "prev_profile"]) form.append(field, new Blob([corpusFile("pprof", "cpu.pb.gz")]), "profile.pprof");
    const { status } = await node.post("/ingest?name=previous&from=1795419000&until=1795419010&spyName=gospy", form);
    expect(status).to.equal(422);
    expect(await typesOf("previous")).to.deep.equal([]);
  });

  for (const name of corpusNames("sdk-push").filter((one) => one.endsWith(".bin"))) {
    it(`the Node SDK's own request, ${name}`, async () => {
      const [requestLine, ...headerLines] = corpusFile("sdk-push", name.replace(".bin", ".txt")).toString().split("\n");
      const contentType = headerLines.find((line) => line.startsWith("content-type:")).slice("content-type:".length).trim();
      const service = `sdk-${++serviceCount}`;
      const body = corpusFile("sdk-push", name);
      const { status, text } = await node.post(requestLine.split(" ")[1].replace("name=demo.node", `name=${service}`), body, { "content-type": contentType });
      expect(status, text).to.equal(200);
      const file = decodePprof(body);
      const types = await typesOf(service);
      expect(types.map((id) => id.split(":").slice(1, 3).join(":"))).to.have.members(file.sampleTypes.filter((_, column) => Object.keys(collapsed(file, column)).length > 0).map(({ type, unit }) => `${type}:${unit}`));
      await expectStored(service, file.sampleTypes.map(({ type }) => types.find((id) => id.split(":")[1] === type)), body);
      const { labelsSet } = await node.call("Series", { matchers: [`{service_name="${service}"}`], ...ALL_TIME });
      for (const { labels } of labelsSet) expect(Object.fromEntries(labels.map((label) => [label.name, label.value]))).to.include({ region: "eu", pod: "p1", pyroscope_spy: "nodespy" });
    });
  }
});
