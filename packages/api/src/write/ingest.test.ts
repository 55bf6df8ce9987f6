import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { deflateRawSync, deflateSync, gunzipSync, gzipSync } from "node:zlib";
import { CodedError, invalidArgument, Metrics, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { DEFAULT_PROFILE_LIMITS } from "@pyromesh/profile";
import { readFormat } from "@pyromesh/profile/files";
import type { FoldedText } from "@pyromesh/profile";
import { AGENT_TYPES, writeChunk } from "@pyromesh/profile/testing";
import { expect } from "chai";
import { Profile } from "pprof-format";
import { Discards } from "./discards.ts";
import type { ApiReply } from "../ports/http.ts";
import { ingestHandler } from "./ingest.ts";
import type { ArrivedProfile } from "../ports/ports.ts";
import type { WriteLimits } from "./push.ts";
import { PushCounts } from "./push-counts.ts";
import { PushGate } from "./push-gate.ts";
import { RateLimit } from "./rate-limit.ts";
import { fakeRequest } from "../testing/fake-request.ts";
import { zstdFrame } from "../testing/zstd-frames.ts";
import { FakeSink } from "../testing/fake-sink.ts";
import { corpusFolder, readRecorded } from "../testing/recorded.ts";

const LIMITS: WriteLimits = { ingestionRateBytesPerSecond: 0, ingestionBurstBytes: 8 * 2 ** 20, ingestionBodyBytesMax: 2 ** 20, profileSizeBytesMax: 100_000 };
const FROM = "from=1795419000&until=1795419010";
const clock = new ManualClock(1_795_419_100_000);

interface Rig {
  readonly sink: FakeSink;
  readonly metrics: Metrics;
  readonly post: (path: string, body: Uint8Array | string, headers?: Readonly<Record<string, string>>) => Promise<ApiReply>;
}

function rig(limits: Partial<WriteLimits> = {}): Rig {
  const sink = new FakeSink();
  const metrics = new Metrics();
  const limitsOf = (): WriteLimits => ({ ...LIMITS, ...limits });
  const handler = ingestHandler({ limitsOf }, { sink, clock, gate: new PushGate({ clock, metrics }), rateLimit: new RateLimit({ limitsOf }, { clock }), counts: new PushCounts({ metrics }), discards: new Discards({ metrics }) });
  return { sink, metrics, post: (at, body, headers = {}) => handler(fakeRequest({ path: at, body, headers })) };
}

function errorOf(reply: ApiReply): { code: string; message: string } {
  return JSON.parse(typeof reply.body === "string" ? reply.body : Buffer.from(reply.body).toString()) as { code: string; message: string };
}

function labelsOf(profile: ArrivedProfile): Record<string, string> {
  expect(new Set(profile.labels.map(({ name }) => name)).size, "each label once").to.equal(profile.labels.length);
  return Object.fromEntries(profile.labels.map(({ name, value }) => [name, value]));
}

/** The stacks from the root and their values that the sink makes of the text, decoded by a library that is not ours. */
function readText({ labels, pprof, format }: ArrivedProfile): { types: string[]; period: string; stacks: Record<string, number[]> } {
  const [read] = readFormat(format!, pprof, { labels, limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: 1n }).profiles;
  const profile = Profile.decode(read!.pprof);
  const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)]!;
  const names = new Map(profile.function.map((found) => [Number(found.id), text(found.name)]));
  const frames = new Map(profile.location.map((found) => [Number(found.id), names.get(Number(found.line[0]!.functionId))!]));
  const stacks: Record<string, number[]> = {};
  for (const sample of profile.sample) {
    const stack = sample.locationId.map((id) => frames.get(Number(id))!).reverse().join(";");
    const values = sample.value.map(Number);
    stacks[stack] = values.map((value, column) => value + (stacks[stack]?.[column] ?? 0));
  }
  const periodType = profile.periodType;
  return {
    types: profile.sampleType.map((type) => `${text(type.type)}:${text(type.unit)}`),
    period: periodType === undefined ? "" : `${text(periodType.type)}:${text(periodType.unit)}`,
    stacks,
  };
}

