/**
 * The memory of the kernel (../kernel): a directory of columns, results of one number each, the columns, the input first.
 *
 *   0           512       1024
 *   | directory | results | input | columns ... |
 *
 * Each column is as long as the longest input can make it, so that the kernel's loops look at no end. What is not touched costs
 * nothing: the system gives a page when it is first written. The memory never grows, since that would detach every array that looks
 * into it, after which V8 throws away what it has compiled for typed arrays; a larger push gets a memory of its own.
 */
import { assert } from "@pyromesh/base";

const DIRECTORY_AT = 0;
const RESULTS_AT = 512;
const RESULT_COUNT = 32;
const TIME_COUNT = 3;
const COLUMNS_AT = 1024;
const PAGE_BYTES = 65_536;
/** WebAssembly's own. */
const MEMORY_BYTES_MAX = 65_536 * PAGE_BYTES;

/** Real profiles have a few hundred mappings and a handful of sample types; the kernel refuses more. */
const MAPPING_COUNT_MAX = 65_535;
const TYPE_COUNT_MAX = 4096;
/** Room in front of a record's columns for its envelope and what is of one value: labels, mostly. */
export const FRONT_BYTES_MAX: number = 256 * 1024;
/** What a byte of input becomes at most: a function of four bytes three references and a line number. */
const OUT_BYTES_PER_INPUT_BYTE = 13;
const MAPPING_BYTES_MAX = 35;

/** A node costs a byte of a location id; repairing cut stacktraces adds some (fix-go-truncated.ts). */
export function nodeCountMax(bytes: number): number {
  return Math.ceil(bytes * 1.1) + 4096;
}

/** What normalising may add: names that get their file in front, and versions in build ids (string-rewrite.ts). */
export function addedTextBytesMax(bytes: number): number {
  return 4 * bytes + 2 ** 20;
}

function powerOfTwo(countMin: number): number {
  return 2 ** Math.ceil(Math.log2(countMin));
}

