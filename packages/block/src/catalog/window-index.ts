/** Keys by tenant, then by window. A window without keys is not kept, nor is a tenant without windows. */
import type { TenantId } from "@pyromesh/base";
import type { WindowRef } from "../listing/window-ref.ts";

const NO_KEYS: ReadonlySet<string> = new Set();
const NO_WINDOWS: ReadonlyMap<number, ReadonlySet<string>> = new Map();

export class WindowIndex {
  readonly #byTenant = new Map<string, Map<number, Set<string>>>();

  add({ tenant, windowStartMs }: WindowRef, key: string): void {
    let windows = this.#byTenant.get(tenant);
    if (windows === undefined) this.#byTenant.set(tenant, (windows = new Map<number, Set<string>>()));
    const keys = windows.get(windowStartMs);
    if (keys === undefined) windows.set(windowStartMs, new Set([key]));
    else keys.add(key);
  }

  delete({ tenant, windowStartMs }: WindowRef, key: string): void {
    const windows = this.#byTenant.get(tenant);
    const keys = windows?.get(windowStartMs);
    keys?.delete(key);
    if (keys?.size === 0) windows?.delete(windowStartMs);
    if (windows?.size === 0) this.#byTenant.delete(tenant);
  }

  /** The same set for as long as the window has keys. */
  keysOf({ tenant, windowStartMs }: WindowRef): ReadonlySet<string> {
    return this.#byTenant.get(tenant)?.get(windowStartMs) ?? NO_KEYS;
  }

  windowsOf(tenant: TenantId): ReadonlyMap<number, ReadonlySet<string>> {
    return this.#byTenant.get(tenant) ?? NO_WINDOWS;
  }

  /** The windows of all tenants that begin at `firstMs` or later. */
  *windowsFrom(firstMs: number): Generator<WindowRef> {
    for (const [tenant, windows] of this.#byTenant) {
      for (const windowStartMs of windows.keys()) if (windowStartMs >= firstMs) yield { tenant: tenant as TenantId, windowStartMs }; // `add` took it from a WindowRef
    }
  }
}
