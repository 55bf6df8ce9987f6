import { CodedError, toHex, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import type { EncodedRecord } from "@pyromesh/profile";
import type { ClusterView } from "@pyromesh/ring";
import { verifiedRecord } from "@pyromesh/profile";
import { expect } from "chai";
import fc from "fast-check";
import { decodeAppend } from "../cluster/append-message.ts";
import { FakeClusterWorld, pass, recordOf, StoreNode } from "../testing/index.ts";

interface World {
  readonly clock: ManualClock;
  readonly cluster: FakeClusterWorld;
  readonly nodes: ReadonlyMap<string, StoreNode>;
  of(name: string): StoreNode;
  /** Names of the nodes that hold the record. */
  holders(record: EncodedRecord): string[];
}

const started: StoreNode[] = [];

function worldOf(names: readonly string[], replication?: number, { againWithinMs = 0 }: { readonly againWithinMs?: number } = {}): World {
  const clock = new ManualClock();
  const cluster = new FakeClusterWorld(names, { clock, ...(replication === undefined ? {} : { replication }) });
  const nodes = new Map(names.map((name) => [name, new StoreNode(cluster, name, { againWithinMs })]));
  started.push(...nodes.values());
  const of = (name: string): StoreNode => nodes.get(name)!;
  return { clock, cluster, nodes, of, holders: (record) => names.filter((name) => of(name).has(record)) };
}

/** What an outcome is named by. */
const codeOf = (outcome: "kept" | CodedError): string => (outcome === "kept" ? outcome : outcome.code);
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A promise that the test settles. */
class Gate {
  open!: () => void;
  fail!: (error: CodedError) => void;
  readonly passed: Promise<void> = new Promise((resolve, reject) => {
    this.open = resolve;
    this.fail = reject;
  });
}

describe("replicator: acks", () => {
  afterEach(() => {
    for (const node of started.splice(0)) node.stop();
  });

  it("a record is kept by all of its stores, in one list with one order, and answered when two of three have synced it", async () => {
    const world = worldOf(["a", "b", "c"]);
    const record = recordOf({ series: 1 });
    expect(await world.of("a").push(record)).equal("kept");
    await turn();
    expect(world.holders(record)).deep.equal(["a", "b", "c"]);
    const lists = ["a", "b", "c"].map((name) => world.of(name).held.get(toHex(record.identity))!.stores.map(toHex));
    expect(lists[1]).deep.equal(lists[0]);
    expect(lists[2]).deep.equal(lists[0]);
    expect(new Set(lists[0]).size).equal(3);
  });

  it("in every order in which three stores sync, fail or stay silent, it is kept exactly when two have synced", async () => {
    const orders = ["abc", "acb", "bac", "bca", "cab", "cba"];
    const fates = ["sync", "fail"] as const;
    for (const order of orders) {
      for (const a of fates) for (const b of fates) for (const c of fates) {
        const world = worldOf(["a", "b", "c"]);
        const fateOf = new Map<string, string>([["a", a], ["b", b], ["c", c]]);
        const gates = new Map(["a", "b", "c"].map((name) => [name, new Gate()]));
        for (const [name, gate] of gates) world.of(name).onSync = () => gate.passed;
        let outcome: "kept" | CodedError | undefined;
        void world.of("a").push(recordOf({ series: 1 })).then((ended) => (outcome = ended));
        await turn();
        let syncedCount = 0;
        let failedCount = 0;
        for (const name of order) {
          if (fateOf.get(name) === "sync") syncedCount++;
          else failedCount++;
          if (fateOf.get(name) === "sync") gates.get(name)!.open();
          else gates.get(name)!.fail(unavailable("HEAD_FULL", "no room"));
          await turn();
          const expected = syncedCount >= 2 ? "kept" : failedCount >= 2 ? "NOT_ENOUGH_ACKS" : undefined;
          const isSettledBefore = outcome !== undefined;
          expect(outcome === undefined ? undefined : codeOf(outcome), `${order} ${a} ${b} ${c}, after ${name}`).equal(isSettledBefore ? codeOf(outcome!) : expected);
          if (expected !== undefined) expect(outcome, `${order} ${a} ${b} ${c}`).not.equal(undefined);
        }
      }
    }
  });

  it("a refusal names how many keep it, and of each other why not", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.of("a").onSync = async () => {
      await turn();
      throw unavailable("HEAD_FULL", "the disk budget is used up");
    };
    world.cluster.cut("a", "c");
    const refused = await world.of("a").push(recordOf({ series: 1 }));
    expect(refused).instanceOf(CodedError).deep.include({ code: "NOT_ENOUGH_ACKS", kind: "unavailable" });
    expect((refused as CodedError).message).match(/^1 of the 3 stores .* 2 must: .*this node: the disk budget is used up/).and.match(/c: there is no link to c/);
    expect((refused as CodedError).details).deep.equal({ retryAfterSeconds: 1, ackCount: 1 });
  });

  it("a refusal names a member once", async () => {
    const world = worldOf(["a", "b", "c"]);
    for (const name of ["b", "c"]) world.of(name).onSync = () => Promise.reject(unavailable("PEER_UNREACHABLE", `${name} cannot be reached: the last attempt failed a moment ago`));
    expect((await world.of("a").push(recordOf({ series: 1 })) as CodedError).message).match(/ 2 must: (b|c) cannot be reached: [^;]*; (b|c) cannot be reached: [^;]*; send it again, it counts once$/);
  });

  it("one store counts once, also where it is asked twice: a duplicate is an ack, under whatever list it came first", async () => {
    const world = worldOf(["a", "b", "c"]);
    const record = recordOf({ series: 1 });
    await world.of("a").push(record);
    await turn();
    world.cluster.cut("b", "c");
    world.cluster.cut("b", "a");
    expect(codeOf(await world.of("b").push(record)), "it is held by three, and b alone can say so").equal("NOT_ENOUGH_ACKS");
    world.cluster.heal();
    await pass(world.clock, 1000);
    expect(await world.of("b").push(record)).equal("kept");
    expect([...world.nodes.values()].map(({ held }) => held.size)).deep.equal([1, 1, 1]);
  });

  it("an ack that comes after the answer changes nothing, and the record is there", async () => {
    const world = worldOf(["a", "b", "c"]);
    const gate = new Gate();
    const record = recordOf({ series: 1 });
    world.of("c").onSync = () => gate.passed;
    expect(await world.of("a").push(record)).equal("kept");
    expect(world.holders(record)).not.include("c");
    gate.open();
    await turn();
    await turn();
    expect(world.holders(record)).include("c");
    const held = world.of("c").held.get(toHex(record.identity))!;
    expect(verifiedRecord(held.record.bytes).identity, "its bytes outlived the push that lent them").deep.equal(record.identity);
  });

  it("a store that lost contact between its sync and its word is no ack", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.cut("a", "c");
    world.of("b").onSync = () => void (world.of("b").cluster.isInContact = false);
    expect(codeOf(await world.of("a").push(recordOf({ series: 1 })))).equal("NOT_ENOUGH_ACKS");
  });

  it("this node's own store is no ack either where contact was lost during its sync", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.cut("a", "c");
    world.of("a").onSync = () => void (world.of("a").cluster.isInContact = false);
    expect(codeOf(await world.of("a").push(recordOf({ series: 1 })))).equal("NOT_ENOUGH_ACKS");
  });

  it("the ack of a store that is known as lost when it is counted does not count", async () => {
    const world = worldOf(["a", "b", "c"]);
    const { cluster } = world;
    const gate = new Gate();
    const record = recordOf({ series: 1 });
    world.cluster.cut("a", "c");
    world.of("a").onSync = () => gate.passed;
    const pushed = world.of("a").push(record);
    await turn();
    expect(world.holders(record)).deep.equal(["b"]);
    cluster.of("a").update({ lostStores: [{ member: "b", storeId: cluster.storeIdOf("b"), incarnation: 1, acksHeld: 2, isCleared: false, isReplaced: false, fencedBy: [], flushedBy: [] }] });
    gate.open();
    expect(codeOf(await pushed)).equal("NOT_ENOUGH_ACKS");
  });

  it("with fewer members than must ack nothing is sent", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.updateMember("b", { state: "dead" });
    world.cluster.updateMember("c", { state: "dead" });
    expect(codeOf(await world.of("a").push(recordOf({ series: 1 })))).equal("NOT_ENOUGH_MEMBERS");
    expect(world.cluster.requests).deep.equal([]);
  });

  it("a record that no store takes, for what it is, is refused as that", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.of("a").onSync = () => Promise.reject(new CodedError({ code: "SERVICE_NAME_TOO_LONG", kind: "invalid_argument", message: "shorten it" }));
    world.cluster.cut("a", "b");
    world.cluster.cut("a", "c");
    expect(codeOf(await world.of("a").push(recordOf({ series: 1 })))).equal("SERVICE_NAME_TOO_LONG");
  });
});

