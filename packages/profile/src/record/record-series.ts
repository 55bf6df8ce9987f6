/**
 * The series of a record, one per sample type, as numbers that can key a map. They are read from the front of its bytes without decoding
 * it. RECORD.md draws the layout.
 *
 * What must stay true: equal label sets and types give equal numbers on every node, whatever else the records hold. The
 * numbers are 53 bits of a fast hash (that two of 10,000 series share one has a chance below 10^-8): good enough for
 * counting, too short to be stored.
 */
import { bodyOffset, FrontReader, seriesPlaces } from "./record.ts";

/** In the order of the record's sample types. Checks the envelope's sizes, not its checksum. */
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

// Two 32-bit hashes, one byte at a time: FNV-1a, and one of multiplying and rotating. Texts stand behind their lengths, so that borders
// are hashed too. Each call starts them anew.
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

/** Mixes both hashes once more: the last bytes have not reached the upper bits yet. */
function number53(): number {
  let a = Math.imul(low ^ (low >>> 16), 0x85eb_ca6b) ^ high;
  a = Math.imul(a ^ (a >>> 13), 0xc2b2_ae35);
  let b = Math.imul(high ^ (high >>> 15), 0x27d4_eb2f) ^ low;
  b ^= b >>> 16;
  return (b & 0x1f_ffff) * 2 ** 32 + ((a ^ (a >>> 16)) >>> 0);
}
