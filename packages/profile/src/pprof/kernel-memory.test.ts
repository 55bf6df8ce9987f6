import { expect } from "chai";
import type { Random } from "@pyromesh/base";
import { CodedError, seededRandom } from "@pyromesh/base";
import type { IngestQuirks } from "../labels/ingest-name.ts";
import type { KernelColumns } from "../gen/kernel-layout.ts";
import type { Label } from "../labels/labels.ts";
import { DEFAULT_PROFILE_LIMITS } from "../labels/limits.ts";
import { normalize } from "../record/normalize.ts";
import { PprofDecoder } from "./pprof-decode.ts";
import { RecordEncoder } from "../record/record-encode.ts";
import { splitSamples } from "./split-samples.ts";
import { RECORD_VERSION } from "../record/record.ts";

/** The length of each push, and the most that its kernel takes: so that no column is longer than it has to be. */
const INPUT_BYTES = 1024;
const PUSH_COUNT = 1000;
/** Fills the bytes that the kernel must not use, and those that the current push has not written. */
const CANARY = 0xa5;
/** How much of each column is filled. Longer ones have room for 65,535 mappings, which no push here has. */
const FILLED_BYTES_MAX = 4 * INPUT_BYTES;

/** One gets the pushes one after the other; the other's columns are filled with CANARY before each, as if another tenant's push had been there. */
interface Encoding {
  readonly decoder: PprofDecoder;
  readonly encoder: RecordEncoder;
}

interface Push {
  readonly bytes: Uint8Array;
  readonly spyName: string;
  readonly depthMax: number;
}

/** The smallest things, whole and cut off: over and over, they are as many as an input can hold. */
const SMALLEST = [[0x12, 2, 0x10, 1], [0x12, 3, 0x12, 1, 1], [0x1a, 2, 0x10, 1], [0x1a, 1, 0x10, 1], [0x1a, 1, 0x10], [0x22, 0], [0x22, 1, 0x22], [0x22, 2, 0x22, 0], [0x2a, 0], [0x1a, 0], [0x0a, 0], [0x32, 0], [0x10, 1], [0x08, 1], [0x08], [1], [0x80], [0xff]];

/** An input full of one of them, or a sample or location that is. */
function fullPush(random: Random): Uint8Array {
  const unit = SMALLEST[Math.floor(random.float() * SMALLEST.length)]!;
  const tag = [0, 0x12, 0x22][Math.floor(random.float() * 3)]!;
  const length = INPUT_BYTES - 3;
  const front = tag === 0 ? [] : [tag, (length & 127) | 128, length >> 7];
  return Uint8Array.from({ length: INPUT_BYTES }, (_, i) => front[i] ?? unit[(i - front.length) % unit.length]!);
}

/** Wire-true for the most part, and odd in every way that a loop must bear: what no profiler writes, cut off at INPUT_BYTES. */
function anyPush(random: Random): Push {
  const below = (count: number): number => Math.floor(random.float() * count);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)]!;
  if (random.float() < 0.2) return { bytes: fullPush(random), spyName: "gospy", depthMax: 0 };
  const oddness = pick([0, 0, 0.01, 0.1]);
  const isOdd = (): boolean => random.float() < oddness;
  const varint = (value: bigint): number[] => {
    const bytes: number[] = [];
    for (let rest = value; bytes.length === 0 || rest > 0n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
    while (bytes.length < 10 && isOdd()) bytes.push(128); // needlessly long
    bytes.push(bytes.pop()! & 127);
    return bytes;
  };
  const edges = [0n, 127n, 128n, (1n << 31n) - 1n, 1n << 31n, (1n << 53n) - 1n, 1n << 56n, (1n << 63n) - 1n, (1n << 64n) - 1n];
  const number = (max: number): bigint => (isOdd() ? pick(edges) : BigInt(1 + below(max)));
  const message = (tag: number, content: readonly number[]): number[] => {
    const length = content.length + (isOdd() ? below(9) - 4 : 0);
    return [tag, ...varint(BigInt(Math.max(0, length))), ...content];
  };
  const fields = (...parts: readonly (readonly number[])[]): number[] => {
    const all = [...parts];
    if (isOdd()) all.push(pick([[0x7a, 1, 0], [0x7d, 1, 2, 3, 4], [0x78, 0x80, 1], [0x10], [0x0a, 0], pick(parts)]));
    if (isOdd()) all.reverse();
    return all.flat();
  };
  const field = (tag: number, max: number): number[] => [tag, ...varint(number(max))];
  const typeCount = pick([1, 1, 2, 5]);
  /** What samples, functions and mappings may name. */
  const strings = ["", "cpu", "span_id", "trace_id", "id", "00000000000000a1", "000000000000000000000000000000b2", "m[go.shape.int].f", "ü", "a longer name than eight bytes", "x"];
  const stringMax = strings.length - 1;
  const makers: readonly (() => number[])[] = [
    () => message(0x1a, fields(field(0x08, 3), field(0x10, 900), field(0x28, stringMax), field(0x30, stringMax), field(0x38, 1))),
    () => message(0x2a, fields(field(0x08, 6), field(0x10, stringMax), field(0x18, stringMax), field(0x20, stringMax), field(0x28, 9))),
    () => message(0x22, fields(field(0x08, 9), field(0x10, 3), field(0x18, 1 << 30), ...Array.from({ length: below(4) }, () => message(0x22, fields(field(0x08, 6), field(0x10, 200)))))),
    () => {
      const ids = Array.from({ length: below(pick([3, 12, 80])) }, () => varint(number(9)));
      const values = Array.from({ length: isOdd() ? below(9) : typeCount }, () => varint(number(pick([3, 300, 2 ** 40]))));
      const labels = Array.from({ length: pick([0, 0, 1, 3]) }, () => message(0x1a, fields(field(0x08, 5), field(0x10, stringMax))));
      const isLoose = random.float() < 0.2;
      return message(0x12, fields(...(isLoose ? ids.map((id) => [0x08, ...id]) : [message(0x0a, ids.flat())]), ...(isOdd() ? values.map((value) => [0x10, ...value]) : [message(0x12, values.flat())]), ...labels));
    },
  ];
  const bytes = [...Array.from({ length: typeCount }, () => message(0x0a, [0x08, 1, 0x10, 10])), ...strings.map((text) => message(0x32, [...Buffer.from(text)]))].flat();
  const weights = pick([[0, 1, 2, 3, 3, 3], [3], [2], [1, 2, 3]]);
  const length = below(INPUT_BYTES);
  while (bytes.length < length) {
    const next = makers[pick(weights)]!();
    if (bytes.length + next.length > INPUT_BYTES && random.float() < 0.9) break;
    bytes.push(...next);
  }
  return { bytes: Uint8Array.from(bytes.slice(0, INPUT_BYTES)), spyName: pick(["gospy", "pyspy", "dotnetspy"]), depthMax: pick([0, 0, 3]) };
}

