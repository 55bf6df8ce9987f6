/** Tenant ids: the isolated owners of data. Only `parseTenantId` makes them, so that keys and paths can trust them. */
import { invalidArgument } from "./errors.ts";

export type TenantId = string & { readonly __brand: "TenantId" };

/** The tenant of all data without `--multitenancy`. The name is Pyroscope's. */
export const ANONYMOUS: TenantId = "anonymous" as TenantId; // the literal satisfies `parseTenantId`

const TENANT_ID = /^[A-Za-z0-9!_.*'()-]{1,150}$/;

/** Throws `TENANT_ID_INVALID` for a text that could not be part of a key or a path. */
export function parseTenantId(text: string): TenantId {
  if (!TENANT_ID.test(text) || text === "." || text === "..") {
    throw invalidArgument(
      "TENANT_ID_INVALID",
      `tenant id ${JSON.stringify(text.slice(0, 160))} is not allowed: use 1 to 150 of A-Z a-z 0-9 ! _ . * ' ( ) - and not "." or ".."`,
    );
  }
  return text as TenantId; // checked just above
}
