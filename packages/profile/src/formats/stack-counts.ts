/** How often stacks were counted, exact up to 64 bits, and the pprof of an application's profile that they make. */
import type { ProfileLimits } from "../labels/limits.ts";
import { exactSum } from "../model/exact-sum.ts";
import type { AppProfile } from "../text/folded.ts";
import { pprofOfStacks } from "./stack-tree.ts";
import type { StackFrame, StackNode, StackTree } from "./stack-tree.ts";

export class StackCounts {
  readonly #counts = new Map<StackNode, number | bigint>();

  add(node: StackNode, count: number | bigint): void {
    if (count === 0) return;
    const before = this.#counts.get(node) ?? 0;
    this.#counts.set(node, exactSum(before, count));
  }

  *[Symbol.iterator](): IterableIterator<[StackNode, bigint]> {
    for (const [node, count] of this.#counts) yield [node, BigInt(count)];
  }
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
