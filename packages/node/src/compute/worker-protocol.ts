/**
 * What travels between the main thread and a worker: batches of calls one way, their outcomes the other, by the batch's number.
 *
 * A push is the call that comes by the thousand, so it and its outcome travel as flat lists of numbers and texts (an object costs its
 * keys' names at both ends), with its settings named by number and its bytes in the buffer pool (buffer-pool.ts).
 */
import { CodedError, countShared } from "@pyromesh/base";
import type { ErrorKind } from "@pyromesh/base";
import type { Label } from "@pyromesh/profile";
import type { EncodedPush } from "./compute-engine.ts";
import type { BuiltDataset, DrawTask, EncodeSettings, EncodeTask, Finished, FinishSpec, Generation, InsertedRecord, ScanPartial, ScanSpec, ScanTask } from "./compute.ts";

export type WorkerCall =
  | PackedPush
  /** Goes on with a push whose outcome was `HalfPush`. The outcome is that of the push, or `HalfPush` once more. */
  | { readonly method: "resume"; readonly push: number }
  /** Pushes name these settings by this number from now on. With `isFirst` all settings before are forgotten. */
  | { readonly method: "settings"; readonly number: number; readonly settings: EncodeSettings; readonly isFirst: boolean }
  | { readonly method: "insert"; readonly generation: Generation; readonly records: readonly InsertedRecord[] }
  | { readonly method: "rows"; readonly generation: Generation; readonly rows: readonly number[] }
  | { readonly method: "release"; readonly rows: readonly number[] }
  /** Does one step of a build. The outcome is undefined until the build is done. */
  | { readonly method: "build"; readonly generation: Generation; readonly tenant: string; readonly windowStartMs: number }
  | { readonly method: "drop"; readonly generation: Generation }
  /** Does nothing. Its answer says that every short call posted before it is done. */
  | { readonly method: "barrier" }
  | { readonly method: "scan"; readonly task: ScanTask }
  | { readonly method: "merge"; readonly spec: ScanSpec; readonly partials: readonly ScanPartial[] }
  | { readonly method: "finish"; readonly spec: FinishSpec; readonly partials: readonly ScanPartial[] }
  | { readonly method: "draw"; readonly task: DrawTask };

/** Batches are numbered from 1. */
export type WorkerBatch = readonly [number: number, ...calls: readonly WorkerCall[]];

/** The outcomes of a batch, one for each call, in order. */
export type WorkerReply = readonly [number: number, ...outcomes: readonly WorkerOutcome[]];

/** Undefined: the call is done and returns nothing. */
export type WorkerOutcome = PackedRecords | { readonly value: PartOfBody | HalfPush } | { readonly value: unknown } | { readonly error: PlainError } | undefined;

/** The records of a body of which some profiles were refused. */
export interface PartOfBody {
  readonly records: PackedRecords;
  readonly refused: readonly PlainError[];
}

/** The push is a body of many profiles, of which the worker has encoded some: it is asked to go on, so that other calls get their turn. */
export interface HalfPush {
  readonly half: number;
}

export function isPush(call: WorkerCall): call is PackedPush {
  return Array.isArray(call);
}

type QueryCall = Extract<WorkerCall, { readonly method: "scan" | "merge" | "finish" | "draw" }>;

/** Only calls of queries can be cancelled. */
export function isQuery(call: WorkerCall): call is QueryCall {
  return !isPush(call) && (call.method === "scan" || call.method === "merge" || call.method === "finish" || call.method === "draw");
}

/** True for a call of a query for labels, which takes milliseconds where another query takes seconds. */
export function isListing(call: QueryCall): boolean {
  if (call.method === "draw") return false;
  return (call.method === "scan" ? call.task.spec : call.spec).kind === "listing";
}

/** The entry of `WorkerStart.canceled` in which the number of the call's batch stands once it is cancelled. */
export function cancelCell(call: WorkerCall): number {
  return isQuery(call) && isListing(call) ? 0 : 1;
}