describe("ingest", () => {
  describe("pprof", () => {
    it("a raw body reaches the sink unchanged, with the labels of its name and no __name__", async () => {
      const { sink, post } = rig();
      const body = gzipSync("a profile");
      const reply = await post(`/ingest?name=web%7Benv%3Dprod,__x=1,__session_id__=s%7D&${FROM}&spyName=nodespy&format=pprof`, body, { "idempotency-key": "k" });
      expect([reply.status, reply.body]).to.deep.equal([200, ""]);
      const [arrived] = sink.arrived;
      expect(labelsOf(arrived!)).to.deep.equal({ __delta__: "false", __session_id__: "s", env: "prod", pyroscope_spy: "nodespy", service_name: "web" });
      expect(Buffer.from(arrived!.pprof).equals(body)).to.equal(true);
      expect(arrived!.ingest).to.deep.equal({ spyName: "nodespy", sampleTypes: undefined });
      expect(arrived!.fallbackTimeMs).to.equal(1_795_419_000_000);
      expect(arrived!.idempotencyKey).to.equal("k");
      expect(arrived!.describe).to.equal("profile");
    });

    it("the last part of the name stays: a pprof has its own type", async () => {
      const { sink, post } = rig();
      await post("/ingest?name=demo.node&format=pprof", "x");
      expect(labelsOf(sink.arrived[0]!)["service_name"]).to.equal("demo.node");
    });

    it("a client's own service_name wins, and the application of a text goes to app_name", async () => {
      const { sink, post } = rig();
      await post("/ingest?name=app{service_name=mine}&format=pprof", "x");
      await post("/ingest?name=app.cpu{service_name=mine}", "a 1");
      const [pprof, text] = sink.arrived.map(labelsOf);
      expect(pprof).to.deep.equal({ __delta__: "false", pyroscope_spy: "unknown", service_name: "mine" });
      expect(text).to.deep.equal({ __name__: "process_cpu", __delta__: "false", app_name: "app", pyroscope_spy: "unknown", service_name: "mine" });
    });

    it("without from, or with from=0, the time is now; in nanoseconds it is read too", async () => {
      const { sink, post } = rig();
      await post("/ingest?name=a&format=pprof", "x");
      await post("/ingest?name=a&format=pprof&from=0", "x");
      await post("/ingest?name=a&format=pprof&from=1795419000123456789", "x");
      expect(sink.arrived.map(({ fallbackTimeMs }) => fallbackTimeMs)).to.deep.equal([undefined, undefined, 1_795_419_000_123]);
    });

    for (const format of ["", "&format=pprof", "&format=folded"]) {
      it(`multipart as the Go SDK sends it${format === "" ? "" : `, with ${format.slice(1)} besides`}: profile and sample_type_config`, async () => {
        const form = new FormData();
        form.append("profile", new Blob([gzipSync("a profile")]), "profile.pprof");
        form.append("sample_type_config", new Blob(['{"inuse_space":{"units":"bytes","display-name":"inuse_space","aggregation":"average"},"x":{}}']), "sample_type_config.json");
        const request = new Request("http://node/", { method: "POST", body: form });
        const { sink, post } = rig();
        const reply = await post(`/ingest?name=app&spyName=gospy${format}`, new Uint8Array(await request.arrayBuffer()), { "content-type": request.headers.get("content-type")! });
        expect(reply.status).to.equal(200);
        expect(gunzipSync(sink.arrived[0]!.pprof).toString()).to.equal("a profile");
        const hints = sink.arrived[0]!.ingest!;
        expect({ ...hints.sampleTypes }).to.deep.equal({ inuse_space: { displayName: "inuse_space", units: "bytes" }, x: {} });
        expect(hints.spyName).to.equal("gospy");
      });
    }

    const multipart = (fields: Readonly<Record<string, string>>): [string, Record<string, string>] => [
      `${Object.entries(fields)
        .map(([name, content]) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${content}\r\n`)
        .join("")}--b--\r\n`,
      { "content-type": "multipart/form-data; boundary=b" },
    ];

    it("prev_profile is 422; no profile, or an empty one, is 200 and stores nothing; a broken config is 422", async () => {
      const { sink, post } = rig();
      const refused = await post("/ingest?name=a", ...multipart({ profile: "x", prev_profile: "y" }));
      expect(refused.status).to.equal(422);
      expect(errorOf(refused).message).to.contain("prev_profile");
      expect((await post("/ingest?name=a", ...multipart({ sample_type_config: "{}" }))).status).to.equal(200);
      expect((await post("/ingest?name=a", ...multipart({ profile: "" }))).status).to.equal(200);
      for (const config of ["{", "[]", '{"a":1}']) expect((await post("/ingest?name=a", ...multipart({ profile: "x", sample_type_config: config }))).status, config).to.equal(422);
      expect((await post("/ingest?name=a", "no parts", { "content-type": "multipart/form-data; boundary=b" })).status).to.equal(422);
      expect(sink.arrived).to.have.length(0);
    });

    it("a null configuration is none; a type with a null or an empty configuration keeps its name", async () => {
      const { sink, post } = rig();
      for (const sample_type_config of ["null", '{"cpu":null}', "{}"]) expect((await post("/ingest?name=a", ...multipart({ profile: "x", sample_type_config }))).status).to.equal(200);
      expect(sink.arrived.map(({ ingest }) => ingest!.sampleTypes && { ...ingest!.sampleTypes })).to.deep.equal([undefined, { cpu: {} }, {}]);
    });

    it("a sample type with the name of an object's built-in property has no configuration", async () => {
      const { sink, post } = rig();
      await post("/ingest?name=a", ...multipart({ profile: "x", sample_type_config: "{}" }));
      await post("/ingest?name=a", ...multipart({ profile: "x", sample_type_config: '{"__proto__":{"display-name":"x"}}' }));
      for (const { ingest } of sink.arrived) expect(ingest!.sampleTypes!["constructor"]).to.equal(undefined);
    });
  });

  describe("text", () => {
    it("a text without line ends, as curl -d sends it, is refused and told to use --data-binary; with a line end, or as text/plain, it is accepted", async () => {
      const { sink, post } = rig();
      const form = { "content-type": "application/x-www-form-urlencoded" };
      const joined = await post("/ingest?name=a&format=folded", "main;a 1other;b 2main;c 3", form);
      expect([joined.status, String(joined.body).includes("--data-binary")]).to.deep.equal([422, true]);
      expect((await post("/ingest?name=a", "main;a 1main;b 2", { "content-type": "text/plain" })).status).to.equal(422);
      expect(sink.arrived.length).to.equal(0);
      for (const [text, headers] of [["main;a 1\nother;b 2\n", form], ["main;2nd pass;a 1", { "content-type": "text/plain" }]] as const) expect((await post("/ingest?name=a", text, headers)).status).to.equal(200);
      expect(sink.arrived.map((arrived) => Object.keys(readText(arrived).stacks))).to.deep.equal([["main;a", "other;b"], ["main;2nd pass;a"]]);
    });

    it("a line without a count is 422 with its number, and nothing of the text is stored", async () => {
      const { sink, post } = rig();
      const reply = await post("/ingest?name=a&format=folded", "# event: cpu\nmain;a 1\n\ngarbage\nmain;b 2\n");
      expect([reply.status, String(reply.body).includes("line 4")]).to.deep.equal([422, true]);
      expect(sink.arrived.length).to.equal(0);
    });

    for (const query of ["&format=folded", "&format=groups", ""]) {
      it(`folded stacks${query === "" ? " without a format" : `, ${query.slice(1)}`}: samples become nanoseconds of CPU`, async () => {
        const { sink, post } = rig();
        const reply = await post(`/ingest?name=shell.cpu%7Benv%3Dprod%7D&${FROM}&sampleRate=100${query}`, "main;work;sum 40\nmain;work;read 60\nmain;idle 7\n", { "content-type": "text/plain" });
        expect(reply.status).to.equal(200);
        const [arrived] = sink.arrived;
        expect(labelsOf(arrived!)).to.deep.equal({ __name__: "process_cpu", __delta__: "false", env: "prod", pyroscope_spy: "unknown", service_name: "shell" });
        expect(arrived!.fallbackTimeMs).to.equal(1_795_419_000_000);
        expect(readText(arrived!)).to.deep.equal({
          types: ["cpu:nanoseconds"],
          period: "cpu:nanoseconds",
          stacks: { "main;work;sum": [400_000_000], "main;work;read": [600_000_000], "main;idle": [70_000_000] },
        });
      });
    }

    it("sampleRate: absent or empty is 100, zero leaves counts", async () => {
      const { sink, post } = rig();
      for (const query of ["", "&sampleRate=", "&sampleRate=0", "&sampleRate=1000"]) await post(`/ingest?name=a${query}`, "a 1\n");
      expect(sink.arrived.map((arrived) => Object.values(readText(arrived).stacks))).to.deep.equal([[[10_000_000]], [[10_000_000]], [[1]], [[1_000_000]]]);
    });

    // A wrong sampleRate counted as 100 Hz.
    it("a wrong sampleRate is 400 and says what is accepted", async () => {
      const { sink, post } = rig();
      for (const rate of ["1e3", "-5", "abc", "99999999999", "4294967296", "1000000001", "100.5", "%20100"]) {
        const reply = await post(`/ingest?name=a&sampleRate=${rate}`, "a 1\n");
        expect(reply.status, rate).to.equal(400);
        expect(errorOf(reply).message).to.contain("sampleRate").and.to.contain("whole number");
      }
      expect(sink.arrived).to.have.length(0);
    });

    // Above it the period was 0 ns: the reply was 200, and nothing was kept.
    it("the highest sampleRate is one sample a nanosecond", async () => {
      const { sink, post } = rig();
      expect((await post("/ingest?name=a&sampleRate=1000000000", "a 1\n")).status).to.equal(200);
      expect(sink.arrived.map((arrived) => Object.values(readText(arrived).stacks))).to.deep.equal([[[1]]]);
    });

    it("an application whose suffix is no profile type is 400", async () => {
      const { post } = rig();
      const reply = await post("/ingest?name=my.service&format=folded", "a 1\n");
      expect(reply.status).to.equal(400);
      expect(errorOf(reply).message).to.contain('".service"');
    });

    it("text beyond the size of a profile is 400, before it is read", async () => {
      const { metrics, post } = rig();
      const reply = await post("/ingest?name=a", "a 1\n".repeat(30_000));
      expect(reply.status).to.equal(400);
      expect(errorOf(reply).message).to.contain("max_profile_size_bytes");
      expect(await metrics.text()).to.contain('pyromesh_discarded_bytes_total{reason="profile_size_limit",tenant="anonymous"} 120000');
    });

    it("a text of blank lines is 200 and a profile without samples", async () => {
      const { sink, post } = rig();
      expect((await post("/ingest?name=a&format=lines", "\n\n")).status).to.equal(200);
      expect(readText(sink.arrived[0]!).stacks).to.deep.equal({});
    });

    it("text reaches the sink as it came: it is converted where profiles are decoded", async () => {
      const { sink, post, metrics } = rig();
      await post("/ingest?name=a.alloc_space&format=lines", "x;y\nx;y\n");
      expect(Buffer.from(sink.arrived[0]!.pprof).toString()).to.equal("x;y\nx;y\n");
      const { form } = sink.arrived[0]!.format!;
      expect(form).to.deep.include({ mode: "lines" });
      expect((form as FoldedText).profile).to.deep.include({ name: "memory", sampleType: { type: "alloc_space", unit: "bytes" } });
      const reply = await post("/ingest?name=a", "main three\n");
      expect([reply.status, errorOf(reply).code]).to.deep.equal([422, "unknown"]);
      expect(errorOf(reply).message).to.contain('line 1 ends in "three"');
      expect(await metrics.text()).to.contain('pyromesh_discarded_bytes_total{reason="malformed_profile",tenant="anonymous"} 11');
    });
  });

  describe("binary trees", () => {
    /** main;work 3, main;idle 1 */
    const TRIE = Uint8Array.from([0, 0, 1, 5, ...Buffer.from("main;"), 0, 2, 4, ...Buffer.from("work"), 3, 0, 4, ...Buffer.from("idle"), 1, 0]);
    const TREE = Uint8Array.from([0, 0, 1, 4, ...Buffer.from("main"), 0, 2, 4, ...Buffer.from("work"), 3, 0, 4, ...Buffer.from("idle"), 1, 0]);

    for (const [format, body] of [["trie", TRIE], ["tree", TREE]] as const) {
      for (const [query, headers] of [[`&format=${format}`, {}], ["", { "content-type": `binary/octet-stream+${format}` }], ["&format=folded", { "content-type": `binary/octet-stream+${format}` }]] as const) {
        it(`${format}${query}${"content-type" in headers ? " by its content type" : ""}: counts become nanoseconds of CPU`, async () => {
          const { sink, post } = rig();
          expect((await post(`/ingest?name=shop.cpu%7Benv%3Dprod%7D${query}`, body, headers)).status).to.equal(200);
          expect(labelsOf(sink.arrived[0]!)).to.deep.equal({ __name__: "process_cpu", __delta__: "false", env: "prod", pyroscope_spy: "unknown", service_name: "shop" });
          expect(readText(sink.arrived[0]!)).to.deep.equal({ types: ["cpu:nanoseconds"], period: "cpu:nanoseconds", stacks: { "main;work": [30_000_000], "main;idle": [10_000_000] } });
        });
      }

      it(`${format}: a torn body is 422, a suffix that is no profile type 400`, async () => {
        const { sink, post } = rig();
        const torn = await post(`/ingest?name=a&format=${format}`, body.subarray(0, -1));
        expect([torn.status, errorOf(torn).code]).to.deep.equal([422, "unknown"]);
        expect((await post(`/ingest?name=my.service&format=${format}`, body)).status).to.equal(400);
        expect(sink.arrived).to.have.length(0);
      });
    }

    it("collapsed is folded by another name", async () => {
      const { sink, post } = rig();
      expect((await post("/ingest?name=a&sampleRate=0&format=collapsed", "main;work 3\nmain;idle 1\n")).status).to.equal(200);
      expect(readText(sink.arrived[0]!).stacks).to.deep.equal({ "main;work": [3], "main;idle": [1] });
    });
  });

  describe("jfr", () => {
    const recording = writeChunk({ types: AGENT_TYPES, pools: new Map(), events: [] });
    const multipart = (parts: Readonly<Record<string, Uint8Array>>): Uint8Array =>
      Buffer.concat([...Object.entries(parts).flatMap(([name, bytes]) => [Buffer.from(`--b\r\nContent-Disposition: form-data; name="${name}"; filename="${name}"\r\n\r\n`), bytes, Buffer.from("\r\n")]), Buffer.from("--b--\r\n")]);
    const FORM_DATA = { "content-type": "multipart/form-data; boundary=b" };

    it("the recording goes on as it came, with the labels part and the request's times in its form", async () => {
      const { sink, post } = rig();
      expect((await post(`/ingest?name=shop%7Benv%3Dprod%7D&spyName=javaspy&format=jfr&${FROM}`, recording)).status).to.equal(200);
      expect((await post(`/ingest?name=shop&sampleRate=50&format=jfr`, multipart({ jfr: gzipSync(recording), labels: Buffer.from([0x0a, 0x80]) }), FORM_DATA)).status).to.equal(422);
      expect((await post(`/ingest?name=shop&sampleRate=50&format=jfr`, multipart({ labels: Buffer.alloc(0), jfr: recording }), FORM_DATA)).status).to.equal(200);
      expect(labelsOf(sink.arrived[0]!)).to.deep.equal({ __delta__: "false", env: "prod", pyroscope_spy: "javaspy", service_name: "shop" });
      expect(sink.arrived[0]!.format).to.deep.equal({ kind: "jfr", form: { sampleRate: 100, hasTime: true, durationMs: 10_000, labels: undefined } });
      expect(Buffer.from(sink.arrived[1]!.pprof).equals(recording)).to.equal(true);
      expect(sink.arrived[1]!.format!.form).to.deep.equal({ sampleRate: 50, hasTime: false, durationMs: undefined, labels: undefined });
    });

    it("what is no recording, and a multipart body without one, is 422", async () => {
      const { post } = rig();
      for (const [body, headers] of [["main;work 3\n", {}], [multipart({ labels: Buffer.from("x") }), FORM_DATA], [multipart({ jfr: Buffer.from("x") }), FORM_DATA], [recording.subarray(0, 200), {}]] as const) {
        expect((await post("/ingest?name=a&format=jfr", body, headers)).status).to.equal(422);
      }
    });
  });

  describe("speedscope", () => {
    const PROFILE = { type: "sampled", name: "one", unit: "seconds", startValue: 0, endValue: 3, samples: [[0, 1], [0]], weights: [2, 1] };
    const fileOf = (...profiles: readonly object[]): string => JSON.stringify({ $schema: "https://www.speedscope.app/file-format-schema.json", shared: { frames: [{ name: "main" }, { name: "work" }] }, profiles });
    const read = ({ labels, pprof, format }: ArrivedProfile): { labels: Record<string, string>; type: string }[] =>
      [...readFormat(format!, pprof, { labels, limits: DEFAULT_PROFILE_LIMITS, fallbackTimeNs: 1n }).profiles].map((profile) => {
        const { sampleType, stringTable } = Profile.decode(profile.pprof);
        return { labels: Object.fromEntries(profile.labels.map(({ name, value }) => [name, value])), type: stringTable.strings[Number(sampleType[0]!.type)]! };
      });

    it("one profile is what the application's name says; of several each unit says it", async () => {
      const { sink, post } = rig();
      expect((await post("/ingest?name=shop.cpu%7Benv%3Dprod%7D&format=speedscope", fileOf(PROFILE))).status).to.equal(200);
      expect((await post("/ingest?name=shop&format=speedscope", fileOf(PROFILE, { ...PROFILE, name: "two", unit: "bytes" }))).status).to.equal(200);
      expect(read(sink.arrived[0]!)).to.deep.equal([{ labels: { __name__: "process_cpu", __delta__: "false", env: "prod", profile_name: "one", pyroscope_spy: "unknown", service_name: "shop" }, type: "cpu" }]);
      expect(read(sink.arrived[1]!).map(({ labels, type }) => [labels["__name__"], labels["service_name"], labels["profile_name"], type])).to.deep.equal([["wall", "shop", "one", "wall"], ["memory", "shop", "two", "samples"]]);
    });

    it("a client's own service_name wins, and the application goes to app_name, unless that is set too", async () => {
      const { sink, post } = rig();
      await post("/ingest?name=app.cpu{service_name=mine}&format=speedscope", fileOf(PROFILE));
      await post("/ingest?name=app.cpu{service_name=mine,app_name=own}&format=speedscope", fileOf(PROFILE));
      expect(sink.arrived.map((arrived) => read(arrived)[0]!.labels).map(({ service_name, app_name }) => [service_name, app_name])).to.deep.equal([["mine", "app"], ["mine", "own"]]);
    });

    it("a body of another format than the request says is 422, and the message names the format that it looks like", async () => {
      const { post } = rig();
      const recording = Buffer.from([0x46, 0x4c, 0x52, 0, 0, 2, 0, 0, 0xff, 0xff]);
      const file = '{"$schema":"https://www.speedscope.app/file-format-schema.json"}';
      for (const [query, body, format] of [["", recording, "jfr"], ["", file, "speedscope"], ["&format=lines", recording, "jfr"], ["&format=speedscope", "main;work 12\n", "folded"], ["&format=speedscope", recording, "jfr"]] as const) {
        const reply = await post(`/ingest?name=a${query}`, body);
        expect(reply.status, query).to.equal(422);
        expect(errorOf(reply).message, query).to.contain(`format=${format}`);
      }
    });

    it("what cannot be read is 422, a suffix that is no profile type 400", async () => {
      const { post } = rig();
      for (const file of ["{}", "main;a 1", fileOf({ ...PROFILE, unit: "x" })]) expect((await post("/ingest?name=a&format=speedscope", file)).status, file).to.equal(422);
      expect((await post("/ingest?name=my.service&format=speedscope", fileOf(PROFILE))).status).to.equal(400);
    });
  });

  describe("content encodings", () => {
    const TEXT = "main;work 3\nmain;idle 1\n";
    const ENCODED: Readonly<Record<string, readonly Uint8Array[]>> = {
      gzip: [gzipSync(TEXT)],
      deflate: [deflateSync(TEXT), deflateRawSync(TEXT)],
      zstd: [zstdFrame([Buffer.from(TEXT)])],
    };

    it("a body of any format may have one; a pprof that was gzip before stays so", async () => {
      for (const [encoding, bodies] of Object.entries(ENCODED)) {
        for (const body of bodies) {
          const { sink, post } = rig();
          expect((await post("/ingest?name=a&sampleRate=0", body, { "content-encoding": encoding })).status, encoding).to.equal(200);
          expect(readText(sink.arrived[0]!).stacks, encoding).to.deep.equal({ "main;work": [3], "main;idle": [1] });
        }
      }
      const { sink, post } = rig();
      const pprof = gzipSync("a profile");
      expect((await post("/ingest?name=a&format=pprof", gzipSync(pprof), { "content-encoding": "gzip" })).status).to.equal(200);
      expect(Buffer.from(sink.arrived[0]!.pprof).equals(pprof)).to.equal(true);
    });

    it("an unknown one is 415 and names those that are known; a torn body is 422; one beyond the limit is 413", async () => {
      const { sink, post } = rig({ ingestionBodyBytesMax: 1000 });
      const unknown = await post("/ingest?name=a", TEXT, { "content-encoding": "br" });
      expect([unknown.status, unknown.headers["accept-encoding"]]).to.deep.equal([415, "gzip, zstd, deflate"]);
      expect(errorOf(unknown).message).to.contain("gzip, zstd, deflate");
      for (const format of ["", "&format=pprof"]) expect((await post(`/ingest?name=a${format}`, TEXT, { "content-encoding": "gzip" })).status).to.equal(422);
      for (const [encoding, bomb] of Object.entries({ gzip: gzipSync(new Uint8Array(5000)), deflate: deflateSync(new Uint8Array(5000)), zstd: zstdFrame([{ byte: 0, count: 5000 }]) })) {
        expect((await post("/ingest?name=a", bomb, { "content-encoding": encoding })).status, encoding).to.equal(413);
      }
      expect(sink.arrived).to.have.length(0);
    });
  });

  describe("statuses", () => {
    it("an unknown format is read as text, or as pprof in a form, as Pyroscope does", async () => {
      const { sink, post } = rig();
      expect((await post("/ingest?name=a&sampleRate=0&format=perf", "a;b 2\n")).status).to.equal(200);
      expect(readText(sink.arrived[0]!).stacks).to.deep.equal({ "a;b": [2] });
      expect((await post("/ingest?name=a&format=perf", '--b\r\nContent-Disposition: form-data; name="profile"\r\n\r\nx\r\n--b--\r\n', { "content-type": "multipart/form-data; boundary=b" })).status).to.equal(200);
      expect(sink.arrived[1]!.format).to.equal(undefined);
    });

    it("of an unknown format a suffix that is no profile type is 400: the format was not the matter", async () => {
      expect((await rig().post("/ingest?name=my.service&format=perf", "a 1\n")).status).to.equal(400);
    });

    for (const format of ["xml", "JFR"]) {
      it(`format ${format} is 422 and names what is accepted, where the body is no text`, async () => {
        const reply = await rig().post(`/ingest?name=a&format=${format}`, "x");
        expect(reply.status).to.equal(422);
        for (const accepted of ["pprof", "jfr", "folded", "groups", "lines", "speedscope", "tree", "trie"]) expect(errorOf(reply).message).to.contain(`format=${accepted}`);
      });
    }

    it("a trie with its content type is refused, not read as text", async () => {
      expect((await rig().post("/ingest?name=a", "x 1\n", { "content-type": "binary/octet-stream+trie" })).status).to.equal(422);
    });

    it("errors in name, from and until are 400", async () => {
      for (const query of ["", "name=", "name=a{b", "name=a&from=yesterday", "name=a&until=later"]) {
        const reply = await rig().post(`/ingest?${query}`, "a 1\n");
        expect(reply.status, query).to.equal(400);
        expect(errorOf(reply).code).to.equal("invalid_argument");
      }
    });

    it("from after until is 400; in fractions of a second both are read", async () => {
      const { sink, post } = rig();
      const reply = await post("/ingest?name=a&from=1795419010&until=1795419000", "a 1\n");
      expect(reply.status).to.equal(400);
      expect(errorOf(reply).message).to.contain("from (1795419010) is after until (1795419000)");
      expect((await post("/ingest?name=a&from=1795419010.5&until=1795419010.25", "a 1\n")).status).to.equal(400);
      for (const query of ["from=1795419010.467&until=1795419011.467", "from=1795419010&until=1795419010", "from=1795419010", "until=1795419010", "from=1795419010&until=0"]) {
        expect((await post(`/ingest?name=a&${query}`, "a 1\n")).status, query).to.equal(200);
      }
      expect(sink.arrived[0]!.fallbackTimeMs).to.equal(1_795_419_010_467);
    });

    it("a profile that the rate limit can never let through is 413, without a time", async () => {
      const { metrics, post } = rig({ ingestionRateBytesPerSecond: 1, ingestionBurstBytes: 100 });
      const reply = await post("/ingest?name=a&format=pprof", new Uint8Array(101).fill(1));
      expect([reply.status, reply.headers["retry-after"], errorOf(reply).code]).to.deep.equal([413, undefined, "invalid_argument"]);
      expect(errorOf(reply).message).to.contain("raise ingestion_burst_size_mb");
      expect(await metrics.text()).to.contain('pyromesh_discarded_bytes_total{reason="rate_limited",tenant="anonymous"} 101');
    });

    it("a body that is too large is 413, and one discard", async () => {
      const { metrics, post } = rig();
      expect((await post("/ingest?name=a&format=pprof", new Uint8Array(2 ** 20 + 1))).status).to.equal(413);
      expect(await metrics.text()).to.contain(`pyromesh_discarded_bytes_total{reason="body_size_limit_exceeded",tenant="anonymous"} ${2 ** 20}`);
    });

    it("a text that breaks a limit is 400, one that cannot be parsed is 422", async () => {
      const { sink, post } = rig();
      sink.refuse = () => new CodedError({ code: "PROFILE_OUTSIDE_WINDOW", kind: "invalid_argument", message: "profile: old", details: { reason: "not_in_ingestion_window" } });
      const reply = await post("/ingest?name=a.cpu&format=folded", "a 1\n");
      expect([reply.status, errorOf(reply)]).to.deep.equal([400, { code: "invalid_argument", message: "profile: old" }]);
      expect((await post("/ingest?name=a&format=pprof", "x")).status).to.equal(422);
      sink.refuse = () => new CodedError({ code: "PROFILE_MALFORMED", kind: "invalid_argument", message: "profile: a count", details: { reason: "malformed_profile" } });
      expect((await post("/ingest?name=a.cpu&format=lines", "a 1\n")).status).to.equal(422);
    });

    it("a profile that the sink refuses is 422, a sink that fails is 503, and discards are counted", async () => {
      const { sink, post, metrics } = rig();
      sink.refuse = () => new CodedError({ code: "PROFILE_MALFORMED", kind: "invalid_argument", message: "profile: invalid UTF-8", details: { reason: "malformed_profile" } });
      const reply = await post("/ingest?name=a&format=pprof", "12345");
      expect(reply.status).to.equal(422);
      expect(errorOf(reply)).to.deep.equal({ code: "unknown", message: "profile: invalid UTF-8" });
      expect(await metrics.text()).to.contain('pyromesh_discarded_bytes_total{reason="malformed_profile",tenant="anonymous"} 5');
      sink.refuse = () => unavailable("HEAD_FULL", "full");
      expect((await post("/ingest?name=a&format=pprof", "x")).status).to.equal(503);
      sink.refuse = () => invalidArgument("LABELS_TOO_MANY", "m");
      expect((await post("/ingest?name=a&format=pprof", "x")).status).to.equal(422);
    });

    it("above the body limit 413, above the rate limit 429 with Retry-After", async () => {
      expect((await rig().post("/ingest?name=a&format=pprof", new Uint8Array(2 ** 20 + 1))).status).to.equal(413);
      const { post } = rig({ ingestionRateBytesPerSecond: 0.000_01 * 2 ** 20, ingestionBurstBytes: 64 });
      expect((await post("/ingest?name=a&format=pprof", "x".repeat(60))).status).to.equal(200);
      const limited = await post("/ingest?name=a&format=pprof", "x".repeat(60));
      expect(limited.status).to.equal(429);
      expect(errorOf(limited).code).to.equal("resource_exhausted");
      expect(Number(limited.headers["retry-after"])).to.be.greaterThan(1);
    });
  });

  describe("recorded exchanges", () => {
    const statuses: Readonly<Record<string, number>> = { "05": 200, "06": 200, "07": 200, "80": 400, "81": 400, "82": 400, "83": 422, "84": 200, "86": 422 };
    for (const [number, status] of Object.entries(statuses)) {
      it(`${number} is ${status}`, async function () {
        const corpus = corpusFolder();
        if (corpus === undefined) return this.skip();
        const exchange = readRecorded(corpus, number);
        const { sink, post } = rig();
        expect((await post(exchange.path, exchange.body, exchange.headers)).status).to.equal(status);
        expect(sink.arrived).to.have.length(["05", "06", "07"].includes(number) ? 1 : 0);
      });
    }

    it("05 and 85 reach the sink as they were sent, which refuses 85", async function () {
      const corpus = corpusFolder();
      if (corpus === undefined) return this.skip();
      for (const number of ["05", "85"]) {
        const exchange = readRecorded(corpus, number);
        const { sink, post } = rig();
        await post(exchange.path, exchange.body, exchange.headers);
        expect(Buffer.from(sink.arrived[0]!.pprof).equals(Buffer.from(exchange.body))).to.equal(true);
      }
    });

    it("07: equal lines are counted", async function () {
      const corpus = corpusFolder();
      if (corpus === undefined) return this.skip();
      const exchange = readRecorded(corpus, "07");
      const { sink, post } = rig();
      await post(exchange.path, exchange.body, exchange.headers);
      expect(labelsOf(sink.arrived[0]!)).to.include({ __name__: "process_cpu", service_name: "lines" });
      expect(readText(sink.arrived[0]!).stacks).to.deep.equal({ "main;a": [20_000_000], "main;b": [10_000_000] });
    });

    it("what the Node SDK sends arrives whole, under its own labels", async function () {
      const corpus = corpusFolder();
      if (corpus === undefined) return this.skip();
      const folder = path.join(corpus, "sdk-push");
      const files = readdirSync(folder).filter((name) => name.endsWith(".txt"));
      expect(files).to.have.length.greaterThan(0);
      for (const file of files) {
        const [requestLine = "", ...lines] = readFileSync(path.join(folder, file), "utf8").split(/\r?\n/);
        const headers = Object.fromEntries(lines.filter((line) => /^[a-z-]+: /.test(line)).map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
        const body = readFileSync(path.join(folder, file.replace(/txt$/, "bin")));
        const { sink, post } = rig();
        expect((await post(requestLine.split(" ")[1]!, body, headers)).status, file).to.equal(200);
        expect(Buffer.from(sink.arrived[0]!.pprof).equals(body)).to.equal(true);
        expect(labelsOf(sink.arrived[0]!)).to.include({ service_name: "demo.node", pyroscope_spy: "nodespy", region: "eu", pod: "p1", "otel.scope.name": "com.grafana.pyroscope/nodejs" });
      }
    });
  });
});
