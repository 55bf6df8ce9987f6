/**
 * The random numbers of one seed, in streams with names. Each component draws from a stream of its own, so one that draws more often, or a new
 * fault, does not change what the others draw.
 */
import type { Random } from "@pyromesh/base";

export class Chance {
  readonly #seed: number;
  #state: number;

  constructor(seed: number, name: string) {
    this.#seed = seed;
    this.#state = mix(seed ^ hashOf(name));
  }

  /** Another stream of the same seed. */
  stream(name: string): Chance {
    return new Chance(this.#seed, name);
  }

  /** Uniform in [0, 1). mulberry32. */
  float(): number {
    return this.uint32() / 2 ** 32;
  }

  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    return mix(this.#state);
  }

  isTrue(probability: number): boolean {
    return this.float() < probability;
  }

  between(min: number, max: number): number {
    return min + this.float() * (max - min);
  }

  /** A whole number, `max` included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.float() * (max - min + 1));
  }

  /** `choices` must not be empty. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.int(0, choices.length - 1)]!;
  }

  /** The duration of a call to a disk or network: mostly 0.3 to 1.7 times `typical`, in 3 % of calls up to 22 times. */
  delay(typical: number): number {
    const float = this.float();
    return this.isTrue(0.03) ? typical * (2 + 20 * float) : typical * (0.3 + 1.4 * float);
  }

  /** This stream as the random numbers of a node. */
  asRandom(): Random {
    return {
      float: () => this.float(),
      bytes: (count) => {
        const bytes = new Uint8Array(count);
        for (let at = 0; at < count; at += 4) {
          const word = this.uint32();
          for (let i = 0; i < 4 && at + i < count; i++) bytes[at + i] = (word >>> (8 * i)) & 0xff;
        }
        return bytes;
      },
    };
  }
}

function mix(state: number): number {
  let t = state >>> 0;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return (t ^ (t >>> 14)) >>> 0;
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
