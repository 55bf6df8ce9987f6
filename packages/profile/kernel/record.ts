/**
 * Writes the columns of a record's body (RECORD.md). They are canonical: they hold only what the samples refer to, numbered in the
 * order in which the samples, root first, refer to it. So pushes that differ only in how they number, order or compress their
 * tables give the same bytes.
 *
 *   samples --> nodes --> locations --> lines --> functions --> strings
 *                                   \-> mappings -----------/
 *
 * They stand in that order, since each is written while the next is being numbered. A reference says how far back it points: 0 is
 * the next new thing, n is n before the next new one; so most references take one byte.
 * The same columns, by the record's own numbers, are left in memory beside the bytes, so that a dataset need not read these again.
 *
 * Tables whose names end in `New` map an id of the push to its number in the record, plus 1; 0: not met yet. Between two records all
 * entries are 0, except that of the root node, which is always met.
 */
import {
  columnListAt,
  functionFilenameAt,
  functionNameAt,
  functionNewAt,
  functionsAt,
  functionStartLineAt,
  functionSystemNameAt,
  inputAt,
  lineFunctionAt,
  lineNumberAt,
  lineStartAt,
  locationAddressHighAt,
  locationAddressLowAt,
  locationFlagsAt,
  locationMappingAt,
  locationNewAt,
  locationsAt,
  mappingBuildIdAt,
  mappingFilenameAt,
  mappingFileOffsetAt,
  mappingFlagsAt,
  mappingLimitAt,
  mappingNewAt,
  mappingsAt,
  mappingStartAt,
  mergedNodeAt,
  nodeLocationAt,
  nodeNewAt,
  nodeParentAt,
  nodesAt,
  pathAt,
  recordFunctionFilenameAt,
  recordFunctionNameAt,
  recordFunctionStartLineAt,
  recordFunctionSystemNameAt,
  recordLineFunctionAt,
  recordLineNumberAt,
  recordLineStartAt,
  recordLocationAddressHighAt,
  recordLocationAddressLowAt,
  recordLocationFlagsAt,
  recordLocationMappingAt,
  recordMappingBuildIdAt,
  recordMappingFilenameAt,
  recordMappingFileOffsetAt,
  recordMappingFlagsAt,
  recordMappingLimitAt,
  recordMappingStartAt,
  recordNodeLocationAt,
  recordNodeParentAt,
  recordSampleNodeAt,
  recordStringOffsetAt,
  recordValueIsWideAt,
  recordValuesAt,
  stringEndAt,
  stringNewAt,
  stringsAt,
  stringStartAt,
  sumIsWideAt,
  sumsAt,
} from "./gen/layout";
import { at32, put32 } from "./memory";
import * as results from "./results";

/** Where the next byte goes. */
let pos: usize = 0;
let nodeCount: u32 = 0;
let locationCount: u32 = 0;
let lineCount: u32 = 0;
let functionCount: u32 = 0;
let mappingCount: u32 = 0;
let stringCount: u32 = 0;

@inline
function putByte(value: u32): void {
  store<u8>(pos, <u8>value);
  pos++;
}

@inline
function putVarint(value: u64): void {
  if (value < 0x80) putByte(<u32>value);
  else putLongVarint(value);
}

function putLongVarint(value: u64): void {
  let rest = value;
  let at = pos;
  while (rest >= 0x80) {
    store<u8>(at++, <u8>rest | 0x80);
    rest >>= 7;
  }
  store<u8>(at++, <u8>rest);
  pos = at;
}

@inline
function putZigzag(value: i64): void {
  putVarint(<u64>((value << 1) ^ (value >> 63)));
}

@inline
function put64(value: u64): void {
  store<u64>(pos, value);
  pos += 8;
}

/**
 * Writes from `from` on and returns where the last byte ends. The samples are merged ones, `sampleCount` of them at `list`, out of
 * `mergedCount`; their values are those of the `columnCount` columns in the list of columns.
 */
export function encodeColumns(from: usize, list: usize, sampleCount: u32, mergedCount: u32, columnCount: u32): usize {
  pos = from + 24; // room for six counts, which are written at the end
  const nodesMet = putNodes(list, sampleCount);
  putLocations();
  putFunctions();
  putMappings();
  const stringsFrom = putStrings();
  putSamples(list, sampleCount);
  for (let i: u32 = 0; i < nodesMet; i++) put32(nodeNewAt, at32(nodesAt, i), 0);
  for (let t: u32 = 0; t < columnCount; t++) {
    putValues(list, sampleCount, at32(columnListAt, t), mergedCount, t);
  }
  put32(from, 0, nodeCount);
  put32(from, 1, locationCount);
  put32(from, 2, lineCount);
  put32(from, 3, functionCount);
  put32(from, 4, mappingCount);
  put32(from, 5, stringCount);
  results.record(nodeCount, locationCount, lineCount, functionCount, mappingCount, stringCount, <u32>stringsFrom);
  return pos;
}

