/** Where a new worker reads again the rows that the one before it lost: from the head's records, each for the generation of the cut that it belongs to now. */
import type { Cut, Head } from "@pyromesh/head";
import type { RowSource } from "../compute/compute.ts";
import type { Generations } from "./generations.ts";

type ReadHead = Pick<Head, "nextSeq" | "readLive" | "setAside"> & { cuts(): readonly Pick<Cut, "cutId">[] };

export function rowSource(head: ReadHead, generations: Pick<Generations, "last" | "of" | "open">): RowSource {
  return {
    get nextSeq() {
      return head.nextSeq;
    },
    // Workers hold the records that this store is to flush: of rank 0.
    readLive: (range, pageBytes, visit) => head.readLive(range, pageBytes, ({ records, unreadable }) => visit({ records: records.filter(({ rank }) => rank === 0), unreadable })),
    setAside: (seq, reason) => head.setAside(seq, reason),
    generationOf: (cutId) => (cutId === undefined ? generations.open : generations.of(cutId)),
    get lastGeneration() {
      return generations.last;
    },
    get liveGenerations() {
      const live = [generations.open];
      for (const { cutId } of head.cuts()) {
        const generation = generations.of(cutId);
        if (generation !== undefined) live.push(generation);
      }
      return live;
    },
  };
}
