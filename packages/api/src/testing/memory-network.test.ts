import { Metrics, silentLogger, systemClock } from "@pyromesh/base";
import { expect } from "chai";
import { HttpListener } from "../listener/http-listener.ts";
import type { ApiServerOptions } from "../listener/server.ts";
import type { ApiReply, ApiRequest } from "../ports/http.ts";
import { route } from "../ports/route.ts";
import type { Route } from "../ports/route.ts";
import { ManualClock } from "@pyromesh/base/testing";
import { MemoryNetwork } from "./memory-network.ts";
import type { Deliver, MemoryRequestInit } from "./memory-network.ts";

const OPTIONS: ApiServerOptions = { host: "127.0.0.1", port: 0, isMultitenant: true, operators: "loopback" };
const text = (body: string): ApiReply => ({ status: 200, headers: { "content-type": "text/plain" }, body });

const ROUTES: readonly Route[] = [
  route("POST", "/echo", async (request) => ({ status: 200, headers: { "content-type": "text/plain" }, body: await request.body(200_000) }), { access: "write" }),
  route("GET", "/tenants", async ({ query, tenants }) => text(`${tenants.join(" ")} ${query.get("x")}`), { access: "read" }),
  route("GET", "/operator", async () => text("done"), { isOperator: true }),
];

/** What a client sees, without what only HTTP/1.1 on a socket has. */
interface Seen {
  readonly status: number;
  readonly body: string;
  readonly type: string | undefined;
}

describe("a network in memory", () => {
  const inMemory = (deliver: Deliver, options: Partial<ApiServerOptions> = {}, routes = ROUTES): { readonly network: MemoryNetwork; readonly clock: ManualClock; listen(): Promise<number> } => {
    const clock = new ManualClock();
    const network = new MemoryNetwork({ deliver });
    return { network, clock, listen: async () => (await network.listen({ ...OPTIONS, ...options }, { clock, logger: silentLogger, metrics: new Metrics(), routes })).port };
  };

  it("answers as the listener on a socket does", async () => {
    const requests: readonly MemoryRequestInit[] = [
      { method: "POST", target: "/echo", headers: { "x-scope-orgid": "a" }, body: [Buffer.from("one "), Buffer.from("two")] },
      { method: "POST", target: "/echo", headers: { "x-scope-orgid": "a" }, body: [Buffer.alloc(150_000, 120)] },
      { method: "POST", target: "/echo", headers: { "x-scope-orgid": "a" }, body: [Buffer.alloc(250_000, 120)] },
      { method: "POST", target: "/echo", body: [Buffer.from("whose?")] },
      { method: "POST", target: "/echo", headers: { "x-scope-orgid": "a", origin: "https://evil.example" }, body: [Buffer.from("x")] },
      { method: "GET", target: "/tenants?x=1", headers: { "x-scope-orgid": "b|a" } },
      { method: "GET", target: "/operator" },
      { method: "GET", target: "/operator", headers: { "x-forwarded-for": "10.0.0.1" } },
      { method: "GET", target: "/nowhere" },
      { method: "PUT", target: "/operator" },
    ];
    const memory = inMemory(queueMicrotask);
    const port = await memory.listen();
    const socket = await HttpListener.open(OPTIONS, { clock: systemClock, logger: silentLogger, metrics: new Metrics(), routes: ROUTES });
    for (const request of requests) {
      const { body, headers, method, target } = request;
      const reply = (await memory.network.send(port, request).reply)!;
      const seen: Seen = { status: reply.status, body: Buffer.from(reply.body).toString(), type: reply.headers.get("content-type") };
      const answer = await fetch(`http://127.0.0.1:${socket.port}${target}`, { method, ...(headers && { headers }), ...(body && { body: Buffer.concat(body) }) });
      expect(seen, `${method} ${target}`).to.deep.equal({ status: answer.status, body: await answer.text(), type: answer.headers.get("content-type") ?? undefined });
    }
    await socket.stop();
  });

  it("the pieces of a reply stay in order, whatever the order of steps", async () => {
    const steps: (() => void)[] = [];
    const memory = inMemory((step) => void steps.unshift(step), {}, [route("GET", "/long", async () => text("0123456789".repeat(30_000)))]);
    const { reply } = memory.network.send(await memory.listen(), { method: "GET", target: "/long" });
    let body: Uint8Array | undefined;
    void reply.then((got) => (body = got!.body));
    for (let turn = 0; turn < 1000 && body === undefined; turn++) {
      steps.pop()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(Buffer.from(body!).toString()).to.equal("0123456789".repeat(30_000));
  });

  it("a client that goes away ends its request's signal, and hears nothing", async () => {
    let asked: ApiRequest | undefined;
    const memory = inMemory(queueMicrotask, {}, [
      route("GET", "/slow", (request) => {
        asked = request;
        return new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason as Error)));
      }),
    ]);
    const call = memory.network.send(await memory.listen(), { method: "GET", target: "/slow" });
    await new Promise((resolve) => setImmediate(resolve));
    call.goAway();
    expect(await call.reply).to.equal(undefined);
    expect(asked!.signal.aborted).to.equal(true);
  });

  it("a stop lets what is in flight end, and after its time limit cuts it off; a crash ends all at once", async () => {
    const held: ((reply: ApiReply) => void)[] = [];
    const slow = [route("GET", "/slow", () => new Promise<ApiReply>((resolve) => void held.push(resolve)))];
    for (const end of ["answer", "time limit", "crash"] as const) {
      const { clock, network } = inMemory(queueMicrotask);
      const listener = await network.listen({ ...OPTIONS, limits: { stopTimeoutMs: 5_000 } }, { clock, logger: silentLogger, metrics: new Metrics(), routes: slow });
      const { reply } = network.send(listener.port, { method: "GET", target: "/slow" });
      await new Promise((resolve) => setImmediate(resolve));
      const stopped = end === "crash" ? Promise.resolve(network.crash()) : listener.stop();
      if (end === "answer") held.pop()!(text("in time"));
      if (end === "time limit") clock.advance(5_000);
      expect((await reply)?.status, end).to.equal(end === "answer" ? 200 : undefined);
      await stopped;
      expect(await network.send(listener.port, { method: "GET", target: "/slow" }).reply, "nobody listens").to.equal(undefined);
    }
  });
});
