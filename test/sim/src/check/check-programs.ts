/**
 * Compares what the store counts of scraped programs with what these said. Each tick of a program, and each answer of it, has a stack of its own (history/program-profile.ts), so it shows
 *
 *   how often a tick was counted      once at most, whoever scraped it
 *   whether it may be counted         only as part of a difference: the process that stored it had an earlier answer of the same start of the program, without this tick. So the first answer
 *                                     after a move or a start, which holds all ticks since the program began, is a baseline
 *   which answers were stored         once at most, only whole ones, and of the times that a program measured while it was asked no two overlap
 *
 * When nothing hinders scraping any more, each target must be scraped again, by one member, and every tick between its scrapes be counted.
 */
import { PROGRAM_TYPES, readProgramStack, SHARED_VALUE } from "../history/program-profile.ts";
import { checkRefusal } from "../history/querier.ts";
import { at } from "../world/machine.ts";
import { PROGRAM_TENANT } from "../world/programs.ts";
import type { ProgramAnswer, ProgramProfile, Programs } from "../world/programs.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { SimReply } from "../world/sim-network.ts";
import type { World } from "../world/world.ts";
import { readFlameGraph } from "./answers.ts";
import type { ByStack } from "./answers.ts";
import { deadlyCallMs, until } from "./check-healed.ts";
import { Violation } from "./violation.ts";

const TIMEOUT_MS = 20_000;
const ANSWERED_WITHIN_MS = 60_000;
/** Members that have just started grant targets after 10.5 s, and those of a member that has gone move some 14 s later. */
const SCRAPED_WITHIN_MS = 60_000;
/** How long a fault has its effects: a request of before may be late, a link that was lost silently is found by then, and a hold that fewer members grant has ended. */
const SETTLED_AFTER_MS = 10_500;
/** So many scrapes in a row by one process: the first is a baseline, and the last may not be stored yet. */
const STEADY_COUNT = 4;
const HOUR_MS = 3_600_000;

/** Ticks that must be counted. */
export interface ScrapedSpan {
  readonly address: string;
  readonly profile: ProgramProfile;
  readonly start: number;
  readonly fromTick: number;
  readonly endTick: number;
}

/** Asks at random times what is stored, until the history ends. */
export async function watchPrograms(world: World): Promise<void> {
  const { chance, programs, scheduler } = world;
  if (programs === undefined) return;
  const own = chance.stream("watch of programs");
  for (;;) {
    await scheduler.wait(own.between(5_000, 25_000));
    if (world.isEnding) return;
    const profile = own.pick(programs.profiles);
    await checkStored(world, programs, { profile, isOfTicks: own.isTrue(0.7), name: "watch:" });
  }
}

