/** Counts and logs what peers were refused for: each refusal counts, and one a minute of each peer is logged. */
import type { Clock, Logger, Metrics } from "@pyromesh/base";
import type { RefusalCode } from "./handshake.ts";

/**
 * Beside the handshake's own codes (`malformed` is of frames after the handshake too): links that were closed for sending more than their budget, and connections
 * that ended before they were a link.
 */
export type RefusalReason = RefusalCode | "over-budget" | "no-link";

/** What strangers do, or load: it says nothing of why this node is not let in. */
const SAYS_NOTHING: ReadonlySet<RefusalReason> = new Set(["malformed", "busy", "timeout", "over-budget", "no-link"]);

const LOG_INTERVAL_MS = 60_000;
/** Peers whose last log line is remembered. Beyond it the oldest is forgotten, and may be logged again within the minute. */
const PEERS_MAX = 1024;

export class Refusals {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #counts = new Map<RefusalReason, number>();
  /** Peer and reason -> when it was logged, oldest first. */
  readonly #loggedMs = new Map<string, number>();
  #last: string | undefined;

  constructor({ clock, logger, metrics }: { readonly clock: Clock; readonly logger: Logger; readonly metrics: Metrics }) {
    this.#clock = clock;
    this.#logger = logger;
    metrics.readCounter("pyromesh_peer_refusals_total", "Links between members that were refused or closed, by either side, by reason.", () => [...this.#counts].map(([reason, value]) => ({ labels: { reason }, value })));
  }

  /** The sentence of the last refusal that says what is set wrong on either side; undefined: there was none. */
  get last(): string | undefined {
    return this.#last;
  }

  /** `peer`: what names it in the log. */
  note(reason: RefusalReason, peer: string, sentence: string, fields: Readonly<Record<string, unknown>>): void {
    if (!SAYS_NOTHING.has(reason)) this.#last = sentence;
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
    const key = `${peer} ${reason}`;
    const nowMs = this.#clock.monotonicMs();
    const loggedMs = this.#loggedMs.get(key);
    if (loggedMs !== undefined && nowMs - loggedMs < LOG_INTERVAL_MS) return;
    this.#loggedMs.delete(key);
    this.#loggedMs.set(key, nowMs);
    if (this.#loggedMs.size > PEERS_MAX) this.#loggedMs.delete(this.#loggedMs.keys().next().value!);
    this.#logger.warn(sentence, { reason, ...fields });
  }
}
