/**
 * Histories written by hand, each with the rules whose absence it needs: with them off it breaks a promise, with all on it does not. Random search seldom
 * meets them.
 */
import type { Action, WorldOptions } from "./model-state.ts";

export interface ModelHistory {
  readonly name: string;
  readonly world: WorldOptions;
  readonly off: readonly string[];
  readonly history: readonly Action[];
  readonly violation: "missing" | "double" | "falseHole" | "unflushed" | "refusedForEver";
}

const THREE = { n: 3, slots: 4, rf: 3 };
const THREE_RF2 = { n: 3, slots: 4, rf: 2 };
const FOUR_RF2 = { n: 4, slots: 5, rf: 2 };
const FIVE = { n: 5, slots: 5, rf: 3 };
const THREE_TO_FIVE = { n: 3, slots: 5, rf: 3 };
const THREE_TO_FIVE_RF2 = { n: 3, slots: 5, rf: 2 };
const GROWING = { n: 3, slots: 3, rf: 3, isGrowing: true };

/** Node i is cut off until the others have cleared its store. */
const clear = (i: number): Action[] => [["isolate", i], ["time", 8], ["FLUSH"], ["time", 8]];
const clearBoth = [...clear(0), ...clear(1)];

export const HISTORIES: readonly ModelHistory[] = [
  {
    name: "a lost store's late ack",
    world: FIVE,
    off: ["ackLive", "refuseLost"],
    history: [["cut", 4, 2], ["SEND", 4, 0, 1, 1], ["wipe", 0], ["time", 8], ["SETTLE", 1], ["isolate", 1], ["QUERY", 3, 2]],
    violation: "missing",
  },
  {
    name: "a lone reader, the lost store came back elsewhere",
    world: THREE,
    off: ["readMajority"],
    history: [...clear(2), ["heal"], ["isolate", 0], ["time", 8], ["PUSH", 1, 1, 1, 0], ["QUERY", 0, 2]],
    violation: "missing",
  },
  {
    name: "an old answer to a probe",
    world: FIVE,
    off: ["leaseFromSend", "refuseLost"],
    history: [["PROBE", 0, 31], ["pause", 0], ["time", 8], ["FLUSH"], ["time", 8], ["PROBE", 1, 31], ["resume", 0], ["HEAR", 0], ["split", 3], ["PUSH", 0, 0, 1, 0], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "probes answered to a member declared dead",
    world: FIVE,
    off: ["probeFence", "ackLive", "refuseLost", "forgottenJoins"],
    history: [["push", 0, 0, 1, 0], ...clear(0), ["heal"], ["PROBE", 0, 31], ["HEAR", 0], ["split", 3], ["SETTLE", 1], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "fence forgotten at a restart",
    world: FIVE,
    off: ["fenceKept", "ackLive", "refuseLost"],
    history: [["push", 0, 0, 1, 0], ...clearBoth, ["crash", 2], ["restart", 2], ["crash", 3], ["restart", 3], ["split", 15], ["PROBE", 0, 31], ["HEAR", 0], ["PROBE", 1, 31], ["HEAR", 1], ["cut", 0, 2], ["SETTLE", 1], ["split", 3], ["QUERY", 4, 2]],
    violation: "missing",
  },
  {
    name: "no contact check at all",
    world: FIVE,
    off: ["contactStore", "contactReply", "forgottenJoins"],
    history: [...clearBoth, ["mend", 0, 1], ["time", 2], ["PUSH", 0, 0, 1, 0], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "the store does not check contact",
    world: FIVE,
    off: ["contactStore", "ackLive", "refuseLost"],
    history: [["push", 4, 0, 1, 0], ...clearBoth, ["mend", 4, 0], ["mend", 4, 1], ["cut", 4, 2], ["SETTLE", 1], ["split", 3], ["QUERY", 3, 2]],
    violation: "missing",
  },
  {
    name: "clearing does not wait the lease",
    world: FIVE,
    off: ["clearWaits", "ackLive", "refuseLost"],
    history: [["push", 0, 0, 1, 0], ["isolate", 0], ["time", 2], ["beat"], ["mend", 0, 1], ["SETTLE", 1], ["split", 3], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "a member that no majority knows acks",
    world: THREE_TO_FIVE_RF2,
    off: ["joinMajority", "contactStore"],
    history: [["join", 3], ["gossip", 3, 0], ["gossip", 0, 3], ["split", 9], ["PUSH", 0, 3, 1, 0], ["QUERY", 1, 2]],
    violation: "missing",
  },
  {
    name: "dropped on hearsay",
    world: THREE_RF2,
    off: ["releaseAfterRead"],
    history: [["PUSH", 0, 0, 1, 0], ["seal", 0], ["time", 3], ["takeover", 1], ["wipe", 0], ["time", 8], ["QUERY", 1, 2]],
    violation: "missing",
  },
  {
    name: "the reader's catalog is old",
    world: FIVE,
    off: ["tellReleased"],
    history: [["PUSH", 0, 0, 1, 0], ["flush", 0], ["flush", 1], ["flush", 2], ["time", 8], ["drop", 0], ["drop", 1], ["drop", 2], ["QUERY", 4, 2]],
    violation: "missing",
  },
  {
    name: "LIST is older than a clearing",
    world: THREE_RF2,
    off: ["listAfterClear", "listAfterLearning"],
    history: [["PUSH", 0, 0, 1, 0], ["flush", 0], ["flush", 1], ["time", 8], ["drop", 1], ["wipe", 0], ["time", 8], ["isolate", 1], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "LIST is older than a LEFT",
    world: FOUR_RF2,
    off: ["listAfterLeft"],
    history: [["PUSH", 0, 0, 1, 0], ["flush", 0], ["flush", 1], ["time", 8], ["drop", 0], ["drop", 1], ["leave", 0], ["left", 0], ["time", 1], ["left", 0], ["isolate", 1], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "left with records unflushed",
    world: FOUR_RF2,
    off: ["leaveFlushed"],
    history: [["PUSH", 0, 0, 1, 0], ["leave", 0], ["left", 0], ["time", 1], ["left", 0], ["isolate", 1], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "a node that has left accepts",
    world: FOUR_RF2,
    off: ["leaveNotWritable", "forgottenJoins"],
    history: [["push", 3, 0, 1, 0], ["leave", 0], ["left", 0], ["beat"], ["SETTLE", 1], ["left", 0], ["isolate", 1], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "each says the other is rank 0",
    world: THREE,
    off: ["bufferedRank0", "threeDue"],
    history: [["SEND", 0, 0, 1, 2], ["push", 0, 0, 2, 1], ["append", 2, 2]],
    violation: "unflushed",
  },
  {
    name: "a hole seen by one LIST in two pages",
    world: THREE,
    off: ["secondList"],
    history: [["PUSH", 0, 0, 1, 0], ["seal", 0], ["PUSH", 0, 4, 2, 0], ["seal", 0], ["list1", 1, 1], ["put", 0], ["put", 0], ["list2", 1], ["QUERY", 1, 3]],
    violation: "falseHole",
  },
  {
    name: "uploads out of order",
    world: THREE,
    off: ["orderedUpload"],
    history: [["PUSH", 0, 0, 1, 0], ["seal", 0], ["PUSH", 0, 4, 2, 0], ["seal", 0], ["putLast", 0], ["list1", 1, 0], ["list2", 1], ["QUERY", 1, 3]],
    violation: "falseHole",
  },
  {
    name: "two join at once and vouch for each other",
    world: THREE_TO_FIVE,
    off: ["voteFull", "freshMute", "joinOthers"],
    history: [["join", 3], ["join", 4], ["split", 28], ["time", 8], ["FLUSH"], ["PUSH", 4, 3, 1, 0], ["time", 8], ["QUERY", 0, 2]],
    violation: "missing",
  },
  {
    name: "an empty disk forgets whom it fenced",
    world: THREE,
    off: ["freshMute", "voteFull", "readMajority", "lostVotes", "joinOthers"],
    history: [["cut", 0, 2], ["cut", 1, 2], ["time", 8], ["FLUSH"], ["time", 8], ["wipe", 1], ["split", 1], ["time", 8], ["PUSH", 2, 1, 1, 0], ["QUERY", 0, 2]],
    violation: "missing",
  },
  {
    name: "a retry after its segment was matched",
    world: THREE,
    off: ["matchLate"],
    history: [["PUSH", 0, 0, 1, 0], ["FLUSH"], ["time", 8], ["drop", 2], ["PUSH", 1, 0, 2, 0], ["QUERY", 1, 3]],
    violation: "double",
  },
  {
    name: "fewer acks than the entry says",
    world: GROWING,
    off: ["refuseFewer", "lostVotes", "pushAhead"],
    history: [["PUSH", 0, 0, 1, 0], ["join", 1], ["time", 8], ["PUSH", 0, 4, 2, 0], ["wipe", 1], ["FLUSH"], ["time", 8], ["QUERY", 0, 3]],
    violation: "missing",
  },
  {
    name: "two forgotten members come back at once",
    world: FIVE,
    off: ["forgottenJoins"],
    history: [...clear(3), ...clear(4), ["split", 3], ["time", 8], ["FLUSH"], ["time", 8], ["PUSH", 3, 3, 1, 0], ["QUERY", 0, 2]],
    violation: "missing",
  },
  {
    name: "two machines suspended, one after the other, their clocks too",
    world: FIVE,
    off: ["refuseLost", "ackLive"],
    history: [["push", 0, 0, 1, 0], ["freeze", 0], ["time", 8], ["FLUSH"], ["time", 8], ["freeze", 1], ["time", 8], ["FLUSH"], ["time", 8], ["resume", 0], ["resume", 1], ["split", 3], ["SETTLE", 1], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "a holder that the reader does not know",
    world: THREE_TO_FIVE_RF2,
    off: ["learnHolders"],
    history: [["isolate", 2], ["join", 3], ["time", 2], ["FLUSH"], ["PUSH", 0, 3, 1, 0], ["heal"], ["isolate", 0], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "cut off, forgotten, and another killed meanwhile",
    world: THREE,
    off: ["forgetFloor"],
    history: [["isolate", 2], ["time", 8], ["heal"], ["kill", 0]],
    violation: "refusedForEver",
  },
  {
    name: "two disks lost at once, the third node was away when the first had come back",
    world: THREE,
    off: ["lostVotes"],
    history: [["isolate", 1], ["time", 8], ["heal"], ["isolate", 2], ["time", 8], ["PUSH", 0, 1, 1, 0], ["wipe", 1], ["wipe", 0]],
    violation: "missing",
  },
  {
    name: "three disks lost: fresh stores vouch for each other",
    world: THREE,
    off: ["freshMute", "lostVotes", "joinOthers", "voteFull"],
    history: [["PUSH", 0, 2, 1, 0], ["wipe", 2], ["wipe", 1], ["PROBE", 0, 7], ["wipe", 0]],
    violation: "missing",
  },
  {
    name: "RF rose, LIST is older",
    world: GROWING,
    off: ["listAfterRise"],
    history: [["join", 1], ["join", 2], ["PUSH", 0, 11, 1, 0], ["time", 8], ["isolate", 1], ["flush", 2], ["isolate", 2], ["time", 8], ["flush", 0], ["mend", 0, 1], ["time", 8], ["mend", 2, 1]],
    violation: "missing",
  },
  {
    name: "a fresh node asks nobody",
    world: THREE,
    off: ["readFull", "voteFull"],
    history: [["PUSH", 0, 0, 1, 0], ["wipe", 2], ["QUERY", 2, 2]],
    violation: "missing",
  },
  {
    name: "a member that the reader did not know held a record under one ack, and flushed it",
    world: GROWING,
    off: ["listAfterLearning"],
    history: [["join", 2], ["FLUSH"], ["join", 1], ["isolate", 2], ["PUSH", 0, 5, 1, 0], ["flush", 0], ["time", 8], ["mend", 2, 1], ["time", 8]],
    violation: "missing",
  },
  {
    name: "losses cleared one after the other, and nobody flushed",
    world: FIVE,
    off: ["clearFlushed"],
    history: [["PUSH", 3, 0, 1, 0], ["wipe", 0], ["time", 8], ["wipe", 1], ["time", 8], ["isolate", 2], ["QUERY", 3, 2]],
    violation: "missing",
  },
  {
    name: "all that held a record are lost, and cleared",
    world: { n: 3, slots: 4, rf: 1 },
    off: ["clearFewer"],
    history: [["PUSH", 1, 1, 1, 0], ["wipe", 1], ["time", 8], ["QUERY", 0, 2]],
    violation: "missing",
  },
];
