/** Tenants as values of a metric's label. A metrics page must stay bounded, and with multitenancy a tenant is whatever a client names. */

/** Tenants with a label value of their own: the first that come. At the bound later ones share `OTHER_TENANTS`. */
const TENANT_COUNT_MAX = 1_000;
export const OTHER_TENANTS = "(other)";

export class TenantLabels {
  readonly #known = new Set<string>();

  of(tenant: string): string {
    if (this.#known.has(tenant)) return tenant;
    if (this.#known.size >= TENANT_COUNT_MAX) return OTHER_TENANTS;
    this.#known.add(tenant);
    return tenant;
  }
}
