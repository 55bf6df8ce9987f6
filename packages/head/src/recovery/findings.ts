/** What a phase of the recovery found: what must be said, and what must be repaired once it is said. */
import type { StoreEntry, StoreOp } from "../entries/store.ts";
import type { NewQuarantine } from "./quarantine.ts";
import type { LossBound } from "./replay.ts";

export interface Findings {
  readonly quarantines: readonly NewQuarantine[];
  /** Records lost for sure; a lost commit whose size nobody knows counts one. */
  readonly lostCount: number;
  /** In order: of two that touch one key, the later one counts. */
  readonly repairs: readonly StoreOp[];
  /** Commits whose content is gone, which is said here: the next start does not miss their numbers. */
  readonly retired: readonly number[];
}

export function joinFindings(all: readonly Findings[]): Findings {
  return {
    quarantines: all.flatMap(({ quarantines }) => quarantines),
    lostCount: all.reduce((sum, { lostCount }) => sum + lostCount, 0),
    repairs: all.flatMap(({ repairs }) => repairs),
    retired: all.flatMap(({ retired }) => retired),
  };
}

/** Gathers the findings of one phase. */
export class FindingsBuilder implements Findings {
  readonly quarantines: NewQuarantine[] = [];
  readonly repairs: StoreOp[] = [];
  readonly retired: number[] = [];
  lostCount = 0;

  /** False where nothing can have been lost: then there is nothing to quarantine. */
  lose(reason: string, bound: LossBound, count: number): boolean {
    if (bound.kind === "none") return false;
    this.lostCount += count;
    this.quarantines.push({ reason, startMs: bound.kind === "span" ? bound.span.minMs : undefined, endMs: bound.kind === "span" ? bound.span.maxMs : undefined });
    return true;
  }

  put({ key, value }: StoreEntry): void {
    this.repairs.push({ kind: "put", key, value });
  }

  remove(key: Uint8Array): void {
    this.repairs.push({ kind: "delete", key });
  }
}
