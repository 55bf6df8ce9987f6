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
import { ByteWriter, gunzipWithin, isGzip, messageOf, VarintCursor } from "@pyromesh/base";
import { malformed, refusal } from "../labels/refusal.ts";
import { pprofSizeBytesMax } from "../labels/limits.ts";
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
const COUNTING_TYPES: ReadonlySet<string> = new Set(["alloc_objects", "alloc_space", "contentions", "delay"]);

/** Throws a refusal. A profile of which no sample is left gives none. */
export function readScraped(body: Uint8Array, { timeNs, counters }: ScrapedPprof, { labels, limits }: FormatContext): FormatBody {
  const now = parsePprof(body);
  const timeField = now.timeNs === 0n ? timeNs : undefined;
  if (counters === undefined) return { profiles: [{ pprof: timeField === undefined ? body : rewritten(now, undefined, timeField), labels }] };
  const before = counters.before === undefined ? undefined : parsePprof(unpacked(counters.before, pprofSizeBytesMax(limits)));
  const values = differences(before, now);
  return { profiles: values.size === 0 ? [] : [{ pprof: rewritten(now, values, timeField), labels }] };
}

// --- differences ------------------------------------------------------------------------------------------------------

/** The values of the samples that are stored, by the sample's index: of those that are not zero alone. */
function differences(before: ParsedPprof | undefined, now: ParsedPprof): ReadonlyMap<number, readonly bigint[]> {
  const counting = now.types.map((type) => COUNTING_TYPES.has(type));
  const frames = new Map<string, number>();
  const sums = summed(now, frames, counting);
  const known = before !== undefined && hasTypes(before, now.types) ? summed(before, frames, counting) : undefined;
  const base = known !== undefined && !hasFallen(known.byStack, sums.byStack) ? known.byStack : undefined;
  const kept = new Map<number, readonly bigint[]>();
  const stored = new Set<string>();
  for (const [index, sample] of now.samples.entries()) {
    const stack = sums.stackOf[index]!;
    // Samples of one stacktrace, which differ in numeric labels, have one difference: the first of them carries it.
    const isFirst = !stored.has(stack);
    stored.add(stack);
    const total = sums.byStack.get(stack)!; // `summed` made one for each sample
    const earlier = base?.get(stack);
    const values = sample.values.map((value, column) => {
      if (counting[column] !== true) return value;
      return base === undefined || !isFirst ? 0n : total[column]! - (earlier?.[column] ?? 0n);
    });
    if (values.some((value) => value !== 0n)) kept.set(index, values);
  }
  return kept;
}

interface StackSums {
  /** By sample: its stacktrace. */
  readonly stackOf: readonly string[];
  /** The sums of the columns that count; 0 in the others. */
  readonly byStack: ReadonlyMap<string, readonly bigint[]>;
}

function summed(pprof: ParsedPprof, frames: Map<string, number>, counting: readonly boolean[]): StackSums {
  const frameOf = new Map<number | bigint, number>();
  const byStack = new Map<string, bigint[]>();
  const stackOf: string[] = [];
  for (const { locations, values, labels } of pprof.samples) {
    let stack = labels;
    for (const id of locations) {
      let frame = frameOf.get(id);
      if (frame === undefined) frameOf.set(id, (frame = numbered(frames, frameText(pprof, id))));
      stack += `,${frame}`;
    }
    stackOf.push(stack);
    let sum = byStack.get(stack);
    if (sum === undefined) byStack.set(stack, (sum = counting.map(() => 0n)));
    for (const [column, counts] of counting.entries()) if (counts) sum[column]! += values[column] ?? 0n;
  }
  return { stackOf, byStack };
}

function numbered(frames: Map<string, number>, text: string): number {
  let frame = frames.get(text);
  if (frame === undefined) frames.set(text, (frame = frames.size));
  return frame;
}

/** `\n` parts what the text of a frame is made of: where a name holds one, two frames may be taken for one, and their sums are still right. */
function frameText({ locations, functions, strings }: ParsedPprof, id: number | bigint): string {
  const location = locations.get(id);
  if (location === undefined) return "";
  if (location.lines.length === 0) return `\0${location.address}`;
  return location.lines
    .map(({ called, line }) => {
      const named = functions.get(called);
      return `${strings[named?.name ?? 0] ?? ""}\n${strings[named?.filename ?? 0] ?? ""}\n${line}`;
    })
    .join("\n");
}

function hasTypes({ types }: ParsedPprof, others: readonly string[]): boolean {
  return types.length === others.length && types.every((type, index) => type === others[index]);
}

