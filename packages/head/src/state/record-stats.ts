/** What a run of records adds up to, by tenant and window: open records of rank 0 are one run, those of other ranks are one, and each cut is one. */
import { assert } from "@pyromesh/base";
import { windowStartOf } from "@pyromesh/profile";
import { NumberRanges } from "../entries/number-ranges.ts";
import { joinSpans, widenSpan } from "../entries/time-span.ts";
import type { TimeSpan } from "../entries/time-span.ts";

export interface RecordStatsGroup {
  readonly tenant: string;
  readonly windowStartMs: number;
  recordCount: number;
  bytes: number;
  minTimeMs: number;
  maxTimeMs: number;
  /** How many records each has. */
  readonly services: Map<string, number>;
}

/** What the stats need to know about a record. */
export interface CountedRecord {
  readonly tenant: string;
  readonly service: string;
  readonly timeMs: number;
}

export class RecordStats {
  /** Names the run in the rows of its records. A run that was open goes on as a cut, so a cut of everything changes no row. */
  readonly run: number;
  recordCount = 0;
  bytes = 0;
  /** Times of its records. It may be wider than they are once some have left. */
  span: TimeSpan | undefined;
  readonly #groups = new Map<string, RecordStatsGroup>();
  #last: RecordStatsGroup | undefined;
  /** Disjoint; some of these seqs may have left. */
  readonly #seqs: { from: number; to: number }[] = [];
  /** No record of the run lies before or behind. */
  firstSeq: number = Number.MAX_SAFE_INTEGER;
  lastSeq = 0;

  constructor(run: number) {
    this.run = run;
  }

  /** Mostly called in the order of their seqs. `entryBytes`: what the record takes in the store. */
  add(seq: number, { tenant, service, timeMs }: CountedRecord, entryBytes: number): void {
    const group = this.#groupOf(tenant, timeMs);
    group.recordCount++;
    group.bytes += entryBytes;
    if (timeMs < group.minTimeMs) group.minTimeMs = timeMs;
    if (timeMs > group.maxTimeMs) group.maxTimeMs = timeMs;
    group.services.set(service, (group.services.get(service) ?? 0) + 1);
    this.recordCount++;
    this.bytes += entryBytes;
    this.span = widenSpan(this.span, timeMs);
    if (seq < this.firstSeq) this.firstSeq = seq;
    if (seq > this.lastSeq) this.lastSeq = seq;
    const last = this.#seqs[this.#seqs.length - 1];
    if (last !== undefined && seq === last.to + 1) last.to = seq;
    else this.#seqs.push({ from: seq, to: seq });
  }

  remove({ tenant, service, timeMs }: CountedRecord, entryBytes: number): void {
    const group = this.#groupOf(tenant, timeMs);
    assert(group.recordCount > 0, "what is removed was added");
    group.recordCount--;
    group.bytes -= entryBytes;
    this.recordCount--;
    this.bytes -= entryBytes;
    const left = (group.services.get(service) ?? 1) - 1;
    if (left === 0) group.services.delete(service);
    else group.services.set(service, left);
    if (group.recordCount > 0) return;
    this.#groups.delete(windowKey(tenant, group.windowStartMs));
    this.#last = undefined;
    this.span = undefined;
    for (const { minTimeMs, maxTimeMs } of this.#groups.values()) this.span = joinSpans(this.span, { minMs: minTimeMs, maxMs: maxTimeMs });
  }

  get groups(): IterableIterator<RecordStatsGroup> {
    return this.#groups.values();
  }

  spanOf(tenant: string): TimeSpan | undefined {
    let span: TimeSpan | undefined;
    for (const group of this.#groups.values()) if (group.tenant === tenant) span = joinSpans(span, { minMs: group.minTimeMs, maxMs: group.maxTimeMs });
    return span;
  }

  /** The seqs of its records, and perhaps of some that have left since. */
  get seqs(): NumberRanges {
    return NumberRanges.of(this.#seqs);
  }

  #groupOf(tenant: string, timeMs: number): RecordStatsGroup {
    const windowStartMs = windowStartOf(timeMs);
    const last = this.#last; // mostly the same one
    if (last?.windowStartMs === windowStartMs && last.tenant === tenant) return last;
    const key = windowKey(tenant, windowStartMs);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { tenant, windowStartMs, recordCount: 0, bytes: 0, minTimeMs: timeMs, maxTimeMs: timeMs, services: new Map() };
      this.#groups.set(key, group);
    }
    this.#last = group;
    return group;
  }
}

/** A tenant id holds no slash. */
export function windowKey(tenant: string, windowStartMs: number): string {
  return `${tenant}/${windowStartMs}`;
}
