/** One tenant's uploads are refused: those of the others go on. */
import type { World } from "../world/world.ts";
import { Violation } from "./violation.ts";

/**
 * Nothing else has failed for so long, and a segment waits for so long: then something holds it up. Longer than a bucket that was away
 * leaves a call without an answer, and the pause after it.
 */
const CALM_MS = 13_000;

/** Until `endMs`. */
export async function checkOthersGoOn({ bucket, disk, faults, machine, scheduler }: World, forbiddenPrefix: string, endMs: number): Promise<void> {
  let upSinceMs = scheduler.nowMs;
  while (scheduler.nowMs < endMs) {
    await scheduler.wait(Math.min(1_000, endMs - scheduler.nowMs));
    if (!machine.isReady || bucket.weather !== "fine" || bucket.hidden.size > 0 || bucket.mixedUp.size > 0 || disk.isFull || disk.isSealedFolderShut) upSinceMs = scheduler.nowMs;
    const calmMs = Math.min(faults.calmMs, scheduler.nowMs - upSinceMs);
    if (calmMs < CALM_MS) continue;
    for (const key of disk.files.keys()) {
      const waitsMs = scheduler.nowMs - (disk.fileSinceMs.get(key) ?? scheduler.nowMs);
      if (!key.startsWith(forbiddenPrefix) && waitsMs > CALM_MS) throw new Violation("progress", `${key} waits for ${Math.round(waitsMs)} ms, while only ${forbiddenPrefix} is refused`);
    }
  }
}
