import { expect } from "chai";
import { seededRandom, silentLogger } from "@pyromesh/base";
import type { Random } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { FakeClusterWorld } from "../testing/fake-cluster.ts";
import { ClusterHolds } from "./cluster-holds.ts";
import { GRANT_MS, HOLD_MS } from "./hold-grants.ts";

const KEYS = Array.from({ length: 12 }, (_, index) => `target ${index}`);

class World {
  readonly clock = new ManualClock();
  readonly cluster: FakeClusterWorld;
  readonly holds = new Map<string, ClusterHolds>();
  #startCount = 0;

  constructor(readonly names: readonly string[] = ["a", "b", "c"]) {
    this.cluster = new FakeClusterWorld(names, { clock: this.clock });
    for (const name of names) this.startMember(name);
  }

  /** Also again, after a crash: it knows nothing of before. */
  startMember(name: string): void {
    this.cluster.updateMember(name, { bootId: `process ${++this.#startCount}` });
    const holds = new ClusterHolds({ cluster: this.cluster.of(name), clock: this.clock, logger: silentLogger });
    this.holds.set(name, holds);
    holds.want(KEYS);
  }

  crash(name: string): void {
    this.holds.get(name)!.stop();
    this.holds.delete(name);
    this.cluster.stop(name);
  }

  /** It has forgotten what it granted. */
  restart(name: string): void {
    if (this.holds.has(name)) this.crash(name);
    this.cluster.resume(name);
    this.startMember(name);
  }

  /** Other members, or one of them, see it so. */
  see(name: string, state: "active" | "dead"): void {
    this.cluster.updateMember(name, { state });
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) {
      this.clock.advance(Math.min(250, ms - passed));
      for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
      this.check();
    }
  }

  holdersOf(key: string): string[] {
    return [...this.holds].filter(([, holds]) => holds.holdOf(key) !== undefined).map(([name]) => name);
  }

  check(): void {
    for (const key of KEYS) expect(this.holdersOf(key).length, `${key} is held by ${this.holdersOf(key).join(" and ")}`).most(1);
  }
}

