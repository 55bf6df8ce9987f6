/**
 * Decodes pprof in one pass into columns: no object per message, one hash walk per sample (walk.ts).
 *
 * What must stay true:
 *   - Every read lies within the message it belongs to; what does not fit is refused, never guessed.
 *   - Unknown fields are skipped, whatever their number.
 *   - A column never outgrows its length (src/pprof/kernel-memory.ts): each entry cost the sender bytes.
 *
 * Samples with a negative value, and those with nothing but zeros, are dropped here, so that they take no place in the tree.
 * Numeric labels are dropped too. All other rules are in normalize.ts.
 *
 * Ids are the push's own until `normalize` resolves them. Columns of mappings, functions and locations start at 1, as
 * the ids of most profilers do, so that resolving mostly means finding nothing to do.
 */
import {
  ENDS_IN_LOCATION,
  ENDS_IN_MESSAGE,
  ENDS_IN_SAMPLE,
  functionFilenameAt,
  functionIdAt,
  functionNameAt,
  functionStartLineAt,
  functionSystemNameAt,
  inputAt,
  labelKeyAt,
  labelTextAt,
  lineFunctionAt,
  lineNumberAt,
  lineStartAt,
  locationAddressHighAt,
  locationAddressLowAt,
  locationFlagsAt,
  locationIdAt,
  locationMappingAt,
  looseAt,
  mappingBuildIdAt,
  mappingFilenameAt,
  mappingFileOffsetAt,
  mappingFlagsAt,
  mappingIdAt,
  mappingLimitAt,
  mappingStartAt,
  sampleLabelStartAt,
  sampleNodeAt,
  stringEndAt,
  stringStartAt,
  TOO_MANY_LABELS,
  TOO_MANY_MAPPINGS,
  TOO_MANY_SAMPLES,
  TOO_MANY_TYPES,
  typeTypeAt,
  typeUnitAt,
  VALUE_COUNTS,
  valuesAt,
} from "./gen/layout";
import { idNumber } from "./ids";
import { mappingCapacity, put32, typeCapacity } from "./memory";
import { refuse } from "./refusal";
import * as results from "./results";
import { checkIds, clearTree, closeTree, leafOf } from "./walk";
import { endsOf, lengthOf, next, otherField, small, valueOf, varint } from "./wire";

@external("host", "checkUtf8")
declare function checkUtf8(from: usize, to: usize): void;

/** Tags: field number << 3 | wire type. */
const PROFILE_SAMPLE_TYPE: u32 = 0x0a;
const PROFILE_SAMPLE: u32 = 0x12;
const PROFILE_MAPPING: u32 = 0x1a;
const PROFILE_LOCATION: u32 = 0x22;
const PROFILE_FUNCTION: u32 = 0x2a;
const PROFILE_STRING: u32 = 0x32;
const PROFILE_TIME: u32 = 0x48;
const PROFILE_DURATION: u32 = 0x50;
const PROFILE_PERIOD_TYPE: u32 = 0x5a;
const PROFILE_PERIOD: u32 = 0x60;

let sampleCountMax: u32 = 0;
let depthMax: u32 = 0;
let labelCountMax: u32 = 0;

let arrivedSampleCount: u32 = 0;
let valueCount: u32 = 0;
let sampleCount: u32 = 0;
let labelCount: u32 = 0;
let stringCount: u32 = 0;
let stringLengthMax: u32 = 0;
let typeCount: u32 = 0;
let mappingCount: u32 = 0;
let functionCount: u32 = 0;
let locationCount: u32 = 0;
let lineCount: u32 = 0;
/** The highest string index of each kind of reference: one comparison says whether all are in range. */
let typeStringMax: u32 = 0;
let labelStringMax: u32 = 0;
let functionStringMax: u32 = 0;
let mappingStringMax: u32 = 0;

