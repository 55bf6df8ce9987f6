/**
 * Calls that were at work in a worker when it died, by a text that tells their kind: what did it DEATHS_MAX times is refused before it
 * reaches another worker.
 *
 * Bounded: past `countMax` the one longest without a death is forgotten, and each is forgotten `expiryMs` after its last death. A call that was
 * forgotten costs two more workers.
 */

/** Once may be chance: it was the last straw on a heap that others had filled. */
const DEATHS_MAX = 2;

export interface DeadlyCallsOptions {
  readonly countMax: number;
  readonly expiryMs: number;
}

interface Deaths {
  readonly count: number;
  readonly lastMs: number;
}

export class DeadlyCalls {
  readonly #options: DeadlyCallsOptions;
  /** The one with the latest death last. */
  readonly #deaths = new Map<string, Deaths>();

  constructor(options: Partial<DeadlyCallsOptions> = {}) {
    this.#options = { countMax: 256, expiryMs: 10 * 60_000, ...options };
  }

  /** While it is, nobody needs to know what kind a call is of. */
  get isEmpty(): boolean {
    return this.#deaths.size === 0;
  }

  /** A worker died while such a call was at work there, alone. */
  note(kind: string, nowMs: number): void {
    this.#expire(nowMs);
    const count = (this.#deaths.get(kind)?.count ?? 0) + 1;
    this.#deaths.delete(kind);
    this.#deaths.set(kind, { count, lastMs: nowMs });
    const [oldest] = this.#deaths.keys();
    if (this.#deaths.size > this.#options.countMax) this.#deaths.delete(oldest!);
  }

  /** It was at work, and nothing died of it. */
  clear(kind: string): void {
    this.#deaths.delete(kind);
  }

  /** At least one death is remembered. */
  isSuspect(kind: string, nowMs: number): boolean {
    this.#expire(nowMs);
    return this.#deaths.has(kind);
  }

  /** For how long such a call is refused; 0: it is not. */
  refusedForMs(kind: string, nowMs: number): number {
    this.#expire(nowMs);
    const deaths = this.#deaths.get(kind);
    return deaths === undefined || deaths.count < DEATHS_MAX ? 0 : deaths.lastMs + this.#options.expiryMs - nowMs;
  }

  #expire(nowMs: number): void {
    for (const [kind, { lastMs }] of this.#deaths) {
      if (nowMs - lastMs < this.#options.expiryMs) break;
      this.#deaths.delete(kind);
    }
  }
}
