/**
 * Finds which segments of a store are missing from the bucket. Pure.
 *
 *   a store's ordinals of one tenant and window       0 1 2 3 4 5 6 7 8     next = 9: what the store says it gave
 *   sources of blocks                                 b b
 *   segments listed, or waiting on this node's disk           s
 *   marks: void, forgotten                                  v
 *   marks: lost, without a forgotten                            l
 *   gaps                                                  2     5 6 7 8     2 and 6 to 8 are missing, 5 is lost
 *
 * What must stay true: a gap becomes a hole only when two LISTs show it, the second begun after the first ended. Names sort by time and
 * uploads come by ordinal: a LIST under an upload may show a later ordinal and not the one before.
 */

export interface OrdinalRange {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

/** What is known of one store's ordinals in one tenant and window. Lists in any order, repeats allowed. */
export interface KnownOrdinals {
  /** Ordinals of segments that were listed or wait on this node's disk. */
  readonly segments: readonly number[];
  readonly marks: readonly { readonly mark: "void" | "lost" | "forgotten"; readonly ordinal: number }[];
  /** Sources of blocks: their segments may have been deleted. */
  readonly compacted?: readonly OrdinalRange[];
  /** Every ordinal below it was given. 0 where only the bucket is known: then those below the highest one listed were given. */
  readonly next: number;
}

/** Ordinals that were given and are no segment, no source of a block and not accounted for by a mark; sorted. */
export function gapsOf({ segments, marks, compacted = [], next }: KnownOrdinals): OrdinalRange[] {
  const settled = [...segments];
  let end = next;
  for (const { mark, ordinal } of marks) {
    if (mark !== "lost") settled.push(ordinal);
    end = Math.max(end, ordinal + 1);
  }
  settled.sort((a, b) => a - b);
  const gaps: OrdinalRange[] = [];
  let wanted = 0;
  const settle = (first: number, last: number): void => {
    if (first > wanted) gaps.push({ first: wanted, last: first - 1 });
    wanted = Math.max(wanted, last + 1);
  };
  let at = 0;
  for (const { first, last } of compacted.length > 1 ? unionOf(compacted) : compacted) {
    for (; at < settled.length && settled[at]! < first; at++) settle(settled[at]!, settled[at]!);
    settle(first, last);
  }
  for (; at < settled.length; at++) settle(settled[at]!, settled[at]!);
  if (end > wanted) gaps.push({ first: wanted, last: end - 1 });
  return gaps;
}

/** One store's gaps in one tenant and window, as LISTs have shown them. */
export interface GapState {
  /** Shown by two LISTs, the second begun after the first ended. */
  readonly holes: readonly OrdinalRange[];
  /** Shown once. */
  readonly suspected: readonly OrdinalRange[];
  /** When the LIST that showed them last ended. */
  readonly suspectedAt: number;
}

export const NO_GAPS: GapState = { holes: [], suspected: [], suspectedAt: 0 };

/** What a whole LIST of the window makes of what was known. `beganAt` and `endedAt` are numbers that only rise. */
export function settleGaps(before: GapState, shown: readonly OrdinalRange[], list: { readonly beganAt: number; readonly endedAt: number }): GapState {
  if (shown.length === 0) return NO_GAPS;
  const isSecond = list.beganAt > before.suspectedAt;
  const holes = intersect(shown, isSecond ? union(before.holes, before.suspected) : before.holes);
  const suspected = subtract(shown, holes);
  return { holes, suspected, suspectedAt: suspected.length > 0 ? list.endedAt : 0 };
}

/** Like `union`, but the ranges may come in any order and overlap. */
export function unionOf(ranges: readonly OrdinalRange[]): OrdinalRange[] {
  return union(ranges, []);
}

/** This and the two below take sorted, disjoint ranges and return such. */
function intersect(a: readonly OrdinalRange[], b: readonly OrdinalRange[]): OrdinalRange[] {
  const both: OrdinalRange[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const first = Math.max(a[i]!.first, b[j]!.first);
    const last = Math.min(a[i]!.last, b[j]!.last);
    if (first <= last) both.push({ first, last });
    if (a[i]!.last < b[j]!.last) i++;
    else j++;
  }
  return both;
}

function union(a: readonly OrdinalRange[], b: readonly OrdinalRange[]): OrdinalRange[] {
  const merged: { first: number; last: number }[] = [];
  for (const { first, last } of [...a, ...b].sort((x, y) => x.first - y.first)) {
    const end = merged.at(-1);
    if (end !== undefined && first <= end.last + 1) end.last = Math.max(end.last, last);
    else merged.push({ first, last });
  }
  return merged;
}

function subtract(from: readonly OrdinalRange[], taken: readonly OrdinalRange[]): OrdinalRange[] {
  const left: OrdinalRange[] = [];
  for (const { first, last } of from) {
    let next = first;
    for (const range of taken) {
      if (range.last < next || range.first > last) continue;
      if (range.first > next) left.push({ first: next, last: range.first - 1 });
      next = Math.max(next, range.last + 1);
    }
    if (next <= last) left.push({ first: next, last });
  }
  return left;
}

/** `3`, `5-8`. */
export function printOrdinals(ranges: readonly OrdinalRange[]): string {
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(", ");
}
