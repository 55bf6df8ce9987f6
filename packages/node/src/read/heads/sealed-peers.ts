/** Reads sealed segments that wait for their upload at another member's store. */
import { unavailable } from "@pyromesh/base";
import type { SealedPeers } from "@pyromesh/block";
import type { Cluster } from "../../cluster/ports.ts";
import { requestMember } from "./member-request.ts";
import { packSealedRequest } from "./messages.ts";

/** A piece is 4 MiB at most. A member that is suspected meanwhile is not waited for so long: queries leave out what waits there. */
const TIMEOUT_MS = 10_000;

/** `cluster`: undefined while the node has none yet. */
export function sealedPeers(cluster: () => Pick<Cluster, "view" | "onChange" | "peers">): SealedPeers {
  return {
    readSealed: (storeId, key, offset, lengthBytes, signal) => {
      const known = cluster();
      // Else the catalog would have it here.
      if (storeId === known.view.self.storeId) return Promise.reject(unavailable("SEALED_NOT_HERE", `${JSON.stringify(key)} does not wait at this node, whatever others say`));
      const member = known.view.members.find((one) => one.storeId === storeId);
      // As where the segment is no longer there: the query plans again, without what a store that does not answer has.
      if (member === undefined) return Promise.reject(unavailable("SEALED_NOT_HERE", `${JSON.stringify(key)} waits at store ${storeId}, which is no member's now`));
      if (member.isSuspect || member.state === "dead") return Promise.reject(unavailable("PEER_UNREACHABLE", `${JSON.stringify(key)} waits at ${member.name}, which does not answer the other members`));
      return requestMember(known, member.name, { method: "sealed", body: packSealedRequest({ key, offset, lengthBytes }), timeoutMs: TIMEOUT_MS, endsWhen: "suspect", signal });
    },
  };
}
