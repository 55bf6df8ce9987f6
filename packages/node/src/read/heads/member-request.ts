/**
 * A request of a query to another member, which ends as soon as this node has reason to believe that the member is gone. Its link may stay open then: a machine
 * without power and a process that was stopped close nothing.
 *
 *   asked ──SILENT_AFTER_MS──► a sign of life? ──yes──► waits on, and asks for the next
 *                                   └─none within SIGN_TIMEOUT_MS──► silent: the caller may have the answer elsewhere
 *
 * A suspicion takes up to two seconds from the moment in which a process was stopped, and a query would hang as long. A member that is busy gives a sign of life, however long its answer takes,
 * so being busy is never taken for being silent.
 */
import { unavailable } from "@pyromesh/base";
import type { Clock, Timer } from "@pyromesh/base";
import type { Cluster, PeerMethod, Peers } from "../../cluster/ports.ts";

export interface MemberRequest {
  readonly method: PeerMethod;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
  /** suspect: for what can be had elsewhere, or left out. dead: for what only this member can say, since a suspicion may be refuted. */
  readonly endsWhen: "suspect" | "dead";
  readonly silence?: Silence;
  readonly signal: AbortSignal;
}

/** Absent: a member that is silent is waited for like any other. */
export interface Silence {
  readonly clock: Pick<Clock, "after">;
  /** The member is silent. True: the request ends, since its answer can be had elsewhere; else this is called again while the member stays silent. */
  readonly onSilent: () => boolean;
}

/** Most answers are there by then: no sign of life is asked for. */
const SILENT_AFTER_MS = 200;
/** Longer than a pause of a member's garbage collector and a round trip. */
const SIGN_TIMEOUT_MS = 300;

/**
 * Rejects as `Peers.request` does, and PEER_UNREACHABLE where the member is suspected (declared dead), or is silent, after it was asked. One that was suspected (dead) already is waited for:
 * it may be back.
 */
export async function requestMember(cluster: Pick<Cluster, "view" | "onChange" | "peers">, member: string, { method, body, timeoutMs, endsWhen, silence, signal }: MemberRequest): Promise<Uint8Array> {
  const gone = new AbortController();
  const before = stateOf(cluster, member);
  const stopWatching = cluster.onChange(() => {
    const now = stateOf(cluster, member);
    if (now !== before && now !== "well" && (now !== "suspect" || endsWhen === "suspect")) gone.abort(unavailable("PEER_UNREACHABLE", `${member} is ${now} since it was asked`));
  });
  const stopListening = silence === undefined ? () => {} : listen(cluster.peers, member, silence, () => gone.abort(unavailable("PEER_UNREACHABLE", `${member} has given no sign of life for ${SIGN_TIMEOUT_MS} ms`)));
  try {
    return await cluster.peers.request(member, method, body, { timeoutMs, signal: AbortSignal.any([signal, gone.signal]) });
  } catch (error) {
    // Whatever the requests make of an abort, this is why.
    throw gone.signal.aborted && !signal.aborted ? (gone.signal.reason as Error) : error;
  } finally {
    stopListening();
    stopWatching();
  }
}

/** Returns what ends it. */
function listen(peers: Pick<Peers, "hears">, member: string, { clock, onSilent }: Silence, end: () => void): () => void {
  let isOver = false;
  let timer: Timer;
  const wait = (): void => {
    timer = clock.after(SILENT_AFTER_MS, () => void look());
  };
  const look = async (): Promise<void> => {
    const isHeard = await peers.hears(member, SIGN_TIMEOUT_MS);
    if (isOver) return;
    if (!isHeard && onSilent()) end();
    else wait();
  };
  wait();
  return () => {
    isOver = true;
    timer.cancel();
  };
}

function stateOf({ view }: Pick<Cluster, "view">, name: string): "well" | "suspect" | "dead" | "gone" {
  const member = view.members.find((one) => one.name === name);
  if (member === undefined) return "gone";
  return member.state === "dead" ? "dead" : member.isSuspect ? "suspect" : "well";
}
