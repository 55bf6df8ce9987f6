/**
 * A push as columns: what the kernel (pprof-kernel.ts) decoded, in its memory.
 *
 * Ids are the push's own until `normalize` resolves them. Columns of mappings, functions and locations start at 1, as
 * the ids of most profilers do, so that resolving mostly means finding nothing to do.
 * Columns are valid until the next push is decoded. Normalising may replace one by a longer one.
 */
import type { ProfileLimits } from "../labels/limits.ts";
import { orUnbounded } from "../labels/limits.ts";
import { RESULT, TIME } from "../gen/kernel-layout.ts";
import { addedTextBytesMax, nodeCountMax } from "./kernel-memory.ts";
import { PprofKernel } from "./pprof-kernel.ts";
import { PPROF_SIZE_BYTES_MAX } from "../labels/limits.ts";
import { refusal } from "../labels/refusal.ts";
import { StacktraceWalk } from "./stacktrace-walk.ts";

/** Input that a kernel has room for at least. */
const INPUT_BYTES_MIN = 256 * 1024;

const NOTHING = new Uint8Array(0);
const NO_NUMBERS = new Uint32Array(0);

export class PprofDecoder {
  /** The push, to which string positions refer. Normalising may add rewritten names behind it. */
  bytes: Uint8Array = NOTHING;
  /** Bytes that rewritten names may take. It depends on this push alone, not on the larger ones for which the kernel was made. */
  bytesMax = 0;

  /** How many samples came, including those that were dropped. */
  arrivedSampleCount = 0;
  /** Values per sample. */
  valueCount = 0;
  sampleCount = 0;
  sampleNode: Uint32Array = NO_NUMBERS;
  /** Labels of sample i: sampleLabelStart[i] .. sampleLabelStart[i + 1]. */
  sampleLabelStart: Uint32Array = NO_NUMBERS;
  labelCount = 0;
  labelKey: Uint32Array = NO_NUMBERS;
  labelText: Uint32Array = NO_NUMBERS;

  stringCount = 0;
  stringStart: Uint32Array = NO_NUMBERS;
  stringEnd: Uint32Array = NO_NUMBERS;
  stringLengthMax = 0;

  typeCount = 0;
  typeType: Uint32Array = NO_NUMBERS;
  typeUnit: Uint32Array = NO_NUMBERS;
  periodTypeType = 0;
  periodTypeUnit = 0;
  timeNs = 0n;
  durationNs = 0n;
  period = 0n;

  mappingCount = 0;
  mappingId: Uint32Array = NO_NUMBERS;
  mappingStart: BigUint64Array = new BigUint64Array(0);
  mappingLimit: BigUint64Array = new BigUint64Array(0);
  mappingFileOffset: BigUint64Array = new BigUint64Array(0);
  mappingFilename: Uint32Array = NO_NUMBERS;
  mappingBuildId: Uint32Array = NO_NUMBERS;
  mappingFlags: Uint8Array = NOTHING;

  functionCount = 0;
  functionId: Uint32Array = NO_NUMBERS;
  functionName: Uint32Array = NO_NUMBERS;
  functionSystemName: Uint32Array = NO_NUMBERS;
  functionFilename: Uint32Array = NO_NUMBERS;
  functionStartLine: Float64Array = new Float64Array(0);

  locationCount = 0;
  locationId: Uint32Array = NO_NUMBERS;
  locationMapping: Uint32Array = NO_NUMBERS;
  locationAddressLow: Uint32Array = NO_NUMBERS;
  locationAddressHigh: Uint32Array = NO_NUMBERS;
  locationFlags: Uint8Array = NOTHING;
  /** Lines of location i: lineStart[i] .. lineStart[i + 1]. */
  lineStart: Uint32Array = NO_NUMBERS;
  lineCount = 0;
  lineFunction: Uint32Array = NO_NUMBERS;
  lineNumber: Float64Array = new Float64Array(0);

  /** The highest string index of each kind of reference: one comparison says whether all are in range. */
  readonly stringMax = { type: 0, label: 0, functionField: 0, mappingField: 0 };

  readonly #inputBytesMin: number;
  #kernel: PprofKernel | undefined;
  #tree: StacktraceWalk | undefined;

  constructor({ inputBytesMin = INPUT_BYTES_MIN }: { readonly inputBytesMin?: number } = {}) {
    this.#inputBytesMin = inputBytesMin;
  }

  get tree(): StacktraceWalk {
    return this.#tree!; // every `decode` sets it
  }

  /** The size of the kernel's memory, with pages that were never touched: V8 counts these too. */
  get memoryBytes(): number {
    return this.#kernel?.memory.memory.buffer.byteLength ?? 0;
  }

