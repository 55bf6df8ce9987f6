/**
 * What a push without a clock went by when it came, read off the front of a record without decoding it: its time, and the key
 * or profile id that the client named it by. RECORD.md draws the layout.
 *
 * What must stay true: every record of a push that had a name and no clock is told. One that had a clock of whole milliseconds
 * and an id may be told too: nothing in a record tells these two apart.
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
  // Moments of arrival are whole milliseconds; of a clock in nanoseconds one time in a million is. Most records end here.
  if (timeNs % 1_000_000n !== 0n) return undefined;
  front.count(); // samples
  front.take(16); // duration, period
  front.skipText();
  front.skipText();
  for (let left = 2 * front.count(); left > 0; left--) front.skipText(); // sample types
  for (let left = 2 * front.count(); left > 0; left--) front.skipText(); // labels
  const keys = front.byte();
  // An id beside a nonce is the server's own.
  if ((keys & BODY_HAS_NONCE) !== 0 || (keys & (BODY_HAS_PROFILE_ID | BODY_HAS_IDEMPOTENCY_KEY)) === 0) return undefined;
  const profileId = (keys & BODY_HAS_PROFILE_ID) !== 0 ? front.raw(16) : undefined;
  const idempotencyKey = (keys & BODY_HAS_IDEMPOTENCY_KEY) !== 0 ? front.text() : undefined;
  front.moveTo(tenantAt);
  return { tenant: front.text(), timeMs: millisecondsOf(timeNs), profileId, idempotencyKey };
}