/** One push through all of the kernel: its records, or why it is refused. */
function encodeAll(decoder: PprofDecoder, encoder: RecordEncoder, { bytes, spyName, depthMax }: Push): string {
  const labels: Label[] = [{ name: "pyroscope_spy", value: spyName }, { name: "service_git_ref", value: "v1" }, { name: "service_name", value: "shop" }];
  const ingest: IngestQuirks | undefined = spyName === "gospy" ? undefined : { spyName, sampleTypes: {} };
  const encoded: string[] = [];
  try {
    decoder.decode(bytes, { ...DEFAULT_PROFILE_LIMITS, sampleCountMax: 0, stacktraceDepthMax: depthMax }, 7);
    const { sampleTypes, periodType } = normalize(decoder, DEFAULT_PROFILE_LIMITS, ingest, labels);
    const { timeNs, durationNs, period, kernel } = decoder;
    const split = splitSamples(decoder, () => false, 7);
    for (const { samples, labels: own } of split.groups) {
      const { sampleSpan, spans, sampleTrace, traces, sampleCount: mergedCount } = split;
      const columns = sampleTypes.map((_, column) => column);
      const common = { version: RECORD_VERSION, tenant: "t", timeNs, durationNs, period, periodType, sampleTypes, profileId: undefined, idempotencyKey: undefined, nonce: undefined };
      const record = encoder.encode(kernel, { ...common, labels: [...labels, ...own], samples, mergedCount, columns, sampleSpan, spans, sampleTrace, traces });
      encoded.push(Buffer.from(record.bytes).toString("latin1"));
    }
  } catch (thrown) {
    if (!(thrown instanceof CodedError)) throw thrown;
    return thrown.message;
  }
  return encoded.join("|");
}

type Column = KernelColumns[keyof KernelColumns];
const bytesOf = ({ buffer, byteOffset, byteLength }: Column): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);

describe("the kernel's memory", () => {
  it("whatever is pushed: nothing is written beside a column, nothing is left where zeros must be, what stood there before decides nothing", () => {
    const random = seededRandom(20_261);
    const [used, swept] = [0, 1].map(() => ({ decoder: new PprofDecoder({ inputBytesMin: INPUT_BYTES }), encoder: new RecordEncoder() })) as [Encoding, Encoding];
    for (const { decoder, encoder } of [used, swept]) encodeAll(decoder, encoder, anyPush(random)); // makes the kernels
    const { memory } = swept.decoder.kernel;
    const columns = Object.entries(memory.columns) as [keyof KernelColumns, Column][];
    const gaps = columns.map(([name, column], i) => {
      const from = column.byteOffset + column.byteLength;
      const gap = Buffer.from(memory.memory.buffer, from, (columns[i + 1]?.[1].byteOffset ?? memory.memory.buffer.byteLength) - from).fill(CANARY);
      return { name, gap, before: Buffer.from(gap) };
    });
    // But for node 0, the root, which is always met.
    const tables = columns
      .filter(([name]) => name.endsWith("New"))
      .map(([name, column]) => ({ name, table: Buffer.from(column.buffer, column.byteOffset + 4, column.byteLength - 4), zeros: Buffer.alloc(column.byteLength - 4) }));
    const outcomes = { records: 0, refusals: new Set<string>() };
    for (let i = 0; i < PUSH_COUNT; i++) {
      const push = anyPush(random);
      for (const [name, column] of columns) {
        // Entry 0 of a record's columns is "none", and stays so.
        if (!name.endsWith("New")) bytesOf(column).subarray(name.startsWith("record") ? column.BYTES_PER_ELEMENT : 0, FILLED_BYTES_MAX).fill(CANARY);
      }
      const found = encodeAll(swept.decoder, swept.encoder, push);
      expect(encodeAll(used.decoder, used.encoder, push), `push ${i}`).equal(found);
      const isRecord = found.includes("shop"); // its service
      if (isRecord) outcomes.records++;
      else outcomes.refusals.add(found.slice(0, 30));
      for (const { name, gap, before } of gaps) expect(gap.equals(before), `push ${i}: nothing beyond the column ${name}`).equal(true);
      for (const { name, table, zeros } of tables) expect(table.equals(zeros), `push ${i}: nothing left in ${name}`).equal(true);
    }
    expect(outcomes.records).greaterThan(PUSH_COUNT / 10);
    expect(outcomes.refusals.size).greaterThan(8);
    expect(swept.decoder.kernel.memory).equal(memory); // one and the same all the time
  });
});
