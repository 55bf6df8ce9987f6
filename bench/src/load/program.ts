/**
 * A real program's profile, parsed once so that many variations can be encoded cheaply.
 *
 *   pprof  = rest (everything but samples and time, byte for byte) + samples + time
 *   sample = fixed (stack and labels, byte for byte) + values
 *
 * `pprof-format`, which is not ours, decodes what the numbers and stacks mean: the ledger must not depend on the code that it checks.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { Profile } from "pprof-format";

export interface Program {
  readonly file: string;
  /** The `__name__` of its series. */
  readonly profileName: string;
  /** One per column: `process_cpu:cpu:nanoseconds:cpu:nanoseconds`. */
  readonly profileTypes: readonly string[];
  readonly rest: Uint8Array;
  readonly sampleCount: number;
  readonly fixed: readonly Uint8Array[];
  /** sampleCount * columns; the values of a sample are adjacent. */
  readonly values: Float64Array;
  /** The greatest common divisor of each column; 0 for a column of zeros. */
  readonly divisors: readonly number[];
  /** Function names from the root, joined by FRAME_END. */
  readonly nameStacks: readonly string[];
  /** The same frames with file and line. */
  readonly fullStacks: readonly string[];
}

/** Separates frames: function names contain blanks, semicolons and slashes, but never this. */
export const FRAME_END = "\u0000";

/** The mix: Go heap, Java and Python CPU, Go CPU with labels, Node heap. */
const MIX: readonly (readonly [file: string, profileName: string])[] = [
  ["heap.pb.gz", "memory"],
  ["profile_java", "process_cpu"],
  ["profile_python", "process_cpu"],
  ["go.cpu.labels.pprof", "process_cpu"],
  ["nodejs-heap.pb.gz", "memory"],
];

export function readPrograms(corpusFolder: string): Program[] {
  return MIX.map(([file, profileName]) => readProgram(file, profileName, readFileSync(path.join(corpusFolder, "pprof", file))));
}

function readProgram(file: string, profileName: string, bytes: Uint8Array): Program {
  const pprof = bytes[0] === 0x1f && bytes[1] === 0x8b ? new Uint8Array(gunzipSync(bytes)) : bytes;
  const profile = Profile.decode(pprof);
  const { rest, samples } = takeApart(pprof);
  if (samples.length !== profile.sample.length) throw new Error(`${file}: ${samples.length} samples on the wire, ${profile.sample.length} decoded`);
  const columnCount = profile.sampleType.length;
  const values = new Float64Array(samples.length * columnCount);
  profile.sample.forEach((sample, index) => {
    sample.value.forEach((value, column) => {
      if (value < 0 || !Number.isSafeInteger(Number(value))) throw new Error(`${file}: the value ${value} does not suit a load`);
      values[index * columnCount + column] = Number(value);
    });
  });
  const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)]!;
  const period = profile.periodType === undefined ? ":" : `${text(profile.periodType.type)}:${text(profile.periodType.unit)}`;
  return {
    file,
    profileName,
    profileTypes: profile.sampleType.map((type) => `${profileName}:${text(type.type)}:${text(type.unit)}:${period}`),
    rest,
    sampleCount: samples.length,
    fixed: samples,
    values,
    divisors: Array.from({ length: columnCount }, (_, column) => divisorOf(values, column, columnCount)),
    nameStacks: stacksOf(profile, false),
    fullStacks: stacksOf(profile, true),
  };
}

/** The frames of each sample from the root. Within a location the last line is the outermost caller. */
export function stacksOf(profile: Profile, isFull: boolean): string[] {
  const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)]!;
  const functions = new Map(profile.function.map((found) => [Number(found.id), { name: text(found.name), filename: text(found.filename) }]));
  const frames = new Map(
    profile.location.map((location) => {
      const lines = location.line.map((line) => {
        const { name, filename } = functions.get(Number(line.functionId))!;
        return isFull ? `${name}@${filename}:${BigInt.asIntN(64, BigInt(line.line))}` : name;
      });
      return [Number(location.id), lines.reverse().join(FRAME_END)];
    }),
  );
  return profile.sample.map((sample) =>
    sample.locationId
      .map((id) => frames.get(Number(id))!)
      .reverse()
      .join(FRAME_END),
  );
}

function divisorOf(values: Float64Array, column: number, columnCount: number): number {
  let divisor = 0;
  for (let at = column; at < values.length; at += columnCount) {
    let rest = values[at]!;
    while (rest !== 0) [divisor, rest] = [rest, divisor % rest];
  }
  return divisor;
}

// --- protobuf fields ----------------------------------------------------------------------------------------------------

const PROFILE_SAMPLE = 2;
const PROFILE_TIME = 9;
const SAMPLE_VALUE = 2;

function takeApart(pprof: Uint8Array): { rest: Uint8Array; samples: Uint8Array[] } {
  const rest: Uint8Array[] = [];
  const samples: Uint8Array[] = [];
  for (const field of fieldsOf(pprof)) {
    if (field.number === PROFILE_SAMPLE) {
      const kept = [...fieldsOf(field.content)].filter(({ number }) => number !== SAMPLE_VALUE).map(({ whole }) => whole);
      samples.push(new Uint8Array(Buffer.concat(kept)));
    } else if (field.number !== PROFILE_TIME) rest.push(field.whole);
  }
  return { rest: new Uint8Array(Buffer.concat(rest)), samples };
}

interface WireField {
  readonly number: number;
  /** The field with its tag. */
  readonly whole: Uint8Array;
  /** The content of a length-delimited field; empty for others. */
  readonly content: Uint8Array;
}

function* fieldsOf(bytes: Uint8Array): Generator<WireField> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("a profile of the corpus ends in the middle of a field");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const from = at;
    const tag = varint();
    let contentAt = at;
    if ((tag & 7) === 0) varint();
    else if ((tag & 7) === 1) at += 8;
    else if ((tag & 7) === 5) at += 4;
    else {
      const length = varint();
      contentAt = at;
      at += length;
    }
    yield { number: Math.floor(tag / 8), whole: bytes.subarray(from, at), content: bytes.subarray(contentAt, at) };
  }
}
