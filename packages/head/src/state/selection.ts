/**
 * Lists the head's records one by one, or sums them up as a digest, as they were at one moment: the pin.
 *
 * A pin keeps no record in the head. Records that came after it are left out. Once a record of its tenant has left the head the pin is expired, and
 * its user must begin again with a new one. So an answer describes one moment, or there is none.
 */
import { CodedError } from "@pyromesh/base";
import type { Turns } from "@pyromesh/base";
import { windowStartOf } from "@pyromesh/profile";
import { DigestFold } from "./digest.ts";
import type { SeriesDigest } from "./digest.ts";
import { matcherOf } from "./entry-filter.ts";
import type { EntryFilter } from "./entry-filter.ts";
import type { Row } from "./record-table.ts";
import type { HeadState } from "./state.ts";

/** A tenant's records at one moment. It is good in the process that made it. */
export interface HeadPin {
  readonly tenant: string;
  /** Every record of it has a smaller seq. */
  readonly untilSeq: number;
  /** How many of the tenant's records had left the head when the pin was made (departures.ts). */
  readonly departureCount: number;
}

/** A filter for one tenant's records. */
export interface TenantFilter extends EntryFilter {
  readonly tenant: string;
}

/** What the head knows of a record without its bytes. */
export interface HeadEntry {
  readonly seq: number;
  /** 16 bytes. */
  readonly identity: Uint8Array;
  /** The fingerprint of its label set; 0 where the record's bytes cannot be read. */
  readonly fingerprint: bigint;
  readonly tenant: string;
  readonly service: string;
  readonly timeMs: number;
  readonly windowStartMs: number;
  readonly sampleCount: number;
  /** Length of the record's own bytes. */
  readonly sizeBytes: number;
  readonly rank: number;
  /** Store ids in the order of their ranks. None: this store alone. */
  readonly stores: readonly Uint8Array[];
  /** The cut it belongs to; undefined: the open head. */
  readonly cutId: number | undefined;
  /** From then on, by the monotonic clock, this store asks whether lower ranks flushed it. */
  readonly dueAtMs: number;
}

export interface EntryPage {
  /** In the order of their seqs. */
  readonly entries: readonly HeadEntry[];
  /** Where the next page begins; undefined: there is no more. */
  readonly nextSeq: number | undefined;
}

export function pinOf(state: HeadState, tenant: string): HeadPin {
  return { tenant, untilSeq: state.nextSeq, departureCount: state.departures.of(tenant) };
}

/** At most `countMax` entries from `fromSeq` on; fewer where many rows do not match. Throws `HEAD_PIN_EXPIRED`. */
export function selectPage(state: HeadState, filter: TenantFilter, pin: HeadPin, { fromSeq, countMax }: { readonly fromSeq: number; readonly countMax: number }, dueAfterMs: number): EntryPage {
  checkPin(state, filter, pin);
  const isMeant = matcherOf(filter);
  const entries: HeadEntry[] = [];
  let seenCount = 0;
  for (const row of state.table.rows(fromSeq, pin.untilSeq - 1)) {
    if (entries.length >= countMax || seenCount++ >= PAGE_SEEN_MAX) return { entries, nextSeq: row.seq };
    if (isMeant(row)) entries.push(entryOf(state, row, dueAfterMs));
  }
  return { entries, nextSeq: undefined };
}

/** Open rows of ranks above 0, of all tenants. As `selectPage`, without a pin: the page is of this moment. */
export function replicaPage(state: HeadState, { fromSeq, countMax }: { readonly fromSeq: number; readonly countMax: number }, dueAfterMs: number): EntryPage {
  const { kept, table } = state;
  const entries: HeadEntry[] = [];
  let seenCount = 0;
  if (kept.recordCount === 0) return { entries, nextSeq: undefined };
  for (const row of table.rows(Math.max(fromSeq, kept.firstSeq), kept.lastSeq)) {
    if (entries.length >= countMax || seenCount++ >= PAGE_SEEN_MAX) return { entries, nextSeq: row.seq };
    if (row.run === kept.run) entries.push(entryOf(state, row, dueAfterMs));
  }
  return { entries, nextSeq: undefined };
}

/** By fingerprint. It looks at every row, in slices, and throws `HEAD_PIN_EXPIRED` where a record of the tenant left between two of them. */
export async function digestOf(state: HeadState, filter: TenantFilter, pin: HeadPin, turns: Turns): Promise<ReadonlyMap<bigint, SeriesDigest>> {
  checkPin(state, filter, pin);
  const isMeant = matcherOf(filter);
  const fold = new DigestFold();
  for (const row of state.table.rows(0, pin.untilSeq - 1)) {
    if (isMeant(row)) fold.add(row.fingerprint, row.identityWord(0), row.identityWord(1), row.identityWord(2), row.identityWord(3));
    if (!turns.areDue) continue;
    await turns.give();
    checkPin(state, filter, pin);
  }
  return fold.finish();
}

export function entryOf(state: HeadState, row: Row, dueAfterMs: number): HeadEntry {
  const { timeMs } = row;
  return {
    seq: row.seq,
    identity: row.identity,
    fingerprint: row.fingerprint,
    tenant: row.tenant,
    service: row.service,
    timeMs,
    windowStartMs: windowStartOf(timeMs),
    sampleCount: row.sampleCount,
    sizeBytes: row.recordBytes,
    rank: row.rank,
    stores: row.stores,
    cutId: state.cutOfRun(row.run)?.entry.cutId,
    dueAtMs: (state.commits.get(row.commit)?.arrivedMs ?? 0) + dueAfterMs,
  };
}

/** Rows that one page looks at: some 2 ms of work. */
const PAGE_SEEN_MAX = 16_384;

function checkPin(state: HeadState, { tenant }: TenantFilter, pin: HeadPin): void {
  if (pin.tenant === tenant && pin.departureCount === state.departures.of(tenant)) return;
  throw new CodedError({
    code: "HEAD_PIN_EXPIRED",
    kind: "failed_precondition",
    message: `records of tenant ${tenant} have left the head since it was pinned: pin it again and begin anew`,
    details: { tenant, untilSeq: pin.untilSeq },
  });
}
