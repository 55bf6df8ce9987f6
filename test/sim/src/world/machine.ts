/**
 * The machine that the node runs on: starts it, stops it, kills it, starts it again. Each run is a life: it has its own timers, its own way to
 * the disk, the bucket and the threads, and nothing of it happens after its end.
 */
import { apiRoutes, Discards, ingestHandler, PushCounts, pushHandler, QUERY_BODY_BYTES_MAX_DEFAULT, RateLimit } from "@pyromesh/api";
import type { ApiRequest } from "@pyromesh/api";
import { fasterClock, Metrics } from "@pyromesh/base";
import type { Logger, TenantId } from "@pyromesh/base";
import { Head } from "@pyromesh/head";
import type { LocalFiles } from "@pyromesh/block";
import { RouteTable } from "../../../../packages/api/dist/ports/route.js";
import { Node } from "../../../../packages/node/dist/node.js";
import { loadConfig } from "../../../../packages/node/dist/config/load-config.js";
import { queryLimitsOf, writeLimitsOf } from "../../../../packages/node/dist/config/api-limits.js";
import { openLocalCompute } from "pyromesh/testing";
import { Life } from "./scheduler.ts";
import { simClock } from "./sim-clock.ts";
import { SimFiles } from "./sim-files.ts";
import type { SimReply, SimRequest } from "./sim-network.ts";
import { simStoreOpener } from "./sim-store.ts";
import type { World } from "./world.ts";

export class Machine {
  readonly #world: World;
  #life: Life | undefined;
  #node: Node | undefined;
  #runCount = 0;
  deathCount = 0;
  metrics: Metrics = new Metrics();
  isWanted = true;

  constructor(world: World) {
    this.#world = world;
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  mayRefuse(body: string): boolean {
    return /KILLS_WORKERS|killed/.test(body);
  }

  start(): void {
    const world = this.#world;
    const { bucket, disk, network, scheduler, settings } = world;
    const life = new Life(`run ${++this.#runCount}`);
    this.#life = life;
    const note = (what: string): void => world.journal.note("machine", `${life.name} ${what}`);
    note("starts");
    const clock = simClock(scheduler, life, settings.epochMs);
    const random = world.chance.stream(life.name).asRandom();
    const metrics = (this.metrics = new Metrics());
    const logger = this.#logger(life);
    const calls = disk.callsOf(life);
    const files = new SimFiles(disk, calls) as unknown as LocalFiles;
    const flags = {
      multitenancy: "true",
      flush_interval: `${settings.flushIntervalMs}ms`,
      flush_size: `${settings.flushSizeBytes}B`,
      retention: "0",
    };
    const config = loadConfig({ flags: new Map(Object.entries(flags).map(([key, value]) => [key, [value]])), env: {}, readFile: () => "" });
    const node = new Node(config, {
      clock,
      random,
      logger,
      metrics,
      compute: openLocalCompute({ random }),
      buildInfo: { version: "0", revision: "", buildDate: "", nodeVersion: "" },
      bucketClock: fasterClock(clock, settings.bucketSpeed),
      openBucket: async () => bucket.openFor(life),
      openLocal: async () => files,
      openHead: (hooks) => Head.open({ diskBudgetBytes: settings.diskBudgetBytes }, { clock, random, logger, metrics, ...hooks, opener: simStoreOpener(disk.store, calls), checkpoint: disk.checkpoint(), quarantineFile: disk.atomicFile("quarantine", calls) }),
    });
    this.#node = node;
    const writeOptions = { limitsOf: (tenant: TenantId) => writeLimitsOf(config, tenant) };
    const write = { sink: node.sink, rateLimit: new RateLimit(writeOptions, { clock }), counts: new PushCounts({ metrics }), discards: new Discards({ metrics }), clock };
    const routes = new RouteTable(
      apiRoutes(
        { limitsOf: (tenant) => queryLimitsOf(config, tenant), queryBodyBytesMax: QUERY_BODY_BYTES_MAX_DEFAULT },
        { source: node.source, admin: node.admin, clock, push: pushHandler(writeOptions, write), ingest: ingestHandler(writeOptions, write) },
      ),
    );
    network.listen(life, (request, gone) => answer(routes, request, gone));
    node.start().then(
      () => note("is ready"),
      (error: unknown) => {
        if (life.isOver) return;
        note(`did not start: ${String(error)}`);
        this.#over(life);
        this.#startLater();
      },
    );
  }

  /** SIGKILL, or the power is gone. */
  crash(kind: "kill" | "power"): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#world.journal.note("machine", `${life.name} dies: ${kind}`);
    this.#over(life);
    this.#world.disk.crash(kind);
    this.#startLater();
  }

  /** SIGTERM, and a start. */
  async restart(): Promise<void> {
    await this.stop();
    this.#startLater();
  }

  async stop(): Promise<void> {
    const life = this.#life;
    const node = this.#node;
    if (life === undefined || node === undefined) return;
    this.#world.journal.note("machine", `${life.name} is stopped`);
    await node.stop();
    if (life.isOver) return;
    this.#world.journal.note("machine", `${life.name} has stopped`);
    this.#over(life);
  }

  #over(life: Life): void {
    life.end();
    this.deathCount++;
    this.#world.network.close(life);
    this.#life = undefined;
    this.#node = undefined;
  }

  #startLater(): void {
    const { chance, scheduler } = this.#world;
    void scheduler.wait(chance.stream(`pause ${this.#runCount}`).between(50, 3_000)).then(() => {
      if (this.#life === undefined && this.isWanted) this.start();
    });
  }

  #logger(life: Life): Logger {
    const say = (level: string) => (message: string, fields?: object) => {
      if (!life.isOver) this.#world.journal.note("node", `${level}: ${message}${fields === undefined ? "" : ` ${describe(fields)}`}`);
    };
    const logger = { debug: () => {}, info: say("info"), warn: say("warn"), error: say("error") };
    return logger as unknown as Logger;
  }
}

function describe(fields: object): string {
  return JSON.stringify(fields, (_key, value: unknown) => (value instanceof Error ? `${value.name}: ${value.message}` : typeof value === "bigint" ? String(value) : value));
}

async function answer(routes: RouteTable, { method, path, headers, body }: SimRequest, gone: AbortSignal): Promise<SimReply> {
  const url = new URL(path, "http://node");
  const found = routes.find(method, url.pathname);
  if (found.kind !== "found") return { status: 404, headers: {}, body: "" };
  const request = {
    method,
    path: url.pathname,
    query: url.searchParams,
    headers,
    tenants: [headers["x-scope-orgid"] ?? "anonymous"],
    signal: gone,
    caller: gone,
    unpackMemory: { bytesMax: Infinity, take: () => Promise.resolve(), tryTake: () => true },
    endAfter: () => {},
    reserveReply: () => Promise.resolve(),
    body: () => Promise.resolve(body),
  } as unknown as ApiRequest;
  try {
    const reply = await found.route.handler(request);
    return { status: reply.status, headers: reply.headers, body: typeof reply.body === "string" ? reply.body : Buffer.from(reply.body).toString("utf8") };
  } catch (error) {
    const { code, kind, message } = error as { code?: string; kind?: string; message: string };
    const status = kind === "unavailable" ? 503 : kind === "invalid_argument" || kind === "failed_precondition" ? 400 : kind === "canceled" || (error as Error).name === "AbortError" ? 499 : 500;
    return { status, headers: {}, body: JSON.stringify({ code, message: message || "x", stack: status === 500 ? (error as Error).stack : undefined }) };
  }
}
