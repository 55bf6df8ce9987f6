/**
 * The kernel: the inner loops of decoding and encoding as WebAssembly (../kernel, compiled by scripts/build.mjs into gen/kernel-bytes.ts), on
 * a memory for pushes up to a size (kernel-memory.ts). The kernel calls JavaScript to refuse a push in words, and for what is rare: ids of 64
 * bits, and text that is not ASCII.
 */
import { isUtf8 } from "node:buffer";
import { assert } from "@pyromesh/base";
import { describeInvalidText } from "./find-invalid-text.ts";
import { KERNEL_BYTES } from "../gen/kernel-bytes.ts";
import { REFUSAL } from "../gen/kernel-layout.ts";
import { KernelMemory, nodeCountMax } from "./kernel-memory.ts";
import { tooManySamples } from "../labels/limits.ts";
import type { ValueColumn } from "../model/record-view.ts";
import { malformed, refusal } from "../labels/refusal.ts";

export interface DecodeLimits {
  readonly sampleCountMax: number;
  /** At least as many nodes as the push's own frames can make. */
  readonly nodeCountMax: number;
  readonly depthMax: number;
  readonly labelCountMax: number;
}

interface KernelExports {
  readonly open: (mappingCapacity: number, typeCapacity: number) => void;
  readonly decodeProfile: (length: number, seed: number, sampleCountMax: number, nodeCountMax: number, depthMax: number, labelCountMax: number) => void;
  readonly findChild: (parent: number, location: number) => number;
  readonly childAt: (parent: number, location: number) => number;
  readonly mergeByNode: (sampleCount: number) => number;
  readonly mergeByAll: (sampleCount: number) => number;
  readonly addUp: (sampleCount: number, valueCount: number, mergedCount: number) => void;
  readonly hasValue: (column: number, mergedCount: number, listAt: number, listLength: number) => number;
  readonly encodeColumns: (from: number, listAt: number, listLength: number, mergedCount: number, columnCount: number) => number;
  readonly nodeCount: { readonly value: number };
}

let compiled: WebAssembly.Module | undefined;

export class PprofKernel {
  readonly memory: KernelMemory;
  readonly #exports: KernelExports;
  /** Ids from 2^31 on, numbered in order of appearance. */
  readonly #bigIds = new Map<bigint, number>();
  /** Length of the push. */
  #inputBytes = 0;
  #limits: DecodeLimits = { sampleCountMax: 0, nodeCountMax: 0, depthMax: 0, labelCountMax: 0 };

  constructor(inputBytesMax: number) {
    this.memory = new KernelMemory(inputBytesMax);
    const { columns, memory } = this.memory;
    compiled ??= new WebAssembly.Module(Buffer.from(KERNEL_BYTES, "base64"));
    const host = {
      refuse: (reason: number, ...facts: number[]): never => this.#refuse(reason, facts),
      bigId: (id: bigint): number => this.#bigId(BigInt.asUintN(64, id)),
      checkUtf8: (from: number, to: number): void => {
        if (isUtf8(columns.input.subarray(from, to))) return;
        throw malformed(`${describeInvalidText(columns.input.subarray(0, this.#inputBytes))}: encode the profile's strings as UTF-8`);
      },
    };
    this.#exports = new WebAssembly.Instance(compiled, { env: { memory }, host }).exports as unknown as KernelExports; // kernel/index.ts
    this.#exports.open(columns.mappingId.length, columns.typeType.length);
  }

