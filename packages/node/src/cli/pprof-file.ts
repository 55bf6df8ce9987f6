/**
 * Reads from a pprof file what `push` needs, its sample types, and replaces its time. The other fields are neither read nor changed: the
 * server checks them.
 *
 *   Profile: 1 sample_type { 1 type, 2 unit }   2 sample   6 string_table   9 time_nanos
 */
import { gunzipSync } from "node:zlib";
import { ByteReader, ByteWriter, CodedError, isGzip, messageOf } from "@pyromesh/base";

export interface PprofFile {
  /** The file's bytes, inflated. */
  readonly bytes: Uint8Array;
  /** `cpu`, `inuse_space`, ... in the file's order. */
  readonly sampleTypes: readonly string[];
}

/** A file that inflates to more is refused. The server has the same bound on a request. */
const SIZE_BYTES_MAX = 256 * 2 ** 20;

/** Throws `FILE_NOT_PPROF`. `file` names it in the refusal. */
export function readPprofFile(content: Uint8Array, file: string): PprofFile {
  try {
    const bytes = isGzip(content) ? gunzipSync(content, { maxOutputLength: SIZE_BYTES_MAX }) : content;
    const typeIndexes: number[] = [];
    const strings: string[] = [];
    for (const { field, payload } of fieldsOf(bytes, file)) {
      if (field === 1 && payload !== undefined) typeIndexes.push(firstVarint(payload, file));
      if (field === 6 && payload !== undefined) strings.push(new TextDecoder("utf-8", { ignoreBOM: true }).decode(payload));
    }
    const sampleTypes = typeIndexes.map((index) => strings[index] ?? "");
    if (sampleTypes.length === 0 || sampleTypes.includes("")) throw new Error("it names no sample types");
    return { bytes, sampleTypes };
  } catch (thrown) {
    throw new CodedError({ code: "FILE_NOT_PPROF", kind: "invalid_argument", message: `${file} is not a pprof file (${messageOf(thrown)}): send files of other formats to /ingest?name=...&format=folded, jfr or speedscope`, details: { file }, cause: thrown });
  }
}

/** The same profile, taken at `timeMs`. */
export function withTime(bytes: Uint8Array, timeMs: number): Uint8Array {
  const writer = new ByteWriter(bytes.length + 16);
  for (const { field, start, end } of fieldsOf(bytes, "the profile")) if (field !== 9) writer.raw(bytes.subarray(start, end));
  return writer.uvarint((9 << 3) | 0).uvarint64(BigInt(Math.round(timeMs)) * 1_000_000n).finish();
}

/** True where a profile has samples. The answer to a query that matches nothing is a profile with sample types and no samples. */
export function hasSamples(bytes: Uint8Array): boolean {
  for (const { field } of fieldsOf(bytes, "the answer")) if (field === 2) return true;
  return false;
}

/** The name that Pyroscope's own clients give to a profile of these types. Where two names fit, the file's name decides. */
export function guessName(sampleTypes: readonly string[], file: string): string {
  const has = (...types: readonly string[]): boolean => types.some((type) => sampleTypes.includes(type));
  if (has("wall")) return "wall";
  if (has("cpu")) return "process_cpu";
  if (has("inuse_space", "alloc_space", "inuse_objects", "alloc_objects", "space")) return "memory";
  // Go's mutex and block profiles have the same two types, contentions and delay.
  if (has("contentions", "delay")) return file.includes("block") ? "block" : "mutex";
  if (has("goroutine", "goroutines")) return "goroutines";
  if (sampleTypes.length === 1 && has("samples")) return "process_cpu";
  return sampleTypes[0] ?? "process_cpu";
}

interface Field {
  readonly field: number;
  /** Where the field begins and ends, its key included. */
  readonly start: number;
  readonly end: number;
  /** The content of a length-delimited field. */
  readonly payload: Uint8Array | undefined;
}

function* fieldsOf(bytes: Uint8Array, object: string): Generator<Field> {
  const reader = new ByteReader(bytes, object);
  while (reader.remaining > 0) {
    const start = reader.offset;
    const key = reader.uvarint();
    let payload: Uint8Array | undefined;
    if (key % 8 === 0) reader.uvarint64();
    else if (key % 8 === 1) reader.raw(8);
    else if (key % 8 === 2) payload = reader.prefixed();
    else if (key % 8 === 5) reader.raw(4);
    else reader.fail("a protobuf wire type", String(key % 8));
    yield { field: Math.floor(key / 8), start, end: reader.offset, payload };
  }
}

function firstVarint(message: Uint8Array, object: string): number {
  const reader = new ByteReader(message, object);
  while (reader.remaining > 0) {
    const key = reader.uvarint();
    const value = reader.uvarint();
    if (key === 8) return value;
  }
  return 0;
}
