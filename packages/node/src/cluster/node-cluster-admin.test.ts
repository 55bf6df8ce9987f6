import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { FakeClusterWorld } from "../testing/fake-cluster.ts";
import { aloneCluster } from "./alone.ts";
import type { ClusterCommands } from "./node-cluster-admin.ts";
import { NodeClusterAdmin } from "./node-cluster-admin.ts";

const SAID = { ownRecords: 1, keptRecords: 2, backlogBytes: 3, takeovers: 4, lastRefusals: ["12:00:00 /ingest 503 head_full"] };
const HEALTH = { mayStopOne: false, because: ["b: it is dead"], notes: ["replication is set to 5 on b, and to 3 on a"], members: [{ name: "a", said: SAID, problems: [] }, { name: "b", said: undefined, problems: ["it is dead"] }] };
const health = (): Promise<typeof HEALTH> => Promise.resolve(HEALTH);

describe("node cluster admin", () => {
  it("shares of the active members are the whole ring; a dead one has none", () => {
    const world = new FakeClusterWorld(["a", "b", "c"], { clock: new ManualClock() });
    world.updateMember("b", { state: "dead" });
    const admin = new NodeClusterAdmin({ cluster: () => world.of("a"), formats: () => [], commands: () => NO_COMMANDS, health });
    const { members, selfName, clusterName } = admin.status();
    expect([selfName, clusterName, members.filter(({ isSelf }) => isSelf).length]).to.deep.equal(["a", world.of("a").view.clusterName, 1]);
    expect(members.reduce((sum, { share }) => sum + share, 0)).to.be.closeTo(1, 1e-9);
    expect(members.find(({ name }) => name === "b")).to.include({ share: 0, state: "dead" });
  });

  it("slices go to the members by their shares", () => {
    const world = new FakeClusterWorld(["a", "b", "c"], { clock: new ManualClock() });
    const admin = new NodeClusterAdmin({ cluster: () => world.of("a"), formats: () => [], commands: () => NO_COMMANDS, health });
    const slices = admin.ringSlices(7200);
    for (const [index, { share }] of admin.status().members.entries()) expect(slices.filter((owner) => owner === index).length / 7200).to.be.closeTo(share, 0.01);
    for (const name of ["a", "b", "c"]) world.updateMember(name, { state: "dead" });
    expect(new Set(admin.ringSlices(10))).to.deep.equal(new Set([-1]));
  });

  it("health: what members said, and what keeps the next from being stopped", async () => {
    const world = new FakeClusterWorld(["a", "b"], { clock: new ManualClock() });
    const admin = new NodeClusterAdmin({ cluster: () => world.of("a"), formats: () => [], commands: () => NO_COMMANDS, health });
    const { signal } = new AbortController();
    expect(await admin.health(signal)).to.deep.equal({
      mayStop: false,
      reasons: ["b: it is dead"],
      notes: ["replication is set to 5 on b, and to 3 on a"],
      members: [
        { name: "a", problems: [], ...SAID },
        { name: "b", problems: ["it is dead"], ownRecords: undefined, keptRecords: undefined, backlogBytes: undefined, takeovers: undefined, lastRefusals: [] },
      ],
    });
    expect(await new NodeClusterAdmin({ cluster: () => world.of("a"), formats: () => [], commands: undefined, health }).health(signal)).to.include({ mayStop: true });
  });

  it("health: callers at the same time share one round, and each may go away", async () => {
    const world = new FakeClusterWorld(["a", "b"], { clock: new ManualClock() });
    let rounds = 0;
    const answers: ((found: typeof HEALTH) => void)[] = [];
    const admin = new NodeClusterAdmin({
      cluster: () => world.of("a"),
      formats: () => [],
      commands: () => NO_COMMANDS,
      health: () => {
        rounds++;
        return new Promise((resolve) => answers.push(resolve));
      },
    });
    const gone = new AbortController();
    const first = admin.health(gone.signal).then(() => "answered", () => "gone");
    const second = admin.health(new AbortController().signal);
    gone.abort();
    expect(await first).to.equal("gone");
    answers[0]!(HEALTH);
    expect([(await second).mayStop, rounds]).to.deep.equal([false, 1]);
    const later = admin.health(new AbortController().signal);
    answers[1]!(HEALTH);
    await later;
    expect(rounds).to.equal(2);
  });

  it("a node alone has the whole ring, and nobody to forget or to leave", async () => {
    const cluster = aloneCluster({ name: "solo", clusterName: "", bootId: "b", httpAddress: "127.0.0.1:4040", build: "x" }, () => new Uint8Array(16));
    const admin = new NodeClusterAdmin({ cluster: () => cluster, formats: () => [], commands: undefined, health });
    expect(admin.status()).to.include({ clusterName: undefined, selfName: "solo", replication: 1, acks: 1, isInContact: true });
    expect(admin.status().members[0]).to.include({ share: 1, isSelf: true });
    for (const ask of [admin.forget("x", { isForced: false }), admin.leave(), admin.drain(), admin.resume()]) {
      expect(await ask.then(() => "taken", (error: Error) => error.message)).to.match(/^this node has no cluster, so there is/);
    }
  });
});

const NO_COMMANDS: ClusterCommands = { forget: () => Promise.resolve(), leave: () => Promise.resolve(), drain: () => Promise.resolve(), resume: () => Promise.resolve() };
