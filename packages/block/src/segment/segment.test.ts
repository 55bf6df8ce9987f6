import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, deflateRawSync } from "node:zlib";
import { ByteReader, CorruptionError, crc32, encodeUtf8, parseTenantId, seededRandom, toHex } from "@pyromesh/base";
import { assert } from "chai";
import { TAG } from "./dataset-codec.ts";
import type { DatasetInput, SectionInput, SegmentMeta } from "./format.ts";
import { BUILDER_VERSION, CODEC, FORMAT_VERSION, HEADER_BYTES, MAGIC, SECTION_RAW_BYTES_MAX, TRAILER_BYTES } from "./format.ts";
import type { RangeSource } from "./segment-reader.ts";
import { bytesSource, findDataset, openSection, openSections, readDataset, readFooter, readIdentities, verifySegment } from "./segment-reader.ts";
import { buildSegment, encodeSection, withSegmentMeta } from "./segment-writer.ts";

const never = new AbortController().signal;
const START_MS = Date.UTC(2026, 2, 2, 14);
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

const META: SegmentMeta = {
  tenant: parseTenantId("anonymous"),
  windowStartMs: START_MS,
  windowMs: 3_600_000,
  level: 0,
  storeId: STORE,
  ordinal: 7,
  minTimeMs: START_MS + 1000,
  maxTimeMs: START_MS + 59_999,
  recordCount: 3,
  sources: [{ storeId: STORE, firstOrdinal: 7, lastOrdinal: 7 }],
};

const text = encodeUtf8("main.handle;main.work;".repeat(20));
const identities = (count: number, seed: number): Uint8Array => seededRandom(seed).bytes(count * 16);

/** Two services, every codec, an empty section, tags out of order. */
function datasets(): DatasetInput[] {
  return [
    {
      service: "web",
      recordCount: 2,
      minTimeMs: START_MS + 1000,
      maxTimeMs: START_MS + 59_999,
      sections: [
        encodeSection(TAG.strings, text, CODEC.brotli, 5),
        encodeSection(TAG.identities, identities(2, 1), CODEC.none),
        encodeSection(TAG.rows, text, CODEC.deflateRaw, 6),
        encodeSection(TAG.mappings, new Uint8Array(0)),
      ],
    },
    {
      service: "api",
      recordCount: 1,
      minTimeMs: START_MS + 2000,
      maxTimeMs: START_MS + 2000,
      sections: [encodeSection(TAG.identities, identities(1, 2), CODEC.none), encodeSection(TAG.strings, encodeUtf8("cpu"))],
    },
  ];
}

/** Fails with a CorruptionError that names the object; anything else is a bug of the reader. */
async function corrupt(work: Promise<unknown>, about: string): Promise<CorruptionError> {
  const outcome = await work.then((value) => value, (error: unknown) => error);
  assert.instanceOf(outcome, CorruptionError, about);
  assert.include((outcome as CorruptionError).object, "k", about);
  return outcome as CorruptionError;
}

/** The object with its footer changed and every checksum made to fit: what only the reader's own checks can catch. */
function reseal(object: Uint8Array, change: (footer: Uint8Array) => Uint8Array): Uint8Array {
  const footerBytes = new DataView(object.buffer, object.byteOffset).getUint32(object.length - TRAILER_BYTES, true);
  const footerOffset = object.length - TRAILER_BYTES - footerBytes;
  const footer = change(new Uint8Array(object.subarray(footerOffset, footerOffset + footerBytes)));
  const trailer = new DataView(new ArrayBuffer(TRAILER_BYTES));
  trailer.setUint32(0, footer.length, true);
  trailer.setUint32(4, crc32(footer), true);
  trailer.setUint32(8, MAGIC, true);
  return Buffer.concat([object.subarray(0, footerOffset), footer, new Uint8Array(trailer.buffer)]);
}

