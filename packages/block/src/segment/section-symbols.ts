/**
 * The sections that hold a dataset's symbols. All numbers are uvarints unless said otherwise; columns lie one after another.
 *
 *   STRINGS    count | length of each | bytes of all, back to back            (string 0 is empty and counted)
 *   MAPPINGS   count | per mapping: start, limit, file offset, filename, build id, flags   (entry 0 is "none", not stored)
 *   FUNCTIONS  count | names | system names | filenames | start lines (zigzag)
 *   LOCATIONS  count | mappings | addresses | flags | line counts | functions of all lines | line numbers of all lines (zigzag)
 *   TREE       count | per node: id - parent | per node: location             (node 0, the root, is not stored)
 *
 * Functions, locations and mappings begin at id 1. A reference beyond its table is corrupt, as is a count that the bytes
 * left could not hold: memory never exceeds a small multiple of the section.
 */
import { ByteReader, ByteWriter } from "@pyromesh/base";
import type { StacktraceTree, Symbols } from "@pyromesh/profile";

export function encodeStrings(symbols: Symbols): Uint8Array {
  const { stringBytes, stringCount, stringOffset } = symbols;
  const out = new ByteWriter(stringOffset[stringCount]! + stringCount * 2 + 16);
  out.uvarint(stringCount);
  for (let id = 0; id < stringCount; id++) out.uvarint(stringOffset[id + 1]! - stringOffset[id]!);
  out.raw(stringBytes.subarray(0, stringOffset[stringCount]!));
  return out.finish();
}

export function decodeStrings(raw: Uint8Array, object: string): Pick<Symbols, "stringCount" | "stringBytes" | "stringOffset"> {
  const reader = new ByteReader(raw, `${object} STRINGS`);
  const stringCount = countOf(reader, 1);
  const stringOffset = new Uint32Array(stringCount + 1);
  for (let id = 0; id < stringCount; id++) {
    const next = stringOffset[id]! + reader.uvarint();
    if (next > raw.length) reader.fail("strings within the section", `one ending at ${next}`);
    stringOffset[id + 1] = next;
  }
  const stringBytes = reader.raw(stringOffset[stringCount]!);
  endOf(reader);
  return { stringCount, stringBytes, stringOffset };
}

export function encodeMappings(symbols: Symbols): Uint8Array {
  const out = new ByteWriter();
  out.uvarint(symbols.mappingCount);
  for (let id = 1; id < symbols.mappingCount; id++) {
    out.uvarint64(symbols.mappingStart[id]!).uvarint64(symbols.mappingLimit[id]!).uvarint64(symbols.mappingFileOffset[id]!);
    out.uvarint(symbols.mappingFilename[id]!).uvarint(symbols.mappingBuildId[id]!).u8(symbols.mappingFlags[id]!);
  }
  return out.finish();
}

export function encodeFunctions(symbols: Symbols): Uint8Array {
  const { functionCount: count } = symbols;
  const out = new ByteWriter(count * 6);
  out.uvarint(count);
  for (let id = 1; id < count; id++) out.uvarint(symbols.functionName[id]!);
  for (let id = 1; id < count; id++) out.uvarint(symbols.functionSystemName[id]!);
  for (let id = 1; id < count; id++) out.uvarint(symbols.functionFilename[id]!);
  for (let id = 1; id < count; id++) out.uvarint(zigzag(symbols.functionStartLine[id]!));
  return out.finish();
}

export function encodeLocations(symbols: Symbols): Uint8Array {
  const { locationCount: count, lineStart } = symbols;
  const out = new ByteWriter(count * 8);
  out.uvarint(count);
  for (let id = 1; id < count; id++) out.uvarint(symbols.locationMapping[id]!);
  for (let id = 1; id < count; id++) {
    out.uvarint64((BigInt(symbols.locationAddressHigh[id]!) << 32n) | BigInt(symbols.locationAddressLow[id]!));
  }
  for (let id = 1; id < count; id++) out.u8(symbols.locationFlags[id]!);
  for (let id = 1; id < count; id++) out.uvarint(lineStart[id + 1]! - lineStart[id]!);
  for (let line = lineStart[1]!; line < lineStart[count]!; line++) out.uvarint(symbols.lineFunction[line]!);
  for (let line = lineStart[1]!; line < lineStart[count]!; line++) out.uvarint(zigzag(symbols.lineNumber[line]!));
  return out.finish();
}

