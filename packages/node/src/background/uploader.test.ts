/** The uploader by itself: what it costs the main thread. What it does to a segment is in flusher.test.ts. */
import { Metrics, parseTenantId, silentLogger } from "@pyromesh/base";
import { Catalog, MemoryBucket, segmentKey } from "@pyromesh/block";
import type { LocalFiles } from "@pyromesh/block";
import { ManualClock } from "@pyromesh/block/testing";
import type { Head, SealedSegment } from "@pyromesh/head";
import { expect } from "chai";
import { OrdinalLock } from "./ordinal-lock.ts";
import { encodeSealedEntry } from "./sealed-entry.ts";
import { NO_LISTENER } from "./segment-listener.ts";
import { Uploader } from "./uploader.ts";

class CountingClock extends ManualClock {
  /** Every plan asks for the time; so do tries. */
  askedCount = 0;

  override monotonicMs(): number {
    this.askedCount++;
    return super.monotonicMs();
  }
}

describe("uploader", () => {
  let clock: CountingClock;
  let stopped: AbortController;
  beforeEach(() => {
    clock = new CountingClock(Date.UTC(2026, 2, 2, 14, 30));
    stopped = new AbortController();
  });
  afterEach(() => stopped.abort());

  function open(source: (key: string) => Promise<never>): Uploader {
    const bucket = new MemoryBucket({ clock });
    return new Uploader(
      {
        head: { setSealedBytes: () => {} } as unknown as Head, // what adding a segment asks of it
        local: { pathOf: (key: string) => key, source } as unknown as LocalFiles, // and what reading one asks of a disk
        bucket,
        catalog: new Catalog({}, { bucket, logger: silentLogger }),
        ordinalLock: new OrdinalLock(),
        listener: NO_LISTENER,
        clock,
        logger: silentLogger,
        metrics: new Metrics(),
        countFailure: () => {},
      },
      stopped.signal,
    );
  }

  it("a cut of many tenants is planned for once, not once a segment: with a backlog each plan looks at every queue", async () => {
    const uploader = open(() => new Promise<never>(() => {}));
    uploader.start();
    await Promise.resolve();
    clock.askedCount = 0;
    for (let tenant = 0; tenant < 200; tenant++) uploader.add(segmentOf(`tenant-${tenant}`), 1);
    await Promise.resolve();
    expect(clock.askedCount).within(1, 4);
    expect(uploader.backlogCount).equal(200);
  });

  it("the checks of files after a start share their plans", async () => {
    const read = new Set<string>();
    let end!: () => void; // set before the constructor returns
    const ended = new Promise<void>((resolve) => (end = resolve));
    // The upload of the first begins after the look at it, and never comes to an end.
    const uploader = open((key) => {
      if (read.has(key)) return new Promise<never>(() => {});
      read.add(key);
      if (read.size === 200) end();
      return Promise.reject(new Error("EIO"));
    });
    for (let ordinal = 0; ordinal < 200; ordinal++) uploader.add(segmentOf("a", ordinal), 1);
    uploader.start();
    await ended;
    expect(clock.askedCount).lessThan(20);
  });
});

function segmentOf(tenant: string, ordinal = 0): SealedSegment {
  const windowStartMs = Date.UTC(2026, 2, 2, 14);
  const key = segmentKey({ tenant: parseTenantId(tenant), windowStartMs, minTimeMs: windowStartMs, maxTimeMs: windowStartMs, storeId: "0f".repeat(16), ordinal });
  return { key, bytes: encodeSealedEntry({ sizeBytes: 10, crc: 1, isLost: false }) };
}
