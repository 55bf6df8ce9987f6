/**
 * The columns behind a record's view: scratch that is used again for the next record. record-decode.ts fills them from a record's bytes,
 * symbol-subset.ts from larger tables. A record that was just encoded has the same columns in the kernel's memory (kernel-memory.ts),
 * so that it need not be decoded to be inserted into a dataset.
 *
 * Entry 0 of nodes, locations, functions, mappings and strings is "none".
 */
import { grown } from "./scratch.ts";
import type { StacktraceTree } from "./stacktrace-tree.ts";
import type { Symbols } from "./symbol-table.ts";

/** How many entries each table of a record has, without entry 0. */
export interface RecordCounts {
  readonly nodes: number;
  readonly locations: number;
  readonly lines: number;
  readonly functions: number;
  readonly mappings: number;
  readonly strings: number;
}

export class RecordColumns {
  nodeParent: Uint32Array = new Uint32Array(64);
  nodeLocation: Uint32Array = new Uint32Array(64);
  locationMapping: Uint32Array = new Uint32Array(64);
  locationAddressLow: Uint32Array = new Uint32Array(64);
  locationAddressHigh: Uint32Array = new Uint32Array(64);
  locationFlags: Uint8Array = new Uint8Array(64);
  lineStart: Uint32Array = new Uint32Array(64);
  lineFunction: Uint32Array = new Uint32Array(64);
  lineNumber: Float64Array = new Float64Array(64);
  functionName: Uint32Array = new Uint32Array(64);
  functionSystemName: Uint32Array = new Uint32Array(64);
  functionFilename: Uint32Array = new Uint32Array(64);
  functionStartLine: Float64Array = new Float64Array(64);
  mappingStart: BigUint64Array = new BigUint64Array(4);
  mappingLimit: BigUint64Array = new BigUint64Array(4);
  mappingFileOffset: BigUint64Array = new BigUint64Array(4);
  mappingFilename: Uint32Array = new Uint32Array(4);
  mappingBuildId: Uint32Array = new Uint32Array(4);
  mappingFlags: Uint8Array = new Uint8Array(4);
  stringOffset: Uint32Array = new Uint32Array(64);
  sampleNode: Uint32Array = new Uint32Array(64);
  sampleSpan: Uint32Array = new Uint32Array(0);
  sampleTrace: Uint32Array = new Uint32Array(0);
  readonly values: Float64Array[] = [];

  reserveNodes(count: number): void {
    this.nodeParent = grown(this.nodeParent, count + 1);
    this.nodeLocation = grown(this.nodeLocation, count + 1);
  }

  reserveLocations(count: number, lineCount: number): void {
    this.locationMapping = grown(this.locationMapping, count + 1);
    this.locationAddressLow = grown(this.locationAddressLow, count + 1);
    this.locationAddressHigh = grown(this.locationAddressHigh, count + 1);
    this.locationFlags = grown(this.locationFlags, count + 1);
    this.lineStart = grown(this.lineStart, count + 2);
    this.lineFunction = grown(this.lineFunction, lineCount + 1);
    this.lineNumber = grown(this.lineNumber, lineCount + 1);
  }

  reserveFunctions(count: number): void {
    this.functionName = grown(this.functionName, count + 1);
    this.functionSystemName = grown(this.functionSystemName, count + 1);
    this.functionFilename = grown(this.functionFilename, count + 1);
    this.functionStartLine = grown(this.functionStartLine, count + 1);
  }

  reserveMappings(count: number): void {
    if (count < this.mappingFilename.length) return;
    this.mappingStart = grown(this.mappingStart, count + 1);
    this.mappingLimit = grown(this.mappingLimit, count + 1);
    this.mappingFileOffset = grown(this.mappingFileOffset, count + 1);
    this.mappingFilename = grown(this.mappingFilename, count + 1);
    this.mappingBuildId = grown(this.mappingBuildId, count + 1);
    this.mappingFlags = grown(this.mappingFlags, count + 1);
  }

  reserveStrings(count: number): void {
    this.stringOffset = grown(this.stringOffset, count + 2);
  }

  reserveSamples(count: number, typeCount: number): void {
    this.sampleNode = grown(this.sampleNode, count);
    for (let type = 0; type < typeCount; type++) this.values[type] = grown(this.values[type] ?? new Float64Array(64), count);
  }

  /** Valid until the columns are filled again, like the symbols. */
  tree(nodeCount: number): StacktraceTree {
    this.nodeParent[0] = this.nodeLocation[0] = 0;
    return { nodeCount: nodeCount + 1, nodeParent: this.nodeParent, nodeLocation: this.nodeLocation };
  }

  symbols(counts: RecordCounts, stringBytes: Uint8Array): Symbols {
    this.locationMapping[0] = this.locationAddressLow[0] = this.locationAddressHigh[0] = this.locationFlags[0] = this.lineStart[0] = 0;
    this.functionName[0] = this.functionSystemName[0] = this.functionFilename[0] = this.functionStartLine[0] = 0;
    this.mappingStart[0] = this.mappingLimit[0] = this.mappingFileOffset[0] = 0n;
    this.mappingFilename[0] = this.mappingBuildId[0] = this.mappingFlags[0] = 0;
    return {
      stringCount: counts.strings + 1,
      stringBytes,
      stringOffset: this.stringOffset,
      mappingCount: counts.mappings + 1,
      mappingStart: this.mappingStart,
      mappingLimit: this.mappingLimit,
      mappingFileOffset: this.mappingFileOffset,
      mappingFilename: this.mappingFilename,
      mappingBuildId: this.mappingBuildId,
      mappingFlags: this.mappingFlags,
      functionCount: counts.functions + 1,
      functionName: this.functionName,
      functionSystemName: this.functionSystemName,
      functionFilename: this.functionFilename,
      functionStartLine: this.functionStartLine,
      locationCount: counts.locations + 1,
      locationMapping: this.locationMapping,
      locationAddressLow: this.locationAddressLow,
      locationAddressHigh: this.locationAddressHigh,
      locationFlags: this.locationFlags,
      lineStart: this.lineStart,
      lineCount: counts.lines,
      lineFunction: this.lineFunction,
      lineNumber: this.lineNumber,
    };
  }
}
