/** The bounds of the member table. What would exceed one is refused, with a code, and counted. */

/** Members, those that left and those that are forgotten included: at the bound those go first, so that names that change with each start do not fill the table. */
export const MEMBERS_MAX = 10_000;

/**
 * Lost stores. At the bound those that are cleared, or never were full, go first: nothing reads them but the check for late acks. Where none of those is left, a further
 * one is refused, and queries with it.
 */
export const LOSSES_MAX = 10_000;

/** Of a table on disk or in one message: 10,000 members take some 2 MiB, and sets of names that are still open up to 16. */
export const TABLE_BYTES_MAX: number = 16 * 2 ** 20;

/** The same bound as the ring's. */
export const TOKEN_COUNT_MAX = 4096;

/** How far above what is known a member's incarnation may be. One that was away for a year, and was refuted every half minute, is within it. */
export const INCARNATION_JUMP_MAX: number = 2 ** 20;
