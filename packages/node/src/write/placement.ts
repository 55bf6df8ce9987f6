/** Who keeps a record. On one node: this store. A cluster's ring answers through the same port. */
import type { TenantId } from "@pyromesh/base";

export interface Placement {
  /** Ordered store ids, rank 0 first. 16 bytes each. */
  replicaSet(tenant: TenantId, service: string, labelsFingerprint: bigint): readonly Uint8Array[];
}

export function placeOnSelf(storeId: Uint8Array): Placement {
  const self = [storeId];
  return { replicaSet: () => self };
}
