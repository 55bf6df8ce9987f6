/** One tenant's objects of one hour. */
import type { TenantId } from "@pyromesh/base";

export interface WindowRef {
  readonly tenant: TenantId;
  readonly windowStartMs: number;
}

export function windowId({ tenant, windowStartMs }: WindowRef): string {
  return `${windowStartMs}/${tenant}`;
}
