export { FakeCluster, FakeClusterWorld } from "./fake-cluster.ts";
export type { FakeClusterOptions } from "./fake-cluster.ts";
export { CRASHED, InPlaceThreads, OUT_OF_MEMORY } from "./in-place-threads.ts";
export type { InPlaceWorld, ThreadMoment } from "./in-place-threads.ts";
export { openLocalCompute } from "./local-compute.ts";
export { graphTotal, readJson } from "./read-reply.ts";
export { pass, passUntil, settle } from "./settle.ts";
