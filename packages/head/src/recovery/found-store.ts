/** A store as it was found at opening: everything but its records is read, and its store id is settled. */
import { toHex, Turns } from "@pyromesh/base";
import type { Clock, Logger, Random } from "@pyromesh/base";
import { encodeStoreMark, FORMAT_VERSION_MIN, STORE_ID_BYTES } from "../entries/meta-entry.ts";
import type { StoreMark } from "../entries/meta-entry.ts";
import type { NewQuarantine } from "./quarantine.ts";
import { planReplay } from "./replay.ts";
import type { ReplayPlan } from "./replay.ts";
import type { OpenedStore, StoreOp } from "../entries/store.ts";
import { StoreIdentity } from "../state/store-identity.ts";
import { readStructure } from "./structure.ts";
import type { Structure } from "./structure.ts";
import type { Checkpoint, CheckpointMark } from "./checkpoint.ts";

export interface FoundStore {
  readonly identity: StoreIdentity;
  /** Its store id was drawn at this opening. */
  readonly isNew: boolean;
  readonly structure: Structure;
  readonly plan: ReplayPlan;
  /** Only where it belongs to this store. */
  readonly checkpoint: CheckpointMark | undefined;
  readonly quarantines: readonly NewQuarantine[];
  /** Writes `m/store`. Unlike repairs it is written even where the quarantine of a loss could not be. */
  readonly introducing: readonly StoreOp[];
}

export async function findStore({ store, loss }: OpenedStore, modules: { readonly checkpoint: Checkpoint; readonly clock: Clock; readonly random: Random; readonly logger: Logger }): Promise<FoundStore> {
  const { logger, random } = modules;
  const seen = loss?.kind === "replaced" ? undefined : modules.checkpoint.read();
  const turns = new Turns(modules);
  const structure = await readStructure(store, seen?.commit ?? 0, logger, turns);
  await turns.give(); // what follows runs in one piece
  const checkpoint = checkpointOf(structure.storeMark, seen);
  if (seen !== undefined && checkpoint === undefined) logger.warn("the checkpoint beside the head's store belongs to another store and is ignored");
  // A store that had committed nothing may not have brought its first entry to the disk: nothing is missing, and it keeps its id.
  const hadCommitted = seen !== undefined && (seen.commit > 0 || seen.ordinalNext > 0);
  const isMarkLost = structure.storeMark === undefined && (!structure.isEmpty || hadCommitted);
  const plan = planReplay(structure, checkpoint, loss !== undefined || isMarkLost);

  const knownId = structure.storeMark?.storeId ?? seen?.storeId;
  // It lost its own entry and the one that names its bucket, so it may have written to a bucket that it no longer knows: treat it as format 1.
  const isUnsure = (isMarkLost || loss?.kind === "replaced") && structure.bucketMark === undefined;
  const mark = structure.storeMark ?? { storeId: knownId ?? random.bytes(STORE_ID_BYTES), isFirstFormat: isUnsure, formerIds: [] };
  const identity = new StoreIdentity({ mark, bucketMark: structure.bucketMark, given: structure.ordinals, former: structure.formerOrdinals, floor: structure.ordinalFloor });
  const introducing: StoreOp[] = [];
  const isReplaced = plan.isDamaged && knownId !== undefined;
  if (isReplaced) {
    const change = identity.planNewId(random.bytes(STORE_ID_BYTES));
    introducing.push(...change.ops);
    change.apply();
    logger.warn("the head's store may have lost ordinals that it gave, and takes a new store id", { former: toHex(knownId), store: identity.storeIdText });
  } else if ((structure.storeMark?.version ?? 0) < FORMAT_VERSION_MIN) {
    introducing.push({ kind: "put", ...encodeStoreMark(mark) });
  }
  return {
    identity,
    isNew: isReplaced || knownId === undefined,
    structure,
    plan,
    checkpoint,
    quarantines: loss?.kind === "replaced" ? [{ reason: `the head's store was replaced by an empty one: ${loss.reason}`, startMs: undefined, endMs: undefined }] : [],
    introducing,
  };
}

/** After a crash right behind a new store id the checkpoint still names the former one: its commits count, its ordinals do not. */
function checkpointOf(mark: StoreMark | undefined, seen: CheckpointMark | undefined): CheckpointMark | undefined {
  if (mark === undefined || seen === undefined || isSame(mark.storeId, seen.storeId)) return seen;
  return mark.formerIds.some((id) => isSame(id, seen.storeId)) ? { ...seen, ordinalNext: 0 } : undefined;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
