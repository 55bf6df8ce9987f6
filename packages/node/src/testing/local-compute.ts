/** Compute in place, on the caller's thread: for tests of what stands on it. All of worker-compute.ts, over threads in place that never die. */
import { Metrics, silentLogger, systemClock } from "@pyromesh/base";
import type { Clock, Random } from "@pyromesh/base";
import type { Compute } from "../compute/compute.ts";
import { WorkerCompute } from "../compute/worker-compute.ts";
import { AMPLE_MEMORY } from "../process/memory-plan.ts";
import { InPlaceThreads } from "./in-place-threads.ts";

/** Messages arrive as microtasks, so that nothing waits for `clock` where no thread dies. */
export function openLocalCompute({ random, clock = systemClock }: { readonly random: Random; readonly clock?: Clock }): Compute {
  const threads = new InPlaceThreads({ random, deliver: (_, run) => queueMicrotask(run) });
  const compute = new WorkerCompute(
    { workerCount: 1, slotCount: 4, openDatasetBytesMax: AMPLE_MEMORY.openDatasetBytes, memory: AMPLE_MEMORY.worker },
    { clock, logger: silentLogger, metrics: new Metrics(), threads, onHopeless: (error) => queueMicrotask(() => { throw error; }) },
  );
  // Tests replace single methods: those of a class are not copied by a spread.
  return {
    encode: (task) => compute.encode(task),
    insert: (generation, records) => compute.insert(generation, records),
    release: (records) => compute.release(records),
    settle: () => compute.settle(),
    build: (generation, tenant, windowStartMs) => compute.build(generation, tenant, windowStartMs),
    drop: (generation) => compute.drop(generation),
    scan: (task, signal) => compute.scan(task, signal),
    merge: (spec, partials, signal) => compute.merge(spec, partials, signal),
    finish: (spec, partials, signal) => compute.finish(spec, partials, signal),
    draw: (task, signal) => compute.draw(task, signal),
    readBackFrom: (source) => compute.readBackFrom(source),
    stop: () => compute.stop(),
  };
}
