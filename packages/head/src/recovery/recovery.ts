/**
 * The recovery: from a store as it was found to the head's memory, and what must be said and repaired.
 *
 *   1. losses     what the numbers and the entries show to be gone (losses.ts)
 *   2. state      memory without a record: cuts, seals, sealed segments
 *   3. records    read, checked against their commits, taken in and handed out (record-walk.ts, record-intake.ts)
 *   4. unknown    entries among the records that no version wrote are removed
 *   5. retired    every number that 1 to 4 accounted for, in one entry
 *
 * The order: 3 places each record in a cut of 2. Commits that lost their entry get new numbers in 3, so 5 comes last; and a corrupt
 * entry that 1 removes may be the one that 5 writes anew.
 *
 * It writes nothing. The caller first keeps the quarantines, then writes the repairs, so that a crash between the two raises the loss
 * again. A store without a fault needs no repair: a clean start writes nothing.
 */
import type { Logger } from "@pyromesh/base";
import { printKey } from "../entries/keys.ts";
import { encodeRetired } from "../entries/meta-entry.ts";
import type { OrderedStore, StoreOp } from "../entries/store.ts";
import { HeadState } from "../state/state.ts";
import type { CheckpointMark } from "./checkpoint.ts";
import { FindingsBuilder, joinFindings } from "./findings.ts";
import type { Findings } from "./findings.ts";
import { findLosses } from "./losses.ts";
import type { NewQuarantine } from "./quarantine.ts";
import { RecordIntake } from "./record-intake.ts";
import type { IntakeModules } from "./record-intake.ts";
import { walkRecords } from "./record-walk.ts";
import type { WalkReport } from "./record-walk.ts";
import type { ReplayPlan } from "./replay.ts";
import type { Structure } from "./structure.ts";

/** What found-store.ts left for the recovery. */
export interface RecoveryInput {
  readonly store: OrderedStore;
  readonly structure: Structure;
  readonly plan: ReplayPlan;
  readonly checkpoint: CheckpointMark | undefined;
}

export interface Recovery {
  readonly state: HeadState;
  readonly quarantines: readonly NewQuarantine[];
  readonly repairing: readonly StoreOp[];
  /** Records lost for sure; a lost commit whose size nobody knows counts one. */
  readonly quarantinedCount: number;
  readonly recordCount: number;
  readonly bytes: number;
  /** LevelDB cannot read all of its own files: it would fail at the next compaction. */
  readonly needsRepair: boolean;
}

export async function recover({ store, structure, plan, checkpoint }: RecoveryInput, modules: IntakeModules): Promise<Recovery> {
  const losses = findLosses(structure, plan, modules.logger);
  const state = stateOf(structure, plan);

  const intake = new RecordIntake(state, plan, checkpoint, modules);
  const walk: WalkReport = { isBroken: false, badKeys: [] };
  for await (const step of walkRecords(store, plan.recordCommits, walk)) await intake.take(step);
  const records = await intake.finish();

  const unknown = removeUnknown(walk.badKeys, modules.logger);
  const { quarantines, lostCount, repairs, retired } = joinFindings([losses, records, unknown]);
  state.retired = state.retired.with(retired);
  const isSound = repairs.length === 0 && retired.length === 0;
  return {
    state,
    quarantines,
    repairing: isSound ? [] : [...repairs, { kind: "put", ...encodeRetired(state.retired) }],
    quarantinedCount: lostCount,
    recordCount: intake.recordCount,
    bytes: intake.bytes,
    needsRepair: structure.isScanBroken || walk.isBroken,
  };
}

function stateOf(structure: Structure, plan: ReplayPlan): HeadState {
  const state = new HeadState({ retired: structure.retired, nextCommit: plan.nextCommit, nextSeq: plan.nextSeq });
  for (const entry of plan.cuts) state.addCut(entry, state.newRun());
  for (const [key, bytes] of structure.sealed) state.sealed.set(key, bytes);
  for (const commit of structure.commits.values()) {
    if (commit.kind !== "seal") continue;
    const segmentKeys = commit.segmentKeys.filter((key) => structure.sealed.has(key));
    if (segmentKeys.length > 0) state.seals.set(commit.number, { cutId: commit.cutId, segmentKeys, span: commit.span });
  }
  return state;
}

function removeUnknown(keys: readonly Uint8Array[], logger: Logger): Findings {
  const findings = new FindingsBuilder();
  for (const key of keys) {
    logger.error("an entry among the records has a key that no version wrote", { key: printKey(key) });
    findings.remove(key);
  }
  return findings;
}
