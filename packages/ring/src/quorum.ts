/** Enough of a set: the acks that make a record durable, the answers that make a query complete. */

/** More than half: any two majorities of the same set share a member. A set of none has no majority, and 1 is never reached. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1;
}
