/**
 * Writes records. The body is canonical: it holds what the samples refer to and nothing else, numbered in the order in
 * which the samples, root first, refer to it. So a push that numbers, orders or compresses its own tables otherwise comes
 * out as the same bytes.
 *
 *   samples --> nodes --> locations --> lines --> functions --> strings
 *                                   \-> mappings -----------/
 *
 * The columns stand in that order, since each is written while the next is being numbered. A reference says how far back
 * it points: 0 is the next new thing, n is n before the next new one; so most references take one byte.
 * RECORD.md draws the layout; record-decode.ts reads it.
 */
import { crc32 } from "@pyromesh/base";
import { identityOf, NORMALISATION_VERSION } from "./identity.ts";
import type { Labels } from "./labels.ts";
import { LABEL_SERVICE_NAME, labelValue } from "./labels.ts";
import type { SampleType } from "./profile-type.ts";
import {
  BODY_HAS_IDEMPOTENCY_KEY,
  BODY_HAS_NONCE,
  BODY_HAS_PROFILE_ID,
  BODY_HAS_SPANS,
  BODY_HAS_TRACES,
  checkStoreIds,
  millisecondsOf,
  RECORD_MAGIC,
  RECORD_OFFSET,
  RECORD_VERSION,
  STORE_ID_BYTES,
  writeUint32,
} from "./record.ts";
import { RecordColumns } from "./record-columns.ts";
import type { RecordCounts } from "./record-columns.ts";
import type { EncodedRecord, RecordView, ValueColumn } from "./record-view.ts";
import { grown } from "./scratch.ts";
import type { StacktraceTree } from "./stacktrace-tree.ts";
import type { Symbols } from "./symbol-table.ts";

/** Symbols whose strings may lie anywhere in `stringBytes`: those of a push lie in the push itself. */
export interface SymbolSource extends Omit<Symbols, "stringOffset"> {
  readonly stringStart: Uint32Array;
  readonly stringEnd: Uint32Array;
}

/** What goes into a record. Tables may hold more than the samples refer to; a node or line whose location or function is 0 is left out. */
export interface RecordDraft {
  readonly tenant: string;
  /** Sorted, with `service_name`. */
  readonly labels: Labels;
  readonly timeNs: bigint;
  readonly durationNs: bigint;
  readonly period: bigint;
  readonly periodType: SampleType;
  readonly sampleTypes: readonly SampleType[];
  readonly profileId: Uint8Array | undefined;
  /** Of a push without a clock: what tells it from another just like it. */
  readonly idempotencyKey: string | undefined;
  /** 16 bytes, where there is neither key nor profile id. */
  readonly nonce: Uint8Array | undefined;
  readonly symbols: SymbolSource;
  readonly tree: StacktraceTree;
  /** Which samples of the columns below, in order. */
  readonly samples: Uint32Array;
  readonly sampleNode: Uint32Array;
  /** One per sample type. */
  readonly values: readonly ValueColumn[];
  readonly sampleSpan: Uint32Array | undefined;
  readonly spans: Uint8Array;
  readonly sampleTrace: Uint32Array | undefined;
  readonly traces: Uint8Array;
}

const NOTHING: Uint8Array = new Uint8Array(0);

/** Longest varint of a 32-bit and of a 64-bit number. */
const VARINT32_MAX = 5;
const VARINT64_MAX = 10;

/** What a record is written for. */
export interface RecordUse {
  /** Whom it is sent to, rank 0 first; 16 bytes each. Kept in the record, no part of its identity. */
  readonly storeIds: readonly Uint8Array[];
  /** Where its bytes go: `lengthBytes` long, all of which is overwritten. */
  readonly room: (lengthBytes: number) => Uint8Array;
  /** Hears of each record as its columns, which are valid until it returns. */
  readonly onRecord: (record: EncodedRecord, view: RecordView) => void;
}

const NO_USE: RecordUse = { storeIds: [], room: (lengthBytes) => new Uint8Array(lengthBytes), onRecord: () => {} };

/** One record. Use a `RecordEncoder` where many come one after the other. */
export function encodeRecord(draft: RecordDraft): EncodedRecord {
  return new RecordEncoder().encode(draft);
}

