/**
 * Records of a head that is in use: read again for a worker that lost its rows, and quarantined one by one where no worker can take them.
 *
 * Both run between two writes of the head (`Head` calls them in its queue), so that a cut or a seal is wholly before or wholly after.
 */
import { assert, CorruptionError } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { parseKey, quarantinedKey, recordKey, recordsBetween } from "../entries/keys.ts";
import { encodeRetired } from "../entries/meta-entry.ts";
import { decodeRecordEntry } from "../entries/record-entry.ts";
import type { OrderedStore, StoreOp } from "../entries/store.ts";
import type { TimeSpan } from "../entries/time-span.ts";
import { planLeaving } from "../state/leaving.ts";
import type { HeadState } from "../state/state.ts";

export interface LiveRecord {
  readonly seq: number;
  readonly rank: number;
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
  const records: LiveRecord[] = [];
  const unreadable: UnreadableRecord[] = [];
  let lastSeq: number | undefined;
  for await (const entries of store.pages(recordsBetween(fromSeq, untilSeq - 1), { pageBytes })) {
    for (const { key, value } of entries) {
      const parsed = parseKey(key);
      if (parsed?.kind !== "record") continue; // not an entry that any version writes: the next start reports it
      const seq = parsed.number;
      lastSeq = seq;
      // A start may find two records of one identity, and keeps the first: the second has no row.
      const row = state.table.at(seq);
      if (row === undefined) continue;
      try {
        records.push({ seq, rank: row.rank, cutId: state.cutOfRun(row.run)?.entry.cutId, record: decodeRecordEntry(key, value).record });
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        unreadable.push({ seq, reason: error.message });
      }
    }
    break;
  }
  return { page: { records, unreadable }, nextSeq: lastSeq === undefined || lastSeq + 1 >= untilSeq ? undefined : lastSeq + 1 };
}

/** How one record leaves the head for the quarantine. */
export interface SettingAside {
  readonly ops: readonly StoreOp[];
  /** When its profile was. */
  readonly span: TimeSpan;
  readonly apply: () => void;
}

/** Undefined where the head holds no such record (any more). */
export async function planSetAside(store: OrderedStore, state: HeadState, seq: number): Promise<SettingAside | undefined> {
  const row = state.table.at(seq);
  if (row === undefined) return undefined;
  const value = await store.get(recordKey(seq));
  const { timeMs } = row;
  const leaving = planLeaving(state, [seq]);
  const retired = state.retired.with(leaving.retired);
  return {
    // Its bytes are kept for whoever looks into it; its commit's entry says that it left.
    ops: [...leaving.ops, { kind: "put", key: quarantinedKey(seq), value: value ?? new Uint8Array(0) }, { kind: "put", ...encodeRetired(retired) }],
    span: { minMs: timeMs, maxMs: timeMs },
    apply: () => {
      const gone = state.table.at(seq);
      assert(gone !== undefined, "nothing leaves between the plan and the change");
      state.retired = retired;
      state.statsOfRun(gone.run).remove(gone, gone.entryBytes);
      leaving.apply();
    },
  };
}
