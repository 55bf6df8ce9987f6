/**
 * Reads records into columns: the inverse of record-encode.ts, run once per record on insert and again at replay.
 *
 * What must stay true: whatever the bytes are, the outcome is a view or a `CorruptionError`. Counts are checked against
 * the bytes that are left before anything is sized by them, references against what they may refer to, and every column
 * against the end once it is read (reading past it yields nonsense for a moment, and is caught there).
 * Numbers of one byte, and of two where these are many, are read in the loops themselves: a call for each would double the time of decoding.
 */
import { VarintCursor } from "@pyromesh/base";
import { IDENTITY_BYTES, NORMALISATION_VERSION, NORMALISATION_VERSION_MIN } from "../model/identity.ts";
import type { Label } from "../labels/labels.ts";
import { compareText, LABEL_SERVICE_NAME } from "../labels/labels.ts";
import type { SampleType } from "../labels/profile-type.ts";
import {
  BODY_HAS_IDEMPOTENCY_KEY,
  BODY_HAS_NONCE,
  BODY_HAS_PROFILE_ID,
  BODY_HAS_SPANS,
  BODY_HAS_TRACES,
  checkEnvelope,
  corrupt,
  FrontReader,
  RECORD_OFFSET,
} from "./record.ts";
import { RecordColumns } from "../model/record-columns.ts";
import type { RecordView, ValueColumn } from "../model/record-view.ts";
import { grown } from "../model/scratch.ts";

/** A record's view, and what distinguishes a push without a clock from another one that is equal. */
export interface DecodedRecord extends RecordView {
  readonly idempotencyKey: string | undefined;
  readonly nonce: Uint8Array | undefined;
}

/** Its columns are its own, and stay valid. Use a `RecordDecoder` where records come one after the other. */
export function decodeRecord(bytes: Uint8Array, object: string): DecodedRecord {
  return new RecordDecoder().decode(bytes, object);
}

const NOTHING: Uint8Array = new Uint8Array(0);
const INT64_MAX = 2n ** 63n - 1n;

export class RecordDecoder {
  #bytes: Uint8Array = NOTHING;
  #object = "";
  #number = 0;
  readonly #cursor = new VarintCursor();

  readonly #to = new RecordColumns();