describe("segment container", () => {
  it("gives back the meta and every section, by service", async () => {
    const source = bytesSource(buildSegment(META, datasets()));
    const footer = await readFooter(source, "k", never);
    assert.deepEqual(footer.meta, META);
    assert.equal(footer.builderVersion, BUILDER_VERSION);
    assert.deepEqual(footer.datasets.map(({ service }) => service), ["api", "web"]);
    for (const { service, sections, recordCount, minTimeMs, maxTimeMs } of datasets()) {
      const range = await readDataset(source, footer, service, never);
      assert.isDefined(range);
      const { entry, bytes } = range!;
      assert.deepInclude(entry, { recordCount, minTimeMs, maxTimeMs });
      assert.deepEqual(entry.sections.map(({ tag }) => tag), sections.map(({ tag }) => tag));
      const opened = openSections(bytes, entry, [1, 2, 3, 4, 5, 6, 7, 8, 999], "k");
      assert.sameMembers([...opened.keys()], sections.map(({ tag }) => tag));
    }
    const web = (await readDataset(source, footer, "web", never))!;
    assert.equal(toHex(openSection(web.bytes, web.entry, TAG.strings, "k")!), toHex(text));
    assert.equal(toHex(openSection(web.bytes, web.entry, TAG.rows, "k")!), toHex(text));
    assert.lengthOf(openSection(web.bytes, web.entry, TAG.mappings, "k")!, 0);
    assert.isUndefined(openSection(web.bytes, web.entry, TAG.columns, "k"));
    assert.isUndefined(await readDataset(source, footer, "none", never));
    assert.equal(findDataset(footer, "api")?.recordCount, 1);
  });

  it("the same datasets in another order give the same bytes", () => {
    assert.equal(toHex(buildSegment(META, datasets())), toHex(buildSegment(META, datasets().reverse())));
  });

  it("under another meta it is the segment that would have been built so, and a damaged footer is refused", async () => {
    const other = { ...META, storeId: "ab".repeat(16), ordinal: 123_456, sources: [{ storeId: "ab".repeat(16), firstOrdinal: 123_456, lastOrdinal: 123_456 }] };
    const built = buildSegment(META, datasets());
    assert.equal(toHex(await withSegmentMeta(built, other, "k")), toHex(buildSegment(other, datasets())));
    await corrupt(withSegmentMeta(built.map((byte, at) => (at === built.length - 20 ? byte ^ 1 : byte)), other, "k"), "a flipped byte");
  });

  it("verify reads all of it; identities come back in order of service", async () => {
    const source = bytesSource(buildSegment(META, datasets()));
    assert.deepEqual((await verifySegment(source, "k", never)).meta, META);
    const expected = [identities(1, 2), identities(2, 1)].map(toHex).join("");
    const found = await readIdentities(source, "k", never);
    assert.equal(found.map((identity) => Buffer.from(identity, "latin1").toString("hex")).join(""), expected);
    assert.lengthOf(found, 3);
  });

  it("a footer longer than the first read is fetched with a second", async () => {
    const many: DatasetInput[] = Array.from({ length: 3000 }, (_, i) => ({ ...datasets()[1]!, service: `service-${String(i).padStart(5, "0")}` }));
    const object = buildSegment({ ...META, minTimeMs: START_MS + 2000, maxTimeMs: START_MS + 2000, recordCount: 3000 }, many);
    const reads: number[] = [];
    const inner = bytesSource(object);
    const source: RangeSource = {
      sizeBytes: inner.sizeBytes,
      read(offset, lengthBytes, signal) {
        reads.push(lengthBytes);
        return inner.read(offset, lengthBytes, signal);
      },
    };
    const footer = await readFooter(source, "k", never);
    assert.lengthOf(footer.datasets, 3000);
    assert.isAbove(footer.footerBytes, 65_536);
    assert.lengthOf(reads, 2);
    assert.equal(findDataset(footer, "service-02999")?.service, "service-02999");
  });

  it("encodeSection: stores as it is where compressing does not pay, and never the caller's own array", () => {
    const noise = seededRandom(3).bytes(1000);
    const stored = encodeSection(9, noise, CODEC.brotli);
    assert.equal(stored.codec, CODEC.none);
    noise.fill(0);
    assert.notEqual(toHex(stored.bytes), toHex(noise));
    const buffer = Buffer.from("a Buffer's slice is a view");
    const kept = encodeSection(9, buffer, CODEC.none);
    buffer.fill(0);
    assert.equal(Buffer.from(kept.bytes).toString(), "a Buffer's slice is a view");
    assert.equal(encodeSection(9, text, CODEC.brotli).codec, CODEC.brotli);
    assert.equal(encodeSection(9, text, CODEC.deflateRaw, 1).codec, CODEC.deflateRaw);
  });

  it("what only a bug of ours could write is not written", () => {
    const [web, api] = datasets() as [DatasetInput, DatasetInput];
    assert.throws(() => buildSegment(META, [web, api, { ...web }]), "one dataset");
    assert.throws(() => buildSegment(META, [{ ...api, sections: [api.sections[0]!, api.sections[0]!] }]), "once");
  });
});

