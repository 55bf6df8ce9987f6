/** What may be under way with one peer, and what is. */
import { unavailable, type CodedError } from "@pyromesh/base";

/** For each peer, each way. */
export interface PeerBudget {
  readonly countMax: number;
  readonly bytesMax: number;
  /** The longest body of a request or a reply. */
  readonly bodyBytesMax: number;
}

export const PEER_BUDGET: PeerBudget = { countMax: 1024, bytesMax: 64 * 2 ** 20, bodyBytesMax: 64 * 2 ** 20 };

/** What is under way with one peer. */
export interface PeerLoad {
  sentCount: number;
  /** Bodies of requests that are not answered yet. */
  sentBytes: number;
  /** Replies that are not whole yet. */
  replyBytes: number;
  takenCount: number;
  /** Bodies of requests that are not answered yet, and then their replies that the link has not taken. */
  takenBytes: number;
}

/** PEER_BUSY. */
export function busy(why: string): CodedError {
  return unavailable("PEER_BUSY", `${why}: try again later`);
}
