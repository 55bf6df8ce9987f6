/**
 * What is wrong with this node itself, so that only its operator can help: another node has its name or its store, or its state is lost.
 *
 * An entry under this node's name that is left over from before is refuted once, and is silent. One that refutes in its turn is of a node that lives.
 * After three turns the one that is not full gives up (of two alike, that with the smaller store id), so that the other is left in peace.
 */
import type { StoreId } from "@pyromesh/ring";
import { type Entry, isLive } from "../items/entry.ts";

export interface OwnFault {
  /**
   * NAME_TAKEN: another live store has this node's name. STORE_TWICE: another live node has its store id. STATE_LOST: the cluster knows this store, and the
   * data directory no longer says what this node knew; what it forgot may be whom it fenced, so its votes must not count again.
   */
  readonly code: "NAME_TAKEN" | "STORE_TWICE" | "STATE_LOST";
  readonly message: string;
}

export class OwnFaults {
  #fault: OwnFault | undefined;
  #rival: { readonly storeId: StoreId; readonly bootId: string; answeredIncarnation: number; turns: number } | undefined;
  /** When the rival was last heard of as alive. */
  #rivalSeenMs = -Infinity;

  get fault(): OwnFault | undefined {
    return this.#fault;
  }

  /** This node refutes nothing any more. With its store twice it goes on one turn longer than it needs, so that the other knows as well. */
  get hasGivenUp(): boolean {
    if (this.#fault?.code === "STORE_TWICE") return (this.#rival?.turns ?? Infinity) > RIVAL_TURNS;
    return this.#fault !== undefined;
  }

  /** Another store, or another process with this store, answers to this node's name. */
  meetRival(own: Entry, entry: Entry, nowMs: number): void {
    if (!isLive(entry)) return;
    this.#rivalSeenMs = nowMs;
    const rival = this.#rival;
    if (rival === undefined || rival.storeId !== entry.storeId || rival.bootId !== entry.bootId) {
      this.#rival = { storeId: entry.storeId, bootId: entry.bootId, answeredIncarnation: Math.max(own.incarnation, entry.incarnation) + 1, turns: 0 };
      return;
    }
    if (entry.incarnation < rival.answeredIncarnation) return;
    rival.answeredIncarnation = entry.incarnation + 1;
    rival.turns++;
    if (rival.turns < RIVAL_TURNS) return;
    if (entry.storeId === own.storeId) {
      this.#fault ??= { code: "STORE_TWICE", message: `another process runs as ${own.name} on a copy of this data directory (store ${own.storeId}): stop one and empty its data directory` };
      return;
    }
    const isWeaker = own.claimsFull === entry.claimsFull ? own.storeId < entry.storeId : !own.claimsFull;
    if (isWeaker) this.#fault ??= { code: "NAME_TAKEN", message: `another live node (at ${entry.clusterAddress}) has the name ${own.name}: give this one a --node-name of its own` };
  }

  /** A member of another name has this node's store. */
  meetTwin(entry: Entry, nowMs: number): void {
    if (!isLive(entry)) return;
    this.#rivalSeenMs = nowMs;
    this.#fault ??= { code: "STORE_TWICE", message: `member ${entry.name} runs with this node's store ${entry.storeId}: two nodes run on copies of one data directory; stop one and empty its data directory` };
  }

  /** This is the store's first start by its data directory, and others know it from before. */
  loseState(storeId: StoreId): void {
    this.#fault ??= {
      code: "STATE_LOST",
      message: `the cluster knows this node's store ${storeId}, and its data directory holds no cluster state: start it with an empty data directory (the other members hold what it acknowledged)`,
    };
  }

  /** Returns whether a fault is over: for a minute nobody said that the rival is alive. */
  tick(nowMs: number): boolean {
    if (this.#fault === undefined || this.#fault.code === "STATE_LOST" || nowMs - this.#rivalSeenMs <= RIVAL_MS) return false;
    this.#fault = undefined;
    this.#rival = undefined;
    return true;
  }
}

/** An entry that travels late makes one turn, two at most. */
const RIVAL_TURNS = 3;

/** Detection and the news of it take seconds: a rival of which nobody says for so long that it is alive is gone. */
const RIVAL_MS = 60_000;
