import { gunzipSync, gzipSync } from "node:zlib";
import { ByteReader } from "@pyromesh/base";
import { expect } from "chai";
import { Function as PprofFunction, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { NOW_MS, runCommand as run } from "../testing/command-run.ts";
import { readFlameGraphReply } from "./flame-graph-reply.ts";
import { guessName, readPprofFile, withTime } from "./pprof-file.ts";
import { parseTime } from "./time-text.ts";
import { readTopTableReply } from "./top-table-reply.ts";
import { formatValue } from "./top-text.ts";

const ok = (body: object | Uint8Array = {}): Response => new Response(body instanceof Uint8Array ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body));
const refused = (status: number, message: string): Response => new Response(JSON.stringify({ code: "x", message }), { status });

/** A cpu profile of one stack, encoded by pprof-format. */
function cpuProfile(types: readonly string[] = ["samples", "cpu"]): Uint8Array {
  const strings = new StringTable();
  const main = new PprofFunction({ id: 1, name: strings.dedup("main") });
  return new Profile({
    sampleType: types.map((type) => new ValueType({ type: strings.dedup(type), unit: strings.dedup("nanoseconds") })),
    sample: [new Sample({ locationId: [1], value: types.map(() => 7) })],
    location: [new Location({ id: 1, line: [new Line({ functionId: 1, line: 3 })] })],
    function: [main],
    stringTable: strings,
    timeNanos: 5n,
    durationNanos: 10n,
  }).encode();
}

/** PushRequest as label text and raw profiles, read field by field. */
function readPush(body: Uint8Array): { labels: string[]; raw: Uint8Array } {
  const request = new ByteReader(body, "push");
  expect(request.uvarint()).to.equal(10);
  const series = new ByteReader(request.prefixed(), "series");
  const labels: string[] = [];
  let raw: Uint8Array | undefined;
  while (series.remaining > 0) {
    const key = series.uvarint();
    const part = new ByteReader(series.prefixed(), "part");
    if (key === 10) {
      expect(part.uvarint()).to.equal(10);
      const name = part.text();
      expect(part.uvarint()).to.equal(18);
      labels.push(`${name}=${part.text()}`);
    } else {
      expect([key, part.uvarint()]).to.deep.equal([18, 10]);
      raw = part.prefixed();
    }
  }
  return { labels, raw: raw! };
}

const FLAME_GRAPH = {
  flamegraph: {
    names: ["total", "main", "work", "idle"],
    // main 10 { work 6 { work 2 } }, idle 4 after a gap of 0
    levels: [{ values: ["0", "14", "0", "0"] }, { values: ["0", "10", "4", "1", "0", "4", "4", "3"] }, { values: ["0", "6", "4", "2"] }, { values: ["0", "2", "2", "2"] }],
    total: "14",
    maxSelf: "4",
  },
};

