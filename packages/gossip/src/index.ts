/** What the node uses: membership, requests between members, and the network port that the simulator implements. The rest of the package is its own. */
export { CHANNELS, FRAME_BYTES_MAX, GOSSIP_BYTES_MAX } from "./links/peer-network.ts";
export type { Channel, LinkListener, PeerEndpoint, PeerHandlers, PeerLink, PeerNetwork, PeerNetworkOptions } from "./links/peer-network.ts";
export { PROTOCOL_MAX, PROTOCOL_MIN } from "./links/handshake.ts";
export { PeerLinks } from "./links/peer-links.ts";
export { PeerRequests } from "./links/requests.ts";
export { loadLibp2pNetwork } from "./libp2p/load-libp2p.ts";
export { Membership, STORE_CLEARED } from "./membership.ts";
export { announced, formatsOf } from "./items/announced-formats.ts";
export type { AnnouncedFormats } from "./items/announced-formats.ts";
export { decodeClusterState } from "./items/cluster-state.ts";