/** Everything but the strings. `strings` bounds the references. */
export function decodeSymbols(
  sections: { readonly mappings: Uint8Array; readonly functions: Uint8Array; readonly locations: Uint8Array },
  strings: Pick<Symbols, "stringCount" | "stringBytes" | "stringOffset">,
  object: string,
): Symbols {
  let reader = new ByteReader(sections.mappings, `${object} MAPPINGS`);
  const mappingCount = countOf(reader, 6);
  const mappingStart = new BigUint64Array(mappingCount);
  const mappingLimit = new BigUint64Array(mappingCount);
  const mappingFileOffset = new BigUint64Array(mappingCount);
  const mappingFilename = new Uint32Array(mappingCount);
  const mappingBuildId = new Uint32Array(mappingCount);
  const mappingFlags = new Uint8Array(mappingCount);
  for (let id = 1; id < mappingCount; id++) {
    mappingStart[id] = reader.uvarint64();
    mappingLimit[id] = reader.uvarint64();
    mappingFileOffset[id] = reader.uvarint64();
    mappingFilename[id] = below(reader, strings.stringCount);
    mappingBuildId[id] = below(reader, strings.stringCount);
    mappingFlags[id] = reader.u8();
  }
  endOf(reader);

  reader = new ByteReader(sections.functions, `${object} FUNCTIONS`);
  const functionCount = countOf(reader, 4);
  const functionName = column(reader, functionCount, strings.stringCount);
  const functionSystemName = column(reader, functionCount, strings.stringCount);
  const functionFilename = column(reader, functionCount, strings.stringCount);
  const functionStartLine = signedColumn(reader, 1, functionCount);
  endOf(reader);

  reader = new ByteReader(sections.locations, `${object} LOCATIONS`);
  const locationCount = countOf(reader, 4);
  const locationMapping = column(reader, locationCount, Math.max(1, mappingCount));
  const locationAddressLow = new Uint32Array(locationCount);
  const locationAddressHigh = new Uint32Array(locationCount);
  for (let id = 1; id < locationCount; id++) {
    const address = reader.uvarint64();
    locationAddressLow[id] = Number(address & 0xffffffffn);
    locationAddressHigh[id] = Number(address >> 32n);
  }
  const locationFlags = new Uint8Array(locationCount);
  for (let id = 1; id < locationCount; id++) locationFlags[id] = reader.u8();
  const lineStart = new Uint32Array(locationCount + 1);
  for (let id = 1; id < locationCount; id++) {
    lineStart[id + 1] = lineStart[id]! + reader.uvarint();
    if (lineStart[id + 1]! > sections.locations.length) reader.fail("no more lines than bytes", `${lineStart[id + 1]}`);
  }
  const lineCount = lineStart[locationCount]!;
  const lineFunction = new Uint32Array(lineCount);
  for (let line = 0; line < lineCount; line++) lineFunction[line] = below(reader, Math.max(1, functionCount));
  const lineNumber = signedColumn(reader, 0, lineCount);
  endOf(reader);
  return {
    ...strings,
    mappingCount,
    mappingStart,
    mappingLimit,
    mappingFileOffset,
    mappingFilename,
    mappingBuildId,
    mappingFlags,
    functionCount,
    functionName,
    functionSystemName,
    functionFilename,
    functionStartLine,
    locationCount,
    locationMapping,
    locationAddressLow,
    locationAddressHigh,
    locationFlags,
    lineStart,
    lineCount,
    lineFunction,
    lineNumber,
  };
}

export function encodeTree(tree: StacktraceTree): Uint8Array {
  const out = new ByteWriter(tree.nodeCount * 4);
  out.uvarint(tree.nodeCount);
  for (let node = 1; node < tree.nodeCount; node++) out.uvarint(node - tree.nodeParent[node]!);
  for (let node = 1; node < tree.nodeCount; node++) out.uvarint(tree.nodeLocation[node]!);
  return out.finish();
}

export function decodeTree(raw: Uint8Array, locationCount: number, object: string): StacktraceTree {
  const reader = new ByteReader(raw, `${object} TREE`);
  const tree = readTree(reader, locationCount);
  endOf(reader);
  return tree;
}

/** Leaves the reader behind the tree. */
export function readTree(reader: ByteReader, locationCount: number): StacktraceTree {
  const nodeCount = countOf(reader, 2);
  const nodeParent = new Uint32Array(nodeCount);
  for (let node = 1; node < nodeCount; node++) {
    const distance = reader.uvarint();
    if (distance < 1 || distance > node) reader.fail(`a parent before node ${node}`, `distance ${distance}`);
    nodeParent[node] = node - distance;
  }
  const nodeLocation = column(reader, nodeCount, Math.max(1, locationCount));
  return { nodeCount, nodeParent, nodeLocation };
}

/** A count of entries that take at least `bytesEach`; entry 0 is never stored. */
export function countOf(reader: ByteReader, bytesEach: number): number {
  const count = reader.uvarint();
  if (count > reader.remaining / bytesEach + 1) reader.fail(`at most ${Math.floor(reader.remaining / bytesEach + 1)} entries`, `${count}`);
  return count;
}

export function below(reader: ByteReader, limit: number): number {
  const value = reader.uvarint();
  if (value >= limit) reader.fail(`an id below ${limit}`, `${value}`);
  return value;
}

export function endOf(reader: ByteReader): void {
  if (reader.remaining !== 0) reader.fail("the end of the section", `${reader.remaining} more bytes`);
}

function column(reader: ByteReader, count: number, limit: number): Uint32Array {
  const values = new Uint32Array(count);
  for (let id = 1; id < count; id++) values[id] = below(reader, limit);
  return values;
}

function signedColumn(reader: ByteReader, first: number, count: number): Float64Array {
  const values = new Float64Array(count);
  for (let id = first; id < count; id++) values[id] = unzigzag(reader.uvarint());
  return values;
}

/** Line numbers are doubles here; those beyond 2^52 are no line numbers and are held there. */
function zigzag(value: number): number {
  const held = Math.max(-(2 ** 51), Math.min(2 ** 51, Math.trunc(value)));
  return held < 0 ? -held * 2 - 1 : held * 2;
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
