/** What a client is told of each kind of refusal: the HTTP status, the code of Connect and that of gRPC, in every protocol. */
import { connect } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { CodedError } from "@pyromesh/base";
import type { ErrorKind } from "@pyromesh/base";
import { expect } from "chai";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi, OpenApiInit } from "../testing/open-api.ts";

const PATH = "/querier.v1.QuerierService/LabelNames";
const RANGE = { start: 1_700_000_000_000, end: 1_700_000_060_000 };

/** Kind, HTTP status of Connect, status of gRPC: Connect's and gRPC's own tables. */
const KINDS: readonly (readonly [kind: ErrorKind, http: number, grpc: number])[] = [
  ["canceled", 499, 1],
  ["invalid_argument", 400, 3],
  ["deadline_exceeded", 504, 4],
  ["not_found", 404, 5],
  ["permission_denied", 403, 7],
  ["resource_exhausted", 429, 8],
  ["failed_precondition", 400, 9],
  ["unimplemented", 501, 12],
  ["internal", 500, 13],
  ["unavailable", 503, 14],
  ["data_loss", 500, 15],
  ["unauthenticated", 401, 16],
];

interface Told {
  readonly http: number;
  /** A word of Connect, or a number of gRPC; undefined where the reply has none. */
  readonly code: string | number | undefined;
  readonly message: string;
}

