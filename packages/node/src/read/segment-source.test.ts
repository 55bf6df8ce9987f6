import { CorruptionError, Metrics, parseTenantId, silentLogger } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import { BucketError } from "@pyromesh/block";
import type { CatalogEntry, DatasetEntry, ObjectReader, SegmentFooter } from "@pyromesh/block";
import { ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import type { JobContext } from "./read-ahead.ts";
import { isDamaged, namedReason, SegmentSource } from "./segment-source.ts";
import { UnreadableObjects } from "./unreadable-objects.ts";

const KEY = "v1/a/x.seg";
const entry = { key: KEY, meta: { tenant: parseTenantId("a"), windowStartMs: 5 } } as CatalogEntry; // what the source looks at
const corrupt = new CorruptionError({ object: KEY, offset: 3, expected: "a crc", found: "another" });

describe("segment source", () => {
  let reads: string[];
  let reserved: number[];
  let footerError: Error | undefined;
  let rangeErrors: Record<string, Error>;
  let clock: ManualClock;
  let unreadable: UnreadableObjects;
  let source: SegmentSource;
  const context: JobContext = {
    signal: new AbortController().signal,
    reserve: async (sizeBytes) => void reserved.push(sizeBytes),
    request: (work) => work(),
  };

  beforeEach(() => {
    reads = [];
    reserved = [];
    footerError = undefined;
    rangeErrors = {};
    clock = new ManualClock();
    unreadable = new UnreadableObjects({ clock, logger: silentLogger, metrics: new Metrics(), forget: () => {}, check: async () => rangeErrors["b"] === undefined ? undefined : Promise.reject(rangeErrors["b"]) });
    const datasets = ["a", "b", "c"].map((service, index) => ({ service, offset: index * 10, length: 10 }) as DatasetEntry);
    const objects = {
      footer: async () => {
        reads.push("footer");
        if (footerError !== undefined) throw footerError;
        return { datasets } as unknown as SegmentFooter;
      },
      range: async (_entry: CatalogEntry, { service }: DatasetEntry) => {
        reads.push(service);
        if (rangeErrors[service] !== undefined) throw rangeErrors[service];
        return new Uint8Array(10);
      },
    } as unknown as ObjectReader; // footers and ranges are all that is asked
    source = new SegmentSource({ objects, unreadable });
  });
  afterEach(() => unreadable.stop());

  const parts = async (wants: (dataset: DatasetEntry) => boolean = () => true): Promise<{ services: string[]; damages: (string | undefined)[] }> => {
    const found = await source.parts(entry, wants, context);
    return { services: found.parts.map(({ service }) => service), damages: found.damages.map(({ service }) => service) };
  };

  it("reads what is wanted, and reserves its bytes before", async () => {
    expect(await parts(({ service }) => service !== "b")).deep.equal({ services: ["a", "c"], damages: [] });
    expect(reads).deep.equal(["footer", "a", "c"]);
    expect(reserved).deep.equal([2 * (10 + 1024)]);
    expect(await parts(() => false)).deep.equal({ services: [], damages: [] });
  });

  it("a damaged dataset is left out and named; the others are read all the same, and it is not read again before its time", async () => {
    rangeErrors["b"] = corrupt;
    expect(await parts()).deep.equal({ services: ["a", "c"], damages: ["b"] });
    reads.length = 0;
    expect(await parts()).deep.equal({ services: ["a", "c"], damages: ["b"] });
    expect(reads).deep.equal(["footer", "a", "c"]);
    delete rangeErrors["b"];
    clock.advance(1000);
    expect(await parts()).deep.equal({ services: ["a", "b", "c"], damages: [] });
  });

  it("a damaged footer is all of the object: nothing more of it is read, or reserved", async () => {
    footerError = corrupt;
    expect(await parts()).deep.equal({ services: [], damages: [undefined] });
    expect([reads, reserved]).deep.equal([["footer"], []]);
    const damage = await source.footer(entry, context);
    expect(isDamaged(damage)).equal(true);
    expect(reads, "and it is not read again").deep.equal(["footer"]);
  });

  it("an error that says nothing about the bytes passes through, and no object is called damaged for it", async () => {
    rangeErrors["b"] = new BucketError("BUCKET_UNAVAILABLE", KEY, "503");
    expect(await parts().catch((error: CodedError) => error.code)).equal("BUCKET_UNAVAILABLE");
    expect(unreadable.objectCount).equal(0);
  });

  it("a reason names the object once", () => {
    expect(namedReason(KEY, corrupt)).equal(corrupt.message);
    expect(namedReason(KEY, new Error("EIO"))).equal(`${KEY}: EIO`);
  });
});
