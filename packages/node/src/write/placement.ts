/** Which stores keep a record. On one node it is this store; a cluster's ring will implement the same port. */
import type { EncodedRecord } from "@pyromesh/profile";

export interface Placement {
  /** The store ids, 16 bytes each, in the order of their ranks. Called once per record, after it is encoded: one push may be many label sets. */
  of(record: PlacedRecord): readonly Uint8Array[];
}

export type PlacedRecord = Pick<EncodedRecord, "tenant" | "service" | "fingerprint">;

/** `storeId`: this store's, which changes where a loss makes it take a new one. */
export function placeOnSelf(storeId: () => Uint8Array): Placement {
  let self = [storeId()];
  return {
    of: () => {
      if (self[0] !== storeId()) self = [storeId()];
      return self;
    },
  };
}
