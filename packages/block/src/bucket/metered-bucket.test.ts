import { Metrics, systemClock } from "@pyromesh/base";
import { assert } from "chai";
import { MemoryBucket } from "./memory-bucket.ts";
import { MeteredBucket } from "./metered-bucket.ts";
import { describeBucket, FaultyBucket, ManualClock } from "../testing/index.ts";

const never = new AbortController().signal;

describeBucket("a metered bucket", {
  async open() {
    return new MeteredBucket(new MemoryBucket({ clock: systemClock }), { clock: systemClock, metrics: new Metrics() });
  },
});

describe("metered bucket", () => {
  let clock: ManualClock;
  let faulty: FaultyBucket;
  let metrics: Metrics;
  let bucket: MeteredBucket;
  beforeEach(() => {
    clock = new ManualClock();
    metrics = new Metrics();
    faulty = new FaultyBucket(new MemoryBucket({ clock }), { clock });
    bucket = new MeteredBucket(faulty, { clock, metrics });
  });

  /** Lines of the metrics page that begin so, without the prefix. */
  const lines = async (prefix: string): Promise<string[]> =>
    (await metrics.text())
      .split("\n")
      .filter((line) => line.startsWith(prefix))
      .map((line) => line.slice(prefix.length))
      .sort();
  const requests = (): Promise<string[]> => lines("pyromesh_bucket_requests_total");
  const drain = async (prefix: string): Promise<void> => {
    for await (const page of bucket.list(prefix, {}, never)) assert.isNotEmpty(page);
  };

  it("counts each request by operation and outcome, and what asks nobody not at all", async () => {
    await bucket.check(never);
    await bucket.put("k", new Uint8Array(100), { ifAbsent: true }, never);
    await bucket.put("k", new Uint8Array(100), { ifAbsent: true }, never);
    await bucket.get("k", never);
    await bucket.getRange("k", 10, 30, never);
    await bucket.getRange("k", 10, 0, never);
    await bucket.head("k", never);
    await bucket.get("absent", never).catch(() => undefined);
    await bucket.getRange("k", 90, 30, never).catch(() => undefined);
    await bucket.delete("k", never);
    assert.deepEqual(await requests(), [
      '{operation="check",outcome="ok"} 1',
      '{operation="delete",outcome="ok"} 1',
      '{operation="get",outcome="not_found"} 1',
      '{operation="get",outcome="ok"} 1',
      '{operation="get_range",outcome="ok"} 1',
      '{operation="get_range",outcome="range_outside"} 1',
      '{operation="head",outcome="ok"} 1',
      '{operation="put",outcome="exists"} 1',
      '{operation="put",outcome="ok"} 1',
    ]);
  });

  it("adds up the bytes that moved, and only those", async () => {
    await bucket.put("k", new Uint8Array(100), { ifAbsent: true }, never);
    await bucket.put("k", new Uint8Array(100), { ifAbsent: true }, never);
    await bucket.get("k", never);
    await bucket.getRange("k", 10, 30, never);
    await bucket.getRange("k", 90, 30, never).catch(() => undefined);
    assert.deepEqual(await lines("pyromesh_bucket_read_bytes_total"), ['{operation="get"} 100', '{operation="get_range"} 30']);
    assert.deepEqual(await lines("pyromesh_bucket_written_bytes_total"), ['{operation="put"} 100']);
  });

  it("a list is a request a page: three for 2500 objects, one for none, none for the end", async () => {
    for (let i = 0; i < 2500; i++) await bucket.put(`p/${i}`, new Uint8Array(0), {}, never);
    await drain("p/");
    assert.include(await requests(), '{operation="list",outcome="ok"} 3');
    await drain("nothing/");
    assert.include(await requests(), '{operation="list",outcome="ok"} 4');
  });

  it("a list that breaks half way is counted as far as it came", async () => {
    for (let i = 0; i < 1500; i++) await bucket.put(`p/${i}`, new Uint8Array(0), {}, never);
    let listCount = 0;
    faulty.schedule(({ operation }) => (operation === "list" && ++listCount === 2 ? { kind: "status", status: 503 } : undefined));
    const code = await drain("p/").then(() => "done", (error: { code: string }) => error.code);
    assert.equal(code, "BUCKET_UNAVAILABLE");
    assert.include(await requests(), '{operation="list",outcome="ok"} 1');
    assert.include(await requests(), '{operation="list",outcome="unavailable"} 1');
  });

  it("times a request, failed ones too", async () => {
    faulty.schedule(() => ({ kind: "slow", delayMs: 300 }));
    const put = bucket.put("k", new Uint8Array(1), {}, never);
    await Promise.resolve();
    clock.advance(300);
    await put;
    faulty.goDown();
    await bucket.get("k", never).catch(() => undefined);
    assert.deepEqual(await lines("pyromesh_bucket_request_duration_seconds_sum"), ['{operation="get"} 0', '{operation="put"} 0.3']);
    assert.include(await requests(), '{operation="get",outcome="unavailable"} 1');
  });

  it("a caller that went away is canceled, no failure of the bucket", async () => {
    faulty.schedule(() => ({ kind: "hang" }));
    const controller = new AbortController();
    const got = bucket.get("k", controller.signal);
    controller.abort(new Error("left"));
    assert.equal(await got.then(() => "", (error: Error) => error.message), "left");
    assert.deepEqual(await requests(), ['{operation="get",outcome="canceled"} 1']);
  });
});
