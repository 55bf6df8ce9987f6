/** Who keeps a push's records. On one node: this store. A cluster's ring answers through the same port. */
import type { TenantId } from "@pyromesh/base";
import type { Label } from "@pyromesh/profile";

export interface Placement {
  /** Ordered store ids, rank 0 first; 16 bytes each. `labels` are as the client sent them. */
  replicaSet(tenant: TenantId, labels: readonly Label[]): readonly Uint8Array[];
}

/** `storeId`: the one in force. */
export function placeOnSelf(storeId: () => Uint8Array): Placement {
  let self = [storeId()];
  return {
    replicaSet: () => {
      if (self[0] !== storeId()) self = [storeId()];
      return self;
    },
  };
}
