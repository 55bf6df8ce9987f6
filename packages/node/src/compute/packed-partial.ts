/**
 * How a partial answer travels between worker threads. It passes through the main thread, which would decode and encode it as a message
 * although it does not look into it: 60 ms each for a tree of a million nodes. So a large one travels as one run of bytes in shared
 * memory, which only the workers at both ends open.
 */
import { deserialize, serialize } from "node:v8";
import type { Interrupt } from "@pyromesh/profile";
import type { ScanPartial } from "./compute.ts";
import { partialBytes } from "./merge-partials.ts";
import { sharedCopy } from "./shared-copy.ts";

/**
 * Smaller ones travel as they are: a dashboard has hundreds, and that costs the main thread some 0.04 ms each at most. A finish takes up to 128
 * of them at once (two times PART_COUNT_MAX of gathered.ts), which was 20 ms and more where they had 32 KiB.
 */
const PACK_BYTES_MIN = 8 * 2 ** 10;

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
    cardinality: undefined,
    packed: sharedCopy(serialize(contents)),
  };
}

/** Throws where the caller is gone. A partial that stands there several times in a row is unpacked once. */
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
  // Copied out of shared memory: what `deserialize` makes are views of the copy.
  return { ...rest, ...(deserialize(new Uint8Array(packed)) as Omit<ScanPartial, "recordCount" | "identitySum" | "period">) }; // as packPartial wrote it
}