describe("replicator: members that fail", () => {
  afterEach(() => {
    for (const node of started.splice(0)) node.stop();
  });

  it("one of three that is unreachable costs no push its acks, and is told of as not having kept it", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.cut("a", "c");
    for (let series = 0; series < 50; series++) expect(await world.of("a").push(recordOf({ series }))).equal("kept");
    expect(world.of("a").unkept.map(({ member }) => member)).include("c").and.not.include("b");
    expect(world.cluster.requests.filter(({ to }) => to === "c").length, "it is left out of lists after the first failure").below(5);
  });

  it("one that is stopped costs no push its acks, and no wait", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.stop("c");
    for (let series = 0; series < 50; series++) expect(await world.of("a").push(recordOf({ series }))).equal("kept");
    expect(world.clock.monotonicMs(), "no time passed").equal(new ManualClock().monotonicMs());
  });

  it("one that has answered nothing for two seconds is left out of lists, whatever still waits for it", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.stop("c");
    await world.of("a").push(recordOf({ series: 1 }));
    await pass(world.clock, 1_900);
    expect([...world.of("a").senders.silent]).deep.equal([]);
    await pass(world.clock, 200);
    expect([...world.of("a").senders.silent]).deep.equal(["c"]);
    expect(world.of("a").placement.of(recordOf({ series: 2 })).ranks.map(({ member }) => member)).have.members(["a", "b"]);
  });

  it("this node's own disk may be the slow one: the push is answered, and its memory is its own until the disk has it", async () => {
    const world = worldOf(["a", "b", "c"]);
    const gate = new Gate();
    world.of("a").onSync = () => gate.passed;
    const record = recordOf({ series: 1 });
    expect(await world.of("a").push(record)).equal("kept");
    expect(world.holders(record)).deep.equal(["b", "c"]);
    gate.open();
    await turn();
    expect(verifiedRecord(world.of("a").held.get(toHex(record.identity))!.record.bytes).identity).deep.equal(record.identity);
  });

  it("a list with members that fail is made anew with others in their places", async () => {
    const names = ["a", "b", "c", "d", "e"];
    for (const gone of [["b", "c"], ["c", "d"], ["d", "e"], ["b", "e"]]) {
      const world = worldOf(names);
      for (const name of gone) world.cluster.cut("a", name);
      for (let series = 0; series < 20; series++) {
        const record = recordOf({ series });
        expect(await world.of("a").push(record), `${gone.join()}, series ${series}`).equal("kept");
        expect(world.holders(record).length).least(2);
      }
    }
  });

  it("a push that fails at once, since nobody answers, sends nothing of what its memory holds afterwards", async () => {
    const world = worldOf(["a", "b", "c", "d", "e"]);
    for (const name of ["b", "c", "d", "e"]) world.cluster.cut("a", name);
    for (let round = 0; round < 3; round++) {
      for (let series = 0; series < 30; series++) expect(codeOf(await world.of("a").push(recordOf({ series })))).equal("NOT_ENOUGH_ACKS");
      if (round === 1) world.cluster.heal();
      await pass(world.clock, 500);
      if (round === 1) for (const name of ["b", "c", "d", "e"]) world.cluster.cut("a", name);
    }
    for (const { metrics } of world.nodes.values()) expect(await metrics.text()).not.include("CORRUPTION");
  });

  it("one that answers again is sent records again, at the latest a second later", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.cut("a", "c");
    for (let series = 0; series < 10; series++) await world.of("a").push(recordOf({ series }));
    await pass(world.clock, 20_000);
    world.cluster.heal();
    await pass(world.clock, 1_100);
    const record = recordOf({ series: 99 });
    await world.of("a").push(record);
    await turn();
    expect(world.holders(record)).deep.equal(["a", "b", "c"]);
  });

  it("two of three that did not answer the last requests are asked again at once, since a push needs them", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.cut("a", "b");
    world.cluster.cut("a", "c");
    expect(codeOf(await world.of("a").push(recordOf({ series: 1 })))).equal("NOT_ENOUGH_ACKS");
    world.cluster.heal();
    expect(await world.of("a").push(recordOf({ series: 1 }))).equal("kept");
  });

  it("one under a new store id refuses what was listed under its old one, and keeps the next push", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.cut("a", "c");
    world.cluster.of("b").updateMember("b", { storeId: "ee".repeat(16) });
    expect(codeOf(await world.of("a").push(recordOf({ series: 1 })))).equal("NOT_ENOUGH_ACKS");
    world.cluster.of("a").updateMember("b", { storeId: "ee".repeat(16) });
    expect(await world.of("a").push(recordOf({ series: 1 }))).equal("kept");
  });
});