/** Decodes `length` bytes of input. `seed`: any 32 bits that the sender cannot know; they change no result. */
export function decodeProfile(length: u32, seed: u32, samplesMax: u32, nodesMax: u32, framesMax: u32, labelsMax: u32): void {
  sampleCountMax = samplesMax;
  depthMax = framesMax;
  labelCountMax = labelsMax;
  arrivedSampleCount = valueCount = sampleCount = labelCount = 0;
  stringCount = stringLengthMax = typeCount = mappingCount = functionCount = locationCount = lineCount = 0;
  typeStringMax = labelStringMax = functionStringMax = mappingStringMax = 0;
  results.clear();
  clearTree(length, nodesMax, seed);
  profile(inputAt, inputAt + length);
  closeTree();
  put32(sampleLabelStartAt, sampleCount, labelCount);
  put32(lineStartAt, 0, 0);
  put32(lineStartAt, locationCount + 1, lineCount);
  results.counts(arrivedSampleCount, valueCount, sampleCount, labelCount, stringCount, stringLengthMax, typeCount, mappingCount, functionCount, locationCount, lineCount);
  results.stringMaxima(typeStringMax, labelStringMax, functionStringMax, mappingStringMax);
}

function profile(from: usize, end: usize): void {
  // Strings that follow each other are checked as UTF-8 in one run. Between them stand a tag and a length below 128, which are
  // ASCII, so the run is valid exactly if each string is. A longer length ends the run.
  let runStart: usize = 0;
  let runEnd: usize = 0;
  let pos = from;
  while (pos < end) {
    const tagAt = pos;
    const tag = <u32>load<u8>(pos++);
    let to = pos;
    if ((tag & 7) === 2 && tag < 0x80) {
      const length = small(varint(pos, end));
      pos = next;
      if (<usize>length > end - pos) refuse(ENDS_IN_MESSAGE);
      to = pos + length;
    }
    switch (tag) {
      case PROFILE_SAMPLE:
        sample(pos, to);
        pos = to;
        break;
      case PROFILE_LOCATION:
        location(pos, to);
        pos = to;
        break;
      case PROFILE_FUNCTION:
        func(pos, to);
        pos = to;
        break;
      case PROFILE_STRING: {
        const index = stringCount++;
        if (tagAt !== runEnd || to - pos >= 0x80) {
          if (runEnd > runStart) checkText(runStart, runEnd);
          runStart = pos;
        }
        put32(stringStartAt, index, <u32>(pos - inputAt));
        put32(stringEndAt, index, <u32>(to - inputAt));
        if (<u32>(to - pos) > stringLengthMax) stringLengthMax = <u32>(to - pos);
        runEnd = to;
        pos = to;
        break;
      }
      case PROFILE_MAPPING:
        mapping(pos, to);
        pos = to;
        break;
      case PROFILE_SAMPLE_TYPE:
      case PROFILE_PERIOD_TYPE:
        valueType(pos, to, tag === PROFILE_PERIOD_TYPE);
        pos = to;
        break;
      case PROFILE_TIME:
        results.time(varint(pos, end));
        pos = next;
        break;
      case PROFILE_DURATION:
        results.duration(varint(pos, end));
        pos = next;
        break;
      case PROFILE_PERIOD:
        results.period(varint(pos, end));
        pos = next;
        break;
      default:
        pos = otherField(tagAt, end, true);
    }
  }
  if (runEnd > runStart) checkText(runStart, runEnd);
}

/** Most text is ASCII; other text is checked by JavaScript. */
function checkText(from: usize, to: usize): void {
  let pos = from;
  let seen: u64 = 0;
  for (; pos + 8 <= to; pos += 8) seen |= load<u64>(pos);
  for (; pos < to; pos++) seen |= <u64>load<u8>(pos);
  if ((seen & 0x8080_8080_8080_8080) !== 0) checkUtf8(from - inputAt, to - inputAt);
}

