/** The uploader by itself: what it costs the main thread. What it does to a segment is in flusher.test.ts. */
import { Metrics, parseTenantId, silentLogger } from "@pyromesh/base";
import { Catalog, MemoryBucket, segmentKey } from "@pyromesh/block";
import type { LocalFiles } from "@pyromesh/block";
import { ManualClock } from "@pyromesh/block/testing";
import type { Head, SealedSegment } from "@pyromesh/head";
import { expect } from "chai";
import { OrdinalLock } from "./ordinal-lock.ts";
import { encodeSealedEntry } from "./sealed-entry.ts";
import { Uploader } from "./uploader.ts";

describe("uploader", () => {
  it("a cut of many tenants is planned for once, not once a segment: with a backlog each plan looks at every queue", async () => {
    let planCount = 0;
    class CountingClock extends ManualClock {
      override monotonicMs(): number {
        planCount++;
        return super.monotonicMs();
      }
    }
    const clock = new CountingClock(Date.UTC(2026, 2, 2, 14, 30));
    const bucket = new MemoryBucket({ clock });
    const stopped = new AbortController();
    const never = new Promise<never>(() => {});
    const uploader = new Uploader(
      {
        head: { setSealedBytes: () => {} } as unknown as Head, // what adding a segment asks of it
        local: { pathOf: (key: string) => key, source: () => never } as unknown as LocalFiles, // a disk that never answers
        bucket,
        catalog: new Catalog({}, { bucket, logger: silentLogger }),
        ordinalLock: new OrdinalLock(),
        clock,
        logger: silentLogger,
        metrics: new Metrics(),
        countFailure: () => {},
      },
      stopped.signal,
    );
    uploader.start();
    await Promise.resolve();
    planCount = 0;
    for (let tenant = 0; tenant < 200; tenant++) uploader.add(segmentOf(`tenant-${tenant}`));
    await Promise.resolve();
    expect(planCount).within(1, 4);
    expect(uploader.backlogCount).equal(200);
    stopped.abort();
  });
});

function segmentOf(tenant: string): SealedSegment {
  const windowStartMs = Date.UTC(2026, 2, 2, 14);
  const key = segmentKey({ tenant: parseTenantId(tenant), windowStartMs, minTimeMs: windowStartMs, maxTimeMs: windowStartMs, storeId: "0f".repeat(16), ordinal: 0 });
  return { key, bytes: encodeSealedEntry({ sizeBytes: 10, crc: 1, isLost: false }) };
}
