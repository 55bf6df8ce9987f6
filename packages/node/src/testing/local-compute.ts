/** Compute in place, on the caller's thread: for the simulator and for tests. The same engine, one lane. */
import type { Compute } from "../compute/compute.ts";
import { ComputeEngine } from "../compute/compute-engine.ts";

export function openLocalCompute(): Compute {
  const engine = new ComputeEngine();
  return {
    encode: async (task) => engine.encode(task),
    insert: (generation, entries) => engine.insert(generation, entries),
    settle: async () => {},
    build: async (generation, tenant, windowStartMs) => engine.build(generation, tenant, windowStartMs),
    drop: (generation) => engine.drop(generation),
    scan: async (task) => [engine.scan(task)],
    finish: async (spec, partials) => engine.finish(spec, partials),
    stop: async () => {},
  };
}
