/**
 * Counts the records of each tenant that have left the head since the start. A reader that reads entries in several steps compares the counts to
 * notice that some left meanwhile.
 *
 * Counted in a fixed number of slots, by a hash of the tenant, so that it stays small whatever tenants come by. Two tenants in one slot
 * make each other's readers begin again, which costs them another try and nothing else.
 */
export class Departures {
  readonly #counts = new Float64Array(SLOT_COUNT);

  of(tenant: string): number {
    return this.#counts[slotOf(tenant)]!;
  }

  add(tenant: string): void {
    this.#counts[slotOf(tenant)]!++;
  }
}

const SLOT_COUNT = 1024;

/** FNV-1a over the UTF-16 code units. */
function slotOf(tenant: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < tenant.length; index++) hash = Math.imul(hash ^ tenant.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % SLOT_COUNT;
}
