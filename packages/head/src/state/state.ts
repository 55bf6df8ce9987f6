/** What the head holds in memory beside the store. Changed only after the store said that the change is durable. */
import type { CutEntry } from "../entries/cut-entry.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { NumberRanges } from "../entries/number-ranges.ts";
import { RecordStats } from "./record-stats.ts";
import type { TimeSpan } from "../entries/time-span.ts";
import { joinSpans } from "../entries/time-span.ts";
import type { PendingAppend } from "../store/write-queue.ts";

export interface CutState {
  readonly entry: CutEntry;
  readonly stats: RecordStats;
}

export interface SealState {
  readonly cutId: number;
  readonly segmentKeys: readonly string[];
  readonly span: TimeSpan | undefined;
}

export class HeadState {
  open: RecordStats = new RecordStats();
  readonly cuts: Map<number, CutState> = new Map();
  /** By commit number. */
  readonly seals: Map<number, SealState> = new Map();
  readonly sealed: Map<string, Uint8Array> = new Map();
  retired: NumberRanges;
  nextCommit: number;
  nextSeq: number;
  /** By identity in latin1: the record's seq, or the append that is bringing it (the one thing here that is not durable yet). */
  readonly identities: Map<string, number | PendingAppend> = new Map();
  #behind: TimeSpan | undefined;

  constructor(init: Pick<HeadState, "retired" | "nextCommit" | "nextSeq">) {
    this.retired = init.retired;
    this.nextCommit = init.nextCommit;
    this.nextSeq = init.nextSeq;
  }

  /** Times of all that this store answers for. */
  get alive(): TimeSpan | undefined {
    return joinSpans(this.open.span, this.#behind);
  }

  /** Call when cuts or seals changed: there may be thousands, and every commit asks. */
  refreshAlive(): void {
    let behind: TimeSpan | undefined;
    for (const { stats } of this.cuts.values()) behind = joinSpans(behind, stats.span);
    for (const { span } of this.seals.values()) behind = joinSpans(behind, span);
    this.#behind = behind;
  }

  /** Takes in a commit that is durable. */
  take({ group, number, firstSeq, lastSeq }: GroupCommit): void {
    this.nextCommit = number + 1;
    this.nextSeq = lastSeq + 1;
    this.open.commits.push({ number, firstSeq, lastSeq });
    for (let index = 0; index < group.length; index++) {
      const { record, identityKey, entryBytes } = group[index]!;
      this.identities.set(identityKey, firstSeq + index);
      this.open.add(record, identityKey, entryBytes);
    }
  }

  /** Of a tenant's records; undefined: it has none here. */
  spanOf(tenant: string): TimeSpan | undefined {
    let span = this.open.spanOf(tenant);
    for (const { stats } of this.cuts.values()) span = joinSpans(span, stats.spanOf(tenant));
    return span;
  }

  get cutBytes(): number {
    let bytes = 0;
    for (const { stats } of this.cuts.values()) bytes += stats.bytes;
    return bytes;
  }

  get cutCount(): number {
    let count = 0;
    for (const { stats } of this.cuts.values()) count += stats.recordCount;
    return count;
  }
}

export function identityKeyOf(identity: Uint8Array): string {
  return Buffer.from(identity.buffer, identity.byteOffset, identity.byteLength).toString("latin1");
}