  /** Copies `pprof` to the input and decodes it. `hashSeed`: any 32 bits the sender cannot know; they change no result. */
  decode(pprof: Uint8Array, limits: DecodeLimits, hashSeed: number): void {
    assert(limits.nodeCountMax <= nodeCountMax(this.memory.inputBytesMax), "nodes fit the kernel's memory");
    this.memory.columns.input.set(pprof);
    this.#inputBytes = pprof.length;
    this.#limits = limits;
    if (this.#bigIds.size > 0) this.#bigIds.clear();
    this.#exports.decodeProfile(pprof.length, hashSeed, limits.sampleCountMax, limits.nodeCountMax, limits.depthMax, limits.labelCountMax);
  }

  get nodeCount(): number {
    return this.#exports.nodeCount.value;
  }

  findChild(parent: number, location: number): number {
    return this.#exports.findChild(parent, location);
  }

  /** Makes the child where there is none. 0 where there is no room for it. */
  childAt(parent: number, location: number): number {
    return this.#exports.childAt(parent, location);
  }

  /** Merges samples that are equal; returns how many are left. With `hasLabels` also by the columns sampleGroup, sampleSpan and sampleTrace. */
  merge(sampleCount: number, hasLabels: boolean): number {
    return hasLabels ? this.#exports.mergeByAll(sampleCount) : this.#exports.mergeByNode(sampleCount);
  }

  /** Adds up the values of merged samples, one column per sample type: as doubles where all sums are exact so, else as 64-bit integers. */
  addUp(sampleCount: number, valueCount: number, mergedCount: number): ValueColumn[] {
    this.#exports.addUp(sampleCount, valueCount, mergedCount);
    const { sums, sumIsWide } = this.memory.columns;
    return Array.from({ length: valueCount }, (_, t) => {
      const at = sums.byteOffset + t * mergedCount * sums.BYTES_PER_ELEMENT;
      return sumIsWide[t] === 0 ? new Float64Array(sums.buffer, at, mergedCount) : new BigInt64Array(sums.buffer, at, mergedCount);
    });
  }

  /** Whether one of the listed merged samples has a value in that column. `list` lies in the kernel's memory, here and below. */
  hasValue(column: number, mergedCount: number, list: Uint32Array): boolean {
    return this.#exports.hasValue(column, mergedCount, list.byteOffset, list.length) !== 0;
  }

  /** Writes the columns of a record's body at `from` of the column `out`; returns where they end. */
  encodeColumns(from: number, list: Uint32Array, mergedCount: number, valueColumns: readonly number[]): number {
    const { columnList, out } = this.memory.columns;
    columnList.set(valueColumns);
    const end = this.#exports.encodeColumns(out.byteOffset + from, list.byteOffset, list.length, mergedCount, valueColumns.length);
    return (end >>> 0) - out.byteOffset; // WebAssembly's numbers have a sign; an address from 2^31 on would be negative
  }

  /** Bounded by the push: each new id takes at least five bytes of it. */
  #bigId(id: bigint): number {
    let number = this.#bigIds.get(id);
    if (number === undefined) this.#bigIds.set(id, (number = 0x8000_0000 + this.#bigIds.size));
    return number;
  }

  /** `reason` is one of `REFUSAL`; `facts` are the numbers that kernel/layout.mjs names beside it. */
  #refuse(reason: number, facts: readonly number[]): never {
    const [first = 0, second = 0, third = 0] = facts;
    const { sampleCountMax, labelCountMax } = this.#limits;
    switch (reason) {
      case REFUSAL.endsInMessage:
        throw malformed("the profile ends inside a message: send all of its bytes");
      case REFUSAL.endsInNumber:
        throw malformed("the profile ends inside a number: send all of its bytes");
      case REFUSAL.numberTooLong:
        throw malformed("the profile holds a number longer than 64 bits: encode it as protobuf does");
      case REFUSAL.endsInSample:
        throw malformed("the profile ends inside a sample: send all of its bytes");
      case REFUSAL.endsInLocation:
        throw malformed("the profile ends inside a location: send all of its bytes");
      case REFUSAL.endsInLocationId:
        throw malformed("the profile ends inside a location id: send all of its bytes");
      case REFUSAL.endsInField:
        throw malformed("the profile ends inside a field: send all of its bytes");
      case REFUSAL.locationIdZero:
        throw malformed("a sample refers to location id 0: number locations from 1");
      case REFUSAL.fieldNumber:
        throw malformed("the profile holds a field number that protobuf does not have: send a pprof profile");
      case REFUSAL.fieldNumberPadded:
        throw malformed("the profile holds a field number with needless zero bytes: encode it as protobuf does");
      case REFUSAL.wireType:
        throw malformed(`field ${first} of the profile has wire type ${second} instead of ${third}: send a pprof profile`);
      case REFUSAL.wireTypeUnknown:
        throw malformed(`the profile holds a field of wire type ${first}: send an uncompressed or gzipped pprof profile`);
      case REFUSAL.tooManySamples:
        throw tooManySamples(sampleCountMax);
      case REFUSAL.tooManyLabels:
        throw refusal(
          "sample_labels_limit",
          `a sample has ${first} labels and at most ${labelCountMax} are taken: label less, or raise limits.max_profile_stacktrace_sample_labels`,
        );
      case REFUSAL.valueCounts:
        throw malformed(`one sample has ${first} values and another ${second}: give each sample one value for each sample type`);
      case REFUSAL.tooManyMappings:
        throw malformed(`the profile has more than ${first} mappings: send those that its locations refer to`);
      case REFUSAL.tooManyTypes:
        throw malformed(`the profile has more than ${first} sample types: send a pprof profile`);
      default:
        throw new Error(`the kernel refused for reason ${reason}`);
    }
  }
}
