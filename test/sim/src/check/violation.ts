/** A broken promise, with the checker that found it. Reports of failing seeds print its name, and planted faults name the checkers that may find them. */

export type Checker =
  /** A push that was answered 200 is gone. */
  | "acked-is-kept"
  /** A record is counted twice, or sums do not add up. */
  | "counted-once"
  /** The answer to a query that was sent after an ack lacks what was acked. */
  | "read-your-writes"
  /** An answer lacks something although partial answers are not allowed, or a request is refused without a reason that the faults explain. */
  | "correct-or-refused"
  /** Data of one tenant is in an answer to another, or under its keys. */
  | "tenants-never-meet"
  /** An answer holds something that nobody pushed, or that was refused for good. */
  | "nothing-else"
  /** A queue, a budget or files exceed their bound, or do not go back to 0. */
  | "bounded"
  /** A program is not scraped though nothing hinders it, or what a scrape read is not stored. */
  | "scrapes-go-on"
  /** The faults have ended and the node does not recover in time, or one tenant's failures hold up others. */
  | "progress"
  /** A LIST ended without an error and had not gone through every page. */
  | "lists-are-whole"
  /** A record is in the bucket twice: of a cluster, where nothing failed; of one node, though it was sent once. */
  | "one-copy"
  /** Nothing failed, and a member was declared dead. */
  | "no-false-death"
  /** The node answered 500, left a rejection unhandled, or ended itself. */
  | "no-error"
  /** The real clock, random numbers, disk or thread pool were used. */
  | "no-escape";

export class Violation extends Error {
  readonly checker: Checker;

  constructor(checker: Checker, message: string) {
    super(message);
    this.name = "Violation";
    this.checker = checker;
  }
}
