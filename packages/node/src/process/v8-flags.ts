/**
 * Flags for V8 in the node's process, which has small heaps, much memory outside of them, and one busy thread per core. They hold for the whole
 * process, so only `serve` sets them, before the workers start: a heap reads some of them when it is made.
 *
 * Only flags that may be changed while V8 runs can be set here (with concurrent or parallel marking V8 aborts). A later V8 that does not know
 * a flag prints a line on stderr and ignores it. decisions/0006 has the measurements.
 */
import { setFlagsFromString } from "node:v8";
import type { MemoryPlan } from "./memory-plan.ts";

export const v8Flags = ({ heapGrowingPercent }: Pick<MemoryPlan, "heapGrowingPercent">): readonly string[] => [
  // MiB of a worker's old space at its start. V8 would begin with less, and collect several times a second, since datasets and buffers count
  // although they lie outside of the heap; with each collection it would lose some of what it has learned about the code.
  "--initial-old-space-size=64",
  // The old space may grow by so many percent of what is alive in it before it is collected, instead of by what V8 estimates: 300 %, V8's own
  // bound, or less where memory is scarce.
  `--heap-growing-percent=${heapGrowingPercent}`,
  // A young collection takes about a millisecond. Helper threads would make it wait for cores that pushes keep busy.
  "--no-parallel-scavenge",
];

export function setV8Flags(memory: Pick<MemoryPlan, "heapGrowingPercent">): void {
  for (const flag of v8Flags(memory)) setFlagsFromString(flag);
}
