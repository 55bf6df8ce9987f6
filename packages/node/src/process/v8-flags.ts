/**
 * How V8 is asked to work in the node's process: small heaps beside much memory outside of them, one busy thread a core.
 * For the whole process, so only `serve` sets them, and before workers start: a heap reads some of them when it is made.
 *
 * Only flags that may change while V8 runs (concurrent and parallel marking may not: V8 aborts). One that a later V8 does not
 * know is ignored but for a line on stderr. decisions/0006 has what each was worth.
 */
import { setFlagsFromString } from "node:v8";
import type { MemoryPlan } from "./memory-plan.ts";

export const v8Flags = ({ heapGrowingPercent }: Pick<MemoryPlan, "heapGrowingPercent">): readonly string[] => [
  // V8 begins with a small old space and would collect, and forget what it learned of the code, several times a second:
  // datasets and buffers are outside of the heap and yet count towards it. MiB, of a worker.
  "--initial-old-space-size=64",
  // The old space may grow to four times what is alive (300 %, V8's own bound) before it is collected, whatever V8 makes of its own
  // pace; less far where memory is scarce.
  `--heap-growing-percent=${heapGrowingPercent}`,
  // A young collection is a millisecond's work; its helpers would wait for cores that pushes keep busy.
  "--no-parallel-scavenge",
];

export function setV8Flags(memory: Pick<MemoryPlan, "heapGrowingPercent">): void {
  for (const flag of v8Flags(memory)) setFlagsFromString(flag);
}
