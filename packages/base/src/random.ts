/** Random numbers as a module that is passed in. With `seededRandom` a run can be repeated: print the seed. */
import { randomFillSync } from "node:crypto";

export interface Random {
  /** `count` fresh random bytes. */
  bytes(count: number): Uint8Array;
  /** Uniform in [0, 1). */
  float(): number;
}

/** Random bytes drawn ahead for small requests, each used once: a call to the system costs some microseconds. */
const drawn = new Uint8Array(4096);
let drawnUsed = drawn.length;

export const systemRandom: Random = {
  bytes: (count) => {
    if (count > 64) return randomFillSync(new Uint8Array(count));
    if (drawnUsed + count > drawn.length) {
      randomFillSync(drawn);
      drawnUsed = 0;
    }
    drawnUsed += count;
    return drawn.slice(drawnUsed - count, drawnUsed);
  },
  float: () => randomFillSync(new Uint32Array(1))[0]! / 2 ** 32,
};

/** A repeatable generator (mulberry32) with 32 bits of state: good enough for tests and load, not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return {
    float: () => next() / 2 ** 32,
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
  };
}