describe("pyromesh push", () => {
  it("sends each file as one push, with its labels and a guessed name", async () => {
    const ran = await run(["push", "a.pb.gz", "--service", "api", "--label", "zone=eu=1", "--tenant", "t", "--url", "http://h:1/prefix/"], {
      files: { "a.pb.gz": gzipSync(cpuProfile()) },
      replies: [ok()],
    });
    expect([ran.exitCode, ran.out, ran.notes]).to.deep.equal([0, "", "pushed 1 file as process_cpu (1KB unpacked)\n"]);
    const [call] = ran.calls;
    expect(call!.url).to.equal("http://h:1/prefix/push.v1.PusherService/Push");
    expect(call!.headers.get("x-scope-orgid")).to.equal("t");
    expect(call!.headers.get("content-type")).to.equal("application/proto");
    const { labels, raw } = readPush(call!.body);
    expect(labels).to.deep.equal(["zone=eu=1", "service_name=api", "__name__=process_cpu"]);
    expect(BigInt(Profile.decode(gunzipSync(raw)).timeNanos)).to.equal(5n);
  });

  it("a __name__ among the labels is the name: none is guessed beside it", async () => {
    const ran = await run(["push", "a", "--label", "__name__=mine"], { files: { a: cpuProfile() }, replies: [ok()] });
    expect(readPush(ran.calls[0]!.body).labels).to.deep.equal(["__name__=mine"]);
    expect(ran.notes).to.contain("pushed 1 file as mine");
  });

  it("--time now and --time RFC3339 replace the time and nothing else", async () => {
    for (const [time, timeMs] of [["now", NOW_MS], ["2026-01-31T12:00:00Z", Date.UTC(2026, 0, 31, 12)]] as const) {
      const { calls } = await run(["push", "a", "--time", time], { files: { a: cpuProfile() }, replies: [ok()] });
      const profile = Profile.decode(gunzipSync(readPush(calls[0]!.body).raw));
      expect(BigInt(profile.timeNanos)).to.equal(BigInt(timeMs) * 1_000_000n);
      expect([profile.durationNanos, profile.sample[0]!.value, profile.function.length]).to.deep.equal([10, [7, 7], 1]);
    }
  });

  it("names what failed, sends the rest, and exits 1", async () => {
    const ran = await run(["push", "bad", "gone", "good"], { files: { bad: new TextEncoder().encode("hello there"), good: cpuProfile() }, replies: [ok()] });
    expect(ran.exitCode).to.equal(1);
    expect(ran.calls).to.have.length(1);
    expect(ran.notes).to.match(/^bad is not a pprof file \(.*\): send files of other formats to \/ingest/m).and.match(/^gone: ENOENT/m).and.match(/^pushed 1 file /m).and.match(/^2 files failed$/m);
  });

  it("says what the server refused, and how to push an old file", async () => {
    const ran = await run(["push", "a"], { files: { a: cpuProfile() }, replies: [refused(400, "the profile's time is 9 s in the past")] });
    expect([ran.exitCode, ran.sleepsMs.length]).to.deep.equal([1, 0]);
    expect(ran.notes).to.include("a: the server refused (400): the profile's time is 9 s in the past (an old file? --time now pushes it as of now)");
  });

  it("tries again where the server cannot take it now, and not for ever", async () => {
    const good = await run(["push", "a"], { files: { a: cpuProfile() }, replies: [refused(503, "later"), ok()] });
    expect([good.exitCode, good.sleepsMs.length]).to.deep.equal([0, 1]);
    const bad = await run(["push", "a"], { files: { a: cpuProfile() }, replies: [refused(429, "slow down")] });
    expect([bad.exitCode, bad.calls.length]).to.deep.equal([1, 4]);
    expect(bad.notes).to.include("slow down");
  });

  it("is a usage error where a flag makes no sense", async () => {
    for (const args of [["push"], ["push", "a", "--label", "x"], ["push", "a", "--time", "soon"], ["push", "a", "--url", "nowhere"], ["push", "a", "--flag"], ["push", "a", "--name", "x", "--label", "__name__=y"], ["push", "a", "--service", "x", "--label", "service_name=y"]]) {
      const ran = await run(args, { files: { a: cpuProfile() }, replies: [ok()] });
      expect(ran.exitCode, args.join(" ")).to.equal(2);
      expect(ran.notes, args.join(" ")).to.match(/\S/);
    }
  });

  it("guesses the name that Pyroscope's clients use", () => {
    expect(guessName(["samples", "wall", "cpu"], "x")).to.equal("wall");
    expect(guessName(["alloc_objects", "alloc_space"], "x")).to.equal("memory");
    expect(guessName(["contentions", "delay"], "go.block.pb.gz")).to.equal("block");
    expect(guessName(["contentions", "delay"], "x")).to.equal("mutex");
    expect(guessName(["exceptions"], "x")).to.equal("exceptions");
  });
});

