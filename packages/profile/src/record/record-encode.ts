/**
 * Writes records: the envelope, the header, the columns, which the kernel writes (../kernel/record.ts), then spans and traces.
 * RECORD.md draws the layout; record-decode.ts reads it.
 */
import { assert, crc32, putUvarint } from "@pyromesh/base";
import { identityOf, NORMALISATION_VERSION } from "../model/identity.ts";
import { RESULT } from "../gen/kernel-layout.ts";
import { FRONT_BYTES_MAX } from "../pprof/kernel-memory.ts";
import { fingerprintOfBytes } from "../labels/fingerprint.ts";
import type { Labels } from "../labels/labels.ts";
import { LABEL_SERVICE_NAME, labelValue } from "../labels/labels.ts";
import type { PprofKernel } from "../pprof/pprof-kernel.ts";
import type { SampleType } from "../labels/profile-type.ts";
import {
  BODY_HAS_IDEMPOTENCY_KEY,
  BODY_HAS_NONCE,
  BODY_HAS_PROFILE_ID,
  BODY_HAS_SPANS,
  BODY_HAS_TRACES,
  millisecondsOf,
  RECORD_MAGIC,
  RECORD_OFFSET,
  RECORD_VERSION,
  STORE_COUNT_AT,
  STORES_AT,
  VERSION_WITH_STORES,
  writeUint32,
} from "./record.ts";
import type { EncodedRecord, RecordView, ValueColumn } from "../model/record-view.ts";
import { refusal } from "../labels/refusal.ts";
import { grown } from "../model/scratch.ts";

/** Which part of a push becomes a record. The push's columns lie in the kernel's memory, with equal samples merged. */
export interface RecordDraft {
  /** In which version the record is written; RECORD.md has them. Identity and body are the same in all. */
  readonly version: number;
  readonly tenant: string;
  /** Sorted, with `service_name`. */
  readonly labels: Labels;
  readonly timeNs: bigint;
  readonly durationNs: bigint;
  readonly period: bigint;
  readonly periodType: SampleType;
  /** One per entry of `columns`. */
  readonly sampleTypes: readonly SampleType[];
  readonly profileId: Uint8Array | undefined;
  /** Set for a push without a clock: what distinguishes it from another one that is equal. */
  readonly idempotencyKey: string | undefined;
  /** 16 bytes, set where there is neither key nor profile id. */
  readonly nonce: Uint8Array | undefined;
  /** The merged samples of the record, in order; in the kernel's memory. */
  readonly samples: Uint32Array;
  /** How many merged samples the push has. */
  readonly mergedCount: number;
  /** Which columns of sums go into the record. */
  readonly columns: readonly number[];
  /** By merged sample. */
  readonly sampleSpan: Uint32Array | undefined;
  readonly spans: Uint8Array;
  readonly sampleTrace: Uint32Array | undefined;
  readonly traces: Uint8Array;
}

const NOTHING: Uint8Array = new Uint8Array(0);

/** Longest varint of a 32-bit number. */
const VARINT32_MAX = 5;

/** What happens with records as they are written. */
export interface RecordUse {
  /** Returns memory of `lengthBytes` for a record, all of which is overwritten. */
  readonly room: (lengthBytes: number) => Uint8Array;
  /** Called with each record and its columns, which are valid until it returns. */
  readonly onRecord: (record: EncodedRecord, view: RecordView) => void;
}

const NO_USE: RecordUse = { room: (lengthBytes) => new Uint8Array(lengthBytes), onRecord: () => {} };

/** Its memory is used again for the next record, so it encodes one at a time. */
export class RecordEncoder {
  #front: Uint8Array = new Uint8Array(1 << 10);
  /** Where service and labels lie in `#front`. */
  #serviceFrom = 0;
  #serviceTo = 0;
  #labelsFrom = 0;
  #labelsTo = 0;
  #canonical: Uint8Array = new Uint8Array(1 << 10);
  #idNew = new Uint32Array(1 << 4);
  #sampleSpan = new Uint32Array(0);
  #sampleTrace = new Uint32Array(0);

