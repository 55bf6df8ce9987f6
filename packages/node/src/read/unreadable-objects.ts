/**
 * Objects that were found damaged: cut short, changed, or not what their key says. A query that needs one is refused without reading it
 * again, and told when it is read next. It is read again in the background, so that it is answered from soon after it was repaired.
 *
 *   a query finds damage ──► report ──► drop what is cached ──► wait ──► check ──► whole: out of the list
 *                                                                  ▲         │ damaged still: wait longer
 *                                                                  └─────────┘ 1 s, 2 s, 4 s ... 30 s
 *
 * What must stay true: the intact datasets of a damaged object are answered from, and at a time that a caller was told the object is read.
 */
import { CodedError, messageOf, retryDelayMs } from "@pyromesh/base";
import type { Clock, Logger, Metrics, Timer } from "@pyromesh/base";

/** One dataset of an object, or all of it. */
export interface Damage {
  readonly key: string;
  /** Undefined: nothing of the object can be read. */
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
  /** Whatever is cached of the object. */
  readonly forget: (key: string) => void;
  /** Reads it again where it lies. Rejects with CORRUPTION or BUCKET_RANGE_OUTSIDE while it is damaged; resolves also where it is gone. */
  readonly check: (damage: Damage, signal: AbortSignal) => Promise<void>;
}

/** An object is answered from again within a minute of being repaired. */
const WAIT = { firstMs: 1_000, maxMs: 30_000 };
/** At the bound the one reported longest ago is dropped from the list: the next query that needs it finds the damage again. */
const ENTRY_COUNT_MAX = 1_000;
/** So a thousand objects at 100 ms each are read in 13 s. */
const CHECKS_AT_ONCE_MAX = 8;

/** Whether an error says that bytes are not what was written: reading them again at once would give the same. */
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

  /** Distinct ones. */
  get objectCount(): number {
    return new Set([...this.#entries.values()].map(({ key }) => key)).size;
  }

  /** The damage that keeps an object, or one of its datasets, from being read now. Undefined once it is time to read it again. */
  find(key: string, service?: string): Damage | undefined {
    const entry = this.#entries.get(idOf({ key, service }));
    if (entry === undefined || entry.retryAtMs > this.#modules.clock.monotonicMs()) return entry;
    this.#modules.forget(key); // other datasets of it may have been cached meanwhile, from before a repair
    return undefined;
  }

  /** A read found it so. */
  report(damage: Damage): void {
    const { clock, forget, logger } = this.#modules;
    forget(damage.key);
    const known = this.#entries.get(idOf(damage));
    if (known === undefined) logger.error("an object is damaged; it is read again from time to time until it is whole", { object: damage.key, service: damage.service, reason: damage.reason });
    // Several queries may find the same damage at once: only one that read it after its time makes the next wait longer.
    if (known !== undefined && known.retryAtMs > clock.monotonicMs()) return;
    this.#wait(damage, (known?.failureCount ?? 0) + 1);
  }

  /** Whole seconds, rounded up, until it is read again. */
  retryAfterSeconds({ key, service }: Pick<Damage, "key" | "service">): number | undefined {
    const entry = this.#entries.get(idOf({ key, service }));
    return entry === undefined ? undefined : Math.max(1, Math.ceil((entry.retryAtMs - this.#modules.clock.monotonicMs()) / 1000));
  }

  /** Looks at nothing more. */
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

  /** For the entry that is due first. */
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
      forget(entry.key); // a query may have read it while it was being repaired
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
