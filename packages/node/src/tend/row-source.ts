/** Where workers get rows again that they lost: the head's records, each in the generation of the cut it belongs to now. */
import type { Cut, Head } from "@pyromesh/head";
import type { Generation, RowSource } from "../compute/compute.ts";

export interface RowSourceModules {
  readonly head: Pick<Head, "nextSeq" | "readLive" | "setAside"> & { cuts(): readonly Pick<Cut, "cutId">[] };
  readonly openGeneration: () => Generation;
  /** Undefined: the cut is sealed. */
  readonly generationOf: (cutId: number) => Generation | undefined;
}

export function rowSource({ head, openGeneration, generationOf }: RowSourceModules): RowSource {
  return {
    get nextSeq() {
      return head.nextSeq;
    },
    readLive: (range, pageBytes, visit) => head.readLive(range, pageBytes, visit),
    setAside: (seq, reason) => head.setAside(seq, reason),
    generationOf: (cutId) => (cutId === undefined ? openGeneration() : generationOf(cutId)),
    get liveGenerations() {
      const live = [openGeneration()];
      for (const { cutId } of head.cuts()) {
        const generation = generationOf(cutId);
        if (generation !== undefined) live.push(generation);
      }
      return live;
    },
  };
}
