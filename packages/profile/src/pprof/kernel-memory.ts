/**
 * The memory of the kernel, laid out: each column of ../../kernel/layout.mjs, where the memory is drawn, gets its place and its length.
 *
 * Each column is as long as the longest input can make it, so the kernel never compares an index with a column's end. Room that is not
 * touched costs nothing: the system gives a page when it is first written. The memory never grows, since growing would detach every
 * array that looks into it, and V8 would throw away what it has compiled for typed arrays; a larger push gets a memory of its own.
 */
import { assert } from "@pyromesh/base";
import type { ColumnType, EntryCount, KernelColumns } from "../gen/kernel-layout.ts";
import { COLUMNS, COLUMNS_AT, DIRECTORY_AT, RESULT, RESULTS_AT, TIME, TIMES_AT } from "../gen/kernel-layout.ts";

const PAGE_BYTES = 65_536;
/** WebAssembly addresses no more. */
const MEMORY_BYTES_MAX = 65_536 * PAGE_BYTES;

/** Real profiles have a few hundred mappings and a handful of sample types; the kernel refuses more. */
const MAPPING_COUNT_MAX = 65_535;
const TYPE_COUNT_MAX = 4096;
/** Room in front of a record's columns for its envelope and header, which is labels for the most part. */
export const FRONT_BYTES_MAX: number = 256 * 1024;
/** How many bytes of a record a byte of input becomes at most: the worst is a function of few bytes, with three references and a line number. */
const OUT_BYTES_PER_INPUT_BYTE = 13;
const MAPPING_BYTES_MAX = 35;

/** A node takes at least one byte of input, its location id; repairing cut stacktraces adds some (fix-go-truncated.ts). */
export function nodeCountMax(bytes: number): number {
  return Math.ceil(bytes * 1.1) + 4096;
}

/** How much text normalising may add: file names in front of function names, and versions in build ids (string-rewrite.ts). */
export function addedTextBytesMax(bytes: number): number {
  return 4 * bytes + 2 ** 20;
}

function powerOfTwo(countMin: number): number {
  return 2 ** Math.ceil(Math.log2(countMin));
}

/** How many entries `bytes` of input fill at most. An entry takes at least its tag and its length, or its tag and its value. */
const COUNTS: Readonly<Record<EntryCount, (bytes: number) => number>> = {
  perByte: (bytes) => bytes,
  perTwoBytes: (bytes) => bytes / 2,
  perFourBytes: (bytes) => bytes / 4,
  nodes: nodeCountMax,
  slots: (bytes) => powerOfTwo(2 * nodeCountMax(bytes) + 2048),
  mergeSlots: (bytes) => powerOfTwo(bytes / 2 + 16),
  /** A string takes two bytes, so the push fills half of it. Normalising adds at most one per function name and one per mapping. */
  strings: (bytes) => bytes + MAPPING_COUNT_MAX,
  types: () => TYPE_COUNT_MAX,
  mappings: () => MAPPING_COUNT_MAX,
  inputBytes: (bytes) => bytes + addedTextBytesMax(bytes),
  outBytes: (bytes) => FRONT_BYTES_MAX + OUT_BYTES_PER_INPUT_BYTE * bytes + addedTextBytesMax(bytes) + MAPPING_COUNT_MAX * MAPPING_BYTES_MAX,
};

export class KernelMemory {
  readonly inputBytesMax: number;
  readonly memory: WebAssembly.Memory;
  readonly columns: KernelColumns;
  /** What the last call found, by `RESULT`. */
  readonly results: Uint32Array;
  /** The times of the last decoded push, by `TIME`. */
  readonly times: BigInt64Array;

  constructor(inputBytesMax: number) {
    this.inputBytesMax = inputBytesMax;
    const { places, sizeBytes } = layoutFor(inputBytesMax);
    assert(sizeBytes <= MEMORY_BYTES_MAX, "the caller holds a push to what a memory takes");
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / PAGE_BYTES) });
    const { buffer } = this.memory;
    new Uint32Array(buffer, DIRECTORY_AT).set(places.map(({ at }) => at));
    this.columns = Object.fromEntries(places.map(({ name, type, at, count }) => [name, new type(buffer, at, count)])) as unknown as KernelColumns; // COLUMNS is generated from the same table and names each once
    this.results = new Uint32Array(buffer, RESULTS_AT, Object.keys(RESULT).length);
    this.times = new BigInt64Array(buffer, TIMES_AT, Object.keys(TIME).length);
  }
}

interface Place {
  readonly name: string;
  readonly type: ColumnType;
  readonly at: number;
  readonly count: number;
}

/** Columns begin at different lines of the processor's cache: else entries of one index would all fall into the same few lines. */
const STAGGER_BYTES = 192;
const LINE_BYTES = 64;

function layoutFor(inputBytesMax: number): { readonly places: readonly Place[]; readonly sizeBytes: number } {
  const places: Place[] = [];
  let at = COLUMNS_AT;
  for (const [name, type, countRule] of COLUMNS) {
    const count = Math.ceil(COUNTS[countRule](inputBytesMax)) + SPARE_COUNT;
    places.push({ name, type, at, count });
    at = Math.ceil((at + count * type.BYTES_PER_ELEMENT) / LINE_BYTES) * LINE_BYTES + STAGGER_BYTES;
  }
  return { places, sizeBytes: at };
}

/** For entry 0, for the end of the last entry, and for what the kernel reads beyond the input's end, a word of eight bytes at a time. */
const SPARE_COUNT = 8;
