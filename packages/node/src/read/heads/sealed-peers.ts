/** Reads sealed segments that wait for their upload at another member's store. */
import { unavailable } from "@pyromesh/base";
import type { SealedPeers } from "@pyromesh/block";
import type { Cluster } from "../../cluster/ports.ts";
import { packSealedRequest } from "./messages.ts";

/** A piece is 4 MiB at most. */
const TIMEOUT_MS = 10_000;

/** `cluster`: undefined while the node has none yet. */
export function sealedPeers(cluster: () => Pick<Cluster, "view" | "peers">): SealedPeers {
  return {
    readSealed: (storeId, key, offset, lengthBytes, signal) => {
      const { peers, view } = cluster();
      const member = view.members.find((one) => one.storeId === storeId);
      // As where the segment is no longer there: the query plans again, without what a store that does not answer has.
      if (member === undefined) return Promise.reject(unavailable("SEALED_NOT_HERE", `${JSON.stringify(key)} waits at store ${storeId}, which is no member's now`));
      return peers.request(member.name, "sealed", packSealedRequest({ key, offset, lengthBytes }), { timeoutMs: TIMEOUT_MS, signal });
    },
  };
}