/** Reads a sample as profilers write it, with short varints and known fields, checking once at the end. Any other is read again by `sampleCarefully`. */
function sample(from: usize, end: usize): void {
  if (++arrivedSampleCount > sampleCountMax) refuse(TOO_MANY_SAMPLES);
  const firstAt = valuesAt + (<usize>(sampleCount * valueCount) << 3);
  let at = firstAt;
  let idsFrom: usize = 0;
  let idsTo: usize = 0;
  let arrivedLabelCount: u32 = 0;
  let labelTo = labelCount;
  let stringMax: u64 = 0;
  let seen: u64 = 0; // all values' bits: none of them set where all are zero, the highest where one is negative
  let isOdd = false;
  let pos = from;
  while (pos < end) {
    const tag = <u32>load<u8>(pos);
    const word = load<u64>(pos, 1);
    const ends = endsOf(word);
    const length = valueOf(word, ends);
    pos += 1 + lengthOf(ends);
    if (tag === 0x08) {
      // Ids in fields of their own are copied behind each other, as they lie in a packed run.
      if (idsTo === 0) idsFrom = idsTo = looseAt;
      isOdd = isOdd || ends === 0 || idsFrom !== looseAt;
      if (isOdd) break;
      store<u64>(idsTo, word);
      idsTo += lengthOf(ends);
      continue;
    }
    isOdd = isOdd || ends === 0 || pos > end || length > <u64>(end - pos);
    if (isOdd) break;
    const to = pos + <usize>length;
    if (tag === 0x12) {
      while (pos < to) {
        const word = load<u64>(pos);
        const ends = endsOf(word);
        const value = valueOf(word, ends);
        pos += lengthOf(ends);
        isOdd = isOdd || ends === 0;
        store<u64>(at, value);
        seen |= value;
        at += 8;
      }
    } else if (tag === 0x0a) {
      isOdd = isOdd || idsTo !== 0;
      idsFrom = pos;
      idsTo = to;
      pos = to;
    } else if (tag === 0x1a) {
      arrivedLabelCount++;
      let key: u64 = 0;
      let text: u64 = 0;
      let unit: u64 = 0;
      while (pos < to) {
        const tag = <u32>load<u8>(pos);
        const word = load<u64>(pos, 1);
        const ends = endsOf(word);
        const value = valueOf(word, ends);
        pos += 1 + lengthOf(ends);
        isOdd = isOdd || ends === 0;
        if (tag === 0x08) key = value;
        else if (tag === 0x10) text = value;
        else if (tag === 0x20) unit = value;
        else isOdd = isOdd || tag !== 0x18;
      }
      if (key > stringMax) stringMax = key;
      if (text > stringMax) stringMax = text;
      if (unit > stringMax) stringMax = unit;
      if (text !== 0) {
        put32(labelKeyAt, labelTo, <u32>key);
        put32(labelTextAt, labelTo, <u32>text);
        labelTo++;
      }
    } else isOdd = true;
    isOdd = isOdd || pos !== to;
  }
  if (isOdd || pos !== end || stringMax > 0x7fff_ffff) return sampleCarefully(from, end);
  if (<u32>stringMax > labelStringMax) labelStringMax = <u32>stringMax;
  keepSample(idsFrom, idsTo, <u32>((at - firstAt) >> 3), seen, arrivedLabelCount, labelTo);
}

/** Keeps or drops a sample whose values and labels were written behind those of the kept ones; dropping leaves them to be overwritten. */
function keepSample(idsFrom: usize, idsTo: usize, ownValueCount: u32, seen: u64, arrivedLabelCount: u32, labelTo: u32): void {
  if (arrivedLabelCount > labelCountMax) refuse(TOO_MANY_LABELS, arrivedLabelCount);
  if (arrivedSampleCount === 1) valueCount = ownValueCount;
  else if (ownValueCount !== valueCount) refuse(VALUE_COUNTS, valueCount, ownValueCount);
  if (seen === 0 || <i64>seen < 0) {
    checkIds(idsFrom, idsTo);
    return;
  }
  put32(sampleNodeAt, sampleCount, leafOf(idsFrom, idsTo, depthMax));
  put32(sampleLabelStartAt, sampleCount, labelCount);
  labelCount = labelTo;
  sampleCount++;
}

