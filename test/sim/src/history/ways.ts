/** Ways between machines, each in one direction, and cuts of them for a while. */
import type { Machine } from "../world/machine.ts";
import type { World } from "../world/world.ts";

export type Way = readonly [from: string, to: string];

/** Both directions of each pair. */
export function between(some: readonly Machine[], others: readonly Machine[]): readonly Way[] {
  return some.flatMap((a) => others.flatMap((b): Way[] => (a === b ? [] : [[a.host, b.host], [b.host, a.host]])));
}

export async function cutFor(world: World, ways: readonly Way[], lengthMs: number): Promise<void> {
  cut(world, ways);
  await world.scheduler.wait(lengthMs);
  heal(world, ways);
}

export function cut({ peers }: World, ways: readonly Way[]): void {
  for (const [from, to] of ways) if (from !== to) peers.cut(from, to);
}

export function heal({ peers }: World, ways: readonly Way[]): void {
  for (const [from, to] of ways) peers.heal(from, to);
}