/** Writes nodes in the order in which the samples' paths meet them. Returns how many of the push's nodes were met, including those that are left out. */
function putNodes(list: usize, sampleCount: u32): u32 {
  let nodesMet: u32 = 0;
  let count: u32 = 0;
  let locations: u32 = 0;
  put32(nodeNewAt, 0, 1);
  put32(recordNodeParentAt, 0, 0);
  put32(recordNodeLocationAt, 0, 0);
  for (let i: u32 = 0; i < sampleCount; i++) {
    let node = at32(mergedNodeAt, at32(list, i));
    let depth: u32 = 0;
    while (at32(nodeNewAt, node) === 0) {
      put32(pathAt, depth++, node);
      node = at32(nodeParentAt, node);
    }
    let parent = at32(nodeNewAt, node) - 1;
    while (depth > 0) {
      node = at32(pathAt, --depth);
      put32(nodesAt, nodesMet++, node);
      const location = at32(nodeLocationAt, node);
      if (location !== 0) {
        count++;
        put32(recordNodeParentAt, count, parent);
        putVarint(count - 1 - parent);
        const known = at32(locationNewAt, location);
        if (known === 0) {
          put32(locationsAt, locations++, location);
          put32(locationNewAt, location, locations);
          put32(recordNodeLocationAt, count, locations);
          putByte(0);
        } else {
          put32(recordNodeLocationAt, count, known);
          putVarint(locations + 1 - known);
        }
        parent = count;
      }
      put32(nodeNewAt, node, parent + 1);
    }
  }
  nodeCount = count;
  locationCount = locations;
  return nodesMet;
}

/** Writes locations with their lines. */
function putLocations(): void {
  let lines: u32 = 0;
  functionCount = mappingCount = 0;
  for (let i: u32 = 0; i < locationCount; i++) {
    const own = i + 1;
    const location = at32(locationsAt, i);
    put32(locationNewAt, location, 0);
    put32(recordLineStartAt, own, lines);
    const lineFrom = at32(lineStartAt, location);
    const lineTo = at32(lineStartAt, location + 1);
    let ownLineCount: u32 = 0;
    for (let line = lineFrom; line < lineTo; line++) if (at32(lineFunctionAt, line) !== 0) ownLineCount++;
    const low = at32(locationAddressLowAt, location);
    const high = at32(locationAddressHighAt, location);
    const hasAddress = (low | high) !== 0;
    const isFolded = <u32>load<u8>(locationFlagsAt + location) & 1;
    put32(recordLocationAddressLowAt, own, low);
    put32(recordLocationAddressHighAt, own, high);
    store<u8>(recordLocationFlagsAt + own, <u8>isFolded);
    putVarint(ownLineCount * 4 + (hasAddress ? 2 : 0) + isFolded);
    const mapping = at32(locationMappingAt, location);
    let knownMapping: u32 = 0;
    if (mapping !== 0) {
      knownMapping = at32(mappingNewAt, mapping);
      if (knownMapping === 0) {
        put32(mappingsAt, mappingCount, mapping);
        knownMapping = ++mappingCount;
        put32(mappingNewAt, mapping, knownMapping);
      }
    }
    putVarint(knownMapping);
    put32(recordLocationMappingAt, own, knownMapping);
    if (hasAddress) put64((<u64>high << 32) | low);
    for (let line = lineFrom; line < lineTo; line++) {
      const called = at32(lineFunctionAt, line);
      if (called === 0) continue;
      let known = at32(functionNewAt, called);
      if (known === 0) {
        put32(functionsAt, functionCount, called);
        known = ++functionCount;
        put32(functionNewAt, called, known);
        putByte(0);
      } else putVarint(functionCount + 1 - known);
      put32(recordLineFunctionAt, lines, known);
      const number = load<f64>(lineNumberAt + (<usize>line << 3));
      store<f64>(recordLineNumberAt + (<usize>lines << 3), number);
      putZigzag(<i64>number);
      lines++;
    }
  }
  put32(recordLineStartAt, locationCount + 1, lines);
  put32(recordLineStartAt, 0, 0);
  lineCount = lines;
}

/** Writes the reference to a string; returns its number in the record. */
function putString(string: u32): u32 {
  if (at32(stringStartAt, string) === at32(stringEndAt, string)) {
    putByte(0); // the empty string, which a push may have under several numbers
    return 0;
  }
  let known = at32(stringNewAt, string);
  if (known === 0) {
    put32(stringsAt, stringCount, string);
    known = ++stringCount;
    put32(stringNewAt, string, known);
    putByte(1);
  } else putVarint(stringCount + 2 - known);
  return known;
}

