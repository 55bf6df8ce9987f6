/**
 * Looks whether this node is the first full member of its cluster (founding.ts), until it has joined: at the start, after each LIST, and again soon after the
 * bucket did not answer, because until there is a first member all new nodes wait.
 */
import { messageOf } from "@pyromesh/base";
import type { Clock, Logger, Timer } from "@pyromesh/base";
import { type FoundingFacts, isFirstMember } from "./founding.ts";

/** After the bucket did not answer. As for the replication in the bucket (replication-mark.ts). */
const RETRY_MS = 2_000;

export interface FoundingWatchModules {
  readonly clock: Clock;
  readonly logger: Logger;
  /** False once this node has joined. */
  readonly mayFound: () => boolean;
  /** Rejects where the bucket does not answer. */
  readonly readFacts: (signal: AbortSignal) => Promise<FoundingFacts>;
  /** Makes this node full without anybody's acknowledgement. */
  readonly found: () => void;
}

export class FoundingWatch {
  readonly #modules: FoundingWatchModules;
  readonly #stopped: AbortSignal;
  #looking: Promise<void> | undefined;
  #retry: Timer | undefined;

  constructor(modules: FoundingWatchModules, stopped: AbortSignal) {
    this.#modules = modules;
    this.#stopped = stopped;
    stopped.addEventListener("abort", () => this.#retry?.cancel(), { once: true });
  }

  /** Rejects with what `found` throws, and with nothing else. Callers at the same time share one look, so there is at most one request to the bucket and one timer. */
  look(): Promise<void> {
    return (this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    }));
  }

  async #look(): Promise<void> {
    const { clock, logger, mayFound, readFacts, found } = this.#modules;
    this.#retry?.cancel();
    if (this.#stopped.aborted || !mayFound()) return;
    let facts: FoundingFacts;
    try {
      facts = await readFacts(this.#stopped);
    } catch (error) {
      if (this.#stopped.aborted) return;
      logger.debug("whether this node is the first of its cluster is not known yet: the bucket did not answer", { reason: messageOf(error), retryMs: RETRY_MS });
      this.#retry = clock.after(RETRY_MS, () => void this.look());
      return;
    }
    // It may have stopped meanwhile, or joined another's cluster.
    if (!this.#stopped.aborted && isFirstMember(facts) && mayFound()) found();
  }
}
