/**
 * A partial on its way between worker threads. It goes through the main thread, which does not look into it and yet would take it
 * apart and put it together again, object by object and column by column: 60 ms for a tree of a million nodes, twice. So what is large
 * travels as one run of bytes in shared memory, which only the threads at both ends open.
 */
import { deserialize, serialize } from "node:v8";
import type { Interrupt } from "@pyromesh/profile";
import type { ScanPartial } from "./compute.ts";
import { partialBytes } from "./merge-partials.ts";
import { sharedCopy } from "./shared-copy.ts";

/** Smaller ones travel as they are: that costs the main thread a fraction of a millisecond, and a dashboard's queries have hundreds. */
const PACK_BYTES_MIN = 32 * 2 ** 10;

export function packPartial(partial: ScanPartial, bytesMin: number = PACK_BYTES_MIN): ScanPartial {
  if (partialBytes(partial) < bytesMin) return partial;
  const { recordCount, identitySum, period, packed: _, ...contents } = partial;
  return {
    recordCount,
    identitySum,
    names: undefined,
    locations: undefined,
    durations: undefined,
    period,
    points: [],
    heatmap: [],
    listing: undefined,
    census: undefined,
    packed: sharedCopy(serialize(contents)),
  };
}

/** Ends where nobody waits for them any more. One that stands there again and again is unpacked once. */
export function unpackPartials(partials: readonly ScanPartial[], interrupt: Interrupt): ScanPartial[] {
  let [last, unpacked]: [ScanPartial | undefined, ScanPartial | undefined] = [undefined, undefined];
  return partials.map((partial) => {
    interrupt.now();
    if (partial !== last || unpacked === undefined) unpacked = unpackPartial(partial);
    last = partial;
    return unpacked;
  });
}

export function unpackPartial(partial: ScanPartial): ScanPartial {
  const { packed, ...rest } = partial;
  if (packed === undefined) return partial;
  // Out of shared memory: what is read of it now lies in views of the copy.
  return { ...rest, ...(deserialize(new Uint8Array(packed)) as Omit<ScanPartial, "recordCount" | "identitySum" | "period">) }; // as packPartial wrote it
}
