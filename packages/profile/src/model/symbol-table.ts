/**
 * Symbols in columns: strings, functions, locations, mappings of a dataset or of one record. An id is an index.
 * String 0 is empty. Function 0, location 0 and mapping 0 are unused ("none"), so that 0 can mean absent everywhere.
 *
 *   location i: mapping, address (two halves), flags, lines lineStart[i] .. lineStart[i+1] (leaf-most inlined first, as pprof)
 *   line j:     function, line number
 */

/** Read-only view; arrays may be longer than the counts say. */
export interface Symbols {
  readonly stringCount: number;
  /** UTF-8, back to back. String i is stringBytes[stringOffset[i] .. stringOffset[i+1]). */
  readonly stringBytes: Uint8Array;
  readonly stringOffset: Uint32Array;

  readonly mappingCount: number;
  readonly mappingStart: BigUint64Array;
  readonly mappingLimit: BigUint64Array;
  readonly mappingFileOffset: BigUint64Array;
  readonly mappingFilename: Uint32Array;
  readonly mappingBuildId: Uint32Array;
  /** bit 0 has_functions, 1 has_filenames, 2 has_line_numbers, 3 has_inline_frames. */
  readonly mappingFlags: Uint8Array;

  readonly functionCount: number;
  readonly functionName: Uint32Array;
  readonly functionSystemName: Uint32Array;
  readonly functionFilename: Uint32Array;
  readonly functionStartLine: Float64Array;

  readonly locationCount: number;
  readonly locationMapping: Uint32Array;
  readonly locationAddressLow: Uint32Array;
  readonly locationAddressHigh: Uint32Array;
  /** bit 0 is_folded. */
  readonly locationFlags: Uint8Array;
  /** locationCount + 1 entries. */
  readonly lineStart: Uint32Array;

  readonly lineCount: number;
  readonly lineFunction: Uint32Array;
  readonly lineNumber: Float64Array;
}

/** The symbols as they are now, whatever is interned later. Each column is named, so that the compiler reports one that was added to `Symbols` and forgotten here. */
export function symbolsNow(symbols: Symbols): Symbols {
  return {
    stringCount: symbols.stringCount,
    stringBytes: symbols.stringBytes,
    stringOffset: symbols.stringOffset,
    mappingCount: symbols.mappingCount,
    mappingStart: symbols.mappingStart,
    mappingLimit: symbols.mappingLimit,
    mappingFileOffset: symbols.mappingFileOffset,
    mappingFilename: symbols.mappingFilename,
    mappingBuildId: symbols.mappingBuildId,
    mappingFlags: symbols.mappingFlags,
    functionCount: symbols.functionCount,
    functionName: symbols.functionName,
    functionSystemName: symbols.functionSystemName,
    functionFilename: symbols.functionFilename,
    functionStartLine: symbols.functionStartLine,
    locationCount: symbols.locationCount,
    locationMapping: symbols.locationMapping,
    locationAddressLow: symbols.locationAddressLow,
    locationAddressHigh: symbols.locationAddressHigh,
    locationFlags: symbols.locationFlags,
    lineStart: symbols.lineStart,
    lineCount: symbols.lineCount,
    lineFunction: symbols.lineFunction,
    lineNumber: symbols.lineNumber,
  };
}
