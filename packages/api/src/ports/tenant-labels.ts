/**
 * Bounds the tenants that appear as label values in metrics. With multitenancy a client may name any tenant, and a metrics page must stay
 * bounded.
 */

/** The first tenants that come keep a label value of their own. At the bound all later ones share `OTHER_TENANTS`. */
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
