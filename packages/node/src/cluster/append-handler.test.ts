import { CodedError, Metrics, silentLogger, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import type { EncodedRecord } from "@pyromesh/profile";
import { expect } from "chai";
import { FakeClusterWorld, recordOf } from "../testing/index.ts";
import type { FakeCluster } from "../testing/index.ts";
import { AppendHandler } from "./append-handler.ts";
import { decodeAppendAnswer, encodeAppend } from "./append-message.ts";
import type { SentRecord, StoreList } from "./append-message.ts";
import type { PeerIdentity } from "./ports.ts";

/** Node b, to which node a sends. */
class World {
  readonly world: FakeClusterWorld = new FakeClusterWorld(["a", "b", "c"], { clock: new ManualClock() });
  readonly self: FakeCluster = this.world.of("b");
  readonly from: PeerIdentity = { name: "a", storeId: this.world.storeIdOf("a"), bootId: "boot", protocol: 1 };
  readonly metrics: Metrics = new Metrics();
  readonly kept: EncodedRecord[] = [];
  /** What the head does before it has synced a record. */
  onAppend: (record: EncodedRecord) => Promise<{ readonly keptStores?: readonly Uint8Array[] } | void> | void = () => {};
  floorMs = 0;
  refusesBecause: string | undefined;
  readonly handler: AppendHandler = new AppendHandler({ peerBytesMax: 2000 }, {
    cluster: this.self,
    head: {
      append: async (record) => {
        const appended = (await this.onAppend(record)) ?? {};
        this.kept.push(record);
        return appended;
      },
    },
    floorOf: () => this.floorMs,
    refusesBecause: () => this.refusesBecause,
    clock: this.world.clock,
    logger: silentLogger,
    metrics: this.metrics,
  });

  lose(name: string): void {
    this.self.update({ lostStores: [{ member: name, storeId: this.world.storeIdOf(name), incarnation: 1, acksHeld: 2, isCleared: true, isReplaced: false, fencedBy: [], flushedBy: [] }] });
  }

  listOf(...names: readonly string[]): StoreList {
    return { stores: names.map((name) => this.world.storeOf(name)), acks: 2 };
  }

  async send(...records: readonly SentRecord[]): Promise<string[]> {
    const { storeId, outcomes } = decodeAppendAnswer(await this.handler.handle(this.from, encodeAppend(records)), records.length);
    expect(storeId).equal(this.self.view.self.storeId);
    return outcomes.map((outcome) => (typeof outcome === "string" ? outcome : outcome.code));
  }
}

describe("append: records of another member", () => {
  let world: World;
  let list: StoreList;
  beforeEach(() => {
    world = new World();
    list = world.listOf("a", "b", "c");
  });
  const sent = (series: number): SentRecord => ({ list, bytes: recordOf({ series }).bytes });

  it("in a version that this build does not read are refused with what it reads; the others are kept", async () => {
    const { self } = world.self.view;
    const formats = self.formats.map((support, at) => (at === 0 ? { writesFrom: 1, reads: 1, promised: 1 } : support)); // of an earlier build
    world.self.update({ self: { ...self, formats } });
    const older = { list, bytes: recordOf({ series: 2, recordVersion: 1 }).bytes };
    expect(await world.send(sent(1), older)).deep.equal(["RECORD_NEWER", "kept"]);
    expect(await world.metrics.text()).to.include('pyromesh_peer_records_refused_total{reason="RECORD_NEWER"} 1');
  });

  it("are kept, each under its list, and the answer comes after the sync of all", async () => {
    let synced!: () => void;
    const sync = new Promise<void>((resolve) => (synced = resolve));
    world.onAppend = () => sync;
    let isAnswered = false;
    const answer = world.send(sent(1), sent(2)).then((outcomes) => {
      isAnswered = true;
      return outcomes;
    });
    await new Promise((resolve) => void setImmediate(resolve));
    expect([isAnswered, world.kept.length]).deep.equal([false, 0]);
    synced();
    expect(await answer).deep.equal(["kept", "kept"]);
    expect(world.kept.map(({ tenant, service }) => [tenant, service])).deep.equal([["anonymous", "shop"], ["anonymous", "shop"]]);
    expect(await world.metrics.text()).include("pyromesh_peer_records_kept_total 2");
  });

  it("that are there already are kept, whatever list they came with first, unless that one promised more acks", async () => {
    const held = (count: number) => ({ keptStores: Array.from({ length: count }, (_, index) => new Uint8Array(16).fill(index)) });
    world.onAppend = async () => held(3);
    expect(await world.send(sent(1))).deep.equal(["kept-before"]);
    world.onAppend = async () => held(1);
    expect(await world.send(sent(1))).deep.equal(["kept-before"]);
    world.onAppend = async () => held(5);
    expect(await world.send(sent(1))).deep.equal(["ACKS_TOO_FEW"]);
  });

  it("are refused before the head sees them where the list names another store, a lost one, or too few acks, and where this node keeps none", async () => {
    const refusals: [string, () => void][] = [
      ["STORE_NOT_LISTED", () => (list = world.listOf("a", "c"))],
      ["STORE_LOST", () => world.lose("c")],
      ["ACKS_TOO_FEW", () => world.self.updateMember("b", { acksHeld: 3 })],
      ["NODE_NOT_ACTIVE", () => world.self.updateMember("b", { state: "leaving" })],
      ["NODE_NOT_ACTIVE", () => world.self.updateMember("b", { state: "joining" })],
      ["NOT_TAKING_WRITES", () => (world.refusesBecause = "it is stopping")],
    ];
    for (const [code, arrange] of refusals) {
      world = new World();
      list = world.listOf("a", "b", "c");
      arrange();
      expect(await world.send(sent(1)), code).deep.equal([code]);
      expect(world.kept, code).deep.equal([]);
    }
    expect(await world.metrics.text()).include('pyromesh_peer_records_refused_total{reason="NOT_TAKING_WRITES"} 1');
  });

  it("are judged one by one: what is corrupt, below the floor or refused by the head costs the others nothing", async () => {
    const corrupt = recordOf({ series: 1 }).bytes.slice();
    corrupt[corrupt.length - 1]! ^= 1;
    const record = recordOf({ series: 3, timeMs: 1_000 });
    world.floorMs = 2_000;
    world.onAppend = ({ identity }) => {
      if (Buffer.compare(identity, recordOf({ series: 4, timeMs: 5_000 }).identity) === 0) throw unavailable("HEAD_FULL", "no room");
    };
    const codes = await world.send({ list, bytes: corrupt }, { list, bytes: recordOf({ series: 2, timeMs: 5_000 }).bytes }, { list, bytes: record.bytes }, { list, bytes: recordOf({ series: 4, timeMs: 5_000 }).bytes });
    expect(codes).deep.equal(["CORRUPTION", "kept", "BELOW_FLOOR", "HEAD_FULL"]);
    expect(world.kept).length(1);
  });

  it("of a tenant that could not be part of a key are refused", async () => {
    expect(await world.send({ list, bytes: recordOf({ series: 1, tenant: "../other" }).bytes })).deep.equal(["TENANT_ID_INVALID"]);
    expect(world.kept).deep.equal([]);
  });

  it("that were synced while contact was lost a moment ago are acknowledged when it is back, and not where anything else changed while it waited", async () => {
    const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
    world.onAppend = () => world.self.loseContact();
    let outcome: readonly string[] | undefined;
    void world.send(sent(1)).then((outcomes) => (outcome = outcomes));
    await turn();
    expect([outcome, world.kept.length]).deep.equal([undefined, 1]);
    world.self.isInContact = true;
    await turn();
    expect(outcome).deep.equal(["kept"]);
    void world.send(sent(2)).then((outcomes) => (outcome = outcomes));
    await turn();
    world.lose("c");
    world.self.isInContact = true;
    await turn();
    expect(outcome).deep.equal(["STORE_LOST"]);
  });

  it("that were synced while contact was lost, another store id taken or the replication raised are not acknowledged", async () => {
    const changes: [string, () => void][] = [
      ["OUT_OF_CONTACT", () => (world.self.isInContact = false)],
      ["ACKS_TOO_FEW", () => world.self.updateMember("b", { acksHeld: 3 })],
    ];
    for (const [code, change] of changes) {
      world = new World();
      world.onAppend = change;
      expect(await world.send(sent(1)), code).deep.equal([code]);
    }
    world = new World();
    world.onAppend = () => world.self.updateMember("b", { storeId: "ee".repeat(16) });
    expect(await world.send(sent(1))).deep.equal(["STORE_NOT_LISTED"]);
  });

  it("that were synced while a store of their list was lost are not acknowledged: they are not among those whose flush clears the loss", async () => {
    // b knows the loss of c before the sync, the sender not yet: it would count b's ack and c's, and c's loss is cleared without this record.
    world.onAppend = () => world.lose("c");
    expect(await world.send(sent(1))).deep.equal(["STORE_LOST"]);
    expect(world.kept, "it stays in the head, and is flushed").length(1);
  });

  it("beyond the bytes that one member may have under way are refused, another member's are not", async () => {
    let synced!: () => void;
    const sync = new Promise<void>((resolve) => (synced = resolve));
    world.onAppend = () => sync;
    const message = encodeAppend([{ list, bytes: recordOf({ series: 1, sizeBytes: 1000 }).bytes }]);
    expect(message.length, "two of them are too much").within(1001, 2000);
    const first = world.handler.handle(world.from, message);
    expect(await world.handler.handle(world.from, message).catch((error: unknown) => error)).instanceOf(CodedError).with.property("code", "APPENDS_BUSY");
    const other = world.handler.handle({ ...world.from, name: "c" }, encodeAppend([sent(2)]));
    synced();
    await first;
    expect(decodeAppendAnswer(await other, 1).outcomes).deep.equal(["kept"]);
    expect(await world.send(sent(3)), "there is room again").deep.equal(["kept"]);
  });
});