/** Call it when the faults have ended. Resolves when each target was scraped several times, and no program is there any more. Returns what must be stored of it. */
export async function endScraping(world: World): Promise<readonly ScrapedSpan[]> {
  const { faults, programs, scheduler } = world;
  if (programs === undefined) return [];
  const { addresses, intervalMs, timeoutMs } = programs.settings;
  const targets = addresses.flatMap((address) => programs.profiles.map((profile) => ({ address, profile })));
  // Without any fault all answers must be stored, from the first one on.
  const calmMs = faults.isQuiet ? 0 : scheduler.nowMs + SETTLED_AFTER_MS;
  const steadyOf = ({ address, profile }: (typeof targets)[number]): readonly ProgramAnswer[] | undefined => {
    const all = programs.answers.filter((answer) => answer.fromMs >= calmMs && answer.address === address && answer.profile === profile);
    const last = faults.isQuiet ? all : all.slice(-STEADY_COUNT);
    return last.length >= STEADY_COUNT && last.every(({ asker, isWhole, start }) => asker === last[0]!.asker && start === last[0]!.start && isWhole) ? last : undefined;
  };
  const endMs = scheduler.nowMs + SCRAPED_WITHIN_MS + deadlyCallMs(world);
  while (!targets.every((target) => steadyOf(target) !== undefined)) {
    if (scheduler.nowMs > endMs) throw new Violation("scrapes-go-on", `${targets.filter((target) => steadyOf(target) === undefined).map(({ address, profile }) => `${profile} of ${address}`).join(", ")}: not scraped ${STEADY_COUNT} times in a row by one member, ${SCRAPED_WITHIN_MS} ms after the end of the faults`);
    await scheduler.wait(500);
  }
  const spans = targets.flatMap((target): readonly ScrapedSpan[] => {
    const steady = steadyOf(target)!; // the loop above ended
    const stored = steady.slice(0, -1);
    for (const [index, { atMs, fromMs }] of steady.entries()) {
      const gapMs = index === 0 ? 0 : fromMs - steady[index - 1]!.atMs;
      if (faults.isQuiet && gapMs > intervalMs + timeoutMs) throw new Violation("scrapes-go-on", `${target.profile} of ${target.address} was not scraped for ${gapMs} ms, until ${atMs} ms after the beginning, though nothing failed`);
    }
    // Between two times that a program measures there are some milliseconds, which no answer has.
    if (target.profile === "process_cpu") return stored;
    return [{ ...stored[0]!, fromTick: stored[0]!.endTick, endTick: stored.at(-1)!.endTick }];
  });
  programs.end();
  // What was read is stored by then, or was given up.
  await scheduler.wait(2 * (intervalMs + timeoutMs));
  return spans;
}

/** Asks until it is answered. Returns all that is counted, as text: the same as long as nothing more is stored. */
export async function checkPrograms(world: World, spans: readonly ScrapedSpan[], when: string): Promise<string> {
  const { programs } = world;
  if (programs === undefined) return "";
  const counted: string[] = [];
  for (const profile of programs.profiles) {
    for (const isOfTicks of [true, false]) {
      let found: ByStack | undefined;
      await until(world, ANSWERED_WITHIN_MS + deadlyCallMs(world), "answering for programs", async () => (found = await checkStored(world, programs, { profile, isOfTicks, name: `${when}:` })) !== undefined);
      if (isOfTicks) for (const span of spans) if (span.profile === profile) checkSpan(found!, span, when); // `until` has returned
      counted.push(...[...found!].map(([stack, value]) => `${profile} ${stack} ${value}`).sort());
    }
  }
  return counted.join("\n");
}

function checkSpan(found: ByStack, { address, endTick, fromTick, profile, start }: ScrapedSpan, when: string): void {
  const counted = new Set<number>();
  for (const stack of found.keys()) {
    const read = readProgramStack(stack);
    if (read?.kind === "tick" && read.address === address && read.start === start) counted.add(read.tick);
  }
  for (let tick = fromTick; tick < endTick; tick++) {
    if (!counted.has(tick)) throw new Violation("scrapes-go-on", `${when}: tick ${tick} of start ${start} of ${address} is not counted in ${profile}, though scrapes of the ticks from ${fromTick} to ${endTick} were read by one member`);
  }
}

interface Asked {
  readonly profile: ProgramProfile;
  readonly isOfTicks: boolean;
  readonly name: string;
}

