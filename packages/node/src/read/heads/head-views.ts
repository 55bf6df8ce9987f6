/**
 * The views of this store's head that queries hold, by id: a later request of the query names the one that it means.
 *
 *   digest ──► open ──► identities, scan ... ──► release        30 s after its last use a view is released by itself
 *
 * Ids are random, so that no request of a query reaches a view of another one, or of the process before this one. Only the member that had a view opened may use it.
 *
 * Bound: the number of views and their bytes. At the bound a new one is refused with HEAD_VIEWS_FULL, and the query with it.
 */
import { toHex, unavailable } from "@pyromesh/base";
import type { Clock, Random, Timer } from "@pyromesh/base";
import type { HeadView } from "./head-view.ts";
import { VIEW_ID_BYTES } from "./messages.ts";

export interface HeadViewsOptions {
  readonly countMax?: number;
  readonly bytesMax?: number;
}

export const VIEW_IDLE_MS_MAX = 30_000;
const COUNT_MAX = 256;
/** Some 2 million records. */
const BYTES_MAX = 64 * 2 ** 20;

interface Kept {
  readonly member: string;
  readonly view: HeadView;
  timer: Timer;
  /** Requests that read it now. It is not released before they end. */
  userCount: number;
  isReleased: boolean;
}

export class HeadViews {
  readonly #countMax: number;
  readonly #bytesMax: number;
  readonly #modules: { readonly clock: Clock; readonly random: Random };
  readonly #views = new Map<string, Kept>();
  #bytes = 0;

  constructor({ countMax = COUNT_MAX, bytesMax = BYTES_MAX }: HeadViewsOptions, modules: { readonly clock: Clock; readonly random: Random }) {
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
    this.#modules = modules;
  }

  get count(): number {
    return this.#views.size;
  }

  get sizeBytes(): number {
    return this.#bytes;
  }

  /** Keeps the view for the member. Where there is no room the view is released, and this throws HEAD_VIEWS_FULL. */
  add(member: string, view: HeadView): string {
    if (this.#views.size >= this.#countMax || this.#bytes + view.sizeBytes > this.#bytesMax) {
      view.release();
      throw unavailable("HEAD_VIEWS_FULL", `as many queries as may hold records of this store's head do so already (${this.#views.size}, with ${this.#bytes} bytes of identities): try again in a second`);
    }
    const id = toHex(this.#modules.random.bytes(VIEW_ID_BYTES));
    this.#views.set(id, { member, view, timer: this.#expiry(id), userCount: 0, isReleased: false });
    this.#bytes += view.sizeBytes;
    return id;
  }

  /** Runs with the view, which stays until that has ended. Rejects HEAD_VIEW_EXPIRED. */
  async use<T>(member: string, id: string, run: (view: HeadView) => Promise<T>): Promise<T> {
    const kept = this.#views.get(id);
    if (kept === undefined || kept.member !== member || kept.isReleased) throw viewExpired("it was released, or this store was started again");
    kept.userCount++;
    kept.timer.cancel();
    try {
      return await run(kept.view);
    } finally {
      kept.userCount--;
      if (kept.userCount === 0) {
        if (kept.isReleased) this.#drop(id, kept);
        else kept.timer = this.#expiry(id);
      }
    }
  }

  /** An unknown id does nothing. */
  release(member: string, id: string): void {
    const kept = this.#views.get(id);
    if (kept?.member === member) this.#release(id, kept);
  }

  stop(): void {
    for (const [id, kept] of this.#views) this.#release(id, kept);
  }

  #expiry(id: string): Timer {
    return this.#modules.clock.after(VIEW_IDLE_MS_MAX, () => {
      const kept = this.#views.get(id);
      if (kept !== undefined) this.#release(id, kept);
    });
  }

  #release(id: string, kept: Kept): void {
    kept.isReleased = true;
    kept.timer.cancel();
    if (kept.userCount === 0) this.#drop(id, kept);
  }

  #drop(id: string, { view }: Kept): void {
    if (!this.#views.delete(id)) return;
    this.#bytes -= view.sizeBytes;
    view.release();
  }
}

/** The query plans again. */
export function viewExpired(because: string): Error {
  return unavailable("HEAD_VIEW_EXPIRED", `the records that this query was to read from the head are not held for it any more (${because}): ask again`);
}