describe("segment container, damaged", () => {
  const object = buildSegment(META, datasets());

  it("cut short at every byte: always corrupt, never anything else", async () => {
    for (let length = 0; length < object.length; length++) {
      await corrupt(readFooter(bytesSource(object.subarray(0, length)), "k", never), `cut at ${length}`);
    }
  });

  it("every bit of it flipped, one at a time: verify always finds it", async function () {
    this.timeout(60_000);
    for (let at = 0; at < object.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = new Uint8Array(object);
        damaged[at]! ^= 1 << bit;
        await corrupt(verifySegment(bytesSource(damaged), "k", never), `byte ${at} bit ${bit}`);
      }
    }
  });

  it("a flipped bit in a section names the section's place", async () => {
    const footer = await readFooter(bytesSource(object), "k", never);
    const { offset } = findDataset(footer, "web")!;
    const damaged = new Uint8Array(object);
    damaged[offset + 3]! ^= 4;
    const error = await corrupt(verifySegment(bytesSource(damaged), "k", never), "flip");
    assert.equal(error.offset, offset);
    assert.equal(error.object, "k");
  });

  it("noise of any length: always corrupt", async () => {
    const random = seededRandom(4);
    for (let i = 0; i < 500; i++) await corrupt(verifySegment(bytesSource(random.bytes(Math.floor(random.float() * 300))), "k", never), `noise ${i}`);
  });

  it("a footer of noise under a right checksum: corrupt, or read without harm", async () => {
    const random = seededRandom(5);
    for (let i = 0; i < 3000; i++) {
      const damaged = reseal(object, (footer) => {
        for (let times = 0; times <= i % 4; times++) footer[Math.floor(random.float() * footer.length)] = Math.floor(random.float() * 256);
        return i % 5 === 0 ? footer.subarray(0, Math.floor(random.float() * footer.length)) : footer;
      });
      const outcome = await verifySegment(bytesSource(damaged), "k", never).then(() => undefined, (error: unknown) => error);
      if (outcome !== undefined) assert.instanceOf(outcome, CorruptionError, `round ${i}: ${String(outcome)}`);
    }
  });

  it("identities that are too few for the records are corrupt: a record would be dropped on their word", async () => {
    const [web] = datasets() as [DatasetInput];
    const lacking = buildSegment(META, [{ ...web, recordCount: 3 }]);
    await corrupt(readIdentities(bytesSource(lacking), "k", never), "lacking");
  });

  it("a section that inflates to more or less than it says is corrupt, and is not inflated further", async () => {
    const bomb = brotliCompressSync(new Uint8Array(64 * 2 ** 20), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });
    const lies: SectionInput[] = [
      { tag: 1, codec: CODEC.brotli, rawLength: 1000, bytes: bomb },
      { tag: 1, codec: CODEC.deflateRaw, rawLength: 10, bytes: deflateRawSync(new Uint8Array(11)) },
      { tag: 1, codec: CODEC.deflateRaw, rawLength: 12, bytes: deflateRawSync(new Uint8Array(11)) },
      { tag: 1, codec: CODEC.brotli, rawLength: 0, bytes: brotliCompressSync(new Uint8Array(1)) },
      { tag: 1, codec: CODEC.none, rawLength: 3, bytes: new Uint8Array(4) },
      { tag: 1, codec: CODEC.zstdReserved, rawLength: 4, bytes: new Uint8Array(4) },
      { tag: 1, codec: 200, rawLength: 4, bytes: new Uint8Array(4) },
      { tag: 1, codec: CODEC.brotli, rawLength: 9, bytes: new Uint8Array(0) },
      { tag: 1, codec: CODEC.deflateRaw, rawLength: SECTION_RAW_BYTES_MAX + 1, bytes: bomb },
    ];
    for (const [i, section] of lies.entries()) {
      const built = buildSegment(META, [{ ...datasets()[1]!, sections: [section] }]);
      const before = process.memoryUsage().arrayBuffers;
      await corrupt(verifySegment(bytesSource(built), "k", never), `lie ${i}`);
      assert.isBelow(process.memoryUsage().arrayBuffers - before, 32 * 2 ** 20, `lie ${i}`);
    }
  });

  it("a source that gives less than asked for is corrupt", async () => {
    const short: RangeSource = { sizeBytes: object.length, read: async (offset, length) => object.subarray(offset, offset + length - 1) };
    await corrupt(readFooter(short, "k", never), "short");
  });

  it("an error of the source passes through as it is", async () => {
    const reason = new Error("the bucket is down");
    const failing: RangeSource = { sizeBytes: object.length, read: () => Promise.reject(reason) };
    assert.strictEqual(await readFooter(failing, "k", never).then(() => undefined, (error: unknown) => error), reason);
  });
});

