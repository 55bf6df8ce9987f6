/**
 * Equal questions in flight are asked once: same tenants, same question, same form of the answer (docs/decisions/0011-queries-give-way.md).
 *
 *   asked ──► waits ──► begins: plans what it reads ──► ends
 *             └ joined by all equal questions          └ joined while no push of its tenants was committed since it began
 *
 * What must stay true: who asks after a push was answered sees that push. A run plans after it began, and a push is committed before it is
 * answered; so who asks after the answer finds the run closed (`onCommitted`).
 *
 * A caller that leaves takes nothing from the others; the run ends when the last one has left. An answer is shared as it is, one that
 * lacks something too: the question says whether it may. An error is given to those who had asked before the run began. Who joined
 * later asks again by itself: what the run was refused for may have been over by then.
 *
 * Holds as many runs as are under way: each belongs to a caller that waits.
 */
import { SharedLoads } from "@pyromesh/base";

export interface Question {
  /** Equal where the answers are. */
  readonly key: string;
  readonly tenants: readonly string[];
}

type Run<T> = (signal: AbortSignal, begin: () => void) => Promise<T>;

interface Begun {
  readonly question: Question;
  /** The run's own. */
  readonly signal: AbortSignal;
}

export class SharedQuestions {
  readonly #runs = new SharedLoads<unknown>();
  /** By key: runs that have begun and can be joined. */
  readonly #begun = new Map<string, Begun>();
  /** By tenant: their keys. */
  readonly #keysOf = new Map<string, Set<string>>();
  readonly #onJoined: () => void;

  /** `onJoined`: a question was answered by the run of another. */
  constructor(onJoined: () => void) {
    this.#onJoined = onJoined;
  }

  /** `run` calls `begin` before it plans, in the same turn, and ends where its signal is aborted. */
  async ask<T>(question: Question, run: Run<T>, signal: AbortSignal): Promise<T> {
    const isLate = this.#begun.has(question.key);
    try {
      return await this.#join(question, run, signal);
    } catch (error) {
      if (!isLate || signal.aborted) throw error;
      return this.#join(question, run, signal);
    }
  }

  /** Call it when a push of the tenant was committed, before the push is answered. */
  onCommitted(tenant: string): void {
    for (const key of this.#keysOf.get(tenant) ?? []) {
      this.#runs.forget(key);
      this.#close(key);
    }
  }

  async #join<T>(question: Question, run: Run<T>, signal: AbortSignal): Promise<T> {
    const { key } = question;
    let isOwn = false;
    const load = async (own: AbortSignal): Promise<T> => {
      isOwn = true;
      try {
        return await run(own, () => this.#begin(question, own));
      } finally {
        if (this.#begun.get(key)?.signal === own) this.#close(key);
      }
    };
    const answer = (await this.#runs.run(key, load, signal)) as T; // equal keys, equal answers
    if (!isOwn) this.#onJoined();
    return answer;
  }

  #begin(question: Question, signal: AbortSignal): void {
    const { key, tenants } = question;
    if (!this.#runs.isCurrent(key, signal)) return;
    this.#begun.set(key, { question, signal });
    for (const tenant of tenants) {
      const keys = this.#keysOf.get(tenant);
      if (keys === undefined) this.#keysOf.set(tenant, new Set([key]));
      else keys.add(key);
    }
  }

  #close(key: string): void {
    for (const tenant of this.#begun.get(key)?.question.tenants ?? []) {
      const keys = this.#keysOf.get(tenant);
      keys?.delete(key);
      if (keys?.size === 0) this.#keysOf.delete(tenant);
    }
    this.#begun.delete(key);
  }
}
