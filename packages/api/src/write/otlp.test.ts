import { gzipSync } from "node:zlib";
import { CodedError, invalidArgument, MemoryBudget, Metrics, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import type { ApiReply, Handler } from "../ports/http.ts";
import type { ProfileSink, RefusedProfile } from "../ports/ports.ts";
import { RequestMemory } from "../ports/request-memory.ts";
import { FLAG_COMPRESSED, frameHeader } from "../rpc/message-frame.ts";
import { protocolOf } from "../rpc/protocols.ts";
import { fakeRequest } from "../testing/fake-request.ts";
import { FakeSink } from "../testing/fake-sink.ts";
import { Discards } from "./discards.ts";
import { EXPORT_PROFILES_PATH, OTLP_HTTP_PATHS, otlpHttpHandler, otlpRpcHandler } from "./otlp.ts";
import type { WriteLimits } from "./push.ts";
import { PushCounts } from "./push-counts.ts";
import { PushGate } from "./push-gate.ts";
import { RateLimit } from "./rate-limit.ts";

const LIMITS: WriteLimits = { ingestionRateBytesPerSecond: 0, ingestionBurstBytes: 8 * 2 ** 20, ingestionBodyBytesMax: 256 * 2 ** 20, profileSizeBytesMax: 4 * 2 ** 20 };
const PROTO = { "content-type": "application/x-protobuf" };
const JSON_TYPE = { "content-type": "application/json" };
const EXPORT_BYTES_MAX = 16 * 2 ** 20;

/** Of one profile, in JSON: the sink of these tests reads what it gets. */
const EXPORT = JSON.stringify({
  resourceProfiles: [{ resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] }, scopeProfiles: [{ profiles: [{ sampleType: { typeStrindex: 1, unitStrindex: 2 }, samples: [{ stackIndex: 0, values: ["7"] }] }] }] }],
  dictionary: { stringTable: ["", "samples", "count"], stackTable: [{}] },
});

interface Rig {
  readonly sink: FakeSink;
  readonly send: (body: Uint8Array | string, headers?: Readonly<Record<string, string>>) => Promise<ApiReply>;
  readonly handle: Handler;
  readonly call: (body: Uint8Array | string, headers: Readonly<Record<string, string>>) => Promise<ApiReply>;
  /** Profiles, and bytes, by the name of the metric between `pyromesh_` and `_total`. */
  readonly counts: () => Promise<Readonly<Record<string, number>>>;
}

function rig(limits: Partial<WriteLimits> = {}, parts: readonly RefusedProfile[] = []): Rig {
  const kept = new FakeSink();
  const sink: ProfileSink = { push: async (tenant, profiles) => ({ ...(await kept.push(tenant, profiles)), parts }) };
  const metrics = new Metrics();
  const clock = new ManualClock();
  const limitsOf = (): WriteLimits => ({ ...LIMITS, ...limits });
  const modules = { sink, clock, gate: new PushGate({ clock, metrics }), rateLimit: new RateLimit({ limitsOf }, { clock }), counts: new PushCounts({ metrics }), discards: new Discards({ metrics }) };
  const [http, rpc] = [otlpHttpHandler({ limitsOf }, modules), otlpRpcHandler({ limitsOf }, modules)];
  return {
    sink: kept,
    handle: rpc,
    send: (body, headers = JSON_TYPE) => http(fakeRequest({ path: OTLP_HTTP_PATHS[0]!, headers, body })),
    call: (body, headers) => rpc(fakeRequest({ path: EXPORT_PROFILES_PATH, headers, body })),
    counts: async () => {
      const sums: Record<string, number> = {};
      for (const [, name, value] of (await metrics.text()).matchAll(/^pyromesh_((?:received|accepted|discarded)_\w+)_total\{.*\} (\d+)$/gm)) sums[name!] = (sums[name!] ?? 0) + Number(value);
      return sums;
    },
  };
}

