/**
 * Partials of a listing, kept small while a query goes through its windows. The pods of one window are mostly those of the window
 * before, and a month has 720: merged as they come, they take as much as one answer does.
 */
import type { Compute, ScanPartial, ScanSpec } from "../compute/compute.ts";

/** Of partials that wait to be merged: a listing of all that the default limits let through has a fraction of it. */
const WAITING_BYTES_MAX = 32 * 2 ** 20;

/** Merges what waits into one partial, in place, where it is large by now. Nothing is done for other scans. */
export async function foldListings(spec: ScanSpec, partials: ScanPartial[], compute: Pick<Compute, "finish">, signal: AbortSignal, waitingBytesMax: number = WAITING_BYTES_MAX): Promise<void> {
  if (spec.kind !== "listing" || partials.length < 2) return;
  // The first is what was merged before: it may be large by itself, and merging it again and again would gain nothing.
  let bytes = 0;
  for (let i = 1; i < partials.length; i++) bytes += partials[i]!.listing?.length ?? 0;
  if (bytes < Math.max(waitingBytesMax, partials[0]!.listing?.length ?? 0)) return;
  const { listing, bounds } = spec;
  const finished = await compute.finish({ kind: "listing-part", listing, bounds }, partials, signal);
  if (finished.kind !== "listing-part") throw new Error(`asked for listing-part, got ${finished.kind}`);
  partials.splice(0, partials.length, { ...partials[0]!, listing: finished.bytes });
}
