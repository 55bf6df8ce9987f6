export type { ClusterView, LostStore, Member, MemberState, StoreId } from "./cluster-view.ts";
export { majorityOf } from "./quorum.ts";
export { isInRun, replicaSet } from "./replica-set.ts";
export type { PlacementKey, ReplicaSet } from "./replica-set.ts";
export type { RingMember } from "./ring-member.ts";
export { RingOfView } from "./ring-of-view.ts";
export { Ring } from "./ring.ts";
export type { RunOptions } from "./run-memo.ts";
export { TOKEN_COUNT_DEFAULT, TOKEN_COUNT_MAX } from "./tokens.ts";