describe("replicator: what passes by itself", () => {
  const AGAIN_WITHIN_MS = 2_000;
  const worldThatWaits = (names: readonly string[] = ["a", "b", "c"]): World => worldOf(names, undefined, { againWithinMs: AGAIN_WITHIN_MS });
  const lost = (world: World, name: string): Partial<ClusterView> => ({
    lostStores: [{ member: name, storeId: world.cluster.storeIdOf(name), incarnation: 1, acksHeld: 2, isCleared: false, isReplaced: false, fencedBy: [], flushedBy: [] }],
  });
  /** The outcome and how long it took, by the clock that the test moves. */
  const pushed = async (world: World, record: EncodedRecord, { afterMs = 0, then = () => {} }: { readonly afterMs?: number; readonly then?: () => void } = {}): Promise<readonly [string, number]> => {
    const sentMs = world.clock.monotonicMs();
    let outcome: readonly [string, number] | undefined;
    void world.of("a").push(record).then((ended) => (outcome = [codeOf(ended), world.clock.monotonicMs() - sentMs]));
    await pass(world.clock, afterMs);
    then();
    for (let passedMs = afterMs; outcome === undefined && passedMs < 10_000; passedMs += 10) await pass(world.clock, 10);
    return outcome!;
  };
  afterEach(() => {
    for (const node of started.splice(0)) node.stop();
  });

  it("a list that names a store that another one knows as lost is made anew within the push, before this node has heard of the loss", async () => {
    const world = worldThatWaits();
    world.cluster.cut("a", "c");
    world.cluster.of("b").update(lost(world, "c"));
    const record = recordOf({ series: 1 });
    const [outcome, tookMs] = await pushed(world, record);
    expect(outcome).equal("kept");
    expect(tookMs).below(300);
    expect(world.of("b").held.get(toHex(record.identity))!.stores.map(toHex), "b keeps it under a list without the lost store").not.include(world.cluster.storeIdOf("c"));
  });

  it("a store that another one still takes for lost, and that has just begun anew, costs no push: b hears of its return a moment later", async () => {
    const world = worldThatWaits();
    world.cluster.of("b").update(lost(world, "c"));
    world.cluster.of("c").isInContact = false;
    const [outcome, tookMs] = await pushed(world, recordOf({ series: 1 }), { afterMs: 250, then: () => world.cluster.of("b").update({ lostStores: [] }) });
    expect(outcome).equal("kept");
    expect(tookMs).below(1_000);
  });

  it("a store that is out of contact for a moment says so when it is in contact again, and not before", async () => {
    const world = worldThatWaits();
    world.cluster.cut("a", "c");
    world.cluster.of("b").loseContact();
    const [outcome, tookMs] = await pushed(world, recordOf({ series: 1 }), { afterMs: 700, then: () => (world.cluster.of("b").isInContact = true) });
    expect([outcome, tookMs < 720, tookMs >= 700]).deep.equal(["kept", true, true]);
  });

  it("this node itself likewise", async () => {
    const world = worldThatWaits();
    world.cluster.cut("a", "c");
    world.cluster.of("a").loseContact();
    const [outcome, tookMs] = await pushed(world, recordOf({ series: 1 }), { afterMs: 700, then: () => (world.cluster.of("a").isInContact = true) });
    expect([outcome, tookMs < 720, tookMs >= 700]).deep.equal(["kept", true, true]);
  });

  it("a link that is made anew costs no push", async () => {
    const world = worldThatWaits();
    world.cluster.cut("a", "b");
    world.cluster.cut("a", "c");
    const record = recordOf({ series: 1 });
    const [outcome, tookMs] = await pushed(world, record, { afterMs: 600, then: () => world.cluster.heal() });
    expect(outcome).equal("kept");
    expect(tookMs).below(1_300);
    await turn();
    for (const name of world.holders(record)) expect(verifiedRecord(world.of(name).held.get(toHex(record.identity))!.record.bytes).identity).deep.equal(record.identity);
  });

  it("a link that breaks before this node's own disk has answered costs no push either, though the third member is dead", async () => {
    const world = worldThatWaits();
    world.cluster.updateMember("c", { state: "dead" });
    world.cluster.cut("a", "b");
    const gate = new Gate();
    world.of("a").onSync = () => gate.passed;
    const [outcome, tookMs] = await pushed(world, recordOf({ series: 1 }), {
      afterMs: 50,
      then: () => {
        gate.open();
        world.cluster.heal();
      },
    });
    expect(outcome).equal("kept");
    expect(tookMs).below(300);
  });

  it("members that a view has lost for a moment are waited for", async () => {
    const world = worldThatWaits();
    for (const name of ["b", "c"]) world.cluster.of("a").updateMember(name, { state: "dead" });
    const [outcome] = await pushed(world, recordOf({ series: 1 }), { afterMs: 500, then: () => world.cluster.of("a").updateMember("b", { state: "active" }) });
    expect(outcome).equal("kept");
  });

  it("what does not pass is refused after two seconds, and says why", async () => {
    const world = worldThatWaits();
    world.cluster.cut("a", "b");
    world.cluster.cut("a", "c");
    const [outcome, tookMs] = await pushed(world, recordOf({ series: 1 }));
    expect(outcome).equal("NOT_ENOUGH_ACKS");
    expect(tookMs).within(AGAIN_WITHIN_MS, AGAIN_WITHIN_MS + 700);
  });

  it("who is full or busy is not asked again, and a node that has been out of contact for long waits for nothing", async () => {
    const world = worldThatWaits();
    for (const name of ["b", "c"]) world.of(name).onSync = () => Promise.reject(unavailable("HEAD_FULL", "no room"));
    expect(await pushed(world, recordOf({ series: 1 }))).deep.equal(["NOT_ENOUGH_ACKS", 10]);
    const cutOff = worldThatWaits();
    for (const name of ["b", "c"]) cutOff.cluster.cut("a", name);
    cutOff.cluster.of("a").isInContact = false;
    const [outcome, tookMs] = await pushed(cutOff, recordOf({ series: 1 }));
    expect([outcome, tookMs <= 110]).deep.equal(["NOT_ENOUGH_ACKS", true]);
  });

  it("a caller that leaves ends the waiting of its push", async () => {
    const world = worldThatWaits();
    world.cluster.cut("a", "b");
    world.cluster.cut("a", "c");
    const left = new AbortController();
    let outcome: string | undefined;
    void world.of("a").push(recordOf({ series: 1 }), left.signal).then((ended) => (outcome = codeOf(ended)));
    await pass(world.clock, 350);
    left.abort();
    await pass(world.clock, 500);
    expect(outcome).equal("NOT_ENOUGH_ACKS");
  });

  it("no more records wait than their count and bytes allow: further ones fail at once, and room that was given back is used", async () => {
    for (const [sizeBytes, waitingMax] of [[100, 1_024], [1_000_000, 16]] as const) {
      const world = worldThatWaits();
      world.cluster.cut("a", "b");
      world.cluster.cut("a", "c");
      for (let round = 0; round < 2; round++) {
        const codes: string[] = [];
        for (let series = 0; series < waitingMax + 50; series++) void world.of("a").push(recordOf({ series, sizeBytes })).then((ended) => codes.push(codeOf(ended)));
        await pass(world.clock, 10);
        expect(codes.length, `${sizeBytes} bytes each, round ${round}`).within(50, 55);
        await pass(world.clock, 10_000);
        expect(codes).length(waitingMax + 50);
      }
    }
  });

  it("the ack of a store that the latest list does not name does not count: nobody who keeps the record under that list has looked whether it is lost", async () => {
    const world = worldThatWaits(["a", "b", "c", "d", "e"]);
    const { cluster } = world;
    const record = Array.from({ length: 100 }, (_, series) => recordOf({ series })).find((each) => !world.of("a").placement.of(each).ranks.some(({ isSelf }) => isSelf))!;
    const [first, ...rest] = world.of("a").placement.of(record).ranks.map(({ member }) => member);
    const other = ["b", "c", "d", "e"].find((name) => name !== first && !rest.includes(name))!;
    for (const name of [...rest, other]) cluster.cut("a", name);
    world.of("a").onSync = () => Promise.reject(unavailable("OUT_OF_CONTACT", "for the test"));
    let outcome: string | undefined;
    void world.of("a").push(record).then((ended) => (outcome = codeOf(ended)));
    await pass(world.clock, 50);
    expect(world.holders(record)).deep.equal([first]);
    // It leaves, so lists do not name it any more. One of the others is reached again.
    cluster.of("a").updateMember(first!, { state: "leaving" });
    cluster.heal();
    for (const name of rest) cluster.cut("a", name);
    await pass(world.clock, 1_200);
    expect(world.holders(record)).have.members([first, other]);
    expect(outcome, "two stores keep it, and only one of them is in the latest list").equal(undefined);
    cluster.heal();
    await pass(world.clock, 1_000);
    expect(outcome).equal("kept");
  });
});

