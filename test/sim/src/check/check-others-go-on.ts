/** While the bucket refuses one tenant's uploads, those of the other tenants must go on. */
import type { World } from "../world/world.ts";
import { Violation } from "./violation.ts";

/**
 * A segment of another tenant that waits longer than this, though nothing else failed for as long, is held up by the refused tenant. Longer than
 * a bucket that was away leaves a call without an answer, with the pause after it.
 */
const CALM_MS = 13_000;

/** Checks every second until `endMs`. */
export async function checkOthersGoOn({ bucket, faults, machines, scheduler }: World, forbiddenPrefix: string, endMs: number): Promise<void> {
  let upSinceMs = scheduler.nowMs;
  while (scheduler.nowMs < endMs) {
    await scheduler.wait(Math.min(1_000, endMs - scheduler.nowMs));
    const isHindered = machines.some(({ disk, isPaused, isReady }) => !isReady || isPaused || disk.isFull || disk.isSealedFolderShut);
    if (isHindered || bucket.availability !== "up" || bucket.hidden.size > 0 || bucket.mixedUp.size > 0) upSinceMs = scheduler.nowMs;
    const calmMs = Math.min(faults.calmMs, scheduler.nowMs - upSinceMs);
    if (calmMs < CALM_MS) continue;
    for (const { disk } of machines) {
      for (const key of disk.files.keys()) {
        const waitsMs = scheduler.nowMs - (disk.fileSinceMs.get(key) ?? scheduler.nowMs);
        if (!key.startsWith(forbiddenPrefix) && waitsMs > CALM_MS) throw new Violation("progress", `${key} waits for ${Math.round(waitsMs)} ms, while only ${forbiddenPrefix} is refused`);
      }
    }
  }
}
