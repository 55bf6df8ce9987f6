/**
 * A pprof that a program answered when it was asked for it (scraping). Two things are done to it, and all else is kept byte for byte:
 *
 *   time       a profile without a time of its own gets that of the scrape, so that the same scrape pushed twice has one identity
 *   counters   heap, block and mutex profiles of Go are cumulative: they count from the start of the program. What is stored is the difference to
 *              the scrape before, by stacktrace and labels, of the cumulative sample types (COUNTING_TYPES). The others, `inuse_*`, stay as they are
 *
 *              before      now       stored
 *   main;a     10          14        4
 *   main;b     -           3         3
 *   main;c     5           5         no sample
 *
 * A value that fell, or a stacktrace that is gone, means that the program started again: what it counted before the scrape before is unknown,
 * so nothing of the cumulative types is stored, and the next difference is to this scrape. The same holds where there is no scrape before.
 *
 * Stacktraces are compared by function, file and line, or by address where a location has no function: ids differ from one answer to the next.
 * Differences are exact over int64. Time and memory are linear in the two bodies, which the limits of a profile bound.
 */
import { ByteWriter, encodeUtf8, gunzipWithin, isGzip, messageOf } from "@pyromesh/base";
import { pprofSizeBytesMax } from "../labels/limits.ts";
import { refusal } from "../labels/refusal.ts";
import { exactSum } from "../model/exact-sum.ts";
import { FieldCursor, WIRE } from "../scraped/field-cursor.ts";
import { FIELD, SAMPLE_FIELD, ScrapedProfile } from "../scraped/scraped-profile.ts";
import { StackNumbers } from "../scraped/stack-numbers.ts";
import { StackSums } from "../scraped/stack-sums.ts";
import type { FormatBody, FormatContext } from "./format.ts";

/** Plain data: it is sent to the worker with the body. */
export interface ScrapedPprof {
  /** When the program was asked. */
  readonly timeNs: bigint;
  /** Set: some of the profile's sample types count from the start of the program. */
  readonly counters?: {
    /** What the program answered before, as it came: gzipped or not. Undefined: this is the first answer. */
    readonly before: Uint8Array | undefined;
  };
}

/** The sample types of Go's profiles that only rise while the program runs. */
const COUNTING_TYPES: readonly string[] = ["alloc_objects", "alloc_space", "contentions", "delay"];

/** Throws a refusal. A profile of which no sample is left gives none. */
export function readScraped(body: Uint8Array, { timeNs, counters }: ScrapedPprof, { labels, limits }: FormatContext): FormatBody {
  const numbers = new StackNumbers();
  const now = new ScrapedProfile(body, numbers);
  const timeField = now.timeNs === 0n ? timeNs : undefined;
  if (counters === undefined) {
    now.eachSample((from, to) => now.readSample(from, to)); // a refusal of one names the path of the profile
    return { profiles: [{ pprof: timeField === undefined ? body : withTime(body, timeField), labels }] };
  }
  const counting = countingColumns(now, numbers);
  const sums = summed(now, numbers, counting);
  const base = counters.before === undefined ? undefined : baseOf(unpacked(counters.before, pprofSizeBytesMax(limits)), now, sums, numbers, counting);
  const pprof = withDifferences(now, sums, base, counting, timeField);
  return { profiles: pprof === undefined ? [] : [{ pprof, labels }] };
}

// --- differences ------------------------------------------------------------------------------------------------------

function countingColumns({ types }: ScrapedProfile, numbers: StackNumbers): readonly boolean[] {
  const counting = new Set(COUNTING_TYPES.map((type) => textNumberOf(type, numbers)));
  return types.map((type) => counting.has(type));
}

function textNumberOf(text: string, numbers: StackNumbers): number {
  const bytes = encodeUtf8(text);
  return numbers.addText(bytes, 0, bytes.length);
}

interface SummedSamples {
  /** By sample: its stacktrace. */
  readonly stacks: Uint32Array;
  readonly byStack: StackSums;
}

function summed(profile: ScrapedProfile, numbers: StackNumbers, counting: readonly boolean[]): SummedSamples {
  const stacks = new Uint32Array(profile.sampleCount);
  const byStack = new StackSums(counting);
  let count = 0;
  profile.eachSample((from, to) => {
    const length = profile.readSample(from, to);
    const stack = numbers.stacks.numberOf(profile.key, 0, length);
    stacks[count++] = stack;
    byStack.add(stack, profile.values, profile.valueCount);
  });
  return { stacks, byStack };
}

