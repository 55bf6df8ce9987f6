/** One scan of a query where an object is gone from the bucket when it is read: it is planned again, and what stays away is refused or named. */
import { parseTenantId } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import { bytesSource, parseObjectKey, readFooter, segmentKey, withSegmentMeta } from "@pyromesh/block";
import type { SegmentKey } from "@pyromesh/block";
import { expect } from "chai";
import { ColdReader } from "../testing/cold-reader.ts";
import { HOUR_MS, NodeWorld } from "../testing/node-world.ts";

const A = parseTenantId("a");
const never = new AbortController().signal;

describe("query scanner: an object that is gone when it is read", function () {
  this.timeout(20_000);
  let world: NodeWorld;
  let reader: ColdReader;
  /** Of three windows, the newest first: 1, 20 and 300. */
  let keys: string[];

  beforeEach(async () => {
    world = new NodeWorld();
    await world.start();
    for (const [hoursAgo, value] of [1, 20, 300].entries()) await world.push(A, value, hoursAgo * HOUR_MS);
    await world.node.admin.flush(never);
    keys = (await world.keys()).sort().reverse();
    reader = await ColdReader.open(world.memory, world.clock);
  });
  afterEach(async () => {
    reader.stop();
    await world.stop();
    world.remove();
  });

  const range = (): { startMs: number; endMs: number } => ({ startMs: world.clock.nowMs() - 10 * HOUR_MS, endMs: world.clock.nowMs() });
  const listCount = (): number => reader.bucket.calls.filter(({ operation }) => operation === "list").length;

  it("the bucket is listed and the query planned again: where another object has its records, the answer is exact", async () => {
    const [key] = keys;
    const bytes = await world.memory.get(key!, never);
    const { meta } = await readFooter(bytesSource(bytes), key!, never);
    const other = { ...meta, ordinal: 1, sources: [{ storeId: meta.storeId, firstOrdinal: 1, lastOrdinal: 1 }] };
    await world.memory.delete(key!, never);
    await world.memory.put(segmentKey({ ...(parseObjectKey(key!) as SegmentKey), ordinal: 1 }), await withSegmentMeta(bytes, other, key!), {}, never);
    expect(await reader.total(A, range())).equal(321);
    expect([reader.pinCount, reader.budget.usedBytes]).deep.equal([0, 0]);
  });

  it("one that each LIST shows and no read finds is refused after three plans, by name", async () => {
    reader.bucket.schedule(({ operation, key }) => (operation === "getRange" && key === keys[1] ? { kind: "status", status: 404 } : undefined));
    const refusal = (await reader.total(A, range()).catch((error: unknown) => error)) as CodedError;
    expect(refusal).include({ code: "OBJECT_UNREADABLE", kind: "unavailable" });
    expect(refusal.details).deep.equal({ canBePartial: true });
    expect(refusal.message).contain(keys[1]!);
    expect([reader.readCount(keys[1]), listCount()]).deep.equal([3, 2 * 2]); // each LIST is a page and the end
    expect([reader.pinCount, reader.budget.usedBytes]).deep.equal([0, 0]);
    expect(await reader.metric("pyromesh_unreadable_objects"), "nothing is known to be damaged").equal(0);
  });

  it("one that no read finds is left out and named where the caller allows partial answers", async () => {
    reader.bucket.schedule(({ operation, key }) => (operation === "getRange" && key === keys[1] ? { kind: "status", status: 404 } : undefined));
    expect(await reader.total(A, range(), { allowPartial: true })).equal(301);
    expect([reader.pinCount, reader.budget.usedBytes]).deep.equal([0, 0]);
  });
});
