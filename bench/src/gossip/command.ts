/**
 * `npm run bench -- gossip`: membership at scale, in simulated time. The state machines are those of a node; network, disk and clock are simulated
 * (packages/gossip/src/testing/membership-world.ts), the gossip topic is off, so everything goes by probes, news and exchanges of tables.
 *
 *   idle     what a member sends while nothing happens, contact included
 *   change   from a member's change until all know it
 *   crash    from a machine that is gone without a word, or a process whose links close, until each of the others holds it for dead
 *   calm     a long time at 5 % loss: whom somebody declares dead in it lives
 *   split    the cluster falls in two halves for minutes, and becomes one again
 *
 * The same seed gives the same figures on any machine.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { MEMBERSHIP_SETTINGS, MembershipWorld, nameOf } from "@pyromesh/gossip/testing";
import { figuresOf, type Figures } from "./figures.ts";
import { printScale } from "./report.ts";

const USAGE = `usage: npm run bench -- gossip [options]

  --sizes N,N        numbers of members (10,100,1000)
  --seed N           (1)
  --calm-hours H,H   simulated hours at 5 % loss, for each size (24,0.5,0.02)
  --split-minutes N,N  for each size (10,10,2)
  --quick            a tenth of the trials
  --keep FILE        results are kept there: sizes may be measured one at a time, and the table has all that were
                     measured with the same seed, trials and constants
  --out FILE         where the table is written (docs/cluster-scale.md); - for nowhere
`;

export interface ScaleOptions {
  readonly seed: number;
  readonly isQuick: boolean;
  /** The constants of membership. */
  readonly settings: typeof MEMBERSHIP_SETTINGS;
}

export interface ScaleResult {
  readonly size: number;
  readonly idle: { readonly messagesPerSecond: number; readonly bytesPerSecond: number; readonly outOfContactCount: number };
  readonly change: Figures;
  readonly changeAtLoss: Figures;
  readonly crashSilent: Figures;
  readonly crashClosed: Figures;
  readonly falseDeathsInCrashes: number;
  readonly calm: { readonly hours: number; readonly suspicionCount: number; readonly deathCount: number };
  readonly crashCount: number;
  readonly split: { readonly minutes: number; readonly deathCount: number; readonly inContactMs: number | undefined; readonly convergedMs: number | undefined };
}

export async function runGossipCommand(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  const { values } = parseArgs({
    args: [...args],
    options: {
      sizes: { type: "string", default: "10,100,1000" },
      seed: { type: "string", default: "1" },
      "calm-hours": { type: "string", default: "24,0.5,0.02" },
      "split-minutes": { type: "string", default: "10,10,2" },
      quick: { type: "boolean", default: false },
      keep: { type: "string" },
      out: { type: "string", default: "docs/cluster-scale.md" },
    },
  });
  const options: ScaleOptions = { seed: Number(values.seed), isQuick: values.quick, settings: MEMBERSHIP_SETTINGS };
  const calmHours = values["calm-hours"].split(",").map(Number);
  const splitMinutes = values["split-minutes"].split(",").map(Number);
  let results = values.keep === undefined ? [] : readKept(values.keep, options);
  for (const [at, text] of values.sizes.split(",").entries()) {
    const result = measure(Number(text), { calmHours: calmHours[at] ?? 0.02, splitMinutes: splitMinutes[at] ?? 2, ...options });
    results = [...results.filter(({ size }) => size !== result.size), result].sort((a, b) => a.size - b.size);
    if (values.keep !== undefined) writeFileSync(values.keep, JSON.stringify({ ...options, results }));
    if (values.out !== "-") writeFileSync(values.out, printScale(results, options)); // after each size: the largest takes long
  }
  process.stdout.write(printScale(results, options));
  return 0;
}

/** None where they were measured in another way. */
function readKept(file: string, options: ScaleOptions): readonly ScaleResult[] {
  if (!existsSync(file)) return [];
  const { results, ...kept } = JSON.parse(readFileSync(file, "utf8"), (_, value: unknown) => (value === null ? undefined : value)) as ScaleOptions & { readonly results: readonly ScaleResult[] }; // this program wrote it
  if (isDeepStrictEqual(kept, options)) return results;
  process.stderr.write(`${file} has results of another seed, other trials or other constants: they are left out\n`);
  return [];
}

const LOSS = 0.05;
const SETTLE_MS = 10_000;

interface SizeOptions extends ScaleOptions {
  readonly calmHours: number;
  readonly splitMinutes: number;
}

