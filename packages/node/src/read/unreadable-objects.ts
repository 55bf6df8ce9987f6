/**
 * The objects that were found damaged: cut short, changed, or not what their key says. A query that needs one is refused without reading it
 * again, and is told when it will be read next. It is read again in the background, so that queries use it soon after it was repaired.
 *
 *   a query finds damage ──► report ──► drop what is cached ──► wait ──► check ──► whole: forget the damage
 *                                                                  ▲         │ still damaged: wait longer
 *                                                                  └─────────┘ 1 s, 2 s, 4 s ... 30 s
 *
 * What must stay true: queries use the intact datasets of a damaged object, and the object is read again at the time that a caller was told.
 */
import { CodedError, messageOf, retryDelayMs } from "@pyromesh/base";
import type { Clock, Logger, Metrics, Timer } from "@pyromesh/base";

/** One dataset of an object, or all of it. */
export interface Damage {
  readonly key: string;
  /** The damaged dataset; undefined where the footer is damaged, so that nothing of the object can be read. */
  readonly service: string | undefined;
  /** What was found. */
  readonly reason: string;
}

interface Entry extends Damage {
  /** How often it was read and found damaged. */
  readonly failureCount: number;
  readonly retryAtMs: number;
}

export interface UnreadableObjectsModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Drops what is cached of the object. */
  readonly forget: (key: string) => void;
  /** Reads it again where it lies. Rejects with CORRUPTION or BUCKET_RANGE_OUTSIDE while it is damaged; resolves also where it is gone. */
  readonly check: (damage: Damage, signal: AbortSignal) => Promise<void>;
}

/** The pauses between two reads. Their maximum bounds how long after its repair an object is still refused. */
const WAIT = { firstMs: 1_000, maxMs: 30_000 };
/** At the bound the damage that was reported longest ago is forgotten: the next query that needs it finds it again. */
const ENTRY_COUNT_MAX = 1_000;
/** Bounds the reads under way: a thousand objects at 100 ms each take 13 s. */
const CHECKS_AT_ONCE_MAX = 8;

/** True for an error which says that bytes are not what was written: an immediate retry would read the same bytes. */
export function isDamage(error: unknown): error is CodedError {
  return error instanceof CodedError && error.kind === "data_loss";
}

export class UnreadableObjects {
  readonly #modules: UnreadableObjectsModules;
  readonly #entries = new Map<string, Entry>();
  readonly #stopped = new AbortController();
  #timer: Timer | undefined;
  #isChecking = false;

  constructor(modules: UnreadableObjectsModules) {
    this.#modules = modules;
    modules.metrics.gauge("pyromesh_unreadable_objects", "Objects that were found damaged and are not whole again.", [], (gauge) => gauge.set({}, this.objectCount));
  }

  /** Damaged objects, each counted once however many of its datasets are damaged. */
  get objectCount(): number {
    return new Set([...this.#entries.values()].map(({ key }) => key)).size;
  }

  /** The damage that keeps an object, or one of its datasets, from being read now. Undefined once it is time to read it again. */
  find(key: string, service?: string): Damage | undefined {
    const entry = this.#entries.get(idOf({ key, service }));
    if (entry === undefined || entry.retryAtMs > this.#modules.clock.monotonicMs()) return entry;
    this.#modules.forget(key); // other datasets may have been cached before the object was repaired
    return undefined;
  }

  /** Call it when a read found the damage. */
  report(damage: Damage): void {
    const { clock, forget, logger } = this.#modules;
    forget(damage.key);
    const known = this.#entries.get(idOf(damage));
    if (known === undefined) logger.error("an object is damaged; it is read again from time to time until it is whole", { object: damage.key, service: damage.service, reason: damage.reason });
    // Several queries may find the same damage at once: only a read after the pause makes the next pause longer.
    if (known !== undefined && known.retryAtMs > clock.monotonicMs()) return;
    this.#wait(damage, (known?.failureCount ?? 0) + 1);
  }

  /** Whole seconds, rounded up, until the object is read again. Undefined where it is not known to be damaged. */
  retryAfterSeconds({ key, service }: Pick<Damage, "key" | "service">): number | undefined {
    const entry = this.#entries.get(idOf({ key, service }));
    return entry === undefined ? undefined : Math.max(1, Math.ceil((entry.retryAtMs - this.#modules.clock.monotonicMs()) / 1000));
  }

  /** Reads nothing any more. */
  stop(): void {
    this.#stopped.abort(new CodedError({ code: "STOPPING", kind: "canceled", message: "the node is stopping" }));
    this.#timer?.cancel();
  }

  #wait(damage: Damage, failureCount: number): void {
    const { key, service, reason } = damage;
    const id = idOf(damage);
    if (!this.#entries.has(id) && this.#entries.size >= ENTRY_COUNT_MAX) this.#entries.delete(this.#entries.keys().next().value!);
    this.#entries.set(id, { key, service, reason, failureCount, retryAtMs: this.#modules.clock.monotonicMs() + retryDelayMs(failureCount, WAIT) });
    this.#schedule();
  }

  /** Sets the timer for the entry that is due first. */
  #schedule(): void {
    this.#timer?.cancel();
    if (this.#isChecking || this.#stopped.signal.aborted || this.#entries.size === 0) return;
    let dueMs = Infinity;
    for (const { retryAtMs } of this.#entries.values()) dueMs = Math.min(dueMs, retryAtMs);
    this.#timer = this.#modules.clock.after(Math.max(0, dueMs - this.#modules.clock.monotonicMs()), () => void this.#checkDue());
  }

  async #checkDue(): Promise<void> {
    const nowMs = this.#modules.clock.monotonicMs();
    const due = [...this.#entries.values()].filter(({ retryAtMs }) => retryAtMs <= nowMs);
    this.#isChecking = true;
    const next = async (): Promise<void> => {
      for (let entry = due.shift(); entry !== undefined && !this.#stopped.signal.aborted; entry = due.shift()) await this.#check(entry);
    };
    await Promise.all(Array.from({ length: CHECKS_AT_ONCE_MAX }, next));
    this.#isChecking = false;
    this.#schedule();
  }

  async #check(entry: Entry): Promise<void> {
    const { check, forget, logger } = this.#modules;
    const id = idOf(entry);
    try {
      await check(entry, this.#stopped.signal);
      this.#entries.delete(id);
      forget(entry.key); // a query may have cached bytes while it was being repaired
      logger.info("an object that was damaged is whole again", { object: entry.key, service: entry.service });
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      const reason = isDamage(error) ? error.message : entry.reason;
      if (!isDamage(error)) logger.debug("a damaged object could not be read again", { object: entry.key, reason: messageOf(error) });
      this.#wait({ ...entry, reason }, entry.failureCount + 1);
    }
  }
}

/** Object keys hold no control characters. */
function idOf({ key, service }: Pick<Damage, "key" | "service">): string {
  return service === undefined ? key : `${key}\0${service}`;
}
