import { expect } from "chai";
import { ANONYMOUS, Metrics, silentLogger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { scrapeConfigs } from "../config/read-scrape-configs.ts";
import type { ScrapeTarget, TargetSource } from "../target.ts";
import { ScrapeLoop } from "./scrape-loop.ts";
import type { HoldOwner, HoldWatch, TargetHold, TargetHolds } from "./target-holds.ts";

const [JOB] = scrapeConfigs([{ job_name: "app", static_configs: [{ targets: ["a:1"] }] }]);

function targetOf(name: string): ScrapeTarget {
  return { key: name, job: JOB!, url: `http://${name}/debug/pprof/goroutine`, labels: [{ name: "service_name", value: name }], discovered: [], intervalMs: 15_000, timeoutMs: 10_000, profile: { name: "goroutine", path: "/debug/pprof/goroutine", delta: false, isCumulative: false } };
}

/** Targets and owners as the test sets them. */
class World implements TargetSource, TargetHolds {
  readonly clock = new ManualClock();
  readonly metrics = new Metrics();
  readonly asked: string[] = [];
  readonly stored: string[] = [];
  targets: readonly ScrapeTarget[] = ["a", "b", "c"].map(targetOf);
  readonly dropped = [];
  readonly droppedCounts = {};
  readonly faults = [];
  own = new Set(["a", "b", "c"]);
  wanted: readonly string[] = [];
  readonly #listeners: (() => void)[] = [];
  readonly #hold: TargetHold = { sinceMs: 0 };
  readonly loop: ScrapeLoop;

  constructor() {
    this.loop = new ScrapeLoop({
      source: this,
      holds: this,
      fetch: ({ url }) => {
        this.asked.push(new URL(url).host);
        return Promise.resolve({ status: 200, headers: {}, body: (async function* () { yield Uint8Array.of(1); })() });
      },
      store: ({ target }) => {
        expect(target.job.tenant).equal(ANONYMOUS);
        this.stored.push(target.key);
        return Promise.resolve();
      },
      clock: this.clock,
      logger: silentLogger,
      metrics: this.metrics,
    });
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }
  changed(): void {
    for (const listener of this.#listeners) listener();
  }
  apply(): void {}
  start(): Promise<void> {
    return Promise.resolve();
  }
  stop(): void {}
  want(keys: readonly string[]): void {
    this.wanted = keys;
  }
  holdOf(key: string): TargetHold | undefined {
    return this.own.has(key) ? this.#hold : undefined;
  }
  watch(): HoldWatch {
    return { wasUnbroken: () => Promise.resolve(true) };
  }
  ownerOf(key: string): HoldOwner {
    const isSelf = this.own.has(key);
    return { name: isSelf ? "self" : "other", isSelf, httpAddress: "" };
  }

  async interval(): Promise<string[]> {
    this.asked.length = 0;
    this.clock.advance(15_000);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    return [...this.asked].sort();
  }
}

describe("scrape loop", () => {
  it("asks each of its targets once an interval, and none before it is started or after it is stopped", async () => {
    const world = new World();
    expect(await world.interval()).deep.equal([]);
    await world.loop.start();
    expect(await world.interval()).deep.equal(["a", "b", "c"]);
    expect(await world.interval()).deep.equal(["a", "b", "c"]);
    expect([...new Set(world.stored)].sort()).deep.equal(["a", "b", "c"]);
    world.loop.stop();
    expect([await world.interval(), world.wanted]).deep.equal([[], []]);
  });

  it("targets that come are asked, those that go are not, and the others keep their place", async () => {
    const world = new World();
    await world.loop.start();
    await world.interval();
    const before = world.loop.targets()[1]!.state!.nextScrapeMs;
    world.targets = ["b", "c", "d"].map(targetOf);
    world.own.add("d");
    world.changed();
    expect(world.loop.targets().map(({ target }) => target.key)).deep.equal(["b", "c", "d"]);
    expect(world.wanted).deep.equal(["b", "c", "d"]);
    expect(world.loop.targets()[0]!.state!.nextScrapeMs).equal(before);
    expect(await world.interval()).deep.equal(["b", "c", "d"]);
  });

  it("what is kept of all answers is counted once, and given back with the targets", async () => {
    const world = new World();
    world.targets = ["a", "b", "c"].map((name) => ({ ...targetOf(name), profile: { ...targetOf(name).profile, isCumulative: true } }));
    await world.loop.start();
    await world.interval();
    await world.interval();
    expect(await world.metrics.text()).include("pyromesh_scrape_kept_bytes 3\n");
    world.own.delete("b");
    world.changed();
    expect(await world.metrics.text()).include("pyromesh_scrape_kept_bytes 2\n");
    world.loop.stop();
    expect(await world.metrics.text()).include("pyromesh_scrape_kept_bytes 0\n");
  });

  it("a target that becomes another member's is asked no more here, and its state is that member's", async () => {
    const world = new World();
    await world.loop.start();
    world.own.delete("b");
    world.changed();
    expect(await world.interval()).deep.equal(["a", "c"]);
    expect(world.loop.targets().map(({ owner, state }) => [owner?.name, state?.health])).deep.equal([["self", "up"], ["other", undefined], ["self", "up"]]);
    const text = await world.metrics.text();
    for (const line of ['pyromesh_scrape_targets{job="app",state="up"} 2', 'pyromesh_scrape_targets{job="app",state="elsewhere"} 1', 'pyromesh_scrapes_total{job="app",outcome="stored"} 2']) expect(text).include(line);
  });
});
