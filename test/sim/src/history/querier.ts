/** A client that sends queries of every kind, at random times and right after acks. Each answer is compared with the ledger. */
import { readFlameGraph, readNames, readPprof, readSeries } from "../check/answers.ts";
import { checkPods, checkStacks, checkSums, expect } from "../check/check-answer.ts";
import type { Asked } from "../check/check-answer.ts";
import { Violation } from "../check/violation.ts";
import type { Chance } from "../world/chance.ts";
import { at } from "../world/machine.ts";
import type { Machine } from "../world/machine.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { SimReply } from "../world/sim-network.ts";
import type { World } from "../world/world.ts";
import { PROFILE_TYPES } from "./part.ts";

const TIMEOUT_MS = 20_000;
const STEP_MS = 15_000;
const HOUR_MS = 3_600_000;

export type QuestionKind = "flame graph" | "pprof" | "series" | "labels";

export interface Question {
  readonly kind: QuestionKind;
  readonly asked: Asked;
  readonly allowPartial: boolean;
}

/** What an answer says of itself. */
export interface Receipt {
  readonly records: string | undefined;
  readonly hash: string | undefined;
}

/** Asks until the history ends, and until each question was answered or given up. */
export async function runQuerier(world: World, name: string): Promise<void> {
  const { settings, scheduler, faults } = world;
  const chance = world.chance.stream(name);
  const open: Promise<boolean>[] = [];
  while (!world.isEnding) {
    // Some queries are sent at the moment in which a push is acked: they must see it.
    const pauseMs = chance.between(0, 2 * settings.queryPauseMs);
    if (chance.isTrue(0.4)) await Promise.race([world.nextAck(), scheduler.wait(pauseMs)]);
    else await scheduler.wait(pauseMs);
    if (world.isEnding) break;
    const question = world.lastQuestion !== undefined && chance.isTrue(0.25) ? again(world, chance, world.lastQuestion) : drawQuestion(world, chance);
    world.lastQuestion = question;
    const goneAfterMs = faults.comes("client goes away") ? chance.between(0, 30) : Infinity;
    const asking = ask(world, `${name}`, question, goneAfterMs);
    world.watch(asking);
    open.push(asking);
    if (chance.isTrue(0.7)) await asking;
  }
  await Promise.all(open);
}

/** Returns true if the query was answered, false if it was refused or had no answer. Throws a Violation where the answer or refusal is wrong. */
export async function ask(world: World, name: string, question: Question, goneAfterMs: number = Infinity, machine: Machine = world.nextMachine()): Promise<boolean> {
  return (await answerOf(world, name, question, { goneAfterMs, machine })) !== undefined;
}

/** As `ask`; returns what the answer says of itself, and undefined where there was none. */
export async function answerOf(world: World, name: string, question: Question, { goneAfterMs, machine }: { readonly goneAfterMs: number; readonly machine: Machine }): Promise<Receipt | undefined> {
  const { journal } = world;
  const { asked, kind } = question;
  const expected = expect(kind === "series" ? inSteps(asked) : asked, { ledger: world.ledger, nowMs: world.wallMs });
  let reply: SimReply;
  const words = `${name}${at(machine)} asks for ${kind} of ${asked.tenant} ${selectorOf(asked)} type ${asked.type} from ${asked.startMs} to ${asked.endMs}`;
  try {
    reply = await machine.network.request(requestOf(question), { timeoutMs: TIMEOUT_MS, goneAfterMs });
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    journal.note("client", `${words}: ${error.message}`);
    return undefined;
  }
  if (reply.status !== 200) {
    journal.note("client", `${words}: ${reply.status} ${reply.body.slice(0, 200)}`);
    checkRefusal(world, words, reply);
    return undefined;
  }
  const missing = reply.headers["x-pyromesh-missing"];
  if (missing !== undefined && !question.allowPartial) throw new Violation("correct-or-refused", `${words}: an answer that lacks ${missing} was not allowed`);
  const isPartial = missing !== undefined;
  const records = reply.headers["x-pyromesh-records"];
  journal.note("client", `${words}: ${records} records${isPartial ? `, without ${missing}` : ""}`);
  const context = world.checkContext();
  switch (kind) {
    case "flame graph":
    case "pprof": {
      const found = kind === "pprof" ? readPprof(reply.body) : readFlameGraph(reply.body);
      const counts = checkStacks(expected, found, records === undefined ? undefined : Number(records), isPartial, context);
      if (!isPartial) for (const [fate, count] of counts) fate.seen(count);
      break;
    }
    case "series":
      checkSums(expected, readSeries(reply.body, "pod"), isPartial, context);
      break;
    case "labels":
      checkPods(expected, readNames(reply.body), isPartial, context);
  }
  world.noteChecked();
  return { records, hash: reply.headers["x-pyromesh-identity-sum"] };
}