/** Any member is asked once. Undefined: there was no answer. */
async function checkStored(world: World, programs: Programs, { isOfTicks, name, profile }: Asked): Promise<ByStack | undefined> {
  const machine = world.nextMachine();
  const words = `${name}${at(machine)} asks for ${isOfTicks ? "ticks" : "answers"} in ${profile} of programs`;
  const type = PROGRAM_TYPES[profile][isOfTicks ? "ticks" : "answers"];
  const message = { profileTypeID: type, labelSelector: "{}", start: world.settings.epochMs - 2 * HOUR_MS, end: Math.floor(world.wallMs) + 2 * HOUR_MS, maxNodes: 1_000_000 };
  let reply: SimReply;
  try {
    reply = await machine.network.request({ method: "POST", path: "/querier.v1.QuerierService/SelectMergeStacktraces", headers: { "content-type": "application/json", "x-scope-orgid": PROGRAM_TENANT }, body: Buffer.from(JSON.stringify(message)) }, { timeoutMs: TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    world.journal.note("client", `${words}: ${error.message}`);
    return undefined;
  }
  if (reply.status !== 200) {
    world.journal.note("client", `${words}: ${reply.status} ${reply.body.slice(0, 200)}`);
    checkRefusal(world, words, reply);
    return undefined;
  }
  const found = readFlameGraph(reply.body);
  world.journal.note("client", `${words}: ${found.size} stacks`);
  if (isOfTicks) checkTicks(found, programs, profile);
  else checkAnswers(found, programs, profile);
  world.noteChecked();
  return found;
}

function checkTicks(found: ByStack, { answers }: Programs, profile: ProgramProfile): void {
  const shared = new Map<string, bigint>();
  for (const [stack, value] of found) {
    const read = readProgramStack(stack);
    if (read === undefined || read.kind === "answer") throw new Violation("nothing-else", `the stack ${stack} is counted in ${profile}, and no program counts it`);
    const key = `${read.address} ${read.start}`;
    if (read.kind === "shared") {
      shared.set(key, (shared.get(key) ?? 0n) + value);
      continue;
    }
    if (value !== 1n) throw new Violation("counted-once", `tick ${read.tick} of start ${read.start} of ${read.address} is counted ${value} times in ${profile}`);
    if (!answers.some((answer) => answer.profile === profile && answer.address === read.address && answer.start === read.start && mayBring(answer, read.tick, answers))) {
      throw new Violation("nothing-else", `tick ${read.tick} of start ${read.start} of ${read.address} is counted in ${profile}, though no process had an answer from before it and one with it`);
    }
    shared.set(key, (shared.get(key) ?? 0n) - BigInt(SHARED_VALUE));
  }
  for (const [key, rest] of shared) if (rest !== 0n) throw new Violation("counted-once", `the stack that all ticks of ${key} share is off by ${rest} from the ticks that are counted in ${profile}`);
}

/** Storing this answer may count the tick. */
function mayBring(answer: ProgramAnswer, tick: number, answers: readonly ProgramAnswer[]): boolean {
  if (!answer.isWhole || tick < answer.fromTick || tick >= answer.endTick) return false;
  if (answer.profile === "process_cpu") return true;
  return answers.some(({ address, asker, endTick, id, isWhole, profile, start }) => {
    if (id >= answer.id || !isWhole || profile !== answer.profile || address !== answer.address || asker !== answer.asker) return false;
    // An answer from before a new start of the program is compared with where it counted nothing: then no value fell, and all ticks of the new start are later.
    return start === answer.start ? endTick <= tick : endTick === 0;
  });
}

function checkAnswers(found: ByStack, { answers }: Programs, profile: ProgramProfile): void {
  const stored: ProgramAnswer[] = [];
  for (const [stack, value] of found) {
    const read = readProgramStack(stack);
    const answer = read?.kind === "answer" ? answers[read.id - 1] : undefined;
    if (answer === undefined || answer.profile !== profile) throw new Violation("nothing-else", `the stack ${stack} is in answers of ${profile}, and no program answered so`);
    if (value !== 1n) throw new Violation("counted-once", `answer ${answer.id} of ${answer.address} is stored ${value} times`);
    if (!answer.isWhole) throw new Violation("nothing-else", `answer ${answer.id} of ${answer.address} is stored, though it was cut short`);
    stored.push(answer);
  }
  if (profile === "memory") return;
  stored.sort((a, b) => a.fromMs - b.fromMs);
  for (const [index, answer] of stored.entries()) {
    const before = stored.findLast(({ address }, other) => other < index && address === answer.address);
    if (before !== undefined && before.atMs > answer.fromMs) throw new Violation("counted-once", `answers ${before.id} and ${answer.id} of ${answer.address} are stored, to ${before.asker} and ${answer.asker}, and measure the same time from ${answer.fromMs} to ${before.atMs} ms`);
  }
}
