/**
 * Time and name of a push without a clock, read from the front of a record without decoding it. The name is the idempotency key or profile
 * id that the client sent. RECORD.md draws the layout.
 *
 * What must stay true: it is found for every record of a push that had a name and no clock. A push with a profile id and a clock of whole
 * milliseconds looks the same, and is answered too.
 */
import { bodyOffset, BODY_HAS_IDEMPOTENCY_KEY, BODY_HAS_NONCE, BODY_HAS_PROFILE_ID, FrontReader, millisecondsOf } from "./record.ts";

export interface RecordArrival {
  readonly tenant: string;
  readonly timeMs: number;
  /** A view into the record. */
  readonly profileId: Uint8Array | undefined;
  readonly idempotencyKey: string | undefined;
}

/** Undefined where the push had no name or surely had a clock. Checks the envelope's sizes, not its checksum. */
export function recordArrival(bytes: Uint8Array, object = "a record"): RecordArrival | undefined {
  const front = new FrontReader(bytes, object, bodyOffset(bytes, object) + 1); // behind the normalisation version
  const tenantAt = front.offset;
  front.skipText();
  front.skipText(); // service
  const timeNs = front.int64();
  // Times of arrival are whole milliseconds; a clock in nanoseconds gives one once in a million times. Most records end here.
  if (timeNs % 1_000_000n !== 0n) return undefined;
  front.count(); // samples
  front.take(16); // duration, period
  front.skipText();
  front.skipText();
  for (let left = 2 * front.count(); left > 0; left--) front.skipText(); // sample types
  for (let left = 2 * front.count(); left > 0; left--) front.skipText(); // labels
  const keys = front.byte();
  // A profile id beside a nonce was made by the server.
  if ((keys & BODY_HAS_NONCE) !== 0 || (keys & (BODY_HAS_PROFILE_ID | BODY_HAS_IDEMPOTENCY_KEY)) === 0) return undefined;
  const profileId = (keys & BODY_HAS_PROFILE_ID) !== 0 ? front.raw(16) : undefined;
  const idempotencyKey = (keys & BODY_HAS_IDEMPOTENCY_KEY) !== 0 ? front.text() : undefined;
  front.moveTo(tenantAt);
  return { tenant: front.text(), timeMs: millisecondsOf(timeNs), profileId, idempotencyKey };
}
