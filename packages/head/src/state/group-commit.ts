/**
 * What a group of appends becomes in the store: its records and the one numbered entry that would give a loss away, in one
 * batch. Planned first; the entries are encoded one by one while the batch takes them, so that all share one buffer.
 */
import { encodeCommit, sumOf } from "../entries/commit-entry.ts";
import type { EncodedRecord } from "@pyromesh/profile";
import { NumberRanges } from "../entries/number-ranges.ts";
import type { RecordEntryEncoder, RecordPlace } from "../entries/record-entry.ts";
import type { StoreOp } from "../entries/store.ts";
import { joinSpans, widenSpan } from "../entries/time-span.ts";
import type { TimeSpan } from "../entries/time-span.ts";
import type { PendingAppend } from "../store/write-queue.ts";

export interface GroupCommit {
  readonly group: readonly PendingAppend[];
  readonly number: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly bytes: number;
  /** The checksums of the records' entries, in order. They are filled in when the batch takes the entries. */
  readonly sums: number[];
  readonly span: TimeSpan | undefined;
  /** Times of all that the store answers for once it is made. */
  readonly alive: TimeSpan | undefined;
}

/** What the head knows before the commit. */
export interface CommitsSoFar {
  readonly nextCommit: number;
  readonly nextSeq: number;
  readonly alive: TimeSpan | undefined;
}

export function planGroupCommit(group: readonly PendingAppend[], { nextCommit, nextSeq, alive }: CommitsSoFar): GroupCommit {
  let bytes = 0;
  let span: TimeSpan | undefined;
  for (const { record, entryBytes } of group) {
    bytes += entryBytes;
    span = widenSpan(span, record.timeMs);
  }
  return { group, number: nextCommit, firstSeq: nextSeq, lastSeq: nextSeq + group.length - 1, bytes, sums: [], span, alive: joinSpans(alive, span) };
}

/** A copy that shares no memory with the callers, for a commit that was refused and may still turn out to be kept: they may overwrite theirs. */
export function withOwnBytes(commit: GroupCommit): GroupCommit {
  return { ...commit, group: commit.group.map((append) => ({ ...append, record: ownRecord(append.record), place: ownPlace(append.place) })) };
}

function ownRecord(record: EncodedRecord): EncodedRecord {
  return { ...record, identity: Uint8Array.from(record.identity), bytes: Uint8Array.from(record.bytes) };
}

function ownPlace({ rank, stores }: RecordPlace): RecordPlace {
  return { rank, stores: stores.map((storeId) => Uint8Array.from(storeId)) };
}

/** An op's bytes are valid until the next one is asked for. */
export function* groupCommitOps(commit: GroupCommit, encoder: RecordEntryEncoder): Generator<StoreOp, void> {
  const { group, number, span, alive, firstSeq, lastSeq, bytes, sums } = commit;
  for (const { record, place } of group) {
    const { key, value, sum } = encoder.encode(firstSeq + sums.length, record, place);
    sums.push(sum);
    yield { kind: "put", key, value };
  }
  const { key, value } = encodeCommit({ kind: "records", number, span, alive, firstSeq, lastSeq, bytes, recordCount: group.length, sum: sumOf(sums), left: NumberRanges.NONE });
  yield { kind: "put", key, value };
}
