/**
 * The search for the highest rate that is taken: a rate is tried for a while, and is taken where nothing was refused and the answers were quick. One that was not
 * taken is tried once more, since a moment in which the machine was busy elsewhere says nothing of the rate. Pure: `tryRate` does the work.
 *
 *   first ──taken──► x 1.3 ──taken──► x 1.3 ──not──► between the last that was taken and this one, HALVINGS times
 *     └──not──► x 0.6, until one is taken
 */

const GROWTH = 1.3;
const SHRINKING = 0.6;
const HALVINGS = 3;
/** A rate below this is none: something else is wrong. */
const LEAST_PER_SECOND = 1;

export interface Trial {
  readonly perSecond: number;
  readonly isTaken: boolean;
}

/** Resolves with every rate that was tried, in order. The base is the highest that was taken: see `baseOf`. */
export async function searchBase(firstPerSecond: number, tryRate: (perSecond: number) => Promise<boolean>): Promise<readonly Trial[]> {
  const trials: Trial[] = [];
  const run = async (perSecond: number): Promise<boolean> => {
    const isTaken = (await tryRate(perSecond)) || (await tryRate(perSecond));
    trials.push({ perSecond, isTaken });
    return isTaken;
  };
  let taken = firstPerSecond;
  let refused: number | undefined;
  while (!(await run(taken))) {
    refused = taken;
    taken *= SHRINKING;
    if (taken < LEAST_PER_SECOND) throw new Error(`not even ${refused.toFixed(1)} pushes a second are taken`);
  }
  while (refused === undefined) {
    const next = taken * GROWTH;
    if (await run(next)) taken = next;
    else refused = next;
  }
  let above: number = refused;
  for (let halving = 0; halving < HALVINGS; halving++) {
    const next: number = (taken + above) / 2;
    if (await run(next)) taken = next;
    else above = next;
  }
  return trials;
}

export function baseOf(trials: readonly Trial[]): number {
  return Math.max(...trials.filter(({ isTaken }) => isTaken).map(({ perSecond }) => perSecond));
}