export interface KernelColumns {
  /** The push, then what normalising adds to its strings. */
  readonly input: Uint8Array;
  /** Location ids of a sample that did not come as one packed run, put together. */
  readonly loose: Uint8Array;
  readonly sampleNode: Uint32Array;
  readonly sampleLabelStart: Uint32Array;
  /** A sample's values together. */
  readonly values: BigInt64Array;
  readonly labelKey: Uint32Array;
  readonly labelText: Uint32Array;
  readonly nodeParent: Uint32Array;
  readonly nodeLocation: Uint32Array;
  readonly nodeChild: Uint32Array;
  readonly stringStart: Uint32Array;
  readonly stringEnd: Uint32Array;
  readonly typeType: Uint32Array;
  readonly typeUnit: Uint32Array;
  readonly mappingId: Uint32Array;
  readonly mappingStart: BigUint64Array;
  readonly mappingLimit: BigUint64Array;
  readonly mappingFileOffset: BigUint64Array;
  readonly mappingFilename: Uint32Array;
  readonly mappingBuildId: Uint32Array;
  readonly mappingFlags: Uint8Array;
  readonly functionId: Uint32Array;
  readonly functionName: Uint32Array;
  readonly functionSystemName: Uint32Array;
  readonly functionFilename: Uint32Array;
  readonly functionStartLine: Float64Array;
  readonly locationId: Uint32Array;
  readonly locationMapping: Uint32Array;
  readonly locationAddressLow: Uint32Array;
  readonly locationAddressHigh: Uint32Array;
  readonly locationFlags: Uint8Array;
  readonly lineStart: Uint32Array;
  readonly lineFunction: Uint32Array;
  readonly lineNumber: Float64Array;
  /** A power of two, of which at most half are taken before it doubles. */
  readonly slots: Uint32Array;
  /** By JavaScript, for samples with labels. */
  readonly sampleGroup: Uint32Array;
  readonly sampleSpan: Uint32Array;
  readonly sampleTrace: Uint32Array;
  readonly nodeMerged: Uint32Array;
  readonly mergeSlots: Uint32Array;
  /** Sample by sample: its merged one. */
  readonly target: Uint32Array;
  readonly mergedNode: Uint32Array;
  readonly mergedGroup: Uint32Array;
  readonly mergedSpan: Uint32Array;
  readonly mergedTrace: Uint32Array;
  /** Columns of merged samples' values, or 64-bit numbers. */
  readonly sums: Float64Array;
  readonly sumIsWide: Uint8Array;
  /** Merged samples, those of a group together. */
  readonly list: Uint32Array;
  /** Merged samples of one record, where it does not hold all of its group. */
  readonly selection: Uint32Array;
  /** Which columns of sums go into the record. */
  readonly columnList: Uint32Array;
  readonly nodeNew: Uint32Array;
  readonly nodes: Uint32Array;
  readonly path: Uint32Array;
  readonly locationNew: Uint32Array;
  readonly locations: Uint32Array;
  readonly functionNew: Uint32Array;
  readonly functions: Uint32Array;
  readonly mappingNew: Uint32Array;
  readonly mappings: Uint32Array;
  readonly stringNew: Uint32Array;
  readonly strings: Uint32Array;
  /** A record's columns, by its own numbers. */
  readonly recordNodeParent: Uint32Array;
  readonly recordNodeLocation: Uint32Array;
  readonly recordLocationMapping: Uint32Array;
  readonly recordLocationAddressLow: Uint32Array;
  readonly recordLocationAddressHigh: Uint32Array;
  readonly recordLocationFlags: Uint8Array;
  readonly recordLineStart: Uint32Array;
  readonly recordLineFunction: Uint32Array;
  readonly recordLineNumber: Float64Array;
  readonly recordFunctionName: Uint32Array;
  readonly recordFunctionSystemName: Uint32Array;
  readonly recordFunctionFilename: Uint32Array;
  readonly recordFunctionStartLine: Float64Array;
  readonly recordMappingStart: BigUint64Array;
  readonly recordMappingLimit: BigUint64Array;
  readonly recordMappingFileOffset: BigUint64Array;
  readonly recordMappingFilename: Uint32Array;
  readonly recordMappingBuildId: Uint32Array;
  readonly recordMappingFlags: Uint8Array;
  readonly recordStringOffset: Uint32Array;
  readonly recordSampleNode: Uint32Array;
  readonly recordValues: Float64Array;
  readonly recordValueIsWide: Uint8Array;
  /** A record's bytes: what JavaScript writes in front, then its columns. */
  readonly out: Uint8Array;
}

type ColumnType = Uint8ArrayConstructor | Uint32ArrayConstructor | Float64ArrayConstructor | BigInt64ArrayConstructor | BigUint64ArrayConstructor;

/** How many entries `bytes` of input fill at most: each costs its tag and its length, or tag and value, at the least. */
const COUNTS = {
  all: (bytes: number): number => bytes,
  half: (bytes: number): number => bytes / 2,
  quarter: (bytes: number): number => bytes / 4,
  nodes: nodeCountMax,
  slots: (bytes: number): number => powerOfTwo(2 * nodeCountMax(bytes) + 2048),
  mergeSlots: (bytes: number): number => powerOfTwo(bytes / 2 + 16),
  /** Each costs two bytes. Normalising adds fewer than there is room left for: one for each name it changes, and one a mapping. */
  strings: (bytes: number): number => bytes + MAPPING_COUNT_MAX,
  types: (): number => TYPE_COUNT_MAX,
  mappings: (): number => MAPPING_COUNT_MAX,
  inputBytes: (bytes: number): number => bytes + addedTextBytesMax(bytes),
  outBytes: (bytes: number): number => FRONT_BYTES_MAX + OUT_BYTES_PER_INPUT_BYTE * bytes + addedTextBytesMax(bytes) + MAPPING_COUNT_MAX * MAPPING_BYTES_MAX,
};

