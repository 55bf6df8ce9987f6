import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inPlaceCompression, MemoryNetwork } from "@pyromesh/api/testing";
import type { MemoryReply } from "@pyromesh/api/testing";
import { Metrics, seededRandom, silentLogger, systemClock } from "@pyromesh/base";
import { MemoryBucket } from "@pyromesh/block";
import { PprofWriter } from "@pyromesh/profile";
import type { HttpFetch } from "@pyromesh/scrape";
import { expect } from "chai";
import { composeNode } from "./compose-node.ts";
import type { ComposedNode } from "./compose-node.ts";
import { loadConfig } from "./config/load-config.ts";
import { dataDirDisk } from "./process/node-disk.ts";
import { InPlaceThreads } from "./testing/index.ts";
import type { World } from "./world.ts";

const PORT = 4040;
const FOLDED = "main;work 3\nmain;wait 4\n";

/** A data directory and a bucket, and one process after the other on them. */
class Machine {
  readonly dir: string = mkdtempSync(join(tmpdir(), "pyromesh-compose-"));
  readonly bucket: MemoryBucket = new MemoryBucket({ clock: systemClock });
  network: MemoryNetwork = new MemoryNetwork({ deliver: queueMicrotask });
  #node: ComposedNode | undefined;

  /** `yaml`: what the configuration file holds. */
  async compose(flags: Readonly<Record<string, string>> = {}, changes: Partial<World> = {}, yaml = ""): Promise<ComposedNode> {
    const settings = Object.entries({ flush_interval: "1h", data_dir: this.dir, ...flags }).map(([key, value]): [string, string[]] => [key, [value]]);
    const random = seededRandom(7);
    const modules = { clock: systemClock, random, logger: silentLogger };
    this.#node = await composeNode(loadConfig({ flags: new Map(settings), env: {}, readFile: () => yaml }), {
      ...modules,
      metrics: new Metrics(),
      network: this.network,
      disk: dataDirDisk(this.dir, modules),
      openBucket: async () => this.bucket,
      openThreads: () => new InPlaceThreads({ random, deliver: (_, run) => queueMicrotask(run) }),
      compression: inPlaceCompression(queueMicrotask),
      machine: { coreCount: 1, memoryBytes: 2 ** 30, openFilesMax: undefined },
      buildInfo: { version: "0", revision: "", buildDate: "", nodeVersion: "" },
      endProcess: () => {},
      ...changes,
    });
    return this.#node;
  }

  async send(method: string, target: string, body?: string, headers: Readonly<Record<string, string>> = {}): Promise<MemoryReply | undefined> {
    return this.network.send(PORT, { method, target, headers, ...(body !== undefined && { body: [Buffer.from(body)] }) }).reply;
  }

  push(body = FOLDED, from = systemClock.nowMs() / 1000): Promise<MemoryReply | undefined> {
    return this.send("POST", `/ingest?name=shop&from=${from}&until=${from + 10}&format=folded`, body);
  }

  /** Of the flame graph of the last hours. */
  async total(type = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"): Promise<number> {
    const reply = await this.send("GET", `/pyroscope/render?query=${encodeURIComponent(`${type}{service_name="shop"}`)}&from=now-2h&until=now`);
    expect(reply?.status, textOf(reply)).to.equal(200);
    return (JSON.parse(textOf(reply)) as { flamebearer: { numTicks: number } }).flamebearer.numTicks;
  }

  async end(): Promise<void> {
    await this.#node?.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function textOf(reply: MemoryReply | undefined): string {
  return Buffer.from(reply?.body ?? []).toString();
}