export function isRecords(outcome: WorkerOutcome): outcome is PackedRecords {
  return Array.isArray(outcome);
}

/** Counts what a worker sent in shared memory towards the memory of the thread that it was sent to. */
export function countOutcome(outcome: WorkerOutcome): void {
  if (outcome === undefined) return;
  if (isRecords(outcome)) return countRecords(outcome);
  if ("error" in outcome || outcome.value === undefined) return;
  const value = outcome.value as Finished | ScanPartial | PartOfBody | HalfPush | readonly BuiltDataset[]; // as worker-loop.ts answers each method
  if (typeof value === "object" && "refused" in value) countRecords(value.records);
  else if (Array.isArray(value)) for (const { sections } of value as readonly BuiltDataset[]) for (const { raw } of sections) countShared(raw);
  else if ("bytes" in value) countShared(value.bytes);
  else if ("packed" in value && value.packed !== undefined) countShared(value.packed);
}

function countRecords(records: PackedRecords): void {
  for (let at = 0; at < records.length; at += RECORD_ENTRIES) {
    const place = records[at];
    if (place instanceof Uint8Array) countShared(place);
  }
}

/** What a worker is started with. */
export interface WorkerStart {
  readonly worker: number;
  readonly workerCount: number;
  /** Bound of the opened datasets that the worker keeps. */
  readonly openBytesMax: number;
  /** How many threads of this worker have died before this one. */
  readonly epoch: number;
  /** The buffer pool. */
  readonly shared: SharedArrayBuffer;
  /** Shared: the number of a batch with the worker that was cancelled, one entry for listings and one for other queries (`cancelCell`). A call that can be cancelled has a batch of its own. */
  readonly canceled: BigInt64Array;
  /** Shared: the number of the batch that the worker began last. It begins them in the order of their numbers. */
  readonly begun: BigInt64Array;
  /** Bound of the thread's heap. V8 ends a thread that needs more. */
  readonly heapMb: number;
  /** Bound of what one query may build outside of the heap. */
  readonly outsideBytesMax: number;
  /** Bound of the records of one profile together. */
  readonly recordBytesMax: number;
}

/** Bytes in the buffer pool, by their offset, or in shared memory of their own. */
type Place = number | Uint8Array;

export type PackedPush = readonly [
  pprof: Place,
  pprofBytes: number,
  settings: number,
  generation: Generation,
  tenant: string,
  /** Names and values in turn. */
  labels: readonly string[],
  profileId: Uint8Array | undefined,
  fallbackTimeNs: bigint,
  idempotencyKey: string | undefined,
  nowMs: number,
  ingest: EncodeTask["ingest"],
  format: EncodeTask["format"],
];

export function packPush(task: EncodeTask, pprof: Place, settings: number): PackedPush {
  const labels: string[] = [];
  for (const { name, value } of task.labels) labels.push(name, value);
  const { generation, tenant, profileId, fallbackTimeNs, idempotencyKey, nowMs, ingest, format } = task;
  return [pprof, task.pprof.length, settings, generation, tenant, labels, profileId, fallbackTimeNs, idempotencyKey, nowMs, ingest, format];
}

export function unpackPush(push: PackedPush, view: (at: number, lengthBytes: number) => Uint8Array, settingsOf: (number: number) => EncodeSettings): EncodeTask {
  const [place, pprofBytes, settings, generation, tenant, pairs, profileId, fallbackTimeNs, idempotencyKey, nowMs, ingest, format] = push;
  const labels: Label[] = [];
  for (let i = 0; i < pairs.length; i += 2) labels.push({ name: pairs[i]!, value: pairs[i + 1]! });
  const pprof = typeof place === "number" ? view(place, pprofBytes) : place;
  return { settings: settingsOf(settings), generation, tenant, labels, pprof, profileId, fallbackTimeNs, idempotencyKey, nowMs, ingest, format };
}

