/**
 * Fingerprint of a label set: 64 bits of SHA-256 over its canonical bytes. Placement, digests and postings go by it.
 *
 *   canonical bytes   text service_name | uvarint count | per other label, by name: text name | text value      (a text: uvarint length, UTF-8)
 *   fingerprint       the first 8 bytes of SHA-256 over them, as a little-endian number
 *
 * The label set is a record's: with `__name__` and `service_name`, and without the labels of the profile type, which the store makes itself
 * (sample type and unit, period type and unit). So all profile types of one record share a fingerprint.
 *
 * What must stay true: equal label sets have equal canonical bytes, in whatever order they come, and different ones have different bytes. A
 * record's body holds them as two runs (RECORD.md), so the fingerprint can be computed without decoding a record. Fingerprints are
 * stored and sent, so the definition never changes: the test holds golden values.
 */
import { hash } from "node:crypto";
import { ByteWriter } from "@pyromesh/base";
import type { Label } from "./labels.ts";
import { LABEL_SERVICE_NAME, labelValue, sortLabels } from "./labels.ts";

/** `labels` in any order, each name once. A set without a service has the fingerprint of one whose service is "". */
export function fingerprintOf(labels: readonly Label[]): bigint {
  return fingerprintOfBytes(canonicalBytes(labels));
}

export function canonicalBytes(labels: readonly Label[]): Uint8Array {
  const others = sortLabels(labels.filter(({ name }) => name !== LABEL_SERVICE_NAME));
  const writer = new ByteWriter(256).text(labelValue(labels, LABEL_SERVICE_NAME) ?? "").uvarint(others.length);
  for (const { name, value } of others) writer.text(name).text(value);
  return writer.finish();
}

export function fingerprintOfBytes(canonical: Uint8Array): bigint {
  return hash("sha256", canonical, "buffer").readBigUInt64LE(0);
}