/** The sums of the scrape before, or undefined where no difference may be made to them. */
function baseOf(bytes: Uint8Array, now: ScrapedProfile, sums: SummedSamples, numbers: StackNumbers, counting: readonly boolean[]): StackSums | undefined {
  const before = new ScrapedProfile(bytes, numbers);
  const { byStack } = summed(before, numbers, counting);
  if (!hasTypes(before, now.types) || byStack.isAbove(sums.byStack, numbers.stacks.count)) return undefined;
  return byStack;
}

function hasTypes({ types }: ScrapedProfile, others: readonly number[]): boolean {
  return types.length === others.length && types.every((type, index) => type === others[index]);
}

function unpacked(bytes: Uint8Array, sizeBytesMax: number): Uint8Array {
  if (!isGzip(bytes)) return bytes;
  try {
    return gunzipWithin(bytes, sizeBytesMax);
  } catch (error) {
    throw refusal("profile_size_limit", `the scrape before cannot be unpacked within ${sizeBytesMax} bytes: ${messageOf(error)}`);
  }
}

/** The pprof with the differences to `base`, and without the samples that have none. Undefined: no sample is left. `timeNs`: its time, where it has none. */
function withDifferences(now: ScrapedProfile, { stacks, byStack }: SummedSamples, base: StackSums | undefined, counting: readonly boolean[], timeNs: bigint | undefined): Uint8Array | undefined {
  const { bytes, values } = now;
  const out = new ByteWriter(bytes.length + TIME_BYTES_MAX);
  const message = new ByteWriter(256);
  const numbers = new ByteWriter(64);
  const fields = new FieldCursor();
  const isStored = new Uint8Array(stacks.length); // stacktraces are numbered from 0 by the samples of `now`
  let copied = 0;
  let sample = 0;
  let keptCount = 0;
  now.eachSample((from, to, start) => {
    const stack = stacks[sample++]!;
    // Samples of one stacktrace, which differ in numeric labels, have one difference: the first of them carries it.
    const isFirst = isStored[stack] === 0;
    isStored[stack] = 1;
    now.readValues(from, to);
    let isKept = false;
    for (let column = 0; column < now.valueCount; column++) {
      if (counting[column] === true) values[column] = base === undefined || !isFirst ? 0 : exactSum(byStack.at(stack, column), -base.at(stack, column));
      isKept ||= !isZero(values[column]!);
    }
    if (start > copied) out.raw(bytes.subarray(copied, start));
    copied = to;
    if (!isKept) return;
    keptCount++;
    putSample(message.clear(), numbers.clear(), fields.over(bytes, from, to), now);
    out.u8((FIELD.sample << 3) | WIRE.bytes).prefixed(message.finish());
  });
  if (keptCount === 0) return undefined;
  out.raw(bytes.subarray(copied));
  if (timeNs !== undefined) putTime(out, timeNs);
  return out.finish();
}

/** Writes the sample with the values that `profile` has read: the other fields as they lie, then its values. */
function putSample(out: ByteWriter, numbers: ByteWriter, fields: FieldCursor, { bytes, values, valueCount }: ScrapedProfile): void {
  let from = -1;
  let to = -1;
  while (fields.next()) {
    if (fields.number === SAMPLE_FIELD.value) continue;
    if (fields.start !== to) {
      if (to > from) out.raw(bytes.subarray(from, to));
      from = fields.start;
    }
    to = fields.to;
  }
  if (to > from) out.raw(bytes.subarray(from, to));
  for (let column = 0; column < valueCount; column++) numbers.uvarint64(unsigned(values[column]!));
  out.u8((SAMPLE_FIELD.value << 3) | WIRE.bytes).prefixed(numbers.finish());
}

function withTime(bytes: Uint8Array, timeNs: bigint): Uint8Array {
  return putTime(new ByteWriter(bytes.length + TIME_BYTES_MAX).raw(bytes), timeNs).finish();
}

function putTime(out: ByteWriter, timeNs: bigint): ByteWriter {
  return out.u8(FIELD.time << 3).uvarint64(BigInt.asUintN(64, timeNs));
}

/** Room for the tag and the varint. */
const TIME_BYTES_MAX = 64;

function isZero(value: number | bigint): boolean {
  return value === 0 || value === 0n;
}

function unsigned(value: number | bigint): number | bigint {
  return typeof value === "number" && value >= 0 ? value : BigInt.asUintN(64, BigInt(value));
}
