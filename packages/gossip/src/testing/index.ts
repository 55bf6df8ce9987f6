export { LinkRig } from "./link-rig.ts";
export type { LinkRigChanges, LinkRigNode } from "./link-rig.ts";
export { MemoryNetwork } from "./memory-network.ts";
