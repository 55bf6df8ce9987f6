/** Chance, and what is drawn by it, of a seed alone. */
import { seededRandom } from "@pyromesh/base";

export interface Draw {
  /** A whole number below `bound`. */
  readonly below: (bound: number) => number;
  readonly pick: <T>(items: readonly T[]) => T;
  /** True with a chance of `share`. */
  readonly happens: (share: number) => boolean;
}

export function drawOf(seed: number): Draw {
  const random = seededRandom(seed);
  const below = (bound: number): number => Math.floor(random.float() * bound);
  return { below, pick: (items) => items[below(items.length)]!, happens: (share) => random.float() < share };
}