/** In the order of kernel/memory.ts. */
const COLUMNS: Readonly<Record<keyof KernelColumns, readonly [ColumnType, keyof typeof COUNTS]>> = {
  input: [Uint8Array, "inputBytes"],
  loose: [Uint8Array, "all"],
  sampleNode: [Uint32Array, "quarter"],
  sampleLabelStart: [Uint32Array, "quarter"],
  values: [BigInt64Array, "all"],
  labelKey: [Uint32Array, "quarter"],
  labelText: [Uint32Array, "quarter"],
  nodeParent: [Uint32Array, "nodes"],
  nodeLocation: [Uint32Array, "nodes"],
  nodeChild: [Uint32Array, "nodes"],
  stringStart: [Uint32Array, "strings"],
  stringEnd: [Uint32Array, "strings"],
  typeType: [Uint32Array, "types"],
  typeUnit: [Uint32Array, "types"],
  mappingId: [Uint32Array, "mappings"],
  mappingStart: [BigUint64Array, "mappings"],
  mappingLimit: [BigUint64Array, "mappings"],
  mappingFileOffset: [BigUint64Array, "mappings"],
  mappingFilename: [Uint32Array, "mappings"],
  mappingBuildId: [Uint32Array, "mappings"],
  mappingFlags: [Uint8Array, "mappings"],
  functionId: [Uint32Array, "half"],
  functionName: [Uint32Array, "half"],
  functionSystemName: [Uint32Array, "half"],
  functionFilename: [Uint32Array, "half"],
  functionStartLine: [Float64Array, "half"],
  locationId: [Uint32Array, "half"],
  locationMapping: [Uint32Array, "half"],
  locationAddressLow: [Uint32Array, "half"],
  locationAddressHigh: [Uint32Array, "half"],
  locationFlags: [Uint8Array, "half"],
  lineStart: [Uint32Array, "half"],
  lineFunction: [Uint32Array, "half"],
  lineNumber: [Float64Array, "half"],
  slots: [Uint32Array, "slots"],
  sampleGroup: [Uint32Array, "quarter"],
  sampleSpan: [Uint32Array, "quarter"],
  sampleTrace: [Uint32Array, "quarter"],
  nodeMerged: [Uint32Array, "nodes"],
  mergeSlots: [Uint32Array, "mergeSlots"],
  target: [Uint32Array, "quarter"],
  mergedNode: [Uint32Array, "quarter"],
  mergedGroup: [Uint32Array, "quarter"],
  mergedSpan: [Uint32Array, "quarter"],
  mergedTrace: [Uint32Array, "quarter"],
  sums: [Float64Array, "all"],
  sumIsWide: [Uint8Array, "all"],
  list: [Uint32Array, "quarter"],
  selection: [Uint32Array, "quarter"],
  columnList: [Uint32Array, "all"],
  nodeNew: [Uint32Array, "nodes"],
  nodes: [Uint32Array, "nodes"],
  path: [Uint32Array, "nodes"],
  locationNew: [Uint32Array, "half"],
  locations: [Uint32Array, "half"],
  functionNew: [Uint32Array, "half"],
  functions: [Uint32Array, "half"],
  mappingNew: [Uint32Array, "mappings"],
  mappings: [Uint32Array, "mappings"],
  stringNew: [Uint32Array, "strings"],
  strings: [Uint32Array, "strings"],
  recordNodeParent: [Uint32Array, "nodes"],
  recordNodeLocation: [Uint32Array, "nodes"],
  recordLocationMapping: [Uint32Array, "half"],
  recordLocationAddressLow: [Uint32Array, "half"],
  recordLocationAddressHigh: [Uint32Array, "half"],
  recordLocationFlags: [Uint8Array, "half"],
  recordLineStart: [Uint32Array, "half"],
  recordLineFunction: [Uint32Array, "half"],
  recordLineNumber: [Float64Array, "half"],
  recordFunctionName: [Uint32Array, "half"],
  recordFunctionSystemName: [Uint32Array, "half"],
  recordFunctionFilename: [Uint32Array, "half"],
  recordFunctionStartLine: [Float64Array, "half"],
  recordMappingStart: [BigUint64Array, "mappings"],
  recordMappingLimit: [BigUint64Array, "mappings"],
  recordMappingFileOffset: [BigUint64Array, "mappings"],
  recordMappingFilename: [Uint32Array, "mappings"],
  recordMappingBuildId: [Uint32Array, "mappings"],
  recordMappingFlags: [Uint8Array, "mappings"],
  recordStringOffset: [Uint32Array, "strings"],
  recordSampleNode: [Uint32Array, "quarter"],
  recordValues: [Float64Array, "all"],
  recordValueIsWide: [Uint8Array, "all"],
  out: [Uint8Array, "outBytes"],
};

