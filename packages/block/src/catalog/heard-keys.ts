/** Keys of catalog entries that another member announced and that no LIST has shown yet, by the member that announced them (its store id). */
import type { Origin } from "./heard-object.ts";

/** The number of keys of one origin, and of all origins. At the bound further objects are ignored until a LIST shows them. */
const ORIGIN_COUNT_MAX = 2_000;
const COUNT_MAX = 20_000;
const NO_KEYS: ReadonlySet<string> = new Set();

export class HeardKeys {
  readonly #originOf = new Map<string, string>();
  readonly #keysOf = new Map<string, Set<string>>();

  get count(): number {
    return this.#originOf.size;
  }

  has(key: string): boolean {
    return this.#originOf.has(key);
  }

  hasRoomFor({ storeId }: Origin): boolean {
    return this.#originOf.size < COUNT_MAX && this.keysOf({ storeId }).size < ORIGIN_COUNT_MAX;
  }

  keysOf({ storeId }: Origin): ReadonlySet<string> {
    return this.#keysOf.get(storeId) ?? NO_KEYS;
  }

  add(key: string, { storeId }: Origin): void {
    this.#originOf.set(key, storeId);
    const keys = this.#keysOf.get(storeId);
    if (keys === undefined) this.#keysOf.set(storeId, new Set([key]));
    else keys.add(key);
  }

  delete(key: string): void {
    const storeId = this.#originOf.get(key);
    if (storeId === undefined) return;
    this.#originOf.delete(key);
    const keys = this.#keysOf.get(storeId);
    keys?.delete(key);
    if (keys?.size === 0) this.#keysOf.delete(storeId);
  }
}
