/** AdHocProfileService as clients that are not ours see it, in every protocol, over a fake of the node. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { CodedError, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { UNINTERRUPTED } from "@pyromesh/profile";
import { expect } from "chai";
import { printAdHocDiff, printAdHocGraph } from "../print/adhoc-reply.ts";
import type { AdHocAnswer, AdHocDiffQuery, AdHocEntry, AdHocProfiles, AdHocQuery, AdHocUpload } from "../ports/adhoc-profiles.ts";
import { DEFAULT_QUERY_LIMITS } from "../read/query-limits.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";
import { connectClient } from "../testing/rpc-clients.ts";
import { adHocRoutes } from "./adhoc-profiles.ts";
import { RateLimit } from "./rate-limit.ts";

const GRAPH = { names: ["total", 'say "hi"'], levels: [[0, 3, 0, 0], [0, 3, 3, 1]], total: 3, maxSelf: 3 };
const METADATA = { name: "cpu", spyName: "", sampleRate: 1e9, units: "samples" };
const SERVICE = "adhocprofiles.v1.AdHocProfileService";
const MIB = 2 ** 20;

class FakeAdHoc implements AdHocProfiles {
  readonly uploads: AdHocUpload[] = [];
  readonly queries: (AdHocQuery | AdHocDiffQuery)[] = [];
  failure: Error | undefined = undefined;
  isSaturated = false;

  upload(_tenant: string, upload: AdHocUpload): Promise<AdHocAnswer> {
    this.uploads.push({ ...upload, file: Uint8Array.from(upload.file) });
    return this.#graph(upload.form);
  }

  get(_tenant: string, query: AdHocQuery): Promise<AdHocAnswer> {
    this.queries.push(query);
    return this.#graph(query.form);
  }

  list(): Promise<readonly AdHocEntry[]> {
    return this.failure === undefined ? Promise.resolve([{ id: "2", name: "b", uploadedAtMs: 1_700_000_000_001 }, { id: "1", name: "a", uploadedAtMs: 1_700_000_000_000 }]) : Promise.reject(this.failure);
  }

  diff(_tenant: string, query: AdHocDiffQuery): Promise<AdHocAnswer> {
    this.queries.push(query);
    const bytes = printAdHocDiff({ ...GRAPH, levels: [[0, 3, 0, 0, 0, 0, 0]], leftTicks: 3, rightTicks: 0 }, METADATA, ["cpu"], query.form, UNINTERRUPTED);
    return this.failure === undefined ? Promise.resolve({ bytes, isSaturated: this.isSaturated }) : Promise.reject(this.failure);
  }

  #graph(form: "json" | "proto"): Promise<AdHocAnswer> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const bytes = printAdHocGraph(GRAPH, METADATA, { id: "1", name: "a", uploadedAt: 1_700_000_000_000, profileTypes: ["samples", "cpu"] }, form, UNINTERRUPTED);
    return Promise.resolve({ bytes, isSaturated: this.isSaturated });
  }
}

describe("AdHocProfileService", () => {
  let api: OpenApi;
  let adHoc: FakeAdHoc;
  async function open(limits: { readonly ingestionBodyBytesMax?: number; readonly ingestionRateBytesPerSecond?: number } = {}): Promise<void> {
    adHoc = new FakeAdHoc();
    const clock = new ManualClock();
    const all = { ...DEFAULT_QUERY_LIMITS, ingestionRateBytesPerSecond: 0, ingestionBurstBytes: MIB, ingestionBodyBytesMax: 32 * MIB, profileSizeBytesMax: 4 * MIB, ...limits };
    const rateLimit = new RateLimit({ limitsOf: () => all }, { clock });
    api = await openApi({ more: adHocRoutes({ limitsOf: () => all, queryBodyBytesMax: MIB }, { adHoc, rateLimit, clock }) });
  }
  afterEach(() => api.server.stop());

  const upload = (message: unknown, headers = {}): Promise<Response> => api.rpc(`${SERVICE}/Upload`, message, headers);
  const base64 = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString("base64");

  const transports: [name: string, of: (baseUrl: string) => Transport][] = [];
  for (const httpVersion of ["1.1", "2"] as const) {
    for (const useBinaryFormat of [true, false]) {
      const format = `HTTP/${httpVersion}, ${useBinaryFormat ? "protobuf" : "JSON"}`;
      transports.push([`Connect, ${format}`, (baseUrl) => createConnectTransport({ baseUrl, httpVersion, useBinaryFormat })]);
      transports.push([`Connect by GET, ${format}`, (baseUrl) => createConnectTransport({ baseUrl, httpVersion, useBinaryFormat, useHttpGet: true })]);
      transports.push([`gRPC-Web, ${format}`, (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion, useBinaryFormat })]);
    }
  }
  transports.push(["gRPC, protobuf", (baseUrl) => createGrpcTransport({ baseUrl })], ["gRPC, JSON", (baseUrl) => createGrpcTransport({ baseUrl, useBinaryFormat: false })]);

  for (const [name, of] of transports) {
    it(`${name}: every method is answered, and a refusal has its code`, async () => {
      await open();
      const client = connectClient(SERVICE, of(api.url));
      const uploaded = await client["upload"]!({ name: "a b.pb", profile: base64("main 1\n"), maxNodes: 7n });
      expect([uploaded["id"], uploaded["uploadedAt"], uploaded["profileType"], uploaded["profileTypes"]]).to.deep.equal(["1", 1_700_000_000_000n, "cpu", ["samples", "cpu"]]);
      expect((JSON.parse(uploaded["flamebearerProfile"] as string) as { flamebearer: { names: string[] } }).flamebearer.names).to.deep.equal(GRAPH.names);
      expect(adHoc.uploads.map((one) => [one.name, Buffer.from(one.file).toString(), one.maxNodes])).to.deep.equal([["a b.pb", "main 1\n", 7]]);
      expect(await client["get"]!({ id: "1", profileType: "cpu" })).to.include({ id: "1" });
      const listed = await client["list"]!({});
      expect((listed["profiles"] as { id: string }[]).map(({ id }) => id)).to.deep.equal(["2", "1"]);
      const diff = await client["diff"]!({ leftId: "1", rightId: "2" });
      expect([diff["profileTypes"], (JSON.parse(diff["flamebearerProfile"] as string) as { metadata: { format: string } }).metadata.format]).to.deep.equal([["cpu"], "double"]);
      expect(adHoc.queries.map(({ profileType, maxNodes }) => [profileType, maxNodes])).to.deep.equal([["cpu", 8192], [undefined, 8192]]);
      adHoc.failure = new CodedError({ code: "ADHOC_NOT_FOUND", kind: "not_found", message: "profile 1 not found" });
      const refused = await client["get"]!({ id: "1" }).catch((thrown: unknown) => thrown);
      expect(refused).to.be.instanceOf(ConnectError).and.have.property("code", Code.NotFound);
    });
  }

  it("base64 of either alphabet, padded or not, escaped as JSON may, and in lines", async () => {
    await open();
    const file = Uint8Array.from({ length: 256 }, (_, index) => index);
    const padded = base64(file);
    const spellings = [padded, padded.replace(/=+$/, ""), padded.replaceAll("+", "-").replaceAll("/", "_"), padded.replace(/(.{76})/g, "$1\n")];
    for (const profile of spellings) expect((await upload({ name: "a", profile })).status).to.equal(200);
    expect((await upload(`{"profile":"${padded.replaceAll("/", "\\/").replaceAll("=", "\\u003d")}"}`)).status).to.equal(200);
    for (const one of adHoc.uploads) expect(one.file).to.deep.equal(file);
  });

  it("a file of megabytes in JSON, its keys in any order and others among them", async () => {
    await open();
    const file = Buffer.alloc(5 * MIB, "main;work 1\n");
    expect((await upload(`{"x":[{"profile":"no"}],"profile":"${base64(file)}","max_nodes":null,"name":"late"}`)).status).to.equal(200);
    expect([adHoc.uploads[0]!.name, Buffer.compare(adHoc.uploads[0]!.file, file)]).to.deep.equal(["late", 0]);
  });

  it("a name of megabytes is not made a text: its beginning is enough to refuse it, and the last one sent counts", async () => {
    await open();
    const field = (number: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([number * 8 + 2]), varint(content.length), content]);
    const name = "ä".repeat(5 * MIB);
    const send = (body: Buffer): Promise<Response> => fetch(`${api.url}/${SERVICE}/Upload`, { method: "POST", headers: { "content-type": "application/proto" }, body });
    const file = field(2, Buffer.from(base64("main 1\n")));
    expect((await send(Buffer.concat([field(1, Buffer.from(name)), file]))).status).to.equal(200);
    expect((await send(Buffer.concat([field(1, Buffer.from(name)), file, field(1, Buffer.from("ä.pb"))]))).status).to.equal(200);
    expect(adHoc.uploads.map((one) => one.name)).to.deep.equal([name.slice(0, 2048), "ä.pb"]);
  });

  it("a body beyond its limit is 413, and the rate limit of pushes holds", async () => {
    await open({ ingestionBodyBytesMax: 1000 });
    expect((await upload({ profile: "A".repeat(2000) })).status).to.equal(413);
    await api.server.stop();
    await open({ ingestionRateBytesPerSecond: 1 });
    const almost = base64(Buffer.alloc(MIB - 10, "x"));
    expect((await upload({ profile: almost })).status).to.equal(200);
    const limited = await upload({ profile: almost });
    expect([limited.status, Number(limited.headers.get("retry-after")) > 1000]).to.deep.equal([429, true]);
    expect((await upload({ profile: base64(Buffer.alloc(MIB + 10)) })).status, "more than ever passes").to.equal(400);
    expect(adHoc.uploads.length).to.equal(1);
  });

  it("what was clamped is said, and what the node refuses has its status", async () => {
    await open();
    adHoc.isSaturated = true;
    for (const reply of [await upload({ profile: "bWFpbiAxCg==" }), await api.rpc(`${SERVICE}/Get`, { id: "1" })]) expect(reply.headers.get("x-pyromesh-saturated")).to.equal("true");
    adHoc.failure = unavailable("BUCKET_UNAVAILABLE", "the bucket is away");
    const away = await upload({ profile: "bWFpbiAxCg==" });
    expect([away.status, ((await away.json()) as { message: string }).message]).to.deep.equal([503, "the bucket is away"]);
    expect((await upload({ profile: "bWFpbiAxCg==" }, { "content-type": "text/plain" })).status).to.equal(415);
    expect((await api.rpc(`${SERVICE}/Get`, { id: "1", maxNodes: 2 ** 21 })).status).to.equal(400);
  });
});

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}
