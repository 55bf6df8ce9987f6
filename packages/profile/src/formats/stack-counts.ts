/** How often stacks were counted, exact up to 64 bits, and the pprof of an application's profile that they make. */
import type { ProfileLimits } from "../labels/limits.ts";
import { orUnbounded, tooManySamples } from "../labels/limits.ts";
import { exactSum } from "../model/exact-sum.ts";
import type { AppProfile } from "../text/folded.ts";
import { pprofOfStacks } from "./stack-tree.ts";
import type { StackFrame, StackNode, StackTree } from "./stack-tree.ts";

/** In the order in which stacks came first. A stack that comes to 0 is no sample. */
export class StackCounts {
  readonly #counts = new Map<StackNode, number | bigint>();
  readonly #sampleCountMax: number;
  /** Stacks that do not come to 0. */
  #sampleCount = 0;

  constructor({ sampleCountMax }: Pick<ProfileLimits, "sampleCountMax">) {
    this.#sampleCountMax = orUnbounded(sampleCountMax);
  }

  /** Returns what the stack comes to. Throws a refusal as soon as there are more samples than a profile may have: a body may hold a million. */
  add(node: StackNode, count: number | bigint): number | bigint {
    const before = this.#counts.get(node);
    const sum = before === undefined ? count : exactSum(before, count);
    this.#counts.set(node, sum);
    this.#sampleCount += Number(!isZero(sum)) - Number(before !== undefined && !isZero(before));
    if (this.#sampleCount > this.#sampleCountMax) throw tooManySamples(this.#sampleCountMax);
    return sum;
  }

  *[Symbol.iterator](): IterableIterator<[StackNode, bigint]> {
    for (const [node, count] of this.#counts) yield [node, BigInt(count)];
  }
}

function isZero(count: number | bigint): boolean {
  return count === 0 || count === 0n;
}

/** Counts become values of the application's profile, as those of folded text do. Throws a refusal. */
export function pprofOfCounts(tree: StackTree, counts: StackCounts, frameOf: (frame: number) => StackFrame, profile: AppProfile, limits: ProfileLimits): Uint8Array {
  const scale = BigInt(profile.scale);
  const values = new Map<StackNode, bigint>();
  for (const [node, count] of counts) values.set(node, count * scale);
  return pprofOfStacks(tree, values, frameOf, headOf(profile), limits);
}

export function headOf({ sampleType, periodType, period }: AppProfile): Parameters<typeof pprofOfStacks>[3] {
  return { sampleTypes: [sampleType], periodType, period, timeNs: 0n, durationNs: 0n, isOfText: true };
}
