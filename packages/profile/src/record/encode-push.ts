/**
 * One push, from pprof bytes to encoded records: decode, normalise, split, encode, hash. Pure and synchronous: it runs in
 * a worker, one push at a time, in memory that is used again for the next push.
 *
 *   pprof bytes --decode--> columns --normalise--> the same, repaired --split--> groups --encode--> one record each
 *
 * A push that holds nothing (no samples, or none but zeros) gives no records and is no error. Whatever is wrong with the
 * input is a refusal (refusal.ts); of one push all records are made, or none.
 */
import { hash } from "node:crypto";
import { assert, CodedError } from "@pyromesh/base";
import type { IngestQuirks } from "../labels/ingest-name.ts";
import { releaseGoScratch } from "./fix-go-truncated.ts";
import { ingestName } from "../labels/ingest-name.ts";
import type { Label, Labels } from "../labels/labels.ts";
import { LABEL_NAME, labelsKey, labelValue, sortLabels, withLabels } from "../labels/labels.ts";
import type { AcceptanceWindow, ProfileLimits } from "../labels/limits.ts";
import { checkProfileSize, checkTime } from "../labels/limits.ts";
import { normalize } from "./normalize.ts";
import type { NormalizedTypes } from "./normalize.ts";
import { columnTotal } from "../dataset/packed-row.ts";
import { namingOtherFormat } from "../pprof/other-format.ts";
import { PprofDecoder } from "../pprof/pprof-decode.ts";
import type { PprofKernel } from "../pprof/pprof-kernel.ts";
import { RECORD_VERSION } from "./record.ts";
import type { RecordUse } from "./record-encode.ts";
import { RecordEncoder } from "./record-encode.ts";
import type { EncodedRecord } from "../model/record-view.ts";
import { malformed, refusal } from "../labels/refusal.ts";
import { checkLabels, isKeptLabel, nameOfColumn, receivedLabels, renamed } from "../labels/relabel.ts";
import type { SampleGroup, SplitSamples } from "../pprof/split-samples.ts";
import { releaseSplitScratch, splitSamples } from "../pprof/split-samples.ts";

export interface PushInput {
  readonly tenant: string;
  /** As the client sent them: unsorted, and perhaps with a name twice. From /ingest they have no `__name__`. */
  readonly labels: readonly Label[];
  /** Not compressed. The records are copies, so it may be overwritten afterwards. */
  readonly pprof: Uint8Array;
  /** The client's UUID, 16 bytes; joins the identity. */
  readonly profileId?: Uint8Array | undefined;
  /** The time of a profile that has none of its own. */
  readonly fallbackTimeNs: bigint;
  /** Joins the identity of a profile without a time of its own. */
  readonly idempotencyKey?: string | undefined;
  /** 16 random bytes. They join the identity where there is neither time nor key nor profile id, and they seed hash tables. */
  readonly nonce: Uint8Array;
  readonly nowMs: number;
  /** Set for what came by /ingest. */
  readonly ingest?: IngestQuirks | undefined;
  readonly limits: ProfileLimits;
  readonly window: AcceptanceWindow;
  /** In which version the records are written. Absent: the newest. */
  readonly recordVersion?: number | undefined;
  /** False: labels of samples are dropped, and make no series of their own. */
  readonly splitsByLabels?: boolean;
}

/** Clients of /ingest without a clock count from 1970, so a time in the first year after it is no time. */
const NS_OF_1970 = 365n * 86_400n * 1_000_000_000n;

/** Larger pushes are rare: memory that grew with one is freed after it. */
const SCRATCH_PUSH_BYTES_MAX = 4 * 1024 * 1024;

/** A UUID's. */
const PROFILE_ID_BYTES = 16;

// Scratch of one call of encodePush, which ends before another begins: the next one writes it anew, and only its size is left.
let decoder = new PprofDecoder();
let encoder = new RecordEncoder();

