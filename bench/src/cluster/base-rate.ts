/**
 * The search for the highest rate that is taken: a rate is tried for a while, and is taken where nothing was refused and the answers were quick. Pure: `tryRate` does
 * the work. Short steps find about where it is, a long one shows that it holds, through a flush for example:
 *
 *   short:  first ──taken──► x 1.5 ──taken──► x 1.5 ──not──► between the highest that was taken and the lowest that was not, until they are PRECISION apart
 *             └──not──► x 0.6, until one is taken
 *   long:   the highest that was taken ──not──► x 0.7 ──not──► x 0.7 ...
 *
 * Bounded: SHORT_COUNT_MAX short steps, after which the search goes on with what it has, and LONG_COUNT_MAX long ones.
 */

const GROWTH = 1.5;
const SHRINKING = 0.6;
const PRECISION = 1.15;
const SHORT_COUNT_MAX = 7;
const LONG_SHRINKING = 0.7;
const LONG_COUNT_MAX = 5;

export type StepLength = "short" | "long";

/** Resolves with the rate that was taken in a long step. Rejects where none was. */
export async function searchBase(firstPerSecond: number, tryRate: (perSecond: number, length: StepLength) => Promise<boolean>): Promise<number> {
  let perSecond = await roughBase(firstPerSecond, (each) => tryRate(each, "short"));
  for (let count = 0; count < LONG_COUNT_MAX; count++, perSecond *= LONG_SHRINKING) {
    if (await tryRate(perSecond, "long")) return perSecond;
  }
  throw new Error(`no rate holds, not even ${(perSecond / LONG_SHRINKING).toFixed(1)} pushes a second`);
}

async function roughBase(firstPerSecond: number, tryRate: (perSecond: number) => Promise<boolean>): Promise<number> {
  let taken: number | undefined;
  let above = Infinity;
  let next = firstPerSecond;
  for (let count = 0; count < SHORT_COUNT_MAX; count++) {
    if (await tryRate(next)) taken = next;
    else above = next;
    if (taken === undefined) next = above * SHRINKING;
    else if (above / taken <= PRECISION) break;
    else next = above === Infinity ? taken * GROWTH : Math.sqrt(taken * above);
  }
  return taken ?? next;
}
