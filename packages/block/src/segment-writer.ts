/**
 * Writes a segment: header, datasets back to back, footer, trailer. The same input gives the same bytes.
 */
import { promisify } from "node:util";
import { brotliCompress, brotliCompressSync, constants, deflateRaw, deflateRawSync } from "node:zlib";
import type { BrotliOptions, InputType, ZlibOptions } from "node:zlib";
import { assert, ByteWriter, crc32 } from "@pyromesh/base";
import { compareText } from "@pyromesh/profile";
import { BUILDER_VERSION, CODEC, FORMAT_VERSION, MAGIC } from "./format.ts";
import type { DatasetInput, SectionInput, SegmentMeta } from "./format.ts";

/** Below this, a codec's own header costs more than it saves. */
const COMPRESS_BYTES_MIN = 64;

/** Stored as it is where compressing does not pay. */
export function encodeSection(tag: number, raw: Uint8Array, codec: number = CODEC.brotli, quality = 5): SectionInput {
  return sectionOf(tag, raw, codec, isWorthIt(raw, codec) ? compress(raw, codec, quality) : undefined);
}

/** The same on the thread pool, where it stands in nobody's way. `raw` must not change meanwhile. */
export async function encodeSectionAside(tag: number, raw: Uint8Array, codec: number = CODEC.brotli, quality = 5): Promise<SectionInput> {
  return sectionOf(tag, raw, codec, isWorthIt(raw, codec) ? await compressAside(raw, codec, quality) : undefined);
}

function isWorthIt(raw: Uint8Array, codec: number): boolean {
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

export function buildSegment(meta: SegmentMeta, datasets: readonly DatasetInput[]): Uint8Array {
  const sorted = [...datasets].sort((a, b) => compareText(a.service, b.service));
  sorted.forEach(({ service, sections }, i) => {
    assert(i === 0 || sorted[i - 1]!.service !== service, "a service has one dataset in a segment");
    assert(new Set(sections.map(({ tag }) => tag)).size === sections.length, "a tag stands once in a dataset");
  });
  const out = new ByteWriter(sorted.reduce((sum, { sections }) => sections.reduce((size, { bytes }) => size + bytes.length, sum), 4096));
  out.u32(MAGIC).u16(FORMAT_VERSION).u16(0);
  const footer = new ByteWriter(4096);
  footer.u16(FORMAT_VERSION).u16(BUILDER_VERSION);
  writeMeta(footer, meta);
  footer.uvarint(sorted.length);
  for (const { service, recordCount, minTimeMs, maxTimeMs, sections } of sorted) {
    const offset = out.length;
    for (const { bytes } of sections) out.raw(bytes);
    footer.text(service).uvarint(offset).uvarint(out.length - offset).uvarint(recordCount).f64(minTimeMs).f64(maxTimeMs).uvarint(sections.length);
    for (const { tag, codec, rawLength, bytes } of sections) {
      footer.uvarint(tag).u8(codec).uvarint(bytes.length).uvarint(rawLength).u32(crc32(bytes));
    }
  }
  const end = footer.finish();
  out.raw(end).u32(end.length).u32(crc32(end)).u32(MAGIC);
  return out.finish();
}

function writeMeta(out: ByteWriter, meta: SegmentMeta): void {
  out.text(meta.tenant).f64(meta.windowStartMs).uvarint(meta.windowMs).u8(meta.level);
  out.raw(Buffer.from(meta.storeId, "hex")).uvarint(meta.ordinal).f64(meta.minTimeMs).f64(meta.maxTimeMs).uvarint(meta.recordCount);
  out.uvarint(meta.sources.length);
  for (const { storeId, firstOrdinal, lastOrdinal } of meta.sources) out.raw(Buffer.from(storeId, "hex")).uvarint(firstOrdinal).uvarint(lastOrdinal);
}
