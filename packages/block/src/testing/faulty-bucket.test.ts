import { assert } from "chai";
import type { BucketError } from "../bucket/bucket.ts";
import { MemoryBucket } from "../bucket/memory-bucket.ts";
import { describeBucket, FaultyBucket, ManualClock } from "./index.ts";
import { systemClock } from "@pyromesh/base";

const never = new AbortController().signal;

describeBucket("a faulty bucket while it works", {
  async open() {
    return new FaultyBucket(new MemoryBucket({ clock: systemClock }), { clock: systemClock });
  },
});

describe("faulty bucket", () => {
  let clock: ManualClock;
  let inner: MemoryBucket;
  let bucket: FaultyBucket;
  beforeEach(() => {
    clock = new ManualClock();
    inner = new MemoryBucket({ clock });
    bucket = new FaultyBucket(inner, { clock });
  });
  const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => "done", (error: BucketError) => error.code);

  it("answers each status as the engines do", async () => {
    bucket.schedule(({ number }) => ({ kind: "status", status: ([403, 404, 500, 503] as const)[number % 4]! }));
    const codes: string[] = [];
    for (let i = 0; i < 4; i++) codes.push(await codeOf(bucket.get("k", never)));
    assert.deepEqual(codes, ["BUCKET_FORBIDDEN", "BUCKET_NOT_FOUND", "BUCKET_UNAVAILABLE", "BUCKET_UNAVAILABLE"]);
    assert.lengthOf(bucket.calls, 4);
  });

  it("down, then healed", async () => {
    bucket.goDown();
    assert.equal(await codeOf(bucket.put("k", new Uint8Array(1), {}, never)), "BUCKET_UNAVAILABLE");
    bucket.heal();
    assert.equal(await codeOf(bucket.put("k", new Uint8Array(1), {}, never)), "done");
  });

  it("a lost reply: done, and not known to be", async () => {
    bucket.schedule(() => ({ kind: "lost-reply" }));
    assert.equal(await codeOf(bucket.put("k", new Uint8Array(3), { ifAbsent: true }, never)), "BUCKET_UNAVAILABLE");
    assert.equal((await inner.head("k", never)).sizeBytes, 3);
    bucket.heal();
    assert.deepEqual(await bucket.put("k", new Uint8Array(3), { ifAbsent: true }, never), { isCreated: false });
  });

  it("slow: after the delay, or never where the caller leaves", async () => {
    bucket.schedule(() => ({ kind: "slow", delayMs: 1000 }));
    let isDone = false;
    const put = bucket.put("k", new Uint8Array(1), {}, never).then(() => (isDone = true));
    clock.advance(999);
    await Promise.resolve();
    assert.isFalse(isDone);
    clock.advance(1);
    await put;
    bucket.schedule(() => ({ kind: "hang" }));
    const controller = new AbortController();
    const got = bucket.get("k", controller.signal);
    controller.abort(new Error("left"));
    assert.equal(await got.then(() => "", (error: Error) => error.message), "left");
  });
});