describe("segment container, version 1 on disk", () => {
  const golden = fileURLToPath(new URL("../../testdata/v1/container.seg", import.meta.url));
  const format = fileURLToPath(new URL("../../FORMAT.md", import.meta.url));
  /** Without codecs, whose output may change with Node's zlib. */
  const oneDataset = (): DatasetInput => ({ ...datasets()[1]!, sections: [encodeSection(TAG.identities, identities(1, 2), CODEC.none), encodeSection(TAG.strings, encodeUtf8("cpu"), CODEC.none)] });
  const times = { recordCount: 1, minTimeMs: START_MS + 2000, maxTimeMs: START_MS + 2000 };
  const build = (): Uint8Array => buildSegment({ ...META, ...times }, [oneDataset()]);
  const goldenBlock = fileURLToPath(new URL("../../testdata/v1/block.blk", import.meta.url));
  const BLOCK_META: SegmentMeta = {
    ...META,
    ...times,
    level: 2,
    storeId: "00".repeat(16),
    ordinal: 0,
    sources: [
      { storeId: STORE, firstOrdinal: 0, lastOrdinal: 3 },
      { storeId: STORE, firstOrdinal: 7, lastOrdinal: 7 },
      { storeId: "ff".repeat(16), firstOrdinal: 300, lastOrdinal: 300 },
    ],
  };
  const buildBlock = (): Uint8Array => buildSegment(BLOCK_META, [oneDataset()]);

  before(async () => {
    if (process.env.PYROMESH_WRITE_GOLDEN !== "1") return; // set it once, for a new version, under a new name
    await mkdir(new URL("../../testdata/v1/", import.meta.url), { recursive: true });
    await writeFile(golden, build());
    await writeFile(goldenBlock, buildBlock());
  });

  it("the golden file is read, and still written byte for byte", async () => {
    const bytes = await readFile(golden);
    const footer = await verifySegment(bytesSource(bytes), "k", never);
    assert.equal(footer.meta.storeId, STORE);
    assert.deepEqual(await readIdentities(bytesSource(bytes), "k", never), [Buffer.from(identities(1, 2)).toString("latin1")]);
    assert.equal(bytes.toString("hex"), toHex(build()));
  });

  it("a block's golden file is read with all its sources, and still written byte for byte; FORMAT.md shows its meta", async () => {
    const bytes = await readFile(goldenBlock);
    const { meta, datasets: entries } = await verifySegment(bytesSource(bytes), "k", never);
    assert.deepEqual(meta, BLOCK_META);
    assert.deepEqual(await readIdentities(bytesSource(bytes), "k", never), [Buffer.from(identities(1, 2)).toString("latin1")]);
    assert.equal(bytes.toString("hex"), toHex(buildBlock()));
    const page = await readFile(format, "utf8");
    assert.include(page, `\`testdata/v1/block.blk\`, ${bytes.length} bytes`);
    const dump = [...page.matchAll(/^ {9}((?:[0-9a-f]{2} )+) /gm)].map((match) => match[1]!.replaceAll(" ", "")).join("");
    const { offset, length } = entries[0]!;
    assert.isTrue(bytes.toString("hex", offset + length).startsWith(dump));
    assert.isTrue(dump.endsWith("ac02ac02"));
  });

  it("a source range that ends before it begins is corrupt", async () => {
    const lie = { ...BLOCK_META, sources: [{ storeId: STORE, firstOrdinal: 3, lastOrdinal: 2 }] };
    await corrupt(readFooter(bytesSource(buildSegment(lie, [oneDataset()])), "k", never), "range");
  });

  it("FORMAT.md gives the constants of format.ts, every section tag, and the golden file's dump", async () => {
    const page = await readFile(format, "utf8");
    const constants: Record<string, string> = Object.fromEntries([...page.matchAll(/^\| `([A-Z_]+)` \| `([^`]+)` \|/gm)].map((match) => [match[1]!, match[2]!]));
    assert.deepEqual(constants, {
      MAGIC: `0x${MAGIC.toString(16)}`,
      FORMAT_VERSION: `${FORMAT_VERSION}`,
      BUILDER_VERSION: `${BUILDER_VERSION}`,
      HEADER_BYTES: `${HEADER_BYTES}`,
      TRAILER_BYTES: `${TRAILER_BYTES}`,
      SECTION_RAW_BYTES_MAX: `${SECTION_RAW_BYTES_MAX}`,
    });
    const codecs = Object.fromEntries([...page.matchAll(/^\| (\d+) \| codec `(\w+)` \|/gm)].map((match) => [match[2]!, Number(match[1])]));
    assert.deepEqual(codecs, { ...CODEC });
    const tags = Object.fromEntries([...page.matchAll(/^\| (\d+)(?: \+ k)? \| section `(\w+)` \|/gm)].map((match) => [match[2]!, Number(match[1])]));
    assert.deepEqual(tags, { ...TAG });
    const dump = [...page.matchAll(/^([0-9a-f]{4}) {2}((?:[0-9a-f]{2} )+) /gm)].map((match) => match[2]!.replaceAll(" ", "")).join("");
    assert.equal(dump, (await readFile(golden)).toString("hex"));
  });

  it("every object begins and ends with PMS1", () => {
    const bytes = build();
    assert.equal(Buffer.from(bytes.subarray(0, 4)).toString(), "PMS1");
    assert.equal(Buffer.from(bytes.subarray(-4)).toString(), "PMS1");
    assert.equal(new ByteReader(bytes, "k").u32(), MAGIC);
  });
});
