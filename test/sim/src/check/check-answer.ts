/** Compares an answer with the ledger. Returns how often each part was counted, or throws a `Violation` that names the broken promise. */
import { ownLeaf, stackKey } from "../history/part.ts";
import type { Part } from "../history/part.ts";
import type { ByStack } from "./answers.ts";
import type { Fate, Ledger } from "./ledger.ts";
import { Violation } from "./violation.ts";

export interface Asked {
  readonly tenant: string;
  /** Index into the sample types. */
  readonly type: number;
  readonly startMs: number;
  readonly endMs: number;
  /** Undefined: any service, and below any pod. */
  readonly service: string | undefined;
  readonly pod: string | undefined;
}

/** What an answer must hold at least. It is computed when the query is sent: what is acked later may be in the answer, and need not be. */
export interface Expected {
  readonly asked: Asked;
  /** How often each part must be counted at least. A part that is missing here need not be counted. */
  readonly mins: ReadonlyMap<Fate, number>;
}

export interface CheckContext {
  readonly ledger: Ledger;
  /** The wall clock's time. */
  readonly nowMs: number;
  /** True if the node has died or was stopped since this part was acked. */
  readonly hasDiedSince: (fate: Fate) => boolean;
}

/** Call it when the query is sent. */
export function expect(asked: Asked, { ledger, nowMs }: Pick<CheckContext, "ledger" | "nowMs">): Expected {
  const mins = new Map<Fate, number>();
  for (const fate of ledger.fates.values()) {
    if (fate.min > 0 && matches(fate.part, asked) && fate.within(asked.startMs, asked.endMs, nowMs) === "inside") mins.set(fate, fate.min);
  }
  return { asked, mins };
}

/** How often the part may be counted at most, at the time of the answer. */
function maxOf(fate: Fate, asked: Asked, nowMs: number): number {
  return matches(fate.part, asked) && fate.within(asked.startMs, asked.endMs, nowMs) !== "outside" ? fate.max : 0;
}

function matches(part: Part, { tenant, type, service, pod }: Asked): boolean {
  if (part.tenant !== tenant || (part.stacks[0]?.values[type] ?? 0) === 0) return false;
  return (service === undefined || part.service === service) && (pod === undefined || podOf(part) === pod);
}

export function podOf(part: Part): string {
  return part.labels.find(([name]) => name === "pod")?.[1] ?? "";
}

/**
 * Checks an answer that has stacks. `recordCount` is the receipt's. `isPartial`: the answer says that something is missing, so no part is
 * required. Returns how often each part was counted.
 */
export function checkStacks(expected: Expected, found: ByStack, recordCount: number | undefined, isPartial: boolean, context: CheckContext): ReadonlyMap<Fate, number> {
  const { asked } = expected;
  const { ledger, nowMs } = context;
  const counts = new Map<Fate, number>();
  const common = new Map<string, bigint>();
  for (const [key, value] of found) {
    const id = /(?:^|;)part_(\d+)$/.exec(key)?.[1];
    if (id === undefined) {
      common.set(key, value);
      continue;
    }
    const fate = ledger.fates.get(Number(id));
    if (fate === undefined) throw new Violation("nothing-else", `the stack ${key} is in the answer and was never pushed`);
    if (fate.part.tenant !== asked.tenant) throw new Violation("tenants-never-meet", `the answer to ${asked.tenant} holds ${key} of ${fate.part.tenant}`);
    const own = fate.part.stacks.find(({ frames }) => frames.at(-1) === ownLeaf(fate.part.id))!;
    const one = BigInt(own.values[asked.type]!);
    if (one === 0n || value % one !== 0n || stackKey(own.frames) !== key) throw new Violation("counted-once", `${key} comes to ${value}, which is no multiple of its ${one}`);
    counts.set(fate, Number(value / one));
  }
  for (const [fate, count] of counts) {
    const max = maxOf(fate, asked, nowMs);
    if (count <= max) continue;
    const checker = fate.max > 0 && count > 1 ? "counted-once" : "nothing-else";
    throw new Violation(checker, `part ${fate.part.id} was counted ${count} times, at most ${max} may be (${describe(fate)})`);
  }
  if (!isPartial) {
    for (const [fate, min] of expected.mins) if ((counts.get(fate) ?? 0) < min) throw missing(fate, counts.get(fate) ?? 0, min, context);
  }
  // The value of a shared stack is the sum over the parts that were counted.
  for (const [fate, count] of counts) {
    for (const { frames, values } of fate.part.stacks) {
      if (frames.at(-1) === ownLeaf(fate.part.id)) continue;
      const key = stackKey(frames);
      common.set(key, (common.get(key) ?? 0n) - BigInt(values[asked.type]!) * BigInt(count));
    }
  }
  for (const [key, rest] of common) if (rest !== 0n) throw new Violation("counted-once", `${key} is off by ${rest} from the sum of the parts that were counted`);
  if (recordCount !== undefined) {
    let sum = 0;
    for (const count of counts.values()) sum += count;
    if (sum !== recordCount) throw new Violation("counted-once", `the receipt says ${recordCount} records, the stacks hold ${sum}`);
  }
  return counts;
}

