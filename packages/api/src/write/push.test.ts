import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { CodedError, encodeUtf8, garbageCollector, invalidArgument, Metrics, parseTenantId, unavailable } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { Discards } from "./discards.ts";
import type { ApiReply } from "../ports/http.ts";
import { JSON_PUSH_BYTES_MAX } from "../proto/json-bounds.ts";
import { claimedSizeBytes, pushHandler } from "./push.ts";
import type { WriteLimits } from "./push.ts";
import { PushCounts } from "./push-counts.ts";
import { PushGate } from "./push-gate.ts";
import { RateLimit } from "./rate-limit.ts";
import { fakeRequest } from "../testing/fake-request.ts";
import { zstdFrame } from "../testing/zstd-frames.ts";
import { FakeSink } from "../testing/fake-sink.ts";
import { encodePushRequest } from "../testing/push-bytes.ts";
import { corpusFolder, readRecorded } from "../testing/recorded.ts";

const LIMITS: WriteLimits = { ingestionRateBytesPerSecond: 0, ingestionBurstBytes: 8 * 2 ** 20, ingestionBodyBytesMax: 256 * 2 ** 20, profileSizeBytesMax: 4 * 2 ** 20 };
const PATH = "/push.v1.PusherService/Push";
const UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

interface Rig {
  readonly sink: FakeSink;
  readonly metrics: Metrics;
  readonly push: (body: Uint8Array | string, headers: Readonly<Record<string, string>>, tenants?: readonly TenantId[]) => Promise<ApiReply>;
}

function rig(limits: Partial<WriteLimits> = {}): Rig {
  const sink = new FakeSink();
  const metrics = new Metrics();
  const clock = new ManualClock();
  const limitsOf = (): WriteLimits => ({ ...LIMITS, ...limits });
  const handler = pushHandler({ limitsOf }, { sink, clock, gate: new PushGate({ clock, metrics }), rateLimit: new RateLimit({ limitsOf }, { clock }), counts: new PushCounts({ metrics }), discards: new Discards({ metrics }) });
  const push: Rig["push"] = (body, headers, tenants) => handler(fakeRequest({ path: PATH, headers, body, ...(tenants === undefined ? {} : { tenants }) }));
  return { sink, metrics, push };
}

const JSON_TYPE = { "content-type": "application/json" };
const PROTO_TYPE = { "content-type": "application/proto" };

function textOf(reply: ApiReply): string {
  return typeof reply.body === "string" ? reply.body : Buffer.from(reply.body).toString();
}

function messageOf(reply: ApiReply): string {
  return (JSON.parse(textOf(reply)) as { message: string }).message;
}

const RAW = gzipSync(Buffer.from("a profile"));
const ONE = encodePushRequest([{ labels: { __name__: "memory", service_name: "x" }, profiles: [{ raw: RAW, id: UUID }] }]);
const TWO = encodePushRequest([
  { labels: { __name__: "memory" }, profiles: [{ raw: RAW }, { raw: encodeUtf8("plain") }] },
  { labels: { __name__: "wall" }, profiles: [{ raw: RAW }] },
]);