describe("replicator: batches", () => {
  afterEach(() => {
    for (const node of started.splice(0)) node.stop();
  });

  it("what comes while a request is under way goes into the next one together", async () => {
    const world = worldOf(["a", "b", "c"]);
    const gate = new Gate();
    world.of("b").onSync = () => gate.passed;
    world.of("c").onSync = () => gate.passed;
    const pushed: Promise<unknown>[] = [];
    for (let series = 0; series < 200; series++) {
      pushed.push(world.of("a").push(recordOf({ series })));
      if (series % 20 === 0) await turn();
    }
    gate.open();
    expect(new Set(await Promise.all(pushed))).deep.equal(new Set(["kept"]));
    expect(world.cluster.requests.filter(({ to }) => to === "b")).length(2);
  });

  it("many megabytes go in several requests of bounded size, a few of them at once, and one record is never split", async () => {
    const world = worldOf(["a", "b", "c"]);
    let underway = 0;
    let underwayMax = 0;
    world.cluster.onRequest = async (_from, to, _method, body) => {
      expect(body.length).below(600 * 1024);
      if (to !== "b") return;
      underwayMax = Math.max(underwayMax, ++underway);
      await turn();
      await turn();
      underway--;
    };
    const large = (series: number): EncodedRecord => recordOf({ series, sizeBytes: 60_000 });
    const outcomes = await Promise.all(Array.from({ length: 100 }, (_, series) => world.of("a").push(large(series))));
    expect(new Set(outcomes)).deep.equal(new Set(["kept"]));
    expect(underwayMax).within(2, 4);
  });

  it("a member that does not keep up takes no more than what it can within two seconds: the rest fails", async () => {
    const world = worldOf(["a", "b", "c"]);
    for (const name of ["b", "c"]) world.cluster.delay("a", name, 400);
    const outcomes: string[] = [];
    let latestMs = 0;
    for (let series = 0; series < 300; series++) {
      const atMs = world.clock.monotonicMs();
      void world.of("a").push(recordOf({ series, sizeBytes: 100_000 })).then((outcome) => {
        outcomes.push(codeOf(outcome));
        if (outcome === "kept") latestMs = Math.max(latestMs, world.clock.monotonicMs() - atMs);
      });
      if (series % 3 === 2) await pass(world.clock, 10);
    }
    await pass(world.clock, 5_000);
    expect(outcomes).length(300);
    expect(outcomes.filter((outcome) => outcome === "kept").length).within(20, 250);
    expect(latestMs, "16 MiB wait, which are 3.2 s at its rate").below(3_000);
  });

  it("a member whose answer cannot be read keeps nothing, and that is no fault of the push", async () => {
    const world = worldOf(["a", "b", "c"]);
    for (const name of ["b", "c"]) world.cluster.of(name).peers.handle("append", () => Promise.resolve(Uint8Array.of(0xc1, 0xff)));
    const outcome = await world.of("a").push(recordOf({ series: 1 }));
    expect(outcome).instanceOf(CodedError).include({ kind: "unavailable" });
    expect(await world.of("a").metrics.text()).include('pyromesh_push_ack_failures_total{reason="PEER_MALFORMED"} 2');
  });

  it("beyond what may wait for one member its records fail at once, the others keep them", async () => {
    const world = worldOf(["a", "b", "c"]);
    world.cluster.stop("c");
    const large = (series: number): EncodedRecord => recordOf({ series, sizeBytes: 500_000 });
    for (let series = 0; series < 60; series++) expect(await world.of("a").push(large(series))).equal("kept");
    expect(await world.of("a").metrics.text()).include('pyromesh_push_ack_failures_total{reason="PEER_BUSY"}');
  });
});

