import { status } from "@grpc/grpc-js";
import type { Client, ServiceError } from "@grpc/grpc-js";
import { expect } from "chai";
import { grpcClient } from "../testing/rpc-clients.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";

interface Watch {
  /** Resolves with the next status. */
  next(): Promise<string>;
  readonly ended: Promise<ServiceError>;
  cancel(): void;
}

interface HealthStream extends NodeJS.EventEmitter {
  cancel(): void;
}

interface HealthClient {
  Check(request: unknown, onReply: (error: ServiceError | null, answer: { readonly status: string }) => void): void;
  Watch(request: unknown): HealthStream;
}

describe("grpc.health.v1.Health", () => {
  let api: OpenApi;
  let client: Client & HealthClient;
  const open = async (): Promise<void> => {
    api = await openApi();
    client = grpcClient("grpc.health.v1.Health", api.server.port) as unknown as Client & HealthClient; // made of health.proto
  };
  const check = (service: string): Promise<string | number> =>
    new Promise((resolve) => client.Check({ service }, (error, answer) => resolve(error === null ? answer.status : error.code)));
  const watch = (service: string): Watch => {
    const stream = client.Watch({ service });
    const statuses: string[] = [];
    let wake: (() => void) | undefined;
    stream.on("data", (answer: { readonly status: string }) => {
      statuses.push(answer.status);
      wake?.();
    });
    const ended = new Promise<ServiceError>((resolve) => stream.on("error", resolve));
    const next = async (): Promise<string> => {
      while (statuses.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return statuses.shift()!;
    };
    return { next, ended, cancel: () => stream.cancel() };
  };
  afterEach(async () => {
    client.close();
    await api.server.stop();
  });

  it("SERVING follows /ready, for the node and for each service; another service is not found", async () => {
    await open();
    expect([await check(""), await check("querier.v1.QuerierService"), await check("grpc.health.v1.Health")]).to.deep.equal(["SERVING", "SERVING", "SERVING"]);
    api.admin.waitsFor = "the bucket";
    expect([await check(""), await check("push.v1.PusherService"), await check("nope")]).to.deep.equal(["NOT_SERVING", "NOT_SERVING", status.NOT_FOUND]);
  });

  it("over Connect it is the same", async () => {
    await open();
    const reply = await api.rpc("grpc.health.v1.Health/Check", {});
    expect(await reply.json()).to.deep.equal({ status: "SERVING" });
    const stream = await api.rpc("grpc.health.v1.Health/Watch", {});
    expect([stream.status, ((await stream.json()) as { message: string }).message]).to.deep.equal([501, "this call has a stream of messages, which only gRPC has here: send it as application/grpc over HTTP/2"]);
  });

  it("a watch gets the status at once, and each change", async () => {
    await open();
    const watched = watch("");
    expect(await watched.next()).to.equal("SERVING");
    api.admin.waitsFor = "the bucket";
    api.clock.advance(1000);
    expect(await watched.next()).to.equal("NOT_SERVING");
    api.admin.waitsFor = undefined;
    api.clock.advance(1000);
    expect(await watched.next()).to.equal("SERVING");
    watched.cancel();
    expect((await watched.ended).code).to.equal(status.CANCELLED);
    const unknown = watch("nope");
    expect(await unknown.next()).to.equal("SERVICE_UNKNOWN");
    unknown.cancel();
    await unknown.ended;
  });

  it("a stop ends a watch at once", async () => {
    await open();
    const watched = watch("");
    await watched.next();
    const stopped = api.server.stop();
    expect((await watched.ended).code).to.equal(status.UNAVAILABLE);
    await stopped;
  });
});
