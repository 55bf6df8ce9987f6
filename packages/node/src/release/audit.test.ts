/** The audit over a catalog and a bucket in memory. */
import { Metrics, seededRandom, silentLogger } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { buildSegment, Catalog, encodeSection, markKey, MemoryBucket, parseObjectKey, TAG } from "@pyromesh/block";
import type { HeardObject } from "@pyromesh/block";
import { ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import { Audit } from "./audit.ts";
import { ReleasedInto } from "./released-into.ts";
import { toldSegment } from "../background/told-segment.ts";

const never = new AbortController().signal;
const STORE = "0f".repeat(16);
const WINDOW_MS = Date.UTC(2026, 2, 2, 14);

describe("audit", () => {
  let bucket: MemoryBucket;
  let catalog: Catalog;
  let releasedInto: ReleasedInto;
  let metrics: Metrics;
  let audit: Audit;

  beforeEach(() => {
    const clock = new ManualClock(WINDOW_MS);
    bucket = new MemoryBucket({ clock });
    catalog = new Catalog({}, { bucket, logger: silentLogger });
    releasedInto = new ReleasedInto({}, { clock });
    metrics = new Metrics();
    const source = { read: (object: { readonly key: string }, offset: number, lengthBytes: number) => bucket.getRange(object.key, offset, lengthBytes, never), sizeOf: () => Promise.reject(new Error("not asked")) };
    audit = new Audit({ catalog, source, releasedInto, clock, logger: silentLogger, metrics });
  });

  const metric = async (name: string): Promise<number> => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(await metrics.text())?.[1]);

  /** A segment with these identities, into which they were released. */
  async function store(ordinal: number, identities: Uint8Array): Promise<HeardObject> {
    const named = { tenant: "a" as TenantId, windowStartMs: WINDOW_MS, level: 0, minTimeMs: WINDOW_MS, maxTimeMs: WINDOW_MS + 1000, storeId: STORE, ordinal } as const; // a tenant id that the API would take
    const recordCount = identities.length / 16;
    const { meta } = toldSegment(named, { sizeBytes: 0, isUploaded: true });
    const bytes = buildSegment({ ...meta, recordCount }, [{ service: "api", recordCount, minTimeMs: named.minTimeMs, maxTimeMs: named.maxTimeMs, sections: [encodeSection(TAG.identities, identities)] }]);
    const told = toldSegment(named, { sizeBytes: bytes.length, isUploaded: true });
    await bucket.put(told.key, bytes, {}, never);
    await catalog.refresh(never);
    releasedInto.note(told);
    audit.noteReleased(told, Array.from({ length: identities.length / 16 }, (_, index) => identities.subarray(index * 16, index * 16 + 16)));
    return told;
  }

  const random = seededRandom(3);
  const twice = async (work: () => Promise<unknown>): Promise<void> => {
    await work();
    await work();
  };

  it("finds nothing where all is there", async () => {
    await store(0, random.bytes(48));
    await store(1, random.bytes(48));
    await twice(() => audit.look(never));
    expect([await metric("pyromesh_audit_missing_objects"), await metric("pyromesh_audit_missing_records_total")]).deep.equal([0, 0]);
  });

  it("an object that two looks miss is missing, until it is back", async () => {
    const object = await store(0, random.bytes(48));
    const bytes = await bucket.get(object.key, never);
    await bucket.delete(object.key, never);
    await twice(() => catalog.refresh(never));
    await audit.look(never);
    expect(await metric("pyromesh_audit_missing_objects")).equal(0);
    await audit.look(never);
    expect(await metric("pyromesh_audit_missing_objects")).equal(1);
    await bucket.put(object.key, bytes, {}, never);
    await catalog.refresh(never);
    await audit.look(never);
    expect(await metric("pyromesh_audit_missing_objects")).equal(0);
  });

  it("one whose loss an operator accepted is not missing", async () => {
    const object = await store(0, random.bytes(48));
    await bucket.delete(object.key, never);
    const named = parseObjectKey(object.key);
    if (named?.kind === "segment") await bucket.put(markKey({ ...named, mark: "forgotten" }), new Uint8Array(1), {}, never);
    await twice(() => catalog.refresh(never));
    await twice(() => audit.look(never));
    expect([catalog.get(object.key), await metric("pyromesh_audit_missing_objects")]).deep.equal([undefined, 0]);
  });

  it("each object in turn is read again, and records that it does not hold any more are counted", async () => {
    const identities = random.bytes(64);
    await store(0, random.bytes(48));
    await store(1, identities);
    await store(1, identities.slice(0, 32)); // another object under the key
    await audit.look(never);
    expect(await metric("pyromesh_audit_missing_records_total")).equal(0);
    await audit.look(never);
    expect(await metric("pyromesh_audit_missing_records_total")).equal(2);
  });
});
