/** Which of a record's stores this one is, and what is said to who sends the record again. Pure. */
import { invalidArgument, toHex } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import { ALONE, STORE_COUNT_MAX } from "../entries/record-entry.ts";
import type { RecordPlace } from "../entries/record-entry.ts";
import type { Appended } from "../store/write-queue.ts";
import type { StoreIdentity } from "./store-identity.ts";

/** The refusal where the list is too long, or names neither this store's id nor one that it had. */
export function placeIn(stores: readonly Uint8Array[], identity: Pick<StoreIdentity, "isOwn">): RecordPlace | CodedError {
  if (stores.length === 0) return ALONE;
  if (stores.length > STORE_COUNT_MAX) return invalidArgument("STORES_TOO_MANY", `a record is kept by at most ${STORE_COUNT_MAX} stores, not ${stores.length}`);
  const rank = stores.findIndex((storeId) => identity.isOwn(storeId));
  if (rank >= 0) return { rank, stores };
  return invalidArgument("STORE_NOT_LISTED", `the record is for the stores ${stores.map(toHex).join(", ")}: this one is none of them; ask for its store id again`);
}

/** The result of appending a record that the head already holds. It keeps its first list of stores, which the result names if the new list differs. */
export function duplicateOf(seq: number, kept: readonly Uint8Array[], given: readonly Uint8Array[]): Appended {
  const isSame = kept === given || (kept.length === given.length && kept.every((storeId, index) => Buffer.compare(storeId, given[index]!) === 0));
  return isSame ? { seq, isDuplicate: true } : { seq, isDuplicate: true, keptStores: kept };
}
