/**
 * Which series a record belongs to, read off the front of its bytes without decoding it: one for each of its sample types,
 * as a number that can key a map. RECORD.md draws the layout.
 *
 * What must stay true: equal label sets and types give equal numbers on every node, whatever else the records hold. The
 * numbers are 53 bits of a fast hash (that two of 10,000 series share one has a chance below 10^-8): enough to count by, and
 * never to store by.
 */
import { bodyOffset, FrontReader, seriesPlaces } from "./record.ts";

/** The series of one record, in the order of its sample types. Checks the envelope's sizes, not its checksum. */
export function recordSeries(bytes: Uint8Array, object = "a record"): number[] {
  const front = new FrontReader(bytes, object, bodyOffset(bytes, object) + 1); // behind the normalisation version
  const { service, periodType, typesFrom, typeCount, labels } = seriesPlaces(front);
  low = 0x811c_9dc5;
  high = 0x1b87_3593;
  mix(bytes, labels.from, labels.to);
  mix(bytes, service.from, service.to);
  mix(bytes, periodType.from, periodType.to);
  const [lowBefore, highBefore] = [low, high];
  const series: number[] = [];
  front.moveTo(typesFrom);
  for (let i = 0; i < typeCount; i++) {
    const from = front.offset;
    front.skipText();
    front.skipText();
    low = lowBefore;
    high = highBefore;
    mix(bytes, from, front.offset);
    series.push(number53());
  }
  return series;
}

// Two 32-bit lanes, one byte at a time: FNV-1a, and a multiply and rotate of its own. Fields carry their lengths, so their
// borders are hashed too. Each call begins them anew.
let low = 0;
let high = 0;

function mix(bytes: Uint8Array, from: number, to: number): void {
  let [a, b] = [low, high];
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!;
    a = Math.imul(a ^ byte, 0x0100_0193);
    b = Math.imul(b + byte, 0x9e37_79b1);
    b = (b << 13) | (b >>> 19);
  }
  low = a;
  high = b;
}

/** The lanes are stirred once more: the last bytes have had no turn in the upper bits of a product. */
function number53(): number {
  let a = Math.imul(low ^ (low >>> 16), 0x85eb_ca6b) ^ high;
  a = Math.imul(a ^ (a >>> 13), 0xc2b2_ae35);
  let b = Math.imul(high ^ (high >>> 15), 0x27d4_eb2f) ^ low;
  b ^= b >>> 16;
  return (b & 0x1f_ffff) * 2 ** 32 + ((a ^ (a >>> 16)) >>> 0);
}