/** RECORD_ENTRIES for each record: where its bytes are, how many, service, time, samples, pre-interned row. */
export type PackedRecords = readonly (Place | string)[];

export const RECORD_ENTRIES = 6;

export function packRecords({ records, rows }: EncodedPush, placeOf: (bytes: Uint8Array) => Place): PackedRecords {
  const packed: (Place | string)[] = [];
  for (const [index, { bytes, service, timeMs, sampleCount }] of records.entries()) {
    packed.push(placeOf(bytes), bytes.length, service, timeMs, sampleCount, rows[index]!);
  }
  return packed;
}

/** The fields of a record that are sent. Its identity is not one of them, since it is in the record's bytes. */
export interface UnpackedRecord {
  readonly bytes: Uint8Array;
  readonly service: string;
  readonly timeMs: number;
  readonly sampleCount: number;
  readonly row: number;
}

/** The record whose entries begin at `at`. */
export function unpackRecord(packed: PackedRecords, at: number, view: (at: number, lengthBytes: number) => Uint8Array): UnpackedRecord {
  const place = packed[at] as Place; // as packRecords put it, and so are the others
  return {
    bytes: typeof place === "number" ? view(place, packed[at + 1] as number) : place,
    service: packed[at + 2] as string,
    timeMs: packed[at + 3] as number,
    sampleCount: packed[at + 4] as number,
    row: packed[at + 5] as number,
  };
}

/** Each thread of a worker numbers its pre-interned rows in a range of its own, so that rows of a dead thread are recognised. */
const ROWS_AN_EPOCH = 2 ** 32;

export function firstRowOf(epoch: number): number {
  return epoch * ROWS_AN_EPOCH + 1;
}

export function isRowOf(epoch: number, row: number): boolean {
  return row > epoch * ROWS_AN_EPOCH && row <= (epoch + 1) * ROWS_AN_EPOCH;
}

export function queryCanceled(): CodedError {
  return new CodedError({ code: "QUERY_CANCELED", kind: "canceled", message: "the caller went away" });
}

/** Each record has its own symbols, so samples that differ in their labels repeat them: 17 kB of gzip can become 540 MB of records. */
export function recordsTooLarge(recordBytesMax: number): CodedError {
  return new CodedError({
    code: "PROFILE_TOO_LARGE",
    kind: "invalid_argument",
    message: `the samples' labels split the profile into records of more than ${recordBytesMax} bytes together, the most that this node's memory allows of one: leave out labels that differ from sample to sample`,
    details: { reason: "profile_size_limit" },
  });
}

/** A thread starts within some 0.1 s; whole seconds are what `Retry-After` knows. */
const RETRY_AFTER_SECONDS = 1;

/** The number of the first push of a thread that is done in steps: no thread takes one of a dead thread for its own. */
export function firstHalfOf(epoch: number): number {
  return epoch * ROWS_AN_EPOCH + 1;
}

/** `wasAtWork`: the worker that died had begun the call. */
export function workerLost(message: string, wasAtWork: boolean): CodedError {
  return new CodedError({
    code: "WORKER_LOST",
    kind: "unavailable",
    message: `a worker thread died (${message}) and is started again: try again`,
    details: { retryAfterSeconds: RETRY_AFTER_SECONDS, wasAtWork },
  });
}

export interface PlainError {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
  readonly stack: string | undefined;
}

export function toPlainError(thrown: unknown): PlainError {
  if (thrown instanceof CodedError) {
    return { code: thrown.code, kind: thrown.kind, message: thrown.message, details: thrown.details, stack: undefined };
  }
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return { code: "COMPUTE_FAILED", kind: "internal", message: error.message, details: {}, stack: error.stack };
}

export function fromPlainError(plain: PlainError): CodedError {
  const error = new CodedError(plain);
  if (plain.stack !== undefined) error.stack = plain.stack;
  return error;
}
