import { gzipSync } from "node:zlib";
import { Metrics, parseTenantId, seededRandom, silentLogger } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { MemoryBucket } from "@pyromesh/block";
import type { Bucket } from "@pyromesh/block";
import { ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import { packHealth } from "../cluster/health-message.ts";
import { FakeClusterWorld } from "../testing/fake-cluster.ts";
import { settle } from "../testing/settle.ts";
import { adHocKey, makeId } from "./adhoc-id.ts";
import { encodeAdHocObject } from "./adhoc-object.ts";
import { AdHocExpiry, isExpired } from "./expiry.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 2, 2, 14, 30);
const TENANT = parseTenantId("team-a");
const never = new AbortController().signal;
const FILE = encodeAdHocObject(gzipSync("main;work 3\n"));
const HEALTH = { storeId: "0a".repeat(16), isWritable: true, isInContact: true, replicationSetting: 3, isReplicationRising: false, ownRecords: 0, keptRecords: 0, thinRecords: 0, backlogSegments: 0, backlogBytes: 0, backlogReason: "", takeovers: 0, lastRefusals: [], lostStores: [] };

/** A node that looks through a bucket, and two other members. */
class ExpiryWorld {
  readonly clock = new ManualClock(NOW_MS);
  readonly memory = new MemoryBucket({ clock: this.clock });
  readonly metrics = new Metrics();
  readonly cluster = new FakeClusterWorld(["a", "b", "c"], { clock: this.clock });
  /** By the bucket's clock. Undefined: it has none. */
  bucketAheadMs: number | undefined = undefined;
  /** Undefined: the member does not say. */
  membersAheadMs: Readonly<Record<string, number | undefined>> = { b: 0, c: 0 };
  onListed: () => void = () => {};
  /** Undefined: everything can be deleted. */
  keptName: string | undefined = undefined;
  ageMsOf: (tenant: TenantId) => number = () => DAY_MS;
  ensureOurs: () => Promise<void> = () => Promise.resolve();
  #count = 0;

  /** Alone: it knows no other members. */
  open({ isAlone = false } = {}): AdHocExpiry {
    for (const name of ["b", "c"]) {
      this.cluster.of(name).peers.handle("health", () => {
        const aheadMs = this.membersAheadMs[name];
        return Promise.resolve(packHealth({ ...HEALTH, wallMs: aheadMs === undefined ? undefined : this.clock.nowMs() + aheadMs }));
      });
    }
    const { memory } = this;
    const list = memory.list.bind(memory);
    const onListed = (): void => this.onListed();
    const bucket: Bucket = Object.assign(Object.create(memory) as Bucket, {
      get: memory.get.bind(memory),
      list: async function* (...asked: Parameters<Bucket["list"]>) {
        yield* list(...asked);
        onListed();
      },
      delete: (key: string, signal: AbortSignal) => (this.keptName !== undefined && key.endsWith(`-${this.keptName}`) ? Promise.reject(new Error(`${key} is locked`)) : memory.delete(key, signal)),
      dateMs: () => Promise.resolve(this.bucketAheadMs === undefined ? undefined : this.clock.nowMs() + this.bucketAheadMs),
    });
    return new AdHocExpiry({ bucket, clock: this.clock, lookClock: this.clock, cluster: isAlone ? new FakeClusterWorld(["a"], { clock: this.clock }).of("a") : this.cluster.of("a"), logger: silentLogger, metrics: this.metrics, ageMsOf: (tenant) => this.ageMsOf(tenant), ensureOurs: () => this.ensureOurs() });
  }

  /** `uploadedAtMs`: by the clock of the node that took it; the bucket takes its own time. */
  async put(uploadedAtMs = this.clock.nowMs(), tenant = TENANT): Promise<void> {
    await this.memory.put(adHocKey(tenant, makeId(`p${this.#count}`, uploadedAtMs, seededRandom(this.#count++).bytes(10))), FILE, {}, never);
  }

  async names(): Promise<string[]> {
    const names: string[] = [];
    for await (const page of this.memory.list("", {}, never)) for (const { key } of page) names.push(key.split("-").at(-1)!);
    return names.sort();
  }

  async metric(name: string): Promise<number> {
    return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(await this.metrics.text())?.[1]);
  }
}

describe("the age of ad hoc profiles", () => {
  let world: ExpiryWorld;
  beforeEach(() => (world = new ExpiryWorld()));

  it("what is older than the age is deleted, and counted", async () => {
    const expiry = world.open();
    await world.put();
    world.clock.advance(DAY_MS);
    await world.put();
    expect(await expiry.look()).to.equal(false);
    expect(await world.names(), "not older yet").to.deep.equal(["p0", "p1"]);
    world.clock.advance(1);
    await expiry.look();
    expect(await world.names()).to.deep.equal(["p1"]);
    expect(await world.metric("pyromesh_adhoc_profiles_deleted_total")).to.equal(1);
  });

  it("each tenant has its own, and 0 keeps for ever", async () => {
    const other = parseTenantId("team-b");
    world.ageMsOf = (tenant) => (tenant === TENANT ? 0 : DAY_MS);
    const expiry = world.open();
    await world.put();
    await world.put(NOW_MS, other);
    world.clock.advance(10 * DAY_MS);
    await expiry.look();
    expect(await world.names()).to.deep.equal(["p0"]);
  });

  it("one clock alone deletes nothing: neither that of the node which took it nor that of the bucket", async () => {
    const expiry = world.open();
    await world.put(NOW_MS - 40 * DAY_MS);
    world.clock.advance(DAY_MS / 2);
    await world.put(NOW_MS + 40 * DAY_MS);
    await expiry.look();
    world.clock.advance(10 * DAY_MS);
    await expiry.look();
    expect(await world.names(), "the first was old by both").to.deep.equal(["p1"]);
  });

  it("a clock that jumped a year ahead deletes nothing, and says so", async () => {
    const expiry = world.open({ isAlone: true });
    await world.put();
    world.clock.jumpWall(365 * DAY_MS);
    await expiry.look();
    expect(await world.names()).to.deep.equal(["p0"]);
    expect(await world.metric("pyromesh_deletions_stopped_total")).to.equal(1);
    expect(await world.metric("pyromesh_adhoc_profiles_deleted_total")).to.equal(0);
  });

  it("a clock that is wrong from the start deletes nothing where the bucket or the others say another time", async () => {
    await world.put();
    world.clock.advance(2 * DAY_MS);
    const expiry = world.open();
    world.bucketAheadMs = -2 * DAY_MS;
    await expiry.look();
    expect(await world.names(), "the bucket").to.deep.equal(["p0"]);
    world.bucketAheadMs = undefined;
    world.membersAheadMs = { b: -2 * DAY_MS, c: -2 * DAY_MS };
    await expiry.look();
    expect(await world.names(), "the others").to.deep.equal(["p0"]);
    world.bucketAheadMs = 1000;
    world.membersAheadMs = { b: 0, c: undefined };
    await expiry.look();
    expect(await world.names(), "all agree").to.deep.equal([]);
  });

  it("a clock that was wrong at the LIST and set right before the others were asked deletes nothing", async () => {
    const expiry = world.open();
    await world.put();
    world.clock.jumpWall(365 * DAY_MS);
    world.onListed = () => world.clock.jumpWall(-365 * DAY_MS);
    await expiry.look();
    expect(await world.names()).to.deep.equal(["p0"]);
    expect(await world.metric("pyromesh_adhoc_profiles_deleted_total")).to.equal(0);
  });

  it("a member that hears the time from no other deletes nothing, unless the bucket has a clock", async () => {
    await world.put();
    world.clock.advance(2 * DAY_MS);
    const expiry = world.open();
    world.membersAheadMs = { b: undefined, c: undefined };
    world.cluster.cut("a", "c");
    await expiry.look();
    expect(await world.names()).to.deep.equal(["p0"]);
    expect(await world.metric("pyromesh_deletions_stopped_total")).to.equal(1);
    world.bucketAheadMs = 0;
    await expiry.look();
    expect(await world.names()).to.deep.equal([]);
  });

  it("what the bucket gives no time for is kept: the id is one clock", async () => {
    const { id } = makeId("p", NOW_MS - 40 * DAY_MS, new Uint8Array(10));
    const object = { key: `adhoc/${TENANT}/${id}`, sizeBytes: FILE.length, lastModifiedMs: NOW_MS - 40 * DAY_MS };
    expect(isExpired(object, NOW_MS, () => DAY_MS)).to.equal(true);
    expect(isExpired({ ...object, lastModifiedMs: 0 }, NOW_MS, () => DAY_MS)).to.equal(false);
  });

  it("one that cannot be deleted keeps no other from it", async () => {
    const expiry = world.open();
    for (let i = 0; i < 4; i++) {
      await world.put();
      world.clock.advance(1);
    }
    world.clock.advance(2 * DAY_MS);
    world.keptName = "p1";
    expect(await expiry.look().catch(String)).to.contain("is locked");
    expect(await world.names()).to.deep.equal(["p1", "p2", "p3"]);
    await expiry.look();
    expect(await world.names()).to.deep.equal(["p1"]);
    world.keptName = undefined;
    await expiry.look();
    expect(await world.names(), "it begins anew behind the last").to.deep.equal([]);
  });

  it("a machine that was suspended goes on where the bucket says the same time", async () => {
    const expiry = world.open();
    await world.put();
    world.clock.jumpWall(2 * DAY_MS);
    world.bucketAheadMs = 0;
    await expiry.look();
    expect(await world.names()).to.deep.equal([]);
  });

  it("what was not made by an upload is left alone, and segments are not looked at", async () => {
    const expiry = world.open();
    for (const key of ["adhoc/team-a/notes.txt", "adhoc/readme", "v1/team-a/floor-1.json"]) await world.memory.put(key, FILE, {}, never);
    world.clock.advance(100 * DAY_MS);
    await expiry.look();
    expect((await world.names()).length).to.equal(3);
  });

  it("a bucket that is not the right one is not looked through", async () => {
    const expiry = world.open();
    await world.put();
    world.clock.advance(2 * DAY_MS);
    world.ensureOurs = () => Promise.reject(new Error("another bucket"));
    expect(await expiry.look().catch(String)).to.contain("another bucket");
    expect(await world.names()).to.deep.equal(["p0"]);
  });

  it("a bucket that is another one from some deletion on loses nothing more", async () => {
    const expiry = world.open();
    for (let i = 0; i < 3; i++) {
      await world.put();
      world.clock.advance(1);
    }
    world.clock.advance(2 * DAY_MS);
    world.ensureOurs = async () => {
      if ((await world.names()).length < 3) throw new Error("another bucket");
    };
    expect(await expiry.look().catch(String)).to.contain("another bucket");
    expect(await world.names()).to.deep.equal(["p1", "p2"]);
  });

  it("of many a look deletes some, and the next goes on", async () => {
    const expiry = world.open();
    for (let i = 0; i < 1500; i++) await world.put();
    world.clock.advance(2 * DAY_MS);
    expect(await expiry.look()).to.equal(true);
    expect((await world.names()).length).to.equal(500);
    expect(await expiry.look()).to.equal(false);
    expect(await world.names()).to.deep.equal([]);
  });

  it("it looks by itself, again after a failure, and not after its stop", async () => {
    const expiry = world.open();
    await world.put();
    world.clock.advance(2 * DAY_MS);
    let fails = true;
    world.ensureOurs = () => (fails ? Promise.reject(new Error("away")) : Promise.resolve());
    expiry.start();
    world.clock.advance(15 * 60_000);
    await settle();
    expect(await world.names()).to.deep.equal(["p0"]);
    fails = false;
    world.clock.advance(3_600_000);
    await settle();
    expect(await world.names()).to.deep.equal([]);
    await expiry.stop();
    await world.put();
    world.clock.advance(30 * DAY_MS);
    await settle();
    expect((await world.names()).length).to.equal(1);
  });
});