describe("pyromesh push: pprof files", () => {
  it("cut at any byte are refused or read, never a crash of another kind", () => {
    const bytes = cpuProfile();
    for (let length = 0; length < bytes.length; length++) {
      try {
        readPprofFile(bytes.subarray(0, length), "f");
      } catch (thrown) {
        expect(thrown).to.have.property("code", "FILE_NOT_PPROF");
      }
    }
  });

  it("keep their one time field when it is set twice", () => {
    const twice = withTime(withTime(cpuProfile(), 1000), 2000);
    expect(BigInt(Profile.decode(twice).timeNanos)).to.equal(2_000_000_000n);
    expect(twice.length).to.equal(withTime(cpuProfile(), 2000).length);
  });
});

describe("pyromesh query", () => {
  const QUERY = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name="x"}';

  const TOP = { functions: [{ name: "work", self: "6", total: "6" }, { self: "4", total: "10" }], total: "14", functionCount: "3" };
  const noSuchPath = (): Response => new Response("404 page not found\n", { status: 404 });

  it("prints the top table that the server adds up of all stacktraces, however few nodes are asked for; a function without a name is told as one", async () => {
    const ran = await run(["query", "--query", QUERY, "--limit", "2", "--max-nodes", "64"], { replies: [ok(TOP)] });
    expect(ran.exitCode).to.equal(0);
    expect(ran.out).to.equal(["self  self%  total  total%  name", "6 ns   42.9   6 ns    42.9  work", "4 ns   28.6  10 ns    71.4  [unnamed]", "14 ns in all, 1 more name (--limit 0 shows all)", ""].join("\n"));
    expect(ran.calls.map(({ url }) => url)).to.deep.equal(["http://127.0.0.1:4040/pyromesh.query.v1.QueryService/SelectTopTable"]);
    expect(JSON.parse(new TextDecoder().decode(ran.calls[0]!.body))).to.deep.equal({
      profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
      labelSelector: '{service_name="x"}',
      start: NOW_MS - 3_600_000,
      end: NOW_MS,
      limit: 2,
    });
  });

  it("says where the server gives fewer rows than were asked for", async () => {
    const ran = await run(["query", "--query", QUERY, "--limit", "0"], { replies: [ok(TOP)] });
    expect(ran.out).to.include("14 ns in all, 1 more name (the server's max_flamegraph_nodes_max lets no more through)\n");
  });

  it("refuses a reply that is not a top table, and keeps sums past 2^53 exact", () => {
    for (const reply of [7, { functions: 7 }, { functions: [7] }, { functions: [{ name: 7 }] }, { functions: [{ self: "x" }] }, { total: {} }]) {
      expect(() => readTopTableReply(reply)).to.throw().with.property("code", "REPLY_INVALID");
    }
    expect(readTopTableReply({ functions: [{ name: "f", self: String(2n ** 60n) }] }).rows).to.deep.equal([{ name: "f", self: 2n ** 60n, total: 0 }]);
  });

  it("of a server that has no top table, as Pyroscope, it is made of the flame graph: selfs first, a function that calls itself counted once", async () => {
    const ran = await run(["query", "--query", QUERY, "--limit", "2"], { replies: [noSuchPath(), ok(FLAME_GRAPH)] });
    expect(ran.exitCode).to.equal(0);
    expect(ran.out).to.equal(["self  self%  total  total%  name", "6 ns   42.9   6 ns    42.9  work", "4 ns   28.6  10 ns    71.4  main", "14 ns in all, 1 more name (--limit 0 shows all)", ""].join("\n"));
    expect([ran.notes, ran.calls[1]!.url]).to.deep.equal(["", "http://127.0.0.1:4040/querier.v1.QuerierService/SelectMergeStacktraces"]);
    const cut = { flamegraph: { names: ["total", "other"], levels: [{ values: ["0", "1", "0", "0"] }, { values: ["0", "1", "1", "1"] }], total: "1" } };
    expect((await run(["query", "--query", QUERY], { replies: [noSuchPath(), ok(cut)] })).notes).to.include("other is what that left out");
  });

  it("prints all rows with --limit 0, however many there are", async () => {
    const count = 150_000;
    const functions = Array.from({ length: count }, (_, index) => ({ name: `f${index}`, self: "1", total: "1" }));
    const ran = await run(["query", "--query", QUERY, "--limit", "0"], { replies: [ok({ functions, total: String(count), functionCount: String(count) })] });
    expect([ran.exitCode, ran.out.split("\n").length]).to.deep.equal([0, count + 3]);
  });

  it("colours for a person only", async () => {
    const colour = (text: string): boolean => text.includes("\u001b[");
    expect(colour((await run(["query", "--query", QUERY], { replies: [ok(TOP)], isTty: true })).out)).to.equal(true);
    expect(colour((await run(["query", "--query", QUERY], { replies: [ok(TOP)] })).out)).to.equal(false);
  });

  it("prints folded stacktraces and the API's JSON", async () => {
    const folded = await run(["query", "--query", QUERY, "--output", "folded"], { replies: [ok(FLAME_GRAPH)] });
    expect(folded.out.split("\n").sort()).to.deep.equal(["", "idle 4", "main 4", "main;work 4", "main;work;work 2"]);
    // An empty frame would be none to who reads it back.
    const unnamed = { flamegraph: { names: ["total", ""], levels: [{ values: ["0", "1", "0", "0"] }, { values: ["0", "1", "1", "1"] }], total: "1" } };
    expect((await run(["query", "--query", QUERY, "--output", "folded"], { replies: [ok(unnamed)] })).out).to.equal("[unnamed] 1\n");
    const json = await run(["query", "--query", QUERY, "--output", "json"], { replies: [ok(FLAME_GRAPH)] });
    expect(JSON.parse(json.out)).to.deep.equal(FLAME_GRAPH);
  });

  it("writes pprof, gzipped", async () => {
    const ran = await run(["query", "--query", QUERY, "--output", "pprof=out.pb.gz", "--from", "100", "--until", "200"], { replies: [ok(cpuProfile())] });
    expect([ran.exitCode, ran.out]).to.deep.equal([0, ""]);
    expect(gunzipSync(ran.written.get("out.pb.gz")!).equals(cpuProfile())).to.equal(true);
    expect(ran.calls[0]!.url).to.match(/SelectMergeProfile$/);
    const request = new ByteReader(ran.calls[0]!.body, "request");
    const fields = [request.uvarint(), request.text(), request.uvarint(), request.text(), request.uvarint(), request.uvarint(), request.uvarint(), request.uvarint()];
    expect(fields).to.deep.equal([10, QUERY.split("{")[0], 18, '{service_name="x"}', 24, 100_000, 32, 200_000]);
  });

  it("says of a pprof without samples that nothing matched, types or none", async () => {
    const profile = Profile.decode(cpuProfile());
    profile.sample = [];
    for (const empty of [profile.encode(), new Uint8Array(0)]) {
      const ran = await run(["query", "--query", QUERY, "--output", "pprof=out.pb.gz"], { replies: [ok(empty)] });
      expect([ran.exitCode, ran.notes]).to.deep.equal([0, "nothing matched; out.pb.gz is an empty profile\n"]);
      expect(gunzipSync(ran.written.get("out.pb.gz")!).equals(empty)).to.equal(true);
    }
  });

  // It was reported as a bug of ours, with a stack.
  it("says which file it could not write, and exits 1", async () => {
    const ran = await run(["query", "--query", QUERY, "--output", "pprof=readonly/out.pb.gz"], { replies: [ok(cpuProfile())] });
    expect(ran.exitCode).to.equal(1);
    expect(ran.notes).to.include("readonly/out.pb.gz cannot be written: EACCES").and.not.include("    at ");
  });

  it("asks for labels of every name, and takes the beginning of time for a time", async () => {
    const ran = await run(["query", "series", "--from", "0"], { replies: [ok({})] });
    expect(ran.calls[0]!.headers.get("accept")).to.equal("*/*;allow-utf8-labelnames=true");
    expect(JSON.parse(new TextDecoder().decode(ran.calls[0]!.body))).to.include({ start: 1 });
  });

  it("lists types, labels, values and series", async () => {
    expect((await run(["query", "types"], { replies: [ok({ profileTypes: [{ ID: "a:b:c:d:e" }] })] })).out).to.equal("a:b:c:d:e\n");
    expect((await run(["query", "labels"], { replies: [ok({ names: ["a", "b"] })] })).out).to.equal("a\nb\n");
    const values = await run(["query", "labels", "zone", "--query", '{a="b"}'], { replies: [ok({ names: ["eu"] })] });
    expect(values.out).to.equal("eu\n");
    expect(JSON.parse(new TextDecoder().decode(values.calls[0]!.body))).to.include({ name: "zone" }).and.deep.include({ matchers: ['{a="b"}'] });
    const series = await run(["query", "series"], { replies: [ok({ labelsSet: [{ labels: [{ name: "b", value: '"' }] }, { labels: [{ name: "a", value: "1" }, { name: "k8s.pod", value: "x" }] }] })] });
    expect(series.out).to.equal('{a="1", "k8s.pod"="x"}\n{b="\\""}\n');
    expect((await run(["query", "types"], { replies: [ok({})] })).notes).to.include("nothing in this time range");
  });

  it("lists as many as --limit says, and says on standard error where the list was cut", async () => {
    const cut = new Response(JSON.stringify({ names: ["a"] }), { headers: { "x-pyromesh-truncated": "1 of 2" } });
    const ran = await run(["query", "labels", "zone", "--limit", "1"], { replies: [cut] });
    expect([ran.exitCode, ran.out]).to.deep.equal([0, "a\n"]);
    expect(ran.notes).to.include("the list was cut: the first 1 of 2");
    const asked = async (...args: string[]): Promise<unknown> => JSON.parse(new TextDecoder().decode((await run(["query", ...args], { replies: [ok({})] })).calls[0]!.body));
    for (const listing of [["types"], ["labels"], ["labels", "zone"], ["series"]]) {
      expect(await asked(...listing, "--limit", "7")).to.include({ limit: 7 });
      expect(await asked(...listing)).not.to.have.property("limit");
    }
  });

  it("says so when nothing matched, and exits 0", async () => {
    const graph = { flamegraph: { names: ["total"], levels: [{ values: ["0", "0", "0", "0"] }], total: "0", maxSelf: "0" } };
    for (const [output, reply] of [["top", {}], ["folded", graph]] as const) {
      const ran = await run(["query", "--query", QUERY, "--output", output], { replies: [ok(reply)] });
      expect([ran.exitCode, ran.out]).to.deep.equal([0, ""]);
      expect(ran.notes).to.include("nothing matched");
    }
  });

  it("says where it could not reach a node, and exits 1", async () => {
    const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const ran = await run(["query", "types"], { env: { PYROMESH_URL: "http://127.0.0.1:1" }, replies: [new TypeError("fetch failed", { cause })] });
    expect(ran.exitCode).to.equal(1);
    expect(ran.notes).to.include("http://127.0.0.1:1/querier.v1.QuerierService/ProfileTypes cannot be reached: nothing listens there").and.not.include("    at ");
  });

  it("takes a partial answer where it is told to, and says what is missing", async () => {
    const partial = new Response(JSON.stringify(FLAME_GRAPH), { headers: { "x-pyromesh-missing": "segment a/b.seg: a checksum" } });
    const ran = await run(["query", "--query", QUERY, "--output", "folded", "--allow-partial"], { replies: [partial] });
    expect([ran.exitCode, ran.calls[0]!.headers.get("x-pyromesh-partial")]).to.deep.equal([0, "allow"]);
    expect(ran.notes).to.equal("the answer is not complete: segment a/b.seg: a checksum\n");
    expect(ran.out).to.not.equal("");
    const whole = await run(["query", "--query", QUERY], { replies: [ok(TOP)] });
    expect(whole.calls[0]!.headers.has("x-pyromesh-partial")).to.equal(false);
  });

  it("is a usage error where the question makes no sense", async () => {
    for (const args of [["query"], ["query", "colours"], ["query", "--query", '{a="b"}'], ["query", "types", "--from", "now", "--until", "now-1h"], ["query", "--query", QUERY, "--output", "svg"], ["query", "--query", QUERY, "--limit", "-1"], ["query", "--query", "cpu{}"], ["query", "types", "--timeout", "1"], ["query", "types", "--tenant", "日本"], ["query", "types", "--tenant", "a|"], ["query", "types", "pod"], ["query", "--query", QUERY, "--output", "pprof="]]) {
      const ran = await run(args, { replies: [ok(FLAME_GRAPH)] });
      expect(ran.exitCode, args.join(" ")).to.equal(2);
    }
  });

  it("refuses a reply that is not a flame graph", () => {
    for (const reply of [{ flamegraph: { names: ["a"], levels: [{ values: ["0", "1"] }] } }, { flamegraph: { names: ["a"], levels: [{ values: ["0", "1", "1", "9"] }] } }, { flamegraph: { names: 7 } }, { flamegraph: { names: ["a"], levels: [{ values: ["x", "1", "1", "0"] }] } }]) {
      expect(() => readFlameGraphReply(reply)).to.throw().with.property("code", "REPLY_INVALID");
    }
  });

  it("keeps sums past 2^53 exact", () => {
    const value = String(2n ** 60n + 1n);
    const { stacktraces } = readFlameGraphReply({ flamegraph: { names: ["total", "f"], levels: [{ values: ["0", value, "0", "0"] }, { values: ["0", value, value, "1"] }], total: value } });
    expect(stacktraces).to.deep.equal([{ names: ["f"], self: 2n ** 60n + 1n }]);
  });
});