describe("a composed node", function () {
  this.timeout(20_000);
  let machine: Machine;
  beforeEach(() => {
    machine = new Machine();
  });
  afterEach(() => machine.end());

  it("has the HTTP API in it: a push is found, flushed, and found again after a restart, without a socket", async () => {
    const node = await machine.compose();
    await node.start();
    expect((await machine.push())?.status).to.equal(200);
    const total = await machine.total();
    expect(total).to.be.greaterThan(0);
    const flushed = await machine.send("POST", "/flush", "");
    expect([flushed?.status, (JSON.parse(textOf(flushed)) as { segmentCount?: number }).segmentCount]).to.deep.equal([200, 1]);
    await node.stop();
    expect(await machine.send("GET", "/-/healthy"), "nobody listens any more").to.equal(undefined);
    await (await machine.compose()).start();
    expect(await machine.total()).to.equal(total);
  });

  it("goes by the gates and limits of a listener on a socket", async () => {
    await (await machine.compose({ multitenancy: "true" })).start();
    expect((await machine.push())?.status, "no tenant").to.equal(401);
    expect((await machine.send("POST", "/flush", "", { "x-forwarded-for": "10.0.0.1" }))?.status, "an operator's request through a proxy").to.equal(403);
    expect((await machine.send("GET", "/-/healthy", undefined, { host: "evil.example" }))?.status, "a foreign Host").to.equal(403);
  });

  it("admin requests have a listener of their own where the settings say so", async () => {
    await (await machine.compose({ admin_addr: "127.0.0.1:4041" })).start();
    expect((await machine.send("GET", "/metrics"))?.status).to.equal(404);
    expect((await machine.network.send(4041, { method: "GET", target: "/metrics" }).reply)?.status).to.equal(200);
  });

  it("a start that fails leaves nothing at work: no listener, no worker", async () => {
    const history: string[] = [];
    const deliver = (what: string, run: () => void): void =>
      queueMicrotask(() => {
        history.push(what);
        run();
      });
    const openThreads = (): InPlaceThreads => new InPlaceThreads({ random: seededRandom(7), deliver });
    const node = await machine.compose({}, { openThreads, openBucket: () => Promise.reject(new Error("no bucket")) });
    const failure = await node.start().catch((thrown: unknown) => thrown);
    expect(String(failure)).to.contain("no bucket");
    expect(await machine.send("GET", "/-/healthy")).to.equal(undefined);
    expect(history.at(-1)).to.contain("worker 0 is gone");
  });

  it("started on a disk with no room it refuses pushes with 503, not 400, and /ready names the disk", async () => {
    const disk = dataDirDisk(machine.dir, { clock: systemClock, random: seededRandom(7), logger: silentLogger });
    const node = await machine.compose({}, { disk: { ...disk, measure: async () => ({ freeBytes: 0, sizeBytes: 2 ** 30 }) } });
    await node.start();
    const refused = await machine.push();
    expect([refused?.status, textOf(refused)].join(" ")).to.match(/^503 .*the disk has no room/s);
    const ready = await machine.send("GET", "/ready");
    expect([ready?.status, textOf(ready)].join(" ")).to.match(/^503 not ready: writes: the disk has no room: .*; queries are answered/);
  });

  it("scrapes programs: the difference of what counts is stored, and each target is shown", async () => {
    const yaml = `scrape_configs:
  - job_name: shop
    scrape_interval: 50ms
    profiling_config: {pprof_config: {block: {enabled: false}, goroutine: {enabled: false}, mutex: {enabled: false}, process_cpu: {enabled: false}}}
    static_configs: [{targets: ["shop:6060"]}]
`;
    let count = 0;
    let askAgain!: () => void;
    const askedAgain = new Promise<void>((resolve) => (askAgain = resolve));
    const fetch: HttpFetch = async ({ url }) => {
      expect(url).to.equal("http://shop:6060/debug/pprof/allocs");
      count++;
      if (count === 3) askAgain(); // the second answer is stored
      const writer = new PprofWriter({ sampleTypes: [{ type: "alloc_objects", unit: "count" }, { type: "inuse_objects", unit: "count" }], periodType: { type: "space", unit: "bytes" }, period: 1, timeNs: 0n, durationNs: 0n });
      writer.sample([writer.frame("main")], [100 * Math.min(count, 2), 7]);
      const body = writer.finish();
      return { status: 200, headers: {}, body: (async function* () { yield body; })() };
    };
    const none = (): Promise<never> => Promise.reject(new Error("nobody is asked"));
    const programs = { fetch, files: { read: none, list: none, stat: none }, resolver: { addresses: none, services: none, mailServers: none } };
    await (await machine.compose({ config: "pyromesh.yaml" }, { programs }, yaml)).start();
    await askedAgain;
    expect(await machine.total("memory:alloc_objects:count:space:bytes")).to.equal(100);
    expect(await machine.total("memory:inuse_objects:count:space:bytes")).to.be.at.least(14);
    const { data } = JSON.parse(textOf(await machine.send("GET", "/api/v1/targets"))) as { data: { activeTargets: { health: string; lastError: string; labels: object; member: string }[] } };
    expect(data.activeTargets[0]).to.deep.include({ health: "up", lastError: "", labels: { instance: "shop:6060", job: "shop", service_name: "shop" }, member: "127.0.0.1:4040" });
    expect(textOf(await machine.send("GET", "/metrics"))).to.include('pyromesh_scrapes_total{job="shop",outcome="stored"}').and.include("pyromesh_accepted_profiles_total");
  });

  it("a port that is taken ends the start", async () => {
    await machine.network.listen({ host: "127.0.0.1", port: PORT, isMultitenant: false, operators: "loopback" }, { clock: systemClock, logger: silentLogger, metrics: new Metrics(), routes: [] });
    const failure = await (await machine.compose()).start().catch((thrown: unknown) => thrown);
    expect((failure as { code?: string }).code).to.equal("LISTEN_FAILED");
  });
});