function hasFallen(before: ReadonlyMap<string, readonly bigint[]>, now: ReadonlyMap<string, readonly bigint[]>): boolean {
  for (const [stack, sums] of before) {
    const later = now.get(stack);
    if (sums.some((sum, column) => sum > (later?.[column] ?? 0n))) return true;
  }
  return false;
}

// --- the pprof, as far as it is looked at -----------------------------------------------------------------------------

interface ParsedPprof {
  readonly bytes: Uint8Array;
  readonly types: readonly string[];
  readonly samples: readonly ParsedSample[];
  readonly locations: ReadonlyMap<number | bigint, ParsedLocation>;
  readonly functions: ReadonlyMap<number | bigint, { readonly name: number; readonly filename: number }>;
  readonly strings: readonly string[];
  readonly timeNs: bigint;
}

interface ParsedSample {
  /** The field, its tag included: [from, to) of the bytes. */
  readonly from: number;
  readonly to: number;
  readonly locations: readonly (number | bigint)[];
  readonly values: readonly bigint[];
  /** Its labels that have a text. Numbers are dropped when a profile is normalised, so they part no samples. */
  readonly labels: string;
}

interface ParsedLocation {
  readonly address: number | bigint;
  readonly lines: readonly { readonly called: number | bigint; readonly line: number | bigint }[];
}

const FIELD = { sampleType: 1, sample: 2, location: 4, function: 5, string: 6, time: 9 } as const;

/** Throws a refusal where fields do not end where they should. What the fields say is checked by the decoder of pushes, later. */
function parsePprof(bytes: Uint8Array): ParsedPprof {
  const strings: string[] = [];
  const typeIndexes: (number | bigint)[] = [];
  const sampleFields: Field[] = [];
  const locations = new Map<number | bigint, ParsedLocation>();
  const functions = new Map<number | bigint, { readonly name: number; readonly filename: number }>();
  let timeNs = 0n;
  eachField(bytes, 0, bytes.length, (field) => {
    if (field.number === FIELD.string) strings.push(Buffer.from(bytes.buffer, bytes.byteOffset + field.from, field.to - field.from).toString("utf8"));
    else if (field.number === FIELD.sample) sampleFields.push({ ...field });
    else if (field.number === FIELD.time) timeNs = BigInt.asIntN(64, BigInt(field.value));
    else if (field.number === FIELD.sampleType) typeIndexes.push(numbersOf(bytes, field).get(1) ?? 0);
    else if (field.number === FIELD.function) {
      const numbers = numbersOf(bytes, field);
      functions.set(numbers.get(1) ?? 0, { name: Number(numbers.get(2) ?? 0), filename: Number(numbers.get(4) ?? 0) });
    } else if (field.number === FIELD.location) {
      const { id, location } = locationOf(bytes, field);
      locations.set(id, location);
    }
  });
  const text = (index: number | bigint): string => strings[Number(index)] ?? "";
  const samples = sampleFields.map((field) => sampleOf(bytes, field, text));
  return { bytes, types: typeIndexes.map(text), samples, locations, functions, strings, timeNs };
}

function sampleOf(bytes: Uint8Array, { start, from, to }: Field, text: (index: number | bigint) => string): ParsedSample {
  const locations: (number | bigint)[] = [];
  const values: bigint[] = [];
  let labels = "";
  eachField(bytes, from, to, (field) => {
    if (field.number === 1) eachNumber(bytes, field, (id) => locations.push(id));
    else if (field.number === 2) eachNumber(bytes, field, (value) => values.push(BigInt.asIntN(64, BigInt(value))));
    else if (field.number === 3) {
      const numbers = numbersOf(bytes, field);
      const name = text(numbers.get(1) ?? 0);
      const value = text(numbers.get(2) ?? 0);
      if (value !== "") labels += `${name.length}:${name}${value.length}:${value}`;
    }
  });
  return { from: start, to, locations, values, labels };
}

function locationOf(bytes: Uint8Array, { from, to }: Field): { readonly id: number | bigint; readonly location: ParsedLocation } {
  let id: number | bigint = 0;
  let address: number | bigint = 0;
  const lines: { called: number | bigint; line: number | bigint }[] = [];
  eachField(bytes, from, to, (field) => {
    if (field.number === 1) id = field.value;
    else if (field.number === 3) address = field.value;
    else if (field.number === 4) {
      const numbers = numbersOf(bytes, field);
      lines.push({ called: numbers.get(1) ?? 0, line: numbers.get(2) ?? 0 });
    }
  });
  return { id, location: { address, lines } };
}

