/** Reads sealed segments that wait for their upload at another member's store. */
import { CodedError, retryDelayMs, unavailable } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { SealedPeers } from "@pyromesh/block";
import type { Cluster } from "../../cluster/ports.ts";
import { requestMember } from "./member-request.ts";
import { packSealedRequest } from "./messages.ts";

export interface SealedPeersModules {
  readonly clock: Pick<Clock, "sleep">;
  /** Undefined while the node has none yet. */
  readonly cluster: () => Pick<Cluster, "view" | "onChange" | "peers">;
}

/** A piece is 4 MiB at most. A member that is suspected meanwhile is not waited for so long: queries leave out what waits there. */
const TIMEOUT_MS = 10_000;
/**
 * A member that serves as many reads as it may at once is asked again: each is one read of its disk, so there is room within some milliseconds. A query has three plans
 * in all, and would spend them in as many round trips.
 */
const BUSY_RETRY = { firstMs: 50, maxMs: 500 };
/** Tries of one piece, 2.25 s together with the pauses before them. Then the refusal stands: the query plans again, or does without the member. */
const BUSY_TRIES_MAX = 8;

export function sealedPeers({ clock, cluster }: SealedPeersModules): SealedPeers {
  /** Looks for the member anew at each call: between two tries it may be suspected, or leave. */
  const readOnce: SealedPeers["readSealed"] = (storeId, key, offset, lengthBytes, signal) => {
    const known = cluster();
    // Else the catalog would have it here.
    if (storeId === known.view.self.storeId) return Promise.reject(unavailable("SEALED_NOT_HERE", `${JSON.stringify(key)} does not wait at this node, whatever others say`));
    const member = known.view.members.find((one) => one.storeId === storeId);
    // As where the segment is no longer there: the query plans again, without what a store that does not answer has.
    if (member === undefined) return Promise.reject(unavailable("SEALED_NOT_HERE", `${JSON.stringify(key)} waits at store ${storeId}, which is no member's now`));
    if (member.isSuspect || member.state === "dead") return Promise.reject(unavailable("PEER_UNREACHABLE", `${JSON.stringify(key)} waits at ${member.name}, which does not answer the other members`));
    return requestMember(known, member.name, { method: "sealed", body: packSealedRequest({ key, offset, lengthBytes }), timeoutMs: TIMEOUT_MS, endsWhen: "suspect", signal });
  };
  return {
    async readSealed(...read) {
      const signal = read[4];
      for (let tryCount = 1; ; tryCount++) {
        try {
          return await readOnce(...read);
        } catch (error) {
          if (signal.aborted || tryCount === BUSY_TRIES_MAX || !isBusy(error)) throw error;
        }
        await clock.sleep(retryDelayMs(tryCount, BUSY_RETRY), signal);
      }
    },
  };
}

function isBusy(error: unknown): boolean {
  return error instanceof CodedError && error.code === "SEALED_READS_BUSY";
}
