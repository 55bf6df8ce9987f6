/**
 * A request of a query to another member, which ends as soon as this node has reason to believe that the member is gone. Its link may stay open then: a machine
 * without power and a process that was stopped close nothing.
 */
import { unavailable } from "@pyromesh/base";
import type { Cluster, PeerMethod } from "../../cluster/ports.ts";

export interface MemberRequest {
  readonly method: PeerMethod;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
  /** suspect: for what can be had elsewhere, or left out. dead: for what only this member can say, since a suspicion may be refuted. */
  readonly endsWhen: "suspect" | "dead";
  readonly signal: AbortSignal;
}

/**
 * Rejects as `Peers.request` does, and PEER_UNREACHABLE where the member is suspected (declared dead) after it was asked. One that was so already is waited for:
 * it may be back.
 */
export async function requestMember(cluster: Pick<Cluster, "view" | "onChange" | "peers">, member: string, { method, body, timeoutMs, endsWhen, signal }: MemberRequest): Promise<Uint8Array> {
  const gone = new AbortController();
  const before = stateOf(cluster, member);
  const stopWatching = cluster.onChange(() => {
    const now = stateOf(cluster, member);
    if (now !== before && now !== "well" && (now !== "suspect" || endsWhen === "suspect")) gone.abort(unavailable("PEER_UNREACHABLE", `${member} is ${now} since it was asked`));
  });
  try {
    return await cluster.peers.request(member, method, body, { timeoutMs, signal: AbortSignal.any([signal, gone.signal]) });
  } catch (error) {
    // Whatever the requests make of an abort, this is why.
    throw gone.signal.aborted && !signal.aborted ? (gone.signal.reason as Error) : error;
  } finally {
    stopWatching();
  }
}

function stateOf({ view }: Pick<Cluster, "view">, name: string): "well" | "suspect" | "dead" | "gone" {
  const member = view.members.find((one) => one.name === name);
  if (member === undefined) return "gone";
  return member.state === "dead" ? "dead" : member.isSuspect ? "suspect" : "well";
}