/** Keeps its scratch between records; not for two at once. */
export class RecordEncoder {
  #out: Uint8Array = new Uint8Array(1 << 16);
  /** New number + 1 by the draft's number; 0: not met yet. Back to zeros after each record. */
  #nodeNew = new Uint32Array(1 << 12);
  #locationNew = new Uint32Array(1 << 10);
  #functionNew = new Uint32Array(1 << 10);
  #mappingNew = new Uint32Array(1 << 4);
  #stringNew = new Uint32Array(1 << 10);
  #spanNew = new Uint32Array(1 << 4);
  /** The draft's numbers in the order of the new ones. */
  #nodes = new Uint32Array(1 << 12);
  #locations = new Uint32Array(1 << 10);
  #functions = new Uint32Array(1 << 10);
  #mappings = new Uint32Array(1 << 4);
  #strings = new Uint32Array(1 << 10);
  #path = new Uint32Array(1 << 12);
  /** The record's columns, by its own numbers, and where its strings lie in #out. */
  readonly #to = new RecordColumns();
  #counts: RecordCounts = { nodes: 0, locations: 0, lines: 0, functions: 0, mappings: 0, strings: 0 };
  #values: ValueColumn[] = [];
  #stringsAt = 0;

  encode(draft: RecordDraft, use: RecordUse = NO_USE): EncodedRecord {
    const { storeIds } = use;
    checkStoreIds(storeIds);
    const service = labelValue(draft.labels, LABEL_SERVICE_NAME) ?? "";
    const bodyFrom = RECORD_OFFSET.stores + STORE_ID_BYTES * storeIds.length;
    const end = this.#columns(draft, this.#front(draft, service, bodyFrom));
    const out = this.#out;
    const identity = identityOf(out.subarray(bodyFrom, end));
    writeUint32(out, 0, RECORD_MAGIC);
    out[RECORD_OFFSET.version] = RECORD_VERSION;
    out[RECORD_OFFSET.flags] = 0;
    writeUint32(out, RECORD_OFFSET.bodyLength, end - bodyFrom);
    out.set(identity, RECORD_OFFSET.identity);
    out[RECORD_OFFSET.storeCount] = storeIds.length;
    for (const [rank, id] of storeIds.entries()) out.set(id, RECORD_OFFSET.stores + STORE_ID_BYTES * rank);
    writeUint32(out, RECORD_OFFSET.crc, crc32(out.subarray(RECORD_OFFSET.bodyLength, end)));
    const bytes = use.room(end);
    bytes.set(out.subarray(0, end));
    const record: EncodedRecord = {
      identity,
      tenant: draft.tenant,
      service,
      timeMs: millisecondsOf(draft.timeNs),
      sampleCount: draft.samples.length,
      bytes,
    };
    use.onRecord(record, this.#view(draft, identity));
    return record;
  }

  /** The record as decoding its bytes would give it. */
  #view(draft: RecordDraft, identity: Uint8Array): RecordView {
    const { tenant, labels, timeNs, durationNs, period, periodType, sampleTypes, profileId, spans, traces, samples } = draft;
    const to = this.#to;
    return {
      symbols: to.symbols(this.#counts, this.#out.subarray(this.#stringsAt, this.#stringsAt + to.stringOffset[this.#counts.strings + 1]!)),
      tree: to.tree(this.#counts.nodes),
      identity,
      tenant,
      labels,
      timeNs,
      durationNs,
      period,
      periodType,
      sampleTypes,
      profileId,
      sampleCount: samples.length,
      sampleNode: to.sampleNode,
      values: this.#values,
      sampleSpan: draft.sampleSpan === undefined ? undefined : to.sampleSpan,
      spans: draft.sampleSpan === undefined ? NOTHING : spans,
      sampleTrace: draft.sampleTrace === undefined ? undefined : to.sampleTrace,
      traces: draft.sampleTrace === undefined ? NOTHING : traces,
    };
  }

  /** Everything of one value. */
  #front(draft: RecordDraft, service: string, from: number): number {
    const { labels, sampleTypes, profileId, idempotencyKey, nonce } = draft;
    let textLength = draft.tenant.length + service.length + draft.periodType.type.length + draft.periodType.unit.length;
    for (const { name, value } of labels) textLength += name.length + value.length;
    for (const { type, unit } of sampleTypes) textLength += type.length + unit.length;
    textLength += idempotencyKey?.length ?? 0;
    const textCount = 4 + 2 * labels.length + 2 * sampleTypes.length + 1;
    this.#out = grown(this.#out, from + 128 + 3 * textLength + VARINT32_MAX * textCount);
    const out = this.#out;
    let pos = from;
    out[pos++] = NORMALISATION_VERSION;
    pos = putText(out, pos, draft.tenant);
    pos = putText(out, pos, service);
    pos = putInt64(out, pos, draft.timeNs);
    pos = putVarint(out, pos, draft.samples.length);
    pos = putInt64(out, pos, draft.durationNs);
    pos = putInt64(out, pos, draft.period);
    pos = putText(out, pos, draft.periodType.type);
    pos = putText(out, pos, draft.periodType.unit);
    pos = putVarint(out, pos, sampleTypes.length);
    for (const { type, unit } of sampleTypes) {
      pos = putText(out, pos, type);
      pos = putText(out, pos, unit);
    }
    // service_name stands in front already.
    const isServiceLabel = labels.some(({ name }) => name === LABEL_SERVICE_NAME);
    pos = putVarint(out, pos, isServiceLabel ? labels.length - 1 : labels.length);
    for (const { name, value } of labels) {
      if (name === LABEL_SERVICE_NAME) continue;
      pos = putText(out, pos, name);
      pos = putText(out, pos, value);
    }
    out[pos++] =
      (profileId === undefined ? 0 : BODY_HAS_PROFILE_ID) |
      (idempotencyKey === undefined ? 0 : BODY_HAS_IDEMPOTENCY_KEY) |
      (nonce === undefined ? 0 : BODY_HAS_NONCE) |
      (draft.sampleSpan === undefined ? 0 : BODY_HAS_SPANS) |
      (draft.sampleTrace === undefined ? 0 : BODY_HAS_TRACES);
    if (profileId !== undefined) pos = putRaw(out, pos, profileId);
    if (idempotencyKey !== undefined) pos = putText(out, pos, idempotencyKey);
    if (nonce !== undefined) pos = putRaw(out, pos, nonce);
    return pos;
  }

  #columns(draft: RecordDraft, from: number): number {
    const { symbols, tree, samples, sampleNode } = draft;
    const sampleCount = samples.length;
    this.#reserve(draft, from);
    const out = this.#out;
    const to = this.#to;
    const countsAt = from;
    let pos = from + 24; // six counts, known when all is numbered

    // 1. Nodes, in the order in which the samples' paths lead through them.
    const nodeNew = this.#nodeNew;
    const nodes = this.#nodes;
    const path = this.#path;
    const locationNew = this.#locationNew;
    const locations = this.#locations;
    const { nodeParent, nodeLocation } = tree;
    const { nodeParent: parentTo, nodeLocation: locationTo } = to;
    let nodeCount = 0;
    let nodeMet = 0; // nodes met, the ones left out included
    let locationCount = 0;
    nodeNew[0] = 1;
    for (let i = 0; i < sampleCount; i++) {
      let node = sampleNode[samples[i]!]!;
      let depth = 0;
      while (nodeNew[node] === 0) {
        path[depth++] = node;
        node = nodeParent[node]!;
      }
      let parent = nodeNew[node]! - 1;
      while (depth > 0) {
        node = path[--depth]!;
        nodes[nodeMet++] = node;
        const location = nodeLocation[node]!;
        if (location !== 0) {
          nodeCount++;
          parentTo[nodeCount] = parent;
          const back = nodeCount - 1 - parent;
          if (back < 0x80) out[pos++] = back;
          else pos = putVarint(out, pos, back);
          const known = locationNew[location]!;
          if (known === 0) {
            locations[locationCount++] = location;
            locationNew[location] = locationTo[nodeCount] = locationCount;
            out[pos++] = 0;
          } else {
            locationTo[nodeCount] = known;
            const distance = locationCount + 1 - known;
            if (distance < 0x80) out[pos++] = distance;
            else if (distance < 0x4000) {
              out[pos++] = distance | 0x80;
              out[pos++] = distance >>> 7;
            } else pos = putVarint(out, pos, distance);
          }
          parent = nodeCount;
        }
        nodeNew[node] = parent + 1;
      }
    }

    // 2. Locations with their lines.
    const functionNew = this.#functionNew;
    const functions = this.#functions;
    const mappingNew = this.#mappingNew;
    const mappings = this.#mappings;
    const { locationMapping, locationAddressLow, locationAddressHigh, locationFlags, lineStart, lineFunction, lineNumber } = symbols;
    to.reserveLocations(locationCount, symbols.lineCount);
    const { locationMapping: mappingTo, locationAddressLow: lowTo, locationAddressHigh: highTo, locationFlags: flagsTo } = to;
    const { lineStart: lineStartTo, lineFunction: functionTo, lineNumber: lineNumberTo } = to;
    let functionCount = 0;
    let mappingCount = 0;
    let lineCount = 0;
    for (let i = 0; i < locationCount; i++) {
      const location = locations[i]!;
      locationNew[location] = 0;
      lineStartTo[i + 1] = lineCount;
      const lineTo = lineStart[location + 1]!;
      let ownLineCount = 0;
      for (let line = lineStart[location]!; line < lineTo; line++) if (lineFunction[line] !== 0) ownLineCount++;
      const low = locationAddressLow[location]!;
      const high = locationAddressHigh[location]!;
      const hasAddress = low !== 0 || high !== 0;
      const isFolded = locationFlags[location]! & 1;
      lowTo[i + 1] = low;
      highTo[i + 1] = high;
      flagsTo[i + 1] = isFolded;
      const shape = ownLineCount * 4 + (hasAddress ? 2 : 0) + isFolded;
      if (shape < 0x80) out[pos++] = shape;
      else pos = putVarint(out, pos, shape);
      const mapping = locationMapping[location]!;
      let mappingKnown = 0;
      if (mapping === 0) out[pos++] = 0;
      else {
        mappingKnown = mappingNew[mapping]!;
        if (mappingKnown === 0) {
          mappings[mappingCount++] = mapping;
          mappingNew[mapping] = mappingKnown = mappingCount;
        }
        pos = putVarint(out, pos, mappingKnown);
      }
      mappingTo[i + 1] = mappingKnown;
      if (hasAddress) {
        writeUint32(out, pos, low);
        writeUint32(out, pos + 4, high);
        pos += 8;
      }
      for (let line = lineStart[location]!; line < lineTo; line++) {
        const called = lineFunction[line]!;
        if (called === 0) continue;
        const known = functionNew[called]!;
        const number = lineNumber[line]!;
        lineNumberTo[lineCount] = number;
        if (known === 0) {
          functions[functionCount++] = called;
          functionNew[called] = functionTo[lineCount] = functionCount;
          out[pos++] = 0;
        } else {
          functionTo[lineCount] = known;
          pos = putVarint(out, pos, functionCount + 1 - known);
        }
        pos = putSigned(out, pos, number);
        lineCount++;
      }
    }
    lineStartTo[locationCount + 1] = lineCount;

    // 3. Functions and mappings with their strings.
    const stringNew = this.#stringNew;
    const strings = this.#strings;
    const { functionName, functionSystemName, functionFilename, functionStartLine } = symbols;
    let stringCount = 0;
    const { stringStart, stringEnd, stringBytes } = symbols;
    to.reserveFunctions(functionCount);
    to.reserveMappings(mappingCount);
    let stringId = 0; // of the string put last
    const putString = (at: number, string: number): number => {
      if (stringStart[string] === stringEnd[string]) {
        stringId = 0; // empty, whatever its number
        out[at] = 0;
        return at + 1;
      }
      stringId = stringNew[string]!;
      if (stringId === 0) {
        strings[stringCount++] = string;
        stringNew[string] = stringId = stringCount;
        out[at] = 1;
        return at + 1;
      }
      return putVarint(out, at, stringCount + 2 - stringId);
    };
    for (let i = 0; i < functionCount; i++) {
      const called = functions[i]!;
      const startLine = functionStartLine[called]!;
      functionNew[called] = 0;
      pos = putString(pos, functionName[called]!);
      to.functionName[i + 1] = stringId;
      pos = putString(pos, functionSystemName[called]!);
      to.functionSystemName[i + 1] = stringId;
      pos = putString(pos, functionFilename[called]!);
      to.functionFilename[i + 1] = stringId;
      pos = putSigned(out, pos, startLine);
      to.functionStartLine[i + 1] = startLine;
    }
    for (let i = 0; i < mappingCount; i++) {
      const mapping = mappings[i]!;
      mappingNew[mapping] = 0;
      to.mappingStart[i + 1] = symbols.mappingStart[mapping]!;
      to.mappingLimit[i + 1] = symbols.mappingLimit[mapping]!;
      to.mappingFileOffset[i + 1] = symbols.mappingFileOffset[mapping]!;
      to.mappingFlags[i + 1] = symbols.mappingFlags[mapping]!;
      pos = putInt64(out, pos, BigInt.asIntN(64, symbols.mappingStart[mapping]!));
      pos = putInt64(out, pos, BigInt.asIntN(64, symbols.mappingLimit[mapping]!));
      pos = putInt64(out, pos, BigInt.asIntN(64, symbols.mappingFileOffset[mapping]!));
      pos = putString(pos, symbols.mappingFilename[mapping]!);
      to.mappingFilename[i + 1] = stringId;
      pos = putString(pos, symbols.mappingBuildId[mapping]!);
      to.mappingBuildId[i + 1] = stringId;
      out[pos++] = symbols.mappingFlags[mapping]!;
    }

    // 4. Strings: lengths, then bytes.
    to.reserveStrings(stringCount);
    const { stringOffset: offsetTo } = to;
    offsetTo[0] = offsetTo[1] = 0;
    for (let i = 0; i < stringCount; i++) {
      const string = strings[i]!;
      const length = stringEnd[string]! - stringStart[string]!;
      offsetTo[i + 2] = offsetTo[i + 1]! + length;
      if (length < 0x80) out[pos++] = length;
      else pos = putVarint(out, pos, length);
    }
    this.#stringsAt = pos;
    const source = new DataView(stringBytes.buffer, stringBytes.byteOffset, stringBytes.byteLength);
    const target = new DataView(out.buffer, out.byteOffset, out.byteLength);
    for (let i = 0; i < stringCount; i++) {
      const string = strings[i]!;
      stringNew[string] = 0;
      const length = stringEnd[string]! - stringStart[string]!;
      if (length > LONG_TEXT_BYTES) out.set(stringBytes.subarray(stringStart[string], stringEnd[string]), pos);
      else copyText(source, stringStart[string]!, target, pos, length);
      pos += length;
    }

    // 5. Samples: nodes, then a column of values per type, then spans and traces.
    to.reserveSamples(sampleCount, draft.values.length);
    const { sampleNode: nodeTo } = to;
    let previous = 0;
    for (let i = 0; i < sampleCount; i++) {
      const node = nodeNew[sampleNode[samples[i]!]!]! - 1;
      nodeTo[i] = node;
      const delta = node - previous;
      previous = node;
      const zigzag = (delta << 1) ^ (delta >> 31);
      if (zigzag >>> 0 < 0x80) out[pos++] = zigzag;
      else pos = putVarint(out, pos, zigzag >>> 0);
    }
    for (let i = 0; i < nodeMet; i++) nodeNew[nodes[i]!] = 0;
    this.#values = [];
    for (const [type, column] of draft.values.entries()) pos = this.#column(pos, column, samples, to.values[type]!);
    if (draft.sampleSpan !== undefined) {
      to.sampleSpan = grown(to.sampleSpan, sampleCount);
      pos = this.#ids(pos, samples, draft.sampleSpan, draft.spans, 8, to.sampleSpan);
    }
    if (draft.sampleTrace !== undefined) {
      to.sampleTrace = grown(to.sampleTrace, sampleCount);
      pos = this.#ids(pos, samples, draft.sampleTrace, draft.traces, 16, to.sampleTrace);
    }
    this.#counts = { nodes: nodeCount, locations: locationCount, lines: lineCount, functions: functionCount, mappings: mappingCount, strings: stringCount };

    writeUint32(out, countsAt, nodeCount);
    writeUint32(out, countsAt + 4, locationCount);
    writeUint32(out, countsAt + 8, lineCount);
    writeUint32(out, countsAt + 12, functionCount);
    writeUint32(out, countsAt + 16, mappingCount);
    writeUint32(out, countsAt + 20, stringCount);
    return pos;
  }

