import { expect } from "chai";
import { Function as PprofFunction, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { encodePush } from "../record/encode-push.ts";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { decodeRecord } from "../record/record-decode.ts";
import { stringOf } from "../testing/pprof-oracle.ts";

const NOW_MS = 1_700_000_000_000;

/** One sample through a location of each mapping. */
function profileOf(buildIds: readonly string[]): Uint8Array {
  const strings = new StringTable();
  const s = (text: string): number => strings.dedup(text);
  return new Profile({
    sampleType: [new ValueType({ type: s("cpu"), unit: s("nanoseconds") })],
    sample: [new Sample({ locationId: buildIds.map((_, i) => i + 1), value: [1] })],
    mapping: buildIds.map((buildId, i) => new Mapping({ id: i + 1, filename: s(`lib${i}`), buildId: s(buildId) })),
    location: buildIds.map((_, i) => new Location({ id: i + 1, mappingId: i + 1, line: [new Line({ functionId: 1, line: i })] })),
    function: [new PprofFunction({ id: 1, name: s("main"), systemName: s("main") })],
    stringTable: strings,
    timeNanos: BigInt(NOW_MS) * 1_000_000n,
  }).encode();
}

function keptBuildIds(buildIds: readonly string[], version: Readonly<Record<string, string>>, symbolLengthBytesMax = 65_535): string[] {
  const [record] = encodePush({
    tenant: "t1",
    labels: Object.entries({ ...version, service_name: "shop", __name__: "process_cpu" }).map(([name, value]) => ({ name, value })),
    pprof: profileOf(buildIds),
    fallbackTimeNs: 0n,
    nonce: new Uint8Array(16),
    nowMs: NOW_MS,
    limits: { ...DEFAULT_PROFILE_LIMITS, symbolLengthBytesMax, stacktraceDepthMax: 0, labelValueLengthBytesMax: 0 },
    window: DEFAULT_ACCEPTANCE_WINDOW,
  });
  const view = decodeRecord(record!.bytes, "r");
  const byFile = new Map<string, string>();
  for (let i = 1; i < view.symbols.mappingCount; i++) byFile.set(stringOf(view, view.symbols.mappingFilename[i]!), stringOf(view, view.symbols.mappingBuildId[i]!));
  return buildIds.map((_, i) => byFile.get(`lib${i}`)!);
}

describe("a service's version", () => {
  const ALL = { service_repository: "grafana/pyroscope", service_git_ref: "foobar", service_root_path: "some-path" };

  it("stands in the build id of every mapping, as Pyroscope writes it", () => {
    expect(keptBuildIds([""], {})).deep.equal([""]);
    expect(keptBuildIds([""], { service_repository: "grafana/pyroscope" })).deep.equal(['{"repository":"grafana/pyroscope"}']);
    expect(keptBuildIds([""], ALL)).deep.equal(['{"repository":"grafana/pyroscope","git_ref":"foobar","root_path":"some-path"}']);
    expect(keptBuildIds(["foo", "", "foo"], ALL)).deep.equal([
      '{"repository":"grafana/pyroscope","git_ref":"foobar","build_id":"foo","root_path":"some-path"}',
      '{"repository":"grafana/pyroscope","git_ref":"foobar","root_path":"some-path"}',
      '{"repository":"grafana/pyroscope","git_ref":"foobar","build_id":"foo","root_path":"some-path"}',
    ]);
    expect(keptBuildIds(["foo"], { service_root_path: "x" })).deep.equal(['{"build_id":"foo","root_path":"x"}']);
  });

  it("empty labels tell none: the build id stays", () => {
    expect(keptBuildIds(["foo"], { service_repository: "", service_git_ref: "", service_root_path: "" })).deep.equal(["foo"]);
  });

  it("is escaped as Go escapes JSON, and reads back the same", () => {
    const odd = 'a"\\<b>&\u2028\n\u0001ü';
    const [buildId] = keptBuildIds([odd], { service_git_ref: odd });
    expect(buildId).equal('{"git_ref":"a\\"\\\\\\u003cb\\u003e\\u0026\\u2028\\n\\u0001ü","build_id":"a\\"\\\\\\u003cb\\u003e\\u0026\\u2028\\n\\u0001ü"}');
    expect(JSON.parse(buildId!)).deep.equal({ git_ref: odd, build_id: odd });
  });

  it("is whole where symbols are held short, and around what is left of a long build id", () => {
    expect(keptBuildIds(["0123456789"], ALL, 8)).deep.equal(['{"repository":"grafana/pyroscope","git_ref":"foobar","build_id":"23456789","root_path":"some-path"}']);
  });

  it("is left out where build ids would grow beyond 1 MiB together", () => {
    const buildIds = Array.from({ length: 1000 }, (_, i) => `id${i}`);
    expect(keptBuildIds(buildIds, { service_git_ref: "x".repeat(1100) })).deep.equal(buildIds);
    expect(keptBuildIds(buildIds, { service_git_ref: "x".repeat(900) })[999]).equal(`{"git_ref":"${"x".repeat(900)}","build_id":"id999"}`);
  });
});
