/**
 * Splits the samples of one push by their string labels and merges equal ones.
 *
 *   sample --labels, less span and trace--> group (a series of its own)
 *   samples of one group with one stacktrace, span and trace --> one merged sample, values added
 *
 * Series labels win over sample labels, so a label the series has does not split. Groups that end with equal labels are
 * one group. Groups and merged samples stand in order of first appearance: identities rely on it.
 * Merging and adding up are the kernel's (../kernel/split.ts).
 */
import { FixedIds } from "../dataset/fixed-ids.ts";
import type { Label, Labels } from "../labels/labels.ts";
import { labelsKey, sortLabels } from "../labels/labels.ts";
import type { PprofDecoder } from "./pprof-decode.ts";
import type { ValueColumn } from "../model/record-view.ts";
import { cleared, grown } from "../model/scratch.ts";

export interface SplitSamples {
  readonly groups: readonly SampleGroup[];
  /** Merged samples of all groups together. */
  readonly sampleCount: number;
  /** One column per sample type, by merged sample. */
  readonly values: readonly ValueColumn[];
  readonly sampleSpan: Uint32Array | undefined;
  readonly spans: Uint8Array;
  readonly sampleTrace: Uint32Array | undefined;
  readonly traces: Uint8Array;
}

export interface SampleGroup {
  /** The labels that the samples add to those of the push, sorted. */
  readonly labels: Labels;
  /** Its merged samples, in the kernel's memory. */
  readonly samples: Uint32Array;
}

/** What the key of a sample label is. */
const UNSEEN = 0;
const SPLITS = 1;
const SPAN = 2;
const TRACE = 3;
const IGNORED = 4;

// Used again for each push: one at a time is split and encoded, without a pause in between.
let keyMeaning = new Uint8Array(1 << 10);
let textSpan = new Uint32Array(1 << 10);
let textTrace = new Uint32Array(1 << 10);
let pairs = new Uint32Array(16);
const NOTHING = new Uint8Array(0);

/** Frees that memory, after a push far larger than most. */
export function releaseSplitScratch(): void {
  textSpan = textTrace = new Uint32Array(0);
  keyMeaning = NOTHING;
}

/**
 * `isOverridden`: whether a sample label of this name is ignored, since the push has a label of the name, or since it is never kept.
 * `hashSeed`: any 32 bits that the sender cannot know; they change no result. `checkGroup` may refuse the labels of a group before the next
 * one is made: thousands of groups may refer to one long string.
 */
export function splitSamples(decoded: PprofDecoder, isOverridden: (name: string) => boolean, hashSeed: number, checkGroup: (labels: Labels) => void = () => {}): SplitSamples {
  const { kernel, sampleCount, valueCount } = decoded;
  const { list, mergedGroup, mergedSpan, mergedTrace } = kernel.memory.columns;
  if (decoded.labelCount === 0) {
    const mergedCount = kernel.merge(sampleCount, false);
    for (let i = 0; i < mergedCount; i++) list[i] = i;
    return {
      groups: [{ labels: [], samples: list.subarray(0, mergedCount) }],
      sampleCount: mergedCount,
      values: kernel.addUp(sampleCount, valueCount, mergedCount),
      sampleSpan: undefined,
      spans: NOTHING,
      sampleTrace: undefined,
      traces: NOTHING,
    };
  }
  textSpan = cleared(textSpan, decoded.stringCount);
  textTrace = cleared(textTrace, decoded.stringCount);
  const spans = new HexIds(8, textSpan, hashSeed);
  const traces = new HexIds(16, textTrace, hashSeed);
  const groupLabels = assignGroups(decoded, isOverridden, checkGroup, spans, traces, hashSeed);
  const mergedCount = kernel.merge(sampleCount, true);
  const groups = groupLabels.map((labels): { labels: Labels; count: number } => ({ labels, count: 0 }));
  for (let i = 0; i < mergedCount; i++) groups[mergedGroup[i]!]!.count++;
  const next: number[] = [];
  let from = 0;
  for (const { count } of groups) {
    next.push(from);
    from += count;
  }
  for (let i = 0; i < mergedCount; i++) list[next[mergedGroup[i]!]!++] = i;
  return {
    groups: groups.map(({ labels, count }, i): SampleGroup => ({ labels, samples: list.subarray(next[i]! - count, next[i]!) })),
    sampleCount: mergedCount,
    values: kernel.addUp(sampleCount, valueCount, mergedCount),
    sampleSpan: spans.count > 1 ? mergedSpan : undefined,
    spans: spans.bytes,
    sampleTrace: traces.count > 1 ? mergedTrace : undefined,
    traces: traces.bytes,
  };
}

