/**
 * Writes a segment: header, datasets back to back, footer, trailer. The same input gives the same bytes.
 */
import { promisify } from "node:util";
import { brotliCompress, brotliCompressSync, constants, deflateRaw, deflateRawSync } from "node:zlib";
import type { BrotliOptions, InputType, ZlibOptions } from "node:zlib";
import { assert, ByteWriter, crc32 } from "@pyromesh/base";
import { compareText } from "@pyromesh/profile";
import { BUILDER_VERSION, CODEC, FORMAT_VERSION, HEADER_BYTES, MAGIC } from "./format.ts";
import type { DatasetEntry, DatasetInput, SectionInput, SegmentMeta } from "./format.ts";
import { bytesSource, readFooter } from "./segment-reader.ts";

/** Below this, a codec's own header costs more than it saves. */
const COMPRESS_BYTES_MIN = 64;

/** A section that a codec does not make shorter is stored as it is. */
export function encodeSection(tag: number, raw: Uint8Array, codec: number = CODEC.brotli, quality = 5): SectionInput {
  return sectionOf(tag, raw, codec, isWorthCompressing(raw, codec) ? compress(raw, codec, quality) : undefined);
}

/** As `encodeSection`, on Node's thread pool, so that this thread goes on. `raw` must not change meanwhile. */
export async function encodeSectionAside(tag: number, raw: Uint8Array, codec: number = CODEC.brotli, quality = 5): Promise<SectionInput> {
  return sectionOf(tag, raw, codec, isWorthCompressing(raw, codec) ? await compressAside(raw, codec, quality) : undefined);
}

/** False: the section is stored as it is, without asking the codec. */
export function isWorthCompressing(raw: Uint8Array, codec: number = CODEC.brotli): boolean {
  return codec !== CODEC.none && raw.length >= COMPRESS_BYTES_MIN;
}

function sectionOf(tag: number, raw: Uint8Array, codec: number, compressed: Uint8Array | undefined): SectionInput {
  if (compressed !== undefined && compressed.length < raw.length) return { tag, codec, rawLength: raw.length, bytes: compressed };
  // Copied: `raw` may be a view of a writer's larger buffer.
  return { tag, codec: CODEC.none, rawLength: raw.length, bytes: new Uint8Array(raw) };
}

function compress(raw: Uint8Array, codec: number, quality: number): Uint8Array {
  return codec === CODEC.deflateRaw ? deflateRawSync(raw, { level: quality }) : brotliCompressSync(raw, brotliOptions(raw, quality));
}

function compressAside(raw: Uint8Array, codec: number, quality: number): Promise<Uint8Array> {
  return codec === CODEC.deflateRaw ? deflateRawAside(raw, { level: quality }) : brotliCompressAside(raw, brotliOptions(raw, quality));
}

const deflateRawAside = promisify<InputType, ZlibOptions, Uint8Array>(deflateRaw);
const brotliCompressAside = promisify<InputType, BrotliOptions, Uint8Array>(brotliCompress);

function brotliOptions(raw: Uint8Array, quality: number): BrotliOptions {
  return {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_SIZE_HINT]: raw.length,
      [constants.BROTLI_PARAM_LGWIN]: 22,
    },
  };
}

export function buildSegment(meta: SegmentMeta, datasets: readonly DatasetInput[], version: number = FORMAT_VERSION): Uint8Array {
  assert(version === FORMAT_VERSION, "a version of segments that this build writes");
  const sorted = [...datasets].sort((a, b) => compareText(a.service, b.service));
  sorted.forEach(({ service, sections }, i) => {
    assert(i === 0 || sorted[i - 1]!.service !== service, "a service has one dataset in a segment");
    assert(new Set(sections.map(({ tag }) => tag)).size === sections.length, "a tag stands once in a dataset");
  });
  const out = new ByteWriter(sorted.reduce((sum, { sections }) => sections.reduce((size, { bytes }) => size + bytes.length, sum), 4096));
  out.u32(MAGIC).u16(FORMAT_VERSION).u16(0);
  const datasetEntries = sorted.map((dataset): DatasetEntry => {
    const offset = out.length;
    for (const { bytes } of dataset.sections) out.raw(bytes);
    const sections = dataset.sections.map(({ tag, codec, rawLength, bytes }) => ({ tag, codec, storedLength: bytes.length, rawLength, crc: crc32(bytes) }));
    return { ...dataset, sections, offset, length: out.length - offset };
  });
  writeEnd(out, meta, BUILDER_VERSION, datasetEntries);
  return out.finish();
}

/** The same segment with another meta: the bytes of its datasets and a new footer. Throws a CorruptionError that names `object` where its footer is damaged. */
export async function withSegmentMeta(bytes: Uint8Array, meta: SegmentMeta, object: string): Promise<Uint8Array> {
  const { builderVersion, datasets } = await readFooter(bytesSource(bytes), object, new AbortController().signal);
  const end = datasets.reduce((most, { offset, length }) => Math.max(most, offset + length), HEADER_BYTES);
  const out = new ByteWriter(bytes.length + 256);
  out.raw(bytes.subarray(0, end));
  writeEnd(out, meta, builderVersion, datasets);
  return out.finish();
}

/** Footer and trailer. */
function writeEnd(out: ByteWriter, meta: SegmentMeta, builderVersion: number, datasets: readonly DatasetEntry[]): void {
  const footer = new ByteWriter(4096);
  footer.u16(FORMAT_VERSION).u16(builderVersion);
  writeMeta(footer, meta);
  footer.uvarint(datasets.length);
  for (const { service, offset, length, recordCount, minTimeMs, maxTimeMs, sections } of datasets) {
    footer.text(service).uvarint(offset).uvarint(length).uvarint(recordCount).f64(minTimeMs).f64(maxTimeMs).uvarint(sections.length);
    for (const { tag, codec, storedLength, rawLength, crc } of sections) footer.uvarint(tag).u8(codec).uvarint(storedLength).uvarint(rawLength).u32(crc);
  }
  const end = footer.finish();
  out.raw(end).u32(end.length).u32(crc32(end)).u32(MAGIC);
}

function writeMeta(out: ByteWriter, meta: SegmentMeta): void {
  out.text(meta.tenant).f64(meta.windowStartMs).uvarint(meta.windowMs).u8(meta.level);
  out.raw(Buffer.from(meta.storeId, "hex")).uvarint(meta.ordinal).f64(meta.minTimeMs).f64(meta.maxTimeMs).uvarint(meta.recordCount);
  out.uvarint(meta.sources.length);
  for (const { storeId, firstOrdinal, lastOrdinal } of meta.sources) out.raw(Buffer.from(storeId, "hex")).uvarint(firstOrdinal).uvarint(lastOrdinal);
}
