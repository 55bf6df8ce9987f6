/**
 * Decodes pprof in one pass into columns: no object per message, one hash walk per sample (stacktrace-walk.ts).
 *
 * What must stay true:
 *   - Every read lies within the message it belongs to; what does not fit is refused, never guessed.
 *   - 64-bit values are exact: what a double cannot hold is kept beside it in `bigValues`.
 *   - Unknown fields are skipped, whatever their number.
 *   - A column never outgrows the input by more than a constant factor: each entry cost the sender two bytes at least.
 *
 * Samples with a negative value, and those with none but zeros, are dropped here, since they need no place in the tree
 * (reference 2.4). Numeric labels go with them. Everything else that is a rule is in normalize.ts.
 *
 * Ids are the push's own until `normalize` resolves them. Columns of mappings, functions and locations start at 1, as
 * the ids of most profilers do, so that resolving mostly means finding nothing to do.
 */
import { isUtf8 } from "node:buffer";
import type { ProfileLimits } from "./limits.ts";
import { orUnbounded, tooManySamples } from "./limits.ts";
import { malformed, refusal } from "./refusal.ts";
import { readVarint, signedOf, skipField, smallOf, unsignedOf } from "./protobuf-wire.ts";
import { grown } from "./scratch.ts";
import { checkIds, IdInterner, StacktraceWalk } from "./stacktrace-walk.ts";

/** Tags: field number << 3 | wire type. */
const PROFILE_SAMPLE_TYPE = 0x0a;
const PROFILE_SAMPLE = 0x12;
const PROFILE_MAPPING = 0x1a;
const PROFILE_LOCATION = 0x22;
const PROFILE_FUNCTION = 0x2a;
const PROFILE_STRING = 0x32;
const PROFILE_TIME = 0x48;
const PROFILE_DURATION = 0x50;
const PROFILE_PERIOD_TYPE = 0x5a;
const PROFILE_PERIOD = 0x60;

/** Wire types of the known fields 1 to 14 of Profile; comment (13) comes packed or not. */
const PROFILE_WIRE_TYPES = [-1, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 2, 0, -1, 0];

export class PprofDecoder {
  /** The input; normalise may replace it by one with rewritten names behind it. Strings point into it. */
  bytes: Uint8Array = new Uint8Array(0);

  /** Samples as they came, the dropped ones included. */
  arrivedSampleCount = 0;
  /** Values per sample. */
  valueCount = 0;
  sampleCount = 0;
  sampleNode: Uint32Array = new Uint32Array(1 << 10);
  /** sampleCount * valueCount, a sample's values together. */
  values: Float64Array = new Float64Array(1 << 12);
  /** Exact values from 2^53 on, by their index in `values`; undefined where there are none. */
  bigValues: Map<number, bigint> | undefined;
  /** Labels of sample i: sampleLabelStart[i] .. sampleLabelStart[i + 1]. */
  sampleLabelStart: Uint32Array = new Uint32Array(1 << 10);
  labelCount = 0;
  labelKey: Uint32Array = new Uint32Array(1 << 10);
  labelText: Uint32Array = new Uint32Array(1 << 10);
  readonly tree: StacktraceWalk = new StacktraceWalk();

  stringCount = 0;
  stringStart: Uint32Array = new Uint32Array(1 << 10);
  stringEnd: Uint32Array = new Uint32Array(1 << 10);
  stringLengthMax = 0;

  typeCount = 0;
  typeType: Uint32Array = new Uint32Array(16);
  typeUnit: Uint32Array = new Uint32Array(16);
  periodTypeType = 0;
  periodTypeUnit = 0;
  timeNs = 0n;
  durationNs = 0n;
  period = 0n;

  mappingCount = 0;
  mappingId: Uint32Array = new Uint32Array(16);
  mappingStart: BigUint64Array = new BigUint64Array(16);
  mappingLimit: BigUint64Array = new BigUint64Array(16);
  mappingFileOffset: BigUint64Array = new BigUint64Array(16);
  mappingFilename: Uint32Array = new Uint32Array(16);
  mappingBuildId: Uint32Array = new Uint32Array(16);
  mappingFlags: Uint8Array = new Uint8Array(16);

