/** A store as it was found at opening: its structure is read and it is settled whose it is; its records are not read yet. */
import { Turns } from "@pyromesh/base";
import type { Clock, Logger, Random } from "@pyromesh/base";
import { encodeStoreMark, STORE_ID_BYTES } from "./meta-entry.ts";
import type { NewQuarantine } from "./quarantine.ts";
import { planReplay } from "./replay.ts";
import type { ReplayPlan } from "./replay.ts";
import type { OpenedStore, StoreOp } from "./store.ts";
import { readStructure } from "./structure.ts";
import type { Structure } from "./structure.ts";
import type { Witness, WitnessMark } from "./witness.ts";

/** What is replayed next. */
export interface FoundStore {
  readonly storeId: Uint8Array;
  readonly structure: Structure;
  readonly plan: ReplayPlan;
  /** Only where it belongs to this store. */
  readonly witness: WitnessMark | undefined;
  readonly quarantines: readonly NewQuarantine[];
  readonly mending: readonly StoreOp[];
}

export async function findStore({ store, loss }: OpenedStore, modules: { readonly witness: Witness; readonly clock: Clock; readonly random: Random; readonly logger: Logger }): Promise<FoundStore> {
  const { logger, random } = modules;
  const mark = loss?.kind === "replaced" ? undefined : modules.witness.read();
  const turns = new Turns(modules);
  const structure = await readStructure(store, mark?.commit ?? 0, logger, turns);
  await turns.give(); // what is decided next is one step
  const storeId = structure.storeId ?? mark?.storeId ?? random.bytes(STORE_ID_BYTES);
  let witness = mark;
  if (mark !== undefined && Buffer.compare(mark.storeId, storeId) !== 0) {
    logger.warn("the witness beside the head's store belongs to another store and is not heard");
    witness = undefined;
  }
  const isMarkLost = structure.storeId === undefined && (!structure.isEmpty || mark !== undefined);
  return {
    storeId,
    structure,
    plan: planReplay(structure, witness, loss !== undefined || isMarkLost),
    witness,
    quarantines: loss?.kind === "replaced" ? [{ reason: `the head's store was replaced by an empty one: ${loss.reason}`, startMs: undefined, endMs: undefined }] : [],
    mending: structure.storeId === undefined ? [{ kind: "put", ...encodeStoreMark(storeId) }] : [],
  };
}