function putFunctions(): void {
  stringCount = 0;
  for (let i: u32 = 0; i < functionCount; i++) {
    const own = i + 1;
    const called = at32(functionsAt, i);
    put32(functionNewAt, called, 0);
    put32(recordFunctionNameAt, own, putString(at32(functionNameAt, called)));
    put32(recordFunctionSystemNameAt, own, putString(at32(functionSystemNameAt, called)));
    put32(recordFunctionFilenameAt, own, putString(at32(functionFilenameAt, called)));
    const startLine = load<f64>(functionStartLineAt + (<usize>called << 3));
    store<f64>(recordFunctionStartLineAt + (<usize>own << 3), startLine);
    putZigzag(<i64>startLine);
  }
}

function putMappings(): void {
  for (let i: u32 = 0; i < mappingCount; i++) {
    const own = i + 1;
    const mapping = at32(mappingsAt, i);
    put32(mappingNewAt, mapping, 0);
    const start = load<u64>(mappingStartAt + (<usize>mapping << 3));
    const limit = load<u64>(mappingLimitAt + (<usize>mapping << 3));
    const fileOffset = load<u64>(mappingFileOffsetAt + (<usize>mapping << 3));
    const flags = <u32>load<u8>(mappingFlagsAt + mapping);
    store<u64>(recordMappingStartAt + (<usize>own << 3), start);
    store<u64>(recordMappingLimitAt + (<usize>own << 3), limit);
    store<u64>(recordMappingFileOffsetAt + (<usize>own << 3), fileOffset);
    store<u8>(recordMappingFlagsAt + own, <u8>flags);
    put64(start);
    put64(limit);
    put64(fileOffset);
    put32(recordMappingFilenameAt, own, putString(at32(mappingFilenameAt, mapping)));
    put32(recordMappingBuildIdAt, own, putString(at32(mappingBuildIdAt, mapping)));
    putByte(flags);
  }
}

/** Writes the lengths of all strings, then their bytes. Returns where the bytes begin. */
function putStrings(): usize {
  let offset: u32 = 0;
  put32(recordStringOffsetAt, 0, 0);
  for (let i: u32 = 0; i < stringCount; i++) {
    const string = at32(stringsAt, i);
    put32(stringNewAt, string, 0);
    const length = at32(stringEndAt, string) - at32(stringStartAt, string);
    put32(recordStringOffsetAt, i + 1, offset);
    offset += length;
    putVarint(length);
  }
  put32(recordStringOffsetAt, stringCount + 1, offset);
  const from = pos;
  let to = pos;
  for (let i: u32 = 0; i < stringCount; i++) {
    const string = at32(stringsAt, i);
    const start = at32(stringStartAt, string);
    const length = <usize>(at32(stringEndAt, string) - start);
    copyText(to, inputAt + start, length);
    to += length;
  }
  pos = to;
  return from;
}

/** Copies eight bytes at a time: strings are too many and too short for a call each. Up to 7 bytes behind the end are overwritten; what is written next lies there. */
@inline
function copyText(to: usize, from: usize, length: usize): void {
  if (length > 256) memory.copy(to, from, length);
  else for (let i: usize = 0; i < length; i += 8) store<u64>(to + i, load<u64>(from + i));
}

/** Writes each sample's node, as the difference from the one before. */
function putSamples(list: usize, sampleCount: u32): void {
  let previous: i32 = 0;
  for (let i: u32 = 0; i < sampleCount; i++) {
    const node = at32(nodeNewAt, at32(mergedNodeAt, at32(list, i))) - 1;
    put32(recordSampleNodeAt, i, node);
    const delta = <i32>node - previous;
    previous = <i32>node;
    putVarint(<u32>((delta << 1) ^ (delta >> 31)));
  }
}

/** Writes a column of values: 0 and varints below 2^53, or 1 and varints of 63 bits where one reaches 2^53. */
function putValues(list: usize, sampleCount: u32, column: u32, mergedCount: u32, own: u32): void {
  const into = recordValuesAt + ((<usize>own * sampleCount) << 3);
  const from = sumsAt + ((<usize>column * mergedCount) << 3);
  if (load<u8>(sumIsWideAt + column) === 0) {
    putByte(0);
    store<u8>(recordValueIsWideAt + own, 0);
    for (let i: u32 = 0; i < sampleCount; i++) {
      const value = load<f64>(from + (<usize>at32(list, i) << 3));
      store<f64>(into + (<usize>i << 3), value);
      putVarint(<u64>value);
    }
    return;
  }
  let isWide = false;
  for (let i: u32 = 0; i < sampleCount; i++) if (load<u64>(from + (<usize>at32(list, i) << 3)) >= 1 << 53) isWide = true;
  putByte(u32(isWide));
  store<u8>(recordValueIsWideAt + own, u8(isWide));
  for (let i: u32 = 0; i < sampleCount; i++) {
    const value = load<u64>(from + (<usize>at32(list, i) << 3));
    if (isWide) store<u64>(into + (<usize>i << 3), value);
    else store<f64>(into + (<usize>i << 3), <f64>value);
    putVarint(value);
  }
}
