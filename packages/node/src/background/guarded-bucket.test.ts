import { MemoryBucket } from "@pyromesh/block";
import { FaultyBucket, ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import { GuardedBucket } from "./guarded-bucket.ts";

const signal = new AbortController().signal;

describe("guarded bucket", () => {
  let inner: FaultyBucket;
  beforeEach(() => {
    const clock = new ManualClock();
    inner = new FaultyBucket(new MemoryBucket({ clock }), { clock });
  });

  it("a put is made only after the bucket was found to be the right one", async () => {
    let confirm!: () => void; // set before the constructor returns
    const confirmed = new Promise<void>((resolve) => (confirm = resolve));
    const putting = new GuardedBucket(inner, () => confirmed).put("v1/k", new Uint8Array(1), {}, signal);
    await Promise.resolve();
    expect(inner.calls).deep.equal([]);
    confirm();
    expect(await putting).deep.equal({ isCreated: true });
  });

  it("a put to another bucket is refused with what was found, and nothing is written", async () => {
    const guarded = new GuardedBucket(inner, () => Promise.reject(new Error("another bucket")));
    expect(await guarded.put("v1/k", new Uint8Array(1), {}, signal).catch((error: Error) => error.message)).equal("another bucket");
    expect(inner.calls).deep.equal([]);
  });

  it("everything but a put passes through, whosever the bucket is", async () => {
    await inner.put("v1/k", Uint8Array.of(1, 2, 3), {}, signal);
    const guarded = new GuardedBucket(inner, () => Promise.reject(new Error("another bucket")));
    expect(guarded.name).equal(inner.name);
    expect([...(await guarded.get("v1/k", signal))]).deep.equal([1, 2, 3]);
    expect([...(await guarded.getRange("v1/k", 1, 1, signal))]).deep.equal([2]);
    expect((await guarded.head("v1/k", signal)).sizeBytes).equal(3);
    const listed: string[] = [];
    for await (const page of guarded.list("v1/", {}, signal)) listed.push(...page.map(({ key }) => key));
    expect(listed).deep.equal(["v1/k"]);
    await guarded.delete("v1/k", signal);
    await guarded.check(signal);
    await guarded.create(signal);
    await guarded.close();
    expect(inner.calls.map(({ operation }) => operation)).include.members(["get", "getRange", "head", "list", "delete", "check", "create"]);
  });
});