  functionCount = 0;
  functionId: Uint32Array = new Uint32Array(1 << 10);
  functionName: Uint32Array = new Uint32Array(1 << 10);
  functionSystemName: Uint32Array = new Uint32Array(1 << 10);
  functionFilename: Uint32Array = new Uint32Array(1 << 10);
  functionStartLine: Float64Array = new Float64Array(1 << 10);

  locationCount = 0;
  locationId: Uint32Array = new Uint32Array(1 << 10);
  locationMapping: Uint32Array = new Uint32Array(1 << 10);
  locationAddressLow: Uint32Array = new Uint32Array(1 << 10);
  locationAddressHigh: Uint32Array = new Uint32Array(1 << 10);
  locationFlags: Uint8Array = new Uint8Array(1 << 10);
  /** Lines of location i: lineStart[i] .. lineStart[i + 1]. */
  lineStart: Uint32Array = new Uint32Array(1 << 10);
  lineCount = 0;
  lineFunction: Uint32Array = new Uint32Array(1 << 10);
  lineNumber: Float64Array = new Float64Array(1 << 10);

  /** The highest string index each kind of reference names: one comparison each tells whether all are in range. */
  readonly stringMax = { type: 0, label: 0, functionField: 0, mappingField: 0 };

  readonly #lanes = new Uint32Array(2);
  readonly #ids = new IdInterner();
  #sampleCountMax = 0;
  #depthMax = 0;
  #labelCountMax = 0;
  /** Location ids that did not come as one packed run, put together. */
  #looseIds = new Uint8Array(64);

  /** `hashSeed`: any 32 bits the sender cannot know; they change no result. */
  decode(bytes: Uint8Array, limits: ProfileLimits, hashSeed: number): void {
    // Node's Buffer is a subclass: one class of array keeps the loops monomorphic.
    const input = bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#clear(input, limits);
    this.tree.clear(input.length, hashSeed);
    this.#profile(input);
    this.sampleLabelStart[this.sampleCount] = this.labelCount;
    this.lineStart[0] = 0;
    this.lineStart[this.locationCount + 1] = this.lineCount;
  }