  /** The view is valid until the next decode, and as long as `bytes` are not touched. */
  decode(bytes: Uint8Array, object: string): DecodedRecord {
    const input = bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#bytes = input;
    this.#cursor.moveTo(input, 0);
    this.#object = object;
    const front = new FrontReader(input, object, checkEnvelope(input, object));
    const normalisation = front.byte();
    if (normalisation < NORMALISATION_VERSION_MIN || normalisation > NORMALISATION_VERSION) {
      corrupt(object, front.offset - 1, `a normalisation version of ${NORMALISATION_VERSION_MIN} to ${NORMALISATION_VERSION}`, `${normalisation}`);
    }
    const tenant = front.text();
    const service = front.text();
    const timeNs = front.int64();
    const sampleCount = front.count();
    const durationNs = front.int64();
    const period = front.int64();
    const periodType: SampleType = { type: front.text(), unit: front.text() };
    const typeCount = front.count();
    const sampleTypes: SampleType[] = [];
    for (let i = 0; i < typeCount; i++) sampleTypes.push({ type: front.text(), unit: front.text() });
    const labels = readLabels(front, service);
    const keys = front.byte();
    const profileId = (keys & BODY_HAS_PROFILE_ID) !== 0 ? front.raw(16) : undefined;
    const idempotencyKey = (keys & BODY_HAS_IDEMPOTENCY_KEY) !== 0 ? front.text() : undefined;
    const nonce = (keys & BODY_HAS_NONCE) !== 0 ? front.raw(16) : undefined;

    const countsAt = front.offset;
    const nodeCount = front.uint32();
    const locationCount = front.uint32();
    const lineCount = front.uint32();
    const functionCount = front.uint32();
    const mappingCount = front.uint32();
    const stringCount = front.uint32();
    // The least bytes that each can take.
    const least =
      2 * nodeCount + 2 * (locationCount + lineCount) + 4 * functionCount + 27 * mappingCount + 2 * stringCount + sampleCount * (1 + typeCount) + typeCount;
    if (least > input.length - front.offset) corrupt(object, countsAt, `counts for ${input.length - front.offset} bytes`, `for at least ${least}`);

    let pos = this.#nodes(front.offset, nodeCount, locationCount);
    pos = this.#locations(pos, locationCount, lineCount, functionCount, mappingCount);
    pos = this.#functionsAndMappings(pos, functionCount, mappingCount, stringCount);
    pos = this.#stringLengths(pos, stringCount);
    const stringsAt = pos;
    pos += this.#to.stringOffset[stringCount + 1]!;
    this.#mustNotPass(pos, "strings");
    this.#to.reserveSamples(sampleCount, typeCount);
    pos = this.#samples(pos, sampleCount, nodeCount);
    const values: ValueColumn[] = [];
    for (let t = 0; t < typeCount; t++) pos = this.#column(pos, sampleCount, t, values);

    let spans: Uint8Array = NOTHING;
    let traces: Uint8Array = NOTHING;
    const hasSpans = (keys & BODY_HAS_SPANS) !== 0;
    const hasTraces = (keys & BODY_HAS_TRACES) !== 0;
    if (hasSpans) {
      this.#to.sampleSpan = grown(this.#to.sampleSpan, sampleCount);
      const count = (pos = this.#references(pos, sampleCount, this.#to.sampleSpan), this.#number);
      spans = this.#ids(pos, count, 8);
      pos += count * 8;
    }
    if (hasTraces) {
      this.#to.sampleTrace = grown(this.#to.sampleTrace, sampleCount);
      const count = (pos = this.#references(pos, sampleCount, this.#to.sampleTrace), this.#number);
      traces = this.#ids(pos, count, 16);
      pos += count * 16;
    }
    if (pos !== input.length) corrupt(object, pos, "the end of the record", `${input.length - pos} more bytes`);
    this.#bytes = NOTHING;

    return {
      identity: input.subarray(RECORD_OFFSET.identity, RECORD_OFFSET.identity + IDENTITY_BYTES),
      tenant,
      labels,
      timeNs,
      durationNs,
      period,
      periodType,
      sampleTypes,
      profileId,
      idempotencyKey,
      nonce,
      symbols: this.#to.symbols(
        { nodes: nodeCount, locations: locationCount, lines: lineCount, functions: functionCount, mappings: mappingCount, strings: stringCount },
        input.subarray(stringsAt, stringsAt + this.#to.stringOffset[stringCount + 1]!),
      ),
      tree: this.#to.tree(nodeCount),
      sampleNode: this.#to.sampleNode,
      sampleCount,
      values,
      sampleSpan: hasSpans ? this.#to.sampleSpan : undefined,
      spans,
      sampleTrace: hasTraces ? this.#to.sampleTrace : undefined,
      traces,
    };
  }

  #nodes(from: number, nodeCount: number, locationCount: number): number {
    const bytes = this.#bytes;
    this.#to.reserveNodes(nodeCount);
    const { nodeParent: parent, nodeLocation: location } = this.#to;
    parent[0] = location[0] = 0;
    let nextLocation = 1;
    let pos = from;
    for (let node = 1; node <= nodeCount; node++) {
      let back = bytes[pos++]!;
      if (back >= 0x80) {
        pos = this.#varint(pos - 1);
        back = this.#number;
      }
      let distance = bytes[pos++]!;
      if (distance >= 0x80) {
        const second = bytes[pos]!;
        if (second < 0x80) {
          distance = (distance & 0x7f) | (second << 7);
          pos++;
        } else {
          pos = this.#varint(pos - 1);
          distance = this.#number;
        }
      }
      if (back >= node || distance >= nextLocation) this.#fail(pos, "a node's parent and location before it", "a later one");
      parent[node] = node - 1 - back;
      location[node] = distance === 0 ? nextLocation++ : nextLocation - distance;
    }
    this.#mustNotPass(pos, "nodes");
    if (nextLocation !== locationCount + 1) this.#fail(pos, `${locationCount} locations in the nodes`, `${nextLocation - 1}`);
    return pos;
  }

  #locations(from: number, locationCount: number, lineCount: number, functionCount: number, mappingCount: number): number {
    const bytes = this.#bytes;
    this.#to.reserveLocations(locationCount, lineCount);
    const { locationMapping: mappings, locationAddressLow: addressLow, locationAddressHigh: addressHigh, locationFlags: flags } = this.#to;
    const { lineStart, lineFunction, lineNumber } = this.#to;
    let line = 0;
    let nextFunction = 1;
    let mappingSeen = 0;
    let pos = from;
    for (let location = 1; location <= locationCount; location++) {
      let shape = bytes[pos++]!;
      if (shape >= 0x80) {
        pos = this.#varint(pos - 1);
        shape = this.#number;
      }
      let mapping = bytes[pos++]!;
      if (mapping >= 0x80) {
        pos = this.#varint(pos - 1);
        mapping = this.#number;
      }
      if (mapping > mappingSeen) {
        if (mapping !== mappingSeen + 1) this.#fail(pos, `mapping ${mappingSeen + 1} next`, `${mapping}`);
        mappingSeen = mapping;
      }
      mappings[location] = mapping;
      flags[location] = shape & 1;
      let low = 0;
      let high = 0;
      if ((shape & 2) !== 0) {
        low = bytes[pos]! | (bytes[pos + 1]! << 8) | (bytes[pos + 2]! << 16) | (bytes[pos + 3]! << 24);
        high = bytes[pos + 4]! | (bytes[pos + 5]! << 8) | (bytes[pos + 6]! << 16) | (bytes[pos + 7]! << 24);
        pos += 8;
      }
      addressLow[location] = low;
      addressHigh[location] = high;
      lineStart[location] = line;
      const lineEnd = line + Math.floor(shape / 4);
      if (!(lineEnd <= lineCount)) this.#fail(pos, `${lineCount} lines`, "more");
      for (; line < lineEnd; line++) {
        let distance = bytes[pos++]!;
        if (distance >= 0x80) {
          pos = this.#varint(pos - 1);
          distance = this.#number;
        }
        if (distance >= nextFunction) this.#fail(pos, "a line's function before it", "a later one");
        lineFunction[line] = distance === 0 ? nextFunction++ : nextFunction - distance;
        let number = bytes[pos++]!;
        if (number >= 0x80) {
          const second = bytes[pos]!;
          if (second < 0x80) {
            number = (number & 0x7f) | (second << 7);
            pos++;
          } else {
            pos = this.#varint(pos - 1);
            number = this.#number;
          }
        }
        lineNumber[line] = number % 2 === 0 ? number / 2 : -(number + 1) / 2;
      }
    }
    lineStart[locationCount + 1] = line;
    this.#mustNotPass(pos, "locations");
    if (line !== lineCount) this.#fail(pos, `${lineCount} lines`, `${line}`);
    if (nextFunction !== functionCount + 1) this.#fail(pos, `${functionCount} functions in the lines`, `${nextFunction - 1}`);
    if (mappingSeen !== mappingCount) this.#fail(pos, `${mappingCount} mappings in the locations`, `${mappingSeen}`);
    return pos;
  }

