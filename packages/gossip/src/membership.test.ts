import { silentLogger, type Logger } from "@pyromesh/base";
import type { ClusterView } from "@pyromesh/ring";
import { expect } from "chai";
import { STORE_CLEARED } from "./membership.ts";
import { MembershipRig, type RigNode } from "./testing/membership-rig.ts";

const SECOND = 1000;

describe("membership over links", () => {
  let rig: MembershipRig;
  beforeEach(() => (rig = new MembershipRig()));
  afterEach(() => rig.stop());

  const SEEDS = ["10.0.0.1:7001", "10.0.0.1:7002", "10.0.0.1:7003"];
  const startThree = async (isGossipOn = true): Promise<RigNode[]> =>
    await Promise.all(["a", "b", "c"].map((name, at) => rig.start(name, { seeds: SEEDS, port: 7001 + at, isFounder: name === "a", isGossipOn })));
  const isReady = ({ membership: { view, isInContact } }: RigNode, count: number): boolean => isInContact && view.members.length === count && view.members.every(({ state }) => state === "active") && view.writesRefusedBecause === undefined;
  const areReady = (count: number): boolean => rig.nodes.size === count && [...rig.nodes.values()].every((node) => isReady(node, count)) && new Set([...rig.nodes.values()].map(({ membership }) => membership.view.digest)).size === 1;

  for (const isGossipOn of [true, false]) {
    it(`three nodes that are each other's seeds are one cluster within 5 s, gossip ${isGossipOn ? "on" : "off"}`, async () => {
      await startThree(isGossipOn);
      expect(await rig.until(() => areReady(3), 10 * SECOND)).to.be.below(5 * SECOND);
      for (const { membership } of rig.nodes.values()) expect(membership.view).to.include({ replication: 3, acks: 2, acksMin: 2 });
    });
  }

  it("a node whose seeds are not there yet goes on trying, and joins when one is", async () => {
    await rig.start("b", { seeds: SEEDS, port: 7002 });
    await rig.pass(60 * SECOND);
    await rig.start("a", { seeds: SEEDS, port: 7001, isFounder: true });
    expect(await rig.until(() => areReady(2), 60 * SECOND)).to.be.below(35 * SECOND);
  });

  it("a seed's name is resolved anew each time, to all of its addresses", async () => {
    rig.network.setHost("nodes", ["10.9.9.9"]);
    await rig.start("b", { seeds: ["nodes:7001"], port: 7002, replication: 2 });
    await rig.pass(SECOND);
    await rig.start("a", { isFounder: true, port: 7001, replication: 2 });
    rig.network.setHost("nodes", ["10.9.9.9", "10.0.0.1"]);
    expect(await rig.until(() => areReady(2), 60 * SECOND)).to.be.below(20 * SECOND);
  });

  it("a process that ends is dead to the others within 5 s, and back within 5 s of its restart at another address", async () => {
    await startThree();
    await rig.until(() => areReady(3), 10 * SECOND);
    const disk = await rig.end("c");
    const { membership } = rig.nodes.get("a")!;
    expect(await rig.until(() => membership.view.members.some(({ name, state }) => name === "c" && state === "dead"), 20 * SECOND)).to.be.below(5 * SECOND);
    expect(membership.isInContact).to.equal(true);
    await rig.start("c", { seeds: SEEDS, port: 7009, disk });
    expect(await rig.until(() => areReady(3), 20 * SECOND)).to.be.below(5 * SECOND);
    expect(membership.view.members.find(({ name }) => name === "c")?.clusterAddress).to.equal("10.0.0.1:7009");
  });

  it("the log says when a store counts as lost, and once that it is cleared", async () => {
    const lines: string[] = [];
    const note = (message: string, fields?: object): void => void (fields !== undefined && "store" in fields && lines.push(message));
    const logger: Logger = { ...silentLogger, info: note, warn: note, with: () => logger };
    const nodes = [await rig.start("a", { seeds: SEEDS, port: 7001, isFounder: true, logger }), await rig.start("b", { seeds: SEEDS, port: 7002 })];
    await rig.start("c", { seeds: SEEDS, port: 7003 });
    await rig.until(() => areReady(3), 10 * SECOND);
    await rig.end("c");
    await rig.until(() => nodes.every(({ membership }) => membership.view.lostStores.length === 1), 20 * SECOND);
    expect(lines.map((line) => line.slice(0, 24))).to.deep.equal(["a store counts as lost u"]);
    const { storeId, incarnation } = nodes[0]!.membership.view.lostStores[0]!;
    for (const { membership } of nodes) membership.noteFlushed(storeId, incarnation);
    await rig.until(() => nodes[0]!.membership.view.lostStores[0]?.isCleared === true, 60 * SECOND);
    await rig.pass(SECOND);
    expect(lines.slice(1)).to.deep.equal([STORE_CLEARED]);
  });

  it("who asks for contact a moment after it was lost waits until it is back; 1.5 s after, nobody waits any more", async () => {
    const a = await rig.start("a", { isFounder: true, port: 7001 });
    expect(await a.membership.contact()).to.equal(true);
    await rig.start("b", { seeds: ["10.0.0.1:7001"] });
    await rig.until(() => areReady(2), 10 * SECOND);
    const disk = await rig.end("b");
    expect(await rig.until(() => !a.membership.isInContact, 10 * SECOND)).to.be.above(0);
    let outcome: boolean | undefined;
    void a.membership.contact().then((isInContact) => (outcome = isInContact));
    await rig.pass(1_000);
    expect(outcome).to.equal(undefined);
    await rig.pass(600);
    expect(outcome).to.equal(false);
    expect(await a.membership.contact()).to.equal(false);
    await rig.start("b", { seeds: ["10.0.0.1:7001"], port: 7002, disk });
    await rig.until(() => areReady(2), 20 * SECOND);
    expect(await a.membership.contact()).to.equal(true);
    await rig.end("b");
    await rig.until(() => !a.membership.isInContact, 10 * SECOND);
    void a.membership.contact().then((isInContact) => (outcome = isInContact));
    await rig.start("b", { seeds: ["10.0.0.1:7001"], port: 7003, disk });
    await rig.until(() => a.membership.isInContact, 10 * SECOND);
    expect(outcome).to.equal(true);
  });

  // Simulated chaos: contact was lost a moment before the process was stopped for 4 s, and woken it refused pushes at once.
  it("time in which the process stood still is none in which contact did not come back", async () => {
    const a = await rig.start("a", { isFounder: true, port: 7001 });
    await rig.start("b", { seeds: ["10.0.0.1:7001"] });
    await rig.until(() => areReady(2), 10 * SECOND);
    await rig.end("b");
    expect(await rig.until(() => !a.membership.isInContact, 10 * SECOND)).to.be.above(0);
    expect(a.membership.isInContact).to.equal(false);
    await rig.pass(500);
    rig.clock.standStill(4 * SECOND);
    await rig.pass(20);
    let outcome: boolean | undefined;
    void a.membership.contact().then((isInContact) => (outcome = isInContact));
    await rig.pass(500);
    expect(outcome).to.equal(undefined);
    await rig.pass(1_500);
    expect(outcome).to.equal(false);
  });

  it("listeners hear of each change with the view of it, until they end it", async () => {
    const a = await rig.start("a", { isFounder: true, port: 7001 });
    const counts: number[] = [];
    const end = a.membership.onChange((view: ClusterView) => counts.push(view.members.length));
    await rig.start("b", { seeds: ["10.0.0.1:7001"] });
    await rig.until(() => areReady(2), 10 * SECOND);
    expect(counts.at(-1)).to.equal(2);
    end();
    const { length } = counts;
    await rig.end("b");
    await rig.pass(10 * SECOND);
    expect(counts).to.have.length(length);
  });

  it("learn: it resolves at once where both know the same, and otherwise when the other's table has come", async () => {
    const [a, b] = await startThree();
    await rig.until(() => areReady(3), 10 * SECOND);
    await a!.membership.learnFrom("b", b!.membership.view.digest);
    const before = b!.membership.view.digest;
    await b!.membership.beginLeave();
    expect(b!.membership.view.digest).not.to.equal(before);
    const learned = a!.membership.learnFrom("b", b!.membership.view.digest);
    await rig.pass(100);
    await learned;
    expect(a!.membership.view.members.find(({ name }) => name === "b")?.state).to.equal("leaving");
  });

  it("learn: from a member that does not answer it is refused after its time", async () => {
    const [a] = await startThree();
    await rig.until(() => areReady(3), 10 * SECOND);
    const outcome = a!.membership.learnFrom("nobody", "00".repeat(16)).then(
      () => "learned",
      (error: { code: string }) => error.code,
    );
    await rig.pass(3 * SECOND);
    expect(await outcome).to.equal("CLUSTER_LEARN_FAILED");
  });

  it("leave: the others know it as left before it is over, and keep contact", async () => {
    await startThree();
    await rig.start("d", { seeds: SEEDS });
    await rig.until(() => areReady(4), 20 * SECOND);
    const leaver = rig.nodes.get("d")!.membership;
    await leaver.beginLeave();
    expect(leaver.view.writesRefusedBecause).to.equal("it is leaving the cluster");
    await rig.pass(SECOND);
    let isOver = false;
    const left = leaver.finishLeave(new AbortController().signal).then(() => (isOver = true));
    expect(await rig.until(() => isOver, 10 * SECOND)).to.be.below(2 * SECOND);
    await left;
    await rig.end("d");
    await rig.pass(20 * SECOND);
    for (const { membership } of rig.nodes.values()) {
      expect(membership.view.gone.map(({ name, state }) => `${name} ${state}`)).to.deep.equal(["d left"]);
      expect(membership.isInContact).to.equal(true);
    }
  });

  it("leave: of all at once it is refused to the first that is done, which is active again; then another may leave", async () => {
    const [a, b, c] = (await startThree()) as [RigNode, RigNode, RigNode];
    await rig.until(() => areReady(3), 10 * SECOND);
    await Promise.all([a, b, c].map(({ membership }) => membership.beginLeave()));
    await rig.pass(SECOND);
    const never = new AbortController().signal;
    expect(await a.membership.finishLeave(never).catch((error: { code: string }) => error.code)).to.equal("LEAVE_REFUSED");
    await a.membership.cancelLeave();
    await rig.pass(SECOND);
    let isOver = false;
    const left = b.membership.finishLeave(never).then(() => (isOver = true));
    await rig.until(() => isOver, 10 * SECOND);
    await left;
    await rig.pass(SECOND);
    expect([a.membership.view.self.state, a.membership.view.writesRefusedBecause, a.membership.isInContact]).to.deep.equal(["active", undefined, true]);
  });

  it("leave: it is refused while another member is dead", async () => {
    const [a] = await startThree();
    await rig.until(() => areReady(3), 10 * SECOND);
    await rig.end("c");
    await rig.pass(10 * SECOND);
    expect(await a!.membership.beginLeave().catch((error: { code: string }) => error.code)).to.equal("LEAVE_REFUSED");
  });

  it("forget --force: the last of three goes on without the two that are gone for good, and they join anew if they do come back", async () => {
    await startThree();
    await rig.until(() => areReady(3), 10 * SECOND);
    await rig.pass(500); // between two rounds of probes
    const [disk] = await Promise.all([rig.end("b"), rig.end("c")]);
    const { membership } = rig.nodes.get("a")!;
    // Out of contact it declares nobody dead, however long it waits.
    await rig.pass(120 * SECOND);
    expect(membership.view.members.map(({ state }) => state)).to.deep.equal(["active", "active", "active"]);
    expect(await membership.forget("b", { isForced: false }).catch((error: { code: string }) => error.code)).to.equal("FORGET_REFUSED");
    for (const name of ["b", "c"]) await membership.forget(name, { isForced: true });
    expect([membership.view.members.map(({ name }) => name), membership.isInContact, membership.view.queriesRefusedBecause]).to.deep.equal([["a"], true, undefined]);
    await rig.start("b", { seeds: SEEDS, port: 7002, disk });
    expect(await rig.until(() => areReady(2), 20 * SECOND)).to.be.below(10 * SECOND);
  });

  it("a disk that fails keeps the node in touch but out of contact, and it is written as soon as it can be", async () => {
    const [a, b] = await startThree();
    await rig.until(() => areReady(3), 10 * SECOND);
    b!.disk.failure = new Error("the disk is full");
    await rig.end("c");
    await rig.pass(20 * SECOND);
    expect(a!.membership.view.members.find(({ name }) => name === "b")).to.include({ state: "active", isSuspect: false });
    b!.disk.failure = undefined;
    await rig.pass(10 * SECOND);
    expect(b!.membership.view.digest).to.equal(a!.membership.view.digest);
  });

  it("noise on the control channel is refused and counted, and the node goes on", async () => {
    const [a, b] = await startThree();
    await rig.until(() => areReady(3), 10 * SECOND);
    b!.links.send("a", Buffer.from("noise"));
    await rig.pass(SECOND);
    expect(await a!.metrics.text()).to.include('pyromesh_membership_refusals_total{code="PEER_MALFORMED"} 1');
    expect(areReady(3)).to.equal(true);
  });

  it("idle: three members send each less than 2 kB/s", async () => {
    const [a] = await startThree();
    await rig.until(() => areReady(3), 10 * SECOND);
    await rig.pass(5 * SECOND);
    const before = sentBytes(await a!.metrics.text());
    await rig.pass(60 * SECOND);
    expect((sentBytes(await a!.metrics.text()) - before) / 60).to.be.below(600);
  });
});

function sentBytes(metrics: string): number {
  return [...metrics.matchAll(/^pyromesh_membership_bytes_total\{direction="sent",kind="[a-z]+"\} (\d+)$/gm)].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
}
