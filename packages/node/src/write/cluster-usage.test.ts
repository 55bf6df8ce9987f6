import { ANONYMOUS, Metrics, seededRandom, silentLogger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { decodeUsage, encodeUsage, unionCount } from "../cluster/usage-message.ts";
import type { TenantUsage } from "../cluster/usage-message.ts";
import { FakeClusterWorld, pass, recordOf } from "../testing/index.ts";
import { ActiveSeries } from "./active-series.ts";
import { ClusterUsage } from "./cluster-usage.ts";

const MIB = 2 ** 20;
const LIMITS = { ingestionRateBytesPerSecond: 4 * MIB, ingestionBurstBytes: 8 * MIB };
const SERIES_LIMITS = { localSeriesMax: 0, globalSeriesMax: 100 };

class World {
  readonly clock: ManualClock = new ManualClock();
  readonly cluster: FakeClusterWorld;
  readonly usages: Map<string, ClusterUsage> = new Map();
  readonly series: Map<string, ActiveSeries> = new Map();

  constructor(names: readonly string[]) {
    this.cluster = new FakeClusterWorld(names, { clock: this.clock });
    for (const name of names) {
      const series = new ActiveSeries({ elsewhere: (tenant) => usage.seriesElsewhere(tenant) }, { clock: this.clock, metrics: new Metrics() });
      const usage: ClusterUsage = new ClusterUsage({ clock: this.clock, logger: silentLogger, series });
      usage.start(this.cluster.of(name));
      this.usages.set(name, usage);
      this.series.set(name, series);
    }
  }

  rateOf(name: string): number {
    return this.usages.get(name)!.rateLimitsOf(ANONYMOUS, LIMITS).ingestionRateBytesPerSecond / MIB;
  }

  /** Each node pushes as much as it may, up to what it wants. What all took together, in MiB a second, at the end. */
  async run(wantedOf: Readonly<Record<string, number>>, seconds: number): Promise<number> {
    let last = 0;
    for (let second = 0; second < seconds; second++) {
      last = 0;
      for (const [name, wanted] of Object.entries(wantedOf)) {
        const taken = Math.min(wanted, this.rateOf(name));
        this.usages.get(name)!.noteTaken(ANONYMOUS, taken * MIB);
        last += taken;
      }
      await pass(this.clock, 1_000);
    }
    return last;
  }

  /** How many of the series are refused. */
  push(name: string, from: number, to: number): number {
    let refusedCount = 0;
    for (let series = from; series < to; series++) if (this.series.get(name)!.admit(ANONYMOUS, [recordOf({ series })], SERIES_LIMITS).refusal !== undefined) refusedCount++;
    return refusedCount;
  }

  stop(): void {
    for (const usage of this.usages.values()) usage.stop();
  }
}

describe("limits that hold for the cluster", () => {
  let world: World;
  beforeEach(() => (world = new World(["a", "b", "c"])));
  afterEach(() => world.stop());

  it("one node that all of a tenant's pushes come to may take the whole rate", async () => {
    await world.run({ a: 4 }, 60);
    expect([world.rateOf("a"), Math.round(world.rateOf("b") * 100) / 100]).deep.equal([4, 1.33]);
  });

  it("nodes that all have more than there is take equal parts, and no more than the rate together", async () => {
    expect(await world.run({ a: 9, b: 9, c: 9 }, 60)).closeTo(4, 0.01);
    for (const name of ["a", "b", "c"]) expect(world.rateOf(name)).closeTo(4 / 3, 0.01);
  });

  it("a tenant that moves from one node to another has its rate there within half a minute", async () => {
    await world.run({ a: 4 }, 60);
    await world.run({ b: 4 }, 30);
    expect(world.rateOf("b")).above(3.8);
  });

  it("what a node takes that is gone is free again", async () => {
    await world.run({ a: 4 }, 30);
    world.cluster.updateMember("a", { state: "dead" });
    await world.run({ b: 4 }, 10);
    expect(world.rateOf("b")).equal(4);
  });

  it("series of all nodes count together, each once, and the tenant has no more of them than its limit and a tenth", async () => {
    expect(world.push("a", 0, 60)).equal(0);
    expect(world.push("b", 0, 60), "the same ones").equal(0);
    await pass(world.clock, 11_000);
    expect(world.usages.get("c")!.seriesElsewhere(ANONYMOUS)).equal(60);
    expect(world.push("c", 100, 200)).equal(50);
    await pass(world.clock, 11_000);
    expect(world.push("a", 300, 400)).equal(100);
    expect(world.push("a", 0, 60), "what is active is never refused").equal(0);
  });

  it("active series may move from one node to another", async () => {
    expect(world.push("a", 0, 100)).equal(0);
    await pass(world.clock, 11_000);
    for (let round = 0; round < 12; round++) {
      world.push("b", 0, 100);
      await pass(world.clock, 11_000);
    }
    expect(world.push("b", 0, 100)).equal(0);
  });

  it("the count of series that are too many to name is right within a fifth", () => {
    const series = new ActiveSeries({}, { clock: world.clock, metrics: new Metrics() });
    for (let one = 0; one < 3000; one++) series.admit(ANONYMOUS, [recordOf({ series: one })], { localSeriesMax: 0, globalSeriesMax: 0 });
    const sample = series.sampleOf(ANONYMOUS, 256);
    expect([sample.count, sample.shift]).deep.equal([3000, 4]);
    expect(unionCount([{ ...sample, count: 0 }])).within(2400, 3600);
  });
});

describe("the message of usage", () => {
  const usages: readonly TenantUsage[] = [
    { tenant: "anonymous", bytesPerSecond: 1.5, series: { count: 300, shift: 2, numbers: [4, 2 ** 52] } },
    { tenant: "t2", bytesPerSecond: 0, series: { count: 0, shift: 0, numbers: [] } },
  ];
  const GOLDEN = "0209616e6f6e796d6f7573000000000000f83fac02020204808080808080800802743200000000000000000000" + "00";

  it("is these bytes, read as they were written, with more behind them or not", () => {
    expect(Buffer.from(encodeUsage(usages)).toString("hex")).equal(GOLDEN);
    expect(decodeUsage(Buffer.from(GOLDEN, "hex"))).deep.equal(usages);
    expect(decodeUsage(Buffer.from(`${GOLDEN}77`, "hex"))).deep.equal(usages);
  });

  it("is refused where it ends early, is too long or is noise", () => {
    const bytes = encodeUsage(usages);
    for (let length = 0; length < bytes.length; length++) expect(() => decodeUsage(bytes.subarray(0, length)), `${length}`).throw().with.property("code", "PEER_MALFORMED");
    const many = Array.from({ length: 257 }, () => usages[1]!);
    expect(() => decodeUsage(encodeUsage(many))).throw().with.property("code", "PEER_MALFORMED");
    const random = seededRandom(3);
    for (let round = 0; round < 1000; round++) {
      try {
        decodeUsage(random.bytes(Math.floor(random.float() * 100)));
      } catch (thrown) {
        expect(thrown).with.property("code", "PEER_MALFORMED");
      }
    }
  });
});
