import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { FaultyBucket } from "../testing/index.ts";
import { MemoryBucket } from "./memory-bucket.ts";
import { lowerReplication, putReplication, readReplication } from "./bucket-replication.ts";

const signal = new AbortController().signal;

describe("the replication in the bucket", () => {
  it("is the highest that was put, in whatever order; 0 where none was", async () => {
    const bucket = new MemoryBucket({ clock: new ManualClock() });
    expect(await readReplication(bucket, signal)).equal(0);
    for (const replication of [3, 2, 10, 5, 10]) await putReplication(bucket, replication, 0, signal);
    expect(await readReplication(bucket, signal)).equal(10);
  });

  it("is lowered by an operator's word, and rises again", async () => {
    const bucket = new MemoryBucket({ clock: new ManualClock() });
    for (const replication of [3, 5]) await putReplication(bucket, replication, 0, signal);
    await lowerReplication(bucket, 1, 0, signal);
    expect(await readReplication(bucket, signal)).equal(1);
    await putReplication(bucket, 3, 0, signal);
    expect(await readReplication(bucket, signal)).equal(3);
  });

  it("that failed to be lowered is the higher one", async () => {
    const bucket = new MemoryBucket({ clock: new ManualClock() });
    await putReplication(bucket, 3, 0, signal);
    const failing = new FaultyBucket(bucket, { clock: new ManualClock() });
    failing.schedule(({ operation }) => (operation === "delete" ? { kind: "status", status: 503 } : undefined));
    expect(await lowerReplication(failing, 1, 0, signal).then(() => "lowered", () => "failed")).equal("failed");
    expect(await readReplication(bucket, signal)).equal(3);
  });

  it("a name that is no value is left alone", async () => {
    const bucket = new MemoryBucket({ clock: new ManualClock() });
    for (const name of ["pyromesh-replication-03.json", "pyromesh-replication-99.json", "pyromesh-replication-3.json.bak", "pyromesh-replication-.json"]) await bucket.put(name, new Uint8Array(1), {}, signal);
    expect(await readReplication(bucket, signal)).equal(0);
  });
});
