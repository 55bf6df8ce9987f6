/** What a checker found. Its name stands in the report of a failing seed, and planted faults name the checker that has to find them. */

export type Checker =
  /** A push that was answered 200 is gone. */
  | "acked-is-kept"
  /** A record counted twice, or sums that do not add up. */
  | "counted-once"
  /** A query that was asked after an answer of 200 lacks what that push held. */
  | "read-your-writes"
  /** An answer says that it is complete and is not, or a refusal gives no reason. */
  | "correct-or-refused"
  /** Data of one tenant in the answer to another. */
  | "tenants-never-meet"
  /** Something that nobody pushed, or that was refused for good. */
  | "nothing-else"
  /** Queues, budgets or files that do not go back to nothing. */
  | "bounded"
  /** Faults have stopped, and the node does not come back. */
  | "progress"
  /** The node threw, or said 500. */
  | "no-error"
  /** Something happened outside of the simulated world. */
  | "no-escape";

export class Violation extends Error {
  readonly checker: Checker;

  constructor(checker: Checker, message: string) {
    super(message);
    this.name = "Violation";
    this.checker = checker;
  }
}