// --- protobuf ---------------------------------------------------------------------------------------------------------

interface Field {
  number: number;
  wire: number;
  /** Where its tag begins. */
  start: number;
  /** [from, to): what it holds, where it has a length. */
  from: number;
  to: number;
  /** Of a varint. */
  value: number | bigint;
}

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** `visit` is given the same object each time. */
function eachField(bytes: Uint8Array, from: number, to: number, visit: (field: Field) => void): void {
  const cursor = new VarintCursor(bytes, from, to);
  const field: Field = { number: 0, wire: 0, start: 0, from: 0, to: 0, value: 0 };
  while (cursor.offset < to) {
    field.start = cursor.offset;
    const tag = cursor.next();
    field.wire = tag & 7;
    field.number = Math.floor(tag / 8);
    field.value = 0;
    if (tag < 0) throw broken(field.start);
    field.from = cursor.offset;
    if (field.wire === WIRE.varint) {
      field.value = cursor.nextWide();
      if (field.value < 0) throw broken(field.start);
    } else if (field.wire === WIRE.bytes) {
      const length = cursor.next();
      if (length < 0 || length > to - cursor.offset) throw broken(field.start);
      field.from = cursor.offset;
      cursor.offset += length;
    } else {
      const length = field.wire === WIRE.fixed64 ? 8 : field.wire === WIRE.fixed32 ? 4 : Infinity;
      if (length > to - cursor.offset) throw broken(field.start);
      cursor.offset += length;
    }
    field.to = cursor.offset;
    visit(field);
  }
}

/** The varints of a message: the last of each number, as protobuf has it. */
function numbersOf(bytes: Uint8Array, { from, to }: Field): ReadonlyMap<number, number | bigint> {
  const numbers = new Map<number, number | bigint>();
  eachField(bytes, from, to, ({ number, wire, value }) => {
    if (wire === WIRE.varint) numbers.set(number, value);
  });
  return numbers;
}

/** A repeated number may come packed or one by one. */
function eachNumber(bytes: Uint8Array, { wire, from, to, value }: Field, visit: (value: number | bigint) => void): void {
  if (wire === WIRE.varint) visit(value);
  if (wire !== WIRE.bytes) return;
  const cursor = new VarintCursor(bytes, from, to);
  while (cursor.offset < to) {
    const next = cursor.nextWide();
    if (next < 0) throw broken(cursor.offset);
    visit(next);
  }
}

function broken(offset: number): Error {
  return malformed(`the body is no pprof: a field at byte ${offset} does not end within it; check the path of the profile, which should answer pprof`);
}

function unpacked(bytes: Uint8Array, sizeBytesMax: number): Uint8Array {
  if (!isGzip(bytes)) return bytes;
  try {
    return gunzipWithin(bytes, sizeBytesMax);
  } catch (error) {
    throw refusal("profile_size_limit", `the scrape before cannot be unpacked within ${sizeBytesMax} bytes: ${messageOf(error)}`);
  }
}

/** The pprof with other values, and without the samples that have none; `values` undefined: with its own. `timeNs`: its time, where it has none. */
function rewritten({ bytes, samples }: ParsedPprof, values: ReadonlyMap<number, readonly bigint[]> | undefined, timeNs: bigint | undefined): Uint8Array {
  const out = new ByteWriter(bytes.length + 64);
  let copied = 0;
  for (const [index, sample] of values === undefined ? [] : samples.entries()) {
    out.raw(bytes.subarray(copied, sample.from));
    copied = sample.to;
    const kept = values?.get(index);
    if (kept !== undefined) out.u8((FIELD.sample << 3) | WIRE.bytes).prefixed(sampleMessage(bytes, sample, kept));
  }
  out.raw(bytes.subarray(copied));
  if (timeNs !== undefined) out.u8(FIELD.time << 3).uvarint64(BigInt.asUintN(64, timeNs));
  return out.finish();
}

function sampleMessage(bytes: Uint8Array, { from, to }: ParsedSample, values: readonly bigint[]): Uint8Array {
  const cursor = new VarintCursor(bytes, from, to);
  cursor.next(); // the tag
  cursor.next(); // the length
  const message = new ByteWriter(to - from + 16);
  eachField(bytes, cursor.offset, to, (field) => {
    if (field.number !== 2) message.raw(bytes.subarray(field.start, field.to));
  });
  const numbers = new ByteWriter(values.length * 10 + 1);
  for (const value of values) numbers.uvarint64(BigInt.asUintN(64, value));
  return message.u8((2 << 3) | WIRE.bytes).prefixed(numbers.finish()).finish();
}