describe("replicator: pushes that are being made ready", () => {
  afterEach(() => {
    for (const node of started.splice(0)) node.stop();
  });

  const requestsOf = (world: World, name: string): number[] => {
    const counts: number[] = [];
    const { peers } = world.of(name).cluster;
    const request = peers.request.bind(peers);
    peers.request = (member, method, body, options) => {
      if (method === "append" && member === "b") counts.push(decodeAppend(body).length);
      return request(member, method, body, options);
    };
    return counts;
  };

  it("records wait for those of pushes that were announced, and go with them in one request", async () => {
    const world = worldOf(["a", "b", "c"]);
    const counts = requestsOf(world, "a");
    const { senders } = world.of("a");
    senders.announce();
    senders.announce();
    const first = world.of("a").push(recordOf({ series: 1 }));
    senders.arrived();
    await turn();
    expect(counts).deep.equal([]);
    const second = world.of("a").push(recordOf({ series: 2 }));
    senders.arrived();
    expect(await Promise.all([first, second])).deep.equal(["kept", "kept"]);
    expect(counts).deep.equal([2]);
  });

  it("a push that is alone waits for nothing", async () => {
    const world = worldOf(["a", "b", "c"]);
    const counts = requestsOf(world, "a");
    const { senders } = world.of("a");
    senders.announce();
    const pushed = world.of("a").push(recordOf({ series: 1 }));
    senders.arrived();
    expect(await pushed).equal("kept");
    expect(counts).deep.equal([1]);
  });

  it("an announced push that does not come holds others up for 4 ms, and no more than seven of them", async () => {
    const world = worldOf(["a", "b", "c"]);
    const counts = requestsOf(world, "a");
    world.of("a").senders.announce();
    const one = world.of("a").push(recordOf({ series: 1 }));
    await pass(world.clock, 3);
    expect(counts).deep.equal([]);
    await pass(world.clock, 1);
    expect(counts).deep.equal([1]);
    expect(await one).equal("kept");
    const eight = Array.from({ length: 8 }, (_, index) => world.of("a").push(recordOf({ series: 2 + index })));
    expect(await Promise.all(eight)).deep.equal(eight.map(() => "kept"));
    expect(counts).deep.equal([1, 8]);
  });
});