describe("push", () => {
  it("received = accepted + discarded, however the push ends", async () => {
    const { metrics, push, sink } = rig({ ingestionBodyBytesMax: 2 ** 20 });
    const sumOf = async (name: string): Promise<number> =>
      [...(await metrics.text()).matchAll(new RegExp(`^${name}\\{.*\\} (\\d+)$`, "gm"))].reduce((sum, [, value]) => sum + Number(value), 0);
    const expectSums = async (received: number, accepted: number): Promise<void> => {
      expect(await sumOf("pyromesh_received_profiles_total")).to.equal(received);
      expect(await sumOf("pyromesh_accepted_profiles_total")).to.equal(accepted);
      expect(await sumOf("pyromesh_discarded_samples_total")).to.equal(received - accepted);
      expect((await sumOf("pyromesh_accepted_bytes_total")) + (await sumOf("pyromesh_discarded_bytes_total"))).to.equal(await sumOf("pyromesh_received_bytes_total"));
    };
    await push(TWO, PROTO_TYPE);
    await expectSums(3, 3);
    sink.refuse = ({ describe }) => (describe === "series 0, profile 1" ? invalidArgument("X", "bad") : undefined);
    await push(TWO, PROTO_TYPE);
    await expectSums(6, 5);
    sink.refuse = () => {
      throw unavailable("HEAD_FULL", "full");
    };
    expect((await push(TWO, PROTO_TYPE)).status).to.equal(503);
    await expectSums(9, 5);
    await push(encodePushRequest([{ labels: { __name__: "a" }, profiles: [{ raw: new Uint8Array(0) }, { raw: RAW, id: "none" }] }]), PROTO_TYPE);
    await expectSums(11, 5);
    expect((await push(new Uint8Array(2 ** 20 + 1), PROTO_TYPE)).status).to.equal(413);
    await expectSums(12, 5);
  });

  it("binary: each profile reaches the sink with its labels and id, and the reply is an empty message", async () => {
    const { sink, push } = rig();
    const reply = await push(ONE, PROTO_TYPE);
    expect(reply.status).to.equal(200);
    expect(reply.headers["content-type"]).to.equal("application/proto");
    expect(reply.body).to.have.length(0);
    const [arrived] = sink.arrived;
    expect(arrived!.labels).to.deep.equal([
      { name: "__name__", value: "memory" },
      { name: "service_name", value: "x" },
    ]);
    expect(Buffer.from(arrived!.pprof).equals(RAW)).to.equal(true);
    expect(Buffer.from(arrived!.profileId!).toString("hex")).to.equal(UUID.replaceAll("-", ""));
    expect(arrived!.describe).to.equal("series 0, profile 0");
    expect(arrived!.ingest).to.equal(undefined);
  });

  it("profiles reach the sink as they were sent, compressed or not, in JSON or binary, one or several", async () => {
    const json = JSON.stringify({ series: [{ labels: [], samples: [{ rawProfile: Buffer.from(RAW).toString("base64") }] }] });
    const bodies: [Uint8Array | string, Record<string, string>][] = [
      [ONE, PROTO_TYPE],
      [gzipSync(ONE), { ...PROTO_TYPE, "content-encoding": "gzip" }],
      [gzipSync(ONE), { ...PROTO_TYPE, "content-encoding": "identity, X-GZIP" }],
      [deflateSync(ONE), { ...PROTO_TYPE, "content-encoding": "deflate" }],
      [deflateRawSync(ONE), { ...PROTO_TYPE, "content-encoding": "deflate" }],
      [zstdFrame([ONE]), { ...PROTO_TYPE, "content-encoding": "zstd" }],
      [json, JSON_TYPE],
      [gzipSync(json), { ...JSON_TYPE, "content-encoding": "gzip" }],
    ];
    for (const [body, headers] of bodies) {
      const { sink, push } = rig();
      expect((await push(body, headers)).status).to.equal(200);
      expect(Buffer.from(sink.arrived[0]!.pprof).equals(RAW)).to.equal(true);
    }
    const { sink, push } = rig();
    expect((await push(TWO, PROTO_TYPE)).status).to.equal(200);
    expect(sink.arrived.length).to.equal(3);
  });

  it("JSON: the reply is {}", async () => {
    const { push } = rig();
    const reply = await push(JSON.stringify({ series: [{ labels: [], samples: [{ rawProfile: "aGk=" }] }] }), JSON_TYPE);
    expect([reply.status, textOf(reply), reply.headers["content-type"]]).to.deep.equal([200, "{}", "application/json"]);
  });

  it("one refused of three: the others are stored, the error names it, and the discard is counted with its size", async () => {
    const { sink, push, metrics } = rig();
    sink.refuse = (profile) =>
      profile.describe === "series 0, profile 1"
        ? new CodedError({ code: "PROFILE_MALFORMED", kind: "invalid_argument", message: `${profile.describe}: location id is 0`, details: { reason: "malformed_profile" } })
        : undefined;
    const reply = await push(TWO, PROTO_TYPE);
    expect(reply.status).to.equal(400);
    expect(JSON.parse(textOf(reply))).to.deep.equal({ code: "invalid_argument", message: "1 of 3 profiles were refused (the other 2 stored): series 0, profile 1: location id is 0" });
    expect(sink.arrived.map(({ describe }) => describe)).to.deep.equal(["series 0, profile 0", "series 1, profile 0"]);
    expect(await metrics.text()).to.contain('pyromesh_discarded_bytes_total{reason="malformed_profile",tenant="anonymous"} 5');
  });

  it("a discard counts for the refused profile, however its message begins", async () => {
    const { sink, push, metrics } = rig();
    const error = new CodedError({ code: "PROFILE_MALFORMED", kind: "invalid_argument", message: "series 1, profile 0: is not what is meant", details: { reason: "malformed_profile" } });
    sink.refuse = (profile) => (profile.describe === "series 0, profile 1" ? error : undefined);
    await push(TWO, PROTO_TYPE);
    expect(await metrics.text()).to.contain('pyromesh_discarded_bytes_total{reason="malformed_profile",tenant="anonymous"} 5');
  });

  it("faults of the caller and of the node together are 503: a retry stores the rest", async () => {
    const { sink, push } = rig();
    sink.refuse = (profile) => (profile.describe.startsWith("series 0") ? invalidArgument("X", "bad") : unavailable("HEAD_FULL", "full"));
    const reply = await push(TWO, PROTO_TYPE);
    expect(reply.status).to.equal(503);
    expect(messageOf(reply)).to.contain("none stored").and.to.contain("bad; bad; full");
  });

  it("a sink that can store nothing is 503; an error without a code is left to the server", async () => {
    const { sink, push } = rig();
    sink.push = () => Promise.reject(unavailable("STORE_CLOSED", "the node is stopping: try another"));
    expect((await push(ONE, PROTO_TYPE)).status).to.equal(503);
    sink.push = () => Promise.reject(new TypeError("a bug"));
    let thrown: unknown;
    await push(ONE, PROTO_TYPE).catch((error: unknown) => (thrown = error));
    expect(thrown).to.be.instanceOf(TypeError);
  });

  it("an empty profile, and an id that is not a UUID, are refused one by one", async () => {
    const { sink, push } = rig();
    const body = encodePushRequest([{ labels: {}, profiles: [{ raw: new Uint8Array(0) }, { raw: RAW, id: "not-a-uuid" }, { raw: RAW }] }]);
    const reply = await push(body, PROTO_TYPE);
    expect(reply.status).to.equal(400);
    expect(messageOf(reply)).to.contain("series 0, profile 0: rawProfile is empty").and.to.contain('series 0, profile 1: ID "not-a-uuid" is not a UUID');
    expect(sink.arrived).to.have.length(1);
  });

  const pushOf = (...sizes: readonly number[]): Uint8Array => encodePushRequest([{ labels: {}, profiles: sizes.map((size, index) => ({ raw: new Uint8Array(size).fill(index + 1) })) }]);

  it("the rate limit refuses profile by profile, with 429 and when the whole push would pass", async () => {
    const { sink, push, metrics } = rig({ ingestionRateBytesPerSecond: 10, ingestionBurstBytes: 100 });
    expect((await push(pushOf(60), PROTO_TYPE)).status).to.equal(200);
    const reply = await push(pushOf(20, 50, 10), PROTO_TYPE);
    expect(reply.status).to.equal(429);
    expect(Number(reply.headers["retry-after"]), "80 bytes are wanted and 10 are left, at 10 a second").to.equal(7);
    expect(messageOf(reply)).to.contain("series 0, profile 1").and.to.contain("ingestion_rate_mb");
    expect(sink.arrived).to.have.length(3);
    expect(await metrics.text()).to.contain('pyromesh_discarded_bytes_total{reason="rate_limited",tenant="anonymous"} 50');
  });

  // It was 429 with Retry-After: 1, and agents sent the push forever.
  it("a profile, or a push as a whole, that the rate limit can never let through is 400 without a time", async () => {
    const { sink, push, metrics } = rig({ ingestionRateBytesPerSecond: 10, ingestionBurstBytes: 100 });
    const tooLarge = await push(pushOf(101), PROTO_TYPE);
    expect([tooLarge.status, tooLarge.headers["retry-after"]]).to.deep.equal([400, undefined]);
    expect(JSON.parse(textOf(tooLarge))).to.include({ code: "invalid_argument" });
    expect(messageOf(tooLarge)).to.contain("raise ingestion_burst_size_mb");
    expect(await metrics.text()).to.contain('pyromesh_discarded_bytes_total{reason="rate_limited",tenant="anonymous"} 101');
    const tooMany = await push(pushOf(60, 60), PROTO_TYPE);
    expect([tooMany.status, tooMany.headers["retry-after"]]).to.deep.equal([400, undefined]);
    expect(messageOf(tooMany)).to.contain("120 bytes together").and.to.contain("the other 1 stored");
    expect(sink.arrived).to.have.length(1);
  });

  it("an error that refuses many profiles is named once", async () => {
    const { sink, push, metrics } = rig();
    const error = invalidArgument("NO_ROOM", "none of them");
    sink.refuse = () => error;
    const reply = await push(pushOf(10, 20, 30), PROTO_TYPE);
    expect(messageOf(reply)).to.equal("3 of 3 profiles were refused (none stored): none of them");
    expect(await metrics.text()).to.contain('pyromesh_discarded_bytes_total{reason="malformed_profile",tenant="anonymous"} 60');
    expect(await metrics.text()).to.contain('pyromesh_discarded_samples_total{reason="malformed_profile",tenant="anonymous"} 3');
  });

  it("sizes are bounded as sent, decompressed, and together", async () => {
    const tight = { ingestionBodyBytesMax: 2 ** 20 };
    expect((await rig(tight).push(new Uint8Array(2 ** 20 + 1), PROTO_TYPE)).status).to.equal(413);
    const bomb = gzipSync(new Uint8Array(2 ** 20 + 1));
    expect((await rig(tight).push(bomb, { ...PROTO_TYPE, "content-encoding": "gzip" })).status).to.equal(413);
    const raw = gzipSync(new Uint8Array(300_000));
    const many = encodePushRequest([{ labels: {}, profiles: Array.from({ length: 4 }, () => ({ raw })) }]);
    const { sink, push, metrics } = rig(tight);
    const reply = await push(many, PROTO_TYPE);
    expect(reply.status).to.equal(400);
    expect(messageOf(reply)).to.contain("ingestion_body_limit_mb");
    expect(sink.arrived).to.have.length(0);
    await push(bomb, { ...PROTO_TYPE, "content-encoding": "gzip" });
    expect(await metrics.text())
      .to.contain('pyromesh_discarded_samples_total{reason="body_size_limit_exceeded",tenant="anonymous"} 5')
      .and.to.contain(`pyromesh_discarded_bytes_total{reason="body_size_limit_exceeded",tenant="anonymous"} ${4 * 300_000 + 2 ** 20}`);
  });

  it("truncated gzip, an unknown encoding, an unknown content type, and several tenants are refused", async () => {
    expect((await rig().push(gzipSync(ONE).subarray(0, 50), { ...PROTO_TYPE, "content-encoding": "gzip" })).status).to.equal(400);
    const unknown = await rig().push(ONE, { ...PROTO_TYPE, "content-encoding": "br" });
    expect([unknown.status, unknown.headers["accept-encoding"]]).to.deep.equal([501, "gzip, zstd, deflate"]);
    expect((await rig().push(gzipSync(gzipSync(ONE)), { ...PROTO_TYPE, "content-encoding": "gzip, gzip" })).status).to.equal(501);
    for (const type of ["text/plain", "", "application/json; charset=latin1"]) {
      const reply = await rig().push(ONE, { "content-type": type });
      expect([reply.status, textOf(reply)], type).to.deep.equal([415, ""]);
      expect(reply.headers["accept-post"]).to.contain("application/json").and.to.contain("application/proto");
    }
    expect((await rig().push(ONE, PROTO_TYPE, [parseTenantId("a"), parseTenantId("b")])).status).to.equal(400);
  });

  it("each of several profiles has a key of its own: the request's with its position, whatever is refused before it", async () => {
    const { sink, push } = rig();
    const keyed = { ...PROTO_TYPE, "idempotency-key": "k1" };
    await push(TWO, keyed);
    expect(sink.arrived.map(({ idempotencyKey }) => idempotencyKey)).to.deep.equal(["k1#0", "k1#1", "k1#2"]);
    sink.arrived.length = 0;
    const labels = { __name__: "memory" };
    const alike = encodePushRequest([{ labels, profiles: [{ raw: RAW }, { raw: RAW, id: "no UUID" }, { raw: RAW }] }]);
    expect((await push(alike, keyed)).status).to.equal(400);
    expect(sink.arrived.map(({ idempotencyKey }) => idempotencyKey)).to.deep.equal(["k1#0", "k1#2"]);
    sink.arrived.length = 0;
    await push(TWO, PROTO_TYPE);
    expect(sink.arrived.map(({ idempotencyKey }) => idempotencyKey)).to.deep.equal([undefined, undefined, undefined]);
  });

  it("the Idempotency-Key is passed on, unless it is too long", async () => {
    const { sink, push } = rig();
    await push(ONE, { ...PROTO_TYPE, "idempotency-key": "k1" });
    expect(sink.arrived[0]!.idempotencyKey).to.equal("k1");
    expect((await push(ONE, { ...PROTO_TYPE, "idempotency-key": "k".repeat(256) })).status).to.equal(400);
  });

  it("hundreds of series are one push: push_max_concurrency bounds concurrent work, not the size of a push", async () => {
    const { sink, push } = rig();
    const body = encodePushRequest(Array.from({ length: 300 }, () => ({ labels: {}, profiles: [{ raw: RAW }] })));
    expect((await push(body, PROTO_TYPE)).status).to.equal(200);
    expect(sink.arrived).to.have.length(300);
  });

  it("JSON past its own limit counts as many bytes as that is, not as the tenant's limit, compressed or not", async () => {
    const tooLong = new Uint8Array(JSON_PUSH_BYTES_MAX + 1);
    for (const headers of [JSON_TYPE, { ...JSON_TYPE, "content-encoding": "gzip" }]) {
      const { metrics, push } = rig();
      expect((await push("content-encoding" in headers ? gzipSync(tooLong) : tooLong, headers)).status).to.equal(413);
      expect(await metrics.text())
        .to.contain(`pyromesh_discarded_bytes_total{reason="body_size_limit_exceeded",tenant="anonymous"} ${JSON_PUSH_BYTES_MAX}\n`)
        .and.to.contain(`pyromesh_received_bytes_total{tenant="anonymous"} ${JSON_PUSH_BYTES_MAX}\n`);
    }
  });

  it("the body of a large push is let go of once it is answered", async () => {
    const collect = garbageCollector();
    const { push, sink } = rig();
    let held: WeakRef<ArrayBufferLike> | undefined;
    sink.refuse = ({ pprof }) => {
      held = new WeakRef(pprof.buffer);
      return invalidArgument("X", "seen, and not kept");
    };
    await push(encodePushRequest([{ labels: {}, profiles: [{ raw: new Uint8Array(100_000) }] }]), PROTO_TYPE);
    expect(held?.deref()?.byteLength).to.be.greaterThan(100_000);
    await new Promise((resolve) => setImmediate(resolve)); // the WeakRef keeps its target until the turn ends
    collect();
    expect(held?.deref()).to.equal(undefined);
    expect((await push(ONE, PROTO_TYPE)).status, "the same handler").to.equal(400);
  });

  it("a claimed size is the trailer's, held to what is possible", () => {
    expect(claimedSizeBytes(gzipSync(new Uint8Array(50_000)), 0)).to.equal(50_000);
    expect(claimedSizeBytes(encodeUtf8("plain"), 0)).to.equal(5);
    const lying = new Uint8Array(gzipSync(new Uint8Array(50_000)));
    lying.fill(0xff, lying.length - 4);
    expect(claimedSizeBytes(lying, 4 * 2 ** 20)).to.be.at.most(lying.length * 1_032);
    expect(claimedSizeBytes(lying, 1_000)).to.equal(1_000);
    lying.fill(0, lying.length - 4);
    expect(claimedSizeBytes(lying, 0)).to.equal(lying.length);
  });

  describe("recorded exchanges", () => {
    // The sink refuses 66, 67, 70-73, 76 and 77 for their content. Here it must get them unchanged.
    const expectations: Readonly<Record<string, { status: number; profileCount: number }>> = {
      "01": { status: 200, profileCount: 2 },
      "02": { status: 200, profileCount: 1 },
      "03": { status: 200, profileCount: 2 },
      "04": { status: 200, profileCount: 2 },
      ...Object.fromEntries(["65", "66", "67", "68", "69", "70", "71", "72", "73", "76", "77"].map((number) => [number, { status: 200, profileCount: 1 }])),
      "74": { status: 400, profileCount: 0 },
      "75": { status: 400, profileCount: 0 },
      "78": { status: 400, profileCount: 0 },
      "79": { status: 400, profileCount: 0 },
    };
    for (const [number, { status, profileCount }] of Object.entries(expectations)) {
      it(`${number} reaches the sink as sent, or is refused as said`, async function () {
        const corpus = corpusFolder();
        if (corpus === undefined) return this.skip();
        const exchange = readRecorded(corpus, number);
        const { sink, push } = rig();
        const reply = await push(exchange.body, exchange.headers);
        expect(reply.status).to.equal(status);
        expect(sink.arrived).to.have.length(profileCount);
        const sent = (JSON.parse(Buffer.from(exchange.body).toString()) as { series: { labels: unknown[]; samples: { rawProfile: string; ID?: string }[] }[] }).series;
        const flat = sent.flatMap(({ labels, samples }) => samples.map((sample) => ({ labels, ...sample })));
        sink.arrived.forEach((arrived, index) => {
          expect(arrived.labels).to.deep.equal(flat[index]!.labels);
          expect(Buffer.from(arrived.pprof).toString("base64")).to.equal(flat[index]!.rawProfile);
          expect(arrived.profileId === undefined).to.equal(flat[index]!.ID === undefined);
        });
      });
    }

    it("the words of 74 and 79", async function () {
      const corpus = corpusFolder();
      if (corpus === undefined) return this.skip();
      for (const number of ["74", "79"]) {
        const exchange = readRecorded(corpus, number);
        expect(messageOf(await rig().push(exchange.body, exchange.headers))).to.contain("no profiles received");
      }
    });
  });
});
