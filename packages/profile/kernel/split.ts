/**
 * Merges the samples of one push that are equal: of one stacktrace and, where samples have labels, of one group, span and trace
 * (src/pprof/split-samples.ts gives these). Merged samples are in order of first appearance, on which identities rely.
 * Sums are exact, and limited to int64.
 */
import {
  mergedGroupAt,
  mergedNodeAt,
  mergedSpanAt,
  mergedTraceAt,
  mergeSlotsAt,
  nodeMergedAt,
  sampleGroupAt,
  sampleNodeAt,
  sampleSpanAt,
  sampleTraceAt,
  sumIsWideAt,
  sumsAt,
  targetAt,
  valuesAt,
} from "./gen/layout";
import { at32, put32 } from "./memory";
import { hashSeed, nodeCount } from "./walk";

const INT64_MAX: u64 = 0x7fff_ffff_ffff_ffff;
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/** Merges samples without labels, which are equal if their nodes are. Returns how many merged samples there are. */
export function mergeByNode(sampleCount: u32): u32 {
  memory.fill(nodeMergedAt, 0, <usize>nodeCount << 2);
  let mergedCount: u32 = 0;
  for (let i: u32 = 0; i < sampleCount; i++) {
    const node = at32(sampleNodeAt, i);
    let merged = at32(nodeMergedAt, node);
    if (merged === 0) {
      put32(mergedNodeAt, mergedCount, node);
      merged = ++mergedCount;
      put32(nodeMergedAt, node, merged);
    }
    put32(targetAt, i, merged - 1);
  }
  return mergedCount;
}

/** Merges samples of equal node, group, span and trace. */
export function mergeByAll(sampleCount: u32): u32 {
  let slotCount: u32 = 16;
  while (slotCount < sampleCount * 2) slotCount *= 2;
  memory.fill(mergeSlotsAt, 0, <usize>slotCount << 2);
  const mask = slotCount - 1;
  let mergedCount: u32 = 0;
  for (let i: u32 = 0; i < sampleCount; i++) {
    const node = at32(sampleNodeAt, i);
    const group = at32(sampleGroupAt, i);
    const span = at32(sampleSpanAt, i);
    const trace = at32(sampleTraceAt, i);
    // Shifted in between, so that it depends on the seed which samples have the same hash.
    let hash = (node ^ hashSeed) * 0x9e37_79b1;
    hash = (hash ^ (hash >> 15) ^ group) * 0x85eb_ca6b;
    hash = (hash ^ (hash >> 13) ^ span) * 0xc2b2_ae35;
    hash = (hash ^ (hash >> 16) ^ trace) * 0x27d4_eb2f;
    hash ^= hash >> 15;
    let slot = hash & mask;
    let merged = at32(mergeSlotsAt, slot);
    while (
      merged !== 0 &&
      (at32(mergedNodeAt, merged - 1) !== node ||
        at32(mergedGroupAt, merged - 1) !== group ||
        at32(mergedSpanAt, merged - 1) !== span ||
        at32(mergedTraceAt, merged - 1) !== trace)
    ) {
      slot = (slot + 1) & mask;
      merged = at32(mergeSlotsAt, slot);
    }
    if (merged === 0) {
      put32(mergedNodeAt, mergedCount, node);
      put32(mergedGroupAt, mergedCount, group);
      put32(mergedSpanAt, mergedCount, span);
      put32(mergedTraceAt, mergedCount, trace);
      merged = ++mergedCount;
      put32(mergeSlotsAt, slot, merged);
    }
    put32(targetAt, i, merged - 1);
  }
  return mergedCount;
}

/** Writes a column of sums per sample type, `mergedCount` entries each: doubles, or 64-bit integers where one of them would not be exact. */
export function addUp(sampleCount: u32, valueCount: u32, mergedCount: u32): void {
  memory.fill(sumsAt, 0, <usize>(mergedCount * valueCount) << 3);
  let valueAt = valuesAt;
  const columnBytes = <usize>mergedCount << 3;
  for (let i: u32 = 0; i < sampleCount; i++) {
    let sumAt = sumsAt + (<usize>at32(targetAt, i) << 3);
    for (let t: u32 = 0; t < valueCount; t++) {
      const sum = load<u64>(sumAt) + load<u64>(valueAt); // neither reaches 2^63
      store<u64>(sumAt, sum > INT64_MAX ? INT64_MAX : sum);
      sumAt += columnBytes;
      valueAt += 8;
    }
  }
  for (let t: u32 = 0; t < valueCount; t++) {
    const from = sumsAt + <usize>t * columnBytes;
    const to = from + columnBytes;
    let isWide = false;
    for (let at = from; at < to; at += 8) if (load<u64>(at) > SAFE_INTEGER_MAX) isWide = true;
    store<u8>(sumIsWideAt + t, u8(isWide));
    if (!isWide) for (let at = from; at < to; at += 8) store<f64>(at, <f64>load<u64>(at));
  }
}

/** Whether one of these merged samples has a value in that column. */
export function hasValue(column: u32, mergedCount: u32, list: usize, count: u32): bool {
  // 0 has no bits set, as a double and as an integer.
  const from = sumsAt + ((<usize>column * mergedCount) << 3);
  for (let i: u32 = 0; i < count; i++) if (load<u64>(from + (<usize>at32(list, i) << 3)) !== 0) return true;
  return false;
}