describe("pyromesh bucket", () => {
  const store = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

  it("a malformed argument is refused with the right form, before the bucket is read", async () => {
    for (const [args, words] of [
      [["a b", "20260302T14", store, "3"], "tenant"],
      [["a", "2026-03-02", store, "3"], "write the hour as 20260302T14"],
      [["a", "20260302T14", "ABC", "3"], "32 hex digits in lower case"],
      [["a", "20260302T14", store, "x"], "write 3, or 3-7"],
      [["a", "20260302T14", store, "7-3"], "write 3, or 3-7"],
      [["a", "20260302T14", store, "0-10000"], "forget them in parts"],
    ] as const) {
      const { exitCode, notes } = await run(["bucket", "forget", ...args]);
      expect(exitCode, args.join(" ")).to.equal(2);
      expect(notes).to.include(words);
    }
  });

  it("a folder without an identity is neither made nor written to", async () => {
    const dataDir = `/nowhere/${store}`;
    for (const args of [["status"], ["forget", "a", "20260302T14", store, "3"]]) {
      const { exitCode, notes } = await run(["bucket", ...args, "--data-dir", dataDir]);
      expect(exitCode).to.equal(1);
      expect(notes).to.include("BUCKET_MISSING").and.include("correct --bucket");
    }
  });
});

