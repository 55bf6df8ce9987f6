/** Queries of a plan that has an object which is not in the bucket any more: it was compacted, has expired, or was lost. */
import { blockKey, bytesSource, markKey, parseObjectKey, readFooter, withSegmentMeta } from "@pyromesh/block";
import { expect } from "chai";
import { HeadsWorld } from "../../testing/heads-world.ts";

const never = new AbortController().signal;

describe("an object of the plan that is gone from the bucket,", () => {
  let world: HeadsWorld;
  let key: string;
  /** Counts the LISTs of node c; with `isPast` they all show the object. */
  const countLists = (isPast: boolean): { listCount: number } => {
    const counted = { listCount: 0 };
    const { catalog } = world.of("c");
    const refresh = catalog.refresh.bind(catalog);
    const entry = catalog.get(key)!; // it was listed
    catalog.refresh = async (...args) => {
      counted.listCount++;
      const outcome = await refresh(...args);
      if (isPast && catalog.get(key) === undefined) catalog.add(entry);
      return outcome;
    };
    return counted;
  };

  /** Records 0 and 2 are in a segment that all nodes know. Each head holds record 1, of a time between theirs, and so wants to read the segment first. */
  beforeEach(async () => {
    world = new HeadsWorld(["a", "b", "c"]);
    await world.start();
    await world.pass(10);
    await world.push(0, ["a", "b", "c"]);
    await world.push(2, ["a", "b", "c"]);
    await world.of("a").flush();
    for (const name of world.names) await world.of(name).list();
    key = [...world.of("a").catalog.entries()][0]!.key; // flushed just now
    await world.push(1, ["b", "c", "a"]);
  });

  const vanish = (): Promise<void> => world.run(world.bucket.delete(key, never));
  /** As a compaction does. */
  const putBlock = async (): Promise<void> => {
    const bytes = await world.run(world.bucket.get(key, never));
    const { meta } = await world.run(readFooter(bytesSource(bytes), key, never));
    const ofBlock = blockKey({ ...meta, level: 1, blockId: "cd".repeat(8) });
    const block = await world.run(withSegmentMeta(bytes, { ...meta, level: 1, storeId: "00".repeat(16), ordinal: 0 }, ofBlock));
    await world.run(world.bucket.put(ofBlock, block, {}, never));
  };

  it("since it was compacted, is planned no more after one LIST, and the block that has its records is", async () => {
    await putBlock();
    await vanish();
    const counted = countLists(false);
    expect(await world.ask("c")).deep.equal([0, 1, 2]);
    expect(counted.listCount).equal(1);
  });

  it("and of which the bucket says nothing, makes the query name the segment that is missing, not stores", async () => {
    await vanish();
    expect(await world.ask("c")).equal("SEGMENTS_MISSING");
  });

  // A LIST may show the past.
  it("though LISTs still show it, counts as stores that failed, after two of them", async () => {
    const meta = parseObjectKey(key);
    if (meta?.kind !== "segment") throw new Error("what a store uploads is a segment");
    await world.run(world.bucket.put(markKey({ ...meta, mark: "void" }), new Uint8Array(1), {}, never));
    await vanish();
    const counted = countLists(true);
    expect(await world.ask("c")).equal("STORES_MISSING");
    expect(counted.listCount).equal(2);
  });
});
