/**
 * Reads every record once, in order, and checks each commit's against its entry.
 *
 * Where the store cannot read on, or its keys are out of order, the rest of a commit is asked for by key; the walk itself
 * never throws for bad bytes. A commit's records (at most one group commit, some MiB) are held until it is checked.
 */
import { CorruptionError } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import type { RecordsCommit } from "../entries/commit-entry.ts";
import { parseKey, rangeOf, recordKey, recordsFrom } from "../entries/keys.ts";
import { decodeRecordEntry } from "../entries/record-entry.ts";
import type { RecordPlace } from "../entries/record-entry.ts";
import { isWhole } from "./replay.ts";
import type { OrderedStore } from "../entries/store.ts";

export interface FoundRecord {
  readonly seq: number;
  readonly record: EncodedRecord;
  readonly place: RecordPlace;
  readonly sum: number;
  /** What it takes in the store. */
  readonly entryBytes: number;
}

export interface BadRecord {
  readonly seq: number;
  readonly value: Uint8Array;
  readonly reason: string;
}

export type WalkStep =
  /** `left`: seqs of records that are there although they left. */
  | { readonly kind: "commit"; readonly commit: RecordsCommit; readonly found: readonly FoundRecord[]; readonly bad: readonly BadRecord[]; readonly left: readonly number[]; readonly isWhole: boolean }
  /** Records of no known commit; `next`: the commit that follows them. */
  | { readonly kind: "orphans"; readonly next: RecordsCommit | undefined; readonly found: readonly FoundRecord[]; readonly bad: readonly BadRecord[] };

export interface WalkReport {
  /** The store could not read all of it. */
  isBroken: boolean;
  /** Under `r/`, but no record's key. */
  readonly badKeys: Uint8Array[];
}

/** `commits` in the order of their records. */
export async function* walkRecords(store: OrderedStore, commits: readonly RecordsCommit[], report: WalkReport): AsyncGenerator<WalkStep> {
  let index = 0;
  let held = new Held();
  let orphans = new Held();
  let lastSeq = 0;
  let range = rangeOf("record");
  const takeOrphans = (): WalkStep => {
    const step: WalkStep = { kind: "orphans", next: commits[index], found: orphans.found, bad: orphans.bad };
    orphans = new Held();
    return step;
  };
  const finish = async (commit: RecordsCommit): Promise<WalkStep> => {
    const step = await checkCommit(store, commit, held, report);
    held = new Held();
    return step;
  };

  for (;;) {
    try {
      for await (const page of store.pages(range, { pageBytes: PAGE_BYTES })) {
        for (const { key, value } of page) {
          const parsed = parseKey(key);
          if (parsed?.kind !== "record") {
            report.badKeys.push(key);
            continue;
          }
          const seq = parsed.number;
          const entry = decodeEntry(key, seq, value);
          if (entry.kind === "bad") {
            // The flipped byte may lie in its key, so its number does not move the walk on. A commit that misses a record asks for it by key.
            const commit = commits[index];
            if (commit !== undefined && isInside(commit, seq)) (commit.left.has(seq) ? held.left.push(seq) : held.bad.push(entry.bad));
            else if (!commits.some((commit) => isInside(commit, seq))) orphans.bad.push(entry.bad);
            continue;
          }
          if (seq <= lastSeq) continue; // out of order, which a flipped byte makes: its commit asks for it by key
          lastSeq = seq;
          while (index < commits.length && seq > commits[index]!.lastSeq) {
            if (!orphans.isEmpty) yield takeOrphans();
            yield await finish(commits[index]!);
            index++;
          }
          const commit = commits[index];
          if (commit === undefined || seq < commit.firstSeq) orphans.found.push(entry.found);
          else if (commit.left.has(seq)) held.left.push(seq);
          else held.found.push(entry.found);
        }
        if (!orphans.isEmpty) yield takeOrphans();
      }
      break;
    } catch {
      // Step over the commit in which the store stopped: it is read by key, the scan goes on behind it.
      report.isBroken = true;
      const commit = commits[index];
      if (commit === undefined) break;
      if (!orphans.isEmpty) yield takeOrphans();
      yield await finish(commit);
      index++;
      lastSeq = Math.max(lastSeq, commit.lastSeq);
      range = recordsFrom(commit.lastSeq + 1);
    }
  }
  if (!orphans.isEmpty) yield takeOrphans();
  for (; index < commits.length; index++) yield await finish(commits[index]!);
}

/** Larger pages are read no faster and hold more memory. */
const PAGE_BYTES = 4 << 20;

/** What was read of one commit, or between two. */
class Held {
  readonly found: FoundRecord[] = [];
  readonly bad: BadRecord[] = [];
  readonly left: number[] = [];

  get isEmpty(): boolean {
    return this.found.length === 0 && this.bad.length === 0;
  }
}

function isInside(commit: RecordsCommit, seq: number): boolean {
  return commit.firstSeq <= seq && seq <= commit.lastSeq;
}

async function checkCommit(store: OrderedStore, commit: RecordsCommit, held: Held, report: WalkReport): Promise<WalkStep> {
  if (held.bad.length === 0 && isWhole(commit, held.found.map(({ sum }) => sum))) {
    return { kind: "commit", commit, found: held.found, bad: [], left: held.left, isWhole: true };
  }
  const found = new Map(held.found.map((record) => [record.seq, record]));
  const bad = new Map(held.bad.map((record) => [record.seq, record]));
  for (let seq = commit.firstSeq; seq <= commit.lastSeq; seq++) {
    if (found.has(seq) || commit.left.has(seq)) continue;
    const key = recordKey(seq);
    try {
      const value = await store.get(key);
      if (value === undefined) continue;
      const entry = decodeEntry(key, seq, value);
      if (entry.kind === "bad") {
        bad.set(seq, entry.bad);
      } else {
        found.set(seq, entry.found);
        bad.delete(seq);
      }
    } catch {
      report.isBroken = true;
    }
  }
  const inOrder = [...found.values()].sort((a, b) => a.seq - b.seq);
  return { kind: "commit", commit, found: inOrder, bad: [...bad.values()], left: held.left, isWhole: bad.size === 0 && isWhole(commit, inOrder.map(({ sum }) => sum)) };
}

function decodeEntry(key: Uint8Array, seq: number, value: Uint8Array): { kind: "found"; found: FoundRecord } | { kind: "bad"; bad: BadRecord } {
  try {
    const { record, place, sum } = decodeRecordEntry(key, value);
    return { kind: "found", found: { seq, record, place, sum, entryBytes: value.length } };
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    return { kind: "bad", bad: { seq, value, reason: error.message } };
  }
}