function sampleCarefully(from: usize, end: usize): void {
  const firstAt = valuesAt + (<usize>(sampleCount * valueCount) << 3);
  let at = firstAt;
  let idsFrom: usize = 0;
  let idsTo: usize = 0;
  let arrivedLabelCount: u32 = 0;
  let labelTo = labelCount;
  let seen: u64 = 0;
  let pos = from;
  while (pos < end) {
    const tagAt = pos;
    const tag = <u32>load<u8>(pos++);
    if (tag === 0x0a || tag === 0x12 || tag === 0x1a) {
      const length = small(varint(pos, end));
      pos = next;
      if (<usize>length > end - pos) refuse(ENDS_IN_SAMPLE);
      const to = pos + length;
      if (tag === 0x0a) {
        if (idsTo === idsFrom) {
          idsFrom = pos;
          idsTo = to;
        } else {
          idsTo = looseRun(idsFrom, idsTo, pos, to);
          idsFrom = looseAt;
        }
        pos = to;
      } else if (tag === 0x12) {
        while (pos < to) {
          const value = varint(pos, to);
          pos = next;
          seen |= value;
          store<u64>(at, value);
          at += 8;
        }
      } else {
        arrivedLabelCount++;
        labelTo = label(pos, to, labelTo);
        pos = to;
      }
    } else if (tag === 0x08) {
      varint(pos, end);
      idsTo = looseRun(idsFrom, idsTo, pos, next);
      idsFrom = looseAt;
      pos = next;
    } else if (tag === 0x10) {
      const value = varint(pos, end);
      pos = next;
      seen |= value;
      store<u64>(at, value);
      at += 8;
    } else pos = otherField(tagAt, end, false);
  }
  keepSample(idsFrom, idsTo, <u32>((at - firstAt) >> 3), seen, arrivedLabelCount, labelTo);
}

/** Appends [from, to) to the ids gathered so far; returns their end. They stand at `looseAt` then. */
function looseRun(idsFrom: usize, idsTo: usize, from: usize, to: usize): usize {
  const gathered = idsTo - idsFrom;
  if (gathered > 0 && idsFrom !== looseAt) memory.copy(looseAt, idsFrom, gathered);
  memory.copy(looseAt + gathered, from, to - from);
  return looseAt + gathered + (to - from);
}

/** Returns where the next label goes. */
function label(from: usize, end: usize, index: u32): u32 {
  let key: u32 = 0;
  let text: u32 = 0;
  let unit: u32 = 0;
  let pos = from;
  while (pos < end) {
    const tagAt = pos;
    const tag = <u32>load<u8>(pos++);
    if (tag !== 0x08 && tag !== 0x10 && tag !== 0x18 && tag !== 0x20) {
      pos = otherField(tagAt, end, false);
      continue;
    }
    const value = small(varint(pos, end));
    pos = next;
    if (tag === 0x08) key = value;
    else if (tag === 0x10) text = value;
    else if (tag === 0x20) unit = value;
  }
  if (key > labelStringMax) labelStringMax = key;
  if (unit > labelStringMax) labelStringMax = unit;
  if (text === 0) return index; // numeric
  if (text > labelStringMax) labelStringMax = text;
  put32(labelKeyAt, index, key);
  put32(labelTextAt, index, text);
  return index + 1;
}

function location(from: usize, end: usize): void {
  let id: u64 = 0;
  let mapping: u64 = 0;
  let address: u64 = 0;
  let flags: u32 = 0;
  let lineTo = lineCount;
  let isOdd = false;
  let pos = from;
  while (pos < end) {
    const tag = <u32>load<u8>(pos);
    const word = load<u64>(pos, 1);
    const ends = endsOf(word);
    const value = valueOf(word, ends);
    pos += 1 + lengthOf(ends);
    isOdd = isOdd || ends === 0;
    if (tag === 0x08) id = value;
    else if (tag === 0x10) mapping = value;
    else if (tag === 0x18) address = value;
    else if (tag === 0x28) flags = u32(value !== 0);
    else if (tag === 0x22) {
      isOdd = isOdd || pos > end || value > <u64>(end - pos);
      if (isOdd) break;
      const to = pos + <usize>value;
      let functionId: u64 = 0;
      let number: u64 = 0;
      while (pos < to) {
        const tag = <u32>load<u8>(pos);
        const word = load<u64>(pos, 1);
        const ends = endsOf(word);
        const value = valueOf(word, ends);
        pos += 1 + lengthOf(ends);
        isOdd = isOdd || ends === 0;
        if (tag === 0x08) functionId = value;
        else if (tag === 0x10) number = value;
        else isOdd = true;
      }
      isOdd = isOdd || pos !== to || functionId >= 0x8000_0000;
      put32(lineFunctionAt, lineTo, <u32>functionId);
      store<f64>(lineNumberAt + (<usize>lineTo << 3), lineNumberOf(number));
      lineTo++;
    } else isOdd = true;
  }
  if (isOdd || pos !== end || (id | mapping) >= 0x8000_0000) return locationCarefully(from, end);
  keepLocation(<u32>id, <u32>mapping, address, flags, lineTo);
}

