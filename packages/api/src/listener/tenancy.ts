/**
 * Reads the tenant of a request from the `X-Scope-OrgID` header, before any handler runs. Without multitenancy there is one tenant,
 * `anonymous`, and the header is ignored.
 */
import { ANONYMOUS, CodedError, invalidArgument, parseTenantId } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";

interface TenancyOptions {
  readonly isMultitenant: boolean;
}

/** Each tenant costs a query of its own. A read that names more is refused. */
export const TENANT_COUNT_MAX = 64;

/**
 * The tenants sorted and without repetitions; reads may name several (`a|b`). Throws TENANT_MISSING (401), TENANT_NOT_ONE,
 * TENANT_TOO_MANY or TENANT_ID_INVALID (400).
 */
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
