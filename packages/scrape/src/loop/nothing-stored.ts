/**
 * Why an answer was not stored, where it is certain that nothing of it was. Then the next difference may be made to the answer before it, and counts what both cover
 * once. Where a part may have been stored, as after a timeout of other stores, it would count that twice.
 */
import type { CodedError } from "@pyromesh/base";

export class NothingStored extends Error {
  readonly reason: CodedError;
  /** The answer is no profile, or too large: no other one is compared with it. */
  readonly isAnswerAtFault: boolean;

  constructor(reason: CodedError, { isAnswerAtFault }: { readonly isAnswerAtFault: boolean }) {
    super(reason.message, { cause: reason });
    this.name = "NothingStored";
    this.reason = reason;
    this.isAnswerAtFault = isAnswerAtFault;
  }
}