/** Of a large cluster two worlds serve for everything: to make one takes longer than what is measured in it. */
function measure(size: number, options: SizeOptions): ScaleResult {
  /** A size takes minutes: each part is told when it is there. */
  const noted = <T>(part: string, measured: () => T, shown: (result: T) => unknown = (result) => result): T => {
    const result = measured();
    process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${size} members: ${part}: ${JSON.stringify(shown(result))}\n`);
    return result;
  };
  const crashesShown = ({ timesMs, ...others }: ReturnType<typeof measureCrashes>): unknown => ({ ...figuresOf(timesMs), ...others });
  const worldOf = (loss: number): (() => MembershipWorld) => {
    let seed = options.seed;
    const shared = size > 500 ? settledWorld(size, seed, loss) : undefined;
    return () => shared ?? settledWorld(size, seed++, loss);
  };
  const quiet = worldOf(0);
  const idle = noted("idle", () => measureIdle(quiet()));
  const split = noted("split", () => measureSplit(quiet(), options.splitMinutes));
  const change = noted("change", () => measureChange(size, quiet, options), figuresOf);
  const lossy = worldOf(LOSS);
  const calm = noted("calm, at loss", () => measureCalm(lossy(), options));
  const changeAtLoss = noted("change, at loss", () => measureChange(size, lossy, options), figuresOf);
  const silent = noted("a machine is gone, at loss", () => measureCrashes(size, lossy, { ...options, isSilent: true }), crashesShown);
  const closed = noted("a process ends, at loss", () => measureCrashes(size, lossy, { ...options, isSilent: false }), crashesShown);
  return {
    size,
    idle,
    change: figuresOf(change),
    changeAtLoss: figuresOf(changeAtLoss),
    crashSilent: figuresOf(silent.timesMs),
    crashClosed: figuresOf(closed.timesMs),
    crashCount: silent.count,
    falseDeathsInCrashes: silent.falseCount + closed.falseCount,
    calm,
    split,
  };
}

function settledWorld(size: number, seed: number, loss: number): MembershipWorld {
  const world = new MembershipWorld({ seed, loss });
  world.addSettled(size);
  world.runFor(SETTLE_MS);
  return world;
}

function measureIdle(world: MembershipWorld): ScaleResult["idle"] {
  const size = world.live.length;
  const durationMs = size > 500 ? 15_000 : 60_000; // the comparison of tables once in 15 s is in it
  const counted = world.live.filter((_, at) => at % Math.ceil(size / 20) === 0);
  world.counted = new Set(counted.map(({ name }) => name));
  for (const member of world.live) member.sentCount = 0;
  let outOfContactCount = 0;
  for (let passedMs = 0; passedMs < durationMs; passedMs += 250) {
    world.runFor(250);
    outOfContactCount += world.live.filter(({ core }) => !core.table.isInContact(world.nowMs)).length;
  }
  const sum = (of: (member: (typeof counted)[number]) => number): number => counted.reduce((total, member) => total + of(member), 0) / counted.length / (durationMs / 1000);
  return { messagesPerSecond: sum(({ sentCount }) => sentCount), bytesPerSecond: sum(({ sentBytes }) => sentBytes), outOfContactCount };
}

/** Members begin to leave, one after the other. */
function measureChange(size: number, worldOf: () => MembershipWorld, { isQuick }: ScaleOptions): number[] {
  const trialCount = Math.ceil((size > 500 ? 12 : 200) / (isQuick ? 10 : 1));
  const perWorld = Math.min(size - 2, 50);
  const timesMs: number[] = [];
  let world = worldOf();
  for (let trial = 0; trial < trialCount; trial++) {
    if (trial > 0 && trial % perWorld === 0) world = worldOf();
    const member = world.member(nameOf(trial % perWorld));
    const sinceMs = world.nowMs;
    world.step(member, { kind: "changed", changes: member.core.table.leave(world.nowMs) });
    const waiting = new Set(world.live);
    while (waiting.size > 0 && world.nowMs - sinceMs < 120_000) {
      world.runFor(5);
      for (const other of waiting) if (other.core.table.entry(member.name)?.status === "leaving") waiting.delete(other);
    }
    timesMs.push(world.nowMs - sinceMs);
    world.runFor(1000 + 37 * (trial % 20)); // at another point of the members' intervals
  }
  return timesMs;
}

/** For each crash and each of the others, when it held the member for dead. */
function measureCrashes(size: number, worldOf: () => MembershipWorld, { isQuick, isSilent }: ScaleOptions & { readonly isSilent: boolean }): { readonly timesMs: number[]; readonly falseCount: number; readonly count: number } {
  const count = Math.ceil((size > 500 ? 2 : size > 50 ? 20 : 100) / (isQuick ? 10 : 1));
  const perWorld = size > 50 ? 10 : 1;
  const timesMs: number[] = [];
  let falseCount = 0;
  let world = worldOf();
  for (let trial = 0; trial < count; trial++) {
    if (trial > 0 && trial % perWorld === 0) world = worldOf();
    world.runFor(37 * (trial % 30));
    const victim = world.live.at(-1 - (trial % perWorld))!.name;
    const sinceMs = world.nowMs;
    const before = world.verdicts.length;
    world.crash(victim, { isSilent });
    const waiting = new Set(world.live);
    while (waiting.size > 0 && world.nowMs - sinceMs < 120_000) {
      world.runFor(20);
      for (const other of waiting) {
        if (other.core.table.entry(victim)?.status !== "dead") continue;
        waiting.delete(other);
        timesMs.push(world.nowMs - sinceMs);
      }
    }
    for (const _ of waiting) timesMs.push(Infinity);
    falseCount += world.verdicts.slice(before).filter(({ of }) => of !== victim).length;
  }
  return { timesMs, falseCount, count };
}

function measureCalm(world: MembershipWorld, { calmHours, isQuick }: SizeOptions): ScaleResult["calm"] {
  const hours = isQuick ? calmHours / 10 : calmHours;
  world.runFor(Math.round(hours * 3_600_000));
  return { hours, suspicionCount: world.suspicions.length, deathCount: world.verdicts.length };
}

function measureSplit(world: MembershipWorld, minutes: number): ScaleResult["split"] {
  world.split((name) => Number(name.slice(name.lastIndexOf("-") + 1)) % 2);
  world.runFor(minutes * 60_000);
  const deathCount = world.verdicts.length;
  world.heal();
  const sinceMs = world.nowMs;
  const isInContact = (): boolean => world.live.every(({ core }) => core.table.isInContact(world.nowMs));
  const inContactMs = world.runUntil(isInContact, 300_000);
  const isOne = (): boolean => isInContact() && world.live.every(({ core }) => core.suspects.size === 0) && world.isConverged;
  const convergedMs = inContactMs === undefined || world.runUntil(isOne, 300_000) === undefined ? undefined : world.nowMs - sinceMs;
  return { minutes, deathCount, inContactMs, convergedMs };
}
