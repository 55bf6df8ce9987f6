/** Loads libp2p when it is needed: a node without cluster settings does not pay for it. */
import type { Clock, Logger } from "@pyromesh/base";
import type { PeerNetwork } from "../links/peer-network.ts";

export async function loadLibp2pNetwork(modules: { readonly clock: Clock; readonly logger: Logger }): Promise<PeerNetwork> {
  const { Libp2pNetwork } = await import("./libp2p-network.ts");
  return new Libp2pNetwork(modules);
}
