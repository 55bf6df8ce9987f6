/** A segment or block that one member tells another of: its key, its size, its meta, and whether it is uploaded. `Catalog.addByMeta` takes it. */
import type { HeardObject } from "@pyromesh/block";
import type { Fields } from "./message.ts";

/** Of all source ranges of one object: a block of an hour that 100 stores wrote. */
const SOURCES_MAX = 65_536;
const KEY_LENGTH_MAX = 1024;

export function packToldObject({ key, sizeBytes, isUploaded, meta }: HeardObject): Record<string, unknown> {
  const { tenant, windowStartMs, windowMs, level, storeId, ordinal, minTimeMs, maxTimeMs, recordCount, sources } = meta;
  return {
    key,
    sizeBytes,
    isUploaded,
    meta: { tenant, windowStartMs, windowMs, level, storeId, ordinal, minTimeMs, maxTimeMs, recordCount, sources: sources.map(({ storeId: of, firstOrdinal, lastOrdinal }) => ({ storeId: of, first: firstOrdinal, last: lastOrdinal })) },
  };
}

/** Throws PEER_MALFORMED. Whether the parts fit together is checked by `Catalog.addByMeta`. */
export function openToldObject(fields: Fields): HeardObject {
  const meta = fields.fields("meta");
  return {
    key: fields.text("key", KEY_LENGTH_MAX),
    sizeBytes: fields.integer("sizeBytes"),
    isUploaded: fields.flag("isUploaded"),
    meta: {
      tenant: meta.tenant("tenant"),
      windowStartMs: meta.integer("windowStartMs"),
      windowMs: meta.integer("windowMs"),
      level: meta.integer("level", { max: 255 }),
      storeId: meta.hex("storeId", 16),
      ordinal: meta.integer("ordinal"),
      minTimeMs: meta.integer("minTimeMs"),
      maxTimeMs: meta.integer("maxTimeMs"),
      recordCount: meta.integer("recordCount"),
      sources: meta.list("sources", SOURCES_MAX, (source) => ({ storeId: source.hex("storeId", 16), firstOrdinal: source.integer("first"), lastOrdinal: source.integer("last") })),
    },
  };
}
