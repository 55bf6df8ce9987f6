import { silentLogger, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { FakeClusterWorld } from "../testing/index.ts";
import { pass, settle } from "../testing/settle.ts";
import { StoreProgress } from "./store-progress.ts";

const NAMES = ["a", "b", "c"];

describe("how far a store has got, as others remember it", () => {
  let clock: ManualClock;
  let world: FakeClusterWorld;
  let running: StoreProgress[];
  /** Members to which every node has a link. */
  let linked: Set<string>;

  beforeEach(() => {
    clock = new ManualClock();
    world = new FakeClusterWorld(NAMES, { clock });
    running = [];
    linked = new Set();
  });
  afterEach(() => {
    for (const progress of running) progress.stop();
  });

  interface Store {
    readonly progress: StoreProgress;
    commit: number;
    readonly rolledBack: string[];
  }

  /** A process of the member: a restart makes another one, whose memory is empty. */
  function start(name: string, commit: number, { isNewStore = false } = {}): Store {
    const rolledBack: string[] = [];
    const store: Store = {
      commit,
      rolledBack,
      progress: new StoreProgress({ cluster: world.of(name), lastCommit: () => store.commit, isNewStore, isLinked: (member) => linked.has(member), onRolledBack: (reason) => void rolledBack.push(reason), clock, logger: silentLogger }),
    };
    running.push(store.progress);
    store.progress.start();
    return store;
  }

  const commit = (store: Store, to: number): void => {
    store.commit = to;
    store.progress.noteCommitted();
  };
  const requests = (): number => world.requests.filter(({ method }) => method === "progress").length;

  it("a data directory that was rolled back is noticed at its start, before the store may acknowledge anything", async () => {
    const [a] = NAMES.map((name) => start(name, 10)) as [Store, Store, Store];
    await settle();
    expect(a.progress.isCompared).equal(true);
    commit(a, 14);
    await pass(clock, 1_000);
    a.progress.stop();
    const rolledBack = start("a", 11);
    expect(rolledBack.progress.isCompared).equal(false);
    await settle();
    expect(rolledBack.progress.isCompared).equal(false);
    expect(rolledBack.rolledBack).length(1);
    expect(rolledBack.rolledBack[0]).match(/^[bc] knows of commit 14 of this store, and its last one is 11/);
  });

  it("one that comes back with all that it had told is compared with a majority, and no more", async () => {
    const [a] = NAMES.map((name) => start(name, 10)) as [Store, Store, Store];
    await settle();
    commit(a, 14);
    await pass(clock, 1_000);
    a.progress.stop();
    world.stop("c");
    const back = start("a", 14);
    await settle();
    expect([back.progress.isCompared, back.rolledBack]).deep.equal([true, []]);
  });

  // After a member's disk was replaced queries failed: a complete answer needs three of four then, the lost store counted, and the new store had not compared yet.
  it("a store whose id its process drew has nothing to compare, and answers at once", async () => {
    for (const other of ["b", "c"]) world.cut("a", other);
    const a = start("a", 0, { isNewStore: true });
    expect(a.progress.isCompared).equal(true);
    await pass(clock, 5_000);
    expect([a.progress.isCompared, a.rolledBack]).deep.equal([true, []]);
  });

  it("a store that was put back to its beginning holds nothing and is no new one: it is noticed", async () => {
    for (const name of ["b", "c"]) start(name, 10);
    const a = start("a", 0, { isNewStore: true });
    await settle();
    commit(a, 4);
    await pass(clock, 1_000);
    a.progress.stop();
    const rolledBack = start("a", 0);
    expect(rolledBack.progress.isCompared).equal(false);
    await settle();
    expect([rolledBack.progress.isCompared, rolledBack.rolledBack.length]).deep.equal([false, 1]);
  });

  // A member was declared dead a moment before its link was back, by a node whose disk was full: for seconds it was told nothing. Then that disk was put back, and the one that was told was silent.
  it("a member that is dead by this node's view and linked all the same is told: it is the witness where the other one is silent", async () => {
    const [a] = NAMES.map((name) => start(name, 10)) as [Store, Store, Store];
    await settle();
    world.of("a").updateMember("b", { state: "dead" });
    commit(a, 14);
    await pass(clock, 3_000);
    linked.add("b");
    await pass(clock, 1_000);
    a.progress.stop();
    world.of("a").updateMember("b", { state: "active" });
    world.stop("c");
    const rolledBack = start("a", 11);
    await settle();
    expect(rolledBack.progress.isCompared).equal(false);
    expect(rolledBack.rolledBack[0]).match(/^b knows of commit 14 of this store/);
  });

  it("a member that is dead and has no link is sent nothing", async () => {
    const [a] = NAMES.map((name) => start(name, 10)) as [Store, Store, Store];
    await settle();
    world.of("a").updateMember("b", { state: "dead" });
    const before = requests();
    commit(a, 14);
    await pass(clock, 10_000);
    expect(requests() - before, "to c").equal(1);
  });

  it("a member that takes a new store id is asked again", async () => {
    const names = [...NAMES, "d", "e"];
    world = new FakeClusterWorld(names, { clock });
    const [a] = names.map((name) => (name === "a" || name === "b" ? start(name, 1) : undefined)) as [Store];
    for (const name of ["c", "d", "e"]) world.stop(name);
    await pass(clock, 1_000);
    world.updateMember("b", { storeId: "0b".repeat(16) });
    start("c", 1);
    world.resume("c");
    await pass(clock, 3_000);
    expect(a.progress.isCompared, "with b and c").equal(true);
  });

  it("without a majority it is not compared, and it goes on asking", async () => {
    const a = start("a", 1);
    world.cut("a", "b");
    world.cut("a", "c");
    await pass(clock, 5_000);
    expect(a.progress.isCompared).equal(false);
    world.heal();
    start("b", 1);
    await pass(clock, 200);
    expect(a.progress.isCompared).equal(true);
  });

  it("what was told meanwhile by a later message is no rollback", async () => {
    const [a] = NAMES.map((name) => start(name, 10)) as [Store, Store, Store];
    await settle();
    // The answer to the first message comes after the second one was sent.
    world.delay("a", "b", 1_500);
    commit(a, 11);
    await settle();
    commit(a, 12);
    await pass(clock, 5_000);
    expect([a.progress.isCompared, a.rolledBack]).deep.equal([true, []]);
  });

  it("a member that started anew is told again; one that has heard all is told nothing", async () => {
    const [a, b] = NAMES.map((name) => start(name, 10)) as [Store, Store, Store];
    await pass(clock, 3_000);
    const before = requests();
    await pass(clock, 60_000);
    expect(requests(), "nothing is committed").equal(before);
    b.progress.stop();
    start("b", 10);
    world.updateMember("b", { bootId: "another" });
    await pass(clock, 1_000);
    a.progress.stop();
    const rolledBack = start("a", 9);
    world.cut("a", "c");
    await settle();
    expect(rolledBack.rolledBack).length(1);
  });

  it("under load each member is told once a second", async () => {
    const [a] = NAMES.map((name) => start(name, 10)) as [Store, Store, Store];
    await pass(clock, 3_000);
    const before = requests();
    for (let step = 0; step < 100; step++) {
      commit(a, 11 + step);
      await pass(clock, 100);
    }
    expect((requests() - before) / 2).within(9, 12);
  });

  it("of a large cluster six members are told, and all are asked at the start until a majority has answered", async () => {
    const names = Array.from({ length: 15 }, (_, number) => `node-${number}`);
    world = new FakeClusterWorld(names, { clock });
    const stores = names.map((name) => start(name, 1));
    await pass(clock, 3_000);
    expect(stores.every(({ progress }) => progress.isCompared)).equal(true);
    const before = requests();
    commit(stores[3]!, 2);
    await pass(clock, 3_000);
    expect(requests() - before).equal(6);
  });

  it("of a large cluster, a majority that was told nothing is not enough", async () => {
    const names = Array.from({ length: 15 }, (_, number) => `node-${String(number).padStart(2, "0")}`);
    world = new FakeClusterWorld(names, { clock });
    const [first] = names.map((name) => start(name, 1));
    await pass(clock, 3_000);
    commit(first!, 5);
    await pass(clock, 1_000);
    first!.progress.stop();
    // It told node-01 to node-06. The other eight are a majority with it.
    for (const witness of names.slice(1, 7)) world.cut("node-00", witness);
    const rolledBack = start("node-00", 3);
    await pass(clock, 2_000);
    expect([rolledBack.progress.isCompared, rolledBack.rolledBack]).deep.equal([false, []]);
    world.heal();
    await pass(clock, 500);
    expect(rolledBack.rolledBack).length(1);
  });

  it("a member of the version before remembers nothing, and is no obstacle", async () => {
    const a = start("a", 3);
    await pass(clock, 1_000);
    expect(a.progress.isCompared, "b and c know no such request").equal(true);
  });

  it("a member that is not reached is asked again, and nothing is taken for granted of it", async () => {
    const [, b] = [start("b", 1), start("c", 1)];
    world.onRequest = (_, to, method) => (method === "progress" && to !== "a" ? Promise.reject(unavailable("PEER_BUSY", "later")) : undefined);
    const a = start("a", 3);
    await pass(clock, 1_000);
    expect(a.progress.isCompared).equal(false);
    world.onRequest = () => {};
    await pass(clock, 300);
    expect([a.progress.isCompared, b.rolledBack]).deep.equal([true, []]);
  });
});
