/**
 * Records of a head that is in use: read again for a worker that lost its rows, and quarantined one by one where no worker can take them.
 *
 * Both run between two writes of the head (`Head` calls them in its queue), so that a cut or a seal is wholly before or wholly after.
 */
import { assert, CorruptionError } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { decodeCommit, encodeCommit, sumOf } from "../entries/commit-entry.ts";
import { envelopeSum } from "../entries/checksum-envelope.ts";
import { commitKey, parseKey, quarantinedKey, recordKey, recordsBetween } from "../entries/keys.ts";
import { decodeRecordEntry } from "../entries/record-entry.ts";
import { placeOf } from "./replay.ts";
import { identityKeyOf } from "../state/state.ts";
import type { HeadState } from "../state/state.ts";
import type { OrderedStore, StoreOp } from "../entries/store.ts";
import type { RecordStats } from "../state/record-stats.ts";
import type { TimeSpan } from "../entries/time-span.ts";

export interface LiveRecord {
  readonly seq: number;
  /** The cut it belongs to now; undefined: the open head. */
  readonly cutId: number | undefined;
  readonly record: EncodedRecord;
}

/** A committed record whose bytes are no longer what was written. */
export interface UnreadableRecord {
  readonly seq: number;
  readonly reason: string;
}

export interface LivePage {
  /** Each identity once, in the order of their seqs. Their `bytes` are valid until `visit` returns. */
  readonly records: readonly LiveRecord[];
  readonly unreadable: readonly UnreadableRecord[];
}

/** From `fromSeq`, up to but without `untilSeq`. */
export interface SeqRange {
  readonly fromSeq: number;
  readonly untilSeq: number;
}

/** Some `pageBytes` of the range, and where the next page begins; undefined: there is no more. Throws where the store cannot read. */
export async function readLivePage(
  store: OrderedStore,
  state: HeadState,
  { fromSeq, untilSeq }: SeqRange,
  pageBytes: number,
): Promise<{ readonly page: LivePage; readonly nextSeq: number | undefined }> {
  const cuts = [...state.cuts.values()].map(({ entry }) => entry).sort((a, b) => a.firstSeq - b.firstSeq);
  const records: LiveRecord[] = [];
  const unreadable: UnreadableRecord[] = [];
  let lastSeq: number | undefined;
  for await (const entries of store.pages(recordsBetween(fromSeq, untilSeq - 1), { pageBytes })) {
    for (const { key, value } of entries) {
      const parsed = parseKey(key);
      if (parsed?.kind !== "record") continue; // not an entry that any version writes: the next start reports it
      const seq = parsed.number;
      lastSeq = seq;
      try {
        const { record } = decodeRecordEntry(key, value);
        // A start may find two records of one identity, and keeps the first: the second is left out here as well.
        if (state.identities.get(identityKeyOf(record.identity)) !== seq) continue;
        const place = placeOf(seq, cuts);
        records.push({ seq, cutId: place.kind === "cut" ? place.cutId : undefined, record });
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        if (identityAt(state, seq) !== undefined) unreadable.push({ seq, reason: error.message });
      }
    }
    break;
  }
  return { page: { records, unreadable }, nextSeq: lastSeq === undefined || lastSeq + 1 >= untilSeq ? undefined : lastSeq + 1 };
}

/** How one record leaves the head for the quarantine. */
export interface SettingAside {
  readonly ops: readonly StoreOp[];
  /** When its profiles may have been; undefined: any time. */
  readonly span: TimeSpan | undefined;
  readonly apply: () => void;
}

/** Undefined where the head holds no such record (any more). */
export async function planSetAside(store: OrderedStore, state: HeadState, seq: number): Promise<SettingAside | undefined> {
  const identityKey = identityAt(state, seq);
  const stats = [state.open, ...[...state.cuts.values()].map((cut) => cut.stats)].find(({ commits }) => commits.some((slots) => isInside(slots, seq)));
  if (identityKey === undefined || stats === undefined) return undefined;
  const slots = stats.commits.find((one) => isInside(one, seq))!; // found just above
  const seqs = Array.from({ length: slots.lastSeq - slots.firstSeq + 1 }, (_, index) => slots.firstSeq + index);
  const values = await store.getMany(seqs.map(recordKey));
  const value = values[seq - slots.firstSeq];
  const others = values.filter((other, index) => other !== undefined && seqs[index] !== seq) as Uint8Array[]; // filtered
  const entry = await store.get(commitKey(slots.number));
  const commit = entry === undefined ? undefined : decodeCommit(slots.number, entry);
  const found = value === undefined ? undefined : readable(seq, value);
  const span = found === undefined ? (commit?.span ?? stats.span) : { minMs: found.timeMs, maxMs: found.timeMs };

  // 1. Its bytes are kept for whoever looks into it; the commit's entry says that it has one record less.
  const ops: StoreOp[] = [{ kind: "delete", key: recordKey(seq) }];
  ops.push({ kind: "put", key: quarantinedKey(seq), value: value ?? new Uint8Array(0) });
  if (commit?.kind === "records") ops.push({ kind: "put", ...encodeCommit({ ...commit, recordCount: others.length, sum: sumOf(others.map(envelopeSum)) }) });
  // 2. No segment has to hold it.
  const apply = (): void => {
    state.identities.delete(identityKey);
    stats.remove(identityKey, found, value?.length ?? 0);
  };
  return { ops, span, apply };
}

function identityAt(state: HeadState, seq: number): string | undefined {
  for (const [identityKey, held] of state.identities) if (held === seq) return identityKey;
  return undefined;
}

function readable(seq: number, value: Uint8Array): EncodedRecord | undefined {
  try {
    return decodeRecordEntry(recordKey(seq), value).record;
  } catch (error) {
    assert(error instanceof CorruptionError, "a record entry that cannot be decoded is corrupt");
    return undefined;
  }
}

function isInside({ firstSeq, lastSeq }: RecordStats["commits"][number], seq: number): boolean {
  return firstSeq <= seq && seq <= lastSeq;
}
