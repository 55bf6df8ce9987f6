/**
 * The store refuses one write of the flush. A refused write may be in the store all the same, and nobody knows before the store is opened
 * again. Whichever it is, and whether the node goes on or is killed at that moment: every answer is exact and nothing is stored twice.
 */
import { parseTenantId } from "@pyromesh/base";
import { parseObjectKey, segmentKey } from "@pyromesh/block";
import type { SegmentKey } from "@pyromesh/block";
import { expect } from "chai";
import { endingOf, NodeWorld } from "../testing/node-world.ts";
import { settle } from "../testing/index.ts";

const A = parseTenantId("a");
const signal = new AbortController().signal;

describe("a refused write of the flush", function () {
  this.timeout(30_000);
  let world: NodeWorld;

  beforeEach(() => {
    world = new NodeWorld();
  });
  afterEach(async () => {
    await world.stop();
    world.remove();
  });

  /** Asks for a flush, of which the write is refused. */
  async function refuseIn(write: "cut" | "seal" | "unseal" | "rename", fate: "kept" | "not kept"): Promise<void> {
    world.refuse(write, fate);
    void world.node.admin.flush(signal).catch(() => undefined); // it may end with the node
    await world.until(() => world.disk.onBatch === undefined, `the ${write} is refused`);
  }

  async function kill(): Promise<void> {
    world.disk.crash();
    await world.stop().catch(() => undefined); // its store is gone
    await world.start();
  }

  async function expectDrained(keyEndings: readonly string[], total: number): Promise<void> {
    await world.until(async () => (await world.keys()).length === keyEndings.length, "all is in the bucket");
    await world.pass(1000);
    expect((await world.keys()).map(endingOf).sort()).deep.equal(keyEndings);
    for (const name of ["pyromesh_flush_backlog_segments", "pyromesh_flush_unsealed_cuts", "pyromesh_head_records"]) expect(await world.metric(name), name).equal(0);
    expect(await world.answer(A)).include({ total });
    await settle();
    expect(world.localFiles()).deep.equal([]);
  }

  for (const write of ["cut", "seal", "unseal"] as const) {
    for (const fate of ["kept", "not kept"] as const) {
      for (const next of ["goes on", "is killed"] as const) {
        it(`${write === "unseal" ? "an" : "a"} ${write} that was ${fate}, and the node ${next}: each record is answered once all along, and lies in one segment`, async () => {
          await world.start();
          await world.push(A, 5);
          const before = await world.answer(A);
          await refuseIn(write, fate);
          if (next === "is killed") await kill();
          for (let step = 0; step < 30; step++) {
            expect(await world.answer(A)).deep.equal(before);
            await world.pass(100);
          }
          await world.push(A, 7);
          expect(await world.answer(A)).include({ total: 12, recordCount: 2 });
          void world.node.admin.flush(signal).catch(() => undefined);
          // Without a cut in the store the next start finds both records uncut, and they leave together.
          const endings = write === "cut" && fate === "not kept" && next === "is killed" ? ["0.seg"] : ["0.seg", "1.seg"];
          await expectDrained(endings, 12);
          if (next === "goes on") expect(world.droppedCount, "as many generations left memory as cuts were sealed").equal(endings.length);
          await world.stop();
          await world.start();
          await expectDrained(endings, 12);
          expect(await world.metric('pyromesh_flush_failures_total\\{step="check"\\}'), "no entry without its file").not.above(0);
        });
      }
    }
  }

  it("what a refused seal wrote is removed also where the next try has another store id, and so other names", async () => {
    await world.start();
    await world.push(A, 5);
    world.refuse("seal", "not kept", { isLasting: true });
    void world.node.admin.flush(signal).catch(() => undefined);
    await world.until(() => world.localFiles().length === 1, "a file is written");
    const former = parseObjectKey(world.localFiles()[0]!);
    // Another data dir has used the ordinals of this store id, which the next LIST shows.
    await world.memory.put(segmentKey({ ...(former as SegmentKey), ordinal: 7 }), new Uint8Array(1), {}, signal);
    await world.pass(61_000);
    world.disk.onBatch = undefined;
    await world.until(async () => (await world.keys()).length === 2, "ours is in the bucket");
    await settle();
    expect(world.localFiles()).deep.equal([]);
  });

  for (const fate of ["kept", "not kept"] as const) {
    for (const next of ["goes on", "is killed"] as const) {
      it(`a rename to a new store id that was ${fate}, and the node ${next}: both data dirs' segments are answered`, async () => {
        // Another data dir with the same store id, as a copy has it, uploaded another segment under the same key.
        const copy = new NodeWorld();
        await copy.start();
        await copy.push(A, 7);
        await copy.node.admin.flush(signal);
        const [key] = await copy.keys();
        const theirs = await copy.memory.get(key!, signal);
        await copy.stop();
        copy.remove();

        await world.start();
        await world.push(A, 5);
        await world.memory.put(key!, theirs, {}, signal);
        await refuseIn("rename", fate);
        if (next === "is killed") await kill();
        await world.until(async () => (await world.keys()).length === 2, "ours is in the bucket too");
        await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === 0, "and the head has forgotten it");
        // After a kill nobody remembers that the key was taken: the LIST of the next minute shows the other's segment.
        if (next === "is killed") await world.pass(60_000);
        await settle();
        expect(await world.answer(A)).include({ total: 12, recordCount: 2 });
        const keys = (await world.keys()).map((one) => parseObjectKey(one)!);
        expect(new Set(keys.map((one) => (one.kind === "block" ? "" : one.storeId))).size, "two store ids").equal(2);
        expect((await world.keys()).map(endingOf)).deep.equal(["0.seg", "0.seg"]);
        expect(world.localFiles()).deep.equal([]);
      });
    }
  }
});