  /** A column: 0 and doubles' varints, or 1 and 64-bit varints where a value reaches 2^53. */
  #column(from: number, column: ValueColumn, samples: Uint32Array, into: Float64Array): number {
    const out = this.#out;
    let pos = from;
    if (column instanceof Float64Array) {
      out[pos++] = 0;
      for (let i = 0; i < samples.length; i++) {
        const value = column[samples[i]!]!;
        into[i] = value;
        if (value < 0x80) out[pos++] = value;
        else if (value < 0x4000) {
          out[pos++] = value | 0x80;
          out[pos++] = value >>> 7;
        } else pos = putVarint(out, pos, value);
      }
      this.#values.push(into);
      return pos;
    }
    const exact = new BigInt64Array(samples.length);
    let isWide = false;
    for (let i = 0; i < samples.length; i++) {
      exact[i] = column[samples[i]!]!;
      if (exact[i]! > BigInt(Number.MAX_SAFE_INTEGER)) isWide = true;
    }
    out[pos++] = isWide ? 1 : 0;
    for (let i = 0; i < samples.length; i++) {
      let rest = exact[i]!;
      into[i] = Number(rest);
      while (rest >= 0x80n) {
        out[pos++] = Number(rest & 0x7fn) | 0x80;
        rest >>= 7n;
      }
      out[pos++] = Number(rest);
    }
    this.#values.push(isWide ? exact : into);
    return pos;
  }

  /** Span or trace ids: a reference per sample, the count of distinct ones, and these. `into` gets the draft's own numbers. */
  #ids(from: number, samples: Uint32Array, sampleId: Uint32Array, ids: Uint8Array, sizeBytes: number, into: Uint32Array): number {
    const out = this.#out;
    this.#spanNew = grown(this.#spanNew, ids.length / sizeBytes);
    const idNew = this.#spanNew;
    const met: number[] = [];
    let pos = from;
    for (let i = 0; i < samples.length; i++) {
      const id = sampleId[samples[i]!]!;
      into[i] = id;
      if (id === 0) {
        out[pos++] = 0;
        continue;
      }
      const known = idNew[id]!;
      if (known === 0) {
        met.push(id);
        idNew[id] = met.length;
        out[pos++] = 1;
      } else pos = putVarint(out, pos, met.length + 2 - known);
    }
    pos = putVarint(out, pos, met.length);
    for (const id of met) {
      idNew[id] = 0;
      for (let i = 0; i < sizeBytes; i++) out[pos++] = ids[id * sizeBytes + i]!;
    }
    return pos;
  }

  /** Room for the longest the columns can come out, so that writing them need not look at the end. */
  #reserve(draft: RecordDraft, from: number): void {
    const { symbols, tree, samples } = draft;
    let longest = from + 64;
    longest += tree.nodeCount * 2 * VARINT32_MAX;
    longest += (symbols.locationCount + 1) * (2 * VARINT32_MAX + 8);
    longest += symbols.lineCount * (VARINT32_MAX + VARINT64_MAX);
    longest += (symbols.functionCount + 1) * (3 * VARINT32_MAX + VARINT64_MAX);
    longest += (symbols.mappingCount + 1) * (24 + 2 * VARINT32_MAX + 1);
    longest += symbols.stringCount * VARINT32_MAX + symbols.stringBytes.length;
    longest += samples.length * (3 * VARINT32_MAX + VARINT64_MAX * draft.values.length) + draft.values.length;
    longest += draft.spans.length + draft.traces.length;
    this.#out = grown(this.#out, longest);
    this.#nodeNew = grown(this.#nodeNew, tree.nodeCount);
    this.#nodes = grown(this.#nodes, tree.nodeCount);
    this.#path = grown(this.#path, tree.nodeCount);
    this.#to.reserveNodes(tree.nodeCount);
    this.#locationNew = grown(this.#locationNew, symbols.locationCount + 1);
    this.#locations = grown(this.#locations, symbols.locationCount + 1);
    this.#functionNew = grown(this.#functionNew, symbols.functionCount + 1);
    this.#functions = grown(this.#functions, symbols.functionCount + 1);
    this.#mappingNew = grown(this.#mappingNew, symbols.mappingCount + 1);
    this.#mappings = grown(this.#mappings, symbols.mappingCount + 1);
    this.#stringNew = grown(this.#stringNew, symbols.stringCount + 1);
    this.#strings = grown(this.#strings, symbols.stringCount + 1);
  }
}