interface Call {
  readonly path?: string;
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

describe("a refusal", () => {
  let api: OpenApi;
  let session: ClientHttp2Session | undefined;
  const open = async (init: OpenApiInit = {}): Promise<OpenApi> => (api = await openApi(init));
  afterEach(async () => {
    session?.destroy();
    session = undefined;
    await api.server.stop();
  });

  const ofConnect = async (reply: Response): Promise<Told> => {
    const text = await reply.text();
    const { code, message } = (text.startsWith("{") ? JSON.parse(text) : { message: text }) as { code?: string; message: string };
    return { http: reply.status, code, message };
  };
  const ofTrailers = (http: number, text: string): Told => {
    const value = (name: string): string => new RegExp(`${name}: ([^\r]*)`).exec(text)?.[1] ?? "";
    return { http, code: value("grpc-status") === "" ? undefined : Number(value("grpc-status")), message: decodeURIComponent(value("grpc-message")) };
  };
  const frame = (message: string): Buffer => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    return Buffer.concat([head, Buffer.from(message)]);
  };
  const post = (contentType: string, body: string | Buffer, { path = PATH, headers = {} }: Call): Promise<Response> =>
    fetch(`${api.url}${path}`, { method: "POST", headers: { "content-type": contentType, ...headers }, body: typeof body === "string" ? body : Uint8Array.from(body) });
  const grpc = (contentType: string, { path = PATH, message = JSON.stringify(RANGE), headers = {} }: Call): Promise<Told> =>
    new Promise((resolve) => {
      session ??= connect(api.url);
      const stream = session.request({ ":method": "POST", ":path": path, "content-type": contentType, te: "trailers", ...headers });
      let [http, text] = [0, ""];
      const add = (fields: Readonly<Record<string, unknown>>): void => {
        for (const [name, value] of Object.entries(fields)) text += `${name}: ${String(value)}\r\n`;
      };
      stream.on("response", (fields) => {
        http = Number(fields[":status"]);
        add(fields);
      });
      stream.on("trailers", add).on("error", () => {}).on("close", () => resolve(ofTrailers(http, text)));
      stream.resume();
      stream.end(frame(message));
    });

  /** All with JSON, so that one message fits. */
  const CONNECT: readonly (readonly [name: string, call: (call: Call) => Promise<Told>])[] = [
    ["Connect", async (call) => ofConnect(await post("application/json", call.message ?? JSON.stringify(RANGE), call))],
    ["Connect's GET", async ({ path = PATH, message = JSON.stringify(RANGE), headers = {} }) => ofConnect(await api.get(`${path}?${new URLSearchParams({ connect: "v1", encoding: "json", message }).toString()}`, headers))],
  ];
  const GRPC: typeof CONNECT = [
    ["gRPC", (call) => grpc("application/grpc+json", call)],
    ["gRPC-Web", async (call) => {
      const reply = await post("application/grpc-web+json", frame(call.message ?? JSON.stringify(RANGE)), call);
      return ofTrailers(reply.status, await reply.text());
    }],
    ["gRPC-Web as text", async (call) => {
      const reply = await post("application/grpc-web-text+json", frame(call.message ?? JSON.stringify(RANGE)).toString("base64"), call);
      return ofTrailers(reply.status, Buffer.from(await reply.text(), "base64").toString());
    }],
  ];

  for (const [kind, http, grpcCode] of KINDS) {
    it(`${kind} is ${http} and "${kind}" in Connect, and 200 with ${grpcCode} in gRPC, with its sentence`, async () => {
      await open();
      api.source.failure = new CodedError({ code: "TEST", kind, message: "why, and what to do" });
      for (const [name, call] of CONNECT) expect(await call({}), name).to.deep.equal({ http, code: kind, message: "why, and what to do" });
      for (const [name, call] of GRPC) expect(await call({}), name).to.deep.equal({ http: 200, code: grpcCode, message: "why, and what to do" });
    });
  }

  it("for want of a tenant is unauthenticated", async () => {
    await open({ isMultitenant: true });
    for (const [name, call] of CONNECT) expect(await call({}), name).to.include({ http: 401, code: "unauthenticated" });
    for (const [name, call] of GRPC) expect(await call({}), name).to.include({ http: 200, code: 16 });
    for (const [name, call] of [...CONNECT, ...GRPC]) expect((await call({ headers: { "x-scope-orgid": "a" } })).http, name).to.equal(200);
  });

  it("for a message that cannot be read, and for one that is too large, is invalid_argument; Connect's status of the latter is 413", async () => {
    await open();
    const large = JSON.stringify({ ...RANGE, matchers: ["x".repeat(600_000)] });
    for (const [name, call] of CONNECT) expect(await call({ message: "{" }), name).to.include({ http: 400, code: "invalid_argument" });
    for (const [name, call] of GRPC) expect(await call({ message: "{" }), name).to.include({ http: 200, code: 3 });
    expect(await CONNECT[0]![1]({ message: large })).to.include({ http: 413, code: "invalid_argument" });
    for (const [name, call] of GRPC) expect(await call({ message: large }), name).to.include({ http: 200, code: 3 });
  });

  it("at the deadline of the client is deadline_exceeded", async () => {
    await open();
    for (const [name, call] of [...CONNECT, ...GRPC]) {
      api.source.gate = new Promise(() => {});
      const query = api.source.nextQuery();
      const told = call({ headers: { "connect-timeout-ms": "50", "grpc-timeout": "50m" } });
      await query;
      api.clock.advance(50);
      const { http, code, message } = await told;
      expect([http, code], name).to.deep.equal(CONNECT.some(([other]) => other === name) ? [504, "deadline_exceeded"] : [200, 4]);
      expect(message, name).to.match(/^the request took longer than its (Connect-Timeout-Ms|grpc-timeout) of 50/);
    }
  });

  it("for an encoding that is not known is unimplemented, and names those that are", async () => {
    await open();
    expect(await CONNECT[0]![1]({ headers: { "content-encoding": "br" } })).to.include({ http: 501, code: "unimplemented" }).and.property("message").that.matches(/gzip, zstd, deflate/);
    for (const [name, call] of GRPC) expect(await call({ headers: { "grpc-encoding": "br" } }), name).to.include({ http: 200, code: 12 }).and.property("message").that.matches(/gzip, zstd, deflate/);
  });

  it("for a method that does not exist is 404 in Connect and unimplemented in gRPC", async () => {
    await open();
    const path = "/querier.v1.QuerierService/Nope";
    for (const [name, call] of CONNECT) expect(await call({ path }), name).to.include({ http: 404, code: undefined });
    for (const [name, call] of GRPC) expect(await call({ path }), name).to.include({ http: 200, code: 12 });
  });

  it("for a content type that is not known is 415, over HTTP/2 too, and for another method 405", async () => {
    await open();
    for (const contentType of ["application/xml", "application/grpc+thrift", "application/grpc-web+thrift"]) {
      const reply = await post(contentType, "{}", {});
      expect([reply.status, reply.headers.get("accept-post") === null], contentType).to.deep.equal([415, false]);
      expect((await grpc(contentType, {})).http, contentType).to.equal(415);
    }
    const wrong = await fetch(`${api.url}${PATH}`, { method: "PUT" });
    expect([wrong.status, wrong.headers.get("allow")]).to.deep.equal([405, "POST, GET"]);
    expect((await api.get(PATH)).status, "a GET that is no call").to.equal(405);
  });
});
