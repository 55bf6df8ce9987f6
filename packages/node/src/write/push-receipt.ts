/** What became of a push: which of its profiles were refused, and which profiles in their bodies. Pure. */
import type { PushOutcome } from "@pyromesh/api";
import type { CodedError } from "@pyromesh/base";

interface Refused {
  /** The place of the profile in the push. */
  readonly index: number;
  readonly error: CodedError;
}

export class PushReceipt {
  readonly #profileCount: number;
  readonly #refused: Refused[] = [];
  readonly #parts: Refused[] = [];

  constructor(profileCount: number) {
    this.#profileCount = profileCount;
  }

  /** Of the profile at this place nothing more is kept. */
  refuse(index: number, error: CodedError): void {
    this.#refused.push({ index, error });
  }

  /** The body at this place holds these profiles besides those that are kept. */
  refuseParts(index: number, errors: readonly CodedError[]): void {
    for (const error of errors) this.#parts.push({ index, error });
  }

  get acceptedCount(): number {
    return this.#profileCount - this.#refused.length;
  }

  /** Throws where this node could not take a profile: then the client sends the whole push again, and what was kept counts once. */
  outcome(): PushOutcome {
    const refused = this.#refused.sort((a, b) => a.index - b.index);
    const notTaken = refused.find(({ error }) => error.kind === "unavailable" || error.kind === "internal");
    if (notTaken !== undefined) throw notTaken.error;
    return this.#parts.length === 0 ? { acceptedCount: this.acceptedCount, refused } : { acceptedCount: this.acceptedCount, refused, parts: this.#parts };
  }
}