/** What to encode to get a record's own bytes again. */
export function draftOf(view: RecordView, clock: Pick<RecordDraft, "idempotencyKey" | "nonce">): RecordDraft {
  const { symbols } = view;
  const samples = new Uint32Array(view.sampleCount);
  for (let i = 0; i < samples.length; i++) samples[i] = i;
  return { ...view, ...clock, samples, symbols: { ...symbols, stringStart: symbols.stringOffset, stringEnd: symbols.stringOffset.subarray(1) } };
}

/** From here on a call of `set` costs less than copying by hand. */
const LONG_TEXT_BYTES = 512;

/** Four bytes at a time: strings are too many, and too short, for a call of `set` each. May write 3 bytes beyond: the next thing does too. */
function copyText(source: DataView, from: number, target: DataView, to: number, length: number): void {
  const whole = from + length + 3 <= source.byteLength ? length : length & ~3;
  let i = 0;
  for (; i < whole; i += 4) target.setUint32(to + i, source.getUint32(from + i, true), true);
  for (; i < length; i++) target.setUint8(to + i, source.getUint8(from + i));
}

/** A whole number in [0, 2^53]. */
function putVarint(out: Uint8Array, from: number, value: number): number {
  let pos = from;
  let rest = value;
  if (rest > 0x7fff_ffff) {
    // Four groups of seven bits off the low end, then what is left fits 32-bit arithmetic.
    const high = Math.floor(rest / 0x1000_0000);
    const low = rest - high * 0x1000_0000;
    out[pos++] = low | 0x80;
    out[pos++] = (low >>> 7) | 0x80;
    out[pos++] = (low >>> 14) | 0x80;
    out[pos++] = (low >>> 21) | 0x80;
    rest = high;
  }
  while (rest >= 0x80) {
    out[pos++] = rest | 0x80;
    rest >>>= 7;
  }
  out[pos++] = rest;
  return pos;
}

/** A whole number of at most 52 bits, zigzag. */
function putSigned(out: Uint8Array, pos: number, value: number): number {
  if (value >= 0 && value < 0x40) {
    out[pos] = value * 2;
    return pos + 1;
  }
  return putVarint(out, pos, value >= 0 ? value * 2 : value * -2 - 1);
}

function putInt64(out: Uint8Array, pos: number, value: bigint): number {
  writeUint32(out, pos, Number(BigInt.asUintN(32, value)));
  writeUint32(out, pos + 4, Number(BigInt.asUintN(32, value >> 32n)));
  return pos + 8;
}

function putRaw(out: Uint8Array, pos: number, bytes: Uint8Array): number {
  out.set(bytes, pos);
  return pos + bytes.length;
}

/** Length, then UTF-8. Most texts are short and ASCII. */
function putText(out: Uint8Array, from: number, text: string): number {
  const { length } = text;
  if (length < 0x80) {
    let pos = from;
    out[pos++] = length;
    let i = 0;
    for (; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) break;
      out[pos++] = unit;
    }
    if (i === length) return pos;
  }
  const bytes = Buffer.from(text, "utf8");
  return putRaw(out, putVarint(out, from, bytes.length), bytes);
}
