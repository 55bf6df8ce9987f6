/**
 * Reads a segment or block: trailer, footer, then only the ranges of datasets that are asked for. Magic, version, lengths and checksums
 * are checked before anything is used; what does not hold is a CorruptionError that says where.
 */
import { brotliDecompressSync, inflateRawSync } from "node:zlib";
import { ByteReader, CorruptionError, crc32, messageOf, parseTenantId, toHex } from "@pyromesh/base";
import type { CorruptionInit, TenantId } from "@pyromesh/base";
import { compareText } from "@pyromesh/profile";
import { TAG } from "./dataset-codec.ts";
import { CODEC, FORMAT_VERSION, HEADER_BYTES, MAGIC, SECTION_RAW_BYTES_MAX, TRAILER_BYTES } from "./format.ts";
import type { DatasetEntry, SectionEntry, SegmentFooter, SegmentMeta, SourceRange } from "./format.ts";

/** An object or a file, readable in ranges. */
export interface RangeSource {
  readonly sizeBytes: number;
  read(offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array>;
}

/** The size of the first read: it brings trailer and footer of most segments, and the whole of a small one. */
const TAIL_BYTES = 64 * 1024;

export interface FooterAndBytes {
  readonly footer: SegmentFooter;
  /** The whole object, where it is so small that the read of its footer brought all of it. */
  readonly bytes: Uint8Array | undefined;
}

/** Throws CorruptionError; errors of the source pass through. */
export async function readFooter(source: RangeSource, object: string, signal: AbortSignal): Promise<SegmentFooter> {
  return (await readFooterAndBytes(source, object, signal)).footer;
}

/** Like `readFooter`, and returns the object's bytes too where it is so small that they were read with the footer. */
export async function readFooterAndBytes(source: RangeSource, object: string, signal: AbortSignal): Promise<FooterAndBytes> {
  const { sizeBytes } = source;
  if (sizeBytes < HEADER_BYTES + TRAILER_BYTES) throw corrupt(object, 0, `at least ${HEADER_BYTES + TRAILER_BYTES} bytes`, `${sizeBytes}`);
  const tailLength = Math.min(sizeBytes, TAIL_BYTES);
  const tail = await source.read(sizeBytes - tailLength, tailLength, signal);
  if (tail.length !== tailLength) throw corrupt(object, sizeBytes - tailLength, `${tailLength} bytes`, `${tail.length}`);
  const trailer = new ByteReader(tail, object, tailLength - TRAILER_BYTES);
  const footerLength = trailer.u32();
  const crc = trailer.u32();
  const magic = trailer.u32();
  if (magic !== MAGIC) throw corrupt(object, sizeBytes - 4, "the magic", magic.toString(16));
  const footerOffset = sizeBytes - TRAILER_BYTES - footerLength;
  if (footerOffset < HEADER_BYTES) throw corrupt(object, sizeBytes - TRAILER_BYTES, "a footer within the object", `${footerLength} bytes`);
  const footer =
    footerLength + TRAILER_BYTES <= tailLength
      ? tail.subarray(tailLength - TRAILER_BYTES - footerLength, tailLength - TRAILER_BYTES)
      : await source.read(footerOffset, footerLength, signal);
  if (crc32(footer) !== crc) throw corrupt(object, footerOffset, `a footer with crc32 ${crc.toString(16)}`, crc32(footer).toString(16));
  return { footer: decodeFooter(footer, footerOffset, object), bytes: tailLength === sizeBytes ? tail : undefined };
}

function decodeFooter(bytes: Uint8Array, footerOffset: number, object: string): SegmentFooter {
  const reader = new ByteReader(bytes, `${object} footer`);
  const version = reader.u16();
  if (version !== FORMAT_VERSION) reader.fail(`format version ${FORMAT_VERSION}`, `${version}`);
  const builderVersion = reader.u16();
  const meta = readMeta(reader);
  const datasetCount = countOf(reader, 20);
  const datasets: DatasetEntry[] = [];
  let end = HEADER_BYTES;
  for (let i = 0; i < datasetCount; i++) {
    const service = reader.text();
    const before = datasets.at(-1);
    if (before !== undefined && compareText(before.service, service) >= 0) reader.fail("services in order, each once", JSON.stringify(service));
    const offset = reader.uvarint();
    const length = reader.uvarint();
    if (offset !== end || offset + length > footerOffset) reader.fail(`a dataset at ${end} that ends before ${footerOffset}`, `${offset} and ${length} bytes`);
    const recordCount = reader.uvarint();
    const minTimeMs = reader.f64();
    const maxTimeMs = reader.f64();
    const sectionCount = countOf(reader, 7);
    const sections: SectionEntry[] = [];
    const tags = new Set<number>();
    let sectionBytes = 0;
    for (let j = 0; j < sectionCount; j++) {
      const section = { tag: reader.uvarint(), codec: reader.u8(), storedLength: reader.uvarint(), rawLength: reader.uvarint(), crc: reader.u32() };
      if (tags.has(section.tag)) reader.fail("each tag once in a dataset", `tag ${section.tag} again`);
      tags.add(section.tag);
      sectionBytes += section.storedLength;
      sections.push(section);
    }
    if (sectionBytes !== length) reader.fail(`sections of ${length} bytes`, `${sectionBytes}`);
    end = offset + length;
    datasets.push({ service, offset, length, recordCount, minTimeMs, maxTimeMs, sections });
  }
  if (end !== footerOffset) reader.fail(`datasets up to ${footerOffset}`, `${end}`);
  if (reader.remaining !== 0) reader.fail("the end of the footer", `${reader.remaining} more bytes`);
  return { meta, builderVersion, footerBytes: bytes.length, datasets };
}

function readMeta(reader: ByteReader): SegmentMeta {
  return {
    tenant: readTenant(reader),
    windowStartMs: reader.f64(),
    windowMs: reader.uvarint(),
    level: reader.u8(),
    storeId: toHex(reader.raw(16)),
    ordinal: reader.uvarint(),
    minTimeMs: reader.f64(),
    maxTimeMs: reader.f64(),
    recordCount: reader.uvarint(),
    sources: Array.from({ length: countOf(reader, 18) }, () => readSource(reader)),
  };
}

function readSource(reader: ByteReader): SourceRange {
  const storeId = toHex(reader.raw(16));
  const firstOrdinal = reader.uvarint();
  const lastOrdinal = reader.uvarint();
  if (lastOrdinal < firstOrdinal) reader.fail(`a last ordinal of at least ${firstOrdinal}`, `${lastOrdinal}`);
  return { storeId, firstOrdinal, lastOrdinal };
}

function readTenant(reader: ByteReader): TenantId {
  const text = reader.text();
  try {
    return parseTenantId(text);
  } catch {
    return reader.fail("a tenant id", JSON.stringify(text.slice(0, 160)));
  }
}

/**
 * Sections of a dataset by tag, inflated. `bytes` is the dataset's whole range. A tag the dataset lacks is left out.
 * Throws CorruptionError.
 */
export function openSections(bytes: Uint8Array, entry: DatasetEntry, tags: readonly number[], object: string): Map<number, Uint8Array> {
  const opened = new Map<number, Uint8Array>();
  let offset = 0;
  for (const section of entry.sections) {
    const start = offset;
    offset += section.storedLength;
    if (!tags.includes(section.tag)) continue;
    const place = { object, service: entry.service, offset: entry.offset + start };
    opened.set(section.tag, inflate(checkedSection(bytes.subarray(start, offset), section, place), section, place));
  }
  return opened;
}

/** Where a section is, for error messages. */
type SectionPlace = Pick<CorruptionInit, "object" | "service" | "offset">;

/** The stored bytes of a section, when they are what was written. */
function checkedSection(stored: Uint8Array, section: SectionEntry, place: SectionPlace): Uint8Array {
  if (stored.length !== section.storedLength) throw new CorruptionError({ ...place, expected: `${section.storedLength} bytes`, found: `${stored.length}` });
  const crc = crc32(stored);
  if (crc !== section.crc) throw new CorruptionError({ ...place, expected: `section ${section.tag} with crc32 ${section.crc.toString(16)}`, found: crc.toString(16) });
  return stored;
}

function inflate(stored: Uint8Array, section: SectionEntry, place: SectionPlace): Uint8Array {
  const { codec, rawLength } = section;
  if (rawLength > SECTION_RAW_BYTES_MAX) throw new CorruptionError({ ...place, expected: `a section of at most ${SECTION_RAW_BYTES_MAX} bytes`, found: `${rawLength}` });
  let raw: Uint8Array;
  try {
    if (codec === CODEC.none) raw = stored;
    else if (codec === CODEC.deflateRaw) raw = ownBytes(inflateRawSync(stored, outputOf(rawLength)));
    else if (codec === CODEC.brotli) raw = ownBytes(brotliDecompressSync(stored, outputOf(rawLength)));
    else throw new CorruptionError({ ...place, expected: "a known codec", found: `${codec}` });
  } catch (error) {
    if (error instanceof CorruptionError) throw error;
    throw new CorruptionError({ ...place, expected: `a section that inflates to ${rawLength} bytes`, found: messageOf(error), cause: error });
  }
  if (raw.length !== rawLength) throw new CorruptionError({ ...place, expected: `${rawLength} bytes`, found: `${raw.length}` });
  return raw;
}

/** zlib refuses smaller chunks. */
const INFLATE_CHUNK_BYTES_MIN = 64;
const INFLATE_CHUNK_BYTES_MAX = 1 << 20;

/**
 * Room for the section and no more: zlib returns a view of its chunk, so a small section would keep the default chunk of 16 KiB in memory.
 * One byte more than needed, or zlib allocates a second chunk.
 */
function outputOf(rawLength: number): { readonly maxOutputLength: number; readonly chunkSize: number } {
  return { maxOutputLength: Math.max(1, rawLength), chunkSize: Math.min(INFLATE_CHUNK_BYTES_MAX, Math.max(INFLATE_CHUNK_BYTES_MIN, rawLength + 1)) };
}

/** A copy where the bytes are a view of a larger buffer, such as Node's pool of 8 KiB, which they would keep in memory. */
function ownBytes(inflated: Uint8Array): Uint8Array {
  return inflated.buffer.byteLength > inflated.length + INFLATE_CHUNK_BYTES_MIN ? new Uint8Array(inflated) : inflated;
}

export interface DatasetRange {
  readonly entry: DatasetEntry;
  /** The dataset's whole range. */
  readonly bytes: Uint8Array;
}

/** An object that is in memory. */
export function bytesSource(bytes: Uint8Array): RangeSource {
  return { sizeBytes: bytes.length, read: async (offset, lengthBytes) => bytes.subarray(offset, offset + lengthBytes) };
}

export function findDataset(footer: SegmentFooter, service: string): DatasetEntry | undefined {
  return footer.datasets.find((dataset) => dataset.service === service);
}

/** Undefined where the segment has no such dataset. */
export async function readDataset(source: RangeSource, footer: SegmentFooter, service: string, signal: AbortSignal): Promise<DatasetRange | undefined> {
  const entry = findDataset(footer, service);
  return entry === undefined ? undefined : { entry, bytes: await source.read(entry.offset, entry.length, signal) };
}

/** One section, inflated; undefined where the dataset has none under that tag. */
export function openSection(bytes: Uint8Array, entry: DatasetEntry, tag: number, object: string): Uint8Array | undefined {
  return openSections(bytes, entry, [tag], object).get(tag);
}

/** Reads all of it and checks every checksum. */
export async function verifySegment(source: RangeSource, object: string, signal: AbortSignal): Promise<SegmentFooter> {
  const header = new ByteReader(await source.read(0, HEADER_BYTES, signal), object);
  const magic = header.u32();
  if (magic !== MAGIC) header.fail("the magic", magic.toString(16));
  const version = header.u16();
  if (version !== FORMAT_VERSION) header.fail(`format version ${FORMAT_VERSION}`, `${version}`);
  const reserved = header.u16();
  if (reserved !== 0) header.fail("zero in the reserved bytes", `${reserved}`);
  const footer = await readFooter(source, object, signal);
  for (const entry of footer.datasets) {
    const bytes = await source.read(entry.offset, entry.length, signal);
    openSections(bytes, entry, entry.sections.map(({ tag }) => tag), object);
  }
  return footer;
}

/** Checks every checksum of a dataset whose whole range `bytes` is, and inflates nothing. Throws CorruptionError. */
export function checkSections(bytes: Uint8Array, dataset: DatasetEntry, object: string): void {
  let start = 0;
  for (const section of dataset.sections) {
    checkedSection(bytes.subarray(start, start + section.storedLength), section, { object, service: dataset.service, offset: dataset.offset + start });
    start += section.storedLength;
  }
}

/** Every identity in a segment, 16 characters of latin1 each. The flush drops a record because its identity is in here. */
export async function readIdentities(source: RangeSource, object: string, signal: AbortSignal): Promise<string[]> {
  const footer = await readFooter(source, object, signal);
  const identities: string[] = [];
  for (const dataset of footer.datasets) {
    const bytes = await source.read(dataset.offset, dataset.length, signal);
    // The checksums of all sections: a record is dropped because the segment holds it whole. They are not inflated, which would hold the
    // main thread for tens of milliseconds a segment.
    checkSections(bytes, dataset, object);
    const raw = Buffer.from(openSection(bytes, dataset, TAG.identities, object) ?? new Uint8Array(0));
    if (raw.length !== dataset.recordCount * 16) throw corrupt(object, dataset.offset, `${dataset.recordCount} identities`, `${raw.length} bytes`);
    for (let at = 0; at < raw.length; at += 16) identities.push(raw.toString("latin1", at, at + 16));
  }
  return identities;
}

/**
 * The footer, and the identities of all records, 16 bytes each, in the order of datasets and rows. Reads these sections alone where the object is large, and
 * checks their checksums; those of other sections are not looked at.
 */
export async function readIdentityBytes(source: RangeSource, object: string, signal: AbortSignal): Promise<{ readonly footer: SegmentFooter; readonly identities: Uint8Array }> {
  const { footer, bytes: read } = await readFooterAndBytes(source, object, signal);
  const whole = read ?? (source.sizeBytes <= WHOLE_BYTES_MAX ? await source.read(0, source.sizeBytes, signal) : undefined);
  const identities = new Uint8Array(footer.datasets.reduce((sum, { recordCount }) => sum + recordCount * 16, 0));
  let at = 0;
  for (const dataset of footer.datasets) {
    const { section, offset } = findSection(dataset, TAG.identities);
    if (section?.rawLength !== dataset.recordCount * 16) throw corrupt(object, dataset.offset, `${dataset.recordCount} identities`, `${section?.rawLength ?? 0} bytes`);
    const stored = whole?.subarray(offset, offset + section.storedLength) ?? (await source.read(offset, section.storedLength, signal));
    const place = { object, service: dataset.service, offset };
    identities.set(inflate(checkedSection(stored, section, place), section, place), at);
    at += section.rawLength;
  }
  return { footer, identities };
}

/** An object up to this size is read whole, in one request more: less than a request for each of its datasets costs. */
const WHOLE_BYTES_MAX = 1 << 20;

/** `offset`: in the object. */
function findSection(dataset: DatasetEntry, tag: number): { readonly section: SectionEntry | undefined; readonly offset: number } {
  let { offset } = dataset;
  for (const section of dataset.sections) {
    if (section.tag === tag) return { section, offset };
    offset += section.storedLength;
  }
  return { section: undefined, offset };
}

function countOf(reader: ByteReader, bytesEach: number): number {
  const count = reader.uvarint();
  if (count > reader.remaining / bytesEach) reader.fail(`at most ${Math.floor(reader.remaining / bytesEach)} entries`, `${count}`);
  return count;
}

function corrupt(object: string, offset: number, expected: string, found: string): CorruptionError {
  return new CorruptionError({ object, offset, expected, found });
}
