/** Compares the node's metrics with their bounds, while the history runs and when nothing is left to do. */
import type { World } from "../world/world.ts";
import { at } from "../world/machine.ts";
import { Violation } from "./violation.ts";

const RUNNING_MAX: Readonly<Record<string, number>> = {
  // With four the flush makes no further cut (background/flush-plan.ts).
  pyromesh_flush_unsealed_cuts: 4,
  pyromesh_queries_waiting: 256,
  pyromesh_requests_in_flight: 1024,
};

const IDLE_MAX: Readonly<Record<string, number>> = {
  pyromesh_head_records: 0,
  pyromesh_head_bytes: 0,
  pyromesh_flush_backlog_segments: 0,
  pyromesh_flush_unsealed_cuts: 0,
  pyromesh_queries_waiting: 0,
  pyromesh_queries_running: 0,
  pyromesh_requests_in_flight: 0,
  pyromesh_reply_bytes: 0,
  pyromesh_missing_segments: 0,
  pyromesh_unreadable_objects: 0,
};

const IDLE_WITHIN_MS = 60_000;

/** Checks every 10 to 40 s until the history ends. */
export async function watchBounds(world: World): Promise<void> {
  const chance = world.chance.stream("bounds");
  for (;;) {
    await world.scheduler.wait(chance.between(10_000, 40_000));
    if (world.isEnding) return;
    await checkBounds(world);
  }
}

export async function checkBounds(world: World): Promise<void> {
  await check(world, { ...RUNNING_MAX, pyromesh_head_disk_bytes: world.settings.diskBudgetBytes }, "");
}

export async function checkIdle(world: World): Promise<void> {
  // The last replies are still on their way for a moment.
  await world.scheduler.wait(1_000);
  // A member that no query asked lists the bucket again after a while, and releases then what others flushed.
  const endMs = world.scheduler.nowMs + (world.isCluster ? IDLE_WITHIN_MS : 0);
  for (;;) {
    try {
      return await check(world, IDLE_MAX, " when nothing is left to do");
    } catch (error) {
      if (world.scheduler.nowMs >= endMs) throw error;
    }
    await world.scheduler.wait(1_000);
  }
}

async function check(world: World, maxima: Readonly<Record<string, number>>, when: string): Promise<void> {
  for (const machine of world.machines) {
    const text = await machine.metricsText((name) => name in maxima);
    for (const [, name, value] of (text ?? "").matchAll(/^(\w+)(?:\{[^}]*\})? (\S+)$/gm)) {
      const max = maxima[name!];
      if (max !== undefined && Number(value) > max) throw new Violation("bounded", `${name}${at(machine)} is ${value}${when}, at most ${max} is allowed`);
    }
  }
}