/** Throws a refusal: `details.reason` is Pyroscope's discard reason. */
export function encodePush(input: PushInput, use?: RecordUse): EncodedRecord[] {
  assert(input.nonce.length === 16, "a nonce has 16 bytes");
  assert(input.profileId === undefined || input.profileId.length === 16, "a profile id has 16 bytes");
  checkProfileSize(input.pprof.length, input.limits);
  if (input.pprof.length === 0) {
    if (input.ingest !== undefined) return [];
    throw malformed("the profile is empty: send a pprof profile");
  }
  try {
    return encode(input, use);
  } catch (thrown) {
    if (!(thrown instanceof CodedError)) releaseScratch(); // a bug of ours: the memory may be half written
    throw namingOtherFormat(thrown, input.pprof, "pprof");
  } finally {
    if (input.pprof.length > SCRATCH_PUSH_BYTES_MAX) releaseScratch();
  }
}

/** Memory outside of the heap that is kept from one push to the next. */
export function pushMemoryBytes(): number {
  return decoder.memoryBytes;
}

function releaseScratch(): void {
  decoder = new PprofDecoder();
  encoder = new RecordEncoder();
  releaseSplitScratch();
  releaseGoScratch();
}

/**
 * Bytes of all records of one push; beyond, it is refused. Every record has its own symbols, so sample labels that split a push into
 * thousands of series repeat them. Such labels are ids of some kind, which make no useful series.
 */
const RECORD_BYTES_MAX = 64 * 1024 * 1024;

/** What all records of one push share. */
interface Common {
  readonly version: number;
  readonly tenant: string;
  readonly timeNs: bigint;
  readonly durationNs: bigint;
  readonly period: bigint;
  readonly periodType: NormalizedTypes["periodType"];
  readonly profileId: Uint8Array | undefined;
  readonly idempotencyKey: string | undefined;
  readonly nonce: Uint8Array | undefined;
}

function encode(input: PushInput, use: RecordUse | undefined): EncodedRecord[] {
  const { nonce, limits, ingest } = input;
  const hashSeed = nonce[0]! | (nonce[1]! << 8) | (nonce[2]! << 16) | (nonce[3]! << 24);
  decoder.decode(input.pprof, limits, hashSeed);
  const types = normalize(decoder, limits, ingest, input.labels);
  const common = commonOf(input, types);
  const labels = pushLabels(input, types);
  if (decoder.sampleCount === 0) return [];
  const names = new Set(labels.map(({ name }) => name));
  const withOwn = (own: Labels): Labels => (own.length === 0 ? labels : sortLabels([...labels, ...own]));
  const split = splitSamples(
    decoder,
    input.splitsByLabels === false ? () => true : (name) => names.has(name) || !isKeptLabel(name),
    hashSeed,
    (own) => checkLabels(withOwn(own), limits),
  );
  const isSplit = split.groups.length > 1;
  const head = common.profileId === undefined && isSplit ? { ...common, profileId: sharedProfileId(common, labels, split) } : common;
  const records: EncodedRecord[] = [];
  let recordBytes = 0;
  for (const group of split.groups) {
    const before = records.length;
    encodeGroup(head, withOwn(group.labels), types, split, group, use, records);
    for (let i = before; i < records.length; i++) recordBytes += records[i]!.bytes.length;
    if (recordBytes > RECORD_BYTES_MAX) {
      throw refusal(
        "profile_size_limit",
        `the samples' labels split the profile into more than ${records.length} series, ${RECORD_BYTES_MAX} bytes and more: leave out labels that differ from sample to sample`,
      );
    }
  }
  return records;
}

function commonOf(input: PushInput, types: NormalizedTypes): Common {
  const { timeNs } = decoder;
  const hasClock = timeNs > 0n && !(input.ingest !== undefined && timeNs < NS_OF_1970);
  const time = hasClock ? timeNs : input.fallbackTimeNs;
  checkTime(time, input.nowMs, input.window);
  const hasKey = input.idempotencyKey !== undefined || input.profileId !== undefined;
  return {
    version: input.recordVersion ?? RECORD_VERSION,
    tenant: input.tenant,
    timeNs: time,
    durationNs: decoder.durationNs,
    period: decoder.period,
    periodType: types.periodType,
    profileId: input.profileId,
    idempotencyKey: hasClock ? undefined : input.idempotencyKey,
    nonce: hasClock || hasKey ? undefined : input.nonce,
  };
}

