/**
 * Whose data a request may touch: the `X-Scope-OrgID` header, read once, before any handler runs. With multitenancy off there is
 * one tenant, `anonymous`, and the header is not looked at.
 */
import { ANONYMOUS, CodedError, invalidArgument, parseTenantId } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";

export interface TenancyOptions {
  readonly isMultitenant: boolean;
}

/** Each tenant of a read costs a query of its own: past this the read is refused. */
export const TENANT_COUNT_MAX = 64;

/** Reads may name several (`a|b`): sorted, each once. Throws TENANT_MISSING (401), TENANT_NOT_ONE or TENANT_ID_INVALID (400). */
export function readTenants(header: string | undefined, access: "read" | "write", options: TenancyOptions): readonly TenantId[] {
  if (!options.isMultitenant) return [ANONYMOUS];
  if (header === undefined || header.trim() === "") {
    throw new CodedError({ code: "TENANT_MISSING", kind: "unauthenticated", message: "no org id: name the tenant in the X-Scope-OrgID header" });
  }
  const tenants = [...new Set(header.split("|").map((id) => parseTenantId(id.trim())))].sort();
  if (access === "write" && tenants.length > 1) {
    throw invalidArgument("TENANT_NOT_ONE", `a write names exactly one tenant, this one names ${tenants.length}: send one id in X-Scope-OrgID`);
  }
  if (tenants.length > TENANT_COUNT_MAX) {
    throw invalidArgument("TENANT_TOO_MANY", `a read of ${tenants.length} tenants: name at most ${TENANT_COUNT_MAX} in X-Scope-OrgID`);
  }
  return tenants;
}