function keepLocation(id: u32, mapping: u32, address: u64, flags: u32, lineTo: u32): void {
  const index = ++locationCount;
  put32(locationIdAt, index, id);
  put32(locationMappingAt, index, mapping);
  put32(locationAddressLowAt, index, <u32>address);
  put32(locationAddressHighAt, index, <u32>(address >> 32));
  store<u8>(locationFlagsAt + index, <u8>flags);
  put32(lineStartAt, index, lineCount);
  lineCount = lineTo;
}

function locationCarefully(from: usize, end: usize): void {
  let id: u32 = 0;
  let mapping: u32 = 0;
  let address: u64 = 0;
  let flags: u32 = 0;
  let lineTo = lineCount;
  let pos = from;
  while (pos < end) {
    const tagAt = pos;
    const tag = <u32>load<u8>(pos++);
    if (tag !== 0x22 && tag !== 0x08 && tag !== 0x10 && tag !== 0x18 && tag !== 0x28) {
      pos = otherField(tagAt, end, false);
      continue;
    }
    const value = varint(pos, end);
    pos = next;
    if (tag === 0x22) {
      const length = small(value);
      if (<usize>length > end - pos) refuse(ENDS_IN_LOCATION);
      line(pos, pos + length, lineTo++);
      pos += length;
    } else if (tag === 0x08) id = idNumber(value);
    else if (tag === 0x10) mapping = idNumber(value);
    else if (tag === 0x18) address = value;
    else flags = u32(value !== 0);
  }
  keepLocation(id, mapping, address, flags, lineTo);
}

function line(from: usize, end: usize, index: u32): void {
  let functionId: u32 = 0;
  let number: f64 = 0;
  let pos = from;
  while (pos < end) {
    const tagAt = pos;
    const tag = <u32>load<u8>(pos++);
    if (tag !== 0x08 && tag !== 0x10) {
      pos = otherField(tagAt, end, false);
      continue;
    }
    const value = varint(pos, end);
    pos = next;
    if (tag === 0x08) functionId = idNumber(value);
    else number = lineNumberOf(value);
  }
  put32(lineFunctionAt, index, functionId);
  store<f64>(lineNumberAt + (<usize>index << 3), number);
}

/** A line number is for display: it is kept from -2^51 to 2^51 (doubled by zigzag it is still exact in a double), and is 0 beyond. */
@inline
function lineNumberOf(value: u64): f64 {
  const number = <i64>value;
  return number <= 1 << 51 && number >= -(1 << 51) ? <f64>number : 0;
}

function func(from: usize, end: usize): void {
  let id: u64 = 0;
  let name: u64 = 0;
  let systemName: u64 = 0;
  let filename: u64 = 0;
  let startLine: u64 = 0;
  let isOdd = false;
  let pos = from;
  while (pos < end) {
    const tag = <u32>load<u8>(pos);
    const word = load<u64>(pos, 1);
    const ends = endsOf(word);
    const value = valueOf(word, ends);
    pos += 1 + lengthOf(ends);
    isOdd = isOdd || ends === 0;
    if (tag === 0x08) id = value;
    else if (tag === 0x10) name = value;
    else if (tag === 0x18) systemName = value;
    else if (tag === 0x20) filename = value;
    else if (tag === 0x28) startLine = value;
    else isOdd = true;
  }
  if (isOdd || pos !== end || (id | name | systemName | filename) >= 0x8000_0000) return funcCarefully(from, end);
  keepFunction(<u32>id, <u32>name, <u32>systemName, <u32>filename, lineNumberOf(startLine));
}