describe("cluster holds", () => {
  it("each target is held by its owner, once a grant of before could have ended", async () => {
    const world = new World();
    await world.pass(GRANT_MS - 250);
    for (const key of KEYS) expect(world.holdersOf(key)).deep.equal([]);
    await world.pass(5_000);
    for (const key of KEYS) expect(world.holdersOf(key)).deep.equal([world.holds.get("a")!.ownerOf(key)!.name]);
    expect(new Set(KEYS.flatMap((key) => world.holdersOf(key))).size).equal(3);
    const before = KEYS.map((key) => world.holds.get("a")!.holdOf(key));
    await world.pass(60_000);
    expect(KEYS.map((key) => world.holds.get("a")!.holdOf(key)), "a hold that is renewed is the same one").deep.equal(before);
  });

  it("of a member that crashed the targets move when its hold has ended, and no others do", async () => {
    const world = new World();
    await world.pass(20_000);
    const before = KEYS.map((key) => world.holdersOf(key)[0]!);
    world.crash("a");
    world.see("a", "dead");
    const moved = KEYS.filter((_, index) => before[index] === "a");
    await world.pass(HOLD_MS - 3_000);
    for (const key of moved) expect(world.holdersOf(key), "whoever had it might hold it still").deep.equal([]);
    await world.pass(8_000);
    for (const [index, key] of KEYS.entries()) expect(world.holdersOf(key)).deep.equal([before[index] === "a" ? world.holds.get("b")!.ownerOf(key)!.name : before[index]!]);
    world.cluster.resume("a");
    world.see("a", "active");
    world.startMember("a");
    await world.pass(20_000);
    expect(KEYS.map((key) => world.holdersOf(key)[0])).deep.equal(before);
  });

  it("of a member that stops in order the targets are free at once", async () => {
    const world = new World();
    await world.pass(20_000);
    const moved = KEYS.filter((key) => world.holdersOf(key)[0] === "a");
    world.holds.get("a")!.giveBack();
    world.holds.delete("a");
    await world.pass(250);
    world.cluster.stop("a");
    for (const name of ["b", "c"]) world.cluster.of(name).updateMember("a", { state: "dead" });
    await world.pass(HOLD_MS / 2);
    for (const key of moved) expect(world.holdersOf(key)).deep.equal([world.holds.get("b")!.ownerOf(key)!.name]);
  });

  it("a member that is cut off loses its holds, though it and some others still take it for the owner", async () => {
    const world = new World();
    await world.pass(20_000);
    world.cluster.cut("a", "b");
    world.cluster.cut("a", "c");
    await world.pass(HOLD_MS);
    for (const key of KEYS) expect(world.holdersOf(key)).not.include("a");
    for (const name of ["b", "c"]) world.cluster.of(name).updateMember("a", { state: "dead" });
    await world.pass(8_000);
    for (const key of KEYS) expect(world.holdersOf(key).length).equal(1);
  });

  it("two that both want a target by their views never have it together", async () => {
    const world = new World();
    await world.pass(20_000);
    // Each of them sees the two others dead, and owns all.
    for (const name of world.names) for (const other of world.names) if (other !== name) world.cluster.of(name).updateMember(other, { state: "dead" });
    await world.pass(60_000);
    for (const name of world.names) for (const other of world.names) if (other !== name) world.cluster.of(name).updateMember(other, { state: "active" });
    await world.pass(20_000);
    for (const key of KEYS) expect(world.holdersOf(key).length).equal(1);
  });

  it("a target that is wanted no more is held no more at once, and an answer that was under way changes nothing", async () => {
    const world = new World(["a"]);
    await world.pass(20_000);
    const holds = world.holds.get("a")!;
    expect(holds.holdOf(KEYS[0]!)).not.equal(undefined);
    holds.want([]);
    expect(holds.holdOf(KEYS[0]!)).equal(undefined);
    holds.want(KEYS);
    expect(holds.holdOf(KEYS[0]!), "only what is asked for from now on counts").equal(undefined);
    await world.pass(5_000);
    expect(holds.holdOf(KEYS[0]!)).not.equal(undefined);
  });

  it("a hold lasts from when its request was sent, however late the answer comes", async () => {
    const world = new World();
    await world.pass(20_000);
    const sent: number[] = [];
    const answeredMs: number[] = [];
    world.cluster.onRequest = (from) => void (from === "a" && sent.push(world.clock.monotonicMs()));
    world.cluster.onAnswer = async (_, to) => {
      if (to !== "a") return;
      await world.clock.sleep(2_000);
      answeredMs.push(sent.at(-1)!);
    };
    while (answeredMs.length < 2) await world.pass(250);
    world.cluster.cut("a", "b");
    world.cluster.cut("a", "c");
    const endMs = answeredMs.at(-1)! + HOLD_MS;
    while (world.clock.monotonicMs() < endMs) await world.pass(100);
    for (const key of KEYS) expect(world.holds.get("a")!.holdOf(key)).equal(undefined);
  });

  it("answers to what was asked before a target was given up and wanted again do not count for it", async () => {
    const world = new World();
    let isSlow = true;
    world.cluster.onAnswer = () => (isSlow ? world.clock.sleep(2_000) : undefined);
    await world.pass(GRANT_MS - 250);
    const holds = world.holds.get("a")!;
    const askedCount = (): number => world.cluster.requests.filter(({ from }) => from === "a").length;
    const before = askedCount();
    while (askedCount() === before) await world.pass(250);
    holds.want([]);
    holds.want(KEYS);
    isSlow = false;
    await world.pass(2_000);
    for (const key of KEYS) expect(holds.holdOf(key)).equal(undefined);
  });

  for (const sender of ["the same process", "the process before"]) {
    it(`a request of ${sender} that is read after a newer one frees nothing`, async () => {
      const world = new World();
      await world.pass(20_000);
      const key = KEYS.find((each) => world.holdersOf(each)[0] === "a")!;
      let isLate = true;
      let sentCount = 0;
      let arrivedCount = 0;
      world.cluster.onRequest = async (from) => {
        if (from !== "a" || !isLate) return;
        sentCount++;
        await world.clock.sleep(8_000);
        arrivedCount++;
      };
      world.holds.get("a")!.want(KEYS.filter((each) => each !== key));
      while (sentCount < 2) await world.pass(250);
      isLate = false;
      if (sender === "the same process") world.holds.get("a")!.want(KEYS);
      else world.restart("a");
      while (arrivedCount < 2) await world.pass(250);
      expect(world.holdersOf(key)).deep.equal(["a"]);
      // Its hold is of the last requests, and from now on the two others take over what it had.
      for (const name of ["b", "c"]) world.cluster.of(name).updateMember("a", { state: "dead" });
      await world.pass(6_000);
      expect(world.holdersOf(key), "whoever had it may hold it still").deep.equal(["a"]);
      await world.pass(10_000);
      expect(world.holdersOf(key)).deep.equal([world.holds.get("b")!.ownerOf(key)!.name]);
    });
  }

  it("never two at once, whatever is cut, slow, overtaken, crashed or seen otherwise; and in the end one", async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = seededRandom(seed);
      const world = new World(["a", "b", "c", "d", "e"].slice(0, 3 + (seed % 3)));
      let answerDelayMs = 0;
      let late: { readonly name: string; readonly ms: number } | undefined;
      // It arrives, whether or not somebody still waits for the answer.
      world.cluster.onRequest = (from) => (from === late?.name ? world.clock.sleep(late.ms * (0.5 + random.float())) : undefined);
      world.cluster.onAnswer = () => (answerDelayMs === 0 ? undefined : world.clock.sleep(random.float() * answerDelayMs));
      await world.pass(15_000);
      for (let step = 0; step < 60; step++) {
        answerDelayMs = random.float() < 0.3 ? 3_000 : 0;
        if (random.float() < 0.3) {
          // What it sends now is overtaken by what it sends when it wants all again, or has been started again; then nothing of it comes in time, and others take it for dead.
          const name = world.names[Math.floor(random.float() * world.names.length)]!;
          late = undefined;
          settle(world);
          await world.pass(random.float() * 20_000);
          late = { name, ms: 7_000 };
          world.holds.get(name)?.want(KEYS.filter(() => random.float() < 0.5));
          await world.pass(4_000);
          late = undefined;
          if (random.float() < 0.5) world.restart(name);
          else world.holds.get(name)?.want(KEYS);
          await world.pass(3_000);
          late = { name, ms: 30_000 };
          await world.pass(4_000);
          for (const other of world.names) if (other !== name && random.float() < 0.8) world.cluster.of(other).updateMember(name, { state: "dead" });
        } else disturb(world, random);
        await world.pass(250 * (1 + Math.floor(random.float() * 16)));
      }
      answerDelayMs = 0;
      late = undefined;
      settle(world);
      await world.pass(40_000);
      for (const key of KEYS) expect(world.holdersOf(key).length, `seed ${seed}, ${key}`).equal(1);
    }
  }).timeout(60_000);
});

/** All run, reach each other, and want all. */
function settle(world: World): void {
  world.cluster.heal();
  for (const name of world.names) {
    if (world.holds.has(name)) world.holds.get(name)!.want(KEYS);
    else world.startMember(name);
    world.see(name, "active");
  }
}

function disturb(world: World, random: Random): void {
  const any = (): string => world.names[Math.floor(random.float() * world.names.length)]!;
  const [one, other] = [any(), any()];
  const what = Math.floor(random.float() * 9);
  if (what === 0 && one !== other) world.cluster.cut(one, other);
  else if (what === 1 && one !== other) world.cluster.cutOneWay(one, other);
  else if (what === 2) world.cluster.heal();
  else if (what === 3 && one !== other) world.cluster.delay(one, other, random.float() * 4_000);
  else if (what === 4 && one !== other) world.cluster.of(one).updateMember(other, { state: random.float() < 0.5 ? "dead" : "active" });
  else if (what === 5) {
    if (world.holds.has(one)) world.crash(one);
    else world.restart(one);
  } else if (what >= 7 && world.holds.has(one)) world.restart(one);
  else if (what === 6) world.holds.get(one)?.want(KEYS.filter(() => random.float() < 0.7));
}
