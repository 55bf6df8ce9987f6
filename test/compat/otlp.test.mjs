/**
 * OTLP profiles, sent to a real node: an export of the eBPF profiler answers as another server did (the result beside it in the corpus), and what is refused
 * is told in OTLP's words.
 */
import { expect } from "chai";
import { gzipSync } from "node:zlib";
import { Profile } from "pprof-format";
import { corpusFile, hasCorpus } from "./corpus.mjs";
import { RunningNode } from "./node.mjs";
import { protoMessage } from "./pprof-oracle.mjs";

const ALL_TIME = { start: 1, end: 4_000_000_000_000 };
const PROTOBUF = { "content-type": "application/x-protobuf" };
const JSON_TYPE = { "content-type": "application/json" };
const NOW_NS = String(BigInt(Date.now()) * 1_000_000n);

describe("OTLP profiles", function () {
  this.timeout(60_000);
  let node;

  before(async () => {
    node = await RunningNode.start();
  });
  after(() => node.close());

  const totalOf = async (profileTypeID, labelSelector) => Number((await node.call("SelectMergeStacktraces", { profileTypeID, labelSelector, ...ALL_TIME })).flamegraph?.total ?? 0);

  it("the corpus' export has the stacktraces, values, mappings and build ids of its expected result", async function () {
    if (!hasCorpus("otlp")) this.skip();
    const body = corpusFile("otlp", "otel-ebpf-profile.pb.bin");
    const reply = await node.post("/v1development/profiles", gzipSync(body), { ...PROTOBUF, "content-encoding": "gzip" });
    expect([reply.status, reply.headers.get("content-type"), reply.bytes.length]).deep.equal([200, "application/x-protobuf", 0]);

    const expected = JSON.parse(corpusFile("otlp", "otel-ebpf-profile-cpu.out.json").toString());
    const message = protoMessage([[1, "process_cpu:cpu:nanoseconds:cpu:nanoseconds"], [2, '{service_name="unknown_service"}'], [3, ALL_TIME.start], [4, ALL_TIME.end]]);
    const merged = await node.post("/querier.v1.QuerierService/SelectMergeProfile", message, { "content-type": "application/proto" });
    expect(merged.status).equal(200);
    expect(compact(Profile.decode(merged.bytes))).deep.equal(new Map(expected.samples.map(({ locations, values }) => [locations.map(({ lines, mapping, address }) => `${lines.join(",")} ${mapping} ${address}`).join(";"), values])));
    expect(await totalOf("off_cpu:off_cpu:nanoseconds::", '{service_name="unknown_service"}')).equal(250_725_419_905);
  });

  const jsonExport = ({ name = "shop", samples = [{ stackIndex: 1, values: ["3"], linkIndex: 1 }], more = [] } = {}) =>
    JSON.stringify({
      resourceProfiles: [
        {
          resource: { attributes: name === undefined ? [] : [{ key: "service.name", value: { stringValue: name } }] },
          scopeProfiles: [{ profiles: [samples, ...more].map((of) => ({ sampleType: { typeStrindex: 1, unitStrindex: 2 }, timeUnixNano: NOW_NS, samples: of })) }],
        },
      ],
      dictionary: {
        stringTable: ["", "wall", "nanoseconds", "main"],
        mappingTable: [{}],
        functionTable: [{}, { nameStrindex: 3 }],
        locationTable: [{}, { lines: [{ functionIndex: 1 }] }],
        stackTable: [{}, { locationIndices: [1] }],
        linkTable: [{}, { traceId: "0102030405060708090a0b0c0d0e0f10", spanId: "a1a2a3a4a5a6a7a8" }],
        attributeTable: [{}],
      },
    });

  it("JSON is answered in JSON, under the path of the collectors' base path too; spans select", async () => {
    const reply = await node.post("/otlp/v1development/profiles", jsonExport(), JSON_TYPE);
    expect([reply.status, reply.headers.get("content-type"), reply.text]).deep.equal([200, "application/json", "{}"]);
    const query = { profileTypeID: "process_cpu:wall:nanoseconds::", labelSelector: '{service_name="shop"}', ...ALL_TIME };
    const of = async (spanSelector) => Number((await node.call("SelectMergeSpanProfile", { ...query, spanSelector })).flamegraph?.total ?? 0);
    expect([await of(["a1a2a3a4a5a6a7a8"]), await of(["b1a2a3a4a5a6a7a8"])]).deep.equal([3, 0]);
  });

  it("a profile that is refused is counted in partial_success, with a sentence, and the others are kept", async () => {
    const reply = await node.post("/v1development/profiles", jsonExport({ name: "partly", more: [[{ stackIndex: 9, values: [1] }]] }), JSON_TYPE);
    expect([reply.status, JSON.parse(reply.text)]).deep.equal([
      200,
      { partialSuccess: { rejectedProfiles: "1", errorMessage: "resource_profiles[0].scope_profiles[0].profiles[1]: it refers to stack 9, and the dictionary has 2: send the whole dictionary" } },
    ]);
    expect(await totalOf("process_cpu:wall:nanoseconds::", '{service_name="partly"}')).equal(3);
  });

  it("an export of which nothing is kept is 400, with a google.rpc.Status in the encoding of the request", async () => {
    const inJson = await node.post("/v1development/profiles", jsonExport({ samples: [{ stackIndex: 1 }] }), JSON_TYPE);
    expect([inJson.status, inJson.headers.get("content-type"), JSON.parse(inJson.text).code]).deep.equal([400, "application/json", 3]);
    expect(JSON.parse(inJson.text).message).contain("a sample has neither values nor timestamps");
    const inProtobuf = await node.post("/v1development/profiles", new Uint8Array(0), PROTOBUF);
    expect([inProtobuf.status, inProtobuf.headers.get("content-type"), inProtobuf.bytes.subarray(0, 3)]).deep.equal([400, "application/x-protobuf", Buffer.from([8, 3, 18])]);
    expect(inProtobuf.text).contain("the export has no dictionary");
    expect((await node.post("/v1development/profiles", "x", { "content-type": "text/plain" })).status).equal(415);
    expect((await fetch(`${node.url}/v1development/profiles`)).status).equal(405);
  });

  it("as an RPC: Connect in JSON, with Connect's errors", async () => {
    const path = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    const reply = await node.post(path, jsonExport({ name: "over-connect" }), JSON_TYPE);
    expect([reply.status, reply.text]).deep.equal([200, "{}"]);
    const refused = await node.post(path, "{}", JSON_TYPE);
    expect([refused.status, JSON.parse(refused.text).code]).deep.equal([400, "invalid_argument"]);
    expect(await totalOf("process_cpu:wall:nanoseconds::", '{service_name="over-connect"}')).equal(3);
  });

  it("a retried export counts once", async () => {
    for (const _ of [1, 2]) expect((await node.post("/v1development/profiles", jsonExport({ name: "again" }), JSON_TYPE)).status).equal(200);
    expect(await totalOf("process_cpu:wall:nanoseconds::", '{service_name="again"}')).equal(3);
  });
});

/** Stacktraces in the notation of the expected result, and their values. */
function compact(profile) {
  const text = (index) => profile.stringTable.strings[Number(index)];
  const byId = (list) => new Map(list.map((item) => [Number(item.id), item]));
  const [locations, functions, mappings] = [byId(profile.location), byId(profile.function), byId(profile.mapping)];
  const frame = (id) => {
    const { line, mappingId, address } = locations.get(Number(id));
    const lines = line.map(({ functionId, line: number }) => {
      const { name, systemName, filename } = functions.get(Number(functionId));
      return `${text(name)}[${text(systemName)}]@${text(filename)}:${number}`;
    });
    const { memoryStart, memoryLimit, fileOffset, filename, buildId } = mappings.get(Number(mappingId));
    const hex = (number) => `0x${BigInt(number).toString(16)}`;
    return `${lines.join(",")} ${hex(memoryStart)}-${hex(memoryLimit)}@${hex(fileOffset)} ${text(filename)}(${text(buildId)}) ${hex(address)}`;
  };
  return new Map(profile.sample.map(({ locationId, value }) => [locationId.map(frame).join(";"), value.join(",")]));
}
