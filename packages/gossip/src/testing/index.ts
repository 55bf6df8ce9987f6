export { LinkRig } from "./link-rig.ts";
export type { LinkRigChanges, LinkRigNode } from "./link-rig.ts";
export { MemoryNetwork } from "./memory-network.ts";
export { MembershipWorld, nameOf } from "./membership-world.ts";
export type { WorldMember, WorldOptions } from "./membership-world.ts";
export { MEMBERSHIP_SETTINGS } from "../membership/settings.ts";
export { MembershipRig, MemoryStateFile } from "./membership-rig.ts";
export type { RigNode, RigNodeOptions } from "./membership-rig.ts";
