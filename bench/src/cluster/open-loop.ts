/**
 * An open load: pushes arrive by a schedule, whether or not those before were answered, as agents send them. A latency counts from when its push was due, so a
 * wait for a connection counts, and so does a generator that is late; how late it was is measured as well.
 */
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import type { PushClient, ReadyBody } from "../load/push-run.ts";
import { PUSH_PATH } from "../load/push-run.ts";

export interface OpenLoopFigures {
  readonly sentCount: number;
  /** From the first push that was due to the last answer. */
  readonly elapsedMs: number;
  /** Answers by status; "none" without one. */
  readonly answers: ReadonlyMap<string, number>;
  /** Of those that were accepted, in rising order. */
  readonly latenciesMs: Float64Array;
  /** How late pushes were sent, in rising order. */
  readonly latenessMs: Float64Array;
}

/** Numbers of pushes, by what is known of them. */
export interface Fates {
  /** Answered with a 4xx status: not stored. */
  readonly refused: number[];
  /** Without an answer, or with a 5xx status: perhaps stored. */
  readonly unsure: number[];
}

/** Sent in one turn of the event loop. A generator that is late would otherwise read no answers until it has caught up. */
const BURST_MAX = 16;

/** Sends each body once, `perSecond` of them a second. `first`: the number of the first one. */
export async function openLoop({ bodies, first, perSecond }: { readonly bodies: readonly ReadyBody[]; readonly first: number; readonly perSecond: number }, client: PushClient, fates: Fates): Promise<OpenLoopFigures> {
  const answers = new Map<string, number>();
  const latenciesMs: number[] = [];
  const latenessMs = new Float64Array(bodies.length);
  const startMs = performance.now();
  const send = async (index: number, dueMs: number): Promise<void> => {
    let answer = "none";
    try {
      const { status } = await client.post(PUSH_PATH, "application/proto", bodies[index]!.bytes);
      answer = String(status);
      if (status === 200) latenciesMs.push(performance.now() - dueMs);
      else (status >= 400 && status < 500 && status !== 408 ? fates.refused : fates.unsure).push(first + index);
    } catch {
      fates.unsure.push(first + index);
    }
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  };
  const running: Promise<void>[] = [];
  while (running.length < bodies.length) {
    const dueMs = startMs + (running.length / perSecond) * 1000;
    const nowMs = performance.now();
    if (nowMs < dueMs) {
      await sleep(dueMs - nowMs);
      continue;
    }
    latenessMs[running.length] = nowMs - dueMs;
    running.push(send(running.length, dueMs));
    if (running.length % BURST_MAX === 0) await turn();
  }
  await Promise.all(running);
  return { sentCount: running.length, elapsedMs: performance.now() - startMs, answers, latenciesMs: Float64Array.from(latenciesMs).sort(), latenessMs: latenessMs.sort() };
}

/** `sorted`: in rising order. NaN where there is none. */
export function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