  /** Envelope and header are written so that they end at a fixed place, where the columns begin. */
  encode(kernel: PprofKernel, draft: RecordDraft, use: RecordUse = NO_USE): EncodedRecord {
    const { out } = kernel.memory.columns;
    const service = labelValue(draft.labels, LABEL_SERVICE_NAME) ?? "";
    const frontBytes = this.#putFront(draft, service);
    const bodyFrom = FRONT_BYTES_MAX - frontBytes;
    const { version } = draft;
    assert(version === RECORD_VERSION || version === VERSION_WITH_STORES, "a version of records that this build writes");
    const start = bodyFrom - (version === VERSION_WITH_STORES ? STORES_AT : RECORD_OFFSET.body);
    if (start < 0) throw frontTooLong(frontBytes);
    out.set(this.#front.subarray(0, frontBytes), bodyFrom);
    let end = kernel.encodeColumns(FRONT_BYTES_MAX, draft.samples, draft.mergedCount, draft.columns);
    if (draft.sampleSpan !== undefined) {
      this.#sampleSpan = grown(this.#sampleSpan, draft.samples.length);
      end = this.#putIds(out, end, draft.samples, draft.sampleSpan, draft.spans, 8, this.#sampleSpan);
    }
    if (draft.sampleTrace !== undefined) {
      this.#sampleTrace = grown(this.#sampleTrace, draft.samples.length);
      end = this.#putIds(out, end, draft.samples, draft.sampleTrace, draft.traces, 16, this.#sampleTrace);
    }
    assert(end <= out.length, "the kernel's memory has room for the longest record");
    const identity = identityOf(out.subarray(bodyFrom, end));
    const fingerprint = this.#fingerprint();
    writeUint32(out, start, RECORD_MAGIC);
    out[start + RECORD_OFFSET.version] = version;
    out[start + RECORD_OFFSET.flags] = 0;
    writeUint32(out, start + RECORD_OFFSET.bodyLength, end - bodyFrom);
    out.set(identity, start + RECORD_OFFSET.identity);
    if (version === VERSION_WITH_STORES) out[start + STORE_COUNT_AT] = 0;
    else putInt64(out, start + RECORD_OFFSET.fingerprint, fingerprint);
    writeUint32(out, start + RECORD_OFFSET.crc, crc32(out.subarray(start + RECORD_OFFSET.bodyLength, end)));
    const bytes = use.room(end - start);
    bytes.set(out.subarray(start, end));
    const record: EncodedRecord = {
      identity,
      tenant: draft.tenant,
      service,
      timeMs: millisecondsOf(draft.timeNs),
      sampleCount: draft.samples.length,
      fingerprint,
      bytes,
    };
    use.onRecord(record, this.#view(kernel, draft, identity));
    return record;
  }

  /** The view that decoding the record's bytes would give. */
  #view({ memory: { columns, results } }: PprofKernel, draft: RecordDraft, identity: Uint8Array): RecordView {
    const { tenant, labels, timeNs, durationNs, period, periodType, sampleTypes, profileId, spans, traces, samples } = draft;
    const stringCount = results[RESULT.recordStringCount]!;
    const stringsFrom = results[RESULT.recordStringsAt]! - columns.out.byteOffset;
    return {
      symbols: {
        stringCount: stringCount + 1,
        stringBytes: columns.out.subarray(stringsFrom, stringsFrom + columns.recordStringOffset[stringCount + 1]!),
        stringOffset: columns.recordStringOffset,
        mappingCount: results[RESULT.recordMappingCount]! + 1,
        mappingStart: columns.recordMappingStart,
        mappingLimit: columns.recordMappingLimit,
        mappingFileOffset: columns.recordMappingFileOffset,
        mappingFilename: columns.recordMappingFilename,
        mappingBuildId: columns.recordMappingBuildId,
        mappingFlags: columns.recordMappingFlags,
        functionCount: results[RESULT.recordFunctionCount]! + 1,
        functionName: columns.recordFunctionName,
        functionSystemName: columns.recordFunctionSystemName,
        functionFilename: columns.recordFunctionFilename,
        functionStartLine: columns.recordFunctionStartLine,
        locationCount: results[RESULT.recordLocationCount]! + 1,
        locationMapping: columns.recordLocationMapping,
        locationAddressLow: columns.recordLocationAddressLow,
        locationAddressHigh: columns.recordLocationAddressHigh,
        locationFlags: columns.recordLocationFlags,
        lineStart: columns.recordLineStart,
        lineCount: results[RESULT.recordLineCount]!,
        lineFunction: columns.recordLineFunction,
        lineNumber: columns.recordLineNumber,
      },
      tree: { nodeCount: results[RESULT.recordNodeCount]! + 1, nodeParent: columns.recordNodeParent, nodeLocation: columns.recordNodeLocation },
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
      sampleNode: columns.recordSampleNode,
      values: sampleTypes.map((_, t): ValueColumn => {
        const { recordValues, recordValueIsWide } = columns;
        const at = recordValues.byteOffset + t * samples.length * recordValues.BYTES_PER_ELEMENT;
        return new (recordValueIsWide[t] === 0 ? Float64Array : BigInt64Array)(recordValues.buffer as ArrayBuffer, at, samples.length);
      }),
      sampleSpan: draft.sampleSpan === undefined ? undefined : this.#sampleSpan,
      spans: draft.sampleSpan === undefined ? NOTHING : spans,
      sampleTrace: draft.sampleTrace === undefined ? undefined : this.#sampleTrace,
      traces: draft.sampleTrace === undefined ? NOTHING : traces,
    };
  }

  /** Writes the header into `#front`; returns its length. */
  #putFront(draft: RecordDraft, service: string): number {
    const { labels, sampleTypes, profileId, idempotencyKey, nonce } = draft;
    let textLength = draft.tenant.length + service.length + draft.periodType.type.length + draft.periodType.unit.length;
    for (const { name, value } of labels) textLength += name.length + value.length;
    for (const { type, unit } of sampleTypes) textLength += type.length + unit.length;
    textLength += idempotencyKey?.length ?? 0;
    if (textLength > FRONT_BYTES_MAX) throw frontTooLong(textLength); // before memory is made for it
    const textCount = 4 + 2 * labels.length + 2 * sampleTypes.length + 1;
    this.#front = grown(this.#front, 128 + 3 * textLength + VARINT32_MAX * textCount);
    const out = this.#front;
    let pos = 0;
    out[pos++] = NORMALISATION_VERSION;
    pos = putText(out, pos, draft.tenant);
    this.#serviceFrom = pos;
    pos = putText(out, pos, service);
    this.#serviceTo = pos;
    pos = putInt64(out, pos, draft.timeNs);
    pos = putUvarint(out, pos, draft.samples.length);
    pos = putInt64(out, pos, draft.durationNs);
    pos = putInt64(out, pos, draft.period);
    pos = putText(out, pos, draft.periodType.type);
    pos = putText(out, pos, draft.periodType.unit);
    pos = putUvarint(out, pos, sampleTypes.length);
    for (const { type, unit } of sampleTypes) {
      pos = putText(out, pos, type);
      pos = putText(out, pos, unit);
    }
    this.#labelsFrom = pos;
    // service_name stands in the header already.
    const isServiceLabel = labels.some(({ name }) => name === LABEL_SERVICE_NAME);
    pos = putUvarint(out, pos, isServiceLabel ? labels.length - 1 : labels.length);
    for (const { name, value } of labels) {
      if (name === LABEL_SERVICE_NAME) continue;
      pos = putText(out, pos, name);
      pos = putText(out, pos, value);
    }
    this.#labelsTo = pos;
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

  /** Fingerprint of the header that was written last: its service and its labels, back to back, are the canonical bytes. */
  #fingerprint(): bigint {
    const serviceBytes = this.#serviceTo - this.#serviceFrom;
    const lengthBytes = serviceBytes + this.#labelsTo - this.#labelsFrom;
    this.#canonical = grown(this.#canonical, lengthBytes);
    this.#canonical.set(this.#front.subarray(this.#serviceFrom, this.#serviceTo));
    this.#canonical.set(this.#front.subarray(this.#labelsFrom, this.#labelsTo), serviceBytes);
    return fingerprintOfBytes(this.#canonical.subarray(0, lengthBytes));
  }

  /** Span or trace ids: a reference per sample, the count of distinct ones, and these. `into` receives the push's numbers of them. */
  #putIds(out: Uint8Array, from: number, samples: Uint32Array, sampleId: Uint32Array, ids: Uint8Array, sizeBytes: number, into: Uint32Array): number {
    this.#idNew = grown(this.#idNew, ids.length / sizeBytes);
    const idNew = this.#idNew;
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
      } else pos = putUvarint(out, pos, met.length + 2 - known);
    }
    pos = putUvarint(out, pos, met.length);
    for (const id of met) {
      idNew[id] = 0;
      for (let i = 0; i < sizeBytes; i++) out[pos++] = ids[id * sizeBytes + i]!;
    }
    return pos;
  }
}

function frontTooLong(lengthBytes: number): Error {
  return refusal("label_value_too_long", `the labels and sample types of the series take ${lengthBytes} bytes and fewer than ${FRONT_BYTES_MAX} are kept: shorten them`);
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

/** Writes the length, then UTF-8. Most texts are short and ASCII, which this loop writes faster than a call of Buffer. */
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
  return putRaw(out, putUvarint(out, from, bytes.length), bytes);
}
