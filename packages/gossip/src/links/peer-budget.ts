/** What may be under way with one peer, and what is. */
import { unavailable, type CodedError } from "@pyromesh/base";

/** For each peer, each way; and for all peers together, so that memory does not grow with the cluster. */
export interface PeerBudget {
  readonly countMax: number;
  readonly bytesMax: number;
  /** Of all peers, each way. Absent: no more than the peers' own budgets. */
  readonly allBytesMax?: number;
  /** The longest body of a request or a reply. */
  readonly bodyBytesMax: number;
}

export const PEER_BUDGET: PeerBudget = { countMax: 1024, bytesMax: 64 * 2 ** 20, allBytesMax: 256 * 2 ** 20, bodyBytesMax: 64 * 2 ** 20 };

/** What is under way with one peer. It counts in what is under way with all (`all`) too. */
export class PeerLoad {
  readonly #all: PeerLoad | undefined;
  sentCount = 0;
  /** Bodies of requests that are not answered yet. */
  sentBytes = 0;
  /** Replies that are not whole yet. */
  replyBytes = 0;
  takenCount = 0;
  /** Bodies of requests that are not answered yet, and then their replies that the link has not taken. */
  takenBytes = 0;

  constructor(all?: PeerLoad) {
    this.#all = all;
  }

  add(part: LoadPart, delta: number): void {
    this[part] += delta;
    this.#all?.add(part, delta);
  }

  /** So many bytes more do not fit into this peer's budget, or into that of all. */
  isFull(part: "sentBytes" | "replyBytes" | "takenBytes", moreBytes: number, { bytesMax, allBytesMax = Infinity }: PeerBudget): boolean {
    return this[part] + moreBytes > bytesMax || (this.#all !== undefined && this.#all[part] + moreBytes > allBytesMax);
  }
}

type LoadPart = "sentCount" | "sentBytes" | "replyBytes" | "takenCount" | "takenBytes";

/** PEER_BUSY. */
export function busy(why: string): CodedError {
  return unavailable("PEER_BUSY", `${why}: try again later`);
}