  #clear(bytes: Uint8Array, limits: ProfileLimits): void {
    this.bytes = bytes;
    this.#sampleCountMax = orUnbounded(limits.sampleCountMax);
    this.#depthMax = orUnbounded(limits.stacktraceDepthMax);
    this.#labelCountMax = orUnbounded(limits.sampleLabelCountMax);
    this.#ids.clear();
    this.arrivedSampleCount = this.valueCount = this.sampleCount = this.labelCount = 0;
    this.bigValues = undefined;
    this.stringCount = this.stringLengthMax = this.typeCount = this.mappingCount = 0;
    this.functionCount = this.locationCount = this.lineCount = 0;
    this.periodTypeType = this.periodTypeUnit = 0;
    this.timeNs = this.durationNs = this.period = 0n;
    const max = this.stringMax;
    max.type = max.label = max.functionField = max.mappingField = 0;
  }

  #profile(bytes: Uint8Array): void {
    const lanes = this.#lanes;
    const end = bytes.length;
    let pos = 0;
    // Strings that follow each other are checked as UTF-8 in one run: the tag and a length below 128 between them are
    // ASCII, so the run is valid exactly if each string is. A longer length ends the run.
    let runStart = 0;
    let runEnd = -1;
    while (pos < end) {
      const tagPos = pos;
      const tag = bytes[pos++]!;
      let length = 0;
      if ((tag & 7) === 2 && tag < 0x80) {
        length = pos < end ? bytes[pos++]! : 0x80;
        if (length >= 0x80) {
          pos = readVarint(bytes, tagPos + 1, end, lanes);
          length = smallOf(lanes);
        }
        if (length > end - pos) throw malformed("the profile ends inside a message: send all of its bytes");
      }
      switch (tag) {
        case PROFILE_SAMPLE:
          this.#sample(bytes, pos, pos + length);
          pos += length;
          break;
        case PROFILE_LOCATION:
          this.#location(bytes, pos, pos + length);
          pos += length;
          break;
        case PROFILE_FUNCTION:
          this.#function(bytes, pos, pos + length);
          pos += length;
          break;
        case PROFILE_STRING: {
          const index = this.stringCount++;
          if (index === this.stringStart.length) {
            this.stringStart = grown(this.stringStart, index + 1);
            this.stringEnd = grown(this.stringEnd, index + 1);
          }
          if (tagPos !== runEnd || length >= 0x80) {
            if (runEnd > runStart) checkUtf8(bytes, runStart, runEnd);
            runStart = pos;
          }
          this.stringStart[index] = pos;
          pos += length;
          this.stringEnd[index] = pos;
          runEnd = pos;
          if (length > this.stringLengthMax) this.stringLengthMax = length;
          break;
        }
        case PROFILE_MAPPING:
          this.#mapping(bytes, pos, pos + length);
          pos += length;
          break;
        case PROFILE_SAMPLE_TYPE:
        case PROFILE_PERIOD_TYPE:
          this.#valueType(bytes, pos, pos + length, tag === PROFILE_PERIOD_TYPE);
          pos += length;
          break;
        case PROFILE_TIME:
          pos = readVarint(bytes, pos, end, lanes);
          this.timeNs = signedOf(lanes);
          break;
        case PROFILE_DURATION:
          pos = readVarint(bytes, pos, end, lanes);
          this.durationNs = signedOf(lanes);
          break;
        case PROFILE_PERIOD:
          pos = readVarint(bytes, pos, end, lanes);
          this.period = signedOf(lanes);
          break;
        default:
          pos = this.#otherField(bytes, tagPos, end, PROFILE_WIRE_TYPES);
      }
    }
    if (runEnd > runStart) checkUtf8(bytes, runStart, runEnd);
  }

  /** Skips a field that is not kept. `wireTypes` gives the wire type of each known field number. */
  #otherField(bytes: Uint8Array, tagPos: number, end: number, wireTypes: readonly number[]): number {
    const lanes = this.#lanes;
    const pos = readVarint(bytes, tagPos, end, lanes);
    if (lanes[1] !== 0 || lanes[0]! < 8) throw malformed("the profile holds a field number that protobuf does not have: send a pprof profile");
    if (pos > tagPos + 1 && bytes[pos - 1] === 0) throw malformed("the profile holds a field number with needless zero bytes: encode it as protobuf does");
    const field = lanes[0]! >>> 3;
    const wireType = lanes[0]! & 7;
    const expected = wireTypes[field];
    if (expected !== undefined && expected >= 0 && expected !== wireType) {
      throw malformed(`field ${field} of the profile has wire type ${wireType} instead of ${expected}: send a pprof profile`);
    }
    return skipField(bytes, pos, end, wireType, lanes);
  }

  #sample(bytes: Uint8Array, from: number, end: number): void {
    const lanes = this.#lanes;
    if (++this.arrivedSampleCount > this.#sampleCountMax) throw tooManySamples(this.#sampleCountMax);
    const sample = this.sampleCount;
    const labelFrom = this.labelCount;
    const valueFrom = sample * this.valueCount;
    let idsFrom = 0;
    let idsTo = 0;
    let idsSource = bytes;
    let valueCount = 0;
    let arrivedLabelCount = 0;
    let isNegative = false;
    let isZero = true;
    let values = this.values;
    let pos = from;
    while (pos < end) {
      const tagPos = pos;
      const tag = bytes[pos++]!;
      if (tag === 0x0a || tag === 0x12 || tag === 0x1a) {
        let to = pos < end ? bytes[pos++]! : 0x80;
        if (to >= 0x80) {
          pos = readVarint(bytes, tagPos + 1, end, lanes);
          to = smallOf(lanes);
        }
        to += pos;
        if (to > end) throw malformed("the profile ends inside a sample: send all of its bytes");
        if (tag === 0x0a) {
          if (idsTo === idsFrom) {
            idsSource = bytes;
            idsFrom = pos;
            idsTo = to;
          } else {
            idsTo = this.#looseRun(idsSource, idsFrom, idsTo, bytes, pos, to);
            idsFrom = 0;
            idsSource = this.#looseIds;
          }
          pos = to;
        } else if (tag === 0x12) {
          while (pos < to) {
            const at = valueFrom + valueCount++;
            if (at >= values.length) values = this.values = grown(values, at + 1);
            let value = bytes[pos]!;
            if (value < 0x80) pos++;
            else {
              pos = this.#longValue(bytes, pos, to, at);
              value = this.#value;
              if (value < 0) isNegative = true;
            }
            values[at] = value;
            if (value !== 0) isZero = false;
          }
        } else {
          arrivedLabelCount++;
          this.#label(bytes, pos, to);
          pos = to;
        }
      } else if (tag === 0x08) {
        const to = readVarint(bytes, pos, end, lanes);
        idsTo = this.#looseRun(idsSource, idsFrom, idsTo, bytes, pos, to);
        idsFrom = 0;
        idsSource = this.#looseIds;
        pos = to;
      } else if (tag === 0x10) {
        const at = valueFrom + valueCount++;
        if (at >= values.length) values = this.values = grown(values, at + 1);
        pos = this.#longValue(bytes, pos, end, at);
        values[at] = this.#value;
        if (this.#value < 0) isNegative = true;
        if (this.#value !== 0) isZero = false;
      } else pos = this.#otherField(bytes, tagPos, end, NO_WIRE_TYPES);
    }
    if (arrivedLabelCount > this.#labelCountMax) {
      throw refusal(
        "sample_labels_limit",
        `a sample has ${arrivedLabelCount} labels and at most ${this.#labelCountMax} are taken: label less, or raise limits.max_profile_stacktrace_sample_labels`,
      );
    }
    if (this.arrivedSampleCount === 1) this.valueCount = valueCount;
    else if (valueCount !== this.valueCount) {
      throw malformed(`one sample has ${this.valueCount} values and another ${valueCount}: give each sample one value for each sample type`);
    }
    if (isNegative || isZero) {
      checkIds(idsSource, idsFrom, idsTo, lanes);
      this.labelCount = labelFrom;
      if (this.bigValues !== undefined) for (let at = valueFrom; at < valueFrom + valueCount; at++) this.bigValues.delete(at);
      return;
    }
    if (sample + 1 >= this.sampleNode.length) {
      this.sampleNode = grown(this.sampleNode, sample + 2);
      this.sampleLabelStart = grown(this.sampleLabelStart, sample + 2);
    }
    this.sampleNode[sample] = this.tree.leafOf(idsSource, idsFrom, idsTo, this.#depthMax, this.#ids, lanes);
    this.sampleLabelStart[sample] = labelFrom;
    this.sampleCount = sample + 1;
  }

  /** Appends bytes[from, to) to the ids gathered so far (source[idsFrom, idsTo)) in #looseIds; returns their end. */
  #looseRun(source: Uint8Array, idsFrom: number, idsTo: number, bytes: Uint8Array, from: number, to: number): number {
    const gathered = idsTo - idsFrom;
    this.#looseIds = grown(this.#looseIds, gathered + to - from);
    if (source === bytes) for (let i = 0; i < gathered; i++) this.#looseIds[i] = bytes[idsFrom + i]!;
    for (let i = from; i < to; i++) this.#looseIds[gathered + i - from] = bytes[i]!;
    return gathered + to - from;
  }

  /** The value #longValue read: -1 stands for any negative one. */
  #value = 0;

  /** Reads a value of any length into #value, the exact one also into `bigValues` where a double cannot hold it. */
  #longValue(bytes: Uint8Array, from: number, end: number, at: number): number {
    let pos = from;
    if (from + 7 <= bytes.length) {
      // Up to seven bytes, 49 bits, without leaving small-integer arithmetic but once. What lies beyond `end` is caught there.
      let byte = bytes[pos++]!;
      let value = byte & 0x7f;
      for (let shift = 7; byte >= 0x80 && shift < 28; shift += 7) {
        byte = bytes[pos++]!;
        value |= (byte & 0x7f) << shift;
      }
      if (byte >= 0x80) {
        let high = 0;
        for (let shift = 0; byte >= 0x80 && shift < 21; shift += 7) {
          byte = bytes[pos++]!;
          high |= (byte & 0x7f) << shift;
        }
        value += high * 0x1000_0000;
      }
      if (byte < 0x80 && pos <= end) {
        this.#value = value;
        return pos;
      }
    }
    const lanes = this.#lanes;
    pos = readVarint(bytes, from, end, lanes);
    const high = lanes[1]!;
    if (high >= 0x8000_0000) this.#value = -1;
    else {
      this.#value = high * 0x1_0000_0000 + lanes[0]!;
      if (high >= 0x20_0000) (this.bigValues ??= new Map<number, bigint>()).set(at, signedOf(lanes));
    }
    return pos;
  }

  #label(bytes: Uint8Array, from: number, end: number): void {
    const lanes = this.#lanes;
    let key = 0;
    let text = 0;
    let unit = 0;
    let pos = from;
    while (pos < end) {
      const tagPos = pos;
      const tag = bytes[pos++]!;
      if (tag !== 0x08 && tag !== 0x10 && tag !== 0x18 && tag !== 0x20) {
        pos = this.#otherField(bytes, tagPos, end, NO_WIRE_TYPES);
        continue;
      }
      let value: number;
      if (pos + 1 < end && bytes[pos + 1]! < 0x80 && bytes[pos]! >= 0x80) {
        value = (bytes[pos]! & 0x7f) | (bytes[pos + 1]! << 7);
        pos += 2;
      } else if (pos < end && bytes[pos]! < 0x80) value = bytes[pos++]!;
      else {
        pos = readVarint(bytes, pos, end, lanes);
        value = smallOf(lanes);
      }
      if (tag === 0x08) key = value;
      else if (tag === 0x10) text = value;
      else if (tag === 0x20) unit = value;
    }
    const max = this.stringMax;
    if (key > max.label) max.label = key;
    if (unit > max.label) max.label = unit;
    if (text === 0) return; // numeric
    if (text > max.label) max.label = text;
    const index = this.labelCount++;
    if (index === this.labelKey.length) {
      this.labelKey = grown(this.labelKey, index + 1);
      this.labelText = grown(this.labelText, index + 1);
    }
    this.labelKey[index] = key;
    this.labelText[index] = text;
  }

  #location(bytes: Uint8Array, from: number, end: number): void {
    const lanes = this.#lanes;
    const index = ++this.locationCount;
    if (index + 1 >= this.locationId.length) {
      this.locationId = grown(this.locationId, index + 2);
      this.locationMapping = grown(this.locationMapping, index + 2);
      this.locationAddressLow = grown(this.locationAddressLow, index + 2);
      this.locationAddressHigh = grown(this.locationAddressHigh, index + 2);
      this.locationFlags = grown(this.locationFlags, index + 2);
      this.lineStart = grown(this.lineStart, index + 2);
    }
    let id = 0;
    let mapping = 0;
    let addressLow = 0;
    let addressHigh = 0;
    let flags = 0;
    this.lineStart[index] = this.lineCount;
    let pos = from;
    while (pos < end) {
      const tagPos = pos;
      const tag = bytes[pos++]!;
      switch (tag) {
        case 0x22: {
          let to = pos < end ? bytes[pos++]! : 0x80;
          if (to >= 0x80) {
            pos = readVarint(bytes, tagPos + 1, end, lanes);
            to = smallOf(lanes);
          }
          to += pos;
          if (to > end) throw malformed("the profile ends inside a location: send all of its bytes");
          this.#line(bytes, pos, to);
          pos = to;
          break;
        }
        case 0x08:
          pos = readVarint(bytes, pos, end, lanes);
          id = this.#ids.numberOf(lanes);
          break;
        case 0x10:
          if (pos < end && bytes[pos]! < 0x80) mapping = bytes[pos++]!;
          else {
            pos = readVarint(bytes, pos, end, lanes);
            mapping = this.#ids.numberOf(lanes);
          }
          break;
        case 0x18:
          pos = readVarint(bytes, pos, end, lanes);
          addressLow = lanes[0]!;
          addressHigh = lanes[1]!;
          break;
        case 0x28:
          pos = readVarint(bytes, pos, end, lanes);
          flags = lanes[0] !== 0 || lanes[1] !== 0 ? 1 : 0;
          break;
        default:
          pos = this.#otherField(bytes, tagPos, end, NO_WIRE_TYPES);
      }
    }
    this.locationId[index] = id;
    this.locationMapping[index] = mapping;
    this.locationAddressLow[index] = addressLow;
    this.locationAddressHigh[index] = addressHigh;
    this.locationFlags[index] = flags;
  }

  #line(bytes: Uint8Array, from: number, end: number): void {
    const lanes = this.#lanes;
    let functionId = 0;
    let number = 0;
    let pos = from;
    while (pos < end) {
      const tagPos = pos;
      const tag = bytes[pos++]!;
      if (tag !== 0x08 && tag !== 0x10) {
        pos = this.#otherField(bytes, tagPos, end, NO_WIRE_TYPES);
        continue;
      }
      if (pos + 1 < end && bytes[pos]! >= 0x80 && bytes[pos + 1]! < 0x80) {
        const value = (bytes[pos]! & 0x7f) | (bytes[pos + 1]! << 7);
        pos += 2;
        if (tag === 0x08) functionId = value;
        else number = value;
      } else {
        pos = readVarint(bytes, pos, end, lanes);
        if (tag === 0x08) functionId = this.#ids.numberOf(lanes);
        else number = lineNumberOf(lanes);
      }
    }
    const index = this.lineCount++;
    if (index === this.lineFunction.length) {
      this.lineFunction = grown(this.lineFunction, index + 1);
      this.lineNumber = grown(this.lineNumber, index + 1);
    }
    this.lineFunction[index] = functionId;
    this.lineNumber[index] = number;
  }

  #function(bytes: Uint8Array, from: number, end: number): void {
    const lanes = this.#lanes;
    const index = ++this.functionCount;
    if (index >= this.functionId.length) {
      this.functionId = grown(this.functionId, index + 1);
      this.functionName = grown(this.functionName, index + 1);
      this.functionSystemName = grown(this.functionSystemName, index + 1);
      this.functionFilename = grown(this.functionFilename, index + 1);
      this.functionStartLine = grown(this.functionStartLine, index + 1);
    }
    let id = 0;
    let name = 0;
    let systemName = 0;
    let filename = 0;
    let startLine = 0;
    let pos = from;
    while (pos < end) {
      const tagPos = pos;
      const tag = bytes[pos++]!;
      if (tag > 0x28 || (tag & 7) !== 0 || tag === 0) {
        pos = this.#otherField(bytes, tagPos, end, NO_WIRE_TYPES);
        continue;
      }
      if (pos + 1 < end && bytes[pos]! >= 0x80 && bytes[pos + 1]! < 0x80) {
        lanes[0] = (bytes[pos]! & 0x7f) | (bytes[pos + 1]! << 7);
        lanes[1] = 0;
        pos += 2;
      } else pos = readVarint(bytes, pos, end, lanes);
      if (tag === 0x08) id = this.#ids.numberOf(lanes);
      else if (tag === 0x10) name = smallOf(lanes);
      else if (tag === 0x18) systemName = smallOf(lanes);
      else if (tag === 0x20) filename = smallOf(lanes);
      else startLine = lineNumberOf(lanes);
    }
    const max = this.stringMax;
    if (name > max.functionField) max.functionField = name;
    if (systemName > max.functionField) max.functionField = systemName;
    if (filename > max.functionField) max.functionField = filename;
    this.functionId[index] = id;
    this.functionName[index] = name;
    this.functionSystemName[index] = systemName;
    this.functionFilename[index] = filename;
    this.functionStartLine[index] = startLine;
  }

  #mapping(bytes: Uint8Array, from: number, end: number): void {
    const lanes = this.#lanes;
    const index = ++this.mappingCount;
    if (index >= this.mappingId.length) {
      this.mappingId = grown(this.mappingId, index + 1);
      this.mappingStart = grown(this.mappingStart, index + 1);
      this.mappingLimit = grown(this.mappingLimit, index + 1);
      this.mappingFileOffset = grown(this.mappingFileOffset, index + 1);
      this.mappingFilename = grown(this.mappingFilename, index + 1);
      this.mappingBuildId = grown(this.mappingBuildId, index + 1);
      this.mappingFlags = grown(this.mappingFlags, index + 1);
    }
    this.mappingId[index] = this.mappingFilename[index] = this.mappingBuildId[index] = this.mappingFlags[index] = 0;
    this.mappingStart[index] = this.mappingLimit[index] = this.mappingFileOffset[index] = 0n;
    const max = this.stringMax;
    let pos = from;
    while (pos < end) {
      const tagPos = pos;
      const tag = bytes[pos++]!;
      if (tag > 0x50 || (tag & 7) !== 0 || tag === 0) {
        pos = this.#otherField(bytes, tagPos, end, NO_WIRE_TYPES);
        continue;
      }
      pos = readVarint(bytes, pos, end, lanes);
      const isTrue = lanes[0] !== 0 || lanes[1] !== 0;
      if (tag === 0x08) this.mappingId[index] = this.#ids.numberOf(lanes);
      else if (tag === 0x10) this.mappingStart[index] = unsignedOf(lanes);
      else if (tag === 0x18) this.mappingLimit[index] = unsignedOf(lanes);
      else if (tag === 0x20) this.mappingFileOffset[index] = unsignedOf(lanes);
      else if (tag === 0x28) max.mappingField = Math.max(max.mappingField, (this.mappingFilename[index] = smallOf(lanes)));
      else if (tag === 0x30) max.mappingField = Math.max(max.mappingField, (this.mappingBuildId[index] = smallOf(lanes)));
      else {
        const bit = 1 << ((tag >> 3) - 7); // has_functions is field 7, and bit 0
        const flags: number = this.mappingFlags[index]!;
        this.mappingFlags[index] = isTrue ? flags | bit : flags & ~bit;
      }
    }
  }

  #valueType(bytes: Uint8Array, from: number, end: number, isPeriod: boolean): void {
    const lanes = this.#lanes;
    let type = 0;
    let unit = 0;
    let pos = from;
    while (pos < end) {
      const tagPos = pos;
      const tag = bytes[pos++]!;
      if (tag !== 0x08 && tag !== 0x10) {
        pos = this.#otherField(bytes, tagPos, end, NO_WIRE_TYPES);
        continue;
      }
      pos = readVarint(bytes, pos, end, lanes);
      if (tag === 0x08) type = smallOf(lanes);
      else unit = smallOf(lanes);
    }
    this.stringMax.type = Math.max(this.stringMax.type, type, unit);
    if (isPeriod) {
      this.periodTypeType = type;
      this.periodTypeUnit = unit;
      return;
    }
    const index = this.typeCount++;
    this.typeType = grown(this.typeType, index + 1);
    this.typeUnit = grown(this.typeUnit, index + 1);
    this.typeType[index] = type;
    this.typeUnit[index] = unit;
  }

  /** The text of a string. */
  text(index: number): string {
    const start = this.stringStart[index]!;
    const length = this.stringEnd[index]! - start;
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, length).toString("utf8");
  }
}

/** Inside the other messages a field of a known number and another wire type is skipped like an unknown one. */
const NO_WIRE_TYPES: readonly number[] = [];

/** A line number is for display: kept up to 2^51 either way (twice that still is exact in a double), and 0 beyond. */
function lineNumberOf(lanes: Uint32Array): number {
  const number = (lanes[1]! | 0) * 0x1_0000_0000 + lanes[0]!;
  return Math.abs(number) <= 2 ** 51 ? number : 0;
}

/** A run up to this long is looked at here first: the call of `isUtf8` costs as much as some 200 bytes of ASCII. */
const SHORT_RUN_BYTES = 200;

function checkUtf8(bytes: Uint8Array, from: number, to: number): void {
  if (to - from <= SHORT_RUN_BYTES) {
    let seen = 0;
    for (let i = from; i < to; i++) seen |= bytes[i]!;
    if (seen < 0x80) return;
  }
  if (!isUtf8(bytes.subarray(from, to))) {
    throw malformed("the profile's string table holds text that is not UTF-8: encode its strings as UTF-8");
  }
}
