import { Metrics, silentLogger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import type { ClusterView, Member, MemberFormats } from "@pyromesh/ring";
import { FORMATS } from "@pyromesh/ring";
import { expect } from "chai";
import { FakeClusterWorld } from "../testing/fake-cluster.ts";
import { PARTIAL_VERSION } from "../compute/partial-format.ts";
import { BUILD_FORMATS } from "../process/build-formats.ts";
import { VersionGate } from "./version-gate.ts";

const RECORD = FORMATS.indexOf("record");

/** Member formats of a build that reads records up to `reads`. */
const formatsOf = (reads: number, promised = 1): MemberFormats => FORMATS.map((_, at) => (at === RECORD ? { writesFrom: 1, reads, promised } : { writesFrom: 1, reads: 1, promised: 1 }));

/** A gate over a cluster of three, `a` this node, whose view the test changes. */
class Rig {
  view: ClusterView = new FakeClusterWorld(["a", "b", "c"], { clock: new ManualClock() }).of("a").view;
  readonly clock: ManualClock = new ManualClock();
  /** What was done, in order. */
  readonly steps: string[] = [];
  failures = 0;
  #listener: (view: ClusterView) => void = () => {};
  readonly gate: VersionGate;

  constructor() {
    this.set({ a: formatsOf(2), b: formatsOf(1), c: formatsOf(2) });
    const viewNow = (): ClusterView => this.view;
    this.gate = new VersionGate({
      cluster: {
        get view() {
          return viewNow();
        },
        isMajority: (stores) => this.view.members.filter(({ storeId }) => stores.has(storeId)).length >= 2,
        onChange: (listener) => {
          this.#listener = listener;
          return () => (this.#listener = () => {});
        },
      },
      head: {
        holdVersions: async ({ record }) => {
          if (this.failures-- > 0) throw new Error("EIO");
          this.steps.push(`holds ${record}`);
        },
      },
      promise: async (formats) => {
        this.steps.push(`promises ${formats[RECORD]!.promised}`);
        this.set({ a: formats });
      },
      clock: this.clock,
      logger: silentLogger,
      metrics: new Metrics(),
    });
  }

  set(formats: Readonly<Record<string, MemberFormats>>, change: (member: Member) => Member = (member) => member): void {
    const members = this.view.members.map((member) => change({ ...member, formats: formats[member.name] ?? member.formats }));
    this.view = { ...this.view, members, self: members.find(({ name }) => name === "a")! };
    this.#listener(this.view);
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  }
}

describe("the gate on new versions", () => {
  it("partial answers are announced in the version in which they are written", () => {
    expect(BUILD_FORMATS.partial).to.deep.equal({ writesFrom: PARTIAL_VERSION, reads: PARTIAL_VERSION });
  });

  it("while a member does not read the newer version nothing is promised, and the older one is written", async () => {
    const rig = new Rig();
    await rig.gate.start();
    expect([rig.gate.versionOf("record"), rig.steps]).to.deep.equal([1, []]);
    expect(rig.gate.inForce[RECORD]!.heldBackBy).to.deep.equal(["b"]);
    rig.gate.stop();
  });

  it("once all read it: the data directory first, then the promise, and it is written when a majority has promised", async () => {
    const rig = new Rig();
    await rig.gate.start();
    rig.set({ b: formatsOf(2) });
    await rig.settle();
    expect([rig.gate.versionOf("record"), rig.steps]).to.deep.equal([1, ["holds 2", "promises 2"]]);
    rig.set({ c: formatsOf(2, 2) });
    expect(rig.gate.versionOf("record")).to.equal(2);
    rig.gate.stop();
  });

  it("a data directory that cannot be marked gets no promise; it is tried again", async () => {
    const rig = new Rig();
    rig.failures = 1;
    rig.set({ b: formatsOf(2) });
    await rig.gate.start();
    expect(rig.steps).to.deep.equal([]);
    rig.clock.advance(1000);
    await rig.settle();
    expect(rig.steps).to.deep.equal(["holds 2", "promises 2"]);
    rig.gate.stop();
  });

  it("a node that is not full promises nothing", async () => {
    const rig = new Rig();
    rig.set({ b: formatsOf(2) }, (member) => (member.name === "a" ? { ...member, state: "joining" } : member));
    await rig.gate.start();
    expect(rig.steps).to.deep.equal([]);
    rig.gate.stop();
  });
});
