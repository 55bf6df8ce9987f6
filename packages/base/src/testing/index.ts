export { ManualClock } from "./manual-clock.ts";
export { SuspendableClock } from "./suspendable-clock.ts";
