/**
 * An open load: pushes arrive by a schedule, whether or not those before were answered, as agents send them. Two times are kept apart: how late a push was sent, which is the
 * generator's own fault, and how long its answer took from then, a wait for a connection included. Together they are the time since the push was due.
 */
import type { Buffer } from "node:buffer";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import type { PushAnswer } from "./push-sockets.ts";

export interface OpenLoad {
  /** The number of the first push. */
  readonly first: number;
  readonly perSecond: number;
  readonly seconds: number;
  readonly nodeCount: number;
}

export interface OpenLoadModules {
  readonly body: (push: number) => Buffer;
  /** Rejects where there is no answer. */
  readonly post: (node: number, body: Buffer) => Promise<PushAnswer>;
  readonly fates: Fates;
}

/** Numbers of pushes, by what is known of them. */
export interface Fates {
  /** Not stored: answered with a 4xx status, or by the push gate. */
  readonly refused: number[];
  /** Without an answer, or with another 5xx status: perhaps stored. */
  readonly unsure: number[];
}

/** What became of each push. */
export interface Sent {
  /** 0: no answer. */
  readonly status: number;
  readonly node: number;
  /** From the beginning of the load. */
  readonly dueMs: number;
  readonly lateMs: number;
  /** From when it was sent. */
  readonly tookMs: number;
  /** Refused without Retry-After. */
  readonly isUntimed: boolean;
}

export interface OpenLoadOutcome {
  readonly sent: readonly Sent[];
  /** From the first push that was due to the last answer. */
  readonly elapsedMs: number;
  /** Of refusals, by what they say, without the numbers in it. */
  readonly refusals: ReadonlyMap<string, number>;
}

/** Sent in one turn of the event loop. A generator that is late would otherwise read no answers until it has caught up. */
const BURST_MAX = 16;
/** How the push gate refuses (packages/api/src/write/push-gate.ts), which it does before anything of a push is begun. */
const OF_GATE = /"this node (?:works on|has)\b.*try again in \d+ s, or at another node"/;
const REFUSALS_TOLD_MAX = 20;

/** Sends each push once, to each node in turn. */
export async function openLoad({ first, perSecond, seconds, nodeCount }: OpenLoad, { body, post, fates }: OpenLoadModules): Promise<OpenLoadOutcome> {
  const count = Math.ceil(perSecond * seconds);
  const sent: Sent[] = [];
  const refusals = new Map<string, number>();
  const startMs = performance.now();
  const send = async (index: number, dueMs: number, sentMs: number): Promise<void> => {
    const push = first + index;
    const node = push % nodeCount;
    let answer: PushAnswer = NO_ANSWER;
    try {
      answer = await post(node, body(push));
    } catch {
      // NO_ANSWER
    }
    const { status, retryAfter, text } = answer;
    if (status !== 200) {
      const isRefused = (status >= 400 && status < 500 && status !== 408) || OF_GATE.test(text);
      (isRefused ? fates.refused : fates.unsure).push(push);
      const words = `${status} ${text.replace(/\d+(\.\d+)?/g, "N").slice(0, 160)}`;
      if (refusals.has(words) || refusals.size < REFUSALS_TOLD_MAX) refusals.set(words, (refusals.get(words) ?? 0) + 1);
    }
    sent.push({ status, node, dueMs: dueMs - startMs, lateMs: sentMs - dueMs, tookMs: performance.now() - sentMs, isUntimed: status === 503 && retryAfter === undefined });
  };
  const running: Promise<void>[] = [];
  while (running.length < count) {
    const dueMs = startMs + (running.length / perSecond) * 1000;
    const nowMs = performance.now();
    if (nowMs < dueMs) {
      await sleep(dueMs - nowMs);
      continue;
    }
    running.push(send(running.length, dueMs, nowMs));
    if (running.length % BURST_MAX === 0) await turn();
  }
  await Promise.all(running);
  return { sent, elapsedMs: performance.now() - startMs, refusals };
}

const NO_ANSWER: PushAnswer = { status: 0, retryAfter: undefined, text: "" };

/** NaN where there is none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
