/**
 * `npm run bench -- gossip`: membership at scale, in simulated time. The state machines are those of a node; network, disk and clock are simulated
 * (packages/gossip/src/testing/membership-world.ts), the gossip topic is off, so everything goes by probes, news and exchanges of tables.
 *
 *   idle     what a member sends while nothing happens, contact included
 *   change   from a member's change until all know it
 *   crash    from a machine that is gone without a word, or a process whose links close, until each of the others holds it for dead
 *   calm     a long time at 5 % loss: whom somebody declares dead in it lives
 *   split    the cluster falls in two halves for 10 minutes, and becomes one again
 *
 * The same seed gives the same figures on any machine.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { MembershipWorld, nameOf } from "@pyromesh/gossip/testing";
import { figuresOf, type Figures } from "./figures.ts";
import { printScale } from "./report.ts";

const USAGE = `usage: npm run bench -- gossip [options]

  --sizes N,N        numbers of members (10,100,1000)
  --seed N           (1)
  --calm-hours H,H   simulated hours at 5 % loss, for each size (24,0.5,0.02)
  --split-minutes N  (10)
  --quick            a tenth of the trials
  --out FILE         where the table is written (docs/cluster-scale.md); - for nowhere
`;

export interface ScaleOptions {
  readonly seed: number;
  readonly isQuick: boolean;
  readonly splitMinutes: number;
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
  readonly split: { readonly deathCount: number; readonly inContactMs: number | undefined; readonly convergedMs: number | undefined };
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
      "split-minutes": { type: "string", default: "10" },
      quick: { type: "boolean", default: false },
      out: { type: "string", default: "docs/cluster-scale.md" },
    },
  });
  const options: ScaleOptions = { seed: Number(values.seed), isQuick: values.quick, splitMinutes: Number(values["split-minutes"]) };
  const calmHours = values["calm-hours"].split(",").map(Number);
  const results: ScaleResult[] = [];
  for (const [at, text] of values.sizes.split(",").entries()) {
    results.push(measure(Number(text), calmHours[at] ?? 0.02, options));
    if (values.out !== "-") writeFileSync(values.out, printScale(results, options)); // after each size: the largest takes long
  }
  process.stdout.write(printScale(results, options));
  return 0;
}

const LOSS = 0.05;
const SETTLE_MS = 10_000;

function measure(size: number, calmHours: number, options: ScaleOptions): ScaleResult {
  const note = (part: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${size} members: ${part}\n`);
  note("idle");
  const idle = measureIdle(size, options);
  note("change");
  const change = measureChange(size, 0, options);
  const changeAtLoss = measureChange(size, LOSS, options);
  note("crash");
  const silent = measureCrashes(size, true, options);
  const closed = measureCrashes(size, false, options);
  note("calm");
  const calm = measureCalm(size, calmHours, options);
  note("split");
  const split = measureSplit(size, options);
  return {
    size,
    idle,
    change: figuresOf(change),
    changeAtLoss: figuresOf(changeAtLoss),
    crashSilent: figuresOf(silent.timesMs),
    crashClosed: figuresOf(closed.timesMs),
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

function measureIdle(size: number, { seed }: ScaleOptions): ScaleResult["idle"] {
  const world = settledWorld(size, seed, 0);
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
function measureChange(size: number, loss: number, { seed, isQuick }: ScaleOptions): number[] {
  const trialCount = Math.ceil((size > 500 ? 30 : 200) / (isQuick ? 10 : 1));
  const perWorld = Math.min(size - 2, 50);
  const timesMs: number[] = [];
  let world = settledWorld(size, seed, loss);
  for (let trial = 0; trial < trialCount; trial++) {
    if (trial > 0 && trial % perWorld === 0) world = settledWorld(size, seed + trial, loss);
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
function measureCrashes(size: number, isSilent: boolean, { seed, isQuick }: ScaleOptions): { readonly timesMs: number[]; readonly falseCount: number } {
  const trialCount = Math.ceil((size > 500 ? 4 : size > 50 ? 20 : 100) / (isQuick ? 10 : 1));
  const perWorld = size > 500 ? 4 : size > 50 ? 10 : 1;
  const timesMs: number[] = [];
  let falseCount = 0;
  let world = settledWorld(size, seed, LOSS);
  for (let trial = 0; trial < trialCount; trial++) {
    if (trial > 0 && trial % perWorld === 0) world = settledWorld(size, seed + trial, LOSS);
    world.runFor(37 * (trial % 30));
    const victim = nameOf(trial % size);
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
  return { timesMs, falseCount };
}

function measureCalm(size: number, hours: number, { seed, isQuick }: ScaleOptions): ScaleResult["calm"] {
  const world = settledWorld(size, seed, LOSS);
  const calmHours = isQuick ? hours / 10 : hours;
  world.runFor(Math.round(calmHours * 3_600_000));
  return { hours: calmHours, suspicionCount: world.suspicions.length, deathCount: world.verdicts.length };
}

function measureSplit(size: number, { seed, splitMinutes }: ScaleOptions): ScaleResult["split"] {
  const world = settledWorld(size, seed, 0);
  world.split((name) => Number(name.slice(name.lastIndexOf("-") + 1)) % 2);
  world.runFor(splitMinutes * 60_000);
  const deathCount = world.verdicts.length;
  world.heal();
  const sinceMs = world.nowMs;
  const isInContact = (): boolean => world.live.every(({ core }) => core.table.isInContact(world.nowMs));
  const inContactMs = world.runUntil(isInContact, 300_000);
  const isOne = (): boolean => isInContact() && world.live.every(({ core }) => core.suspects.size === 0) && world.isConverged;
  const convergedMs = inContactMs === undefined || world.runUntil(isOne, 300_000) === undefined ? undefined : world.nowMs - sinceMs;
  return { deathCount, inContactMs, convergedMs };
}