function textOf({ body }: ApiReply): string {
  return typeof body === "string" ? body : Buffer.from(body).toString();
}

function refusedPart(message: string): RefusedProfile {
  return { index: 0, error: new CodedError({ code: "PROFILE_MALFORMED", kind: "invalid_argument", message, details: { reason: "malformed_profile" } }) };
}

describe("otlp", () => {
  it("an export reaches the sink as one body for a worker, and counts as one profile with its bytes as decompressed", async () => {
    const { sink, send, counts } = rig();
    const reply = await send(gzipSync(EXPORT), { ...JSON_TYPE, "content-encoding": "gzip" });
    expect([reply.status, reply.headers["content-type"], textOf(reply)]).to.deep.equal([200, "application/json", "{}"]);
    const [arrived] = sink.arrived;
    expect(arrived).to.deep.include({ format: { kind: "otlp", form: { encoding: "json" } }, labels: [] });
    expect(Buffer.from(arrived!.pprof).toString()).to.equal(EXPORT);
    expect(await counts()).to.deep.equal({ received_profiles: 1, received_bytes: EXPORT.length, accepted_profiles: 1, accepted_bytes: EXPORT.length });
  });

  it("the reply has the encoding of the request: protobuf by either name, and over an RPC as the protocol has it", async () => {
    const { send, call, sink } = rig();
    sink.refuse = () => invalidArgument("X", "bad");
    for (const type of ["application/x-protobuf", "application/protobuf; charset=utf-8"]) {
      const reply = await send(new Uint8Array([1]), { "content-type": type });
      expect([reply.status, reply.headers["content-type"]]).to.deep.equal([400, "application/x-protobuf"]);
      expect(Buffer.from(reply.body).toString("hex"), "google.rpc.Status: code 3, message").to.equal(Buffer.from("\x08\x03\x12\x03bad").toString("hex"));
    }
    const json = await send(EXPORT);
    expect([json.status, JSON.parse(textOf(json))]).to.deep.equal([400, { code: 3, message: "bad" }]);
    const rpc = await call(EXPORT, JSON_TYPE);
    expect([rpc.status, JSON.parse(textOf(rpc))]).to.deep.equal([400, { code: "invalid_argument", message: "bad" }]);
    const stored = await rig().call(EXPORT, JSON_TYPE);
    expect([stored.status, stored.headers["content-type"], textOf(stored)]).to.deep.equal([200, "application/json", "{}"]);
  });

  it("an export of another media type is 415, and nothing is counted", async () => {
    const { send, call, counts } = rig();
    for (const headers of [{}, { "content-type": "text/plain" }]) {
      expect((await send(EXPORT, headers)).status).to.equal(415);
      expect((await call(EXPORT, headers)).status).to.equal(415);
    }
    expect(await counts()).to.deep.equal({});
  });

  it("profiles that are refused while the others are stored are told in partial_success, and counted as discarded", async () => {
    const { send, counts } = rig({}, [refusedPart("the first is bad"), refusedPart("the third is bad")]);
    const reply = await send(EXPORT);
    expect(reply.status).to.equal(200);
    expect(JSON.parse(textOf(reply))).to.deep.equal({ partialSuccess: { rejectedProfiles: "2", errorMessage: "the first is bad; the third is bad" } });
    expect(await counts()).to.include({ received_profiles: 1, accepted_profiles: 1, discarded_samples: 2 });
  });

  it("partial_success tells of twenty refusals and the number of the others", async () => {
    const { send } = rig({}, Array.from({ length: 23 }, (_, i) => refusedPart(`profile ${i} is bad`)));
    const { partialSuccess } = JSON.parse(textOf(await send(EXPORT))) as { partialSuccess: { rejectedProfiles: string; errorMessage: string } };
    expect(partialSuccess.rejectedProfiles).to.equal("23");
    expect(partialSuccess.errorMessage).to.match(/^profile 0 is bad; .*profile 19 is bad; and 3 more$/);
  });

  // Over gRPC, where a collector compresses by default, it was once: 60 exports of 15 KB took 319 MB of a node.
  it("a compressed export takes memory for the copies that a worker makes, over HTTP and in each protocol", async () => {
    const message = gzipSync(EXPORT);
    const framed = Buffer.concat([frameHeader(message.length, FLAG_COMPRESSED), message]);
    const kinds = [
      [message, { "content-type": "application/json", "content-encoding": "gzip" }],
      [framed, { "content-type": "application/grpc+json", "grpc-encoding": "gzip" }],
      [framed, { "content-type": "application/grpc-web+json", "grpc-encoding": "gzip" }],
      [framed.toString("base64"), { "content-type": "application/grpc-web-text+json", "grpc-encoding": "gzip" }],
    ] as const;
    for (const [body, headers] of kinds) {
      const budget = new MemoryBudget({ bytesMax: 2 ** 20, waitTimeoutMs: 5000 }, { clock: new ManualClock() });
      const request = fakeRequest({ path: EXPORT_PROFILES_PATH, headers, body, unpackMemory: new RequestMemory(budget) });
      expect((await rig().handle(protocolOf({ headers, httpVersion: "2.0" })?.request(request) ?? request)).status, headers["content-type"]).to.equal(200);
      expect(budget.bytes, headers["content-type"]).to.equal(3 * EXPORT.length);
    }
  });

  it("beyond the rate an export is 429 and discarded, and its sender may try again", async () => {
    const { send, sink, counts } = rig({ ingestionRateBytesPerSecond: 1, ingestionBurstBytes: EXPORT.length });
    expect((await send(EXPORT)).status).to.equal(200);
    const reply = await send(EXPORT);
    expect([reply.status, JSON.parse(textOf(reply)).code]).to.deep.equal([429, 8]);
    expect(sink.arrived).to.have.length(1);
    expect(await counts()).to.deep.equal({ received_profiles: 2, received_bytes: 2 * EXPORT.length, accepted_profiles: 1, accepted_bytes: EXPORT.length, discarded_samples: 1, discarded_bytes: EXPORT.length });
  });

  it("an export of more than 16 MiB, as sent or decompressed, is refused with a sentence and counted as discarded, whatever the tenant's limit", async () => {
    for (const [body, headers] of [
      [new Uint8Array(EXPORT_BYTES_MAX + 1), PROTO],
      [gzipSync(new Uint8Array(EXPORT_BYTES_MAX + 1)), { ...PROTO, "content-encoding": "gzip" }],
    ] as const) {
      const { send, sink, counts } = rig();
      const reply = await send(body, headers);
      expect(reply.status).to.equal(413);
      expect(textOf(reply)).to.match(/16777216 bytes/);
      expect(sink.arrived).to.have.length(0);
      const { received_profiles: received, discarded_samples: discarded } = await counts();
      expect([received, discarded]).to.deep.equal([1, 1]);
    }
  });

  it("an export that the store cannot take now is 503 and discarded", async () => {
    const { send, sink, counts } = rig();
    sink.refuse = () => {
      throw unavailable("HEAD_FULL", "full");
    };
    const reply = await send(EXPORT);
    expect([reply.status, JSON.parse(textOf(reply))]).to.deep.equal([503, { code: 14, message: "full" }]);
    expect(await counts()).to.deep.equal({ received_profiles: 1, received_bytes: EXPORT.length, accepted_profiles: 0, accepted_bytes: 0, discarded_samples: 1, discarded_bytes: EXPORT.length });
  });

  it("over HTTP an unknown content encoding is 415, with those that are known", async () => {
    const reply = await rig().send(EXPORT, { ...JSON_TYPE, "content-encoding": "br" });
    expect([reply.status, reply.headers["accept-encoding"], JSON.parse(textOf(reply)).code]).to.deep.equal([415, "gzip, zstd, deflate", 12]);
  });
});