export class KernelMemory {
  /** The longest input it takes. */
  readonly inputBytesMax: number;
  readonly memory: WebAssembly.Memory;
  readonly columns: KernelColumns;
  /** By `RESULT`. */
  readonly results: Uint32Array;
  /** By `TIME`. */
  readonly times: BigInt64Array;

  constructor(inputBytesMax: number) {
    this.inputBytesMax = inputBytesMax;
    const { places, sizeBytes } = layoutFor(inputBytesMax);
    assert(sizeBytes <= MEMORY_BYTES_MAX, "the caller holds a push to what a memory takes");
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / PAGE_BYTES) });
    const { buffer } = this.memory;
    new Uint32Array(buffer, DIRECTORY_AT).set(places.map(({ at }) => at));
    this.columns = Object.fromEntries(places.map(({ name, type, at, count }) => [name, new type(buffer, at, count)])) as unknown as KernelColumns; // one of each of COLUMNS
    this.results = new Uint32Array(buffer, RESULTS_AT, RESULT_COUNT);
    this.times = new BigInt64Array(buffer, RESULTS_AT + RESULT_COUNT * 4, TIME_COUNT);
  }
}

/** Places in the results: kernel/results.ts. */
export const RESULT = {
  arrivedSampleCount: 0,
  valueCount: 1,
  sampleCount: 2,
  labelCount: 3,
  stringCount: 4,
  stringLengthMax: 5,
  typeCount: 6,
  mappingCount: 7,
  functionCount: 8,
  locationCount: 9,
  lineCount: 10,
  typeStringMax: 11,
  labelStringMax: 12,
  functionStringMax: 13,
  mappingStringMax: 14,
  periodTypeType: 15,
  periodTypeUnit: 16,
  recordNodeCount: 17,
  recordLocationCount: 18,
  recordLineCount: 19,
  recordFunctionCount: 20,
  recordMappingCount: 21,
  recordStringCount: 22,
  recordStringsAt: 23,
} as const;
/** Of the profile: time and duration, ns, and period. */
export const TIME = { time: 0, duration: 1, period: 2 } as const;

interface Place {
  readonly name: string;
  readonly type: ColumnType;
  readonly at: number;
  readonly count: number;
}

/** Columns begin at different lines of the cache, or their entries of one index would all compete for the same few. */
const STAGGER_BYTES = 192;
const LINE_BYTES = 64;

function layoutFor(inputBytesMax: number): { readonly places: readonly Place[]; readonly sizeBytes: number } {
  const places: Place[] = [];
  let at = COLUMNS_AT;
  for (const [name, [type, kind]] of Object.entries(COLUMNS)) {
    const count = Math.ceil(COUNTS[kind](inputBytesMax)) + SPARE_COUNT;
    places.push({ name, type, at, count });
    at = Math.ceil((at + count * type.BYTES_PER_ELEMENT) / LINE_BYTES) * LINE_BYTES + STAGGER_BYTES;
  }
  return { places, sizeBytes: at };
}

/** Entry 0, the end of the last one, and what a word read at the end of the input reaches over. */
const SPARE_COUNT = 8;