/**
 * Checks an answer that has only sums, by pod. A sum must be that of all acked parts plus that of some of the parts whose fate is open, since
 * a sum does not say which ones it holds.
 */
export function checkSums(expected: Expected, sums: ReadonlyMap<string, bigint>, isPartial: boolean, context: CheckContext): void {
  const { asked, mins } = expected;
  const open = new Map<string, bigint[]>();
  const least = new Map<string, bigint>();
  for (const fate of context.ledger.fates.values()) {
    const max = maxOf(fate, asked, context.nowMs);
    if (max === 0) continue;
    const pod = podOf(fate.part);
    const value = fate.part.stacks.reduce((sum, { values }) => sum + BigInt(values[asked.type]!), 0n);
    const min = isPartial ? 0 : (mins.get(fate) ?? 0);
    least.set(pod, (least.get(pod) ?? 0n) + value * BigInt(min));
    for (let i = min; i < max; i++) open.set(pod, [...(open.get(pod) ?? []), value]);
  }
  for (const pod of new Set([...sums.keys(), ...least.keys()])) {
    const sum = sums.get(pod) ?? 0n;
    const rest = sum - (least.get(pod) ?? 0n);
    if (isSumOfSome(rest, open.get(pod) ?? [])) continue;
    const all = (least.get(pod) ?? 0n) + (open.get(pod) ?? []).reduce((a, b) => a + b, 0n);
    const words = `the series of pod ${pod} come to ${sum}, at least ${least.get(pod) ?? 0n} and at most ${all} was pushed`;
    throw new Violation(rest < 0n ? "read-your-writes" : "counted-once", words);
  }
}

/** With more open values than this, whose subsets would be too many, only the lower and upper bound are checked. */
const OPEN_COUNT_MAX = 12;

function isSumOfSome(rest: bigint, values: readonly bigint[]): boolean {
  if (rest === 0n) return true;
  if (rest < 0n) return false;
  if (values.length > OPEN_COUNT_MAX) return rest <= values.reduce((a, b) => a + b, 0n);
  let sums = new Set([0n]);
  for (const value of values) {
    const more = new Set(sums);
    for (const sum of sums) more.add(sum + value);
    sums = more;
  }
  return sums.has(rest);
}

/** `found` are the pods that a listing names. It may name pods outside the range, but none that was never pushed. */
export function checkPods(expected: Expected, found: readonly string[], isPartial: boolean, { ledger }: CheckContext): void {
  const { asked, mins } = expected;
  const known = new Set<string>();
  for (const fate of ledger.fates.values()) if (fate.part.tenant === asked.tenant && fate.max > 0) known.add(podOf(fate.part));
  for (const pod of found) {
    if (known.has(pod)) continue;
    const another = [...ledger.fates.values()].find(({ part }) => podOf(part) === pod && part.tenant !== asked.tenant);
    throw new Violation(another === undefined ? "nothing-else" : "tenants-never-meet", `${asked.tenant} is told of pod ${pod}${another === undefined ? "" : `, which is ${another.part.tenant}'s`}`);
  }
  if (isPartial) return;
  for (const fate of mins.keys()) {
    if (!found.includes(podOf(fate.part))) throw new Violation("read-your-writes", `pod ${podOf(fate.part)} of part ${fate.part.id} is not listed (${describe(fate)})`);
  }
}

function missing(fate: Fate, count: number, min: number, { hasDiedSince }: CheckContext): Violation {
  return new Violation(hasDiedSince(fate) ? "acked-is-kept" : "read-your-writes", `part ${fate.part.id} was counted ${count} times, at least ${min} should be (${describe(fate)})`);
}

function describe(fate: Fate): string {
  const { part } = fate;
  return `${part.tenant}, ${part.service}, pod ${podOf(part)}, ${part.timeMs === undefined ? "no clock" : new Date(part.timeMs).toISOString()}, ${fate.isAcked ? "acked" : "not acked"}`;
}