  #functionsAndMappings(from: number, functionCount: number, mappingCount: number, stringCount: number): number {
    const bytes = this.#bytes;
    this.#to.reserveFunctions(functionCount);
    const { functionName: names, functionSystemName: systemNames, functionFilename: filenames, functionStartLine: startLines } = this.#to;
    let next = 1;
    let pos = from;
    for (let called = 1; called <= functionCount; called++) {
      for (let field = 0; field < 3; field++) {
        let distance = bytes[pos++]!;
        if (distance >= 0x80) {
          pos = this.#varint(pos - 1);
          distance = this.#number;
        }
        if (distance > next) this.#fail(pos, "a function's string before it", "a later one");
        const string = distance === 0 ? 0 : distance === 1 ? next++ : next + 1 - distance;
        if (field === 0) names[called] = string;
        else if (field === 1) systemNames[called] = string;
        else filenames[called] = string;
      }
      let number = bytes[pos++]!;
      if (number >= 0x80) {
        pos = this.#varint(pos - 1);
        number = this.#number;
      }
      startLines[called] = number % 2 === 0 ? number / 2 : -(number + 1) / 2;
    }
    this.#mustNotPass(pos, "functions");
    this.#to.reserveMappings(mappingCount);
    if (mappingCount > 0) {
      const reader = new FrontReader(bytes, this.#object, pos);
      const string = (): number => {
        const distance = reader.count();
        if (distance > next) this.#fail(reader.offset, "a mapping's string before it", "a later one");
        return distance === 0 ? 0 : distance === 1 ? next++ : next + 1 - distance;
      };
      for (let mapping = 1; mapping <= mappingCount; mapping++) {
        this.#to.mappingStart[mapping] = reader.uint64();
        this.#to.mappingLimit[mapping] = reader.uint64();
        this.#to.mappingFileOffset[mapping] = reader.uint64();
        this.#to.mappingFilename[mapping] = string();
        this.#to.mappingBuildId[mapping] = string();
        this.#to.mappingFlags[mapping] = reader.byte();
      }
      pos = reader.offset;
    }
    if (next !== stringCount + 1) this.#fail(pos, `${stringCount} strings in functions and mappings`, `${next - 1}`);
    return pos;
  }

