/**
 * What is missing, decided from what was read: pure, no store in sight.
 *
 * Three things can be wrong, and each has its own bound on the times it may have cost:
 *   - a number in the commits' sequence is gone: `alive` of the next commit that is there, else of the checkpoint, else any time;
 *   - a commit's records do not add up: the commit's own span;
 *   - a seal's segment entry is gone: the seal's own span.
 */
import type { Commit, RecordsCommit, SealCommit } from "../entries/commit-entry.ts";
import { sumOf } from "../entries/commit-entry.ts";
import { firstSeqOf, lastSeqOf } from "../entries/cut-entry.ts";
import type { CutEntry } from "../entries/cut-entry.ts";
import type { NumberRange } from "../entries/number-ranges.ts";
import { missingCommits } from "./structure.ts";
import type { Structure } from "./structure.ts";
import type { TimeSpan } from "../entries/time-span.ts";
import type { CheckpointMark } from "./checkpoint.ts";

/** Where a loss may lie in time; `any` when nothing bounds it, `none` when nothing can have been lost. */
export type LossBound = { readonly kind: "span"; readonly span: TimeSpan } | { readonly kind: "any" } | { readonly kind: "none" };

export interface ReplayPlan {
  /** In the order of their records. */
  readonly recordCommits: readonly RecordsCommit[];
  /** In the order of their records. */
  readonly cuts: readonly CutEntry[];
  readonly lostCommits: readonly { readonly range: NumberRange; readonly bound: LossBound }[];
  /** Cut commits without their cut: the records are open again. */
  readonly lostCuts: readonly number[];
  readonly lostSegments: readonly { readonly seal: SealCommit; readonly segmentKeys: readonly string[] }[];
  readonly nextCommit: number;
  readonly nextSeq: number;
  /** Something was lost; ordinals may have been given that nothing on disk remembers, so the store goes on under a new id. */
  readonly isDamaged: boolean;
}

/** `isDamaged`: the store itself said that it lost something. */
export function planReplay(structure: Structure, checkpoint: CheckpointMark | undefined, isStoreDamaged: boolean): ReplayPlan {
  const commits = [...structure.commits.values()].sort((a, b) => a.number - b.number);
  const cuts = [...structure.cuts.values()].sort((a, b) => firstSeqOf(a) - firstSeqOf(b));
  const recordCommits = commits.filter((commit) => commit.kind === "records").sort((a, b) => a.firstSeq - b.firstSeq);

  const lostCommits = missingCommits(structure, checkpoint?.commit ?? 0).map((range) => ({ range, bound: boundOf(range.to, commits, checkpoint) }));
  const lostCuts = commits.filter((commit) => commit.kind === "cut" && !structure.cuts.has(commit.number)).map((commit) => commit.number);
  const lostSegments = commits
    .filter((commit) => commit.kind === "seal")
    .map((seal) => ({ seal, segmentKeys: seal.segmentKeys.filter((key) => !structure.sealed.has(key)) }))
    .filter(({ segmentKeys }) => segmentKeys.length > 0);

  const numbers = [checkpoint?.commit ?? 0, ...commits.map((commit) => commit.number), ...cuts.map((cut) => cut.cutId), ...structure.retired.ranges.map((range) => range.to)];
  const seqs = [(checkpoint?.nextSeq ?? 1) - 1, ...recordCommits.map((commit) => commit.lastSeq), ...cuts.map(lastSeqOf)];

  const isOrdinalForgotten = (checkpoint?.ordinalNext ?? 0) > greatest([structure.ordinalFloor, ...[...structure.ordinals.values()].map(({ next }) => next)]);
  const isDamaged =
    isStoreDamaged ||
    structure.isScanBroken ||
    structure.badKeys.length > 0 ||
    lostCommits.length > 0 ||
    lostCuts.length > 0 ||
    lostSegments.length > 0 ||
    isOrdinalForgotten;

  return {
    recordCommits,
    cuts,
    lostCommits,
    lostCuts,
    lostSegments,
    nextCommit: greatest(numbers) + 1,
    nextSeq: greatest(seqs) + 1,
    isDamaged,
  };
}

/** What a run of lost commits may have held, according to the first commit after them, or to the checkpoint. */
export function boundOf(lastLost: number, commits: readonly Commit[], checkpoint: CheckpointMark | undefined): LossBound {
  const next = commits.find((commit) => commit.number > lastLost);
  if (next !== undefined) return boundOfAlive(next.alive);
  if (checkpoint !== undefined && checkpoint.commit >= lastLost) return boundOfAlive(checkpoint.alive);
  return { kind: "any" };
}

/** Whether the records found are the records the commit took in. */
export function isWhole(commit: RecordsCommit, sums: readonly number[]): boolean {
  return sums.length === commit.recordCount && sumOf(sums) === commit.sum;
}

/** Which cut a seq belongs to; undefined: none, so its record is open. */
export class CutPlaces {
  /** Sorted and disjoint: no two cuts name the same seq. */
  readonly #places: readonly { readonly from: number; readonly to: number; readonly cutId: number }[];

  constructor(cuts: readonly CutEntry[]) {
    this.#places = cuts.flatMap(({ cutId, seqs }) => seqs.ranges.map(({ from, to }) => ({ from, to, cutId }))).sort((a, b) => a.from - b.from);
  }

  cutOf(seq: number): number | undefined {
    let low = 0;
    let high = this.#places.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const place = this.#places[middle]!;
      if (seq < place.from) high = middle - 1;
      else if (seq > place.to) low = middle + 1;
      else return place.cutId;
    }
    return undefined;
  }
}

/** The lost records have times inside `span`; undefined: their times are not known. */
export function boundWithin(span: TimeSpan | undefined): LossBound {
  return span === undefined ? { kind: "any" } : { kind: "span", span };
}

/** The lost records were alive at the time, so their times are inside `span`; undefined: nothing was alive, so nothing was lost. */
function boundOfAlive(span: TimeSpan | undefined): LossBound {
  return span === undefined ? { kind: "none" } : { kind: "span", span };
}

function greatest(numbers: readonly number[]): number {
  return numbers.reduce((most, number) => Math.max(most, number), 0);
}
