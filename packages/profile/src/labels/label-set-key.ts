/**
 * The label set of a push as a number that can key a map, computed before anything of the push is decoded.
 *
 * What must stay true: label sets that are kept as the same one (relabel.ts) have the same number, in whatever order they come. The numbers are
 * 53 bits of a fast hash: good enough as keys of a cache, too short to be stored.
 */
import type { Label } from "./labels.ts";
import { LABEL_SERVICE_NAME, LABEL_SESSION_ID } from "./labels.ts";
import { isKeptLabel, UNKNOWN_SERVICE } from "./relabel.ts";

/** `labels`: as the client sent them, with the session id folded. */
export function labelSetKey(labels: readonly Label[]): number {
  low = 0;
  high = 0;
  let hasService = false;
  const seen = labels.length > COMPARED_COUNT_MAX ? new Set<string>() : undefined;
  for (let i = 0; i < labels.length; i++) {
    const { name, value } = labels[i]!;
    if (!isKeptLabel(name) && name !== LABEL_SESSION_ID) continue;
    // A label that is sent again is kept once. One with another value is refused later, whatever its number is.
    if (seen === undefined ? isBefore(labels, i) : seen.has(name)) continue;
    seen?.add(name);
    hasService ||= name === LABEL_SERVICE_NAME;
    add(name, value);
  }
  if (!hasService) add(LABEL_SERVICE_NAME, UNKNOWN_SERVICE);
  return (high & 0x1f_ffff) * 2 ** 32 + (low >>> 0);
}

/** Up to this many labels, each is compared with those before it; of more, a set finds the ones that are sent twice. */
const COMPARED_COUNT_MAX = 32;

function isBefore(labels: readonly Label[], at: number): boolean {
  const { name } = labels[at]!;
  for (let i = 0; i < at; i++) if (labels[i]!.name === name) return true;
  return false;
}

// Sums over the labels, so their order does not matter. Each label gives two 32-bit hashes, which are mixed once more before they are
// added. Each call starts them anew.
let low = 0;
let high = 0;

function add(name: string, value: string): void {
  let [a, b] = [0x811c_9dc5, 0x1b87_3593];
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x0100_0193);
    b = Math.imul(b + unit, 0x9e37_79b1);
    b = (b << 13) | (b >>> 19);
  }
  // A number that no character has, so that the border between name and value is hashed too.
  a = Math.imul(a ^ 0x1_0000, 0x0100_0193);
  b = Math.imul(b + 0x1_0000, 0x9e37_79b1);
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x0100_0193);
    b = Math.imul(b + unit, 0x9e37_79b1);
    b = (b << 13) | (b >>> 19);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85eb_ca6b) ^ b;
  b = Math.imul(b ^ (b >>> 15), 0x27d4_eb2f) ^ a;
  low = (low + (a ^ (a >>> 13))) | 0;
  high = (high + (b ^ (b >>> 16))) | 0;
}
