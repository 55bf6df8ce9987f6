/** What a run of records adds up to, by tenant and window: the open head has one, and each cut takes its own along. */
import { assert } from "@pyromesh/base";
import { windowStartOf } from "@pyromesh/profile";
import type { EncodedRecord } from "@pyromesh/profile";
import { joinSpans, widenSpan } from "../entries/time-span.ts";
import type { TimeSpan } from "../entries/time-span.ts";

export interface RecordStatsGroup {
  readonly tenant: string;
  readonly windowStartMs: number;
  recordCount: number;
  bytes: number;
  minTimeMs: number;
  maxTimeMs: number;
  readonly services: Set<string>;
}

/** Where a commit's records lie. */
export interface CommitSlots {
  readonly number: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

export class RecordStats {
  recordCount = 0;
  bytes = 0;
  span: TimeSpan | undefined;
  readonly commits: CommitSlots[] = [];
  readonly identities: string[] = [];
  readonly #groups = new Map<string, RecordStatsGroup>();
  #last: RecordStatsGroup | undefined;

  /** `entryBytes`: what the record takes in the store. */
  add(record: EncodedRecord, identityKey: string, entryBytes: number): void {
    const { timeMs } = record;
    const group = this.#groupOf(record);
    group.recordCount++;
    group.bytes += entryBytes;
    if (timeMs < group.minTimeMs) group.minTimeMs = timeMs;
    if (timeMs > group.maxTimeMs) group.maxTimeMs = timeMs;
    group.services.add(record.service);
    this.recordCount++;
    this.bytes += entryBytes;
    this.span = widenSpan(this.span, timeMs);
    this.identities.push(identityKey);
  }

  /** `record` is undefined where it cannot be read any more: its group is not known then and goes on counting it. */
  remove(identityKey: string, record: EncodedRecord | undefined, entryBytes: number): void {
    const at = this.identities.indexOf(identityKey);
    assert(at >= 0, "what is removed was added");
    this.identities.splice(at, 1);
    this.recordCount--;
    this.bytes -= entryBytes;
    if (record === undefined) return;
    const group = this.#groupOf(record);
    group.recordCount--;
    group.bytes -= entryBytes;
    if (group.recordCount > 0) return;
    this.#groups.delete(windowKey(group.tenant, group.windowStartMs));
    this.#last = undefined;
  }

  #groupOf({ tenant, timeMs }: EncodedRecord): RecordStatsGroup {
    const windowStartMs = windowStartOf(timeMs);
    const last = this.#last; // mostly the same one
    if (last?.windowStartMs === windowStartMs && last.tenant === tenant) return last;
    const key = windowKey(tenant, windowStartMs);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { tenant, windowStartMs, recordCount: 0, bytes: 0, minTimeMs: timeMs, maxTimeMs: timeMs, services: new Set() };
      this.#groups.set(key, group);
    }
    this.#last = group;
    return group;
  }

  get groups(): IterableIterator<RecordStatsGroup> {
    return this.#groups.values();
  }

  group(tenant: string, windowStartMs: number): RecordStatsGroup | undefined {
    return this.#groups.get(windowKey(tenant, windowStartMs));
  }

  spanOf(tenant: string): TimeSpan | undefined {
    let span: TimeSpan | undefined;
    for (const group of this.#groups.values()) if (group.tenant === tenant) span = joinSpans(span, { minMs: group.minTimeMs, maxMs: group.maxTimeMs });
    return span;
  }

  get firstSeq(): number {
    return this.commits.reduce((first, commit) => Math.min(first, commit.firstSeq), Number.MAX_SAFE_INTEGER);
  }

  get lastSeq(): number {
    return this.commits.reduce((last, commit) => Math.max(last, commit.lastSeq), 0);
  }
}

/** A tenant id holds no slash. */
export function windowKey(tenant: string, windowStartMs: number): string {
  return `${tenant}/${windowStartMs}`;
}