describe("pyromesh: command line", () => {
  it("prints help when asked (0) and where no command is given (2)", async () => {
    expect(await run(["--help"])).to.include({ exitCode: 0 });
    expect((await run(["--help"])).out).to.include("check-config").and.include("query");
    expect((await run([])).exitCode).to.equal(2);
    for (const none of ["srve", "constructor"]) expect((await run([none])).exitCode, none).to.equal(2);
    expect((await run(["serve", "--help"])).out).to.include("--limits.ingestion-rate-mb <MB>").and.include("PYROMESH_FLUSH_INTERVAL");
  });

  it("prints the version", async () => {
    for (const args of [["version"], ["--version"]]) expect((await run(args)).out).to.match(/^pyromesh \d+\.\d+\.\d+ on Node\.js v/);
  });

  it("serve says which folder it cannot make, and exits 1", async () => {
    const ran = await run(["serve", "--data-dir", "/dev/null/data"]);
    expect(ran.exitCode).to.equal(1);
    expect(ran.notes).to.match(/^pyromesh: the data directory \/dev\/null\/data cannot be made: .*name another with --data-dir \(DATA_DIR_UNUSABLE\)\n$/);
  });

  it("check-config prints what would be in force, or refuses it with 2", async () => {
    const yaml = new TextEncoder().encode("retention: 7d\n");
    const good = await run(["check-config", "--config", "p.yaml", "--multitenancy", "--limits.ingestion-rate-mb", "9"], { files: { "p.yaml": yaml } });
    expect(good.exitCode).to.equal(0);
    expect(good.out).to.include("retention: 7d").and.include("multitenancy: true").and.include("ingestion_rate_mb: 9");
    const bad = await run(["check-config", "--config", "p.yaml", "--workers", "many"], { files: { "p.yaml": new TextEncoder().encode("retenton: 7d\n") } });
    expect(bad.exitCode).to.equal(2);
    expect(bad.notes).to.include("p.yaml:1:1: unknown setting retenton (did you mean retention?)").and.include("--workers").and.not.include("    at ");
    expect((await run(["serve", "--join", "a:1", "--join", "b:2"])).exitCode).to.equal(2);
  });
});

