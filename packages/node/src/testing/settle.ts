/** Waits of tests that take no time: until everything has happened that needs none, or, with a manual clock, until something is the case. */
import type { ManualClock } from "@pyromesh/block/testing";

/** Turns of the event loop without a request to the file system after which nothing is left to do. Some steps take a few turns by themselves. */
const QUIET_TURN_COUNT = 10;
/** Of the manual clock. Larger steps would jump over what happens in between. */
const STEP_MS = 100;
/** 500 s of the manual clock, which is longer than every pause of the node. */
const STEP_COUNT_MAX = 5_000;

/**
 * Resolves once nothing happens any more without time passing. Node says which requests to the file system are under way; everything else of
 * a test's world answers within the turn in which it is asked.
 */
export async function settle(): Promise<void> {
  for (let quietTurns = 0; quietTurns < QUIET_TURN_COUNT; quietTurns++) {
    await new Promise((resolve) => void setImmediate(resolve));
    if (process.getActiveResourcesInfo().some((resource) => /^FSReq|CloseReq$/.test(resource))) quietTurns = 0;
  }
}

/** Lets time pass, in small steps, and what it makes due happen. */
export async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += STEP_MS) {
    clock.advance(Math.min(STEP_MS, ms - passedMs));
    await settle();
  }
}

/** Lets time pass until `holds` says so; none where it holds as soon as everything has settled. */
export async function passUntil(clock: ManualClock, holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  await settle();
  for (let steps = 0; !(await holds()); steps++) {
    if (steps >= STEP_COUNT_MAX) throw new Error(`${STEP_COUNT_MAX * STEP_MS} ms passed, and still not: ${what}`);
    await pass(clock, STEP_MS);
  }
}
