/**
 * Partial answers as bytes (partial-format.ts), where that is better than as they are.
 *
 * Between worker threads a partial passes through the main thread, which would decode and encode it as a message although it does not look
 * into it: 60 ms each for a tree of a million nodes. So a large one travels as one run of bytes in shared memory, which only the
 * workers at both ends open. What the main thread needs of it, counts for the receipt, stands beside the bytes as well.
 *
 * A peer's partial is not opened on the main thread either: its checksum is checked there, and a worker checks all else as it opens it.
 */
import { assert, sharedBytes } from "@pyromesh/base";
import type { Interrupt } from "@pyromesh/profile";
import type { ScanPartial } from "./compute.ts";
import { partialBytes } from "./merge-partials.ts";
import { checkPeerPartial, decodePartial, encodePartial, PARTIAL_VERSION, readCounts, withChecksum } from "./partial-format.ts";
import { sharedCopy } from "./shared-copy.ts";

/**
 * Smaller ones travel as they are: a dashboard has hundreds, and that costs the main thread some 0.04 ms each at most. A finish takes up to 128
 * of them at once (two times PART_COUNT_MAX of gathered.ts): 32 KiB each would be 20 ms of the main thread.
 */
const PACK_BYTES_MIN = 8 * 2 ** 10;

export function packPartial(partial: ScanPartial, bytesMin: number = PACK_BYTES_MIN): ScanPartial {
  if (partialBytes(partial) < bytesMin) return partial;
  return packedAs(encodePartial(partial, sharedBytes), partial);
}

/** Throws where the caller is gone. A partial that stands there several times in a row is unpacked once. */
export function unpackPartials(partials: readonly ScanPartial[], interrupt: Interrupt): ScanPartial[] {
  let [last, unpacked]: [ScanPartial | undefined, ScanPartial | undefined] = [undefined, undefined];
  return partials.map((partial) => {
    interrupt.now();
    if (partial !== last || unpacked === undefined) unpacked = unpackPartial(partial, interrupt);
    last = partial;
    return unpacked;
  });
}

export function unpackPartial(partial: ScanPartial, interrupt?: Interrupt): ScanPartial {
  return partial.packed === undefined ? partial : decodePartial(partial.packed, interrupt);
}

/** The bytes that a peer is sent, in the version that all members read. */
export function encodeForPeer(partial: ScanPartial, version: number = PARTIAL_VERSION): Uint8Array {
  assert(version === PARTIAL_VERSION, "a version of partial answers that this build writes");
  return withChecksum(partial.packed ?? encodePartial(partial));
}

/** A peer's bytes, not opened. Throws `CorruptionError` where they did not arrive as they were sent, or are no partial of a version that is known. */
export function packedFromPeer(bytes: Uint8Array): ScanPartial {
  checkPeerPartial(bytes);
  return packedAs(sharedCopy(bytes), readCounts(bytes));
}

function packedAs(packed: Uint8Array, { recordCount, identitySum, period }: Pick<ScanPartial, "recordCount" | "identitySum" | "period">): ScanPartial {
  return { recordCount, identitySum, names: undefined, locations: undefined, durations: undefined, period, points: [], heatmap: [], listing: undefined, cardinality: undefined, packed };
}
