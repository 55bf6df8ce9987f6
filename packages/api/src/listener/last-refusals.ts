/**
 * The last refusals that a client has lost something by, for the page of the cluster: pushes that were refused, and whatever was answered 5xx. It
 * names no tenant, and nothing that a client sent.
 *
 * Bounded: `COUNT_MAX` pairs of route and reason, the oldest is forgotten. A pair that is refused again counts up and comes first.
 */
import type { Clock } from "@pyromesh/base";
import type { Refusal } from "./refusal-log.ts";
import { withoutQuotes } from "./refusal-log.ts";

const COUNT_MAX = 5;
const LENGTH_MAX = 200;

interface Refused {
  readonly latest: Refusal;
  readonly atMs: number;
  readonly count: number;
}

export class LastRefusals {
  readonly #clock: Clock;
  /** By route and reason; the newest last. */
  readonly #refused = new Map<string, Refused>();

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  note(latest: Refusal): void {
    if (!latest.isLoss) return;
    const key = `${latest.route}\n${latest.reason}`;
    const count = (this.#refused.get(key)?.count ?? 0) + 1;
    this.#refused.delete(key);
    this.#refused.set(key, { latest, atMs: this.#clock.nowMs(), count });
    for (const [oldest] of this.#refused) {
      if (this.#refused.size <= COUNT_MAX) break;
      this.#refused.delete(oldest);
    }
  }

  /** Newest first: `14:03:12 /ingest 503 not_enough_acks (12 times): 1 of 2 stores answered`. */
  get texts(): readonly string[] {
    return [...this.#refused.values()].reverse().map(({ latest: { route, status, reason, message }, atMs, count }) => {
      const times = count === 1 ? "" : ` (${count} times)`;
      const words = message === "" ? "" : `: ${withoutQuotes(message)}`;
      return `${new Date(atMs).toISOString().slice(11, 19)} ${route} ${status ?? "-"} ${reason}${times}${words}`.slice(0, LENGTH_MAX);
    });
  }
}