/**
 * The range that a series' points sum up. A point is the sum of the step before it, and the first point is at the start of the query's range: so
 * the sums begin one step before the range and end with its last whole step.
 */
function inSteps(asked: Asked): Asked {
  return { ...asked, startMs: asked.startMs - STEP_MS, endMs: asked.startMs + Math.floor((asked.endMs - asked.startMs) / STEP_MS) * STEP_MS };
}

/** Throws a Violation where nothing explains the refusal. */
export function checkRefusal(world: World, words: string, { status, body }: SimReply): void {
  if (status === 500) throw new Violation("no-error", `${words}: 500 ${body}`);
  if ((status === 503 || status === 504 || status === 499) && (JSON.parse(body) as { readonly message?: string }).message) return;
  if (!world.isExpectedRefusal(body)) throw new Violation("correct-or-refused", `${words}: ${status} ${body}`);
}

export function drawQuestion(world: World, chance: Chance): Question {
  const { settings } = world;
  const isWide = chance.isTrue(0.6);
  const endMs = isWide ? world.wallMs + HOUR_MS : world.wallMs + chance.int(-60_000, 1_000);
  const startMs = isWide ? world.wallMs - 2 * HOUR_MS : endMs - chance.int(100, 120_000);
  return {
    kind: chance.pick(["flame graph", "flame graph", "pprof", "series", "labels"]),
    asked: {
      tenant: chance.pick(settings.tenants),
      type: chance.int(0, 1),
      // Odd, while times of parts are even: no part is exactly on an edge of the range.
      startMs: 2 * Math.floor(startMs / 2) + 1,
      endMs: 2 * Math.floor(endMs / 2) + 1,
      service: chance.isTrue(0.4) ? chance.pick(settings.services) : undefined,
      pod: chance.isTrue(0.2) ? "pod-1" : undefined,
    },
    allowPartial: chance.isTrue(0.15),
  };
}

/** Repeats the question, for the same tenant or another one: equal queries in flight share an answer. */
function again({ settings }: World, chance: Chance, question: Question): Question {
  return { ...question, asked: { ...question.asked, tenant: chance.pick([question.asked.tenant, ...settings.tenants]) } };
}

function selectorOf({ service, pod }: Asked): string {
  const matchers = [...(service === undefined ? [] : [`service_name="${service}"`]), ...(pod === undefined ? [] : [`pod="${pod}"`])];
  return `{${matchers.join(",")}}`;
}

function requestOf({ kind, asked, allowPartial }: Question): { readonly method: "POST"; readonly path: string; readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array } {
  const range = { start: asked.startMs, end: asked.endMs };
  const selection = { profileTypeID: PROFILE_TYPES[asked.type]!, labelSelector: selectorOf(asked), ...range };
  const [method, message] = ((): [string, object] => {
    switch (kind) {
      case "flame graph":
        return ["SelectMergeStacktraces", { ...selection, maxNodes: 1_000_000 }];
      case "pprof":
        return ["SelectMergeProfile", selection];
      case "series":
        return ["SelectSeries", { ...selection, step: STEP_MS / 1000, groupBy: ["pod"] }];
      case "labels":
        return ["LabelValues", { name: "pod", matchers: [selectorOf(asked)], ...range }];
    }
  })();
  return {
    method: "POST",
    path: `/querier.v1.QuerierService/${method}`,
    headers: { "content-type": "application/json", "x-scope-orgid": asked.tenant, ...(allowPartial ? { "x-pyromesh-partial": "allow" } : {}) },
    body: Buffer.from(JSON.stringify(message)),
  };
}
