import { expect } from "chai";
import { CodedError, messageOf, seededRandom, silentLogger } from "@pyromesh/base";
import type { Random } from "@pyromesh/base";
import { ManualClock, SuspendableClock } from "@pyromesh/base/testing";
import type { HoldWatch } from "@pyromesh/scrape";
import { FakeClusterWorld } from "../testing/fake-cluster.ts";
import { ClusterHolds } from "./cluster-holds.ts";
import { GRANT_MS, HOLD_MS } from "./hold-grants.ts";

const KEYS = Array.from({ length: 12 }, (_, index) => `target ${index}`);

class World {
  readonly clock = new ManualClock();
  readonly cluster: FakeClusterWorld;
  readonly holds = new Map<string, ClusterHolds>();
  /** Of each member's machine. */
  readonly clocks = new Map<string, SuspendableClock>();
  #startCount = 0;

  constructor(readonly names: readonly string[] = ["a", "b", "c"]) {
    this.cluster = new FakeClusterWorld(names, { clock: this.clock });
    for (const name of names) {
      this.clocks.set(name, new SuspendableClock(this.clock));
      this.startMember(name);
    }
  }

  /** Also again, after a crash: it knows nothing of before. */
  startMember(name: string): void {
    this.cluster.updateMember(name, { bootId: `process ${++this.#startCount}` });
    const holds = new ClusterHolds({ cluster: this.cluster.of(name), clock: this.clocks.get(name)!, logger: silentLogger });
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

  /** Its clocks stand still with it. Returns what wakes it. */
  suspend(name: string): () => void {
    this.clocks.get(name)!.suspend();
    this.cluster.stop(name);
    return () => {
      this.clocks.get(name)!.wake();
      this.cluster.resume(name);
    };
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

  /** Those that run. */
  holdersOf(key: string): string[] {
    return [...this.holds].filter(([name, holds]) => !this.clocks.get(name)!.isSuspended && holds.holdOf(key) !== undefined).map(([name]) => name);
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

  /** Whether the hold was unbroken, while time goes on. */
  async function confirmed(world: World, watch: HoldWatch, limitMs = 20_000): Promise<boolean> {
    let answer: boolean | undefined;
    void watch.wasUnbroken(new AbortController().signal).then((isUnbroken) => (answer = isUnbroken));
    for (let passedMs = 0; answer === undefined && passedMs < limitMs; passedMs += 50) await world.pass(50);
    return answer!;
  }

  /** The one of a's targets, and who takes it over. */
  function ofA(world: World): { readonly key: string; readonly heir: ClusterHolds } {
    const key = KEYS.find((each) => world.holdersOf(each)[0] === "a")!;
    for (const name of ["b", "c"]) world.cluster.of(name).updateMember("a", { state: "dead" });
    return { key, heir: world.holds.get(world.holds.get("b")!.ownerOf(key)!.name)! };
  }

  function unknownMethod(): CodedError {
    return new CodedError({ code: "PEER_METHOD_UNKNOWN", kind: "unimplemented", message: "this node does not answer scrape-confirm" });
  }

  it("a hold is unbroken for who goes on asking, also while a member that granted it is started again", async () => {
    const world = new World();
    await world.pass(20_000);
    const key = KEYS.find((each) => world.holdersOf(each)[0] === "a")!;
    const watch = world.holds.get("a")!.watch(key)!;
    expect(await confirmed(world, watch)).equal(true);
    world.restart("b");
    await world.pass(60_000);
    expect(await confirmed(world, watch)).equal(true);
  });

  it("who was suspended with its clock, and wakes when another has scraped its target, may not store what it asks then", async () => {
    const world = new World();
    await world.pass(20_000);
    const holds = world.holds.get("a")!;
    const { key, heir } = ofA(world);
    const [hold, watch] = [holds.holdOf(key), holds.watch(key)!];
    const wake = world.suspend("a");
    await world.pass(600_000);
    expect(heir.holdOf(key)).not.equal(undefined);
    wake();
    world.check = () => {}; // it believes so for a moment
    expect(holds.holdOf(key), "by its own clock nothing has happened").equal(hold);
    expect(await confirmed(world, watch)).equal(false);
    expect(holds.holdOf(key)).not.equal(hold);
  });

  it("nor where the other has given the target up again, and it is granted what it asks for", async () => {
    const world = new World();
    await world.pass(20_000);
    const holds = world.holds.get("a")!;
    const { key, heir } = ofA(world);
    const watch = holds.watch(key)!;
    const wake = world.suspend("a");
    await world.pass(60_000);
    for (const name of ["b", "c"]) world.cluster.of(name).updateMember("a", { state: "active" });
    await world.pass(30_000);
    expect(heir.holdOf(key)).equal(undefined);
    wake();
    await world.pass(1_000);
    expect(await confirmed(world, watch)).equal(false);
    await world.pass(5_000);
    expect(await confirmed(world, holds.watch(key)!), "what it asks from now on counts").equal(true);
  });

  it("and where nobody took the target over meanwhile, nothing is lost", async () => {
    const world = new World();
    await world.pass(20_000);
    const key = KEYS.find((each) => world.holdersOf(each)[0] === "a")!;
    const watch = world.holds.get("a")!.watch(key)!;
    const wake = world.suspend("a");
    await world.pass(60_000);
    wake();
    expect(await confirmed(world, watch)).equal(true);
  });

  it("while too few answer it waits, for as long as the hold lasts", async () => {
    const world = new World();
    await world.pass(20_000);
    const key = KEYS.find((each) => world.holdersOf(each)[0] === "a")!;
    const watch = (): HoldWatch => world.holds.get("a")!.watch(key)!;
    for (const other of ["b", "c"]) world.cluster.cut("a", other);
    const before = watch();
    let answer: boolean | undefined;
    void before.wasUnbroken(new AbortController().signal).then((isUnbroken) => (answer = isUnbroken));
    await world.pass(5_000);
    expect(answer).equal(undefined);
    world.cluster.heal();
    await world.pass(1_000);
    expect(answer).equal(true);
    for (const other of ["b", "c"]) world.cluster.cut("a", other);
    expect(await confirmed(world, watch())).equal(false);
  });

  // The scrape waited for ever: the hold did not end, since the others went on granting it, and nobody else could say that it had been unbroken.
  it("where a member that granted it is gone for good, the hold counts as broken after a while, and the others grant another one", async () => {
    const world = new World();
    await world.pass(20_000);
    const holds = world.holds.get("a")!;
    const key = KEYS.find((each) => world.holdersOf(each)[0] === "a")!;
    world.cluster.cut("a", "c");
    await world.pass(5_000);
    const [hold, watch] = [holds.holdOf(key), holds.watch(key)!];
    world.cluster.heal();
    world.cluster.stop("b");
    expect(await confirmed(world, watch, 60_000)).equal(false);
    await world.pass(5_000);
    expect(holds.holdOf(key)).not.equal(hold);
    expect(await confirmed(world, holds.watch(key)!)).equal(true);
  });

  it("who asks no more is not told yes: what was stopped stores nothing", async () => {
    const world = new World();
    await world.pass(20_000);
    const stopped = new AbortController();
    const key = KEYS.find((each) => world.holdersOf(each)[0] === "a")!;
    const asked = world.holds.get("a")!.watch(key)!.wasUnbroken(stopped.signal).then(String, messageOf);
    stopped.abort(new Error("stopped"));
    await world.pass(250);
    expect(await asked).equal("stopped");
  });

  // It was believed: then a target that had moved while its holder was suspended was stored twice, since a process of an earlier build had come in the place of one that granted.
  it("a member that was started again as a build from before the question does not say yes", async () => {
    const world = new World();
    await world.pass(20_000);
    const { key, heir } = ofA(world);
    const watch = world.holds.get("a")!.watch(key)!;
    const wake = world.suspend("a");
    await world.pass(60_000);
    expect(heir.holdOf(key)).not.equal(undefined);
    const downgraded = world.holds.get("b") === heir ? "c" : "b";
    world.cluster.onRequest = (_, to, method) => (method === "scrape-confirm" && to === downgraded ? Promise.reject(unknownMethod()) : undefined);
    wake();
    world.check = () => {}; // by a's own clock it holds the target still
    expect(await confirmed(world, watch)).equal(false);
  });

  it("where a majority does not know the question nothing is stored, and where it does one that does not know it hinders nobody", async () => {
    const world = new World();
    await world.pass(20_000);
    const key = KEYS.find((each) => world.holdersOf(each)[0] === "a")!;
    let earlier = ["b", "c"];
    world.cluster.onRequest = (_, to, method) => (method === "scrape-confirm" && earlier.includes(to) ? Promise.reject(unknownMethod()) : undefined);
    expect(await confirmed(world, world.holds.get("a")!.watch(key)!)).equal(false);
    earlier = ["c"];
    await world.pass(5_000);
    expect(await confirmed(world, world.holds.get("a")!.watch(key)!)).equal(true);
  });

  it("many questions go together", async () => {
    const world = new World();
    await world.pass(20_000);
    const holds = world.holds.get("a")!;
    const own = KEYS.filter((key) => world.holdersOf(key)[0] === "a");
    world.cluster.requests.length = 0;
    const answers = Promise.all(own.map((key) => holds.watch(key)!.wasUnbroken(new AbortController().signal)));
    await world.pass(250);
    expect(await answers).deep.equal(own.map(() => true));
    expect([own.length > 1, world.cluster.requests.filter(({ method }) => method === "scrape-confirm").map(({ to }) => to)]).deep.equal([true, ["b", "c"]]);
  });

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

  it("what two members may store of a target never overlaps, whatever is suspended besides, its clock with it", async () => {
    let storedCount = 0;
    let droppedCount = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const random = seededRandom(seed);
      const world = new World(["a", "b", "c", "d", "e"].slice(0, 3 + (seed % 3)));
      world.check = () => {}; // who wakes believes in its hold for a moment
      const scrapes = new Scrapes(world, random);
      let answerDelayMs = 0;
      world.cluster.onAnswer = () => (answerDelayMs === 0 ? undefined : world.clock.sleep(random.float() * answerDelayMs));
      const wakers = new Map<string, () => void>();
      await world.pass(15_000);
      for (let step = 0; step < 80; step++) {
        answerDelayMs = random.float() < 0.3 ? 3_000 : 0;
        const name = world.names[Math.floor(random.float() * world.names.length)]!;
        if (wakers.has(name)) {
          wakers.get(name)!();
          wakers.delete(name);
        } else if (random.float() < 0.5 && world.holds.has(name)) {
          wakers.set(name, world.suspend(name));
          // Some take it for dead, and some of those see it alive again while it sleeps.
          for (const other of world.names) if (other !== name && random.float() < 0.8) world.cluster.of(other).updateMember(name, { state: "dead" });
        } else if (wakers.size === 0) {
          settle(world);
          disturb(world, random);
        } else for (const other of world.names) if (random.float() < 0.5) world.cluster.of(other).updateMember(name, { state: "active" });
        for (let passedMs = 0; passedMs < 12_000 * random.float(); passedMs += 250) {
          await world.pass(250);
          scrapes.step();
        }
      }
      for (const wake of wakers.values()) wake();
      await world.pass(10_000);
      scrapes.check(`seed ${seed}`);
      storedCount += scrapes.stored.length;
      droppedCount += scrapes.droppedCount;
    }
    expect(storedCount, "and some stored").greaterThan(500);
    expect(droppedCount, "some must be dropped, or nothing was tried").greaterThan(50);
  }).timeout(120_000);
});

/** Members that scrape what they hold, for random times: what they may store, and when it was measured. */
class Scrapes {
  readonly stored: { readonly key: string; readonly name: string; readonly fromMs: number; readonly toMs: number }[] = [];
  droppedCount = 0;
  readonly #underWay = new Map<string, { readonly holds: ClusterHolds; readonly watch: HoldWatch; readonly fromMs: number; readonly dueMs: number }>();

