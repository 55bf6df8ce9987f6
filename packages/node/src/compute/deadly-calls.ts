/**
 * Counts the deaths of workers by the kind of call that was at work (a text: call-shape.ts). A kind with DEATHS_MAX deaths is refused before
 * it reaches another worker.
 *
 * Bounds: at `countMax` kinds the one whose last death is the longest ago is forgotten, and each is forgotten `expiryMs` after its last
 * death. A kind that was forgotten can end DEATHS_MAX more workers.
 */

/** One death may be chance: other calls had filled the heap before it. */
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
  /** In the order of their last deaths. */
  readonly #deaths = new Map<string, Deaths>();

  constructor(options: Partial<DeadlyCallsOptions> = {}) {
    this.#options = { countMax: 256, expiryMs: 10 * 60_000, ...options };
  }

  /** True while no death is remembered: the kind of a call need not be computed then. */
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

  /** Such a call has ended without a death. */
  clear(kind: string): void {
    this.#deaths.delete(kind);
  }

  /** At least one death is remembered. */
  isSuspect(kind: string, nowMs: number): boolean {
    this.#expire(nowMs);
    return this.#deaths.has(kind);
  }

  /** For how long such a call is still refused; 0 where it is not refused. */
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