describe("pyromesh: times and values", () => {
  it("times are now, relative, RFC 3339 or numbers", () => {
    expect(parseTime("now-1h30m", NOW_MS, "--from")).to.equal(NOW_MS - 5_400_000);
    expect(parseTime("now+5s", NOW_MS, "--from")).to.equal(NOW_MS + 5000);
    expect(parseTime("now-1.5555s", NOW_MS, "--from")).to.equal(NOW_MS - 1555);
    expect(parseTime("1700000000", 0, "--from")).to.equal(1_700_000_000_000);
    expect(parseTime("1700000000123", 0, "--from")).to.equal(1_700_000_000_123);
    // As render reads them: they were milliseconds of a year that nobody has data of.
    expect(parseTime("1700000000123456", 0, "--from")).to.equal(1_700_000_000_123);
    expect(parseTime("1700000000123456789", 0, "--from")).to.equal(1_700_000_000_123);
    expect(parseTime("2026-01-31T12:00:00+01:00", 0, "--from")).to.equal(Date.UTC(2026, 0, 31, 11));
    for (const text of ["", "yesterday", "now-", "now-x", "12:00", "2026-99-99", "17000000001234567"]) expect(() => parseTime(text, 0, "--from"), text).to.throw("--from");
  });

  it("values carry the unit of their type", () => {
    expect(formatValue(1.5e9, "nanoseconds")).to.equal("1.50 s");
    expect(formatValue(999, "nanoseconds")).to.equal("999 ns");
    expect(formatValue(3 * 2 ** 20, "bytes")).to.equal("3.00 MiB");
    // What Node's profiler counts in; it was a number without a unit.
    expect(formatValue(92_904_000, "microseconds")).to.equal("1.55 min");
    expect([formatValue(12, "milliseconds"), formatValue(2, "seconds")]).to.deep.equal(["12.00 ms", "2.00 s"]);
    expect(formatValue(5, "constructor")).to.equal("5");
    expect(formatValue(0, "bytes")).to.equal("0 B");
    expect(formatValue(12345, "count")).to.equal("12345");
  });
});