  constructor(
    readonly world: World,
    readonly random: Random,
  ) {}

  step(): void {
    const nowMs = this.world.clock.monotonicMs();
    for (const [name, holds] of this.world.holds) {
      if (this.world.clocks.get(name)!.isSuspended) continue;
      for (const key of KEYS) {
        const id = `${name} ${key}`;
        const scrape = this.#underWay.get(id);
        if (scrape === undefined || scrape.holds !== holds) {
          const watch = holds.watch(key);
          if (watch === undefined || this.random.float() < 0.3) this.#underWay.delete(id);
          else this.#underWay.set(id, { holds, watch, fromMs: nowMs, dueMs: nowMs + this.random.float() ** 2 * 20_000 });
        } else if (nowMs >= scrape.dueMs) {
          this.#underWay.delete(id);
          void scrape.watch.wasUnbroken(new AbortController().signal).then((isUnbroken) => {
            if (isUnbroken) this.stored.push({ key, name, fromMs: scrape.fromMs, toMs: nowMs });
            else this.droppedCount++;
          });
        }
      }
    }
  }

  check(history: string): void {
    for (const one of this.stored) {
      const other = this.stored.find(({ key, name, fromMs, toMs }) => key === one.key && name !== one.name && fromMs < one.toMs && one.fromMs < toMs);
      expect(other, `${history}: ${JSON.stringify(one)} and ${JSON.stringify(other)}`).equal(undefined);
    }
  }
}

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
