export { CHANNELS, FRAME_BYTES_MAX } from "./links/peer-network.ts";
export type { Channel, LinkListener, PeerEndpoint, PeerHandlers, PeerLink, PeerNetwork, PeerNetworkOptions } from "./links/peer-network.ts";
export { decodeClusterState, encodeClusterState } from "./membership/cluster-state.ts";
export type { ClusterState } from "./membership/cluster-state.ts";
export type { Entry, EntryStatus, OwnEntry } from "./membership/entry.ts";
export type { Loss } from "./membership/losses.ts";
export { MemberTable } from "./membership/member-table.ts";
export type { Changes, MemberTableOptions, OwnFault, ProbeAnswer, Refusal, RefusalCode } from "./membership/member-table.ts";
export type { TableMessage } from "./membership/table-message.ts";
