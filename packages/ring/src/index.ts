export type { ClusterView, LostStore, Member, MemberState, StoreId } from "./cluster-view.ts";