/**
 * The id of a profile that came without one and becomes several records, so that readers count one profile. It is made of facts that are the
 * same whenever the profile is sent again, in whatever order its tables are written.
 */
function sharedProfileId(common: Common, labels: Labels, split: SplitSamples): Uint8Array {
  const totals = split.values.map((column) => columnTotal(column, split.sampleCount));
  const { tenant, timeNs, durationNs, idempotencyKey = "", nonce = [] } = common;
  const facts = [tenant, labelsKey(labels), timeNs, durationNs, split.sampleCount, ...totals, idempotencyKey, nonce];
  return new Uint8Array(hash("sha256", JSON.stringify(facts.map(String)), "buffer").subarray(0, PROFILE_ID_BYTES));
}

/** The series labels of the push, checked. */
function pushLabels(input: PushInput, types: NormalizedTypes): Labels {
  let labels: Labels = receivedLabels(input.labels);
  if (input.ingest !== undefined && labelValue(labels, LABEL_NAME) === undefined) {
    labels = sortLabels([...labels, { name: LABEL_NAME, value: ingestName(types.sampleTypes, input.ingest) }]);
  }
  checkLabels(labels, input.limits);
  return renamed(labels);
}

/** Encodes a record for each `__name__` of the group's columns: one, except where a wall profile has a `cpu` column. */
function encodeGroup(
  common: Common,
  labels: Labels,
  types: NormalizedTypes,
  split: SplitSamples,
  group: SampleGroup,
  use: RecordUse | undefined,
  records: EncodedRecord[],
): void {
  const { kernel } = decoder;
  const name = labelValue(labels, LABEL_NAME) ?? "";
  const columnsByName = new Map<string, number[]>();
  for (const [column, { type }] of types.sampleTypes.entries()) {
    // A column of zeros is left out: no series of its type appears.
    if (!kernel.hasValue(column, split.sampleCount, group.samples)) continue;
    const columnName = nameOfColumn(name, type);
    const columns = columnsByName.get(columnName);
    if (columns === undefined) columnsByName.set(columnName, [column]);
    else columns.push(column);
  }
  for (const [columnName, columns] of columnsByName) {
    const samples = columnsByName.size === 1 ? group.samples : samplesWithValue(kernel, split, group, columns);
    records.push(
      encoder.encode(
        kernel,
        {
          version: common.version,
          tenant: common.tenant,
          timeNs: common.timeNs,
          durationNs: common.durationNs,
          period: common.period,
          periodType: common.periodType,
          profileId: common.profileId,
          idempotencyKey: common.idempotencyKey,
          nonce: common.nonce,
          labels: columnName === name ? labels : withLabels(labels, { [LABEL_NAME]: columnName }),
          sampleTypes: columns.map((column) => types.sampleTypes[column]!),
          samples,
          mergedCount: split.sampleCount,
          columns,
          sampleSpan: idsOf(split.sampleSpan, samples),
          spans: split.spans,
          sampleTrace: idsOf(split.sampleTrace, samples),
          traces: split.traces,
        },
        use,
      ),
    );
  }
}

/** The samples of a group that have a value in one of the columns. */
function samplesWithValue(kernel: PprofKernel, split: SplitSamples, group: SampleGroup, columns: readonly number[]): Uint32Array {
  const { selection } = kernel.memory.columns;
  const values = columns.map((column) => split.values[column]!); // column indexes come from the same list
  let count = 0;
  for (const sample of group.samples) if (values.some((column) => Number(column[sample]) !== 0)) selection[count++] = sample;
  return selection.subarray(0, count);
}

/** Undefined where none of these samples has one. */
function idsOf(ids: Uint32Array | undefined, samples: Uint32Array): Uint32Array | undefined {
  if (ids !== undefined) for (let i = 0; i < samples.length; i++) if (ids[samples[i]!] !== 0) return ids;
  return undefined;
}
