/** Clients that are not ours against the listener: gRPC's own, and Connect's in all of its protocols. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Metadata, status } from "@grpc/grpc-js";
import type { CallOptions, Client, ServiceError } from "@grpc/grpc-js";
import { Metrics, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { connectClient, grpcClient, serviceOf } from "../testing/rpc-clients.ts";
import { FakeSink } from "../testing/fake-sink.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi, OpenApiInit } from "../testing/open-api.ts";
import { Discards } from "../write/discards.ts";
import { PushCounts } from "../write/push-counts.ts";
import { PushGate } from "../write/push-gate.ts";
import { pushHandler } from "../write/push.ts";
import { RateLimit } from "../write/rate-limit.ts";

const RANGE = { start: 1_700_000_000_000, end: 1_700_000_060_000 };
const QUERIER = "querier.v1.QuerierService";

type Answer = Readonly<Record<string, unknown>>;
interface GrpcOutcome {
  readonly answer: Answer | undefined;
  readonly error: ServiceError | null;
  readonly headers: Metadata;
}

function call(client: Client, method: string, message: unknown, metadata: Metadata = new Metadata(), options: CallOptions = {}): Promise<GrpcOutcome> {
  return new Promise((resolve) => {
    let headers = new Metadata();
    const unary = (client as unknown as Record<string, (...args: unknown[]) => NodeJS.EventEmitter>)[method]!; // the client has its methods by name
    const running = unary.call(client, message, metadata, options, (error: ServiceError | null, answer: Answer | undefined) => setImmediate(() => resolve({ answer, error, headers })));
    running.on("metadata", (received: Metadata) => (headers = received));
  });
}

describe("clients of RPCs", () => {
  let api: OpenApi;
  let client: Client | undefined;
  const open = async (init: OpenApiInit = {}): Promise<OpenApi> => (api = await openApi(init));
  const grpc = (service = QUERIER, options = {}): Client => (client = grpcClient(service, api.server.port, options));
  afterEach(async () => {
    client?.close();
    client = undefined;
    await api.server.stop();
  });

  describe("gRPC", () => {
    it("a query is answered, with the receipt among the metadata", async () => {
      await open();
      api.source.labelSets = [[{ name: "pod", value: "a" }], [{ name: "zone", value: "b" }]];
      const { answer, error, headers } = await call(grpc(), "LabelNames", RANGE);
      expect(error).to.equal(null);
      expect([answer, headers.get("x-pyromesh-records")]).to.deep.equal([{ names: ["pod", "zone"] }, ["7"]]);
    });

    it("a refusal has its code, its sentence, and when to try again", async () => {
      await open();
      const bad = await call(grpc(), "LabelNames", { ...RANGE, end: 1 });
      expect([bad.error?.code, bad.error?.details]).to.deep.equal([status.INVALID_ARGUMENT, (await (await api.rpc("LabelNames", { ...RANGE, end: 1 })).json() as { message: string }).message]);
      api.source.failure = unavailable("AWAY", "größer: später");
      const away = await call(client!, "LabelNames", RANGE);
      expect([away.error?.code, away.error?.details, away.error?.metadata.get("retry-after")]).to.deep.equal([status.UNAVAILABLE, "größer: später", ["1"]]);
      expect(String(away.error?.metadata.get("grpc-status-details-bin")[0])).to.contain("type.googleapis.com/google.rpc.RetryInfo");
    });

    it("a tenant is asked for", async () => {
      await open({ isMultitenant: true });
      expect((await call(grpc(), "LabelNames", RANGE)).error?.code).to.equal(status.UNAUTHENTICATED);
      const metadata = new Metadata();
      metadata.set("X-Scope-OrgID", "a");
      expect((await call(client!, "LabelNames", RANGE, metadata)).error).to.equal(null);
    });

    it("a deadline stops the work of the node", async () => {
      await open();
      api.source.gate = new Promise(() => {});
      const query = api.source.nextQuery();
      const outcome = call(grpc(), "LabelNames", RANGE, new Metadata(), { deadline: Date.now() + 300 });
      const signal = await query;
      expect((await outcome).error?.code).to.equal(status.DEADLINE_EXCEEDED);
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      expect(signal.aborted).to.equal(true);
    });

    for (const [name, algorithm] of [["deflate", 1], ["gzip", 2]] as const) {
      it(`a client that compresses its messages with ${name} gets those of the node`, async () => {
        await open();
        api.source.labelSets = Array.from({ length: 500 }, (_, index) => [{ name: `name_${index}`, value: "x" }]);
        const { answer } = await call(grpc(QUERIER, { "grpc.default_compression_algorithm": algorithm }), "LabelNames", { ...RANGE, matchers: [`{a!="${"x".repeat(5000)}"}`] });
        expect((answer!["names"] as readonly string[]).length).to.equal(500);
      });
    }

    it("a long answer comes whole", async () => {
      await open({ queryLimits: { labelListingMax: 0, labelListingBytesMax: 0 } as never });
      api.source.labelSets = Array.from({ length: 100_000 }, (_, index) => [{ name: `a_rather_long_name_of_a_label_${index}`, value: "x" }]);
      const { answer, error } = await call(grpc(QUERIER, { "grpc.max_receive_message_length": -1 }), "LabelNames", RANGE);
      expect(error).to.equal(null);
      expect((answer!["names"] as readonly string[]).length).to.equal(100_000);
    });

    it("a push is stored", async () => {
      const sink = new FakeSink();
      const clock = new ManualClock();
      const limitsOf = (): never => ({ ingestionRateBytesPerSecond: 0, ingestionBurstBytes: 2 ** 20, ingestionBodyBytesMax: 2 ** 25, profileSizeBytesMax: 2 ** 22 }) as never;
      const metrics = new Metrics();
      const push = pushHandler({ limitsOf }, { sink, clock, gate: new PushGate({ clock, metrics }), rateLimit: new RateLimit({ limitsOf }, { clock }), counts: new PushCounts({ metrics }), discards: new Discards({ metrics }) });
      await open({ push });
      const series = [{ labels: [{ name: "__name__", value: "memory" }], samples: [{ rawProfile: Buffer.alloc(100_000, "p") }] }];
      expect((await call(grpc("push.v1.PusherService"), "Push", { series })).error).to.equal(null);
      expect(sink.arrived.map(({ pprof }) => pprof.length)).to.deep.equal([100_000]);
      expect((await call(client!, "Push", { series: [] })).error).to.include({ code: status.INVALID_ARGUMENT });
    });

    it("a method that does not exist is unimplemented", async () => {
      await open();
      const nowhere = grpc();
      const error = await new Promise<ServiceError | null>((resolve) => nowhere.makeUnaryRequest("/querier.v1.QuerierService/Nope", () => Buffer.alloc(0), (bytes) => bytes, {}, resolve));
      expect([error?.code, error?.details]).to.deep.equal([status.UNIMPLEMENTED, "this node has no such method: check the names of service and method, and the port"]);
    });

    it("a stop lets running calls end", async () => {
      await open();
      let release!: () => void;
      api.source.gate = new Promise((resolve) => (release = resolve));
      const query = api.source.nextQuery();
      const outcome = call(grpc(), "LabelNames", RANGE);
      await query;
      const stopped = api.server.stop();
      release();
      expect((await outcome).error).to.equal(null);
      client!.close();
      await stopped;
    });
  });

  describe("Connect's client", () => {
    const transports: readonly (readonly [name: string, of: (baseUrl: string) => Transport])[] = [];
    const add = (name: string, of: (baseUrl: string) => Transport): void => void (transports as [string, (baseUrl: string) => Transport][]).push([name, of]);
    for (const httpVersion of ["1.1", "2"] as const) {
      for (const useBinaryFormat of [true, false]) {
        const format = useBinaryFormat ? "protobuf" : "JSON";
        add(`Connect, HTTP/${httpVersion}, ${format}`, (baseUrl) => createConnectTransport({ baseUrl, httpVersion, useBinaryFormat }));
        add(`Connect by GET, HTTP/${httpVersion}, ${format}`, (baseUrl) => createConnectTransport({ baseUrl, httpVersion, useBinaryFormat, useHttpGet: true }));
        add(`gRPC-Web, HTTP/${httpVersion}, ${format}`, (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion, useBinaryFormat }));
      }
    }
    add("gRPC, protobuf", (baseUrl) => createGrpcTransport({ baseUrl }));
    add("gRPC, JSON", (baseUrl) => createGrpcTransport({ baseUrl, useBinaryFormat: false }));

    for (const [name, of] of transports) {
      it(`${name}: every method of the querier is answered, and a refusal has its code`, async () => {
        await open();
        api.source.labelSets = [[{ name: "pod", value: "a" }]];
        const querier = connectClient(QUERIER, of(api.url));
        for (const { localName } of serviceOf(QUERIER).methods) {
          const message = { ...RANGE_BIG, profileTypeID: TYPE, labelSelector: "{}", name: "pod", step: 15, left: MERGE, right: MERGE, query: "{}" };
          const answer = await querier[localName]!(only(localName, message));
          expect(answer, localName).to.be.an("object");
        }
        expect(await querier["labelNames"]!(RANGE_BIG)).to.have.property("names").that.deep.equals(["pod"]);
        const refused = await querier["selectSeries"]!({ ...MERGE }).catch((thrown: unknown) => thrown);
        expect(refused).to.be.instanceOf(ConnectError).and.have.property("code", Code.InvalidArgument);
        expect((refused as ConnectError).rawMessage).to.match(/step/);
      });
    }
  });
});

const TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const RANGE_BIG = { start: 1_700_000_000_000n, end: 1_700_000_060_000n };
const MERGE = { ...RANGE_BIG, profileTypeID: TYPE, labelSelector: "{}" };

/** The fields of `message` that the method has. */
function only(localName: string, message: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { input } = serviceOf(QUERIER).methods.find((method) => method.localName === localName)!;
  return Object.fromEntries(Object.entries(message).filter(([name]) => input.fields.some((field) => field.localName === name)));
}