describe("replicator: what 200 means", () => {
  const NAMES = ["a", "b", "c", "d", "e"];
  afterEach(() => {
    for (const node of started.splice(0)) node.stop();
  });

  for (const againWithinMs of [0, 2_000]) it(`whatever fails, a push that is kept is synced by as many distinct stores as must ack, with a patience of ${againWithinMs} ms`, async () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("push" as const), node: fc.constantFrom(...NAMES), series: fc.nat(20) }) },
      fc.record({ kind: fc.constantFrom("cut", "cutOneWay") as fc.Arbitrary<"cut" | "cutOneWay">, a: fc.constantFrom(...NAMES), b: fc.constantFrom(...NAMES) }),
      fc.record({ kind: fc.constantFrom("stop", "contact", "full", "dead", "loseAnswers") as fc.Arbitrary<"stop" | "contact" | "full" | "dead" | "loseAnswers">, node: fc.constantFrom(...NAMES) }),
      fc.record({ kind: fc.constant("wipe" as const), node: fc.constantFrom(...NAMES) }),
      fc.constant({ kind: "heal" as const }),
      fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(6_000) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const world = worldOf(NAMES, 3, { againWithinMs });
        const losing = new Set<string>();
        world.cluster.onAnswer = (from) => {
          if (losing.has(from)) throw unavailable("PEER_UNREACHABLE", "the answer is lost");
        };
        const acked: EncodedRecord[] = [];
        /** What every store has ever synced. */
        const synced = new Map<string, Set<string>>();
        for (const node of world.nodes.values()) {
          const { append } = node.head;
          node.head.append = async (record, stores) => {
            const appended = await append(record, stores);
            const key = toHex(record.identity);
            synced.set(key, (synced.get(key) ?? new Set()).add(node.cluster.view.self.storeId));
            return appended;
          };
        }
        const pushes: Promise<void>[] = [];
        for (const one of steps) {
          if (one.kind === "push") {
            const record = recordOf({ series: one.series });
            pushes.push(
              world.of(one.node).push(record).then((outcome) => {
                if (outcome !== "kept") return;
                acked.push(record);
                expect(synced.get(toHex(record.identity))?.size ?? 0).least(2);
              }),
            );
          } else if (one.kind === "cut") world.cluster.cut(one.a, one.b);
          else if (one.kind === "cutOneWay") world.cluster.cutOneWay(one.a, one.b);
          else if (one.kind === "stop") world.cluster.stop(one.node);
          else if (one.kind === "contact") world.of(one.node).cluster.isInContact = false;
          else if (one.kind === "full") world.of(one.node).onSync = () => Promise.reject(unavailable("HEAD_FULL", "no room"));
          else if (one.kind === "dead") world.cluster.updateMember(one.node, { state: "dead" });
          else if (one.kind === "loseAnswers") losing.add(one.node);
          else if (one.kind === "wipe") {
            world.of(one.node).held.clear();
            world.cluster.updateMember(one.node, { storeId: `${pushes.length}`.padStart(32, "f") });
          } else if (one.kind === "pass") await pass(world.clock, one.ms);
          else {
            world.cluster.heal();
            losing.clear();
            for (const node of world.nodes.values()) {
              node.cluster.isInContact = true;
              node.onSync = () => {};
            }
          }
          await turn();
        }
        world.cluster.heal();
        await pass(world.clock, 30_000);
        await Promise.all(pushes);
        for (const record of acked) for (const { held } of world.nodes.values()) {
          const found = held.get(toHex(record.identity));
          if (found !== undefined) expect(verifiedRecord(found.record.bytes).identity).deep.equal(record.identity);
        }
        for (const node of world.nodes.values()) {
          node.stop();
          expect(await node.metrics.text(), "no record is sent from memory that was given back").not.include("CORRUPTION");
        }
      }),
      { numRuns: 60 },
    );
  });
});