  /** The kernel in whose memory the columns lie. */
  get kernel(): PprofKernel {
    return this.#kernel!; // every `decode` sets it
  }

  /** `hashSeed`: any 32 bits the sender cannot know; they change no result. */
  decode(pprof: Uint8Array, limits: ProfileLimits, hashSeed: number): void {
    const kernel = this.#kernelFor(pprof.length);
    const allowedBytes = Math.max(this.#inputBytesMin, pprof.length);
    this.bytesMax = pprof.length + addedTextBytesMax(allowedBytes);
    kernel.decode(
      pprof,
      {
        nodeCountMax: nodeCountMax(allowedBytes),
        sampleCountMax: orUnbounded(limits.sampleCountMax),
        depthMax: orUnbounded(limits.stacktraceDepthMax),
        labelCountMax: orUnbounded(limits.sampleLabelCountMax),
      },
      hashSeed,
    );
    this.#read(kernel, pprof.length);
  }

  #kernelFor(inputBytes: number): PprofKernel {
    if (this.#kernel === undefined || inputBytes > this.#kernel.memory.inputBytesMax) {
      if (inputBytes > PPROF_SIZE_BYTES_MAX) {
        throw refusal("profile_size_limit", `the profile is ${inputBytes} bytes uncompressed and at most ${PPROF_SIZE_BYTES_MAX} can be decoded: profile for a shorter time`);
      }
      this.#kernel = new PprofKernel(Math.min(PPROF_SIZE_BYTES_MAX, Math.max(this.#inputBytesMin, Math.ceil(inputBytes * 1.25))));
    }
    return this.#kernel;
  }

  #read(kernel: PprofKernel, inputBytes: number): void {
    const { columns, results, times } = kernel.memory;
    this.bytes = columns.input.subarray(0, inputBytes);
    this.#tree = new StacktraceWalk(kernel);
    this.arrivedSampleCount = results[RESULT.arrivedSampleCount]!;
    this.valueCount = results[RESULT.valueCount]!;
    this.sampleCount = results[RESULT.sampleCount]!;
    this.sampleNode = columns.sampleNode;
    this.sampleLabelStart = columns.sampleLabelStart;
    this.labelCount = results[RESULT.labelCount]!;
    this.labelKey = columns.labelKey;
    this.labelText = columns.labelText;
    this.stringCount = results[RESULT.stringCount]!;
    this.stringStart = columns.stringStart;
    this.stringEnd = columns.stringEnd;
    this.stringLengthMax = results[RESULT.stringLengthMax]!;
    this.typeCount = results[RESULT.typeCount]!;
    this.typeType = columns.typeType;
    this.typeUnit = columns.typeUnit;
    this.periodTypeType = results[RESULT.periodTypeType]!;
    this.periodTypeUnit = results[RESULT.periodTypeUnit]!;
    this.timeNs = times[TIME.time]!;
    this.durationNs = times[TIME.duration]!;
    this.period = times[TIME.period]!;
    this.mappingCount = results[RESULT.mappingCount]!;
    this.mappingId = columns.mappingId;
    this.mappingStart = columns.mappingStart;
    this.mappingLimit = columns.mappingLimit;
    this.mappingFileOffset = columns.mappingFileOffset;
    this.mappingFilename = columns.mappingFilename;
    this.mappingBuildId = columns.mappingBuildId;
    this.mappingFlags = columns.mappingFlags;
    this.functionCount = results[RESULT.functionCount]!;
    this.functionId = columns.functionId;
    this.functionName = columns.functionName;
    this.functionSystemName = columns.functionSystemName;
    this.functionFilename = columns.functionFilename;
    this.functionStartLine = columns.functionStartLine;
    this.locationCount = results[RESULT.locationCount]!;
    this.locationId = columns.locationId;
    this.locationMapping = columns.locationMapping;
    this.locationAddressLow = columns.locationAddressLow;
    this.locationAddressHigh = columns.locationAddressHigh;
    this.locationFlags = columns.locationFlags;
    this.lineStart = columns.lineStart;
    this.lineCount = results[RESULT.lineCount]!;
    this.lineFunction = columns.lineFunction;
    this.lineNumber = columns.lineNumber;
    const max = this.stringMax;
    max.type = results[RESULT.typeStringMax]!;
    max.label = results[RESULT.labelStringMax]!;
    max.functionField = results[RESULT.functionStringMax]!;
    max.mappingField = results[RESULT.mappingStringMax]!;
  }

  /** The text of a string. */
  text(index: number): string {
    const start = this.stringStart[index]!;
    const length = this.stringEnd[index]! - start;
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, length).toString("utf8");
  }
}
