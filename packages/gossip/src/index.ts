export { CHANNELS, FRAME_BYTES_MAX } from "./links/peer-network.ts";
export type { Channel, LinkListener, PeerEndpoint, PeerHandlers, PeerLink, PeerNetwork, PeerNetworkOptions } from "./links/peer-network.ts";