/** Fills sampleGroup, sampleSpan and sampleTrace; returns the labels of each group. */
function assignGroups(
  decoded: PprofDecoder,
  isOverridden: (name: string) => boolean,
  checkGroup: (labels: Labels) => void,
  spans: HexIds,
  traces: HexIds,
  hashSeed: number,
): Labels[] {
  const { kernel, sampleCount, sampleLabelStart, labelKey, labelText } = decoded;
  const { sampleGroup, sampleSpan, sampleTrace } = kernel.memory.columns;
  keyMeaning = cleared(keyMeaning, decoded.stringCount); // to UNSEEN
  const groupLabels: Labels[] = [];
  const groupByLabels = new Map<string, number>();
  const signatures = new Map<number, Signature[]>();
  let previous: Signature | undefined;
  for (let i = 0; i < sampleCount; i++) {
    let span = 0;
    let trace = 0;
    let pairCount = 0;
    let hash = hashSeed;
    const labelTo = sampleLabelStart[i + 1]!;
    for (let label = sampleLabelStart[i]!; label < labelTo; label++) {
      const key = labelKey[label]!;
      let meaning = keyMeaning[key]!;
      if (meaning === UNSEEN) keyMeaning[key] = meaning = meaningOf(decoded.text(key), isOverridden);
      const text = labelText[label]!;
      if (meaning === SPLITS) {
        if (pairCount + 2 > pairs.length) pairs = grown(pairs, pairCount + 2);
        pairs[pairCount++] = key;
        pairs[pairCount++] = text;
        // Shifted in between, so that it depends on the seed which label sets have the same hash.
        hash = Math.imul(hash ^ key, 0x9e37_79b1);
        hash = Math.imul(hash ^ (hash >>> 15) ^ text, 0x85eb_ca6b);
        hash ^= hash >>> 13;
      } else if (meaning === SPAN) {
        if (span === 0) span = spans.numberOf(decoded, text);
      } else if (meaning === TRACE) {
        if (trace === 0) trace = traces.numberOf(decoded, text);
      }
    }
    sampleSpan[i] = span;
    sampleTrace[i] = trace;
    // Most samples have the same labels as the one before, in the same order.
    if (previous === undefined || !isSigned(previous.pairs, pairCount)) {
      let alike = signatures.get(hash);
      if (alike === undefined) signatures.set(hash, (alike = []));
      previous = alike.find((signature) => isSigned(signature.pairs, pairCount));
      if (previous === undefined) {
        const own = pairs.slice(0, pairCount);
        const labels = labelsOf(decoded, own);
        const key = labelsKey(labels);
        let group = groupByLabels.get(key);
        if (group === undefined) {
          if (labels.length > 0) checkGroup(labels);
          group = groupLabels.length;
          groupLabels.push(labels);
          groupByLabels.set(key, group);
        }
        previous = { pairs: own, group };
        alike.push(previous);
      }
    }
    sampleGroup[i] = previous.group;
  }
  return groupLabels;
}

/** The string numbers of a sample's label keys and values in turn, and the group of such samples. */
interface Signature {
  readonly pairs: Uint32Array;
  readonly group: number;
}

/** Whether the labels in `pairs` are these. */
function isSigned(signature: Uint32Array, pairCount: number): boolean {
  if (signature.length !== pairCount) return false;
  for (let i = 0; i < pairCount; i++) if (signature[i] !== pairs[i]) return false;
  return true;
}

function meaningOf(name: string, isOverridden: (name: string) => boolean): number {
  if (name === "span_id" || name === "profile_id") return SPAN;
  if (name === "trace_id") return TRACE;
  return name === "" || isOverridden(name) ? IGNORED : SPLITS;
}

/** Where a name occurs twice, the first counts. */
function labelsOf(decoded: PprofDecoder, pairs: Uint32Array): Labels {
  const labels: Label[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    const name = decoded.text(pairs[i]!);
    if (!labels.some((label) => label.name === name)) labels.push({ name, value: decoded.text(pairs[i + 1]!) });
  }
  return sortLabels(labels);
}

/** Reads span or trace ids from hexadecimal text, and numbers them. */
class HexIds {
  readonly #widthBytes: number;
  readonly #table: FixedIds;
  /** By string of the push: the number of its id, plus 1; 0 if it was not read yet. */
  readonly #known: Uint32Array;

  constructor(widthBytes: number, known: Uint32Array, hashSeed: number) {
    this.#widthBytes = widthBytes;
    this.#known = known;
    this.#table = new FixedIds(widthBytes, hashSeed);
  }

  /** The number of the id in string `text`; 0 where it is no id, or all zeros. */
  numberOf(decoded: PprofDecoder, text: number): number {
    const known = this.#known;
    if (known[text] === 0) known[text] = this.#read(decoded.bytes, decoded.stringStart[text]!, decoded.stringEnd[text]!) + 1;
    return known[text]! - 1;
  }

  #read(bytes: Uint8Array, start: number, end: number): number {
    const width = this.#widthBytes;
    if (end - start !== width * 2) return 0;
    let isZero = true;
    for (let i = 0; i < width; i++) {
      const high = HEX[bytes[start + 2 * i]!]!;
      const low = HEX[bytes[start + 2 * i + 1]!]!;
      if ((high | low) > 15) return 0;
      hexBytes[i] = (high << 4) | low;
      if ((high | low) !== 0) isZero = false;
    }
    return isZero ? 0 : this.#table.intern(hexBytes, 0);
  }

  /** Including number 0, which is none. */
  get count(): number {
    return this.#table.count;
  }

  get bytes(): Uint8Array {
    return this.#table.bytes;
  }
}

/** Scratch for one id: the caller interns it, which copies it, before it reads another. */
const hexBytes = new Uint8Array(16);

/** Value of a hex digit; 255 for everything else. */
const HEX: Uint8Array = new Uint8Array(256).fill(255);
for (const [i, digit] of [..."0123456789abcdef"].entries()) {
  HEX[digit.charCodeAt(0)] = i;
  HEX[digit.toUpperCase().charCodeAt(0)] = i;
}
