/**
 * Which member of a cluster scrapes a target: rendezvous hashing. A number of each member's name is mixed with one of the target's key, and the highest wins. Pure.
 *
 *   target 1: a 0.9  b 0.4  c 0.7  ──► a        without a: c, whatever b and c scrape besides
 *   target 2: a 0.1  b 0.8  c 0.3  ──► b        without a: b
 *
 * What must stay true: a member that comes takes only the targets of which its score is the highest, and of one that goes only its own targets move.
 */
import { hash } from "node:crypto";
import { mixWord } from "@pyromesh/base";

/** For one list of members. A look-up takes some nanoseconds a member. */
export class TargetOwners {
  readonly #seeds: Uint32Array;

  /** `names`: different ones. */
  constructor(names: readonly string[]) {
    this.#seeds = new Uint32Array(names.length * 2);
    for (const [index, name] of names.entries()) this.#seeds.set(wordsOf(name), index * 2);
  }

  /** The index of the owner among the names; -1: there are none. */
  indexOf(key: string): number {
    const [low, high] = wordsOf(key);
    let found = -1;
    let highest = -1;
    for (let at = 0; at < this.#seeds.length; at += 2) {
      // Two rounds, so that each bit of either word changes both.
      const first = mixWord(low ^ this.#seeds[at]!);
      const second = mixWord(high ^ this.#seeds[at + 1]! ^ first);
      const third = mixWord(first ^ Math.imul(second, 0x9e3779b1));
      // 53 bits of the 64: what a double holds.
      const score = (second >>> 0) * 0x200000 + (third >>> 11);
      if (score <= highest) continue;
      highest = score;
      found = at / 2;
    }
    return found;
  }
}

function wordsOf(text: string): readonly [number, number] {
  const digits = hash("sha256", text, "hex");
  return [Number.parseInt(digits.slice(0, 8), 16), Number.parseInt(digits.slice(8, 16), 16)];
}
