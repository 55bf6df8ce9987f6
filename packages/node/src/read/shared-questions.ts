/**
 * Answers equal questions by one run: those of the same tenants, the same arguments and the same form of the answer (docs/decisions/0011-queries-give-way.md).
 *
 * In a cluster no question joins a run that has begun: a push may have been answered by any node since.
 *
 *   asked ──► waits ──► begins: plans what it reads ──► ends
 *             └ joined by all equal questions          └ joined while no push of its tenants was committed since it began
 *
 * What must stay true: a question that is asked after a push was answered sees that push. A push is committed before it is answered, and a
 * commit closes the runs of its tenant that have begun (`onCommitted`): a later question does not join them.
 *
 * A caller that leaves does not disturb the others; the run ends when the last one has left. An incomplete answer is shared too: the question
 * itself says whether it may be incomplete. An error is given to the callers that had asked before the run began. One that joined later asks
 * again, since the cause of the error may have been over when it asked.
 *
 * Bound: as many runs as are under way, each for at least one caller that waits.
 */
import { SharedLoads } from "@pyromesh/base";

export interface Question {
  /** Equal for questions that have equal answers. */
  readonly key: string;
  readonly tenants: readonly string[];
}

type Run<T> = (signal: AbortSignal, begin: () => void) => Promise<T>;

interface Begun {
  readonly question: Question;
  /** The signal of the run. */
  readonly signal: AbortSignal;
}

export class SharedQuestions {
  readonly #runs = new SharedLoads<unknown>();
  /** The runs that have begun and can be joined, by their question's key. */
  readonly #begun = new Map<string, Begun>();
  /** The keys of those runs, by tenant. */
  readonly #keysOf = new Map<string, Set<string>>();
  readonly #onJoined: () => void;

  readonly #isAlone: boolean;

  /** `onJoined` is called when a question was answered by the run of another. `isAlone`: no other node takes pushes. */
  constructor(onJoined: () => void, { isAlone = true }: { readonly isAlone?: boolean } = {}) {
    this.#onJoined = onJoined;
    this.#isAlone = isAlone;
  }

  /** `run` must call `begin` in the turn of the event loop in which it plans, before it does, and must end when its signal aborts. */
  async ask<T>(question: Question, run: Run<T>, signal: AbortSignal): Promise<T> {
    const isLate = this.#begun.has(question.key);
    try {
      return await this.#join(question, run, signal);
    } catch (error) {
      if (!isLate || signal.aborted) throw error;
      return this.#join(question, run, signal);
    }
  }

  /** Call it when a push of the tenant was committed, before the push is answered: no later question joins the runs that have begun. */
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
    const answer = (await this.#runs.run(key, load, signal)) as T; // questions with equal keys have answers of one type
    if (!isOwn) this.#onJoined();
    return answer;
  }

  #begin(question: Question, signal: AbortSignal): void {
    const { key, tenants } = question;
    if (!this.#runs.isCurrent(key, signal)) return;
    if (!this.#isAlone) return this.#runs.forget(key);
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
