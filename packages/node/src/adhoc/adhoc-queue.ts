/**
 * How many ad hoc profiles are worked on at once: each has its file in memory, and takes a worker for as long as a large push does. Others wait,
 * by tenant in turn (read/query-turns.ts), and are refused with ADHOC_BUSY (503) where too many wait, or for too long.
 */
import { CodedError } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { QueryClass } from "../read/query-queue.ts";
import { QueryTurns } from "../read/query-turns.ts";

/** Drawings, of one file or two, and LISTs. A file is 16 MiB at most, once in the request or from the bucket and once for the worker. */
const RUNNING_MAX: Readonly<Record<QueryClass, number>> = { scan: 2, listing: 4 };
const WAITING_MAX = 32;
const WAIT_MAX_MS = 10_000;

export function adHocQueue({ clock }: { readonly clock: Clock }): QueryTurns {
  const turns: QueryTurns = new QueryTurns(
    { runningMax: RUNNING_MAX, waitingMax: WAITING_MAX, waitMaxMs: WAIT_MAX_MS },
    { clock, refusal: (_, { queryClass }) => busy(turns.retryAfterSeconds(queryClass)) },
  );
  return turns;
}

function busy(retryAfterSeconds: number): CodedError {
  return new CodedError({ code: "ADHOC_BUSY", kind: "unavailable", message: `this node works on as many ad hoc profiles as it may: try again in ${retryAfterSeconds} s, or ask another node`, details: { retryAfterSeconds } });
}
