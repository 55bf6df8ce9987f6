/**
 * Checks a record that another node sent, as far as a store must before it keeps it under that identity: counting, placement and digests rely on
 * what stands at its front, and nothing else would ever compare it with the body.
 *
 * The columns are not decoded. Whether they can be is found out when the record is interned.
 */
import { toHex } from "@pyromesh/base";
import { fingerprintOfBytes } from "../labels/fingerprint.ts";
import { identityOf } from "../model/identity.ts";
import type { EncodedRecord } from "../model/record-view.ts";
import { checkEnvelope, corrupt, FrontReader, RECORD_OFFSET, recordHeader, seriesPlaces } from "./record.ts";

/** The record, whose identity is a copy. Throws `CorruptionError` where checksum, identity or fingerprint are not what its body says. */
export function verifiedRecord(bytes: Uint8Array, object = "a record"): EncodedRecord {
  const bodyFrom = checkEnvelope(bytes, object);
  const { identity: said, tenant, service, timeMs, sampleCount, fingerprint } = recordHeader(bytes, object);
  const identity = identityOf(bytes.subarray(bodyFrom));
  if (Buffer.compare(said, identity) !== 0) corrupt(object, RECORD_OFFSET.identity, `identity ${toHex(identity)}`, toHex(said));
  const places = seriesPlaces(new FrontReader(bytes, object, bodyFrom + 1)); // behind the normalisation version
  const { service: name, labels } = places;
  const ofLabels = fingerprintOfBytes(Buffer.concat([bytes.subarray(name.from, name.to), bytes.subarray(labels.from, labels.to)]));
  if (ofLabels !== fingerprint) corrupt(object, RECORD_OFFSET.fingerprint, `fingerprint ${ofLabels}`, `${fingerprint}`);
  return { identity, tenant, service, timeMs, sampleCount, fingerprint, bytes };
}
