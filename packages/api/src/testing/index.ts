export { inPlaceCompression } from "./in-place-compression.ts";
export { ManualClock } from "@pyromesh/base/testing";
export { MemoryListener, MemoryNetwork } from "./memory-network.ts";
export type { Deliver, MemoryCall, MemoryReply, MemoryRequestInit } from "./memory-network.ts";
