/** The floors that LISTs have shown. One leaves as an entry does: when two whole LISTs, one begun after the other ended, do not show it. */
import type { TenantId } from "@pyromesh/base";
import type { Floor } from "./floor.ts";
import { NO_FLOOR_MS } from "./floor.ts";
import type { Kept, ListPass } from "./list-pass.ts";
import { isMissed, noteMiss } from "./list-pass.ts";

interface KeptFloor extends Kept {
  readonly floor: Floor;
}

export class Floors {
  readonly #byKey = new Map<string, KeptFloor>();
  /** The highest floor of each tenant. */
  readonly #highest = new Map<string, number>();

  get count(): number {
    return this.#byKey.size;
  }

  /** What is known of a key, to note that a LIST showed it. */
  get(key: string): Kept | undefined {
    return this.#byKey.get(key);
  }

  add(key: string, floor: Floor, { beganAt }: ListPass): void {
    this.#byKey.set(key, { floor, sinceTick: beganAt, seenTick: beganAt, missedTick: 0 });
    this.#highest.set(floor.tenant, Math.max(this.of(floor.tenant), floor.floorMs));
  }

  /** `NO_FLOOR_MS` where the tenant has none. */
  of(tenant: TenantId): number {
    return this.#highest.get(tenant) ?? NO_FLOOR_MS;
  }

  /** A LIST of all tenants ended. */
  endList(list: ListPass, endedAt: number): void {
    for (const [key, kept] of this.#byKey) if (isMissed(kept, list) && noteMiss(kept, list, endedAt) === "gone") this.#remove(key, kept.floor.tenant);
  }

  #remove(key: string, tenant: TenantId): void {
    this.#byKey.delete(key);
    let highest = NO_FLOOR_MS;
    for (const { floor } of this.#byKey.values()) if (floor.tenant === tenant) highest = Math.max(highest, floor.floorMs);
    if (highest === NO_FLOOR_MS) this.#highest.delete(tenant);
    else this.#highest.set(tenant, highest);
  }
}
