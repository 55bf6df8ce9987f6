/** What other members ask of this node's store for their queries: each request is a message (messages.ts) and a call of `Holder` or `SealedReads`. */
import type { SealedReads } from "@pyromesh/block";
import type { Peers } from "../../cluster/ports.ts";
import type { WrittenVersions } from "../../cluster/version-gate.ts";
import { encodeForPeer } from "../../compute/packed-partial.ts";
import { partTooLarge } from "../query-refusals.ts";
import type { Holder } from "./holder.ts";
import {
  openDigestRequest,
  openIdentitiesRequest,
  openReleaseRequest,
  openScanRequest,
  openSealedRequest,
  packDigestAnswer,
  packIdentityLists,
} from "./messages.ts";

export interface HolderRequestsModules {
  readonly peers: Peers;
  readonly versions: WrittenVersions;
  /** Throws while there is none, as during a start, and the request is refused with that error. */
  readonly holder: () => Holder;
  readonly sealedReads: () => SealedReads;
}

/** Call it once. */
export function serveHolder({ peers, versions, holder, sealedReads }: HolderRequestsModules): void {
  peers.handle("digest", async ({ name }, body, signal) => packDigestAnswer(await holder().digest(name, openDigestRequest(body), signal)));
  peers.handle("identities", async ({ name }, body) => packIdentityLists(await holder().identities(name, openIdentitiesRequest(body))));
  peers.handle("scan", async ({ name }, body, signal) => {
    const partial = await holder().scanMerged(name, openScanRequest(body), signal);
    if (partial === undefined) return NO_PARTIAL;
    const bytes = encodeForPeer(partial, versions.versionOf("partial"));
    // As from a segment that is too large: the same question again is refused again.
    if (bytes.length > PARTIAL_BYTES_MAX) throw partTooLarge(PARTIAL_BYTES_MAX);
    return bytes;
  });
  peers.handle("release-pin", ({ name }, body) => {
    holder().views.release(name, openReleaseRequest(body));
    return Promise.resolve(DONE);
  });
  peers.handle("sealed", (_, body, signal) => {
    const { key, ...range } = openSealedRequest(body);
    return sealedReads().readSealed(key, range, (bytes) => Promise.resolve(bytes), signal);
  });
}

/** No record matched. A partial is never this short. */
export const NO_PARTIAL: Uint8Array = new Uint8Array(0);
/** The longest body of a reply between members (PROTOCOL.md of packages/gossip). */
const PARTIAL_BYTES_MAX = 64 * 2 ** 20;
const DONE = new Uint8Array(0);
