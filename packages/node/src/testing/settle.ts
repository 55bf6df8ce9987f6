/** How tests wait without real time: until the node has nothing left to do, or until a condition holds while a manual clock advances. */
import type { ManualClock } from "@pyromesh/block/testing";

/** After this many turns of the event loop without a request to the file system nothing is left to do. Some steps take a few such turns. */
const QUIET_TURN_COUNT = 10;
/** One step of the manual clock. With larger steps several timers would fire at once, although one of them may set another in between. */
const STEP_MS = 100;
/** 500 s of the manual clock, which is longer than every pause of the node. */
const STEP_COUNT_MAX = 5_000;

/**
 * Resolves once nothing more happens until time passes. Node.js tells which requests to the file system are pending; everything else in a test's
 * world answers within the turn of the call.
 */
export async function settle(): Promise<void> {
  for (let quietTurns = 0; quietTurns < QUIET_TURN_COUNT; quietTurns++) {
    await new Promise((resolve) => void setImmediate(resolve));
    if (process.getActiveResourcesInfo().some((resource) => /^FSReq|CloseReq$/.test(resource))) quietTurns = 0;
  }
}

/** Advances the clock in small steps, and lets everything that becomes due finish. */
export async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += STEP_MS) {
    clock.advance(Math.min(STEP_MS, ms - passedMs));
    await settle();
  }
}

/** Advances the clock until `holds` is true. It does not advance if that is so once everything has settled. */
export async function passUntil(clock: ManualClock, holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  await settle();
  for (let steps = 0; !(await holds()); steps++) {
    if (steps >= STEP_COUNT_MAX) throw new Error(`${STEP_COUNT_MAX * STEP_MS} ms passed, and still not: ${what}`);
    await pass(clock, STEP_MS);
  }
}