function funcCarefully(from: usize, end: usize): void {
  let id: u32 = 0;
  let name: u32 = 0;
  let systemName: u32 = 0;
  let filename: u32 = 0;
  let startLine: f64 = 0;
  let pos = from;
  while (pos < end) {
    const tagAt = pos;
    const tag = <u32>load<u8>(pos++);
    if (tag > 0x28 || (tag & 7) !== 0 || tag === 0) {
      pos = otherField(tagAt, end, false);
      continue;
    }
    const value = varint(pos, end);
    pos = next;
    if (tag === 0x08) id = idNumber(value);
    else if (tag === 0x10) name = small(value);
    else if (tag === 0x18) systemName = small(value);
    else if (tag === 0x20) filename = small(value);
    else startLine = lineNumberOf(value);
  }
  keepFunction(id, name, systemName, filename, startLine);
}

function keepFunction(id: u32, name: u32, systemName: u32, filename: u32, startLine: f64): void {
  const index = ++functionCount;
  if (name > functionStringMax) functionStringMax = name;
  if (systemName > functionStringMax) functionStringMax = systemName;
  if (filename > functionStringMax) functionStringMax = filename;
  put32(functionIdAt, index, id);
  put32(functionNameAt, index, name);
  put32(functionSystemNameAt, index, systemName);
  put32(functionFilenameAt, index, filename);
  store<f64>(functionStartLineAt + (<usize>index << 3), startLine);
}

function mapping(from: usize, end: usize): void {
  const index = ++mappingCount;
  if (index >= mappingCapacity) refuse(TOO_MANY_MAPPINGS, mappingCapacity - 1);
  let id: u32 = 0;
  let start: u64 = 0;
  let limit: u64 = 0;
  let fileOffset: u64 = 0;
  let filename: u32 = 0;
  let buildId: u32 = 0;
  let flags: u32 = 0;
  let pos = from;
  while (pos < end) {
    const tagAt = pos;
    const tag = <u32>load<u8>(pos++);
    if (tag > 0x50 || (tag & 7) !== 0 || tag === 0) {
      pos = otherField(tagAt, end, false);
      continue;
    }
    const value = varint(pos, end);
    pos = next;
    if (tag === 0x08) id = idNumber(value);
    else if (tag === 0x10) start = value;
    else if (tag === 0x18) limit = value;
    else if (tag === 0x20) fileOffset = value;
    else if (tag === 0x28) filename = small(value);
    else if (tag === 0x30) buildId = small(value);
    else {
      const bit: u32 = 1 << ((tag >> 3) - 7); // has_functions is field 7, and bit 0
      flags = value !== 0 ? flags | bit : flags & ~bit;
    }
    if (filename > mappingStringMax) mappingStringMax = filename;
    if (buildId > mappingStringMax) mappingStringMax = buildId;
  }
  const offset = <usize>index << 3;
  put32(mappingIdAt, index, id);
  store<u64>(mappingStartAt + offset, start);
  store<u64>(mappingLimitAt + offset, limit);
  store<u64>(mappingFileOffsetAt + offset, fileOffset);
  put32(mappingFilenameAt, index, filename);
  put32(mappingBuildIdAt, index, buildId);
  store<u8>(mappingFlagsAt + index, <u8>flags);
}

function valueType(from: usize, end: usize, isPeriod: bool): void {
  let type: u32 = 0;
  let unit: u32 = 0;
  let pos = from;
  while (pos < end) {
    const tagAt = pos;
    const tag = <u32>load<u8>(pos++);
    if (tag !== 0x08 && tag !== 0x10) {
      pos = otherField(tagAt, end, false);
      continue;
    }
    const value = small(varint(pos, end));
    pos = next;
    if (tag === 0x08) type = value;
    else unit = value;
  }
  if (type > typeStringMax) typeStringMax = type;
  if (unit > typeStringMax) typeStringMax = unit;
  if (isPeriod) {
    results.periodType(type, unit);
    return;
  }
  if (typeCount >= typeCapacity) refuse(TOO_MANY_TYPES, typeCapacity);
  put32(typeTypeAt, typeCount, type);
  put32(typeUnitAt, typeCount, unit);
  typeCount++;
}
