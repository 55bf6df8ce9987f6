/**
 * The segment container: constants and shapes. FORMAT.md draws the bytes; a test holds it to this file.
 */
import type { TenantId } from "@pyromesh/base";

/** "PMS1" read as bytes, at both ends of the object. */
export const MAGIC = 0x31534d50;
export const FORMAT_VERSION = 1;
/** Rises when the same rows give other bytes: part of what makes an object's bytes reproducible. */
export const BUILDER_VERSION = 1;
export const HEADER_BYTES = 8;
/** footer length u32, crc32 of the footer u32, magic u32. */
export const TRAILER_BYTES = 12;

/** Numbers are added and never used again for something else. */
export const CODEC = { none: 0, deflateRaw: 1, brotli: 2, zstdReserved: 3 } as const;

/** A section that claims to inflate to more is refused before anything is allocated. */
export const SECTION_RAW_BYTES_MAX: number = 1 << 30;

/** Segments of one store that went into an object. */
export interface SourceRange {
  /** 32 lower-case hex digits. */
  readonly storeId: string;
  readonly firstOrdinal: number;
  /** Inclusive. */
  readonly lastOrdinal: number;
}

export interface SegmentMeta {
  readonly tenant: TenantId;
  readonly windowStartMs: number;
  readonly windowMs: number;
  readonly level: number;
  /** 32 lower-case hex digits: whose head it was cut from. A block is of no store: zeros. */
  readonly storeId: string;
  /** A block has none: 0. */
  readonly ordinal: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly recordCount: number;
  /** The segments that went into it: also those that went into blocks which went into it. A segment names itself. */
  readonly sources: readonly SourceRange[];
}

export interface SectionEntry {
  readonly tag: number;
  readonly codec: number;
  readonly storedLength: number;
  readonly rawLength: number;
  /** Of the stored bytes. */
  readonly crc: number;
}

/** A dataset as the footer lists it. Its sections lie one after another from `offset`. */
export interface DatasetEntry {
  readonly service: string;
  readonly offset: number;
  readonly length: number;
  readonly recordCount: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly sections: readonly SectionEntry[];
}

export interface SegmentFooter {
  readonly meta: SegmentMeta;
  readonly builderVersion: number;
  /** The footer's stored size, from which a cache of footers estimates what it holds. */
  readonly footerBytes: number;
  /** By service, bytewise. */
  readonly datasets: readonly DatasetEntry[];
}

/** A section to be stored: `bytes` as they will lie in the object. */
export interface SectionInput {
  readonly tag: number;
  readonly codec: number;
  readonly rawLength: number;
  readonly bytes: Uint8Array;
}

export interface DatasetInput {
  readonly service: string;
  readonly recordCount: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly sections: readonly SectionInput[];
}