  #stringLengths(from: number, stringCount: number): number {
    const bytes = this.#bytes;
    this.#to.reserveStrings(stringCount);
    const offsets = this.#to.stringOffset;
    offsets[0] = offsets[1] = 0;
    let offset = 0;
    let pos = from;
    for (let string = 1; string <= stringCount; string++) {
      let length = bytes[pos++]!;
      if (length >= 0x80) {
        pos = this.#varint(pos - 1);
        length = this.#number;
      }
      offset += length;
      offsets[string + 1] = offset;
    }
    this.#mustNotPass(pos, "string lengths");
    if (offset > bytes.length - pos) this.#fail(pos, `${offset} bytes of strings`, `${bytes.length - pos}`);
    return pos;
  }

  #samples(from: number, sampleCount: number, nodeCount: number): number {
    const bytes = this.#bytes;
    const nodes = this.#to.sampleNode;
    let node = 0;
    let pos = from;
    for (let i = 0; i < sampleCount; i++) {
      let delta = bytes[pos++]!;
      if (delta >= 0x80) {
        const second = bytes[pos]!;
        if (second < 0x80) {
          delta = (delta & 0x7f) | (second << 7);
          pos++;
        } else {
          pos = this.#varint(pos - 1);
          delta = this.#number;
        }
      }
      node += (delta & 1) === 0 ? delta / 2 : -(delta + 1) / 2;
      if (!(node >= 0 && node <= nodeCount)) this.#fail(pos, `a node of 0 to ${nodeCount}`, `${node}`);
      nodes[i] = node;
    }
    this.#mustNotPass(pos, "samples");
    return pos;
  }

  #column(from: number, sampleCount: number, type: number, values: ValueColumn[]): number {
    const bytes = this.#bytes;
    let pos = from;
    const width = bytes[pos++];
    if (width === 1) {
      const column = new BigInt64Array(sampleCount);
      const cursor = this.#cursor;
      cursor.offset = pos;
      for (let i = 0; i < sampleCount; i++) {
        const value = cursor.nextWide();
        if (value < 0 || value > INT64_MAX) this.#fail(cursor.offset, "a number of at most 63 bits", value < 0 ? "the end, or a longer one" : "a larger one");
        column[i] = BigInt(value);
      }
      values.push(column);
      return cursor.offset;
    }
    if (width !== 0) this.#fail(pos - 1, "a column's width of 0 or 1", `${width}`);
    const column = this.#to.values[type]!;
    for (let i = 0; i < sampleCount; i++) {
      let value = bytes[pos++]!;
      if (value >= 0x80) {
        const second = bytes[pos]!;
        if (second < 0x80) {
          value = (value & 0x7f) | (second << 7);
          pos++;
        } else {
          pos = this.#varint(pos - 1);
          value = this.#number;
        }
      }
      column[i] = value;
    }
    this.#mustNotPass(pos, "values");
    values.push(column);
    return pos;
  }

  /** Reads references to spans or traces; leaves the count of distinct ones in #number. */
  #references(from: number, sampleCount: number, into: Uint32Array): number {
    const bytes = this.#bytes;
    if (sampleCount > bytes.length - from) this.#fail(from, `${sampleCount} references`, `${bytes.length - from} bytes`);
    let next = 1;
    let pos = from;
    for (let i = 0; i < sampleCount; i++) {
      let distance = bytes[pos++]!;
      if (distance >= 0x80) {
        pos = this.#varint(pos - 1);
        distance = this.#number;
      }
      if (distance > next) this.#fail(pos, "a sample's span or trace before it", "a later one");
      into[i] = distance === 0 ? 0 : distance === 1 ? next++ : next + 1 - distance;
    }
    this.#mustNotPass(pos, "spans");
    pos = this.#varint(pos);
    if (this.#number !== next - 1) this.#fail(pos, `${next - 1} spans or traces`, `${this.#number}`);
    return pos;
  }

  /** The ids behind an entry 0 of zeros. */
  #ids(at: number, count: number, sizeBytes: number): Uint8Array {
    if (count * sizeBytes > this.#bytes.length - at) this.#fail(at, `${count * sizeBytes} bytes`, `${this.#bytes.length - at}`);
    const ids = new Uint8Array((count + 1) * sizeBytes);
    ids.set(this.#bytes.subarray(at, at + count * sizeBytes), sizeBytes);
    return ids;
  }

  /** Reads a varint below 2^54 into #number. */
  #varint(from: number): number {
    const cursor = this.#cursor;
    cursor.offset = from;
    const value = cursor.next();
    if (value < 0 || value >= 2 ** 54) this.#fail(from, "a number below 2^54", value < 0 ? "the end, or a longer one" : "a larger one");
    this.#number = value;
    return cursor.offset;
  }

  #mustNotPass(pos: number, what: string): void {
    if (pos > this.#bytes.length) this.#fail(this.#bytes.length, `more bytes of ${what}`, "the end");
  }

  #fail(offset: number, expected: string, found: string): never {
    return corrupt(this.#object, offset, expected, found);
  }
}

/** The labels, with service_name, which is stored apart, in its place. */
function readLabels(front: FrontReader, service: string): Label[] {
  const count = front.count();
  const labels: Label[] = [];
  let isServiceIn = service === ""; // a record without a service has no such label
  for (let i = 0; i < count; i++) {
    const name = front.text();
    const value = front.text();
    if (!isServiceIn && compareText(name, LABEL_SERVICE_NAME) > 0) {
      labels.push({ name: LABEL_SERVICE_NAME, value: service });
      isServiceIn = true;
    }
    labels.push({ name, value });
  }
  if (!isServiceIn) labels.push({ name: LABEL_SERVICE_NAME, value: service });
  return labels;
}
